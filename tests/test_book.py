"""Books: what levels add up to."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from ssmd.book import Book
from ssmd.message import BookDelta, BookSnapshot, Level

FACTS = {"feed": "f", "sym": "s", "recv_ns": 1, "conn": "c", "n": 1}


def levels(text: str) -> list[Level]:
    pairs = (level.split(":") for level in text.split())
    return [(Decimal(price), Decimal(size)) for price, size in pairs]


def snapshot(bids: str = "", asks: str = "") -> BookSnapshot:
    return BookSnapshot(**FACTS, bids=levels(bids), asks=levels(asks))


def delta(op: Literal["set", "add"], bids: str = "", asks: str = "") -> BookDelta:
    return BookDelta(**FACTS, op=op, bids=levels(bids), asks=levels(asks))


def test_set_replaces_and_zero_removes() -> None:
    book = Book()
    assert (book.best_bid, book.best_ask, book.synced, book.crossed) == (None, None, False, False)
    book.apply(snapshot("0.40:5 0.39:0", "0.42:7"))
    assert book.synced
    book.apply(delta("set", "0.41:2 0.40:0", "0.42:3"))
    assert book.bids == {Decimal("0.41"): Decimal(2)}
    assert book.asks == {Decimal("0.42"): Decimal(3)}
    book.apply(delta("set", "0.410:0.00"))
    assert (book.best_bid, book.best_ask) == (None, Decimal("0.42"))


def test_add_is_signed_and_shows_what_is_missing() -> None:
    book = Book()
    book.apply(snapshot("1:5"))
    book.apply(delta("add", "1:-2 2:4", "3:1"))
    assert book.top(5) == (levels("2:4 1:3"), levels("3:1"))
    book.apply(delta("add", "2:-4"))
    assert book.best_bid == 1
    assert not book.negative
    book.apply(delta("add", "1:-9"))
    assert book.negative


def test_the_digits_of_sizes_stay() -> None:
    book = Book()
    book.apply(snapshot("1.50:2.500"))
    assert str(book.bids[Decimal("1.5")]) == "2.500"


def test_levels_below_the_depth_are_cut_after_each_message() -> None:
    book = Book(2)
    book.apply(snapshot("1:1 2:1 3:1", "6:1 5:1 4:1"))
    assert book.top(9) == (levels("3:1 2:1"), levels("4:1 5:1"))
    book.apply(delta("set", "4:1 3.5:1", "4:0"))
    assert book.top(9) == (levels("4:1 3.5:1"), levels("5:1"))


def test_a_book_that_touches_is_crossed() -> None:
    book = Book()
    book.apply(snapshot("1:1", "2:1"))
    assert not book.crossed
    book.apply(delta("set", "2:1"))
    assert book.crossed
    book.clear()
    assert (book.crossed, book.synced, book.best_bid) == (False, False, None)


_LEVELS = st.lists(st.tuples(st.integers(1, 9).map(Decimal), st.integers(-2, 3).map(Decimal)))
_MESSAGES = st.lists(st.tuples(st.sampled_from(["snapshot", "set", "add"]), _LEVELS, _LEVELS))


@given(_MESSAGES, st.none() | st.integers(1, 4))
def test_the_best_are_the_best_after_any_messages(
    messages: Sequence[tuple[str, Sequence[Level], Sequence[Level]]], depth: int | None
) -> None:
    book = Book(depth)
    for kind, bids, asks in messages:
        if kind == "snapshot":
            book.apply(BookSnapshot(**FACTS, bids=bids, asks=asks))
        else:
            op: Literal["set", "add"] = "set" if kind == "set" else "add"
            book.apply(BookDelta(**FACTS, op=op, bids=bids, asks=asks))
        assert book.best_bid == max(book.bids, default=None)
        assert book.best_ask == min(book.asks, default=None)
        assert all(book.bids.values())
        assert depth is None or max(len(book.bids), len(book.asks)) <= depth
