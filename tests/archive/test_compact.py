"""``ssmd archive compact``: Parquet that tells what the segments tell, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from archives import DATE, ENV, Capture, archive, put, trades, writer
from command import clean, ssmd
from histories import archived
from ssmd.archive.compact import Outcome, compact
from ssmd.dataset import Archive, Day
from ssmd.query import parquet
from ssmd.query.parquet import FOLDER
from ssmd.query.scope import Scope
from ssmd.query.session import opened
from ssmd.query.tables import TABLES
from ssmd.store import manifest as manifests


def run(day: Path) -> Outcome:
    return compact(Day(day), lambda _: None, memory="256MB")


def files(root: Path) -> list[Path]:
    return sorted((root / ENV / FOLDER).rglob("*.parquet"))


def test_a_day_becomes_hive_partitions(tmp_path: Path) -> None:
    day = archived(tmp_path, "kraken")
    done = run(day)
    assert done.state == "compacted"
    manifest = Day(day).manifest
    assert done.rows["messages"] == sum(entry.records for entry in manifest.files)
    assert {path.parent.relative_to(tmp_path / ENV / FOLDER) for path in files(tmp_path)} == {
        Path("feed=kraken") / f"type={table}" / f"date={DATE}" for table in done.rows
    }
    found = parquet.load(Day(day))
    assert found is not None
    assert [s.sha256 for s in found.sources] == [entry.sha256 for entry in manifest.files]
    assert found.exchange == "kraken"
    assert found.underivable == 0


def test_anything_that_knows_hive_reads_it(tmp_path: Path) -> None:
    done = run(archived(tmp_path, "kraken"))
    with duckdb.connect() as plain:
        rows = plain.execute(
            "SELECT type, date::VARCHAR, count(*) FROM read_parquet(?, union_by_name = true) "
            "GROUP BY ALL",
            [f"{tmp_path}/{ENV}/{FOLDER}/**/*.parquet"],
        ).fetchall()
        codecs = plain.execute(
            "SELECT DISTINCT compression FROM parquet_metadata(?)", [str(files(tmp_path)[0])]
        ).fetchall()
        keys = plain.execute(
            "SELECT sym, recv_ns FROM read_parquet(?)",
            [f"{tmp_path}/{ENV}/{FOLDER}/feed=kraken/type=quotes/**/*.parquet"],
        ).fetchall()
    assert {(table, date, count) for table, date, count in rows} == {
        (table, DATE, count) for table, count in done.rows.items()
    }
    assert codecs == [("ZSTD",)]
    assert keys == sorted(keys)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    day = archived(tmp_path, "kraken")
    run(day)
    before = [(path, path.stat().st_mtime_ns) for path in files(tmp_path)]
    assert run(day).state == "current"
    assert [(path, path.stat().st_mtime_ns) for path in files(tmp_path)] == before


def test_a_changed_day_is_compacted_anew(tmp_path: Path) -> None:
    capture = Capture("kalshi")
    to = writer(tmp_path)
    put(to, capture.session(trades(40)))
    to.seal()
    day = tmp_path / ENV / "kalshi" / DATE
    assert run(day).rows["trades"] == 40
    put(to, capture.frame(trades(41)[40]))
    assert run(day).state == "open"
    to.seal()
    to.close()
    with opened(Archive(tmp_path, ENV), Scope()) as query:
        assert query.compacted == []
        assert len(query.table("trades").fetchall()) == 41
    assert run(day).rows["trades"] == 41
    assert len([path for path in files(tmp_path) if "type=trades" in str(path)]) == 1


def test_damage_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    day = archived(tmp_path, "kraken")
    path = next(manifests.segments(day))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    done = run(day)
    assert done.state == "failed"
    assert done.why is not None
    assert path.name in done.why
    assert files(tmp_path) == []
    path.unlink()
    assert "is missing" in str(run(day).why)


def test_a_swapped_segment_is_not_taken_for_the_manifests(tmp_path: Path) -> None:
    day = archived(tmp_path, "kraken")
    first, second, *_ = manifests.segments(day)
    first.write_bytes(second.read_bytes())
    done = run(day)
    assert done.state == "failed"
    assert files(tmp_path) == []


def test_a_lost_or_cut_parquet_file_is_made_again(tmp_path: Path) -> None:
    day = archived(tmp_path, "kraken")
    run(day)
    files(tmp_path)[0].unlink()
    os.truncate(files(tmp_path)[1], 100)
    with opened(Archive(tmp_path, ENV), Scope()) as query:
        assert query.compacted == []
    assert run(day).state == "compacted"
    with opened(Archive(tmp_path, ENV), Scope()) as query:
        assert query.compacted == [("kraken", DATE)]


def test_today_stays_as_it_is(tmp_path: Path) -> None:
    day = archived(tmp_path, "kraken").rename(tmp_path / ENV / "kraken" / "2999-01-01")
    assert run(day).why == "the day is not over"
    assert not (tmp_path / ENV / FOLDER).exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from ssmd.archive import compact
from ssmd.dataset import Day

count = int(sys.argv[2])
def trace(frame, event, arg):
    global count
    if event == "call" and frame.f_code.co_filename == compact.__file__:
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(trace)
compact.compact(Day(Path(sys.argv[1])), lambda _: None, memory="256MB")
"""


