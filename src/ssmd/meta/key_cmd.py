"""``ssmd meta key list``, ``show``, ``verify`` and ``check``."""

from typing import Any

import click
import msgspec

from ssmd import show
from ssmd.config import Environment, Key, read
from ssmd.errors import NotFound
from ssmd.meta.history import key_committed
from ssmd.meta.key_status import Status, status
from ssmd.meta.options import Desk, command, pairs

UNVERIFIABLE = 3
SIGNS = {"ok": "+", "missing": "x", "faulty": "x", "unverifiable": "?"}
COLORS = {"ok": "green", "missing": "red", "faulty": "red", "unverifiable": "yellow"}


def statuses(desk: Desk, env: str, *, only: str | None = None) -> list[Status]:
    """Of all keys of an environment, or of one. Raises NotFound, ConfigError."""
    keys = read(desk.root, "environments", env, Environment).keys
    if only is not None and only not in keys:
        raise NotFound(
            f"environment {env} has no key {only!r}",
            hint=f"one of: {', '.join(keys) or 'none yet'}",
        )
    chosen = keys if only is None else {only: keys[only]}
    return [status(name, key, _committed(desk, env, name, key)) for name, key in chosen.items()]


def _committed(desk: Desk, env: str, name: str, key: Key) -> Any:
    if key.rotation_days is None or key.rotated_on is not None:
        return None
    return key_committed(desk.root, env, name)


def _facts(found: Status) -> dict[str, Any]:
    return {**msgspec.to_builtins(found), "state": found.state}


@click.command(name="list")
@click.argument("env")
@command
def list_(desk: Desk, env: str) -> None:
    """All keys of an environment: references, never values."""
    found = statuses(desk, env)
    head = ["NAME", "TYPE", "REQUIRED", "SOURCE"] + ["STATE"] * desk.verbose
    rows = [
        [one.name, one.type, "yes" if one.required else "no", _cut(one.source, whole=desk.verbose)]
        + [one.state] * desk.verbose
        for one in found
    ]
    desk.rows(head, rows, [_facts(one) for one in found])


def _cut(source: str, *, whole: bool) -> str:
    return source if whole or len(source) <= 40 else source[:37] + "..."


@click.command(name="show")
@click.argument("env")
@click.argument("key")
@command
def show_(desk: Desk, env: str, key: str) -> None:
    """One key: its reference, and for each part whether it is there. Never its value."""
    (found,) = statuses(desk, env, only=key)
    spec = read(desk.root, "environments", env, Environment).keys[key]
    if desk.json:
        more = {"description": spec.description, "rotation_days": spec.rotation_days}
        show.as_json({**_facts(found), **more, "fields": list(spec.fields)})
        return
    pairs(
        [
            ("Name", key),
            ("Type", spec.type),
            ("Description", spec.description),
            ("Required", "yes" if spec.required else "no"),
            ("Source", spec.source),
            ("Rotation", spec.rotation_days and f"every {spec.rotation_days} days"),
        ]
    )
    for part in found.parts:
        show.line(f"  {SIGNS[part.state]} {part.field}: {part.text}", COLORS[part.state])
    _warn(found)


def _warn(found: Status) -> None:
    for text in found.warnings:
        show.line(f"  ! {found.name}: {text}", "yellow")


@click.command()
@click.argument("env")
@command
def verify(desk: Desk, env: str) -> None:
    """Prove that every secret of an environment is there, safe and sound.

    \b
    Status 0  all required keys are (a missing optional one is a warning)
           1  a required key is missing or faulty
           3  no fault, but a required key cannot be verified from here
              (sealed-secret: and vault: are the platform's)
    """
    _tell(desk, statuses(desk, env), optional_too=False)


@click.command()
@click.argument("env")
@click.argument("key")
@command
def check(desk: Desk, env: str, key: str) -> None:
    """Prove that one key is there, safe and sound, required or not.

    \b
    Status 0  it is
           1  a part is missing or faulty
           3  it cannot be verified from here
              (sealed-secret: and vault: are the platform's)
    """
    _tell(desk, statuses(desk, env, only=key), optional_too=True)


def _tell(desk: Desk, found: list[Status], *, optional_too: bool) -> None:
    code = exit_code([one for one in found if one.required or optional_too])
    if desk.json:
        show.as_json({"status": code, "keys": [_facts(one) for one in found]})
    else:
        for one in found:
            _tell_one(desk, one, judged=one.required or optional_too)
        if not found:
            desk.say("no keys")
    if code:
        click.get_current_context().exit(code)


def _tell_one(desk: Desk, one: Status, *, judged: bool) -> None:
    for part in one.parts:
        if not desk.quiet or part.state != "ok":
            note = "" if judged or part.state == "ok" else " (optional: a warning)"
            text = f"{SIGNS[part.state]} {one.name}.{part.field}: {part.text}{note}"
            show.line(text, COLORS[part.state])
    _warn(one)


def exit_code(found: list[Status]) -> int:
    states = {one.state for one in found}
    if states & {"missing", "faulty"}:
        return 1
    return UNVERIFIABLE if "unverifiable" in states else 0
