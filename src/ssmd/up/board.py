"""What a person sees: the live dashboard, plain lines, and the summary at the end."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

COLOURS = {
    "live": "green",
    "connecting": "yellow",
    "starting": "yellow",
    "backoff": "red",
    "refused": "bold red",
    "left out": "dim",
}


class Row(Struct, frozen=True):
    """One feed, as both roles see it."""

    feed: str
    state: str
    detail: str | None
    rate: float
    messages: int
    age_p50: float | None
    age_p99: float | None
    unacked: int
    lag: int
    gaps: int
    verified: float | None
    """Per cent of the market data messages that a check has verified."""
    archived: int
    segments: int
    archived_bytes: int
    archive_state: str


class Places(Struct, frozen=True):
    """Where things are."""

    env: str
    data: str
    api: str
    nats: str


def rows(
    connect: Mapping[str, Any], archive: Mapping[str, Any], rates: Mapping[str, float]
) -> list[Row]:
    """Both roles' ``/status`` -> a row for each feed."""
    archived = archive.get("feeds", {})
    return [
        _row(name, feed, archived.get(name, {}), rates.get(name, 0.0))
        for name, feed in connect.get("feeds", {}).items()
    ]


def _row(name: str, feed: Mapping[str, Any], kept: Mapping[str, Any], rate: float) -> Row:
    checked = feed.get("verified", 0) + feed.get("unverified", 0) + feed.get("broken", 0)
    return Row(
        feed=name,
        state=feed.get("state", "starting"),
        detail=feed.get("detail") or kept.get("detail"),
        rate=rate,
        messages=feed.get("messages", 0),
        age_p50=feed.get("age_ms_p50"),
        age_p99=feed.get("age_ms_p99"),
        unacked=feed.get("unacked", 0),
        lag=kept.get("lag", 0),
        gaps=feed.get("gaps", 0) + kept.get("gaps", 0),
        verified=100 * feed.get("verified", 0) / checked if checked else None,
        archived=kept.get("messages", 0),
        segments=kept.get("segments", 0),
        archived_bytes=kept.get("bytes", 0),
        archive_state=kept.get("state", "starting"),
    )


def dashboard(
    feeds: list[Row], places: Places, elapsed_s: float, restarts: Mapping[str, int]
) -> RenderableType:
    """The live view."""
    table = Table(expand=True, box=None, header_style="bold", pad_edge=False)
    table.add_column("feed", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for column in ("msg/s", "total", "age p50", "age p99", "unacked", "lag", "gaps", "verified"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in feeds:
        table.add_row(
            row.feed,
            Text(row.state, COLOURS.get(row.state, "yellow")),
            f"{row.rate:,.0f}",
            f"{row.messages:,}",
            _ms(row.age_p50),
            _ms(row.age_p99),
            f"{row.unacked:,}",
            f"{row.lag:,}",
            Text(f"{row.gaps:,}", "red" if row.gaps else "green"),
            _percent(row.verified),
        )
    parts: list[RenderableType] = [table]
    parts += [Text(f"{row.feed}: {row.detail}", "yellow") for row in feeds if row.detail]
    if not feeds:
        parts.append(Text("starting ...", "yellow"))
    again = ", ".join(f"{name} {count}x" for name, count in restarts.items() if count)
    if again:
        parts.append(Text(f"started again: {again}", "yellow"))
    where = Table.grid(padding=(0, 2))
    where.add_row("data", places.data)
    where.add_row("API", places.api)
    where.add_row("NATS", places.nats)
    parts += [Text(), where]
    title = f"ssmd · {places.env} · {_clock(elapsed_s)}"
    return Panel(Group(*parts), title=title, subtitle="Ctrl-C stops", border_style="dim")


def plain(row: Row) -> str:
    """One feed on one line."""
    detail = f" ({row.detail})" if row.detail else ""
    return (
        f"{row.feed}: {row.state}{detail}, {row.rate:,.0f} msg/s, total {row.messages:,}, "
        f"age p50 {_ms(row.age_p50)} p99 {_ms(row.age_p99)}, unacked {row.unacked:,}, "
        f"archive lag {row.lag:,}, gaps {row.gaps:,}, verified {_percent(row.verified)}"
    )


def summary(feeds: list[Row]) -> RenderableType:
    """The totals at the end."""
    table = Table(title="Captured and archived", title_justify="left", header_style="bold")
    table.add_column("feed")
    for column in ("messages", "archived", "segments", "MiB", "gaps", "verified"):
        table.add_column(column, justify="right")
    for row in feeds:
        table.add_row(
            row.feed,
            f"{row.messages:,}",
            f"{row.archived:,}",
            f"{row.segments:,}",
            f"{row.archived_bytes / 1_048_576:,.1f}",
            f"{row.gaps:,}",
            _percent(row.verified),
        )
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
