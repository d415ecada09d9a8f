"""``ssmd meta feed create``, ``update``, ``add-version`` and ``add-location``."""

from collections.abc import Callable, Collection
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import click

from ssmd.config import Feed, FeedVersion
from ssmd.config.check import Place
from ssmd.errors import ConfigError, Conflict, NotFound
from ssmd.meta.draft import Draft
from ssmd.meta.edit import creating, editing
from ssmd.meta.feed_cmd import STATUSES
from ssmd.meta.options import Date, Desk, command

F = TypeVar("F", bound=Callable[..., Any])
PROTOCOLS = {
    "websocket": {"transport": "wss", "message": "json"},
    "rest": {"transport": "https", "message": "json"},
    "multicast": {"transport": "multicast", "message": "json"},
}
SCHEMES = {"websocket": "wss", "rest": "https", "multicast": "udp"}
OF_VERSION = {
    "endpoint", "rest_endpoint", "auth_method", "rate_limit_per_second", "supports_orderbook",
    "supports_trades", "effective_from", "effective_to", "max_symbols_per_connection",
}  # fmt: skip


def _version_options(function: F) -> F:
    for option in (
        click.option(
            "--supports-trades/--no-supports-trades", default=None, help="Whether it has trades."
        ),
        click.option(
            "--supports-orderbook/--no-supports-orderbook", default=None,
            help="Whether it has order books.",
        ),
        click.option(
            "--rate-limit", "rate_limit_per_second", help="REST calls per second.",
            type=click.FloatRange(0, 1_000_000, min_open=True),
        ),
        click.option(
            "--auth-method", type=click.Choice(["api_key", "oauth", "mtls", "none"]),
            help="How the exchange knows us.",
        ),
        click.option("--rest-endpoint", help="URL of the REST API."),
        click.option("--endpoint", help="URL of the WebSocket (or of what the type says)."),
    ):  # fmt: skip
        function = option(function)
    return function


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as YAML holds them: whole numbers without a point."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in options.items()
        if value is not None
    }


@click.command()
@click.argument("name")
@click.option(
    "--type", "type_", required=True, type=click.Choice(list(PROTOCOLS)), help="Kind of feed."
)
@click.option("--display-name", help="Name for people.")
@click.option("--exchange", help="The venue's protocol.  [default: the feed's name]")
@click.option("--effective-from", type=Date(), help="First day of version v1.  [default: today]")
@_version_options
@command
def create(
    desk: Desk,
    name: str,
    type_: str,
    display_name: str | None,
    exchange: str | None,
    effective_from: date | None,
    **version: Any,
) -> None:
    """Add a feed, with its version v1, status active."""
    version["endpoint"] = version["endpoint"] or f"{SCHEMES[type_]}://{name}.example.com/api"
    start = effective_from or datetime.now(UTC).date()
    first = {"version": "v1", "effective_from": start, "protocol": PROTOCOLS[type_]}
    content = {
        "name": name,
        "display_name": display_name,
        "type": type_,
        "exchange": exchange,
        "status": "active",
        "versions": [{**first, **given(version)}],
    }
    file = creating(desk.root, "feeds", name, content)
    desk.created(file, content)


@click.command()
@click.argument("name")
@click.option("--version", help="The version to change.  [default: the latest]")
@click.option("--display-name", help="Name for people.")
@click.option("--exchange", help="The venue's protocol.")
@click.option("--status", type=STATUSES, help="Whether it is used.")
@click.option("--effective-from", type=Date(), help="First day of the version.")
@click.option("--effective-to", type=Date(), help="Last day of the version.")
@_version_options
@click.option("--clear", multiple=True, metavar="FIELD", help="Take this field out (repeatable).")
@command
def update(
    desk: Desk, name: str, version: str | None, clear: tuple[str, ...], **options: Any
) -> None:
    """Change fields of a feed, or of one of its versions.

    --clear takes a field out, so that its default holds: `--clear rate_limit_per_second`,
    `--clear display_name`, `--clear calendar.open_time`.
    """
    with editing(desk.root, "feeds", name) as edited:
        draft = edited.draft
        index = version_index(draft, version)
        for field, value in given(options).items():
            draft.put(_place(field, index), value)
        clear_fields(draft, [_place(field, index) for field in clear])
    desk.edited(edited)


