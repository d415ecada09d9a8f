"""``/v1/messages`` and ``/v1/records``: whole, in order, each once; what is missing is named."""

import asyncio
import contextlib
import gzip
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_archive import DAY, FRAMES, START_NS, add, payloads, serving, writer
from ssmd import message
from ssmd.bus import Bus
from ssmd.config import Transport
from ssmd.serve.tail import Tail
from ssmd.store import segment

FROM = f"from={DAY}"
TRADE = (
    b'{"type":"trade","sid":2,"seq":%d,"msg":{"market_ticker":"KX-%d","trade_id":"t%d",'
    b'"yes_price_dollars":"0.4200","count_fp":"1.00","taker_side":"yes","ts_ms":1795132800200}}'
)
TRADES = [TRADE % (n, n % 3, n) for n in range(60)]
Client = aiohttp.ClientSession


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two closed segments of several members each, and one that is being written; another feed."""
    root = tmp_path / "archive"
    lines = payloads("kalshi", TRADES)
    with contextlib.closing(writer(root, "kalshi")) as to:
        for first in range(0, 50, 5):
            add(to, lines[first : first + 5])
            if first in (15, 35):
                to.seal()
        add(to, lines[50:])
    with contextlib.closing(writer(root, "polymarket")) as to:
        add(to, payloads("polymarket", FRAMES["polymarket"] * 9, start_ns=START_NS + 20))
        to.seal()
    return root


@pytest.fixture
async def client(root: Path) -> AsyncIterator[Client]:
    async with serving(root) as client:
        yield client


async def stream(client: Client, path: str, **headers: str) -> tuple[list[Any], dict[str, Any]]:
    """The lines of a stream, and its end."""
    async with client.get(f"{path}&format=ndjson", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "application/x-ndjson"
        *lines, last = (json.loads(line) for line in (await answer.read()).splitlines())
    assert last.keys() == {"_end"}
    return lines, last["_end"]


async def pages(client: Client, path: str) -> list[Any]:
    found: list[Any] = []
    cursor = ""
    while True:
        async with client.get(path + cursor) as answer:
            assert answer.status == 200, await answer.text()
            page = await answer.json()
        found += page["rows"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


async def refused(client: Client, path: str) -> tuple[int, str]:
    async with client.get(path) as answer:
        error = (await answer.json())["error"]
        assert error.keys() == {"code", "message", "hint"}
        return answer.status, error["message"]


def archived(root: Path, feed: str) -> list[Any]:
    paths = sorted((root / "test" / feed / DAY).glob("*.jsonl.gz*"))
    return [json.loads(line) for path in paths for line in segment.lines(path)]


# --- messages -------------------------------------------------------------------------------------


async def test_a_stream_is_the_archive_as_it_lies(client: Client, root: Path) -> None:
    lines, end = await stream(client, f"/v1/messages?{FROM}&feed=kalshi")
    assert lines == archived(root, "kalshi")
    assert (end["count"], end["holes"], end["bus"]) == (60, 0, "not-needed")


async def test_gzip_is_the_same(client: Client) -> None:
    path = f"/v1/messages?{FROM}&feed=kalshi&format=ndjson"
    plain, _ = await stream(
        client, path.replace("&format=ndjson", ""), **{"Accept-Encoding": "identity"}
    )
    async with client.get(path, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
    raw = aiohttp.ClientSession(client._base_url, auto_decompress=False)
    async with raw, raw.get(path, headers={"Accept-Encoding": "gzip"}) as answer:
        body = gzip.decompress(await answer.read())
    assert [json.loads(line) for line in body.splitlines()][:-1] == plain


@pytest.mark.parametrize("limit", [1, 7, 59, 60, 61])
@pytest.mark.parametrize("feeds", ["feed=kalshi", "feed=kalshi&feed=polymarket", ""])
async def test_pages_are_the_stream(client: Client, limit: int, feeds: str) -> None:
    path = f"/v1/messages?{FROM}&{feeds}"
    lines, _ = await stream(client, path)
    assert await pages(client, f"{path}&limit={limit}") == lines


async def test_feeds_are_merged_by_receipt(client: Client) -> None:
    lines, _ = await stream(client, f"/v1/messages?{FROM}")
    assert {line["feed"] for line in lines} == {"kalshi", "polymarket"}
    times = [line["recv_ns"] for line in lines]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("symbol=KX-1", 20), ("symbol=kx-1&symbol=KX-2", 40), ("symbol=KX-*", 60),
        ("symbol=K?-0", 20), ("symbol=[K]X-0", 0), ("type=TRADE", 60), ("type=ticker", 0),
        ("type=ticker&type=trade&symbol=KX-0", 20), ("symbol=", 60),
    ],
)  # fmt: skip
async def test_by_type_and_symbol(client: Client, query: str, wanted: int) -> None:
    _, end = await stream(client, f"/v1/messages?{FROM}&feed=kalshi&{query}")
    assert end["count"] == wanted


async def test_a_symbol_that_a_frame_names_inside(client: Client) -> None:
    lines, _ = await stream(client, f"/v1/messages?{FROM}&feed=polymarket&symbol=222")
    assert {line["type"] for line in lines} == {"price_change"}


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.integers(-5, 70), st.integers(-5, 70))
def test_any_range(tmp_path_factory: pytest.TempPathFactory, first: int, last: int) -> None:
    root = _shared(tmp_path_factory)

    async def check() -> None:
        async with serving(root) as client:
            query = f"from={START_NS + first}&to={START_NS + last}"
            lines, _ = await stream(client, f"/v1/messages?feed=kalshi&{query}")
        wanted = [
            line
            for line in archived(root, "kalshi")
            if START_NS + first <= line["recv_ns"] < START_NS + last
        ]
        assert lines == wanted

    asyncio.run(check())


_made: list[Path] = []


def _shared(factory: pytest.TempPathFactory) -> Path:
    if not _made:
        root = factory.mktemp("archive")
        lines = payloads("kalshi", TRADES)
        with contextlib.closing(writer(root, "kalshi")) as to:
            for first in range(0, 60, 7):
                add(to, lines[first : first + 7])
                if first == 28:
                    to.seal()
        _made.append(root)
    return _made[0]


async def test_a_damaged_member_is_a_hole_and_the_rest_is_served(root: Path) -> None:
    path = sorted((root / "test" / "kalshi" / DAY).glob("*.jsonl.gz"))[0]
    content = bytearray(path.read_bytes())
    (offset, length, _), *_ = itertools.islice(segment.members(path), 1, 2)
    content[offset + length // 2] ^= 0xFF
    path.write_bytes(content)
    async with serving(root) as client:
        lines, end = await stream(client, f"/v1/messages?{FROM}&feed=kalshi")
        async with client.get(f"/v1/messages?{FROM}&feed=kalshi") as answer:
            page = await answer.json()
    assert end["holes"] == 1
    assert lines[-1].keys() == {"_hole"}
    assert lines[-1]["_hole"]["messages"] == 5
    assert len(lines[:-1]) == 55
    assert page["rows"] == lines[:-1]
    assert len(page["holes"]) == 1


async def test_a_reader_that_goes_away_ends_the_reading(client: Client) -> None:
    for _ in range(10):
        answer = await client.get(f"/v1/messages?{FROM}&format=ndjson")
        answer.close()
    lines, _ = await stream(client, f"/v1/messages?{FROM}&feed=kalshi")
    assert len(lines) == 60


# --- records --------------------------------------------------------------------------------------


async def test_records(client: Client) -> None:
    lines, end = await stream(client, f"/v1/records?{FROM}&feed=kalshi&symbol=KX-1")
    assert end["count"] == len(lines) == 20
    assert lines[0]["record"] == "trade"
    assert lines[0]["price"] == "0.4200"
    found = await pages(client, f"/v1/records?{FROM}&limit=7")
    everything, _ = await stream(client, f"/v1/records?{FROM}")
    assert found == everything
    deltas, _ = await stream(client, f"/v1/records?{FROM}&type=book_delta")
    assert {line["record"] for line in deltas} == {"book_delta"}
    assert len(deltas) + 69 == len(everything)


# --- what is on the bus ---------------------------------------------------------------------------


async def test_there_is_no_hole_between_archive_and_bus(bus: Bus, tmp_path: Path) -> None:
    transport = Transport(url="embedded", max_bytes=10_000_000)
    facts = await bus.ensure_stream("test", "kalshi", transport)
    lines = payloads("kalshi", TRADES)
    async with bus.publisher("TEST_KALSHI") as publisher:
        for number, line in enumerate(lines):
            publisher.put(message.subject("test", "kalshi", "trade", None), f"c1:{number}:0", line)
        await publisher.flush(30)
    root = tmp_path / "archive"
    with contextlib.closing(writer(root, "kalshi", created=facts.created)) as to:
        add(to, lines[:20])
        to.seal()
        add(to, lines[20:33])
    tail = Tail("test", transport, tmp_path)
    async with serving(root, tail=tail) as client:
        found, end = await stream(client, f"/v1/messages?{FROM}&feed=kalshi")
        assert end["bus"] == "included"
        assert [line["nats_seq"] for line in found] == list(range(1, 61))
        path = f"/v1/messages?{FROM}&feed=kalshi&limit=9"
        assert await pages(client, path) == found
        assert len(await pages(client, path + "&symbol=KX-2")) == 20
        known = f"/v1/messages?{FROM}&feed=kalshi&cursor={end['next']}"
        assert (await stream(client, known))[0] == []


async def test_a_bus_that_is_away_is_said(root: Path, tmp_path: Path) -> None:
    tail = Tail("test", Transport(url="nats://127.0.0.1:9"), tmp_path)
    async with serving(root, tail=tail) as client:
        lines, end = await stream(client, f"/v1/messages?{FROM}&feed=kalshi")
    assert end["bus"] == "unavailable"
    assert [line for line in lines if "_hole" not in line] == archived(root, "kalshi")
    assert lines[-1]["_hole"]["what"].startswith("what is not archived yet: NATS c")


async def test_the_bus_is_not_asked_for_what_is_long_archived(root: Path, tmp_path: Path) -> None:
    with contextlib.closing(writer(root, "kalshi")) as to:
        add(to, payloads("kalshi", TRADES[:1], start_ns=START_NS + 10**12, conn="later"))
    tail = Tail("test", Transport(url="nats://127.0.0.1:9"), tmp_path)
    async with serving(root, tail=tail) as client:
        path = f"/v1/messages?{FROM}&to={START_NS + 10**9}&feed=kalshi"
        lines, end = await stream(client, path)
    assert (len(lines), end["bus"]) == (60, "not-needed")


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("feed=nosuch", 404, "no feed 'nosuch'"), ("feed=../../etc", 400, "is no name of a feed"),
        ("from=yesterday", 400, "is no time"), ("limit=0", 400, "is no number from 1"),
        ("limit=10001", 400, "is no number from 1"), ("limit=ten", 400, "is no number"),
        ("format=xml", 400, "format 'xml' is none"), ("cursor=zzz", 400, "none of ours"),
        ("cursor=bnVsbA==", 400, "none of ours"), ("type=%00", 400, "cannot be one"),
        ("symbol=" + "x" * 300, 400, "cannot be one"), ("nosuch=1", 400, "unknown parameter"),
        ("&".join(f"symbol=S{n}" for n in range(101)), 400, "more than 100 symbols"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked(client: Client, query: str, status: int, said: str) -> None:
    found, text = await refused(client, f"/v1/messages?{query}")
    assert found == status
    assert said in text


async def test_an_empty_archive(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        lines, end = await stream(client, f"/v1/messages?{FROM}&feed=kalshi")
        assert (lines, end["count"]) == ([], 0)
