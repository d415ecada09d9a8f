"""``ssmd meta env list`` and ``show``."""

from typing import Any

import click

from ssmd import show
from ssmd.config import Environment, Keep, Retention, read
from ssmd.meta.fields import shown
from ssmd.meta.options import Desk, command, facts, pairs
from ssmd.meta.readable import readable
from ssmd.meta.validation import feed_names


@click.command(name="list")
@command
def list_(desk: Desk) -> None:
    """All environments: feeds, schema, transport; with -v also storage and what they are for."""
    envs, unreadable = readable(desk.root, "environments", Environment)
    head = ["NAME", "FEED", "SCHEMA", "TRANSPORT"] + ["STORAGE", "DESCRIPTION"] * desk.verbose
    rows = [
        [env.name, ", ".join(feed_names(env)), env.schema, env.transport.type]
        + [env.storage.type, env.description or "–"] * desk.verbose
        for env in envs
    ]
    desk.rows(head, rows, [shown(facts(env)) for env in envs])
    unreadable.tell()


@click.command(name="show")
@click.argument("name")
@command
def show_(desk: Desk, name: str) -> None:
    """One environment, as its file says it. (`ssmd meta env explain` resolves it.)"""
    env = read(desk.root, "environments", name, Environment)
    if desk.json:
        show.as_json(shown(facts(env)))
        return
    pairs(_rows(env))
    for key, spec in env.keys.items():
        click.echo("")
        pairs(
            [
                ("Key", key),
                ("  type", f"{spec.type}, {'required' if spec.required else 'optional'}"),
                ("  fields", ", ".join(spec.fields)),
                ("  source", spec.source),
                ("  rotation", spec.rotation_days and f"every {spec.rotation_days} days"),
            ]
        )


def _rows(env: Environment) -> list[tuple[str, Any]]:
    day, transport, storage, cache = env.schedule, env.transport, env.storage, env.cache
    hours = f", {day.day_start or '00:00'}–{day.day_end or '24:00'}"
    place = storage.path or storage.bucket
    return [
        ("Name", env.name),
        ("Description", env.description),
        ("Feeds", ", ".join(feed_names(env))),
        ("Schema", env.schema),
        ("Schedule", f"{day.timezone}{hours}, auto roll {'on' if day.auto_roll else 'off'}"),
        ("Transport", f"{transport.type} {shown(transport.url)}"),
        ("Storage", " ".join(part for part in (storage.type, place, storage.region) if part)),
        ("Retention", _retention(env.retention)),
        ("Cache", f"{cache.type}{f', {cache.max_size}' if cache.max_size else ''}"),
        ("Endpoints", ", ".join(env.endpoints)),
        ("Simulated", "yes" if env.simulated else None),
    ]


def _retention(spec: Retention) -> str:
    feeds = [f"{feed}: {_keep(keep)}" for feed, keep in spec.feeds.items()]
    return "; ".join([_keep(spec), *feeds])


def _keep(spec: Keep) -> str:
    parts = [f"{spec.days} days"] if spec.days else []
    parts += [f"{spec.max_bytes} bytes"] if spec.max_bytes else []
    return ", ".join(parts) or "for ever"
