"""Options that several commands share, and what they mean."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct

from ssmd.exchanges.times import rfc3339_ns
from ssmd.instruments.change import Held

NS: dict[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
NS_PER_S = 1_000_000_000
Command = TypeVar("Command", bound=Callable[..., Any])


class Moment(click.ParamType[int]):
    """A date (its beginning, UTC) or an RFC 3339 time: ns UTC."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        try:
            day = date.fromisoformat(value)
            at = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return int(at.timestamp()) * NS_PER_S
        except ValueError:
            found = rfc3339_ns(value)
        if found is None:
            self.fail(f"{value!r} is no time; write it as 2026-11-23 or 2026-11-23T10:00:00Z")
        return found


class Span(click.ParamType[int]):
    """``90``, ``30m``, ``1d``: ns."""

    name = "span"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        digits, unit = (value, "s") if value.isdecimal() else (value[:-1], value[-1:])
        if not (digits.isdecimal() and digits.isascii() and unit in NS and len(digits) < 9):
            self.fail(f"{value!r} is no span of time; write it as 30m, 6h, 1d or 2w")
        return int(digits) * NS[unit] * NS_PER_S


class Where(Struct, frozen=True):
    """Which environment, and where it lies on this machine."""

    env: str
    feeds: tuple[str, ...]
    config: Path | None
    data: Path


class Filter(Struct, frozen=True):
    """Which records."""

    category: str | None = None
    status: str | None = None
    group: str | None = None
    expiring_ns: int | None = None

    def wants(self, held: Held, now_ns: int) -> bool:
        one = held.instrument
        if self.category is not None and not _same(self.category, one.category):
            return False
        if self.status is not None and not self._has_status(held):
            return False
        links = (one.group, one.links.event, one.links.series, one.links.condition)
        if self.group is not None and not any(_same(self.group, link) for link in links):
            return False
        if self.expiring_ns is None:
            return True
        ends = one.close_ns if one.close_ns is not None else one.expire_ns
        return ends is not None and now_ns < ends <= now_ns + self.expiring_ns

    def _has_status(self, held: Held) -> bool:
        """``active`` is ours where the exchange has no such word."""
        one = held.instrument
        return _same(self.status, one.status) or (_same(self.status, "active") and one.active)


def _same(wanted: str | None, value: str | None) -> bool:
    return wanted is not None and value is not None and wanted.casefold() == value.casefold()


def now_or(at_ns: int | None) -> int:
    return time.time_ns() if at_ns is None else at_ns


def where(command: Command) -> Command:
    """``--env --feed --config --data``."""
    for option in (
        click.option(
            "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
            help="Folder of the archive and of the embedded NATS server.",
        ),
        click.option("--config", type=click.Path(path_type=Path), help="Configuration folder."),
        click.option("--feed", "feeds", multiple=True, help="Only this feed (may be given again)."),
        click.option("--env", required=True, help="Environment: a file in config/environments."),
    ):  # fmt: skip
        command = option(command)
    return command


def chosen(command: Command) -> Command:
    """``--category --status --group --expiring-within --as-of``."""
    for option in (
        as_of,
        click.option(
            "--expiring-within", "expiring_ns", type=Span(), metavar="SPAN",
            help="Only those whose trading ends within this span of time (30m, 6h, 1d, 2w).",
        ),
        click.option("--group", help="Only those of this event, series or condition."),
        click.option("--status", help="Only of this status (the exchange's word, or active)."),
        click.option("--category", help="Only of this category."),
    ):  # fmt: skip
        command = option(command)
    return command


as_of = click.option(
    "--as-of", "at_ns", type=Moment(), metavar="TIME",
    help="What was known then: a date or an RFC 3339 time.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
