"""What a person sees: the live dashboard, plain lines, and the summary at the end."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

COLOURS = {
    "live": "green",
    "connecting": "yellow",
    "starting": "yellow",
    "backoff": "red",
    "disconnected": "red",
    "refused": "bold red",
    "left out": "dim",
    "closed": "dim",
}
TROUBLE = frozenset({"disk_full", "write_error"})
BARS = " ▁▂▃▄▅▆▇█"
WIDE = 108
"""From this width on there is room for air and curves."""
COUNTED = ("messages", "gaps", "verified", "unverified", "broken")

Statuses = Sequence[Mapping[str, Any]]
"""What a role's processes answered to ``/status`` last, the running one at the end."""


class Row(Struct, frozen=True, kw_only=True):
    """One feed, as both roles see it. Counts are of the whole run, over restarts."""

    feed: str
    state: str
    detail: str | None
    rate: float
    curve: Sequence[float] = ()
    """The rates before, oldest first."""
    messages: int
    age_p50: float | None
    age_p99: float | None
    unacked: int
    lag: int | None
    gaps: int
    verified: float | None
    """Per cent of the checked messages that proved to be whole and in order."""


class Process(Struct, frozen=True):
    """One role, or the NATS server. No pid: it is not running."""

    name: str
    pid: int | None
    restarts: int


class Kept(Struct, frozen=True, kw_only=True):
    """What the manifests of one feed name: the exchange's messages and compressed bytes."""

    messages: int = 0
    segments: int = 0
    bytes: int = 0


class Places(Struct, frozen=True):
    """Where things are."""

    env: str
    data: str
    api: str
    nats: str


class Scene(Struct, frozen=True, kw_only=True):
    """All that one picture of the dashboard shows."""

    places: Places
    rows: Sequence[Row]
    processes: Sequence[Process]
    events: Sequence[str]
    """What went wrong lately, oldest first."""
    elapsed_s: float
    left_s: float | None = None
    stopping: str | None = None
    """What is being stopped."""


def row(feed: str, connect: Statuses, archive: Statuses, rates: Sequence[float]) -> Row:
    """One feed out of both roles' statuses; ``rates`` in messages/s, the last one now's."""
    answers = [status["feeds"][feed] for status in connect if feed in status.get("feeds", {})]
    last = answers[-1] if answers else {}
    kept = archive[-1].get("feeds", {}).get(feed, {}) if archive else {}
    total = {name: sum(answer.get(name, 0) for answer in answers) for name in COUNTED}
    checked = total["verified"] + total["unverified"] + total["broken"]
    state = last.get("state", "starting")
    if kept.get("state") in TROUBLE:
        state = kept["state"].replace("_", " ")
    return Row(
        feed=feed,
        state=state,
        detail=last.get("detail") or kept.get("detail"),
        rate=rates[-1] if rates else 0.0,
        curve=rates,
        messages=total["messages"],
        age_p50=last.get("age_ms_p50"),
        age_p99=last.get("age_ms_p99"),
        unacked=last.get("unacked", 0),
        lag=kept.get("lag"),
        gaps=total["gaps"] + kept.get("gaps", 0),
        verified=100 * total["verified"] / checked if checked else None,
    )


def dashboard(scene: Scene, width: int) -> RenderableType:
    """The live view, for a terminal of that many columns."""
    parts: list[RenderableType] = [_feeds(scene.rows, wide=width >= WIDE)]
    told = [row for row in scene.rows if row.detail]
    if told:
        parts.append(Text())
    parts += [
        Text(f"{row.feed}: {row.detail}", "yellow", overflow="ellipsis", no_wrap=True)
        for row in told
    ]
    parts += [Padding(Rule(style="dim"), (1, 0, 0, 0)), _where(scene), Text()]
    parts.append(_processes(scene.processes))
    parts += [Text(event, "yellow", overflow="ellipsis", no_wrap=True) for event in scene.events]
    clock = _clock(scene.elapsed_s)
    if scene.left_s is not None:
        clock += f" of {_clock(scene.elapsed_s + scene.left_s)}"
    below = f"stopping {scene.stopping} …" if scene.stopping else "Ctrl-C stops"
    return Panel(
        Group(*parts),
        title=f"[bold]ssmd[/] · {scene.places.env} · {clock}",
        title_align="left",
        subtitle=below,
        subtitle_align="right",
        border_style="yellow" if scene.stopping else "cyan",
        box=box.ROUNDED,
        padding=(1, 2),
    )


