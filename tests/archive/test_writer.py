"""The writer: every message once, whatever is delivered again, and durable before it says so."""

import errno
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ssmd import message
from ssmd.archive.verify import verify
from ssmd.archive.writer import NS_PER_DAY, About, Writer
from ssmd.config import Rotation, Schedule
from ssmd.dataset import Archive, Day
from ssmd.errors import StorageError
from ssmd.message import Message
from ssmd.query.facts import coverage_row
from ssmd.store import manifest as manifests
from ssmd.store.manifest import OTHER
from ssmd.store.tally import TYPES_MOST

ABOUT = About("demo", "kalshi", "message:v1", "sha256:0", "2026-01-01T00:00:00Z")
DAY = 20_000


def payload(n: int, *, part: int = 0, conn: str = "c", day: int = DAY, **more: str) -> bytes:
    return message.encode(
        Message(
            feed="kalshi",
            conn=conn,
            n=n,
            part=part or msgspec.UNSET,
            recv_ns=day * NS_PER_DAY + n,
            mono_ns=n,
            type=more.get("type", "trade"),
            sym=more.get("sym", "KX-1"),
            raw=message.one_line(b'{"price":0.5000}'),
        )
    )


def writer(root: Path, about: About = ABOUT) -> Writer:
    return Writer(root, about, Rotation())


def days(root: Path) -> list[Day]:
    archive = Archive(root, "demo")
    return [archive.day("kalshi", day) for day in archive.days("kalshi")]


def sequences(root: Path) -> list[int]:
    return [m.nats_seq for day in days(root) for m in day.messages()]


def fill(one: Writer, first: int, last: int) -> None:
    for n in range(first, last + 1):
        one.add(n, payload(n))
    one.flush()


def test_redeliveries_and_resends_are_not_written_again(tmp_path: Path) -> None:
    one = writer(tmp_path)
    fill(one, 1, 10)
    fill(one, 5, 12)  # redelivered under the same sequence
    one.add(13, payload(12))  # resent beyond the duplicate window: another sequence
    one.add(14, payload(13))
    one.flush()
    one.seal()
    one.close()
    assert one.duplicates == 7
    found = [m for day in days(tmp_path) for m in day.messages()]
    assert [m.n for m in found if m.type == "trade"] == list(range(1, 14))
    assert [(m.nats_seq, m.payload) for m in found if m.type == "_duplicate"] == [
        (13, b'{"of":"c:12:0","type":"trade"}')
    ]
    manifest = days(tmp_path)[0].manifest
    assert manifest.duplicates == 1
    assert not manifest.has_gaps
    assert manifest.files[0].connections["c"].last_n == 13


def test_a_killed_archiver_goes_on_where_it_was(tmp_path: Path) -> None:
    one = writer(tmp_path)
    fill(one, 1, 10)
    one.add(11, payload(11))  # in the buffer only: not acked
    one.close()
    two = writer(tmp_path)
    assert two.last_seq == 10
    fill(two, 8, 20)
    two.seal()
    two.close()
    assert sequences(tmp_path) == list(range(1, 21))
    files = days(tmp_path)[0].manifest.files
    assert [(f.nats_start_seq, f.nats_end_seq) for f in files] == [(1, 10), (11, 20)]
    assert files[1].chain == manifests.link(files[0].chain, files[1].sha256)


def test_a_corrupt_manifest_is_set_aside_and_rebuilt(tmp_path: Path) -> None:
    one = writer(tmp_path)
    fill(one, 1, 10)
    one.seal()
    one.close()
    folder = days(tmp_path)[0].folder
    (folder / manifests.NAME).write_bytes(b'{"feed":')
    two = writer(tmp_path)
    two.close()
    manifest = days(tmp_path)[0].manifest
    assert [entry.records for entry in manifest.files] == [10]
    assert list(folder.glob("manifest.json.corrupt-*"))


def test_days_are_those_of_receipt(tmp_path: Path) -> None:
    one = writer(tmp_path)
    for n in range(1, 7):
        one.add(n, payload(n, day=DAY + n // 4))
    one.flush()
    one.seal()
    one.close()
    assert [[m.n for m in day.messages()] for day in days(tmp_path)] == [[1, 2, 3], [4, 5, 6]]


def test_what_the_stream_dropped_is_a_gap(tmp_path: Path) -> None:
    one = writer(tmp_path)
    fill(one, 1, 3)
    one.add(9, payload(9))
    one.flush()
    one.seal()
    one.close()
    manifest = days(tmp_path)[0].manifest
    assert manifest.has_gaps
    assert [(gap.after_seq, gap.missing_count) for gap in manifest.gaps] == [(3, 5)]


def test_a_recreated_stream_is_no_redelivery(tmp_path: Path) -> None:
    one = writer(tmp_path)
    fill(one, 1, 5)
    one.seal()
    one.close()
    two = writer(tmp_path, msgspec.structs.replace(ABOUT, stream_created="2026-02-02T00:00:00Z"))
    assert two.last_seq == 0
    two.add(1, payload(1, conn="d"))
    two.flush()
    two.seal()
    two.close()
    assert sequences(tmp_path) == [1, 2, 3, 4, 5, 1]


def test_types_without_end_are_counted_together(tmp_path: Path) -> None:
    """An exchange that gives each message a type of its own does not make the manifest grow."""
    one = writer(tmp_path)
    for n in range(1, 1001):
        one.add(n, payload(n, type=f"{'_' if n % 10 == 0 else ''}invented-{n}"))
    for n in range(1001, 1004):
        one.add(n, payload(n, type="invented-1"))
    one.add(1004, payload(1003, part=-1, type="_clock"))
    one.add(1005, payload(1004, type="heartbeat"))
    one.flush()
    one.seal()
    one.close()
    (day,) = days(tmp_path)
    (entry,) = day.manifest.files
    counts = entry.records_by_type
    assert len(counts) == TYPES_MOST + 4
    assert (counts["invented-1"], counts["_clock"], counts["heartbeat"]) == (4, 1, 1)
    assert (counts[OTHER], counts[message.UNKNOWN]) == (669, 75)
    assert sum(counts.values()) == entry.records == 1005
    assert OTHER in day.manifest.message_types
    assert coverage_row(day.manifest, Schedule(), compacted=False)["market_data"] == 903
    assert [m.n for m in day.messages(type="invented-999")] == [999]
    assert verify(tmp_path / "demo", ["kalshi"], (), deep=False, tell=print, progress=id).ok


def test_what_is_no_message_is_kept(tmp_path: Path) -> None:
    one = writer(tmp_path)
    one.add(1, b"\xff not ours")
    one.flush()
    one.seal()
    one.close()
    (only,) = (m for day in days(tmp_path) for m in day.messages())
    assert only.type == "_foreign"
    assert only.payload == b"\xff not ours"


def test_two_archivers_of_one_feed_are_refused(tmp_path: Path) -> None:
    one = writer(tmp_path)
    with pytest.raises(StorageError, match="another archiver"):
        writer(tmp_path)
    one.close()


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files can grow to 4 KiB only: a full disk, as a process sees it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def _fill_until_it_fails(one: Writer) -> None:
    for n in range(1, 20_000):
        one.add(n, payload(n, sym=f"KX-{n * 7919}"))
        if n % 50 == 0:
            one.flush()


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    one = writer(tmp_path)
    with pytest.raises(OSError, match="too large") as caught:
        _fill_until_it_fails(one)
    assert caught.value.errno == errno.EFBIG
    last = one.last_seq
    resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)[1:] * 2)
    one.flush()
    one.seal()
    one.close()
    assert sequences(tmp_path) == list(range(1, last + 1))
