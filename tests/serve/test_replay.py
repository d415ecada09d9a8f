"""``/v1/replay``: archived messages in the order of their receipt, at a pace."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from archives import DAY, ENV, MS, Capture, archive, put, trades, writer
from serve_archive import serving
from ssmd.archive.writer import NS_PER_DAY
from ssmd.dataset import Archive
from ssmd.serve.replay.seats import OF_ONE

START = DAY * NS_PER_DAY
COUNT = 400
SPAN = {"from": str(START), "to": str(START + NS_PER_DAY)}
ALL = {"feed": ["one", "two"], **SPAN, "speed": "0"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two feeds, each with a message a ms, half a ms apart."""
    for number, feed in enumerate(("one", "two")):
        capture = Capture("kalshi", feed, conn=f"c{number}", start_ns=START + number * MS // 2)
        to = writer(tmp_path, feed, exchange="kalshi")
        put(to, capture.session(trades(COUNT)), member=30)
        to.seal()
        to.close()
    return tmp_path


@pytest.fixture
async def client(root: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(root, env=ENV) as client:
        yield client


def lines(root: Path, *feeds: str) -> list[bytes]:
    """What is archived of the feeds, by time of receipt."""
    found = [line for feed in feeds for line in Archive(root, ENV).day(feed, "2024-10-04").lines()]
    return sorted(found, key=lambda line: json.loads(line)["recv_ns"])


async def read(client: aiohttp.ClientSession, **query: Any) -> list[dict[str, Any]]:
    """All frames of a replay over a WebSocket."""
    async with client.ws_connect("/v1/replay", params=listed(query), max_msg_size=0) as socket:
        frames = [json.loads(message.data) async for message in socket]
        assert socket.close_code == 1000
        return frames


def listed(query: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, values in query.items()
        for value in (values if isinstance(values, list) else [values])
    ]


async def test_feeds_are_merged_by_time_of_receipt(client: Any, root: Path) -> None:
    frames = await read(client, **ALL)
    messages = [frame["message"] for frame in frames[:-1]]
    assert messages == [json.loads(line) for line in lines(root, "one", "two")]
    end = frames[-1]
    assert end["type"] == "end"
    assert end["messages"] == {"one": len(messages) // 2, "two": len(messages) // 2}
    assert end["holes"] == []
    assert [frame["type"] for frame in frames[:-1]] == ["message"] * len(messages)


async def test_messages_are_the_archives_own_bytes(client: Any, root: Path) -> None:
    query = listed({**ALL, "feed": "one"})
    async with client.ws_connect("/v1/replay", params=query) as socket:
        texts = [message.data.encode() async for message in socket]
    for text, line in zip(texts, lines(root, "one"), strict=False):
        assert text.endswith(b'"message":' + line + b"}")


@pytest.mark.parametrize("at", [0, 1, 29, 30, 333, -1])
async def test_a_cursor_goes_on_behind_its_message(client: Any, at: int) -> None:
    frames = (await read(client, **ALL))[:-1]
    rest = (await read(client, **ALL, cursor=frames[at]["cursor"]))[:-1]
    assert rest == frames[at:][1:]


async def test_server_sent_events_are_the_same(client: Any) -> None:
    frames = await read(client, **ALL)
    async with client.get("/v1/replay", params=listed(ALL)) as answer:
        assert answer.content_type == "text/event-stream"
        events = (await answer.text()).split("\n\n")[:-1]
    told = [dict(line.split(": ", 1) for line in event.split("\n")) for event in events]
    assert [json.loads(event["data"]) for event in told] == frames
    assert [event["event"] for event in told] == [frame["type"] for frame in frames]
    assert [event.get("id") for event in told] == [frame.get("cursor") for frame in frames]
    headers = {"Last-Event-ID": told[100]["id"]}
    async with client.get("/v1/replay", params=listed(ALL), headers=headers) as answer:
        again = (await answer.text()).split("\n\n")[:-1]
    assert again[:-1] == events[101:-1]


async def test_types_and_symbols_choose(client: Any) -> None:
    kinds = [f["message"]["type"] for f in (await read(client, **ALL, type="_clock"))[:-1]]
    assert set(kinds) == {"_clock"}
    chosen = (await read(client, **ALL, type=["trade", "_connect"]))[:-1]
    assert {f["message"]["type"] for f in chosen} == {"trade", "_connect"}
    assert (await read(client, **ALL, symbol="KX-2"))[:-1] == []
    assert len(await read(client, **ALL, symbol=["kx-1", "KX-2"])) == 2 * COUNT + 1


async def test_a_span_is_half_open(client: Any) -> None:
    span = {"from": str(START + 10 * MS), "to": str(START + 20 * MS)}
    frames = await read(client, **{**ALL, **span, "type": "trade", "feed": "one"})
    assert [f["message"]["n"] for f in frames[:-1]] == list(range(10, 20))


async def test_records_instead_of_messages(client: Any) -> None:
    frames = await read(client, **ALL, form="records")
    assert {frame["type"] for frame in frames[:-1]} == {"records"}
    assert [record["record"] for f in frames[:-1] for record in f["records"]] == ["trade"] * (
        2 * COUNT
    )
    assert frames[-1]["records"] == 2 * COUNT


async def command(socket: Any, **facts: Any) -> dict[str, Any]:
    """Send one; the answer to it, past the messages that were on their way."""
    await socket.send_json(facts)
    while (frame := await socket.receive_json())["type"] not in ("state", "error"):
        pass
    return dict(frame)


async def test_pause_resume_seek_and_speed(client: Any) -> None:
    # So slow that the second message is hours away.
    query = listed({**ALL, "type": "trade", "feed": "one", "speed": "0.000001"})
    async with client.ws_connect("/v1/replay", params=query) as socket:
        assert (await socket.receive_json())["message"]["n"] == 1
        assert (await command(socket, cmd="pause"))["paused"] is True
        sought = await command(socket, cmd="seek", to=str(START + 200 * MS))
        assert sought["paused"] is True
        assert (await command(socket, cmd="resume"))["paused"] is False
        assert (await socket.receive_json())["message"]["n"] == 200
        assert (await command(socket, cmd="speed", speed=0))["speed"] == 0
        rest = [json.loads(message.data) async for message in socket]
    assert [frame["message"]["n"] for frame in rest[:-1]] == list(range(201, COUNT + 1))
    assert rest[-1]["messages"] == {"one": 1 + 1 + COUNT - 200}


async def test_commands_that_are_none(client: Any) -> None:
    query = listed({**ALL, "feed": "one", "speed": "0.000001"})
    async with client.ws_connect("/v1/replay", params=query) as socket:
        for facts in (
            {}, {"cmd": "stop"}, {"cmd": "speed", "speed": "fast"}, {"cmd": "speed"},
            {"cmd": "speed", "speed": -1}, {"cmd": "seek"}, {"cmd": "seek", "to": "then"},
            {"cmd": "seek", "to": "1999-01-01"}, {"cmd": ["pause"]},
        ):  # fmt: skip
            answer = await command(socket, **facts)
            assert answer["type"] == "error", facts
            assert answer["error"]["code"] == "bad_request"
            assert answer["error"]["hint"]
        await socket.send_bytes(b"\xff\xfe")
        assert (await command(socket, cmd="pause"))["type"] == "error"
        assert (await command(socket, cmd="pause"))["paused"] is True


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"feed": []}, 400),
        ({"from": []}, 400),
        ({"feed": "../etc"}, 400),
        ({"feed": "none"}, 404),
        ({"feed": [f"f{n}" for n in range(17)]}, 400),
        ({"from": "then"}, 400),
        ({"from": "9" * 19}, 400),
        ({"from": "-1"}, 400),
        ({"from": "0001-01-01"}, 400),
        ({"from": "2030-01-01", "to": "2029-01-01"}, 400),
        ({"speed": "fast"}, 400),
        ({"speed": "-1"}, 400),
        ({"speed": "nan"}, 400),
        ({"speed": "inf"}, 400),
        ({"speed": "1e300"}, 400),
        ({"form": "csv"}, 400),
        ({"cursor": "x"}, 400),
        ({"cursor": "e30="}, 200),
        ({"cursor": "eyJ0aHJlZSI6WyIiLCIiLDFdfQ=="}, 400),
        ({"symbol": "\x00"}, 400),
        ({"type": "t" * 300}, 400),
    ],
)
async def test_what_cannot_be_replayed(client: Any, query: dict[str, Any], status: int) -> None:
    wanted = listed({**ALL, **query})
    async with client.get("/v1/replay", params=wanted) as answer:
        assert answer.status == status
        if status != 200:
            error = (await answer.json())["error"]
            assert error["message"]
            assert error["hint"]
    if status != 200:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/v1/replay", params=wanted)
        assert refused.value.status == status


