"""Messages that wait in files: each once, in order, through whatever happens to the files."""

from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disk import fill
from ssmd.connect import spill as spills
from ssmd.connect.spill import Record, Spill
from ssmd.errors import StorageError


def record(number: int, size: int = 10) -> Record:
    return Record(f"demo.kraken.json.t.S{number}", f"c:{number}:0", b"%d " % number + b"x" * size)


def fill_up(folder: Path, count: int) -> list[Record]:
    spill = Spill(folder)
    records = [record(number) for number in range(count)]
    for one in records:
        spill.append(*one)
    spill.close()
    return records


def take_all(spill: Spill) -> list[Record]:
    found: list[Record] = []
    while some := spill.take(7) or spill.take_buffered():
        found += some
    return found


def reopened(folder: Path) -> tuple[list[Record], list[Path]]:
    """What the next process finds, and the files that were kept as damaged."""
    spill = Spill(folder)
    found = take_all(spill)
    while spill.taken:
        spill.remove_taken()
    assert spill.empty
    assert spill.size_bytes == 0
    spill.close()
    assert not list(folder.glob(f"*{spills.SUFFIX}"))
    return found, list(folder.glob("*.damaged"))


Step = tuple[str, int]


@given(
    st.lists(
        st.tuples(st.sampled_from(["append", "flush", "take", "reopen"]), st.integers(1, 9)),
        max_size=60,
    )
)
def test_it_is_a_queue(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    folder, waiting, number = tmp_path_factory.mktemp("spill"), deque[Record](), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spills, "FILE_BYTES", 300)
        patch.setattr(spills, "BUFFER_BYTES", 150)
        spill = Spill(folder)
        for step, count in steps:
            if step == "append":
                for _ in range(count):
                    waiting.append(record(number))
                    spill.append(*waiting[-1])
                    number += 1
            elif step == "flush":
                spill.flush()
            elif step == "take":
                spill.flush()
                expected = [waiting.popleft() for _ in range(min(count, len(waiting)))]
                assert spill.take(count) == expected
            else:
                # What was taken and not removed is there again; here all of it was stored.
                spill.close()
                spill = Spill(folder)
                again = take_all(spill)
                assert again[len(again) - len(waiting) :] == list(waiting)
                while spill.taken:
                    spill.remove_taken()
                waiting.clear()
        spill.flush()
        assert take_all(spill) == list(waiting)
        spill.close()


def test_a_file_cut_at_any_byte_gives_what_was_whole(tmp_path: Path) -> None:
    records = fill_up(tmp_path / "whole", 5)
    (file,) = (tmp_path / "whole").glob(f"*{spills.SUFFIX}")
    content = file.read_bytes()
    size = len(content) // 5
    assert len(content) == size * 5
    for cut in range(len(content)):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / file.name).write_bytes(content[:cut])
        found, damaged = reopened(folder)
        assert found == records[: cut // size]
        assert bool(damaged) == bool(cut % size)


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_is_found_wherever_it_is(tmp_path: Path, flip: int) -> None:
    records = fill_up(tmp_path / "whole", 3)
    (file,) = (tmp_path / "whole").glob(f"*{spills.SUFFIX}")
    content = file.read_bytes()
    for place in range(len(content)):
        folder = tmp_path / f"flip{place}"
        folder.mkdir()
        harmed = bytearray(content)
        harmed[place] ^= flip
        (folder / file.name).write_bytes(harmed)
        found, damaged = reopened(folder)
        assert found == records[: place // (len(content) // 3)]
        (kept,) = damaged
        assert kept.read_bytes() == harmed


def test_what_zeros_a_power_loss_left_are_no_records(tmp_path: Path) -> None:
    records = fill_up(tmp_path, 3)
    (file,) = tmp_path.glob(f"*{spills.SUFFIX}")
    with file.open("ab") as end:
        end.write(bytes(4096))
    found, damaged = reopened(tmp_path)
    assert found == records
    assert len(damaged) == 1


def test_a_full_disk_loses_nothing_that_was_taken(small_disk: Path) -> None:
    spill = Spill(small_disk / "spill")
    records = [record(number, 5000) for number in range(400)]
    refused = 0
    for one in records:
        try:
            spill.append(*one)
        except OSError:
            refused += 1
    assert refused
    filler = fill(small_disk)
    with pytest.raises(OSError, match="No space left"):
        spill.flush()
    assert take_all(spill) == records
    filler.unlink()
    spill.close()


def test_two_connectors_do_not_share_it(tmp_path: Path) -> None:
    first = Spill(tmp_path)
    with pytest.raises(StorageError, match="another connector") as error:
        Spill(tmp_path)
    assert "--shard" in str(error.value.hint)
    first.close()
    Spill(tmp_path).close()
