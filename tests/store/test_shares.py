"""Verified and clean shares: never more than is true, and the same from the segments alone."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import DATE, DAY, ENV, MS, REAL, Capture, archive, put, recording, trades, writer
from ssmd.archive.writer import NS_PER_DAY
from ssmd.store import manifest as manifests
from ssmd.store import tally
from ssmd.store.manifest import Manifest
from ssmd.store.shares import Checked, Checks, OpenGap, clean_share, covered, verified_share

S = 1_000_000_000


def manifest_of(day: Path) -> Manifest:
    found = manifests.load(day)
    assert found is not None
    return found


def test_a_segment_sums_its_clocks(tmp_path: Path) -> None:
    day = archive(tmp_path, Capture("kalshi").session(trades(60), clock_each=7))
    (entry,) = manifest_of(day).files
    assert entry.checked == Checked(60, 59, 1, 0)
    assert entry.verified_share == 59 / 60
    assert manifest_of(day).checked == entry.checked


def test_data_that_no_clock_speaks_of_is_unverified(tmp_path: Path) -> None:
    """A killed connector: the last 18 messages were checked by nobody, as far as is known."""
    lines = Capture("kalshi").session(trades(60), clock_each=20)
    cut = [n for n, line in enumerate(lines) if b'"_clock"' in line][1] + 1
    manifest = manifest_of(archive(tmp_path, lines[: cut + 18]))
    assert manifest.checked.messages == 40
    assert manifest.verified_share == 39 / 58


def test_data_on_a_segments_edge_is_unverified_there_and_verified_on_the_day(
    tmp_path: Path,
) -> None:
    lines = Capture("kalshi").session(trades(60), clock_each=7)
    manifest = manifest_of(archive(tmp_path, lines, segments=3))
    shares = [entry.verified_share for entry in manifest.files]
    assert all(share is not None and share < 1 for share in shares[:2])
    assert manifest.verified_share == 59 / 60


def test_nothing_to_judge_is_no_share(tmp_path: Path) -> None:
    """Quiet: connected, clocks without counts, heartbeats and acks, no market data."""
    capture = Capture("kraken")
    frames = [b'{"channel":"heartbeat"}', b'{"method":"subscribe","success":true,"result":{}}']
    manifest = manifest_of(archive(tmp_path, capture.session(frames), "kraken"))
    assert manifest.verified_share is None
    assert manifest.files[0].verified_share is None
    assert manifest.clean_share == 1.0


def test_a_clock_of_no_connection_counts_nothing(tmp_path: Path) -> None:
    capture = Capture("kalshi")
    lines = [capture.note("_clock", {"step_ns": 5}), capture.note("_clock", {"messages": -1})]
    manifest = manifest_of(archive(tmp_path, lines))
    assert manifest.checked == Checked()
    assert manifest.clean_share is None


class Model:
    """One connection, message by message, as an oracle: each data message is verified or not, and
    a ``_clock`` speaks of those since the one before."""

    def __init__(self, moves: list[str]) -> None:
        self.moves = moves

    def stretch(self, first: int, last: int) -> tuple[Checks, int, int]:
        """What is counted, and in truth ``(verified and spoken of in time, all)``."""
        counted, waiting, truth, total = Checks(), Checked(), 0, 0
        open_here: list[bool] = []
        for number, move in enumerate(self.moves):
            inside = first <= number < last
            if move == "clock":
                if inside:
                    counted.clock(Checked(**msgspec.structs.asdict(waiting)))
                    truth += sum(open_here)
                waiting, open_here = Checked(), []
                continue
            well = move == "good"
            waiting.add(Checked(1, int(well), int(not well), 0))
            if inside:
                counted.data += 1
                total += 1
                open_here.append(well)
        return counted, truth, total


@given(st.lists(st.sampled_from(["good", "good", "bad", "clock"]), max_size=60), st.data())
def test_the_share_is_never_more_than_is_true(moves: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(moves)), max_size=3)))
    model = Model(moves)
    edges = [0, *cuts, len(moves)]
    joined: Checks | None = None
    for first, last in pairwise(edges):
        counted, truth, total = model.stretch(first, last)
        verified, every = counted.judged()
        assert every == total
        assert verified <= truth
        joined = joined.join(counted) if joined else counted
    whole, truth, total = model.stretch(0, len(moves))
    assert joined == whole
    assert whole.judged() == (truth, total)


def test_more_checked_than_archived_is_not_above_one() -> None:
    """Messages that the stream dropped were checked too."""
    checks = Checks(data=3)
    checks.clock(Checked(10, 10, 0, 0))
    checks.data = 5
    checks.clock(Checked(50, 50, 0, 0))
    share = verified_share([checks])
    assert share is not None
    assert share <= 1


# --- clean ----------------------------------------------------------------------------------------


def test_time_with_an_open_gap_is_not_clean(tmp_path: Path) -> None:
    """100 s captured; a gap from 20 s (noted at 25 s) to 50 s."""
    capture = Capture("kalshi")
    start = capture.now_ns

    def at(seconds: int) -> None:
        capture.now_ns = start + seconds * S

    lines = [capture.note("_connect")]
    at(25)
    lines.append(capture.gap("sequence", from_ns=start + 20 * S, books=["KX-1"]))
    at(50)
    closed = {"id": "c1/1", "conn": "c1", "from_ns": start + 20 * S}
    lines.append(capture.note("_gap_closed", closed))
    at(100)
    lines += [capture.clock(), capture.note("_disconnect")]
    assert manifest_of(archive(tmp_path, lines, segments=2)).clean_share == 0.7


def test_a_gap_is_open_until_the_connection_after_it_closes_it(tmp_path: Path) -> None:
    """10 s on one connection, lost at its end; the next one is right again after 5 of its 10 s."""
    one, two = Capture("kalshi", conn="a"), Capture("kalshi", conn="b")
    start = one.now_ns
    lines = [one.note("_connect")]
    one.now_ns = start + 10 * S
    lines += [one.clock(), one.note("_disconnect"), one.gap("disconnected", from_ns=one.now_ns)]
    two.now_ns = start + 30 * S
    lines.append(two.note("_connect"))
    two.now_ns = start + 35 * S
    lines.append(two.note("_gap_closed", {"id": "a/1", "conn": "a"}))
    two.now_ns = start + 40 * S
    lines += [two.clock(), two.note("_disconnect")]
    assert manifest_of(archive(tmp_path, lines)).clean_share == 0.75


def test_a_gap_that_midnight_finds_open_is_open_after_it(tmp_path: Path) -> None:
    to = writer(tmp_path)
    capture = Capture("kalshi", start_ns=(DAY + 1) * NS_PER_DAY - 10 * S)
    lines = [capture.note("_connect"), capture.gap("sequence")]
    capture.now_ns += 10 * S
    lines.append(capture.clock())
    capture.now_ns += 40 * S
    lines.append(capture.note("_gap_closed", {"id": "c1/1", "conn": "c1"}))
    capture.now_ns += 60 * S
    lines += [capture.clock(), capture.note("_disconnect")]
    put(to, lines)
    to.seal()
    to.close()
    assert manifest_of(tmp_path / ENV / "kalshi" / DATE).clean_share in (0.0, None)
    assert manifest_of(tmp_path / ENV / "kalshi" / "2024-10-05").clean_share == 0.6


def test_messages_that_the_stream_dropped_are_a_gap_of_all(tmp_path: Path) -> None:
    to = writer(tmp_path)
    capture = Capture("kalshi")
    frames = [capture.frame(frame)[0] for frame in trades(11)] + [capture.clock()]
    for seq, line in enumerate(frames, 1):
        if not 4 < seq < 9:
            to.add(seq, line)
    to.flush()
    to.seal()
    to.close()
    manifest = manifest_of(tmp_path / ENV / "kalshi" / DATE)
    (gap,) = manifest.gaps
    assert (gap.after_seq, gap.missing_count, gap.to_ns - gap.from_ns) == (4, 4, 5 * MS)
    assert manifest.clean_share == 0.5


def test_time_that_no_clock_speaks_of_is_not_clean(tmp_path: Path) -> None:
    """Killed 10 s after its last ``_clock``; and a connection without any."""
    capture = Capture("kalshi")
    lines = [capture.note("_connect")]
    capture.now_ns += 30 * S
    lines.append(capture.clock())
    capture.now_ns += 10 * S - MS
    lines += capture.frame(trades(1)[0])
    assert manifest_of(archive(tmp_path / "killed", lines)).clean_share == 0.75
    silent = [line for line in lines if b'"_clock"' not in line]
    assert manifest_of(archive(tmp_path / "silent", silent)).clean_share == 0.0


def test_no_captured_time_is_no_share() -> None:
    assert clean_share({}, [OpenGap(0, 5, None)]) is None


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8))
def test_time_is_counted_once(spans: list[tuple[int, int]]) -> None:
    assert covered(spans) == len({t for first, last in spans for t in range(first, last)})


# --- the same from the segments alone -----------------------------------------------------------


@pytest.mark.parametrize("segments", [1, 2, 7])
def test_a_manifest_follows_from_its_segments(tmp_path: Path, segments: int) -> None:
    one, two = Capture("kalshi", conn="a"), Capture("kalshi", conn="b")
    frames = trades(200)
    lines = one.session(frames[:80] + frames[90:], clock_each=9) + two.session(frames)
    lines += lines[-5:]  # resent: known, and marked
    day = archive(tmp_path, lines, segments=segments, member=13)
    made, damaged = tally.rebuild(day, None)
    assert damaged == []
    assert made == manifest_of(day)
    assert made.duplicates == 5
    assert made.exchange_gaps


def test_days_and_streams_follow_on_each_other(tmp_path: Path) -> None:
    to = writer(tmp_path)
    capture = Capture("kalshi")
    for number in range(6):
        capture.now_ns += NS_PER_DAY // 3
        put(to, [capture.frame(frame)[0] for frame in trades(20)])
        to.last_seq += number  # the stream dropped some
        if number == 3:
            to.seal()
            to.renew("2024-10-06T12:00:00Z")
    to.seal()
    to.close()
    found = list(tally.rebuild_all(tmp_path / ENV / "kalshi"))
    assert [folder.name for folder, _, _ in found] == ["2024-10-04", "2024-10-05", "2024-10-06"]
    for folder, made, _ in found:
        assert made == manifest_of(folder)
    assert sum(gap.missing_count for _, made, _ in found if made for gap in made.gaps) == 7


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
def test_a_real_day_follows_from_its_segments(tmp_path: Path) -> None:
    frames = recording("kraken_spot/mhadiamiri_btcusd_d10_20260719_A3.jsonl")
    day = archive(tmp_path, Capture("kraken").session(frames), "kraken", segments=5)
    made, _ = tally.rebuild(day, None)
    assert made == manifest_of(day)
    assert made.verified_share == 1.0
    assert made.clean_share == 1.0
