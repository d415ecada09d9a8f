"""Frames that are garbage, too long, in pieces or cut off, and how connections end."""

import asyncio
import hashlib
import logging

import pytest

from connect.harness import Capturing, lines, until
from connect.venue import (
    BINARY,
    CLOSE,
    MORE,
    PING,
    PONG,
    TEXT,
    Peer,
    Script,
    frame,
    head,
    steady,
    trade,
    venue,
)
from ssmd.message import Message

MIB = 1 << 20


def sending(*pieces: bytes) -> Script:
    """An exchange that sends these bytes after the handshake, and then keeps quiet."""

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        for piece in pieces:
            await peer.write(piece)
        await peer.gone()

    return script


def data(messages: list[Message]) -> list[Message]:
    return [m for m in messages if (m.part or 0) >= 0]


GARBAGE = [
    b"\x00\xff\xfe\x80",
    b'{"channel":"trade","data":[{"symbol":"\xff\xfe"}]}',
    b"",
    b" ",
    b"null",
    b"0",
    b'"trade"',
    b"{}",
    b"{",
    b'{"channel":7,"data":{}}',
    b'{"channel":"trade","data":[{"symbol":["BTC/USD"]}]}',
    b'{"channel":"trade","data":"none"}',
    b'{"channel":"' + b"x" * 5000 + b'"}',
    b'{"channel":"a.b *>\\u0000\\ud800"}',
    b'{"method":"subscribe","success":"maybe","req_id":1}',
    b'{"method":"subscribe","success":true,"req_id":99999999999999999999}',
    b"[" * 50_000,
    b"\x1b[31m",
    b"two\nlines\r\n",
]


async def test_garbage_frames_are_kept_as_they_came(capturing: Capturing) -> None:
    sent = [frame(piece, kind) for piece in GARBAGE for kind in (TEXT, BINARY)]
    async with (
        venue(sending(*sent, frame(trade(1)))) as server,
        capturing(server.url) as captured,
    ):
        await captured.framed(len(sent) + 1)
        found = data(await captured.messages())
        expected = [piece for piece in GARBAGE for _ in range(2)]
        assert [m.n for m in found] == list(range(1, len(sent) + 2))
        for message, piece in zip(found, [*expected, trade(1)], strict=True):
            same = piece.strip() if message.raw else piece
            assert message.payload == same
        assert captured.status()["state"] == "live"
        assert server.met == 1


async def test_a_frame_in_pieces_is_one_frame(capturing: Capturing) -> None:
    whole = trade(7)
    pieces = [
        frame(whole[:5], TEXT, last=False),
        frame(b"", MORE, last=False),
        frame(b"between", PING),
        frame(whole[5:9], MORE, last=False),
        frame(whole[9:], MORE),
        frame(b"\xff", BINARY, last=False) + frame(b"\xfe", MORE),
    ]
    async with (
        venue(sending(*pieces, frame(trade(8)))) as server,
        capturing(server.url) as captured,
    ):
        assert await captured.framed(3) == [whole, b"\xff\xfe", trade(8)]


async def test_a_ping_is_answered_with_its_payload(capturing: Capturing) -> None:
    answered = asyncio.Queue[bytes]()

    async def ping(peer: Peer) -> None:
        await peer.upgrade()
        for payload in (b"", b"are you there", b"\xff" * 125):
            await peer.send(payload, PING)
            answered.put_nowait(await peer.read(PONG))
        await peer.send(b"unasked", PONG)
        await peer.send(trade(1))
        await peer.gone()

    async with venue(ping) as server, capturing(server.url) as captured:
        async with asyncio.timeout(60):
            assert [await answered.get() for _ in range(3)] == [
                b"", b"are you there", b"\xff" * 125,
            ]  # fmt: skip
        assert await captured.framed(1) == [trade(1)]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, "done"),
        (1001, "going away for maintenance"),
        (1008, "policy"),
        (1011, "internal error"),
        (1012, "service restart"),
        (4000, "slow consumer: \u20ac"),
        (4999, ""),
        (None, ""),
    ],
)
async def test_how_a_connection_was_closed_is_in_the_stream(
    capturing: Capturing, caplog: pytest.LogCaptureFixture, code: int | None, reason: str
) -> None:
    answered = asyncio.Queue[bytes]()

    async def close(peer: Peer) -> None:
        await peer.upgrade()
        await peer.send(trade(1))
        body = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
        await peer.send(body, CLOSE)
        answered.put_nowait(await peer.read(CLOSE))

    async with venue(close, steady) as server, capturing(server.url) as captured:
        note = await captured.noted("_disconnect")
        await until(lambda: server.met == 2)
        await captured.reaches("live")
        async with asyncio.timeout(60):
            assert (await answered.get())[:2] in ((code or 1000).to_bytes(2, "big"), b"")
    assert note == {
        "cause": "closed",
        "clean": False,
        "frames": 1,
        **({} if code is None else {"code": code}),
        **({"reason": reason} if reason else {}),
    }
    (line,) = lines(caplog)
    assert "the exchange closed the connection" in line
    assert str(code or "") in line
    assert reason in line


