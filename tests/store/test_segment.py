"""Segments survive a cut at any byte, and say so where a closed one is damaged."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssmd import message
from ssmd.errors import CorruptArchive
from ssmd.message import Message
from ssmd.store import segment, tally
from ssmd.store.segment import SegmentFile


def line(seq: int) -> bytes:
    entry = Message(
        feed="f", conn="c", n=seq, recv_ns=seq, mono_ns=seq, type="t", raw=message.one_line(b"{}")
    )
    return message.archive_line(seq, message.encode(entry))


def write(folder: Path, members: int, per_member: int) -> tuple[Path, list[int]]:
    """A part with so many members, and the byte at which each ends."""
    ends = []
    with SegmentFile(folder / "000000-000000000001.jsonl.gz") as file:
        for number in range(members):
            first = number * per_member + 1
            file.append(segment.compress(b"".join(line(first + k) for k in range(per_member))))
            ends.append(file.size)
        return file.part, ends


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(cut=st.integers(0, 10_000), garbage=st.binary(max_size=40))
def test_a_cut_at_any_byte_keeps_every_whole_member(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    part, ends = write(tmp_path_factory.mktemp("s"), 4, 25)
    content = part.read_bytes()
    cut %= len(content) + 1
    part.write_bytes(content[:cut] + garbage)
    counted, end = tally.recover(part)
    whole = [e for e in ends if e <= cut]
    assert end == (whole[-1] if whole else 0)
    assert counted.records == 25 * len(whole)
    assert [message.decode_capture(text).nats_seq for text in segment.lines(part)][
        : counted.records
    ] == list(range(1, counted.records + 1))


def test_a_damaged_closed_segment_is_told(tmp_path: Path) -> None:
    part, ends = write(tmp_path, 3, 10)
    SegmentFile.resume(part, ends[-1]).close()
    closed = tmp_path / "000000-000000000001.jsonl.gz"
    assert len(list(segment.lines(closed))) == 30
    content = bytearray(closed.read_bytes())
    content[ends[0] + 20] ^= 0xFF
    closed.write_bytes(bytes(content))
    with pytest.raises(CorruptArchive, match=f"damaged at byte {ends[0]}"):
        list(segment.lines(closed))


def test_an_old_segment_is_never_touched(tmp_path: Path) -> None:
    part, ends = write(tmp_path, 1, 10)
    with pytest.raises(FileExistsError):
        SegmentFile(tmp_path / "000000-000000000001.jsonl.gz")
    SegmentFile.resume(part, ends[-1]).close()
    with pytest.raises(FileExistsError):
        SegmentFile(tmp_path / "000000-000000000001.jsonl.gz")
