"""A feed over receive time: what a plain scan gives, out of the members that may hold it."""

import gzip
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import ENV, writer
from ssmd import message
from ssmd.archive.writer import NS_PER_DAY, Writer
from ssmd.dataset import Archive
from ssmd.message import Message
from ssmd.span import FOREVER_NS, Hole, Place, Span, date_of
from ssmd.store import manifest as manifests
from ssmd.store import segment

DAY = 20_000
HOUR_NS = NS_PER_DAY // 24
FEED = "kalshi"


class Stored(NamedTuple):
    created: str
    seq: int
    recv_ns: int
    line: bytes


class History:
    """Messages as they are archived, and what the archive must give back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.archive = Archive(root, ENV)
        self.lines: list[Stored] = []
        self.now_ns = DAY * NS_PER_DAY
        self._to: Writer | None = None
        self._created = 0
        self._n = 0
        self.renew()

    @property
    def to(self) -> Writer:
        assert self._to is not None
        return self._to

    def renew(self) -> None:
        """The stream is deleted and made anew."""
        if self._to is not None:
            self._to.flush()
            self._to.seal()
            self._to.close()
        self._created += 1
        self._to = writer(self.root, FEED, created=f"2024-10-04T00:00:00.{self._created}Z")

    def add(self, *, ahead_ns: int = 1, late_ns: int = 0) -> None:
        self.now_ns += ahead_ns
        self._n += 1
        recv_ns = max(0, self.now_ns - late_ns)
        line = message.encode(
            Message(
                feed=FEED, conn="c", n=self._n, recv_ns=recv_ns, mono_ns=1, type="trade",
                raw=msgspec.Raw(b'{"n":%d}' % self._n),
            )
        )  # fmt: skip
        seq = self.to.last_seq + 1
        self.to.add(seq, line)
        created = self.to.about.stream_created
        self.lines.append(
            Stored(created, seq, recv_ns, message.archive_line(seq, line).removesuffix(b"\n"))
        )

    def close(self) -> None:
        self.to.flush()
        self.to.close()

    def folders(self) -> list[Path]:
        return manifests.days(self.root / ENV / FEED)

    def files(self) -> list[Path]:
        return [
            path
            for folder in self.folders()
            for path in (*manifests.segments(folder), *manifests.parts(folder))
        ]

    def lose(self, content: bytes) -> None:
        gone = set(content.splitlines())
        self.lines = [one for one in self.lines if one.line not in gone]

    def between(self, start_ns: int, end_ns: int) -> list[bytes]:
        return [one.line for one in self.lines if start_ns <= one.recv_ns < end_ns]


def damage(path: Path, number: int) -> bytes:
    """Spoil one member; what it held."""
    found = list(segment.members(path))
    offset, length, content = found[number % len(found)]
    spoilt = bytearray(path.read_bytes())
    spoilt[offset + length - 6] ^= 1
    path.write_bytes(spoilt)
    return content


def forget_times(folder: Path) -> None:
    """The manifest as an earlier version wrote it."""
    manifest = manifests.load(folder)
    if manifest is not None:
        for entry in manifest.files:
            entry.blocks = [segment.as_told([one], [])[0] for one in entry.blocks]
        manifests.save(folder, manifest)


def unreadable(hole: Hole) -> None:
    pytest.fail(f"unexpected: {hole}")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([1, 7, HOUR_NS, 7 * HOUR_NS]), st.just(0)),
        st.tuples(st.just("add"), st.just(1), st.integers(0, NS_PER_DAY - 1)),
        st.sampled_from([("flush", 0, 0), ("seal", 0, 0), ("renew", 0, 0)]),
    ),
    min_size=1,
    max_size=25,
)


def made(root: Path, steps: list[tuple[str, int, int]]) -> History:
    history = History(root)
    for what, ahead_ns, late_ns in steps:
        if what == "add":
            history.add(ahead_ns=ahead_ns, late_ns=late_ns)
        elif what == "renew":
            history.renew()
        else:
            history.to.flush()
            if what == "seal":
                history.to.seal()
    history.close()
    return history


def spoil(history: History, rng: random.Random, how: str) -> None:
    files = history.files()
    if how == "damage" and files:
        history.lose(damage(rng.choice(files), rng.randrange(9)))
    elif how == "missing":
        named = [
            folder / entry.name
            for folder in history.folders()
            for entry in (manifests.load(folder) or manifests.Manifest(feed="", date="")).files
        ]
        if named:
            path = rng.choice(named)
            history.lose(gzip.decompress(path.read_bytes()))
            path.unlink()
    elif how == "no manifest":
        for folder in history.folders():
            (folder / manifests.NAME).unlink(missing_ok=True)
    elif how == "old manifest":
        for folder in history.folders():
            forget_times(folder)


@given(
    steps=STEPS,
    how=st.sampled_from(["whole", "damage", "missing", "no manifest", "old manifest"]),
    seed=st.integers(0, 2**32),
)
def test_any_range_is_what_a_plain_scan_finds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]], how: str, seed: int
) -> None:
    rng = random.Random(seed)
    history = made(tmp_path_factory.mktemp("archive"), steps)
    stored = len(history.lines)
    spoil(history, rng, how)
    holes: list[Hole] = []
    list(Span(history.archive, FEED, hole=holes.append).chunks())
    assert sum(hole.messages or 0 for hole in holes) == stored - len(history.lines)
    times = [one.recv_ns + step for one in history.lines for step in (0, 1)] or [0]
    for _ in range(5):
        start_ns, end_ns = rng.choice(times), rng.choice(times)
        span = Span(history.archive, FEED, start_ns, end_ns, hole=lambda _: None)
        assert list(span.lines()) == history.between(start_ns, end_ns)
    wanted = history.between(0, FOREVER_NS)
    for place in [one.place for one in Span(history.archive, FEED, hole=holes.append).chunks()]:
        assert [*up_to(history, place), *after(history, place)] == wanted


def up_to(history: History, place: Place) -> Iterator[bytes]:
    for chunk in Span(history.archive, FEED, hole=lambda _: None).chunks():
        yield from chunk.lines.splitlines()
        if chunk.place == place:
            return


def after(history: History, place: Place) -> list[bytes]:
    return list(Span(history.archive, FEED, after=place, hole=lambda _: None).lines())


@given(steps=STEPS)
def test_a_place_within_a_member_is_gone_on_from(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    history = made(tmp_path_factory.mktemp("archive"), steps)
    wanted = [one.line for one in history.lines]
    dates = {}
    for chunk in Span(history.archive, FEED, hole=unreadable).chunks():
        for line in chunk.lines.splitlines():
            dates[line] = chunk.place.date
    before = ""
    for at, one in enumerate(history.lines, 1):
        place = Place(dates[one.line], one.created, one.seq)
        assert after(history, place) == wanted[at:]
        # As it is told of a message on the bus: which folder it will be in is not known.
        early = msgspec.structs.replace(place, date=max(before, date_of(one.recv_ns)))
        assert after(history, early) == wanted[at:]
        before = place.date


def test_only_the_members_of_the_range_are_opened(tmp_path: Path) -> None:
    """What is beside is damaged, and nobody notices."""
    history = History(tmp_path)
    for number in range(1, 61):
        history.add(ahead_ns=HOUR_NS)
        if number % 2 == 0:
            history.to.flush()
        if number % 20 == 0 and number < 60:
            history.to.seal()
    history.close()
    wanted = {25, 26, 27, 45, 46}
    for path in history.files():
        for number, (_, _, content) in reversed(list(enumerate(segment.members(path)))):
            if not wanted & {one.seq for one in history.lines if one.line in content.splitlines()}:
                damage(path, number)
    for seqs in (range(25, 28), range(45, 47)):
        chosen = [one for one in history.lines if one.seq in seqs]
        span = Span(
            history.archive, FEED, chosen[0].recv_ns, chosen[-1].recv_ns + 1, hole=unreadable
        )
        assert list(span.lines()) == [one.line for one in chosen]


def test_a_missing_segment_is_told_with_what_is_known_of_it(tmp_path: Path) -> None:
    history = made(tmp_path, [("add", 5, 0), ("add", 5, 0), ("seal", 0, 0), ("add", 5, 0)])
    (path,) = manifests.segments(history.folders()[0])
    path.unlink()
    holes: list[Hole] = []
    assert len(list(Span(history.archive, FEED, hole=holes.append).lines())) == 1
    first = history.lines[0].recv_ns
    assert holes == [
        Hole(FEED, "2024-10-04", f"{path.name} is missing", 2, first, history.lines[1].recv_ns)
    ]
    assert list(Span(history.archive, FEED, 0, first, hole=unreadable).lines()) == []


def test_a_feed_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert list(Span(Archive(tmp_path, ENV), "../x", hole=unreadable).lines()) == []
