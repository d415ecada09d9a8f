"""``/v1/trades`` and its like: the rows of the archive, by pages, in three forms."""

import asyncio
import contextlib
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from command import ssmd
from serve_archive import DAY, KALSHI, START_NS, add, payloads, serving, writer
from ssmd.archive.writer import Writer

FROM = f"from={DAY}"


def trade(number: int, sym: str, price: str, *, side: str = "yes") -> bytes:
    return (
        b'{"type":"trade","sid":2,"seq":%d,"msg":{"market_ticker":"%b","trade_id":"t%d",'
        b'"yes_price_dollars":"%b","count_fp":"2.00","taker_side":"%b","ts_ms":%d}}'
        % (number, sym.encode(), number, price.encode(), side.encode(), START_NS // 10**6 + number)
    )


FRAMES = [
    *KALSHI,
    *(trade(n, f"KX-{n % 3}", f"0.{10 + n % 70}00") for n in range(1, 61)),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A closed segment, and one that is being written."""
    root = tmp_path / "archive"
    lines = payloads("kalshi", FRAMES)
    to: Writer = writer(root, "kalshi")
    add(to, lines[:40])
    to.seal()
    add(to, lines[40:])
    to.close()
    return root


@pytest.fixture
async def client(root: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(root) as client:
        yield client


async def rows(client: aiohttp.ClientSession, path: str) -> list[dict[str, Any]]:
    """All pages."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        async with client.get(path + cursor) as answer:
            assert answer.status == 200, await answer.text()
            page = await answer.json()
        assert page["holes"] == []
        found += page["rows"]
        if page["next"] is None:
            return found
        path = path.partition("&cursor=")[0]
        cursor = f"&cursor={page['next']}"


@pytest.mark.parametrize("limit", [1, 7, 61, 1000])
async def test_trades_come_once_and_in_order_whatever_the_page(
    client: aiohttp.ClientSession, limit: int
) -> None:
    found = await rows(client, f"/v1/trades?{FROM}&limit={limit}")
    assert [row["trade_id"] for row in found] == ["t1", *(f"t{n}" for n in range(1, 61))]
    assert found[0]["price"] == "0.42"
    assert found[1]["ts_ns"] == START_NS + 10**6


async def test_a_cursor_holds_while_the_day_is_compacted(tmp_path: Path) -> None:
    root = tmp_path / "data" / "archive"
    with contextlib.closing(writer(root, "kalshi")) as to:
        add(to, payloads("kalshi", FRAMES))
        to.seal()
    path = f"/v1/trades?{FROM}&limit=20"
    async with serving(root) as client:
        before = await rows(client, path)
        async with client.get(path) as answer:
            page = await answer.json()
        done = await asyncio.to_thread(ssmd, "archive", "compact", "--all", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert list(root.rglob("*.parquet"))
        assert page["rows"] == before[:20]
        assert await rows(client, f"{path}&cursor={page['next']}") == before[20:]
        assert await rows(client, path) == before


async def test_by_symbol_time_and_feed(client: aiohttp.ClientSession) -> None:
    found = await rows(client, f"/v1/trades?{FROM}&symbol=KX-1&symbol=KX-2")
    assert {row["sym"] for row in found} == {"KX-1", "KX-2"}
    assert len(found) == 40
    ns = START_NS + len(KALSHI) + 10
    assert len(await rows(client, f"/v1/trades?from={ns}&to={ns + 5}")) == 5
    assert await rows(client, "/v1/trades?from=2030-01-01") == []
    assert len(await rows(client, f"/v1/trades?{FROM}&feed=kalshi")) == 61


async def test_bars(client: aiohttp.ClientSession) -> None:
    found = await rows(client, f"/v1/bars?{FROM}&interval=1d&symbol=KX-0")
    (bar,) = found
    assert (bar["open"], bar["close"], bar["count"], bar["volume"]) == ("0.13", "0.7", 20, "40")
    assert len(await rows(client, f"/v1/bars?{FROM}&interval=1d&limit=1")) == 4


async def test_what_the_manifests_tell(client: aiohttp.ClientSession) -> None:
    (day,) = await rows(client, f"/v1/coverage?{FROM}")
    assert (day["feed"], day["date"], day["messages"]) == ("kalshi", DAY, len(FRAMES))
    assert await rows(client, f"/v1/gaps?{FROM}") == []


async def test_books_and_quotes(client: aiohttp.ClientSession) -> None:
    (book,) = await rows(client, f"/v1/book_snapshots?{FROM}")
    assert book["bids"] == [["0.41", "10"]]
    assert len(await rows(client, f"/v1/book_deltas?{FROM}")) == 1
    assert len(await rows(client, f"/v1/quotes?{FROM}")) == 1
    assert await rows(client, f"/v1/instrument_status?{FROM}") == []


async def test_the_forms_agree(client: aiohttp.ClientSession) -> None:
    path = f"/v1/trades?{FROM}&limit=20"
    wanted = (await (await client.get(path)).json())["rows"]
    async with client.get(f"{path}&format=ndjson") as answer:
        assert answer.content_type == "application/x-ndjson"
        assert answer.headers["X-Next-Cursor"]
        assert [json.loads(line) for line in (await answer.text()).splitlines()] == wanted
    async with client.get(f"{path}&format=csv") as answer:
        assert answer.content_type == "text/csv"
        found = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [row["price"] for row in found] == [row["price"] for row in wanted]


async def test_a_missing_segment_is_named(root: Path, client: aiohttp.ClientSession) -> None:
    (segment,) = (root / "test" / "kalshi" / DAY).glob("*.jsonl.gz")
    segment.unlink()
    async with client.get(f"/v1/trades?{FROM}") as answer:
        page = await answer.json()
    assert len(page["rows"]) == len(FRAMES) - 40
    (hole,) = page["holes"]
    assert segment.name in hole["what"]
    async with client.get(f"/v1/gaps?{FROM}") as answer:
        (gap,) = (await answer.json())["rows"]
    assert (gap["cause"], gap["missing"]) == ("segment_damaged", 40)
    async with client.get(f"/v1/trades?{FROM}&format=ndjson") as answer:
        assert json.loads((await answer.text()).splitlines()[-1])["_hole"] == hole


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("from=yesterday", "'yesterday' is no time"),
        ("to=99999999999999999999", "is no time"),
        ("limit=0", "limit '0'"),
        ("limit=10001", "limit '10001'"),
        ("feed=../x", "is no name of a feed"),
        ("symbol=a%00b", "symbol"),
        ("format=xml", "format 'xml' is none"),
        ("cursor=!!", "the cursor is none of ours"),
        ("cursor=WzFd", "the cursor is none of ours"),
        ("cursor=WyJ4IiwieCIsIngiLCJ4Il0=", "the cursor is none of ours"),
    ],
)
async def test_what_cannot_be_asked(
    client: aiohttp.ClientSession, query: str, message: str
) -> None:
    async with client.get(f"/v1/trades?{query}") as answer:
        assert answer.status == 400
        assert message in (await answer.json())["error"]["message"]


async def test_an_unknown_feed_and_interval(client: aiohttp.ClientSession) -> None:
    async with client.get("/v1/trades?feed=nope") as answer:
        assert answer.status == 404
    async with client.get(f"/v1/bars?{FROM}&interval=1y") as answer:
        assert answer.status == 400
        assert "'1y' is no interval" in (await answer.json())["error"]["message"]


async def test_hostile_symbols_find_nothing(client: aiohttp.ClientSession) -> None:
    for text in ("' OR 1=1 --", '"; DROP VIEW trades', "*", "%"):
        async with client.get("/v1/trades", params={"from": DAY, "symbol": text}) as answer:
            assert (await answer.json())["rows"] == []