def _place(field: str, index: int) -> Place:
    field = field.replace("-", "_")
    field = {"rate_limit": "rate_limit_per_second"}.get(field, field)
    first, *rest = field.split(".")
    known = set(FeedVersion.__struct_fields__) - {"version", "protocol"}
    if first in OF_VERSION or (first in known and first not in Feed.__struct_fields__):
        return ("versions", index, first, *rest)
    return (first, *rest)


def clear_fields(draft: Draft, places: list[Place]) -> None:
    """Raises NotFound for a field that is not set."""
    for place in places:
        if draft.get(place) is None and not _written_empty(draft, place):
            dotted = ".".join(str(step) for step in place)
            raise NotFound(f"{draft.file} sets no {dotted}", hint="nothing was changed")
        draft.drop(place)


def _written_empty(draft: Draft, place: Place) -> bool:
    above = draft.get(place[:-1])
    return isinstance(above, dict) and place[-1] in above


def version_index(draft: Draft, version: str | None) -> int:
    """Of the named version, else of the latest. Raises NotFound, ConfigError."""
    versions = draft.get(("versions",))
    if not isinstance(versions, list) or not all(isinstance(one, dict) for one in versions):
        raise ConfigError(f"{draft.file} has no versions", hint=f"correct {draft.file}")
    if not versions:
        raise ConfigError(f"{draft.file} has no versions", hint=f"correct {draft.file}")
    if version is None:
        return max(
            range(len(versions)), key=lambda index: str(versions[index].get("effective_from"))
        )
    names = [str(one.get("version")) for one in versions]
    if version not in names:
        raise NotFound(
            f"{draft.file} has no version {version!r}", hint=f"one of: {', '.join(names)}"
        )
    return names.index(version)


def next_version(names: Collection[str]) -> str:
    """``v{count + 1}``, or the next that is free."""
    number = len(names) + 1
    while f"v{number}" in names:
        number += 1
    return f"v{number}"


@click.command(name="add-version")
@click.argument("name")
@click.option("--effective-from", required=True, type=Date(), help="First day.")
@click.option("--effective-to", type=Date(), help="Last day.  [default: until the next version]")
@click.option("--version", help="Name of the version.  [default: v and the next number]")
@click.option("--copy-from", help="Version whose settings it takes.  [default: the latest]")
@_version_options
@command
def add_version(
    desk: Desk,
    name: str,
    effective_from: date,
    effective_to: date | None,
    version: str | None,
    copy_from: str | None,
    **options: Any,
) -> None:
    """A version that holds from a date on; settings that are not given are those of another.

    The version before ends where this one begins, unless it says an end itself. Versions may not
    overlap.
    """
    with editing(desk.root, "feeds", name) as edited:
        draft = edited.draft
        source = dict(draft.get(("versions", version_index(draft, copy_from))))
        source.pop("effective_to", None)
        names = [str(one.get("version")) for one in draft.get(("versions",))]
        new = {
            **source,
            "version": version or next_version(names),
            "effective_from": effective_from,
            **({"effective_to": effective_to} if effective_to else {}),
            **given(options),
        }
        draft.add(("versions",), new)
    desk.edited(edited)


@click.command(name="add-location")
@click.argument("name")
@click.option("--site", "--datacenter", "site", required=True, help="Name of the place.")
@click.option(
    "--type", "type_", required=True, type=click.Choice(["cloud", "colo", "on_prem"]),
    help="Kind of place.",
)  # fmt: skip
@click.option("--provider", help="Who runs it.")
@click.option("--region", help="Region of the provider.")
@click.option(
    "--clock", type=click.Choice(["ptp", "gps", "ntp", "local"]), help="What its clock follows."
)
@command
def add_location(desk: Desk, name: str, site: str, type_: str, **more: str | None) -> None:
    """A place where the feed is captured."""
    with editing(desk.root, "feeds", name) as edited:
        known = edited.draft.get(("capture_locations",)) or []
        if any(isinstance(one, dict) and one.get("site") == site for one in known):
            raise Conflict(
                f"feed {name} is captured at {site} already", hint="choose another --site"
            )
        location = {"site": site, "type": type_, **given(more)}
        edited.draft.add(("capture_locations",), location)
    desk.edited(edited)
