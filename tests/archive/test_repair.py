"""Repair: nothing is deleted, everything sound is kept, what is missing is a gap, and once is
enough."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archives import DATE, ENV, Capture, archive, put, trades, writer
from harms import HARMS, manifest_of, told
from ssmd.archive.repair import Action, repair
from ssmd.dataset import Day
from ssmd.errors import StorageError
from ssmd.message import decode_archived
from ssmd.store import manifest as manifests
from ssmd.store import segment, tally


def mend(day: Path, *, dry_run: bool = False) -> list[Action]:
    feed = day.parent
    return repair(feed.parent, [feed.name], [], dry_run=dry_run)


def bytes_of(day: Path) -> set[str]:
    """The content of every data file, wherever it is."""
    return {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in day.rglob("*")
        if path.is_file() and ".jsonl.gz" in path.name and path.suffix != ".json"
    }


def sequences(day: Path) -> list[int]:
    return [decode_archived(line).nats_seq for line in Day(day).lines()]


def missing(day: Path) -> set[int]:
    return {
        seq
        for gap in manifest_of(day).gaps
        for seq in range(gap.after_seq + 1, gap.after_seq + 1 + gap.missing_count)
    }


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_what_is_harmed_is_mended(day: Path, harm: Callable[[Path], None]) -> None:
    every = set(sequences(day))
    harm(day)
    before = bytes_of(day)
    assert told(day)
    assert mend(day)
    assert told(day, deep=True) == []
    assert before <= bytes_of(day)
    assert set(sequences(day)) | missing(day) == every
    assert not set(sequences(day)) & missing(day)
    assert sequences(day) == sorted(sequences(day))
    assert mend(day) == []


def test_names_are_given_back(day: Path) -> None:
    before = manifests.load(day)
    for harm in HARMS:
        if harm.__name__ in ("swap", "rename"):
            harm(day)
            mend(day)
            assert manifests.load(day) == before
            assert told(day) == []


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_flipped_byte_is_mended(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    lines = Capture("kalshi").session(trades(60), clock_each=7)
    day = archive(tmp_path_factory.mktemp("a"), lines, segments=3, member=9)
    path = list(manifests.segments(day))[1]
    members = list(segment.members(path))
    content = bytearray(path.read_bytes())
    at %= len(content)
    content[at] ^= 1 << bit
    path.write_bytes(bytes(content))
    mend(day)
    assert told(day) == []
    assert mend(day) == []
    hit = next(text for offset, length, text in members if offset <= at < offset + length)
    lost = {decode_archived(line).nats_seq for line in hit.splitlines()}
    assert missing(day) in (set(), lost)
    assert set(sequences(day)) == set(range(1, len(lines) + 1)) - missing(day)
    assert path.name in [aside.name for aside in (day / "_quarantine").iterdir()]


def test_every_cut_of_a_segment_keeps_its_whole_members(tmp_path: Path) -> None:
    lines = Capture("kalshi").session(trades(12), clock_each=7)
    whole = archive(tmp_path / "whole", lines, member=5)
    (path,) = manifests.segments(whole)
    content = path.read_bytes()
    found = [(at + size, text.count(b"\n")) for at, size, text in segment.members(path)]
    for size in range(0, len(content), 3):
        day = archive(tmp_path / str(size), lines, member=5)
        next(manifests.segments(day)).write_bytes(content[:size])
        mend(day)
        assert told(day) == []
        kept = sum(count for end, count in found if end <= size)
        assert sequences(day) == list(range(1, kept + 1))
        assert missing(day) == set(range(kept + 1, len(lines) + 1))


def test_a_dry_run_changes_nothing(day: Path) -> None:
    for harm in HARMS:
        harm(day)
        break
    before = {path: path.read_bytes() for path in day.rglob("*") if path.is_file()}
    assert mend(day, dry_run=True)
    assert {path: path.read_bytes() for path in day.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("dry_run", [False, True])
def test_not_while_an_archiver_runs(tmp_path: Path, dry_run: bool) -> None:
    to = writer(tmp_path)
    put(to, Capture("kalshi").session(trades(20)))
    with pytest.raises(StorageError, match="archiver writes to"):
        mend(tmp_path / ENV / "kalshi" / DATE, dry_run=dry_run)
    to.close()
    assert mend(tmp_path / ENV / "kalshi" / DATE)
    assert told(tmp_path / ENV / "kalshi" / DATE, deep=True) == []


def test_the_archiver_goes_on_after_a_repair(day: Path) -> None:
    """The last segment is lost: what the stream still has of it is archived again."""
    *_, last = manifests.segments(day)
    entry = manifest_of(day).files[-1]
    last.unlink()
    mend(day)
    assert missing(day) == set(range(entry.nats_start_seq, entry.nats_end_seq + 1))
    to = writer(day.parents[2])
    assert to.last_seq == entry.nats_start_seq - 1
    put(to, Capture("kalshi").session(trades(60), clock_each=7)[to.last_seq :])
    to.seal()
    to.close()
    mend(day)
    assert told(day, deep=True) == []
    assert missing(day) == set()


def test_damage_in_the_middle_of_a_part_costs_its_member_only(tmp_path: Path) -> None:
    """What lies behind it is acked: an archiver that starts does not cut it off."""
    lines = Capture("kalshi").session(trades(40), clock_each=7)
    to = writer(tmp_path)
    put(to, lines, member=10)
    to.close()
    day = tmp_path / ENV / "kalshi" / DATE
    (part,) = manifests.parts(day)
    members = list(segment.members(part))
    content = bytearray(part.read_bytes())
    content[members[1][0] + members[1][1] // 2] ^= 1
    part.write_bytes(bytes(content))
    writer(tmp_path).close()
    assert sequences(day) == [*range(1, 11), *range(21, len(lines) + 1)]
    assert missing(day) == set(range(11, 21))
    assert told(day) == []
    assert bytes(content) in [p.read_bytes() for p in (day / "_quarantine").iterdir()]


def test_a_segment_whose_head_is_lost_keeps_its_stream(day: Path) -> None:
    path = list(manifests.segments(day))[1]
    content = bytearray(path.read_bytes())
    content[:40] = bytes(40)
    path.write_bytes(bytes(content))
    mend(day)
    made, _ = tally.rebuild(day, None)
    assert made is not None
    assert {entry.stream_created for entry in made.files} == {"2024-10-04T00:00:00Z"}
    assert told(day) == []
