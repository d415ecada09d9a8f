"""``ssmd archive verify``, ``repair``, ``list`` and ``report``: on the folder alone."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from ssmd import show
from ssmd.dataset import Day
from ssmd.place import Place, places

F = TypeVar("F", bound=Callable[..., Any])


class _Date(click.ParamType[str]):
    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            self.fail(f"{value!r} is no date, such as 2026-11-23", param, ctx)
        return str(value)


def _common(command: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--date", "dates", multiple=True, type=_Date(), help="Only this UTC day (repeatable)."
        ),
        click.option("--feed", "feeds", multiple=True, help="Only this feed (repeatable)."),
        click.option(
            "--config", "root", type=click.Path(path_type=Path), help="Configuration folder."
        ),
        click.option("--env", help="Only this environment."),
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            help="Folder of the archive.  [default: data]",
        ),
    ):
        command = option(command)
    return command


def _places(
    context: click.Context,
    data: Path | None,
    env: str | None,
    root: Path | None,
    feeds: tuple[str, ...],
    dates: tuple[str, ...],
) -> list[Place]:
    """From the options of the command, else from those before its name."""
    above = context.obj
    return places(
        data or above["data"],
        env or above["env"],
        root or above["root"],
        feeds or above["feeds"],
        dates,
    )


@click.command()
@click.option("--deep", is_flag=True, help="Also decode each message and do the checks again.")
@_common
@click.pass_context
def verify(context: click.Context, /, deep: bool, as_json: bool, **where: Any) -> None:
    """Prove the archive: every byte, every message, each once.

    Segments against manifests (size, SHA-256, hash chain, counts, block index), messages against
    their numbers (stream sequence; connection and frame), holes against the gaps that name them.
    With --deep, the exchange's own checks against the gaps on record. Ends with status 1 and a line
    for each fault.
    """
    from ssmd.archive import verify as proof

    well = True
    for place in _places(context, **where):
        tell = (lambda _: None) if as_json else (lambda finding: show.line(str(finding), "red"))
        with show.progress(f"verify {place.env}", place.size) as progress:
            summary = proof.verify(
                place.folder, place.feeds, place.dates, deep=deep, tell=tell, progress=progress
            )
        well &= summary.ok
        if as_json:
            show.as_json({"env": place.env, **msgspec.to_builtins(summary)})
        else:
            _tell_summary(place.env, summary)
    if not well:
        context.exit(1)


def _tell_summary(env: str, summary: Any) -> None:
    seconds = max(summary.seconds, 1e-9)
    state = "verified" if summary.ok else f"{len(summary.findings)} faults"
    show.line(
        f"{env}: {state}: {summary.messages} messages in {summary.segments} segments of "
        f"{summary.days} days, {summary.bytes / 1e6:.1f} MB; {summary.gaps} gaps on record; "
        f"{summary.bytes / 1e6 / seconds:.0f} MB/s, {summary.messages / seconds:.0f} messages/s",
        "green" if summary.ok else "red",
    )
    if summary.quarantined:
        show.line(f"{env}: {summary.quarantined} files in quarantine", "yellow")
    if summary.checks:
        states = ("verified", "unverified", "broken")
        show.table(
            ("type", *states),
            [
                (type_, *(str(found.get(state, 0)) for state in states))
                for type_, found in sorted(summary.checks.items())
            ],
        )


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@_common
@click.pass_context
def repair(context: click.Context, /, dry_run: bool, as_json: bool, **where: Any) -> None:
    """Mend what can be mended; delete nothing.

    Damaged files are put aside under _quarantine, what is sound in them is kept in a new segment,
    manifests are made again from the segments, and what is missing is noted as a gap.
    """
    from ssmd.archive.repair import repair as mend

    for place in _places(context, **where):
        done = mend(place.folder, place.feeds, place.dates, dry_run=dry_run)
        if as_json:
            show.as_json({"env": place.env, "dry_run": dry_run, "done": msgspec.to_builtins(done)})
            continue
        for action in done:
            show.line(("would: " if dry_run else "") + str(action), "yellow")
        if not done:
            show.line(f"{place.env}: nothing to repair", "green")


@click.command(name="list")
@_common
@click.pass_context
def list_(context: click.Context, /, as_json: bool, **where: Any) -> None:
    """What is archived, by feed and day."""
    from ssmd.archive.listing import clock, note, rows

    for place in _places(context, **where):
        feeds = [place.folder / feed for feed in place.feeds]
        found = rows(place.days(), feeds, place.dates)
        if as_json:
            show.as_json({"env": place.env, "datasets": msgspec.to_builtins(found)})
            continue
        head = ("feed", "date", "segments", "messages", "MB", "first", "last", "gaps", "verified %")
        show.line(f"environment {place.env}")
        show.table(
            head,
            [
                (
                    one.feed, f"{one.date}{note(one)}",
                    str(one.segments) + (f"+{one.open_parts} open" if one.open_parts else ""),
                    str(one.messages), f"{one.mb:.3f}", clock(one.first), clock(one.last),
                    str(one.gaps), show.percent(one.verified_share),
                )
                for one in found
            ],
        )  # fmt: skip


@click.command()
@click.option("--all", "every", is_flag=True, help="Every closed day of every feed.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--memory",
    default="512MB",
    show_default=True,
    metavar="SIZE",
    help="How much to sort in memory; the rest is sorted on disk.",
)
@_common
@click.pass_context
def compact(
    context: click.Context, /, every: bool, dry_run: bool, memory: str, as_json: bool, **where: Any
) -> None:
    """Turn closed days into Parquet, which queries are quicker on.

    Choose with --feed and --date, or --all. A day that is compacted already is passed over, one
    whose segments have changed since is compacted anew. The segments stay as they are.
    """
    from ssmd.archive import compact as work

    if not (every or where["feeds"] or where["dates"] or context.obj["feeds"]):
        raise click.UsageError("Choose days with --feed and --date, or all with --all.")
    if not re.fullmatch(r"[1-9]\d{0,5}(MB|GB)", memory):
        raise click.BadParameter(f"{memory!r} is no size, such as 512MB", param_hint="--memory")
    well = True
    for place in _places(context, **where):
        days = [Day(folder) for folder in place.days()]
        with show.progress(f"compact {place.env}", place.size) as progress:
            if dry_run:
                done = [work.state(day) or work.to_do(day) for day in days]
            else:
                done = [work.compact(day, progress, memory=memory) for day in days]
        well &= all(one.state != "failed" for one in done)
        if as_json:
            show.as_json({"env": place.env, "dry_run": dry_run, "days": msgspec.to_builtins(done)})
        else:
            _tell_compacted(place.env, done)
    if not well:
        context.exit(1)


def _tell_compacted(env: str, done: list[Any]) -> None:
    show.line(f"environment {env}")
    show.table(
        ("feed", "date", "state", "messages", "records", "MB", "why"),
        [
            (
                one.feed, one.date, one.state, str(one.rows.get("messages", 0)),
                str(sum(one.rows.values()) - one.rows.get("messages", 0)),
                f"{one.bytes / 1e6:.3f}", one.why or "",
            )
            for one in done
        ],
    )  # fmt: skip


@click.command()
@_common
@click.pass_context
def report(context: click.Context, /, as_json: bool, **where: Any) -> None:
    """How good the data is, by feed and day: coverage, checks, gaps, ages, drift."""
    from ssmd import quality, quality_shown

    for place in _places(context, **where):
        with show.progress(f"report {place.env}", place.size) as progress:
            rows = quality.rows(place.days(), place.config, progress)
        if as_json:
            show.as_json({"env": place.env, "datasets": msgspec.to_builtins(rows)})
        else:
            quality_shown.tell(place.env, rows)
