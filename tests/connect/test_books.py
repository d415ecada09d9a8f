"""Book states: what turns them, when a snapshot is asked for again, and the gaps they make."""

import itertools
from typing import Any

import pytest

from connect.conftest import Notes
from ssmd.connect.books import PATIENCE_S, RETRIES, Books
from ssmd.connect.tape import Channel, Tape
from ssmd.exchanges.base import UNVERIFIED, VERIFIED, Fault, Verdict, broken
from ssmd.message import Header

WAIT_S = 10.0
DATA = Header("book", "A")


@pytest.fixture
def books(channel: Channel) -> Books:
    return Books(channel.gaps, WAIT_S)


@pytest.fixture
def tape(channel: Channel) -> Tape:
    return Tape(channel, "c1")


def synced(*symbols: str) -> Verdict:
    return Verdict("verified", (), symbols)


def turns(found: list[tuple[str, dict[str, Any]]], sym: str) -> list[str]:
    return [f["state"] for type_, f in found if type_ == "_book" and f["sym"] == sym]


async def test_a_book_is_asked_for_and_comes(books: Books, tape: Tape, notes: Notes) -> None:
    books.want(tape, ["A", "B"], 100.0)
    assert books.as_dict() == {"snapshotting": 2}
    books.hear(tape, DATA, synced("A"), 101.0)
    assert not books.settled
    books.hear(tape, DATA, synced("B"), 101.0)
    assert books.settled
    assert books.due(tape, 1e9) == []
    assert turns(await notes(), "A") == ["snapshotting", "synced"]


async def test_a_fault_touches_only_the_books_it_names(
    books: Books, tape: Tape, notes: Notes, channel: Channel
) -> None:
    books.want(tape, ["A", "B"], 100.0)
    books.hear(tape, DATA, synced("A", "B"), 100.0)
    books.hear(tape, DATA, broken(Fault("checksum", "A", books=("A",))), 101.0)
    assert books.as_dict() == {"stale": 1, "synced": 1}
    assert len(channel.gaps.open) == 1
    assert books.due(tape, 101.0) == ["A"]
    assert books.due(tape, 101.0) == []
    books.hear(tape, DATA, synced("A"), 102.0)
    assert not channel.gaps.open
    found = await notes()
    assert turns(found, "A") == ["snapshotting", "synced", "stale", "recovering", "synced"]
    assert turns(found, "B") == ["snapshotting", "synced"]
    (gap,) = (facts for type_, facts in found if type_ == "_gap")
    (closed,) = (facts for type_, facts in found if type_ == "_gap_closed")
    assert (gap["cause"], gap["books"], gap["sym"], gap["conn"]) == ("checksum", ["A"], "A", "c1")
    assert (closed["id"], closed["outcome"]) == (gap["id"], "repaired")
    assert closed["to_ns"] >= closed["from_ns"] == gap["from_ns"]


async def test_a_gap_ends_with_the_last_of_its_books(
    books: Books, tape: Tape, channel: Channel
) -> None:
    books.want(tape, ["A", "B"], 100.0)
    books.hear(tape, DATA, synced("A", "B"), 100.0)
    lost = Fault("sequence", "A", "1", 5, 6, books=("A", "B"))
    books.hear(tape, DATA, broken(lost), 101.0)
    books.hear(tape, DATA, synced("B"), 102.0)
    assert len(channel.gaps.open) == 1
    books.drop(tape, ["A"])
    assert not channel.gaps.open


async def test_what_no_snapshot_can_bring_back_is_lost(
    books: Books, tape: Tape, notes: Notes, channel: Channel
) -> None:
    books.hear(tape, DATA, broken(Fault("sequence", "A", "trade", 5, 6)), 101.0)
    assert not channel.gaps.open
    (gap,) = (facts for type_, facts in await notes() if type_ == "_gap")
    (closed,) = (facts for type_, facts in await notes() if type_ == "_gap_closed")
    assert (gap["grp"], gap["first_seq"], gap["last_seq"]) == ("trade", 5, 6)
    assert closed["outcome"] == "lost"


async def test_a_snapshot_that_does_not_come_is_asked_for_again_and_later_each_time(
    books: Books, tape: Tape, channel: Channel
) -> None:
    books.want(tape, ["A"], 0.0)
    assert books.due(tape, WAIT_S - 0.01) == []
    asked, gaps = [], set()
    for tick in itertools.count(1):
        now = WAIT_S + tick / 4
        asked += [now for _ in books.due(tape, now)]
        gaps |= set(channel.gaps.open)
        if len(asked) == RETRIES + 2:
            break
    pauses = [b - a for a, b in itertools.pairwise(asked)]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= PATIENCE_S
    assert len(gaps) == 1, "one stretch is one gap, however often it is asked for"


async def test_data_without_snapshot_does_not_make_a_book_right(books: Books, tape: Tape) -> None:
    books.want(tape, ["A"], 0.0)
    books.hear(tape, DATA, UNVERIFIED, 1.0)
    books.hear(tape, DATA, VERIFIED, 2.0)
    assert books.as_dict() == {"snapshotting": 1}


async def test_a_book_that_is_refused_is_waited_for_no_longer(
    books: Books, tape: Tape, channel: Channel
) -> None:
    books.want(tape, ["A"], 0.0)
    books.due(tape, WAIT_S)
    assert channel.gaps.open
    books.drop(tape, ["A"], "refused")
    assert not channel.gaps.open
    assert books.settled
