"""Kalshi: which messages are missing, and which books that spoils."""

import pytest

from exchanges.kalshi_wire import (
    REAL,
    RECORDINGS,
    causes,
    delta,
    encode,
    feed,
    snapshot,
    subscribed,
    trade,
)
from ssmd.exchanges.base import Fault, Verdict
from ssmd.exchanges.kalshi import KALSHI
from ssmd.exchanges.kalshi_continuity import RESTART_AFTER, KalshiContinuity

needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")


@pytest.fixture
def checks() -> KalshiContinuity:
    return KalshiContinuity()


def states(verdicts: list[Verdict]) -> list[str]:
    return [verdict.state for verdict in verdicts]


# --- sequences ------------------------------------------------------------------------------------


def test_a_hole_names_its_stretch_and_the_books_of_its_sid_alone(checks: KalshiContinuity) -> None:
    feed(checks, subscribed(1), snapshot(1, "0.1:5"), snapshot(2, "0.1:5", sym="B"))
    feed(checks, subscribed(3), snapshot(1, "0.1:5", sym="C", sid=3))
    (gap,) = feed(checks, delta(6, "yes", "0.2", "1"))
    assert gap.faults == (Fault("sequence", None, "1", 3, 5, ("A", "B")),)
    later = feed(checks, delta(7, "yes", "0.1", "-9"), delta(2, "yes", "0.1", "-9", "C", 3))
    # The spoilt book is not judged any more; the other sid's is.
    assert [causes(verdict) for verdict in later] == [[], ["negative"]]


def test_numbers_begin_at_1_where_the_beginning_was_seen(checks: KalshiContinuity) -> None:
    feed(checks, subscribed(1), subscribed(2, "trade"))
    (first,) = feed(checks, snapshot(1, "0.1:5"))
    assert first == Verdict("verified", synced=("A",))
    (late,) = feed(checks, trade(3, "yes", "0.1", "1"))
    assert late.faults == (Fault("sequence", None, "2", 1, 2),)


def test_without_the_beginning_the_first_number_proves_nothing(checks: KalshiContinuity) -> None:
    assert states(feed(checks, delta(70, "yes", "0.1", "1"), delta(71, "yes", "0.1", "1"))) == [
        "unverified",
        "verified",
    ]


def test_a_snapshot_after_a_hole_begins_its_book_anew(checks: KalshiContinuity) -> None:
    feed(checks, subscribed(1), snapshot(1, "0.1:5"), snapshot(2, "0.1:5", sym="B"))
    (found,) = feed(checks, snapshot(9, "0.1:5"))
    assert found.synced == ("A",)
    assert found.faults == (Fault("sequence", None, "1", 3, 8, ("B",)),)


def test_a_repeated_delta_is_a_fault_and_not_applied_twice(checks: KalshiContinuity) -> None:
    less = delta(2, "yes", "0.1", "-3")
    found = feed(checks, subscribed(1), snapshot(1, "0.1:5"), less, less)
    assert found[3].faults == (Fault("sequence", None, "1"),)
    # 5 - 3 - 2 is nothing; were the repeat applied, it would be less than nothing.
    assert states(feed(checks, delta(3, "yes", "0.1", "-2"))) == ["verified"]


def test_a_late_number_does_not_move_the_baseline_back(checks: KalshiContinuity) -> None:
    feed(checks, subscribed(1), *(delta(n, "yes", "0.1", "1") for n in (1, 2, 3)))
    late, after = feed(checks, delta(2, "yes", "0.1", "1"), delta(4, "yes", "0.1", "1"))
    assert (late.faults, after.state) == ((Fault("sequence", None, "1"),), "verified")


def test_numbers_that_begin_again_are_followed(checks: KalshiContinuity) -> None:
    wrong = delta(2**62, "yes", "0.1", "1")
    feed(checks, subscribed(1), snapshot(1, "0.1:5"), wrong)
    found = feed(checks, *(delta(n, "yes", "0.1", "1") for n in range(2, 40)))
    assert states(found).count("broken") == RESTART_AFTER
    assert set(states(found[RESTART_AFTER:])) == {"verified"}
    assert found[RESTART_AFTER - 1].faults[0].books == ("A",)


def test_acknowledgements_count(checks: KalshiContinuity) -> None:
    ok = encode({"type": "ok", "id": 2, "sid": 1, "seq": 2, "msg": {"market_tickers": ["A"]}})
    found = feed(checks, subscribed(1), snapshot(1, "0.1:5"), ok, delta(3, "yes", "0.1", "1"))
    assert states(found[1:]) == ["verified"] * 3


@pytest.mark.parametrize(
    "end",
    [
        {"type": "unsubscribed", "sid": 1, "seq": 2},
        {"type": "error", "sid": 1, "msg": {"code": 25, "msg": "overflow"}},
        {"type": "error", "msg": {"code": 10, "msg": "channel error", "sid": 1}},
    ],
)
def test_a_sid_that_ended_is_forgotten(checks: KalshiContinuity, end: dict[str, object]) -> None:
    feed(checks, subscribed(1), snapshot(1, "0.1:5"), encode(end))
    again = feed(checks, subscribed(1), snapshot(1, "0.1:1"), delta(2, "yes", "0.1", "-2"))
    assert [causes(verdict) for verdict in again] == [[], [], ["negative"]]


def test_other_errors_end_nothing(checks: KalshiContinuity) -> None:
    refused = encode({"type": "error", "id": 4, "sid": 1, "msg": {"code": 13, "msg": "no"}})
    found = feed(checks, subscribed(1), snapshot(1, "0.1:1"), refused, delta(3, "yes", "0.1", "1"))
    assert found[3].faults[0].books == ("A",)


