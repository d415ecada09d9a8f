"""Every fault at every exchange: found, named in the data, repaired, and nothing else touched.

With ``SSMD_FAULT_RESULTS`` set to a file, each case adds a line to it: what found it, after how
long, and how long the repair took (``make reliability`` makes docs/reliability.md of them).
"""

import time
from pathlib import Path
from typing import NamedTuple

import pytest

from faults.capture import Capture, capturing
from faults.results import WHOLE, record
from ssmd.exchanges import EXCHANGES
from ssmd.sim.faults import FAULTS, Fault

DELTA = {
    "kalshi": "orderbook_delta",
    "polymarket": "price_change",
    "kraken": "book",
    "kraken_futures": "book",
}


class Case(NamedTuple):
    """What must come of a fault.

    ``found`` says by what, at each exchange it applies to: a ``_gap`` of one of these causes;
    ``counted`` (the message is kept, and counted under its type); ``nothing`` (the exchange gives
    no means to see it, or nothing is lost). ``touches``: books that may be doubted: the symbol's,
    those of its ``group`` (a sid), ``any`` on the connection, ``none``; or ``all``, with the
    connection. ``also`` is a second fault, without which the first does not show.
    """

    kind: str
    found: dict[str, tuple[str, ...]]
    touches: str = "symbol"
    value: str | None = None
    deltas: bool = True
    """Only changes of the book."""
    count: int = 1
    also: str | None = None
    short: bool = False
    """In the suite's short form."""


def at_all(*causes: str, **other: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {exchange: other.get(exchange, causes) for exchange in EXCHANGES}


SEQ = ("sequence",)
SUM = ("checksum", "crossed")
ORDER = {"kalshi": SEQ, "kraken": SUM, "kraken_futures": SEQ, "polymarket": ("nothing", "top")}
CASES = (
    Case("drop", {"kalshi": SEQ, "kraken": SUM, "kraken_futures": SEQ}, "group", short=True),
    Case("drop", {"polymarket": ("top",)}, count=30),
    Case("duplicate", at_all("nothing", kalshi=SEQ, kraken_futures=SEQ), "group"),
    Case("reorder", ORDER, "group", count=2),
    Case("delay", ORDER, "group", value="1"),
    Case("sequence", {"kalshi": SEQ, "kraken_futures": SEQ}, "group", value="7"),
    Case(
        "corrupt",
        at_all("crossed", kalshi=("negative",), kraken=SUM, polymarket=("top",)),
        short=True,
    ),
    Case("mute", at_all("mute"), deltas=False, short=True),
    Case("mute_all", at_all("disconnected"), "all", deltas=False),
    Case("error", {"kalshi": ("lost",)}, "group", value="25", short=True),
    Case("error", {"kalshi": ("lost",)}, "group", value="10"),
    Case("garbage", at_all("counted"), "none", value="text"),
    Case("garbage", at_all("counted"), "none", value="utf8", short=True),
    Case("garbage", at_all("counted"), "none", value="binary"),
    Case("huge", at_all("counted"), "none", value="3000000"),
    Case("schema", at_all("counted"), "none", value="add"),
    Case("schema", at_all("unreadable", kraken_futures=SEQ), "any", value="rename", short=True),
    Case("schema", at_all("counted", "nothing", *SUM, *SEQ, "top"), "any", value="type"),
    Case("close", at_all("disconnected"), "all", value="1001 going away", deltas=False),
    Case("close", at_all("disconnected"), "all", value="4000 mystery", deltas=False),
    Case("abort", at_all("disconnected"), "all", deltas=False, short=True),
    Case("half_open", at_all("disconnected"), "all", deltas=False, short=True),
    Case("handshake", at_all("disconnected"), "all", value="401", deltas=False, also="abort"),
    Case("handshake", at_all("disconnected"), "all", value="429/1", deltas=False, also="abort"),
    Case("slow", at_all("nothing"), "none", value="1", deltas=False),
    Case("clock", at_all("negative ages"), "none", value="3600", deltas=False),
)
STRANGE = {"_unknown", "_text", "_binary", "mystery"}
PAIRS = [
    pytest.param(case, exchange, id=f"{case.kind}-{case.value or ''}-{exchange}")
    for case in CASES
    for exchange in case.found
    if WHOLE or case.short
]


@pytest.mark.parametrize(("case", "exchange"), PAIRS)
async def test_fault(
    case: Case, exchange: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssmd.connect.connection.SILENT_AFTER_S", 3.0)
    monkeypatch.setattr("ssmd.connect.retry.REFUSED_RETRY_S", 0.5)
    async with capturing(exchange, tmp_path, stale_after_s=2.0) as capture:
        symbol = sorted(capture.feed.connections[0].commands.books)[0]
        began = time.monotonic()
        fired = [capture.sim.inject(fault).fired for fault in faults_of(case, exchange, symbol)]
        await capture.until(lambda: all(event.is_set() for event in fired), "the fault acts")
        found = await _found(capture, case.found[exchange])
        found_s = time.monotonic() - began
        await capture.well()
        await capture.more(100)
        repaired_s = time.monotonic() - began
        await _assert_touched(capture, case, symbol)
        record(case.kind, case.value, exchange, case.touches, found, found_s, repaired_s)


def faults_of(case: Case, exchange: str, symbol: str) -> list[Fault]:
    """The fault itself goes first: it must lie in wait for the other."""
    found = []
    for kind in filter(None, (case.kind, case.also)):
        of_symbol = FAULTS[kind].stage == "frame"
        found.append(
            Fault(
                kind=kind,
                exchange=exchange,
                symbol=symbol if of_symbol else None,
                type=DELTA[exchange] if case.deltas and of_symbol else None,
                value=case.value if kind == case.kind else None,
                count=case.count if kind == case.kind else 1,
            )
        )
    return found


async def _found(capture: Capture, causes: tuple[str, ...]) -> str:
    """What found it."""
    assert capture.feed.channel is not None
    stats = capture.feed.channel.stats
    if "negative ages" in causes:
        await capture.until(lambda: stats.ages.negative, "ages below zero")
        return "negative ages"
    if not {"counted", "nothing"}.isdisjoint(causes):
        await capture.more(200)
        if not stats.gaps:
            strange = sorted(set(stats.by_type) & STRANGE)
            kept = f"kept as {', '.join(strange) or 'its type'}"
            return kept if "counted" in causes else "nothing"
    await capture.until(lambda: stats.gaps, f"a gap of {causes}")
    (first, *_) = await capture.notes("_gap")
    assert first["cause"] in causes
    return str(first["cause"])


async def _assert_touched(capture: Capture, case: Case, symbol: str) -> None:
    """Only these books were doubted, each gap was closed, and no healthy connection was."""
    doubted = {facts["sym"] for facts in await capture.notes("_book") if facts["state"] == "stale"}
    # Both outcomes of a Polymarket market are in one message.
    near = {symbol, symbol[:-1] + "1"} if capture.exchange == "polymarket" else {symbol}
    if case.touches == "none":
        assert not doubted
    elif case.touches == "symbol" or (case.touches == "group" and capture.exchange != "kalshi"):
        assert doubted <= near
    gaps = {facts["id"] for facts in await capture.notes("_gap")}
    # What is late can open one more: with its trades back, a muted market shows those it lost.
    await capture.well()
    closed = {facts["id"] for facts in await capture.notes("_gap_closed")}
    assert gaps <= closed
    if case.touches != "all":
        assert capture.floor.connections == 1
