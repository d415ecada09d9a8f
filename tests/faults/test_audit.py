"""Losses at Polymarket that only REST can tell: below the top of a book."""

from pathlib import Path

import msgspec
import pytest

from faults.capture import Capture, capturing
from ssmd.exchanges.polymarket import POLYMARKET
from ssmd.sim.faults import Fault
from ssmd.sim.market import Change, Market
from ssmd.sim.venues.polymarket_listing import condition, token


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round of the audit as soon as the one before is over."""
    monkeypatch.setattr(POLYMARKET, "audit_every_s", 0.05)
    monkeypatch.setattr("ssmd.connect.audit.SETTLE_S", 0.3)


def audits(capture: Capture, outcome: str) -> int:
    assert capture.feed.channel is not None
    return dict(capture.feed.channel.stats.audits).get(outcome, 0)  # type: ignore[call-overload,no-any-return]


def gaps(capture: Capture) -> int:
    assert capture.feed.channel is not None
    return capture.feed.channel.stats.gaps


def change(capture: Capture, market: Market, price: int, size: int) -> None:
    """The exchange's book changes, and it tells whoever watches."""
    delta = market.book.set("bid", price, size)
    market.seq += 1
    told = Change(market, "bid", price, size, delta, market.seq, capture.floor.world.now_ns())
    for watcher in market.watchers:
        watcher.push(watcher.session.on_change(told))
    for client in capture.floor.clients:
        client.flush()


async def _assert_found(capture: Capture, market: Market) -> None:
    """A gap for each outcome of the market, closed, and no other book touched."""
    both = {token(market.index, 0), token(market.index, 1)}
    opened = await capture.notes("_gap")
    assert {gap["cause"] for gap in opened} == {"audit"}
    assert {gap["sym"] for gap in opened} == both
    for gap in opened:
        assert gap["books"] == [gap["sym"]]
    closed = await capture.notes("_gap_closed")
    assert {gap["id"]: "repaired" for gap in opened} == {g["id"]: g["outcome"] for g in closed}
    doubted = [note["sym"] for note in await capture.notes("_book") if note["state"] == "stale"]
    assert sorted(doubted) == sorted(both)
    assert capture.floor.connections == 1


async def test_a_change_that_was_lost_below_the_top_is_found_and_repaired(tmp_path: Path) -> None:
    async with capturing("polymarket", tmp_path, rate=0.001) as capture:
        market = capture.floor.world.at(3)
        lost = Fault(
            kind="drop", exchange="polymarket", symbol=condition(3), type="price_change", count=1
        )
        fault = capture.sim.inject(lost)
        change(capture, market, market.book.bid_prices[0], 77700)
        await fault.fired.wait()
        # The exchange's own claims hold still: the top of the book is right.
        change(capture, market, market.book.bid_prices[-1], 88800)
        await capture.until(lambda: gaps(capture) == 2, "both outcomes' books are in doubt")
        await capture.well()
        rights = audits(capture, "right")
        await capture.until(lambda: audits(capture, "right") > rights + 40, "all books are right")
        await _assert_found(capture, market)
        assert audits(capture, "wrong") == 2
        checks = [msgspec.json.decode(note.payload) for note in await capture.stored("_clock")]
    told = sum(check.get("audits", {}).get("wrong", 0) for check in checks)
    assert told <= 2
    assert sum(check.get("broken", 0) for check in checks) == 0


async def test_a_loss_in_a_busy_market_is_found(tmp_path: Path) -> None:
    async with capturing("polymarket", tmp_path, rate=500.0, markets=4) as capture:
        market = capture.floor.world.at(0)

        def found() -> bool:
            # A full side loses its worst level, and says so: what was lost is right again.
            if not gaps(capture) and market.book.bids.get(1) != 77700:
                market.book.set("bid", 1, 77700)
            return gaps(capture) == 2

        await capture.until(found, "both outcomes' books are in doubt")
        await capture.well()
        await _assert_found(capture, market)


async def test_a_busy_market_that_is_right_gives_no_alarm(tmp_path: Path) -> None:
    async with capturing("polymarket", tmp_path, rate=1_500.0) as capture:
        await capture.until(lambda: audits(capture, "right") > 1_000, "50 rounds")
        await capture.more(1_000)
        assert audits(capture, "wrong") == 0
        assert await capture.notes("_gap") == []
        assert {note["state"] for note in await capture.notes("_book")} == {
            "snapshotting",
            "synced",
        }


async def test_rest_that_does_not_answer_proves_nothing(tmp_path: Path) -> None:
    async with capturing("polymarket", tmp_path) as capture:
        capture.sim.inject(Fault(kind="rest", exchange="polymarket", value="503", count=30))
        await capture.until(lambda: audits(capture, "open") >= 30, "looks without an answer")
        await capture.until(lambda: audits(capture, "right"), "looks with one")
        assert await capture.notes("_gap") == []
