"""What was known when: any history, told, archived and on the stream, against a plain replay."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

import archives
from ssmd import message
from ssmd.archive.verify import verify
from ssmd.archive.writer import NS_PER_DAY
from ssmd.bus import Bus
from ssmd.config import Transport
from ssmd.dataset import Archive
from ssmd.errors import NotFound
from ssmd.exchanges.master import Found
from ssmd.instruments import checkpoint, decide
from ssmd.instruments.change import TYPE, Change, Held, decode_held, held, to_message
from ssmd.instruments.history import Log, as_of, changes
from ssmd.instruments.past import Past
from ssmd.message import Message
from ssmd.security import Links, Security
from ssmd.store import manifest as manifests
from ssmd.store import retired

FEED = "kalshi"
START = archives.DAY * NS_PER_DAY


class Said(Struct, frozen=True):
    """The exchange's list says this of an instrument, some time after what it said before."""

    sym: str
    status: str
    title: str | None
    close_ns: int | None
    event: str | None
    later_ns: int


SAID = st.builds(
    Said,
    sym=st.sampled_from(["A", "B", "C.D", "Ünï code"]),
    status=st.sampled_from(["active", "closed", "finalized"]),
    title=st.sampled_from([None, "one", "two"]),
    close_ns=st.sampled_from([None, 1, 2]),
    event=st.sampled_from([None, "E"]),
    # A clock may be set back; most of the time it is not.
    later_ns=st.integers(-3, 50),
)
HISTORIES = st.lists(SAID, max_size=40)


def security(said: Said) -> Security:
    return Security(
        exchange="kalshi", sym=said.sym, status=said.status, active=said.status == "active",
        title=said.title, close_ns=said.close_ns, links=Links(event=said.event),
    )  # fmt: skip


def told(history: Sequence[Said]) -> list[Change]:
    """The changes that the security master makes of it."""
    known: dict[str, Held] = {}
    made, now = [], START
    for said in history:
        now += said.later_ns
        outcome = decide.by_answer(known.get(said.sym), Found(security(said), "0"), now, now)
        if isinstance(outcome, Change):
            made.append(outcome)
            known[said.sym] = held(outcome)
    return made


def replay(history: Sequence[Said], at_ns: int) -> dict[str, Security]:
    """The last that was said of each by then."""
    found, now = {}, START
    for said in history:
        now += said.later_ns
        if now <= at_ns:
            found[said.sym] = security(said)
    return found


def entries(made: Sequence[Change], run: int) -> list[Message]:
    """The messages of runs of ``run`` changes each."""
    return [
        to_message(FEED, f"run-{i // run}", i % run + 1, change) for i, change in enumerate(made)
    ]


def times(history: Sequence[Said]) -> list[int]:
    moments, now = [START - 1], START
    for said in history:
        now += said.later_ns
        moments += [now - 1, now]
    return [*moments, now + 10**9]


def plain(known: dict[str, Held]) -> dict[str, Security]:
    return {sym: one.instrument for sym, one in known.items()}


def monotonic(history: Sequence[Said]) -> bool:
    return all(said.later_ns >= 0 for said in history)