def _feeds(rows: Sequence[Row], *, wide: bool) -> Table:
    space = (0, 1) if wide else (0, 1, 0, 0)
    table = Table(expand=True, box=None, header_style="dim", pad_edge=False, padding=space)
    table.add_column(
        "feed", no_wrap=True, min_width=max((len(row.feed) for row in rows), default=4)
    )
    table.add_column("state", no_wrap=True)
    if wide:
        table.add_column("last 30 s", no_wrap=True)
    for column in ("msg/s", "total", "age ms\np50/p99", "unacked", "lag", "gaps", "verified"):
        table.add_column(column, justify="right", no_wrap=True, vertical="bottom")
    for row in rows:
        colour = COLOURS.get(row.state, "red")
        table.add_row(
            Text(row.feed, "bold"),
            Text(f"● {row.state}" if wide else row.state, colour),
            *([Text(_curve(row.curve), "cyan")] if wide else []),
            f"{row.rate:,.0f}",
            f"{row.messages:,}",
            f"{_number(row.age_p50)}/{_number(row.age_p99)}",
            f"{row.unacked:,}",
            "-" if row.lag is None else f"{row.lag:,}",
            Text(f"{row.gaps:,}", "red" if row.gaps else "green"),
            _percent(row.verified),
        )
    return table


def _where(scene: Scene) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    for name, place in (
        ("data", scene.places.data),
        ("API", f"{scene.places.api}/datasets"),
        ("NATS", scene.places.nats),
    ):
        table.add_row(name, Text(place, overflow="fold"))
    return table


def _processes(processes: Sequence[Process]) -> Text:
    text = Text()
    for process in processes:
        text.append("● ", "green" if process.pid else "red")
        text.append(process.name)
        text.append(f" {process.pid or 'down'}", "dim")
        if process.restarts:
            text.append(f" restarted {process.restarts}x", "yellow")
        text.append("   ")
    return text


def _curve(rates: Sequence[float], length: int = 30) -> str:
    rates = list(rates)[-length:]
    top = max(rates, default=0.0) or 1.0
    steps = len(BARS) - 1
    return "".join(BARS[min(steps, round(rate / top * steps))] for rate in rates).rjust(length)


def plain(row: Row) -> str:
    """One feed on one line."""
    detail = f" ({row.detail})" if row.detail else ""
    lag = "-" if row.lag is None else f"{row.lag:,}"
    return (
        f"{row.feed}: {row.state}{detail}, {row.rate:,.0f} msg/s, total {row.messages:,}, "
        f"age p50/p99 {_number(row.age_p50)}/{_number(row.age_p99)} ms, unacked {row.unacked:,}, "
        f"archive lag {lag}, gaps {row.gaps:,}, verified {_percent(row.verified)}"
    )


def summary(rows: Sequence[Row], run: Mapping[str, Kept], whole: Mapping[str, Kept]) -> Table:
    """The totals at the end: of this run, and of the whole archive."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("feed", no_wrap=True)
    for column in ("captured", "archived", "gaps", "verified", "in all", "segments", "MB"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        kept, all_kept = run[row.feed], whole[row.feed]
        table.add_row(
            row.feed,
            f"{row.messages:,}",
            Text(f"{kept.messages:,}", "green" if kept.messages >= row.messages else "yellow"),
            Text(f"{row.gaps:,}", "red" if row.gaps else "green"),
            _percent(row.verified),
            f"{all_kept.messages:,}",
            f"{all_kept.segments:,}",
            f"{all_kept.bytes / 1e6:,.2f}",
        )
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
