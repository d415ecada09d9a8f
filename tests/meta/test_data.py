"""``ssmd meta data``: every command on real archives, sound and broken."""

import csv
import json
import re
import shlex
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import nanoarrow
import pytest
from nanoarrow import ipc

from archives import DATE, ENV, REAL, Capture, archive, put, recording, trades, writer
from command import refused, ssmd
from histories import archived
from ssmd.archive.compact import compact
from ssmd.dataset import Day
from ssmd.store import manifest as manifests
from ssmd.store import retired
from ssmd.store.segment import PART

DOCS = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with an archive in ``data``."""
    archived(tmp_path / "data" / "archive", "kraken", steps=600)
    return tmp_path


def asked(*words: str, cwd: Path, **variables: str) -> Any:
    done = ssmd("meta", "data", *words, "--json", cwd=cwd, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def commands() -> list[str]:
    fences = re.findall(r"^```sh\n(.*?)^```", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line.partition(" #")[0].strip() for fence in fences for line in fence.splitlines()]


def test_what_the_docs_show_works(folder: Path) -> None:
    assert len(commands()) == 15
    for command in commands():
        first, *words = shlex.split(command)
        assert first == "ssmd"
        done = ssmd(*words, cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), command
        assert done.stdout
        if "--out" in words:
            assert (folder / words[words.index("--out") + 1]).stat().st_size


def test_list(folder: Path) -> None:
    (row,) = asked("list", cwd=folder)
    assert row.keys() == {"feed", "date", "records", "tickers", "size_mb", "has_gaps"}
    lines = sum(1 for _ in Day(folder / "data/archive" / ENV / "kraken" / DATE).lines())
    assert (row["feed"], row["date"], row["records"]) == ("kraken", DATE, lines)
    table = ssmd("meta", "data", "list", cwd=folder).stdout.splitlines()
    assert table[0].split() == ["FEED", "DATE", "RECORDS", "TICKERS", "SIZE", "GAPS"]
    assert asked("list", "--from", "2024-10-05", cwd=folder) is None
    assert asked("list", "--to", DATE, "--feed", "kraken", cwd=folder) == [row]


def test_the_archive_can_be_named_in_every_way(folder: Path) -> None:
    wanted = asked("list", cwd=folder)
    for path in ("data", "data/archive", f"data/archive/{ENV}"):
        assert asked("list", "--path", path, cwd=folder) == wanted
        assert asked("list", cwd=folder, SSMD_DATA_PATH=path) == wanted
    assert asked("list", "--env", ENV, cwd=folder) == wanted
    assert asked("list", cwd=folder, SSMD_DATA_PATH="") == wanted
    done = ssmd("meta", "data", "list", "--output", "json", cwd=folder)
    assert json.loads(done.stdout) == wanted


@pytest.mark.parametrize("scheme", ["s3", "gs", "https"])
def test_object_storage_is_refused(folder: Path, scheme: str) -> None:
    error, hint = refused("meta", "data", "list", "--path", f"{scheme}://bucket/x", cwd=folder)
    assert f"{scheme}:// is not supported" in error
    assert "--path" in hint


def test_names_that_are_none(folder: Path) -> None:
    for words, told in (
        (["list", "--path", "nowhere"], "there is no folder nowhere"),
        (["list", "--feed", "../x"], "no feed '../x'"),
        (["list", "--env", "nothing"], "data has no archive of nothing"),
        (["sample", "kraken", "2024-10-05"], "no dataset kraken on 2024-10-05"),
        (["sample", "..", DATE], f"no dataset .. on {DATE}"),
        (["schema", "kraken", "nonsense"], "unknown message type 'nonsense'"),
        (["schema", "nofeed", "trade"], "no feed 'nofeed'"),
        (["gaps", "--feed", "nofeed"], "no feed 'nofeed'"),
        (["export", "--type", "nonsense", "--out", "x.csv"], "no table or message type 'nonsense'"),
        (["export", "--feed", "nofeed", "--out", "x.csv"], "no feed 'nofeed'"),
        (["export", "--from", "2030-01-01", "--out", "x.csv"], "nothing is archived in that time"),
        (["export", "--out", "no/such/x.csv"], "cannot write no/such/x.csv"),
    ):
        error, _ = refused("meta", "data", *words, cwd=folder)
        assert told in error
    (folder / "data/archive/other/kraken/2024-10-04").mkdir(parents=True)
    error, hint = refused("meta", "data", "list", cwd=folder)
    assert f"{ENV}, other" in error
    assert "--env" in hint
    assert [path.name for path in folder.iterdir()] == ["data"]


@pytest.mark.parametrize("value", ["yesterday", "2024-13-01", "2024-10-04T99:00:00Z", "1e9", ""])
def test_times_that_are_none(folder: Path, value: str) -> None:
    done = ssmd("meta", "data", "list", "--from", value, cwd=folder)
    assert done.returncode == 2
    assert "is no date" in done.stderr


def test_sample_is_as_archived(folder: Path) -> None:
    day = Day(folder / "data/archive" / ENV / "kraken" / DATE)
    done = ssmd("meta", "data", "sample", "kraken", DATE, "--limit", "5", "--json", cwd=folder)
    lines = [line for _, line in zip(range(5), day.lines(), strict=False)]
    assert done.stdout.encode() == b"[" + b"\n,".join(lines) + b"\n]\n"
    books = asked("sample", "kraken", DATE, "--type", "orderbook", cwd=folder)
    assert len(books) == 10
    assert {message["type"] for message in books} == {"book"}
    found = asked("sample", "kraken", DATE, "--ticker", "btc/usd", "--limit", "3", cwd=folder)
    assert all("BTC/USD" in json.dumps(message) for message in found)
    assert asked("sample", "kraken", DATE, "--ticker", "' OR 1=1", cwd=folder) is None
    told = ssmd("meta", "data", "sample", "kraken", DATE, "--ticker", "none", cwd=folder).stdout
    assert told == "no such message\n"


def test_a_long_line_a_torn_tail_and_an_open_segment(tmp_path: Path) -> None:
    """What made the reference answer 3 of 6,000 without a word."""
    capture = Capture("kalshi")
    frames = trades(30)
    frames[5] = frames[5].replace(b'"t6"', b'"' + b"t" * 200_000 + b'"')
    to = writer(tmp_path / "archive")
    put(to, (line for frame in frames for line in capture.frame(frame)), member=7)
    (part,) = (tmp_path / "archive").rglob(f"*{PART}")
    with part.open("ab") as file:
        file.write(b"\x1f\x8b\x08torn")
    (row,) = asked("list", "--path", ".", cwd=tmp_path)
    assert row["records"] == 30
    found = asked("sample", "kalshi", DATE, "--limit", "100", "--path", ".", cwd=tmp_path)
    assert len(found) == 30
    (item,) = asked("inventory", "--path", ".", cwd=tmp_path)
    assert (item["status"], item["record_count"]) == ("open", 30)
    words = ["export", "--type", "trades", "--out", "t.ndjson", "--path", "."]
    assert asked(*words, cwd=tmp_path)["rows"] == 30
    to.close()


def test_holes_are_named_and_the_rest_is_served(tmp_path: Path) -> None:
    day = archive(tmp_path / "data/archive", Capture("kalshi").session(trades(90)), segments=3)
    first, second, _ = manifests.segments(day)
    first.unlink()
    content = bytearray(second.read_bytes())
    content[len(content) // 2] ^= 0xFF
    second.write_bytes(content)
    for words in (
        ["sample", "kalshi", DATE, "--limit", "1000"],
        ["export", "--type", "trades", "--out", "t.csv"],
        ["export", "--type", "trade", "--out", "t.ndjson"],
    ):
        done = ssmd("meta", "data", *words, "--json", cwd=tmp_path)
        assert done.returncode == 0
        assert f"{first.name} is missing" in done.stderr
        assert f"{second.name} is damaged" in done.stderr
    assert 25 <= len((tmp_path / "t.ndjson").read_bytes().splitlines()) < 60
    (item,) = asked("inventory", cwd=tmp_path)
    assert item["status"] == "damaged"
    assert item["damaged"] == [f"{first.name} is missing"]
    gaps = asked("gaps", cwd=tmp_path)
    assert {gap["cause"] for gap in gaps} == {"segment_damaged"}


def test_gaps(tmp_path: Path) -> None:
    frames = trades(60)
    archive(tmp_path / "archive", Capture("kalshi").session(frames[:20] + frames[25:]))
    (gap,) = asked("gaps", "--path", ".", cwd=tmp_path)
    assert (gap["feed"], gap["cause"], gap["missing"]) == ("kalshi", "sequence", 5)
    assert asked("gaps", "--path", ".", "--symbol", "KX-2", cwd=tmp_path) == [gap]
    table = ssmd("meta", "data", "gaps", "--path", ".", cwd=tmp_path).stdout
    assert "sequence" in table


def test_schema_is_what_was_seen(folder: Path) -> None:
    found = asked("schema", "kraken", "trade", cwd=folder)
    assert found["exchange"] == "kraken"
    assert "raw.data[].price" in found["fields"]
    assert found["derived"] == ["trade"]
    assert found["observed"] > 0
    assert {b["id"] for b in asked("builders", cwd=folder)} >= {"orderbook"}


def test_inventory_tells_of_parquet(folder: Path) -> None:
    day = folder / "data/archive" / ENV / "kraken" / DATE
    compact(Day(day), lambda _: None, memory="256MB")
    items = asked("inventory", cwd=folder)
    assert items[0]["data_type"] == "raw"
    kinds = {item["data_type"]: item for item in items}
    assert kinds["messages"]["record_count"] == kinds["raw"]["record_count"]
    assert {item["status"] for item in items} == {"closed"}
    path = next(manifests.segments(day))
    path.rename(path.with_name("000001-000000000001.jsonl.gz"))
    kinds = {item["data_type"]: item for item in asked("inventory", cwd=folder)}
    assert kinds["raw"]["status"] == "damaged"
    assert kinds["trades"]["status"] == "stale"


def test_inventory_tells_of_deleted_days(folder: Path) -> None:
    feed = folder / "data/archive" / ENV / "kraken"
    shutil.copytree(feed / DATE, feed / "2024-09-30")
    retired.retire(feed / "2024-09-30", at="2026-01-01T00:00:00Z", why="old", forced=False)
    item, other = asked("inventory", "--feed", "kraken", cwd=folder)
    assert (item["date"], item["status"], item["byte_size"]) == ("2024-09-30", "deleted", 0)
    assert item["first_timestamp"] == other["first_timestamp"]
    assert other["status"] == "closed"


def test_quality_is_the_archives_own_report(folder: Path) -> None:
    (row,) = asked("quality", cwd=folder)
    done = ssmd("archive", "report", "--json", cwd=folder)
    assert json.loads(done.stdout)["datasets"][0]["verified_share"] == row["verified_share"]


# --- export -------------------------------------------------------------------------------------


def test_every_format_tells_the_same(folder: Path) -> None:
    for kind in ("csv", "ndjson", "parquet"):
        told = asked("export", "--type", "trades", "--out", f"t.{kind}", cwd=folder)
        assert told["rows"] > 0
        assert told["bytes"] == (folder / f"t.{kind}").stat().st_size
    with (folder / "t.csv").open(newline="") as file:
        by_csv = [(row["sym"], row["price"], row["nats_seq"]) for row in csv.DictReader(file)]
    lines = [json.loads(line) for line in (folder / "t.ndjson").read_bytes().splitlines()]
    assert by_csv == [(row["sym"], row["price"], str(row["nats_seq"])) for row in lines]
    with duckdb.connect() as plain:
        rows = plain.read_parquet(str(folder / "t.parquet")).fetchall()
    assert [(sym, Decimal(price)) for sym, price, _ in by_csv] == [(r[1], r[9]) for r in rows]
    records = Day(folder / "data/archive" / ENV / "kraken" / DATE).records("kraken", type="trade")
    assert [price for _, price, _ in by_csv] == [
        f"{record.price.normalize():f}" for record in records
    ]


def test_arrow(folder: Path) -> None:
    told = asked("export", "--type", "trades", "--out", "t.arrow", cwd=folder)
    with ipc.InputStream.from_path(folder / "t.arrow") as stream:
        assert len(nanoarrow.Array(stream)) == told["rows"]


def test_messages_are_the_archived_lines(folder: Path) -> None:
    asked("export", "--out", "m.ndjson", cwd=folder)
    day = Day(folder / "data/archive" / ENV / "kraken" / DATE)
    assert (folder / "m.ndjson").read_bytes().splitlines() == list(day.lines())
    asked("export", "--type", "trade", "--out", "t.ndjson", cwd=folder)
    assert (folder / "t.ndjson").read_bytes().splitlines() == list(day.lines(type="trade"))
    start = msgspec.json.decode(next(day.lines()))["recv_ns"]
    words = ["export", "--from", "2024-10-04T00:00:00.010Z", "--to", "2024-10-04T00:00:00.020Z"]
    assert asked(*words, "--out", "s.ndjson", cwd=folder)["rows"] == 10
    kept = [json.loads(line)["recv_ns"] for line in (folder / "s.ndjson").read_bytes().splitlines()]
    assert kept == [start + n * 10**6 for n in range(10, 20)]


def test_the_same_from_parquet(folder: Path) -> None:
    tables = ("trades", "quotes", "book_deltas", "bars", "instruments", "gaps", "messages")
    for table in tables:
        asked("export", "--type", table, "--out", f"a-{table}.csv", cwd=folder)
    compact(Day(folder / "data/archive" / ENV / "kraken" / DATE), lambda _: None, memory="256MB")
    for table in tables:
        told = asked("export", "--type", table, "--out", f"b-{table}.csv", cwd=folder)
        assert told["compacted"] == [f"kraken/{DATE}"]
        one, two = folder / f"a-{table}.csv", folder / f"b-{table}.csv"
        if table != "bars":
            assert sorted(one.read_bytes().splitlines()) == sorted(two.read_bytes().splitlines())


def test_decimals_that_fit_nowhere_are_in_the_text_formats(tmp_path: Path) -> None:
    frames = trades(3)
    frames[1] = frames[1].replace(b'"0.5000"', b'"0.12345678901234567890123"')
    archive(tmp_path / "archive", Capture("kalshi").session(frames))
    words = ["export", "--type", "trades", "--path", "."]
    asked(*words, "--out", "t.csv", cwd=tmp_path)
    asked(*words, "--out", "t.ndjson", cwd=tmp_path)
    with (tmp_path / "t.csv").open(newline="") as file:
        prices = [row["price"] for row in csv.DictReader(file)]
    assert prices == ["0.5", "0.12345678901234567890123", "0.5"]
    lines = (tmp_path / "t.ndjson").read_bytes().splitlines()
    assert [json.loads(line)["price"] for line in lines] == prices


def test_a_file_appears_whole_or_not_at_all(folder: Path) -> None:
    (folder / "t.csv").write_text("mine")
    error, hint = refused("meta", "data", "export", "--out", "t.csv", cwd=folder)
    assert "t.csv exists" in error
    assert "--force" in hint
    assert (folder / "t.csv").read_text() == "mine"
    asked("export", "--out", "t.csv", "--force", "--type", "trades", cwd=folder)
    assert (folder / "t.csv").read_text().startswith("feed,sym,recv_ns")
    assert {path.name for path in folder.iterdir()} == {"data", "t.csv"}
    assert (
        "is a folder"
        in refused("meta", "data", "export", "--out", "data", "--format", "csv", cwd=folder)[0]
    )
    assert ssmd("meta", "data", "export", "--out", "x.exe", cwd=folder).returncode == 2


@pytest.mark.parametrize("name", ["what?.parquet", "a [b] *'c.parquet", "-x.csv", "é\n.ndjson"])
def test_a_file_may_have_any_name(folder: Path, name: str) -> None:
    told = asked("export", "--type", "trades", f"--out={name}", cwd=folder)
    assert (folder / name).stat().st_size == told["bytes"]


def test_what_is_no_file_is_not_replaced(folder: Path) -> None:
    words = ["export", "--out", "/dev/null", "--format", "csv", "--force"]
    assert "/dev/null is no file" in refused("meta", "data", *words, cwd=folder)[0]


def test_hostile_symbols_move_no_cursor(tmp_path: Path) -> None:
    capture = Capture("kalshi")
    lines = [capture.gap("sequence", sym="\x1b[2J\nowned"), *capture.session(trades(2))]
    archive(tmp_path / "archive", lines)
    table = ssmd("meta", "data", "gaps", "--path", ".", cwd=tmp_path).stdout
    assert "\x1b" not in table
    assert "\\x1b[2J\\nowned" in table


def test_real_recordings(tmp_path: Path) -> None:
    """What Kraken really sent, through every command."""
    found = sorted((REAL / "kraken_spot").glob("*.jsonl"))
    if not found:
        pytest.skip("the recordings are not here")
    frames = recording(f"kraken_spot/{found[0].name}", most=300)
    archive(tmp_path / "archive", Capture("kraken").session(frames), "kraken")
    for words in (["list"], ["inventory"], ["gaps"], ["quality"]):
        assert ssmd("meta", "data", *words, "--path", ".", cwd=tmp_path).returncode == 0