@given(history=HISTORIES.filter(monotonic), run=st.integers(1, 10), segments=st.integers(1, 3))
@settings(max_examples=60)
def test_as_of_is_a_replay_up_to_then(history: list[Said], run: int, segments: int) -> None:
    """Out of an archive that proves clean."""
    made = told(history)
    lines = [message.encode(entry) for entry in entries(made, run)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if lines:
            archives.archive(root, lines, FEED, segments=segments, member=3)
            days = [day.name for day in (root / archives.ENV / FEED).iterdir()]
            found = verify(root / archives.ENV, [FEED], days, deep=True, tell=print, progress=_no)
            # The archive of a test does not say of which exchange it is.
            assert [f.what for f in found.findings if "of which exchange" not in f.what] == []
        log = Log(Archive(root, archives.ENV), archives.ENV, FEED)
        archived = list(log.archived())
    assert archived == made
    for at_ns in times(history):
        assert plain(as_of(archived, at_ns)) == replay(history, at_ns)
    assert plain(as_of(archived, None)) == replay(history, times(history)[-1])


DAYS = st.lists(
    st.builds(
        msgspec.structs.replace, SAID, later_ns=st.sampled_from([0, 1, NS_PER_DAY // 3, NS_PER_DAY])
    ),
    min_size=1, max_size=30,
)  # fmt: skip


@given(history=DAYS, every=st.integers(1, 4), data=st.data())
@settings(max_examples=40)
def test_from_checkpoints_it_is_the_same_and_reads_few_days(
    history: list[Said], every: int, data: st.DataObject
) -> None:
    """In whatever order it is asked, as each answer may leave a checkpoint to the next."""
    lines = [message.encode(entry) for entry in entries(told(history), 7)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        archives.archive(root, lines, FEED, segments=len(lines), member=1)
        archive = Archive(root, archives.ENV)
        for at_ns in data.draw(st.permutations(times(history))):
            past = Past(archive, FEED, every)
            assert records(past.known(at_ns)) == replay(history, at_ns)
            past.read.clear()
            assert records(past.known(at_ns)) == replay(history, at_ns)
            assert len(past.read) <= every + 1


def records(known: dict[str, bytes]) -> dict[str, Security]:
    return {sym: decode_held(one).instrument for sym, one in known.items()}


@pytest.fixture
def week(tmp_path: Path) -> Archive:
    """An archive of nine days, one change each."""
    history = [Said("A", "active", f"day {n}", None, None, NS_PER_DAY) for n in range(9)]
    lines = [message.encode(entry) for entry in entries(told(history), 100)]
    archives.archive(tmp_path, lines, FEED, segments=len(lines))
    return Archive(tmp_path, archives.ENV)


def title(known: dict[str, bytes]) -> str | None:
    return decode_held(known["A"]).instrument.title


def test_a_checkpoint_that_is_damaged_or_of_other_segments_is_none(week: Archive) -> None:
    days, at_ns = week.days(FEED), START + 9 * NS_PER_DAY + 5
    Past(week, FEED).known(at_ns)
    (path,) = (week.folder / FEED / checkpoint.FOLDER).iterdir()
    assert path.name == f"{days[6]}.jsonl.gz"
    whole = path.read_bytes()
    for harm in (whole[:-9], whole[:40], b"", whole.replace(whole[60:70], b"0123456789")):
        path.write_bytes(harm)
        past = Past(week, FEED)
        assert title(past.known(at_ns)) == "day 8"
        assert past.read == days
        assert path.read_bytes() == whole  # made again
    folder = week.folder / FEED / days[6]
    changed = manifests.load(folder)
    assert changed is not None
    changed.files[-1].chain = "other"
    manifests.save(folder, changed)
    past = Past(week, FEED)
    assert title(past.known(at_ns)) == "day 8"
    assert past.read == days


def test_what_follows_from_deleted_days_is_known_by_a_checkpoint_or_refused(week: Archive) -> None:
    days = week.days(FEED)
    Past(week, FEED).keep(days[3])
    for day in days[:4]:
        retired.retire(week.folder / FEED / day, at="x", why="old", forced=False)
    assert week.days(FEED) == days[4:]
    # The first change is a day after the start.
    assert title(Past(week, FEED).known(START + 5 * NS_PER_DAY)) == "day 4"
    assert title(Past(week, FEED).known(START + 10 * NS_PER_DAY)) == "day 8"
    with pytest.raises(NotFound, match="is deleted") as refused:
        Past(week, FEED).known(START + 5 * NS_PER_DAY - 1)
    assert days[4] in (refused.value.hint or "")


def _no(_: int) -> None:
    """No progress is shown."""


@given(history=HISTORIES)
def test_a_clock_that_is_set_back_hides_nothing(history: list[Said]) -> None:
    """As of any time, it is the last in order of what was known by then."""
    made = told(history)
    for at_ns in times(history):
        wanted: dict[str, Any] = {}
        for change in made:
            if change.known_ns <= at_ns:
                wanted[change.sym] = change.instrument
        assert plain(as_of(made, at_ns)) == wanted


@given(history=HISTORIES)
def test_each_change_tells_old_and_new(history: list[Said]) -> None:
    """The fields that changed lead from one record to the next, and back."""
    latest: dict[str, Change] = {}
    for change in told(history):
        before = latest.get(change.sym)
        assert change.number == (before.number + 1 if before else 1)
        assert (change.kind == "added") == (before is None)
        if before is not None:
            assert change.changed
            for name, (old, new) in change.changed.items():
                assert old != new
                assert _field(before.instrument, name) == old
                assert _field(change.instrument, name) == new
        latest[change.sym] = change


def _field(one: Security, name: str) -> Any:
    value: Any = one
    for word in name.split("."):
        value = getattr(value, word)
    return value


async def test_archive_and_stream_are_one_history(
    bus: Bus, transport: Transport, tmp_path: Path
) -> None:
    """What is in both is read once; what is in one of them is read."""
    history = [Said("A", "active", f"title {n}", n, None, 5) for n in range(30)]
    made = entries(told(history), 30)
    lines = [message.encode(entry) for entry in made]
    archives.archive(tmp_path / "archive", lines[:20], FEED)
    await bus.ensure_stream(archives.ENV, FEED, transport)
    async with bus.publisher(message.stream_name(archives.ENV, FEED)) as publisher:
        for entry, line in zip(made[10:], lines[10:], strict=True):
            publisher.put(
                message.subject(archives.ENV, FEED, TYPE, entry.sym or ""), entry.id, line
            )
        await publisher.flush(60)
    log = Log(Archive(tmp_path / "archive", archives.ENV), archives.ENV, FEED)
    found = [change async for change in changes(log, bus)]
    assert [change.number for change in found] == list(range(1, 31))
    without = Log(Archive(tmp_path / "archive", archives.ENV), archives.ENV, FEED)
    assert len([change async for change in changes(without, None)]) == 20
    nothing = Log(Archive(tmp_path, "none"), "none", FEED)
    assert [change async for change in changes(nothing, bus)] == []