def test_a_kill_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """Killed at every call that the compaction makes in its own module; each time the archive
    answers as before, and the last run finds nothing left over."""
    day = archived(tmp_path, "kraken", steps=40)
    with opened(Archive(tmp_path, ENV), Scope()) as query:
        wanted = query.table("trades").fetchall()
    lines = sum(1 for _ in Day(day).lines())
    kills = 0
    for count in [*range(1, 12), *(lines + n for n in range(8, 60, 3))]:
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(day), str(count)], env=clean(), timeout=100,
            check=False,
        )  # fmt: skip
        kills += done.returncode == -signal.SIGKILL
        assert done.returncode in (0, -signal.SIGKILL)
        with opened(Archive(tmp_path, ENV), Scope()) as query:
            assert query.table("trades").fetchall() == wanted
        if done.returncode == 0:
            parquet.manifest_of(Day(day)).unlink()
    assert kills > 12
    assert run(day).state in ("compacted", "current")
    left = {path.name for path in (tmp_path / ENV / FOLDER).iterdir()}
    assert left == {".lock", "feed=kraken"}
    found = parquet.current(Day(day), Day(day).manifest)
    assert found is not None
    assert {tmp_path / ENV / FOLDER / part.path for part in found.parts} == set(files(tmp_path))


def test_only_one_at_a_time(tmp_path: Path) -> None:
    from ssmd.archive import lock

    day = archived(tmp_path, "kraken")
    (tmp_path / ENV / FOLDER).mkdir()
    with lock.hold(tmp_path / ENV / FOLDER):
        done = run(day)
    assert done.state == "failed"
    assert "another" in str(done.why)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    archived(tmp_path / "data" / "archive", "kraken")
    return tmp_path


def test_the_command(data: Path) -> None:
    told = ssmd("archive", "compact", "--all", "--dry-run", cwd=data)
    assert "would compact" in told.stdout
    assert "messages" in told.stdout
    done = json.loads(ssmd("archive", "compact", "--all", "--json", cwd=data).stdout)
    (day,) = done["days"]
    assert day["state"] == "compacted"
    assert set(day["rows"]) <= set(TABLES)
    again = ssmd("archive", "compact", "--feed", "kraken", "--date", DATE, cwd=data)
    assert "current" in again.stdout
    assert ssmd("archive", "verify", cwd=data).returncode == 0
    assert ssmd("archive", "repair", cwd=data).stdout == f"{ENV}: nothing to repair\n"


def test_bad_words(data: Path) -> None:
    assert ssmd("archive", "compact", cwd=data).returncode == 2
    assert "no size" in ssmd("archive", "compact", "--all", "--memory", "x", cwd=data).stderr
    path = next((data / "data").rglob("*.jsonl.gz"))
    path.unlink()
    failed = ssmd("archive", "compact", "--all", cwd=data)
    assert failed.returncode == 1
    assert "is missing" in failed.stdout
    assert "Traceback" not in failed.stderr


def test_a_day_without_market_data(tmp_path: Path) -> None:
    lines = Capture("kraken").session([])
    assert run(archive(tmp_path, lines, "kraken")).rows == {"messages": len(lines)}
