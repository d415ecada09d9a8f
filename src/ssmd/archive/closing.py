"""What a trading day leaves behind: its proof and its quality report, beside the manifests."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ssmd import quality
from ssmd.archive import claims
from ssmd.archive import verify as proof
from ssmd.archive.finding import Summary
from ssmd.calendar import TradingDay, utc_dates
from ssmd.config import Environment
from ssmd.day import Day
from ssmd.store import segment
from ssmd.store.tally import rfc3339

Progress = Callable[[int], None]


class Closing(Struct, frozen=True):
    """``error`` is what keeps the day from being COMPLETE."""

    error: str | None
    stats: dict[str, Any]


def close(
    root: Path, env: Environment, day: Day, trading: TradingDay, progress: Progress
) -> Closing:
    """Prove what is archived of the day and write its report; again, it does the same again.

    Both are about the whole UTC days that the day touches, by which the archive is kept. Blocks;
    ``progress`` may raise to end it. Raises StorageError, OSError.
    """
    folder = root / env.name
    dates = tuple(d for d in _dates(day, trading) if (folder / day.feed / d).is_dir())
    summary = proof.verify(
        folder, (day.feed,), dates or ("none",), deep=False, tell=lambda _: None, progress=progress
    )
    rows = quality.rows([folder / day.feed / date for date in dates], env, progress)
    stats: dict[str, Any] = {
        "messages": sum(row.messages for row in rows),
        "segments": summary.segments,
        "verified": sum(row.verified for row in rows),
        "unverified": sum(row.unverified for row in rows),
        "broken": sum(row.broken for row in rows),
        "gaps": summary.gaps,
        "findings": len(summary.findings),
    }
    if dates:
        path = folder / day.feed / dates[0] / f"{claims.DAY}{day.date}.json"
        _write(path, _content(env, day, trading, stats, summary, rows))
        stats["report"] = str(path.relative_to(root))
    error = None
    if summary.findings:
        error = f"{len(summary.findings)} faults in the archive, first: {summary.findings[0]}"
    return Closing(error, stats)


def _dates(day: Day, trading: TradingDay) -> list[str]:
    """From when it was started to when it was ended, though the clock was looked at late."""
    first, last = day.first("STARTING"), day.first("ENDING")
    assert first is not None
    assert last is not None
    until_ns = last.at_ns
    if first.at_ns < trading.end_ns < until_ns:
        until_ns = trading.end_ns
    return utc_dates(first.at_ns, until_ns)


def _content(
    env: Environment,
    day: Day,
    trading: TradingDay,
    stats: dict[str, Any],
    summary: Summary,
    rows: list[quality.Row],
) -> dict[str, Any]:
    opened, closed = day.first("STARTING"), day.first("ENDING")
    return {
        "env": env.name,
        "feed": day.feed,
        "date": day.date,
        "start": rfc3339(trading.start_ns),
        "end": rfc3339(trading.end_ns),
        "sessions": [[rfc3339(ns) for ns in span] for span in trading.sessions],
        "pauses": [[rfc3339(ns) for ns in span] for span in trading.pauses],
        "holiday": trading.holiday,
        "opened": day.body(opened) if opened else None,
        "closed": day.body(closed) if closed else None,
        "totals": stats,
        "verify": msgspec.to_builtins(summary),
        "datasets": msgspec.to_builtins(rows),
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    """Durable when it returns; a crash leaves the old one or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content), indent=1))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    segment.fsync_folder(path.parent)