async def test_a_client_has_so_many_replays_at_a_time(client: Any) -> None:
    query = listed({**ALL, "speed": "0.000001"})
    sockets = [await client.ws_connect("/v1/replay", params=query) for _ in range(OF_ONE)]
    async with client.get("/v1/replay", params=query) as answer:
        assert answer.status == 503
        assert (await answer.json())["error"]["code"] == "overloaded"
    for socket in sockets:
        await socket.close()
    assert (await read(client, **ALL))[-1]["type"] == "end"


@pytest.mark.parametrize("which", [0, 1, 3])
async def test_a_damaged_segment_is_a_hole_where_it_is(tmp_path: Path, which: int) -> None:
    lines_ = Capture("kalshi", "one").session(trades(COUNT))
    day = archive(tmp_path, lines_, "one", segments=4)
    damaged = sorted(day.glob("*.gz"))[which]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    async with serving(tmp_path, env=ENV) as client:
        frames = await read(client, **{**ALL, "feed": "one", "speed": "1000"})
    kinds = [frame["type"] for frame in frames]
    at = kinds.index("hole")
    assert damaged.name in frames[at]["hole"]["what"]
    assert frames[at]["hole"] in frames[-1]["holes"]
    assert at >= which * 100  # what lies before it is there, and what follows
    assert len(frames) - at >= (3 - which) * 100


