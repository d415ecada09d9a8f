"""``ssmd meta env create``, ``update`` and ``add-key``."""

from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

import click
import msgspec

from ssmd.config import Key
from ssmd.config.check import Place, problems
from ssmd.errors import ConfigError
from ssmd.meta.draft import Draft
from ssmd.meta.edit import creating, editing
from ssmd.meta.feed_edit import clear_fields
from ssmd.meta.options import Date, Desk, command, words

F = TypeVar("F", bound=Callable[..., Any])
SETTINGS = {
    "transport.type": "nats, mqtt or memory.",
    "transport.url": "Where NATS is: nats://host:4222, or embedded.",
    "storage.type": "local or s3.",
    "storage.path": "Folder of the archive (local).",
    "storage.bucket": "Bucket of the archive (s3).",
    "storage.region": "Region of the bucket (s3).",
    "schedule.timezone": "Time zone of the day.",
    "schedule.day-start": "When the day begins, HH:MM.",
    "schedule.day-end": "When the day ends, HH:MM.",
}
KEY_TYPES = click.Choice(["api_key", "transport", "storage", "tls", "webhook"])


def _settings(function: F) -> F:
    for name, told in reversed(SETTINGS.items()):
        dest = name.replace(".", "__").replace("-", "_")
        function = click.option(f"--{name}", dest, help=told)(function)
    return function


def _places(settings: dict[str, str | None]) -> dict[Place, Any]:
    """``transport__url`` -> ("transport", "url"), for what was given."""
    return {tuple(name.split("__")): value for name, value in settings.items() if value is not None}


@click.command()
@click.argument("name")
@click.option("--feed", "feeds", required=True, multiple=True, help="A feed (repeatable).")
@click.option("--schema", required=True, help="What it produces, as name:version.")
@click.option("--description", help="What it is for.")
@_settings
@command
def create(
    desk: Desk,
    name: str,
    feeds: tuple[str, ...],
    schema: str,
    description: str | None,
    **settings: str | None,
) -> None:
    """Add an environment. Feeds and schema must exist.

    Without settings: NATS embedded, storage in the data folder. With one of the day: its time zone
    is UTC and days roll by themselves.
    """
    content: dict[str, Any] = {"name": name, "description": description}
    content |= {"feed": feeds[0]} if len(feeds) == 1 else {"feeds": list(feeds)}
    content |= {"schema": schema, "transport": {"type": "nats", "url": "embedded"}}
    content["storage"] = {"type": "local"}
    places = _places(settings)
    if any(place[0] == "schedule" for place in places):
        content["schedule"] = {"timezone": "UTC", "auto_roll": True}
    for (group, field), value in places.items():
        content[str(group)][field] = value
    file = creating(desk.root, "environments", name, content)
    desk.created(file, content)


@click.command()
@click.argument("name")
@click.option("--feed", "feeds", multiple=True, help="A feed (repeatable): all that it is to have.")
@click.option("--schema", help="What it produces, as name:version.")
@click.option("--description", help="What it is for.")
@_settings
@click.option("--clear", multiple=True, metavar="FIELD", help="Take this field out (repeatable).")
@command
def update(
    desk: Desk,
    name: str,
    feeds: tuple[str, ...],
    schema: str | None,
    description: str | None,
    clear: tuple[str, ...],
    **settings: str | None,
) -> None:
    """Change fields of an environment.

    --clear takes a field out, so that its default holds: `--clear storage.path`,
    `--clear keys.kalshi`, `--clear schedule`.
    """
    with editing(desk.root, "environments", name) as edited:
        draft = edited.draft
        simple = {("schema",): schema, ("description",): description, **_places(settings)}
        for place, value in simple.items():
            if value is not None:
                draft.put(place, value)
        if feeds:
            _put_feeds(draft, list(feeds))
        clear_fields(draft, [_place(field) for field in clear])
    desk.edited(edited)


def _place(field: str) -> Place:
    """``schedule.day-start`` is a field; what follows ``keys.`` is a name."""
    first, *rest = field.split(".")
    named = first in ("keys", "endpoints")
    return (first, *(step if named else step.replace("-", "_") for step in rest))


def _put_feeds(draft: Draft, feeds: list[str]) -> None:
    """In the form that the file has: one ``feed``, or a list of ``feeds``."""
    if draft.get(("feed",)) is not None and len(feeds) == 1 and not draft.get(("feeds",)):
        draft.put(("feed",), feeds[0])
        return
    draft.put(("feeds",), feeds)
    draft.drop(("feed",))


@click.command(name="add-key")
@click.argument("env")
@click.argument("key")
@click.option("--type", "type_", required=True, type=KEY_TYPES, help="What it opens.")
@click.option("--fields", required=True, help="Its parts, with commas: api_key,private_key.")
@click.option(
    "--source",
    required=True,
    help="Where its parts are: env:VAR1,VAR2  file:PATH1,PATH2  sealed-secret:namespace/name  "
    "vault:path. Never the secret itself.",
)
@click.option(
    "--required/--no-required",
    default=True,
    show_default=True,
    help="Whether the environment cannot do without.",
)
@click.option("--description", help="What it is for.")
@click.option("--rotation-days", type=int, help="How old it may become.")
@click.option("--rotated-on", type=Date(), help="When it was last made anew.")
@click.option("--feed", help="The feed it signs for.  [default: the key's name]")
@command
def add_key(
    desk: Desk,
    env: str,
    key: str,
    type_: str,
    fields: str,
    source: str,
    required: bool,
    **more: str | int | date | None,
) -> None:
    """Say where a secret is found; a key of that name is replaced.

    Only the reference is written. What does not look like one is refused, and not shown.
    """
    spec = {
        "type": type_,
        "description": more.pop("description"),
        "required": None if required else False,
        "fields": words(fields),
        "source": source.strip(),
        **more,
    }
    spec = {field: value for field, value in spec.items() if value is not None}
    _refuse_bad(spec)
    with editing(desk.root, "environments", env) as edited:
        draft, place = edited.draft, ("keys", key)
        for field in list(draft.get(place) or {}):
            if field not in spec:
                draft.drop((*place, field))
        if not isinstance(draft.get(place), dict):
            draft.put(place, spec)
        for field, value in spec.items():
            draft.put((*place, field), value)
    desk.edited(edited)


def _refuse_bad(spec: dict[str, Any]) -> None:
    """Before anything is written: the source may be the secret itself. Raises ConfigError."""
    found = list(problems(msgspec.to_builtins(spec), Key))
    if found:
        raise ConfigError(
            "\n".join(problem.text for problem in found),
            hint=found[0].hint or "ssmd meta env add-key --help",
        )
