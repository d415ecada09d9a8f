"""Every fault at every exchange: found, named in the data, repaired, and nothing else touched.

With ``SSMD_FAULT_RESULTS`` set to a file, each case adds a line to it: what found it, after how
long, and how long the repair took (``make reliability`` makes docs/reliability.md of them).
"""

import json
import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from faults.capture import Capture, capturing
from ssmd.exchanges import EXCHANGES
from ssmd.sim.faults import FAULTS, Fault

ALL = tuple(EXCHANGES)
DELTA = {
    "kalshi": "orderbook_delta",
    "polymarket": "price_change",
    "kraken": "book",
    "kraken_futures": "book",
}


class Case(NamedTuple):
    """What must come of a fault.

    ``found`` says by what: a ``_gap`` of one of these causes, ``counted`` (the message is kept and
    counted), ``nothing`` (the exchange gives no means to see it, which is said and not hidden).
    ``touches``: books that may be doubted: those of the ``symbol``, of ``all``, or ``none``.
    """

    kind: str
    found: dict[str, tuple[str, ...]]
    touches: str = "symbol"
    value: str | None = None
    type: bool = True
    """Only the book's changes."""


def everywhere(*causes: str, **other: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {exchange: other.get(exchange, causes) for exchange in ALL}


SEQ = ("sequence",)
STRANGE = {"_unknown", "_text", "_binary"}
CASES = (
    Case(
        "drop", {"kalshi": SEQ, "kraken": ("checksum", "crossed"), "kraken_futures": SEQ}, "group"
    ),
    Case(
        "duplicate",
        {"kalshi": SEQ, "kraken": ("nothing",), "kraken_futures": SEQ, "polymarket": ("nothing",)},
        "group",
    ),
    Case("sequence", {"kalshi": SEQ, "kraken_futures": SEQ}, "group", value="7"),
    Case(
        "corrupt",
        {"kalshi": ("negative",), "kraken": ("checksum",), "polymarket": ("top",)},
    ),
    Case("mute", everywhere("mute"), type=False),
    Case("mute_all", everywhere("disconnected"), "all", type=False),
    Case("error", {"kalshi": ("lost",)}, "group", value="25"),
    Case("error", {"kalshi": ("lost",)}, "group", value="10"),
    Case("garbage", everywhere("counted"), "none", value="text"),
    Case("garbage", everywhere("counted"), "none", value="utf8"),
    Case("garbage", everywhere("counted"), "none", value="binary"),
    Case("huge", everywhere("counted"), "none", value="3000000"),
    Case("schema", everywhere("counted"), "none", value="add"),
    Case("close", everywhere("disconnected"), "all", value="1001 going away", type=False),
    Case("close", everywhere("disconnected"), "all", value="4000 mystery", type=False),
    Case("abort", everywhere("disconnected"), "all", type=False),
    Case("half_open", everywhere("disconnected"), "all", type=False),
    Case("slow", everywhere("nothing"), "none", value="1", type=False),
    Case("clock", everywhere("nothing"), "none", value="-3600", type=False),
)
PAIRS = [
    pytest.param(
        case, exchange, id=f"{case.kind}{'-' + case.value if case.value else ''}-{exchange}"
    )
    for case in CASES
    for exchange in case.found
]


def record(case: Case, exchange: str, found: str, found_s: float, repaired_s: float) -> None:
    path = os.environ.get("SSMD_FAULT_RESULTS")
    if path:
        row = {
            "fault": case.kind, "value": case.value, "exchange": exchange, "found": found,
            "found_s": round(found_s, 3), "repaired_s": round(repaired_s, 3),
            "touches": case.touches,
        }  # fmt: skip
        with Path(path).open("a") as file:
            file.write(json.dumps(row) + "\n")


@pytest.mark.parametrize(("case", "exchange"), PAIRS)
async def test_fault(
    case: Case, exchange: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssmd.connect.connection.SILENT_AFTER_S", 3.0)
    async with capturing(exchange, tmp_path, stale_after_s=2.0) as capture:
        symbol = sorted(capture.feed.connections[0].commands.books)[0]
        began = time.monotonic()
        fault = Fault(
            kind=case.kind,
            exchange=exchange,
            symbol=symbol
            if FAULTS[case.kind].stage == "frame" and case.kind != "mute_all"
            else None,
            type=DELTA[exchange] if case.type else None,
            value=case.value,
        )
        active = capture.sim.inject(fault)
        await capture.until(active.fired.is_set, "the fault acts")
        found = await _found(capture, case.found[exchange])
        found_s = time.monotonic() - began
        await capture.well()
        await capture.more(100)
        repaired_s = time.monotonic() - began
        await _assert_touched(capture, case, symbol)
        record(case, exchange, found, found_s, repaired_s)


async def _found(capture: Capture, causes: tuple[str, ...]) -> str:
    """What found it."""
    assert capture.feed.channel is not None
    stats = capture.feed.channel.stats
    if causes == ("nothing",):
        await capture.more(200)
        return "nothing"
    if causes == ("counted",):
        known = set(stats.by_type)
        await capture.more(50)
        return f"kept as {', '.join(sorted(known & STRANGE)) or 'its type'}"
    await capture.until(lambda: stats.gaps, f"a gap of {causes}")
    seen = await capture.notes("_gap")
    assert seen[0]["cause"] in causes, seen
    return str(seen[0]["cause"])


async def _assert_touched(capture: Capture, case: Case, symbol: str) -> None:
    """Only these books were doubted, each gap was closed, and no healthy connection was."""
    doubted = {facts["sym"] for facts in await capture.notes("_book") if facts["state"] == "stale"}
    # Both outcomes of a Polymarket market are in one message.
    near = {symbol, symbol[:-1] + "1"} if capture.exchange == "polymarket" else {symbol}
    expected = {
        "symbol": near,
        "none": set(),
        "group": doubted if capture.exchange == "kalshi" else near,
        "all": doubted,
    }[case.touches]
    assert doubted <= expected
    gaps = {facts["id"] for facts in await capture.notes("_gap")}
    # In this order: with its trades back, a muted market shows those that were lost.
    closed = {facts["id"] for facts in await capture.notes("_gap_closed")}
    assert gaps <= closed
    if case.touches != "all":
        assert capture.floor.connections == 1
