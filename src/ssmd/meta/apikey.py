"""``ssmd meta apikey``: keys for those who read through ``ssmd serve``."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from ssmd import apikey as keys
from ssmd import bus, show
from ssmd.apikey import SCOPES, ApiKey
from ssmd.bus import Bucket
from ssmd.config import load
from ssmd.errors import ConfigError, NotFound
from ssmd.meta.options import Date

_T = TypeVar("_T")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_SPAN = re.compile(r"([1-9][0-9]{0,4})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def _where(command: Any) -> Any:
    """The environment whose keys these are, and how its NATS is reached."""
    for decorate in (
        click.option("--env", required=True, help="Environment whose keys these are."),
        click.option(
            "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
            help="Folder of the embedded NATS server.",
        ),
        click.option(
            "--config", "root", type=click.Path(path_type=Path), help="Configuration folder."
        ),
    ):  # fmt: skip
        command = decorate(command)
    return command


@click.group()
def apikey() -> None:
    """Keys for those who read through `ssmd serve`. Only hashes are stored."""


@apikey.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), default=("read",),
    show_default=True, help="What it may do (may be given again).",
)  # fmt: skip
@click.option("--feed", "feeds", multiple=True, help="Only this feed (may be given again).")
@click.option("--from", "from_day", type=Date(), help="First day of data that it may read.")
@click.option("--to", "to_day", type=Date(), help="Last day of data that it may read.")
@click.option("--expires", help="When it ends: 30d, 12h, 10m or a date; default never.")
@_where
@_json
def create(
    name: str,
    scopes: tuple[keys.Scope, ...],
    feeds: tuple[str, ...],
    from_day: date | None,
    to_day: date | None,
    expires: str | None,
    env: str,
    data: Path,
    root: Path | None,
    as_json: bool,
) -> None:
    """Make a key for NAME (a person or a program). It is shown this once."""
    if from_day and to_day and to_day < from_day:
        raise ConfigError(f"the days end on {to_day}, before they begin", hint="swap them")
    known = load(env, root=root).feeds
    for feed in feeds:
        if feed not in known:
            raise NotFound(f"{env} has no feed {feed!r}", hint=f"one of: {', '.join(known)}")
    id_, secret = keys.mint()
    key = ApiKey(
        id=id_, sha256=keys.sha256(secret), name=name, scopes=tuple(dict.fromkeys(scopes)),
        feeds=feeds, from_day=from_day, to_day=to_day, created=keys.now(), expires=_end(expires),
    )  # fmt: skip

    async def store(bucket: Bucket) -> None:
        await bucket.swap(id_, msgspec.json.encode(key), 0)

    _with_bucket(env, data, root, store)
    if as_json:
        show.as_json({**_facts(key), "key": keys.text(id_, secret)})
    else:
        click.echo(keys.text(id_, secret))
        click.echo("Keep it: it is not stored, and is not shown again.", err=True)


@apikey.command(name="list")
@_where
@_json
def list_(env: str, data: Path, root: Path | None, as_json: bool) -> None:
    """List the keys: whose, what for, and whether they are valid."""

    async def read(bucket: Bucket) -> list[ApiKey]:
        entries = [entry async for entry in bucket.entries()]
        return [msgspec.json.decode(entry.value, type=ApiKey) for entry in entries]

    found = sorted(_with_bucket(env, data, root, read), key=lambda key: key.created)
    if as_json:
        show.as_json([_facts(key) for key in found])
        return
    head = ("ID", "NAME", "STATE", "SCOPES", "FEEDS", "EXPIRES")
    show.table(head, [_row(key) for key in found])


def _row(key: ApiKey) -> tuple[str, ...]:
    expires = f"{key.expires:%Y-%m-%d %H:%M}" if key.expires else "never"
    feeds = ", ".join(key.feeds) or "all"
    return key.id, key.name, key.state(keys.now()), ", ".join(key.scopes), feeds, expires


@apikey.command(name="show")
@click.argument("id_", metavar="ID")
@_where
@_json
def show_(id_: str, env: str, data: Path, root: Path | None, as_json: bool) -> None:
    """Show what a key allows; never the key itself."""

    async def read(bucket: Bucket) -> ApiKey:
        return (await _find(bucket, id_))[0]

    facts = _facts(_with_bucket(env, data, root, read))
    if as_json:
        show.as_json(facts)
    else:
        show.tree(facts)


@apikey.command()
@click.argument("id_", metavar="ID")
@_where
def revoke(id_: str, env: str, data: Path, root: Path | None) -> None:
    """Revoke a key: within seconds nobody is answered to with it."""

    async def end(bucket: Bucket) -> None:
        key, revision = await _find(bucket, id_)
        if key.revoked is None:
            ended = msgspec.structs.replace(key, revoked=keys.now())
            await bucket.swap(id_, msgspec.json.encode(ended), revision)

    _with_bucket(env, data, root, end)
    click.echo(f"revoked {id_}")


async def _find(bucket: Bucket, id_: str) -> tuple[ApiKey, int]:
    entry = await bucket.get(id_)
    if entry is None:
        # What was typed may be a whole key: it is not repeated.
        raise NotFound("there is no key of that id", hint="see `ssmd meta apikey list`")
    return msgspec.json.decode(entry.value, type=ApiKey), entry.revision


def _facts(key: ApiKey) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(key)
    del facts["sha256"]
    return {**facts, "state": key.state(keys.now())}


def _end(expires: str | None) -> datetime | None:
    if expires is None:
        return None
    span = _SPAN.fullmatch(expires)
    if span:
        return keys.now() + timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        day = date.fromisoformat(expires)
    except ValueError:
        raise ConfigError(
            f"{expires!r} is no time to expire at", hint="write it as 30d, 12h, 10m or 2027-01-31"
        ) from None
    end = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if end <= keys.now():
        raise ConfigError(f"{expires} is over", hint="choose a later day")
    return end


def _with_bucket(
    env: str, data: Path, root: Path | None, work: Callable[[Bucket], Awaitable[_T]]
) -> _T:
    async def run() -> _T:
        async with _open(env, data, root) as bucket:
            return await work(bucket)

    return asyncio.run(run())


@asynccontextmanager
async def _open(env: str, data: Path, root: Path | None) -> AsyncIterator[Bucket]:
    transport = load(env, root=root).env.transport
    async with bus.connect(transport, name="meta apikey", data=data) as connection:
        yield await connection.bucket(keys.bucket(env), replicas=transport.replicas)
