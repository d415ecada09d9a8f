"""``ssmd meta feed list`` and ``show``."""

from datetime import date
from typing import Any

import click

from ssmd import show
from ssmd.config import Environment, Feed, FeedVersion, read
from ssmd.errors import NotFound
from ssmd.meta.options import Date, Desk, command, facts, pairs
from ssmd.meta.readable import readable
from ssmd.meta.validation import feed_names

STATUSES = click.Choice(["active", "deprecated", "disabled"])


@click.command(name="list")
@click.option("--status", type=STATUSES, help="Only feeds of this status.")
@command
def list_(desk: Desk, status: str | None) -> None:
    """All feeds: name, type, status, versions; with -v also exchange and environments."""
    feeds, unreadable = readable(desk.root, "feeds", Feed)
    feeds = [feed for feed in feeds if status in (None, feed.status)]
    head = ["NAME", "TYPE", "STATUS", "VERSIONS"] + ["EXCHANGE", "ENVIRONMENTS"] * desk.verbose
    rows = []
    for feed in feeds:
        row = [feed.name, feed.type, feed.status, str(len(feed.versions))]
        more = [feed.exchange or feed.name, ", ".join(users(desk, feed.name)) or "–"]
        rows.append(row + more * desk.verbose)
    desk.rows(head, rows, [facts(feed) for feed in feeds])
    unreadable.tell()


@click.command(name="show")
@click.argument("name")
@click.option("--version", help="This version.  [default: the latest]")
@click.option("--as-of", type=Date(), help="The version in force on this day.")
@command
def show_(desk: Desk, name: str, version: str | None, as_of: date | None) -> None:
    """One feed, and one of its versions: the latest, unless a version or a day is given."""
    if version and as_of:
        raise click.UsageError("--version and --as-of exclude each other.")
    feed = read(desk.root, "feeds", name, Feed)
    chosen = feed.version_on(as_of) if as_of else _chosen(feed, version)
    if desk.json:
        content = {**facts(feed), "version": facts(chosen)}
        show.as_json({**content, "environments": users(desk, name)})
        return
    pairs(_rows(desk, feed, chosen))


def _chosen(feed: Feed, version: str | None) -> FeedVersion:
    if version is None:
        return max(feed.versions, key=lambda one: one.effective_from)
    for one in feed.versions:
        if one.version == version:
            return one
    known = ", ".join(one.version for one in feed.versions)
    raise NotFound(f"feed {feed.name} has no version {version!r}", hint=f"one of: {known}")


def _rows(desk: Desk, feed: Feed, version: FeedVersion) -> list[tuple[str, Any]]:
    ends = f" to {version.effective_to}" if version.effective_to else ""
    of = f" (of {', '.join(v.version for v in feed.versions)})" if len(feed.versions) > 1 else ""
    calendar, protocol = feed.calendar, version.protocol
    hours = f", {calendar.open_time}–{calendar.close_time}" if calendar.open_time else ""
    return [
        ("Name", feed.name),
        ("Display name", feed.display_name),
        ("Type", feed.type),
        ("Status", feed.status),
        ("Exchange", feed.exchange),
        ("Environments", ", ".join(users(desk, feed.name))),
        ("Version", f"{version.version}, from {version.effective_from}{ends}{of}"),
        ("Protocol", f"{protocol.transport}/{protocol.message}"),
        ("Endpoint", version.endpoint),
        ("REST endpoint", version.rest_endpoint),
        ("Auth method", version.auth_method),
        ("Rate limit", version.rate_limit_per_second and f"{version.rate_limit_per_second:g}/s"),
        ("Order book", "yes" if version.supports_orderbook else "no"),
        ("Trades", "yes" if version.supports_trades else "no"),
        ("Calendar", f"{calendar.timezone}, {calendar.holiday_calendar}{hours}"),
        ("Holidays", ", ".join(map(str, calendar.holidays))),
        ("Locations", "; ".join(_location(one) for one in feed.capture_locations)),
    ]


def _location(location: Any) -> str:
    more = (location.type, location.provider, location.region, location.clock)
    return f"{location.site} ({', '.join(part for part in more if part)})"


def users(desk: Desk, feed: str) -> list[str]:
    """The environments that name a feed; those that cannot be read are for ``validate``."""
    environments, _ = readable(desk.root, "environments", Environment)
    return [one.name for one in environments if feed in feed_names(one)]
