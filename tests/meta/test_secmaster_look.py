"""``ssmd meta secmaster`` as a person uses it, over the simulated exchanges."""

import asyncio
import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from command import clean, refused, ssmd

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "secmaster.md").read_text(encoding="utf-8")
EXCHANGES = ("kalshi", "polymarket", "kraken", "kraken_futures")
PREFIX = ("meta", "secmaster")


class Place(NamedTuple):
    """A folder in which all was synced once, and where the exchanges are."""

    folder: Path
    env: dict[str, str]

    def run(self, *arguments: str) -> str:
        done = ssmd(*PREFIX, *arguments, cwd=self.folder, **self.env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--env", "demo", "--json"))

    def refused(self, *arguments: str) -> tuple[str, str]:
        return refused(*PREFIX, *arguments, cwd=self.folder, **self.env)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("secmaster")
    words = [word for name in EXCHANGES for word in ("--exchange", name)]
    with subprocess.Popen(
        [sys.executable, "-m", "ssmd", "sim", "--port", "0", "--json", *words],
        cwd=folder, env=clean(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as sim:  # fmt: skip
        try:
            assert sim.stdout is not None
            urls = json.loads(sim.stdout.readline())
            env = {f"SSMD_FEED_{name.upper()}_REST_ENDPOINT": urls[name]["rest"] for name in urls}
            place = Place(folder, env)
            place.run("sync", "--env", "demo")
            yield place
        finally:
            sim.terminate()
            sim.wait(60)


def test_sync_again_says_what_it_came_to(place: Place) -> None:
    done = ssmd(*PREFIX, "sync", "--env", "demo", "--json", cwd=place.folder, **place.env)
    counts = {found["feed"]: found for found in json.loads(done.stdout)}
    assert set(counts) == {"kalshi", "polymarket", "kraken", "kraken-futures"}
    assert all(c["added"] + c["changed"] == 0 for c in counts.values())
    assert all(c["listed"] or c["incremental"] for c in counts.values())
    assert "kalshi (what changed): " in done.stderr
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr


def test_list_and_its_filters(place: Place) -> None:
    everything = place.json("list", "--limit", "0")
    assert {one["feed"] for one in everything} == {
        "kalshi", "polymarket", "kraken", "kraken-futures",
    }  # fmt: skip
    ends = [one["instrument"].get("close_ns", 1 << 63) for one in everything]
    assert ends == sorted(ends)
    group = place.json("list", "--group", "KXSIM-E00001")
    assert {one["instrument"]["links"]["event"] for one in group} == {"KXSIM-E00001"}
    online = place.json("list", "--feed", "kraken", "--status", "online", "--limit", "0")
    assert online == [one for one in everything if one["feed"] == "kraken"]
    assert place.json("list", "--feed", "kraken", "--status", "active", "--limit", "0") == online
    assert place.json("list", "--category", "none") == []
    soon = place.json("list", "--expiring-within", "2d", "--limit", "0")
    assert 0 < len(soon) < len(everything)
    text = place.run("list", "--env", "demo", "--limit", "3")
    assert text.splitlines()[0].split() == ["feed", "symbol", "status", "ends", "category", "title"]
    assert len(text.splitlines()) == 4


def test_search_by_all_words(place: Place) -> None:
    found = place.json("search", "MARKET settle 7 kxsim")
    assert found
    assert all("7" in one["instrument"]["title"] + one["instrument"]["sym"] for one in found)
    assert place.json("search", "no such words") == []
    assert place.json("search", "XBTUSD", "--feed", "kraken")[0]["instrument"]["sym"] == "BTC/USD"


def test_show_by_symbol_or_alias(place: Place) -> None:
    (one,) = place.json("show", "BTC/USD")
    assert one == place.json("show", "xbtusd", "--feed", "kraken")[0]
    text = place.run("show", "--env", "demo", "BTC/USD")
    assert re.search(r"price_precision +1\b", text)
    why, hint = place.refused("show", "--env", "demo", "NOPE")
    assert "no instrument NOPE" in why
    assert "search" in hint


def test_as_of(place: Place) -> None:
    assert place.json("list", "--as-of", "2020-01-01") == []
    now = place.json("list", "--as-of", "2099-01-01T00:00:00Z", "--limit", "0")
    assert now == place.json("list", "--limit", "0")
    assert place.json("show", "BTC/USD", "--as-of", "2099-01-01") == place.json("show", "BTC/USD")
    why, _ = place.refused("show", "--env", "demo", "BTC/USD", "--as-of", "2020-01-01")
    assert "no instrument" in why


def test_history(place: Place) -> None:
    (added,) = place.json("history", "BTC/USD")
    assert (added["kind"], added["number"]) == ("added", 1)
    text = place.run("history", "--env", "demo", "BTC/USD")
    assert "added  (rest)" in text
    assert place.refused("history", "--env", "demo", "NOPE")[0].endswith("no instrument NOPE")


def test_export_formats_agree(place: Place) -> None:
    whole = place.json("list", "--limit", "0")
    ndjson = [json.loads(line) for line in place.run("export", "--env", "demo").splitlines()]
    assert sorted(ndjson, key=_key) == sorted(whole, key=_key)
    assert json.loads(place.run("export", "--env", "demo", "--format", "json")) == ndjson
    out = place.folder / "instruments.csv"
    place.run("export", "--env", "demo", "--format", "csv", "-o", str(out))
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sym"] for row in rows] == [one["instrument"]["sym"] for one in ndjson]
    assert {row["active"] for row in rows} <= {"true", "false"}
    btc = next(row for row in rows if row["sym"] == "BTC/USD")
    assert json.loads(btc["grid"])[0]["step"] == "0.1"


def _key(one: dict[str, Any]) -> tuple[str, str]:
    return one["feed"], one["instrument"]["sym"]


def test_export_parquet(place: Place) -> None:
    duckdb = pytest.importorskip("duckdb")
    out = place.folder / "it's.parquet"
    place.run("export", "--env", "demo", "--format", "parquet", "-o", str(out))
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT sym, active, close_ns, links_event FROM read_parquet(?) WHERE feed = 'kalshi'",
            [str(out)],
        ).fetchall()
    assert len(rows) == 40
    assert {type(close) for _, _, close, _ in rows} == {int}
    why, hint = place.refused("export", "--env", "demo", "--format", "parquet")
    assert "file" in why
    assert "--output" in hint
    assert "cannot write" in place.refused("export", "--env", "demo", "-o", "no/such/file")[0]


def test_bad_options(place: Place) -> None:
    for words in (
        ("list", "--env", "demo", "--as-of", "yesterday"),
        ("list", "--env", "demo", "--expiring-within", "soon"),
        ("list",),
    ):
        done = ssmd(*PREFIX, *words, cwd=place.folder, **place.env)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    assert "nowhere" in place.refused("list", "--env", "nowhere")[0]
    assert "nothing" in place.refused("list", "--env", "demo", "--feed", "nothing")[0]


def test_an_exchange_that_cannot_be_reached(place: Place) -> None:
    nowhere = {**place.env, "SSMD_FEED_KRAKEN_REST_ENDPOINT": "http://127.0.0.1:9"}
    words = (*PREFIX, "sync", "--env", "demo", "--feed", "kraken")
    done = ssmd(*words, cwd=place.folder, **nowhere)
    assert done.returncode == 1
    assert "Error: cannot reach http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
    assert ssmd(*words, cwd=place.folder, **place.env).returncode == 0


async def test_follow_goes_on_until_it_is_told_to_stop(place: Place) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ssmd", *PREFIX, "sync", "--env", "demo", "--feed", "kraken"),
        "--follow", cwd=place.folder, env=clean(**place.env), stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while b"listed" not in await process.stderr.readline():
                assert not process.stderr.at_eof()
        other = await asyncio.to_thread(
            ssmd, *PREFIX, "sync", "--env", "demo", "--feed", "kraken", cwd=place.folder,
            **place.env,
        )  # fmt: skip
        assert other.returncode == 1
        assert "at work already" in other.stderr
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def commands() -> list[str]:
    fences = re.findall(r"^```sh\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
    return [line for fence in fences for line in fence.splitlines() if line]


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_document(place: Place, line: str) -> None:
    done = subprocess.run(
        line.replace("ssmd", f"{sys.executable} -m ssmd", 1), shell=True, cwd=place.folder,
        env=clean(**place.env, PYTHONPATH=os.environ.get("PYTHONPATH", "")), capture_output=True,
        text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_document_names_what_exists() -> None:
    assert "sync --env demo --follow" in DOC
    for option in set(re.findall(r"`(--[a-z-]+)`", DOC)):
        help_ = "".join(ssmd(*PREFIX, name, "--help").stdout for name in ("sync", "list", "show"))
        assert option in help_
