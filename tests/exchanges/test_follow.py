"""A followed book against what REST tells of it."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmd import message as wire
from ssmd.exchanges import follow as module
from ssmd.exchanges.follow import Comparison, Follow, Wrong
from ssmd.exchanges.polymarket import POLYMARKET
from ssmd.exchanges.polymarket_continuity import PolymarketContinuity
from ssmd.message import BookSnapshot

REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "polymarket"
BIDS = {Decimal("0.48"): Decimal(5), Decimal("0.49"): Decimal(5)}
ASKS = {Decimal("0.52"): Decimal(5)}


def told(
    ts_ns: int | None, bids: dict[Decimal, Decimal], asks: dict[Decimal, Decimal] = ASKS
) -> BookSnapshot:
    return BookSnapshot(
        feed="", conn="", n=0, recv_ns=0, sym="1", ts_ns=ts_ns,
        bids=list(bids.items()), asks=list(asks.items()),
    )  # fmt: skip


def followed(ts_ns: int | None = 10) -> Follow:
    return Follow(ts_ns, BIDS.items(), ASKS.items())


def bid(price: str, held: int, told: int) -> Wrong:
    return Wrong("bid", Decimal(price), Decimal(held), Decimal(told))


def test_the_same_book_is_right_whatever_the_digits_and_times() -> None:
    same = {
        Decimal("0.490"): Decimal("5.00"),
        Decimal("0.48"): Decimal("5"),
        Decimal(0): Decimal(0),
    }
    for ts_ns in (None, 5, 10, 15):
        assert followed().against(told(ts_ns, same)) == Comparison(frozenset())


def test_a_difference_may_be_on_its_way_until_a_later_message_has_come() -> None:
    book, answer = followed(), told(20, {**BIDS, Decimal("0.40"): Decimal(1)})
    wrong = frozenset({bid("0.40", 0, 1)})
    assert book.against(answer) == Comparison(wrong)
    book.set(20, "ask", Decimal("0.60"), Decimal(3))
    book.set(None, "ask", Decimal("0.60"), Decimal(0))
    assert book.against(answer) == Comparison(wrong)
    book.set(21, "bid", Decimal("0.30"), Decimal(9))
    assert book.against(answer) == Comparison(wrong, passed=True)


def test_a_state_in_between_is_right() -> None:
    book = followed()
    book.set(20, "bid", Decimal("0.40"), Decimal(1))
    book.set(30, "bid", Decimal("0.40"), Decimal(2))
    assert book.against(told(20, {**BIDS, Decimal("0.40"): Decimal(1)})) == Comparison(frozenset())


def test_an_answer_from_before_says_nothing() -> None:
    assert followed().against(told(9, {})) is None


def test_a_book_that_is_over_says_nothing() -> None:
    book = followed()
    book.end()
    book.set(11, "bid", Decimal("0.40"), Decimal(1))
    assert book.against(told(10, BIDS)) is None
    assert book.count == 0


def test_a_book_is_followed_for_a_bounded_number_of_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_CHANGES", 3)
    book = followed()
    for number in range(4):
        assert not book.over
        book.set(number, "bid", Decimal("0.40"), Decimal(number + 1))
    assert book.over


Step = tuple[str, int, int, bool]
STEPS = st.lists(
    st.tuples(st.sampled_from(["bid", "ask"]), st.integers(1, 5), st.integers(0, 3), st.booleans()),
    max_size=20,
)


def play(steps: Sequence[Step]) -> list[tuple[int, dict[tuple[str, Decimal], Decimal]]]:
    """The states of a book and their times; some changes have the time of the one before."""
    ts_ns, state = 10, {("bid", p): s for p, s in BIDS.items()}
    state |= {("ask", p): s for p, s in ASKS.items()}
    states = [(ts_ns, dict(state))]
    for side, price, size, later in steps:
        ts_ns += later
        state[side, Decimal(price)] = Decimal(size)
        states.append((ts_ns, dict(state)))
    return states


@given(STEPS, st.data())
def test_no_state_of_a_book_is_called_wrong_however_much_is_on_its_way(
    steps: list[Step], data: st.DataObject
) -> None:
    states = play(steps)
    told_at = data.draw(st.integers(0, len(steps)), "told at")
    arrived = data.draw(st.integers(0, len(steps)), "arrived")
    book = followed()
    for (ts_ns, _), (side, price, size, _later) in zip(
        states[1 : arrived + 1], steps[:arrived], strict=True
    ):
        book.set(ts_ns, side, Decimal(price), Decimal(size))  # type: ignore[arg-type]
    ts_ns, state = states[told_at]
    sides = [{p: s for (of, p), s in state.items() if of == side} for side in ("bid", "ask")]
    found = book.against(told(ts_ns, *sides))
    assert found is not None
    assert not (found.wrong and found.passed)
    if arrived >= told_at:
        assert not found.wrong


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
def test_the_recorded_book_of_a_new_connection_is_one_the_old_one_went_through() -> None:
    """The opening of a second connection has the time of the last of eight changes."""
    checks = PolymarketContinuity()
    follows: dict[str, Follow] = {}
    name = "nslaughter_noreplay_{}_20261004.jsonl"
    for line in (REAL / name.format("reference")).read_bytes().split(b"\n"):
        for frame in filter(None, wire.split_array(line) or [line]):
            checks.check(POLYMARKET.classify(frame), frame)
            event = json.loads(frame)
            if event["event_type"] == "book":
                follows[event["asset_id"]] = checks.follow(event["asset_id"]) or followed()
    opening = (REAL / name.format("reconnect_opening")).read_bytes()
    books = wire.split_array(opening.strip())
    assert books is not None
    assert len(books) == len(follows) == 2
    for body in books:
        asset = json.loads(body)["asset_id"]
        answer = POLYMARKET.book_answer(asset, body)
        assert follows[asset].count == 8
        assert follows[asset].against(answer) == Comparison(frozenset())
        lost = dict(answer.bids)
        lost.pop(min(lost))
        wrong = follows[asset].against(told(answer.ts_ns, lost, dict(answer.asks)))
        assert wrong is not None
        assert {level.price for level in wrong.wrong} == {min(dict(answer.bids))}
