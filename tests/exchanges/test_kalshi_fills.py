"""Kalshi: every trade has its equal and opposite delta."""

import pytest

from exchanges.kalshi_wire import (
    REAL,
    RECORDINGS,
    T0,
    causes,
    delta,
    encode,
    feed,
    snapshot,
    subscribed,
    trade,
)
from ssmd.exchanges import kalshi_fills
from ssmd.exchanges.base import Fault
from ssmd.exchanges.kalshi import KALSHI
from ssmd.exchanges.kalshi_continuity import KalshiContinuity, _take
from ssmd.exchanges.kalshi_fills import Fills
from ssmd.exchanges.kalshi_records import decode_delta

needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
LATE = 6_000
"""Milliseconds: more than a delta may be late."""


@pytest.fixture
def checks() -> KalshiContinuity:
    """A book whose first delta has come at 0 ms."""
    checks = KalshiContinuity()
    feed(checks, subscribed(1), subscribed(2, "trade"))
    feed(checks, snapshot(1, "0.40:50", "0.50:50"), delta(2, "yes", "0.01", "1", ms=0))
    return checks


def test_a_trade_without_its_delta_spoils_the_book_of_its_market(checks: KalshiContinuity) -> None:
    missing, soon, late = feed(
        checks,
        trade(1, "yes", "0.50", "3.00", ms=10),
        delta(3, "yes", "0.01", "1", ms=4000),
        delta(4, "yes", "0.01", "1", ms=LATE),
    )
    assert (causes(missing), causes(soon)) == ([], [])
    assert late.faults == (Fault("unmatched", "A", "1", books=("A",)),)


@pytest.mark.parametrize("first", ["delta", "trade"])
@pytest.mark.parametrize(
    ("taker", "price", "side", "level"),
    [("yes", "0.50", "no", "0.50"), ("no", "0.40", "yes", "0.4000")],
)
def test_the_two_match_in_either_order(
    checks: KalshiContinuity, first: str, taker: str, price: str, side: str, level: str
) -> None:
    pair = [delta(3, side, level, "-3", ms=10), trade(1, taker, price, "3.00", ms=10)]
    feed(checks, *(pair if first == "delta" else reversed(pair)))
    assert not feed(checks, delta(4, "yes", "0.01", "1", ms=LATE))[0].faults


def test_a_delta_explains_one_trade_only(checks: KalshiContinuity) -> None:
    feed(checks, delta(3, "no", "0.50", "-3", ms=10))
    feed(checks, *(trade(n, "yes", "0.50", "3", ms=10, trade_id=str(n)) for n in (1, 2)))
    assert causes(feed(checks, delta(4, "yes", "0.01", "1", ms=LATE))[0]) == ["unmatched"]


@pytest.mark.parametrize(
    "wrong",
    [
        delta(3, "no", "0.50", "-2", ms=10),
        delta(3, "no", "0.50", "-3", ms=11),
        delta(3, "no", "0.50", "3", ms=10),
        delta(3, "yes", "0.40", "-3", ms=10),
    ],
)
def test_a_delta_that_is_not_equal_and_opposite_explains_nothing(
    checks: KalshiContinuity, wrong: bytes
) -> None:
    feed(checks, wrong, trade(1, "yes", "0.50", "3", ms=10))
    assert causes(feed(checks, delta(4, "yes", "0.01", "1", ms=LATE))[0]) == ["unmatched"]


def test_a_book_that_is_mute_while_its_market_trades_is_found(checks: KalshiContinuity) -> None:
    found = feed(
        checks, *(trade(n, "yes", "0.50", "3", ms=n * 1000, trade_id=str(n)) for n in range(1, 60))
    )
    assert sum(causes(verdict) == ["unmatched"] for verdict in found) == 1


@pytest.mark.parametrize(
    "frame",
    [
        trade(1, "yes", "0.50", "3", ms=-1),  # may be in the snapshot already
        trade(1, "yes", "0.50", "3", ms=0),
        trade(1, "yes", "0.50", "3", ms=10, sym="B"),  # no book of it is subscribed
        trade(1, "yes", "0.50", "3", ms=10, is_block_trade=True),
        trade(1, "yes", "0.50", "NaN", ms=10),
        encode({"type": "trade", "sid": 2, "seq": 1, "msg": {"market_ticker": "A"}}),
    ],
)
def test_trades_that_prove_nothing_are_not_judged(checks: KalshiContinuity, frame: bytes) -> None:
    found = feed(checks, frame, delta(3, "yes", "0.01", "1", ms=LATE))
    assert not any(verdict.faults for verdict in found)