def test_late_messages_of_an_ended_sid_are_no_baseline(checks: KalshiContinuity) -> None:
    over = encode({"type": "unsubscribed", "sid": 1, "seq": 2})
    late = delta(9, "yes", "0.1", "1")
    found = feed(checks, subscribed(1), snapshot(1), over, late, subscribed(1), snapshot(1))
    assert not any(verdict.faults for verdict in found)


def test_a_market_taken_off_its_sid_has_no_book(checks: KalshiContinuity) -> None:
    feed(checks, subscribed(1), snapshot(1, "0.1:5"), snapshot(2, "0.1:5", sym="B"))
    left = {"type": "ok", "sid": 1, "seq": 3, "msg": {"market_tickers": ["B"]}}
    feed(checks, encode(left))
    (gap,) = feed(checks, delta(9, "yes", "0.1", "1", "B"))
    assert gap.faults[0].books == ("B",)


# --- books ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", ["0.4000", "0.5000"])
def test_a_crossed_book_is_broken_until_its_next_snapshot(
    checks: KalshiContinuity, price: str
) -> None:
    feed(checks, subscribed(1), snapshot(1, "0.3000:5 0.2:1", "0.6000:5"))
    crossing, after, anew = feed(
        checks, delta(2, "yes", price, "1"), delta(3, "yes", price, "1"), snapshot(4, "0.3:5")
    )
    assert crossing.faults == (Fault("crossed", "A", "1", books=("A",)),)
    assert (after.state, anew.synced) == ("verified", ("A",))


def test_a_best_bid_that_is_gone_crosses_nothing(checks: KalshiContinuity) -> None:
    found = feed(
        checks,
        subscribed(1),
        snapshot(1, "0.3000:5", "0.6000:5 0.5:1"),
        delta(2, "no", "0.6000", "-5"),
        delta(3, "yes", "0.4500", "1"),
        delta(4, "no", "0.5500", "1"),
    )
    assert [causes(verdict) for verdict in found[2:]] == [[], [], ["crossed"]]


@pytest.mark.parametrize(
    ("yes", "no", "cause"),
    [("0.5:1", "0.5:1", "crossed"), ("0.5:-1", "", "negative"), ("NaN:1", "", "unreadable")],
)
def test_a_snapshot_is_judged_as_well(
    checks: KalshiContinuity, yes: str, no: str, cause: str
) -> None:
    (found,) = feed(checks, snapshot(1, yes, no))
    assert (causes(found), found.faults[0].books, found.synced) == ([cause], ("A",), ())


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("orderbook_delta", {}),
        ("orderbook_delta", {"side": "yes", "price_dollars": "0.1", "delta_fp": "sNaN"}),
        ("orderbook_delta", {"side": "maybe", "price_dollars": "0.1", "delta_fp": "1"}),
        ("orderbook_snapshot", {"no": 1}),
        ("orderbook_snapshot", {"yes": [["x", 1]]}),
    ],
)
def test_a_message_that_cannot_be_read_spoils_its_book(
    checks: KalshiContinuity, kind: str, fields: dict[str, object]
) -> None:
    feed(checks, subscribed(1), snapshot(1, "0.1:5"), snapshot(2, "0.1:5", sym="B"))
    bad = {"type": kind, "sid": 1, "seq": 3, "msg": {"market_ticker": "A", **fields}}
    found, after = feed(checks, encode(bad), delta(4, "yes", "0.1", "-99"))
    assert found.faults == (Fault("unreadable", "A", "1", books=("A",)),)
    assert after.state == "verified"
    assert causes(feed(checks, delta(5, "yes", "0.1", "-9", "B"))[0]) == ["negative"]


def test_a_delta_of_no_known_market_spoils_all_books(checks: KalshiContinuity) -> None:
    feed(checks, subscribed(1), snapshot(1, "0.1:5"), snapshot(2, "0.1:5", sym="B"))
    nameless = {"type": "orderbook_delta", "sid": 1, "seq": 3, "msg": {"market_ticker": 7}}
    (found,) = feed(checks, encode(nameless))
    assert found.faults == (Fault("unreadable", None, "1", books=("A", "B")),)


def test_a_hole_is_named_although_the_message_cannot_be_read(checks: KalshiContinuity) -> None:
    feed(checks, subscribed(1), snapshot(1, "0.1:5"))
    bad = {"type": "orderbook_snapshot", "sid": 1, "seq": 9, "msg": {"market_ticker": "A", "no": 1}}
    assert causes(feed(checks, encode(bad))[0]) == ["sequence", "unreadable"]


@needs_recordings
@pytest.mark.parametrize(("file", "crossed"), [(file, 0) for file in RECORDINGS])
def test_recorded_books_never_break(file: str, crossed: int) -> None:
    """One market cut out of a sid: its numbers are given anew, without holes, as they had none."""
    checks, seqs, found = KalshiContinuity(), {"1": 0, "2": 0}, []
    frames = [frame for frame in (REAL / file).read_bytes().split(b"\n") if frame]
    for frame in frames:
        header = KALSHI.classify(frame)
        assert header.grp is not None
        seqs[header.grp] += 1
        found.append(checks.check(header._replace(seq=seqs[header.grp]), frame))
    assert len(found) in (23003, 9000)
    assert sum(bool(verdict.faults) for verdict in found) == crossed
    assert sum(bool(verdict.synced) for verdict in found) == 2
    # The very first number of the first sid cannot be checked.
    assert states(found).count("unverified") == 1
