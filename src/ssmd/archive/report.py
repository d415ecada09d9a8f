"""``ssmd archive report``: how good the data of each feed and day is."""

from collections.abc import Callable, Iterator

from ssmd import show
from ssmd.place import Place
from ssmd.quality import Row, rows


def report(place: Place, progress: Callable[[int], None]) -> list[Row]:
    """Rows by feed and day; what a day has of new fields is against the first segment read."""
    return rows(place.days(), place.config, progress)


def tell(env: str, rows: list[Row]) -> None:
    """For a person."""
    show.line(f"environment {env}")
    head = (
        "feed", "date", "state", "messages", "coverage %", "verified %", "clean %",
        "duplicates", "age ms p50", "p99", "negative",
    )  # fmt: skip
    show.table(
        head,
        [
            (
                row.feed, row.date, row.state, str(row.messages), show.percent(row.coverage),
                show.percent(row.verified_share), show.percent(row.clean_share),
                str(row.duplicates), show.number(row.age_ms_p50), show.number(row.age_ms_p99),
                str(row.negative_ages),
            )
            for row in rows
        ],
    )  # fmt: skip
    for row in rows:
        for what in _remarks(row):
            show.line(f"{row.feed} {row.date}: {what}")


def _remarks(row: Row) -> Iterator[str]:
    if row.broken or row.unverified:
        yield (
            f"{row.verified} messages verified, {row.unverified} unverified, {row.broken} broken"
        )
    if row.gaps:
        yield "gaps: " + ", ".join(f"{cause} {count}" for cause, count in row.gaps.items())
    if row.quiet_minutes:
        yield f"{row.quiet_minutes} minutes quiet: connected, no market data"
    if row.missing_minutes:
        yield f"{row.missing_minutes} minutes missing: not connected"
    if row.unknown_types:
        found = ", ".join(f"{kind} {count}" for kind, count in sorted(row.unknown_types.items()))
        yield f"types that are not documented: {found}"
    for kind, names in sorted(row.new_fields.items()):
        yield f"new fields of {kind}: {', '.join(names)}"
    for name in row.damaged:
        yield f"{name} is damaged: see `ssmd archive verify`"