def test_a_trade_that_comes_twice_is_one(checks: KalshiContinuity) -> None:
    """A second subscription brings each trade again, under its own sid."""
    once = trade(1, "yes", "0.50", "3", ms=10, trade_id="t")
    feed(checks, delta(3, "no", "0.50", "-3", ms=10), once)
    feed(checks, subscribed(7, "trade"), once.replace(b'"sid": 2', b'"sid": 7'))
    assert not feed(checks, delta(4, "yes", "0.01", "1", ms=LATE))[0].faults


@pytest.mark.parametrize(
    "end",
    [
        snapshot(3, "0.40:50", "0.50:47"),
        encode({"type": "ok", "sid": 1, "seq": 3, "msg": {"market_tickers": ["B"]}}),
        encode({"type": "unsubscribed", "sid": 1, "seq": 3}),
    ],
)
def test_a_book_that_ends_or_begins_anew_owes_nothing(checks: KalshiContinuity, end: bytes) -> None:
    waiting = trade(1, "yes", "0.50", "3", ms=10)
    other = delta(4, "yes", "0.01", "1", "B", ms=LATE)
    found = feed(checks, waiting, end, other, trade(2, "yes", "0.50", "3", ms=9))
    assert not any(verdict.faults for verdict in found)


def test_a_matched_trade_is_verified_without_a_number(checks: KalshiContinuity) -> None:
    frame = trade(1, "yes", "0.50", "3", ms=10)
    feed(checks, delta(3, "no", "0.50", "-3", ms=10))
    header = KALSHI.classify(frame)._replace(seq=None)
    assert checks.check(header, frame).state == "verified"


def test_memory_is_bounded_and_what_was_forgotten_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kalshi_fills, "MOST", 10)
    fills = Fills()
    ns = T0 * 1_000_000
    _, price, change = decode_delta(delta(1, "no", "0.5", "-1"))
    for n in range(1000):
        fills.delta("A", ns + n // 30, "no", price, change)
        assert fills._kept <= 11
    assert not fills.trade("A", ns + 1, "no", price, -change, None)
    assert fills.waiting == 0
    for n in range(50):
        fills.trade("A", ns + 2000 + n, "no", price, -change, str(n))
    assert fills.waiting <= 10
    assert len(fills._seen) <= 10


def test_time_that_goes_back_proves_nothing(checks: KalshiContinuity) -> None:
    feed(checks, delta(3, "yes", "0.01", "1", ms=10**9), delta(4, "yes", "0.01", "1", ms=20))
    feed(checks, trade(1, "yes", "0.50", "3", ms=30), delta(5, "no", "0.50", "-3", ms=30))
    assert not feed(checks, delta(6, "yes", "0.01", "1", ms=LATE))[0].faults


@needs_recordings
@pytest.mark.parametrize(("file", "trades"), list(zip(RECORDINGS, (977, 227), strict=True)))
def test_every_recorded_trade_has_its_delta(file: str, trades: int) -> None:
    fills, matched, waited = Fills(), 0, 0
    for frame in (REAL / file).read_bytes().split(b"\n"):
        header = KALSHI.classify(frame)
        if header.type == "orderbook_delta":
            assert header.sym is not None
            assert header.ts_ns is not None
            before = fills.waiting
            fills.delta(header.sym, header.ts_ns, *decode_delta(frame))
            matched += before - fills.waiting
        elif header.type == "trade":
            assert header.sym is not None
            assert header.ts_ns is not None
            before = fills.waiting
            matched += _take(fills, header.sym, header.ts_ns, frame)
            waited += fills.waiting - before
        assert fills.overdue() == ()
    assert (matched, fills.waiting) == (trades, 0)
    assert waited == {977: 54, 227: 12}[trades]


@needs_recordings
@pytest.mark.parametrize("file", RECORDINGS)
def test_each_delta_taken_from_a_recording_that_a_trade_needs_is_missed(file: str) -> None:
    """All deltas of a trade's time are taken away, for 20 trades one after the other."""
    frames = [frame for frame in (REAL / file).read_bytes().split(b"\n") if frame]
    frames = frames[:4000]
    trades = [n for n, frame in enumerate(frames) if KALSHI.classify(frame).type == "trade"]
    for number in trades[20 : len(trades) - 20 : max(len(trades) // 20, 1)]:
        wanted = KALSHI.classify(frames[number]).ts_ns
        fills, found = Fills(), []
        for frame in frames:
            header = KALSHI.classify(frame)
            if header.sym is None or header.ts_ns is None:
                continue
            if header.type == "orderbook_delta" and header.ts_ns != wanted:
                fills.delta(header.sym, header.ts_ns, *decode_delta(frame))
            elif header.type == "trade":
                _take(fills, header.sym, header.ts_ns, frame)
            found += fills.overdue()
        assert set(found) == {KALSHI.classify(frames[number]).sym}
