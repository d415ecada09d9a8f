"""Whatever happens to the files of an archive, verify tells."""

from collections.abc import Callable
from pathlib import Path

import pytest

from archives import DATE, ENV, REAL, Capture, archive, put, recording, trades, writer
from harms import (
    forge,
    leave_out,
    leave_part,
    lose_manifest,
    manifest_of,
    miscount,
    misplace,
    praise,
    remove,
    rename,
    segments,
    spoil,
    swap,
    told,
    verify,
)
from ssmd.store import manifest as manifests
from ssmd.store import segment, tally


def test_a_sound_archive_is_sound(day: Path) -> None:
    summary = verify(day, deep=True)
    assert summary.ok
    assert (summary.segments, summary.messages) == (3, 71)
    assert summary.checks == {"trade": {"unverified": 1, "verified": 59}}


def test_any_flipped_byte_is_found(day: Path) -> None:
    path = segments(day)[1]
    content = path.read_bytes()
    for at in range(len(content)):
        broken = bytearray(content)
        broken[at] ^= 1 << at % 8
        path.write_bytes(bytes(broken))
        (first, *_) = verify(day).findings
        assert first.path == str(path)
    path.write_bytes(content)
    assert verify(day).ok


def test_any_cut_is_found_with_its_place(day: Path) -> None:
    path = segments(day)[2]
    content = path.read_bytes()
    ends = [0, *(offset + length for offset, length, _ in segment.members(path))]
    for size in range(len(content)):
        path.write_bytes(content[:size])
        summary = verify(day)
        at = max(end for end in ends if end <= size)
        places = {(one.path, one.at) for one in summary.findings}
        assert (str(path), f"byte {at}") in places


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (remove, "000000-000000000025.jsonl.gz: the manifest names it, and it is gone"),
        (rename, "235959-000000000999.jsonl.gz: no manifest names this file"),
        (swap, "000000-000000000001.jsonl.gz: its bytes are not those that the manifest was made"),
        (forge, "000000-000000000001.jsonl.gz: the hash chain breaks here"),
        (leave_out, "000000-000000000049.jsonl.gz: the hash chain breaks here"),
        (leave_out, "manifest.json: 24 messages are missing, and no gap names them"),
        (miscount, "000000-000000000025.jsonl.gz: the manifest says records 25, and it is 24"),
        (misplace, "000000-000000000025.jsonl.gz: blocks are not what the manifest says"),
        (praise, "manifest.json: verified_share is not what the segments make"),
        (spoil, "manifest.json: this is no manifest that can be read"),
        (lose_manifest, "manifest.json: there is no manifest of these segments"),
        (leave_part, "235959-000000000999.jsonl.gz.part: a part that nobody writes to"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_harm_is_told(day: Path, harm: Callable[[Path], None], said: str) -> None:
    harm(day)
    found = told(day)
    assert any(one.startswith(said) for one in found), found


def test_while_an_archiver_runs_its_files_are_no_faults(tmp_path: Path) -> None:
    to = writer(tmp_path)
    put(to, Capture("kalshi").session(trades(20)))
    day = tmp_path / ENV / "kalshi" / DATE
    assert list(manifests.parts(day))
    assert verify(day).ok
    to.close()
    assert not verify(day).ok


def test_frames_that_nobody_names_are_missing(tmp_path: Path) -> None:
    capture = Capture("kalshi")
    frames = trades(30)
    lines = [line for frame in frames[:10] for line in capture.frame(frame)]
    capture.lose(2)
    lines += [line for frame in frames[10:] for line in capture.frame(frame)]
    day = archive(tmp_path, lines)
    assert told(day) == [
        "000000-000000000001.jsonl.gz: frames 11 to 12 of c1 are missing before this message,"
        " and no gap names them"
    ]


@pytest.mark.parametrize(
    "facts",
    [
        {"cause": "oversize", "n": 11},
        {"cause": "oversize", "after_n": 11},
        {"cause": "overflow", "first_n": 11, "last_n": 11},
        {"cause": "overflow", "after_n": 10, "frames": 1},
        {"cause": "overflow"},
    ],
    ids=str,
)
def test_frames_that_a_gap_names_are_no_fault(tmp_path: Path, facts: dict[str, str | int]) -> None:
    capture = Capture("kalshi")
    lines = [line for frame in trades(10) for line in capture.frame(frame)]
    capture.lose()
    lines.append(capture.gap(**facts))  # type: ignore[arg-type]
    lines += [line for frame in trades(20)[10:] for line in capture.frame(frame)]
    assert told(archive(tmp_path, lines), deep=True) == []


def test_a_frame_that_is_there_twice(tmp_path: Path) -> None:
    """The writer never does that: what is written by hand is seen all the same."""
    lines = [line for frame in trades(5) for line in Capture("kalshi").frame(frame)]
    one, two = archive(tmp_path / "a", lines[:1]), archive(tmp_path / "b", lines)
    both = b"".join(text for day in (one, two) for _, _, text in segment.members(segments(day)[0]))
    segments(two)[0].write_bytes(segment.compress(both))
    (two / manifests.NAME).unlink()
    made, _ = tally.rebuild(two, None)
    assert made is not None
    manifests.save(two, made)
    found = told(two)
    assert "000000-000000000001.jsonl.gz: frame c1:1 is here twice, or out of order" in found
    assert "000000-000000000001.jsonl.gz: its sequence comes after 1" in found


def test_elements_of_an_array_frame_are_followed(tmp_path: Path) -> None:
    capture = Capture("polymarket")
    book = b'{"event_type":"book","market":"0x1","asset_id":"%d","bids":[],"asks":[]}'
    frame = b"[%b]" % b",".join(book % asset for asset in range(4))
    lines = [*capture.frame(frame), *capture.frame(frame)]
    assert told(archive(tmp_path / "whole", lines, "polymarket"), deep=True) == []
    assert told(archive(tmp_path / "inside", lines[:2] + lines[3:], "polymarket")) == [
        "000000-000000000001.jsonl.gz: frames 1 to 1 of c1 are missing before this message,"
        " and no gap names them"
    ]
    assert len(told(archive(tmp_path / "end", lines[:3] + lines[4:], "polymarket"))) == 1


# --- deep -----------------------------------------------------------------------------------------


def broken_session(*, name: bool) -> list[bytes]:
    """A hole in the exchange's sequence, and the gap that the connector wrote or did not."""
    capture = Capture("kalshi")
    frames = trades(40)
    lines = capture.session(frames[:20] + frames[25:])
    return lines if name else [line for line in lines if b'"type":"_gap"' not in line]


def test_a_fault_that_a_gap_names_is_none(tmp_path: Path) -> None:
    day = archive(tmp_path, broken_session(name=True))
    summary = verify(day, deep=True)
    assert summary.ok
    assert summary.faults == 1
    assert summary.checks["trade"]["broken"] == 1


def test_a_fault_that_no_gap_names_is_told(tmp_path: Path) -> None:
    found = told(archive(tmp_path, broken_session(name=False)), deep=True)
    assert (
        "000000-000000000001.jsonl.gz: sequence fault in group 1 (sequences 21 to 25):"
        " no gap names it"
    ) in found


def test_a_wrong_feed_is_told(tmp_path: Path) -> None:
    lines = Capture("kalshi", "other").session(trades(3))
    assert "000000-000000000001.jsonl.gz: this is a message of feed other" in told(
        archive(tmp_path, lines), deep=True
    )


RECORDINGS = {
    "kraken": "kraken_spot/mhadiamiri_btcusd_d10_20260719_A3.jsonl",
    "kraken_futures": "kraken_futures/cryptofeed_futures_20210722.jsonl",
    "kalshi": "kalshi/zkiihne_KXGOLD15M-26AUG102030-30_first9000_resync.jsonl",
    "polymarket": "polymarket/nslaughter_noreplay_reference_20261004.jsonl",
}


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
@pytest.mark.parametrize("exchange", RECORDINGS)
def test_real_recordings_verify_deeply(tmp_path: Path, exchange: str) -> None:
    feed = exchange.replace("_", "-")
    lines = Capture(exchange, feed).session(recording(RECORDINGS[exchange], 3000))
    day = archive(tmp_path, lines, feed, segments=4, member=500)
    summary = verify(day, deep=True)
    assert summary.ok, summary.findings[:3]
    judged = sum(sum(found.values()) for found in summary.checks.values())
    checked = manifest_of(day).checked
    assert judged == checked.messages
    assert sum(found.get("verified", 0) for found in summary.checks.values()) == checked.verified


def test_one_day_alone_can_be_verified(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    capture = Capture("kalshi")
    to = writer(root)
    put(to, [line for frame in trades(10) for line in capture.frame(frame)])
    capture.now_ns += 86_400 * 10**9
    put(to, [line for frame in trades(20)[10:] for line in capture.frame(frame)])
    to.seal()
    to.close()
    day = root / ENV / "kalshi" / "2024-10-05"
    assert verify(day, deep=True, dates=[day.name]).ok
    assert verify(day, deep=True, dates=[day.name]).days == 1
    (next(manifests.segments(day.with_name(DATE)))).unlink()
    assert verify(day, dates=[day.name]).ok
    assert not verify(day).ok