async def test_gaps_on_record_are_named_at_the_end(tmp_path: Path) -> None:
    capture = Capture("kalshi", "one")
    frames = trades(100)
    archive(tmp_path, capture.session([*frames[:50], *frames[60:]]), "one")
    async with serving(tmp_path, env=ENV) as client:
        frames_ = await read(client, **{**ALL, "feed": "one"})
    (hole,) = frames_[-1]["holes"]
    assert hole["what"].startswith("gap: sequence")
    assert hole["messages"] == 10


async def test_who_goes_is_forgotten(client: Any) -> None:
    query = listed({**ALL, "speed": "0.000001"})
    for _ in range(3 * OF_ONE):
        socket = await client.ws_connect("/v1/replay", params=query)
        await socket.receive()
        await socket.close()
    for _ in range(3 * OF_ONE):
        answer = await client.get("/v1/replay", params=query)
        assert answer.status == 200
        await answer.content.readline()
        answer.close()


async def test_replays_end_when_the_server_stops(root: Path) -> None:
    stop = asyncio.Event()
    query = listed({**ALL, "speed": "0.000001"})
    async with serving(root, env=ENV, stop=stop) as client:
        socket = await client.ws_connect("/v1/replay", params=query)
        assert (await socket.receive_json())["type"] == "message"
        events = await client.get("/v1/replay", params=query)
        assert await events.content.readline() == b"event: message\n"
        stop.set()
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1001
        assert b"event: end" not in await events.content.read()
