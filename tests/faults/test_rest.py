"""REST that fails in each way, in each use of it: told, and got over.

``listing`` is of the instruments, ``book`` the look at one that went silent, ``trades`` those of a
gap. With ``SSMD_FAULT_RESULTS`` each case adds a line to that file, as in the fault matrix.
"""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from faults.capture import PATIENCE_S, Capture, capturing
from faults.results import WHOLE, record
from ssmd.exchanges import EXCHANGES
from ssmd.exchanges.base import Request
from ssmd.sim.faults import Fault

TOLD = {
    "401": "refused us (401)",
    "429/1": "answered 429 and asks for 1 s of quiet",
    "503": "answered 503",
    "garbage": "unexpected answer",
    "truncated": "cannot reach",
    "slow/0.5": None,
    "hang": "did not answer within 1 s",
}
"""What the log says of it; None: it does no harm."""


def cases(use: str, *short: str) -> pytest.MarkDecorator:
    """All values at all exchanges that have the use; in short, all at Kraken or these."""
    found = [
        pytest.param(exchange, value, id=f"{value}-{exchange}")
        for exchange in EXCHANGES
        for value in TOLD
        if not (use == "trades" and EXCHANGES[exchange].trades_request("x", 0, 1) is None)
        if WHOLE or f"{value}-{exchange}" in short or (exchange == "kraken" and not short)
    ]
    return pytest.mark.parametrize(("exchange", "value"), found)


def failing(request: Request | None, exchange: str, value: str, count: int = 1) -> Fault:
    assert request is not None
    path = f"*{urlsplit(request.path).path}"
    return Fault(kind="rest", exchange=exchange, path=path, value=value, count=count)


def told_s(caplog: pytest.LogCaptureFixture, value: str, since_s: float) -> float:
    """After how long the log named it."""
    words = TOLD[value]
    if words is None:
        return 0.0
    found = [entry.created for entry in caplog.records if words in entry.getMessage()]
    assert found, caplog.text
    return found[0] - since_s


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ssmd")
    monkeypatch.setattr("ssmd.connect.retry.REFUSED_RETRY_S", 0.5)


@pytest.fixture
def patience(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if value == "hang":
        monkeypatch.setattr("ssmd.rest.TIMEOUT_S", 1.0)


async def recorded(
    capture: Capture, use: str, value: str, caplog: pytest.LogCaptureFixture, touches: str
) -> None:
    """All is well; the line for the table."""
    await capture.well()
    await capture.more(50)
    acted = next(e for e in capture.sim.ledger.events if e.fault == "rest")
    found_s = told_s(caplog, value, acted.time_ns / 1e9)
    found = "nothing" if TOLD[value] is None else "log"
    name = f"{value} for {use}"
    spent_s = time.time() - acted.time_ns / 1e9
    record("rest", name, capture.exchange, touches, found, found_s, spent_s)


@cases("listing")
@pytest.mark.usefixtures("patience")
async def test_listing(
    exchange: str, value: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fault = failing(EXCHANGES[exchange].instruments_request({}), exchange, value)
    async with capturing(exchange, tmp_path, faults=(fault,), listed=True) as capture:
        await recorded(capture, "listing", value, caplog, "none")
        assert capture.feed.channel is not None
        assert capture.feed.channel.stats.gaps == 0
        assert len(capture.feed.connections) == 1


@cases("book", "truncated-kraken", "503-kalshi", "hang-polymarket")
@pytest.mark.usefixtures("patience")
async def test_book(
    exchange: str, value: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mute instrument is found all the same, and no other is doubted."""
    async with capturing(exchange, tmp_path, stale_after_s=2.0) as capture:
        assert capture.feed.channel is not None
        symbol = sorted(capture.feed.connections[0].commands.books)[0]
        rest = failing(EXCHANGES[exchange].book_request(symbol), exchange, value, count=2)
        capture.sim.inject(rest)
        capture.sim.inject(Fault(kind="mute", exchange=exchange, symbol=symbol))
        stats = capture.feed.channel.stats
        await capture.until(lambda: stats.gaps, "a gap")
        (gap, *_) = await capture.notes("_gap")
        assert gap["cause"] in ("mute", "mute_suspected")
        await recorded(capture, "book", value, caplog, "symbol")
        doubted = {note["sym"] for note in await capture.notes("_book") if note["state"] == "stale"}
        # Both outcomes of a Polymarket market are in one message.
        assert doubted <= {symbol, symbol[:-1] + "1"}
        assert capture.floor.connections == 1


@cases("trades", "truncated-kraken_futures", "503-kraken", "429/1-kalshi")
@pytest.mark.usefixtures("patience")
async def test_trades(
    exchange: str, value: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails is asked for again; what is refused is named, and the rest is got."""
    async with capturing(exchange, tmp_path) as capture:
        symbol = sorted(capture.feed.connections[0].commands.books)[0]
        request = EXCHANGES[exchange].trades_request(symbol, 0, 1)
        capture.sim.inject(failing(request, exchange, value))
        capture.sim.inject(Fault(kind="abort", exchange=exchange))
        (filled, *_) = await noted(capture, "_backfilled")
        assert len(filled["failed"]) == (1 if value == "401" else 0)
        assert filled["symbols"] > 1
        assert filled["trades"] == len(await capture.notes("_backfill")) > 0
        await recorded(capture, "trades", value, caplog, "all")


async def test_what_is_not_asked_for_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssmd.connect.backfill.MOST_PAGES", 2)
    async with capturing("kraken", tmp_path) as capture:
        capture.sim.inject(Fault(kind="abort", exchange="kraken"))
        (filled, *_) = await noted(capture, "_backfilled")
        assert filled["symbols"] - len(filled["failed"]) in (1, 2)  # one may have two pages
        assert filled["trades"] == len(await capture.notes("_backfill"))


async def noted(capture: Capture, type_: str) -> list[dict[str, Any]]:
    """Our own messages of a type, as soon as there is one."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await capture.notes(type_)):
            await asyncio.sleep(0.1)
    return found


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_every_use_has_a_path_of_its_own(exchange: str) -> None:
    """Else a fault of one would be a fault of the other."""
    found = EXCHANGES[exchange]
    asked = [
        found.instruments_request({}), found.book_request("x"), found.trades_request("x", 0, 1)
    ]  # fmt: skip
    paths = [request.path for request in asked if request is not None]
    assert len(set(paths)) == len(paths) > 1
