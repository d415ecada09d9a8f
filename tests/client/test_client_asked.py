"""What can be asked of ``Client``, and what it refuses before it asks."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import DAY, ENV, Capture, archive, trades
from command import clean
from ssmd.archive.writer import NS_PER_DAY
from ssmd.client import BadRequest, Client, Incomplete, NotFound, SsmdError, StorageError
from ssmd.client.moments import ns_of, span_of

START = DAY * NS_PER_DAY
SPAN = (START, START + NS_PER_DAY)
NOON = 1_795_435_200_000_000_000
"""Of 2026-11-23."""


@pytest.fixture
def client(tmp_path: Path) -> Client:
    archive(tmp_path / "archive", Capture("kalshi").session(trades(50)))
    return Client(tmp_path / "archive")


@pytest.mark.parametrize(
    "moment",
    [
        NOON,
        "2026-11-23T12:00:00Z",
        "2026-11-23 12:00",
        "2026-11-23T13:00:00.000+01:00",
        datetime(2026, 11, 23, 12, tzinfo=UTC),
        datetime(2026, 11, 23, 7, tzinfo=timezone(timedelta(hours=-5))),
        pandas.Timestamp("2026-11-23T12:00:00Z"),
    ],
)
def test_moments_are_written_in_many_ways(moment: Any) -> None:
    assert ns_of(moment, "start") == NOON


def test_nanoseconds_are_kept() -> None:
    assert ns_of("2026-11-23T12:00:00.123456789Z", "end") == NOON + 123_456_789
    stamp = pandas.Timestamp("2026-11-23T12:00:00.123456789Z")
    assert ns_of(stamp, "end") == NOON + 123_456_789
    assert ns_of(date(2026, 11, 23), "end") == ns_of("2026-11-23", "end") == NOON - 43_200 * 10**9


@given(st.integers(0, 2**63 - 1).map(lambda ns: ns // 1000 * 1000))
def test_datetimes_lose_nothing(ns: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)
    assert ns_of(moment, "start") == ns == ns_of(moment.isoformat(), "start")


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 23, 12), "yesterday", "2026-13-01", "2026-02-30", "", "12:00", -1, 2**63,
        1.5, True, "1969-12-31", b"2026-11-23", "2026-11-23T25:00:00Z", [],
        "2026-11-23T12:00:00.1234567890Z", pandas.NaT,
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused(client: Client, moment: Any) -> None:
    for span in ((moment, None), (START, moment)):
        with pytest.raises(BadRequest):
            client.trades("kalshi", None, *span)


def test_by_default_it_is_today() -> None:
    start, end = span_of(None, None)
    assert start % NS_PER_DAY == 0
    assert start <= end < start + NS_PER_DAY
    with pytest.raises(BadRequest, match="after"):
        span_of(2, 1)


@pytest.mark.parametrize(
    "words",
    [[], (), "", "x" * 300, ["a", ""], ["a\n"], [7], ["s"] * 2 + [f"s{n}" for n in range(1001)]],
)
def test_words_that_cannot_be_meant_are_refused(client: Client, words: Any) -> None:
    with pytest.raises(BadRequest):
        client.trades("kalshi", words)
    with pytest.raises(BadRequest):
        client.trades(words)


@pytest.mark.parametrize("feed", ["../x", "Kalshi", "a b", "kalshi/2024", "-"])
def test_feeds_have_names(client: Client, feed: str) -> None:
    with pytest.raises(BadRequest):
        client.trades(feed)


@pytest.mark.parametrize("interval", ["", "0s", "1", "1y", "m", "-1m", "1000000000s", None])
def test_intervals_are_checked(client: Client, interval: Any) -> None:
    with pytest.raises(BadRequest, match="interval"):
        client.bars("kalshi", interval=interval)


# --- archives -------------------------------------------------------------------------------------


def test_an_archive_is_found_from_several_places(tmp_path: Path, client: Client) -> None:
    root = tmp_path / "archive"
    for place in (tmp_path, root, root / ENV, str(root)):
        assert len(list(Client(place).trades("kalshi", None, *SPAN))) == 50
        assert [feed.name for feed in Client(place, env=ENV).feeds()] == ["kalshi"]
    assert [feed.name for feed in Client.open(root, env=ENV).feeds()] == ["kalshi"]


def test_what_is_no_archive_is_refused(tmp_path: Path, client: Client) -> None:
    (tmp_path / "empty").mkdir()
    for place, env in (
        (tmp_path / "none", None), (tmp_path / "empty", None), (tmp_path, "live"),
        (tmp_path / "archive" / ENV / "kalshi", None),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            Client(place, env=env)
    archive(tmp_path / "archive", Capture("kalshi").session(trades(5)))
    (tmp_path / "archive" / ENV).rename(tmp_path / "archive" / "other")
    archive(tmp_path / "archive", Capture("kalshi").session(trades(5)))
    with pytest.raises(NotFound, match="several environments") as told:
        Client(tmp_path)
    assert told.value.hint == f"env= {ENV}, other"
    with pytest.raises(BadRequest, match="no key"):
        Client(tmp_path, key="k")
    with pytest.raises(BadRequest, match="one environment"):
        Client("http://127.0.0.1:1", env="demo")


# --- files ----------------------------------------------------------------------------------------


def test_a_file_is_replaced_once_it_is_whole(client: Client, tmp_path: Path) -> None:
    out = tmp_path / "trades.ndjson"
    out.write_text("before")
    assert client.trades("kalshi", None, *SPAN).save(out) == 50
    assert out.read_bytes().count(b"\n") == 50


@pytest.mark.parametrize("name", ["trades", "trades.xlsx", ".parquet", "a.csv"])
def test_a_form_that_is_not_known_is_refused(client: Client, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest):
        client.trades("kalshi", None, *SPAN).save(tmp_path / name)


def test_a_file_that_cannot_be_is_an_error(client: Client, tmp_path: Path) -> None:
    table = client.trades("kalshi", None, *SPAN)
    for place in (tmp_path / "no" / "such.ndjson", tmp_path):
        with pytest.raises(StorageError):
            table.ndjson(place)


@pytest.mark.parametrize("suffix", ["ndjson", "parquet"])
def test_an_interrupt_leaves_nothing_half_written(
    client: Client, tmp_path: Path, suffix: str
) -> None:
    """As Ctrl-C does: in a process of its own, in the middle of a download."""
    out = tmp_path / "out" / f"trades.{suffix}"
    out.parent.mkdir()
    code = """
import os, signal, sys
from msgspec.structs import replace
from ssmd.client import Client, Table

table = Client(sys.argv[1]).trades("kalshi", None, int(sys.argv[2]), int(sys.argv[3]))
plan = table._plan

def interrupted():
    yield from plan.read()
    os.kill(os.getpid(), signal.SIGINT)
    yield from plan.read()

Table(replace(plan, read=interrupted)).save(sys.argv[4])
"""
    words = [str(tmp_path / "archive"), *map(str, SPAN), str(out)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=clean(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KeyboardInterrupt" in done.stderr
    assert list(out.parent.iterdir()) == []


def test_it_is_light_to_import() -> None:
    code = "import sys, ssmd.client; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean(), capture_output=True, text=True, check=True
    )
    heavy = {"aiohttp", "duckdb", "polars", "pandas", "pyarrow", "rich", "numpy", "nats", "click"}
    assert heavy & set(done.stdout.split()) == set()


def test_errors_are_of_one_tree() -> None:
    import ssmd.client as module

    for name in module.__all__:
        kind = getattr(module, name)
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert issubclass(kind, SsmdError) or kind is Incomplete