async def cut(peer: Peer) -> None:
    """The socket ends in the middle of a frame."""
    await peer.upgrade()
    await peer.write(frame(trade(1)) + frame(trade(2))[:10])


async def half_close(peer: Peer) -> None:
    """The exchange sends no more, and leaves its other ear open."""
    await peer.upgrade()
    await peer.send(trade(1))
    peer.half_close()
    await peer.gone()


@pytest.mark.parametrize("script", [cut, half_close])
async def test_a_socket_that_ends_without_a_word_is_noted_and_opened_again(
    capturing: Capturing, caplog: pytest.LogCaptureFixture, script: Script
) -> None:
    async with venue(script, steady) as server, capturing(server.url) as captured:
        note = await captured.noted("_disconnect")
        assert await captured.framed(2) == [trade(1), trade(1)]
        await captured.reaches("live")
    assert note == {"cause": "closed", "clean": False, "frames": 1}
    (line,) = lines(caplog)
    assert "closed the connection" in line


VIOLATIONS = {
    "reserved opcode": b"\x83\x00",
    "fragmented control frame": b"\x09\x00",
    "masked frame": b"\x81\x81aaaaa",
    "long ping": head(126, PING) + b"x" * 126,
    "length with its sign bit": b"\x81\x7f" + b"\xff" * 8,
    "close of one byte": frame(b"\x03", CLOSE),
    "close with code 1005": frame((1005).to_bytes(2, "big"), CLOSE),
    "close with a reason that is not text": frame(b"\x03\xe8\xff\xfe", CLOSE),
}


@pytest.mark.parametrize("bad", VIOLATIONS.values(), ids=VIOLATIONS)
async def test_bytes_that_are_no_frames_end_the_connection_and_say_so(
    capturing: Capturing, caplog: pytest.LogCaptureFixture, bad: bytes
) -> None:
    async with (
        venue(sending(frame(trade(1)), bad), steady) as server,
        capturing(server.url) as captured,
    ):
        note = await captured.noted("_disconnect")
        assert (await captured.framed(2))[:2] == [trade(1), trade(1)]
        await captured.reaches("live")
        assert server.met == 2
    assert note["cause"] == "protocol"
    assert note["clean"] is False
    assert note["frames"] == 1
    assert note["reason"]
    assert len(lines(caplog)) == 1
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR and "ssmd" in r.name]


# --- long frames --------------------------------------------------------------------------------


async def test_a_frame_of_64_mib_is_a_gap_with_its_fingerprint(capturing: Capturing) -> None:
    start, end = b'{"channel":"book","data":[{"symbol":"BTC/USD","x":"', b'"}]}'
    giant = start + b"x" * (64 * MIB - len(start) - len(end)) + end
    async with (
        venue(sending(frame(trade(1)), frame(giant), frame(trade(2)))) as server,
        capturing(server.url) as captured,
    ):
        assert await captured.framed(2) == [trade(1), trade(2)]
        found = await captured.messages()
        assert [m.n for m in data(found)] == [1, 3]
        (gap,) = await captured.notes("_gap")
        assert server.met == 1
        assert captured.status()["state"] == "live"
        assert captured.status()["gaps"] == 1
    assert gap["cause"] == "oversize"
    assert gap["bytes"] == 64 * MIB
    assert gap["sha256"] == hashlib.sha256(giant).hexdigest()
    assert gap["after_n"] == 2
    assert gap["sym"] == "BTC/USD"
    assert gap["frame_type"] == "book"


async def test_a_frame_just_short_of_what_nats_stores_is_kept(capturing: Capturing) -> None:
    long = b'{"channel":"mystery","x":"' + b"y" * (31 * MIB) + b'"}'
    pieces = [frame(long[: 20 * MIB], TEXT, last=False), frame(long[20 * MIB :], MORE)]
    async with (
        venue(sending(frame(long), *pieces, frame(trade(2)))) as server,
        capturing(server.url) as captured,
    ):
        assert await captured.framed(3) == [long, long, trade(2)]


LONGER = {
    "whole": [head(65 * MIB), b"x" * MIB],
    "absurd": [head(1 << 62), b"x" * MIB],
    "in pieces": [
        frame(b"x" * (40 * MIB), TEXT, last=False),
        frame(b"x" * (40 * MIB), MORE, last=False),
    ],
}


@pytest.mark.parametrize("pieces", LONGER.values(), ids=LONGER)
async def test_a_frame_beyond_the_limit_ends_the_connection_and_says_so(
    capturing: Capturing, caplog: pytest.LogCaptureFixture, pieces: list[bytes]
) -> None:
    async with (
        venue(sending(frame(trade(1)), *pieces), steady) as server,
        capturing(server.url) as captured,
    ):
        note = await captured.noted("_disconnect")
        await captured.framed(2)
        await captured.reaches("live")
    assert note["frames"] == 1
    assert note["clean"] is False
    assert "size exceeding" in note["reason"] or f"more than {64 * MIB}" in note["reason"]
    assert len(lines(caplog)) == 1
