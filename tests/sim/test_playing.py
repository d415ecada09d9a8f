"""``--play``: a recording reaches every client with its bytes unchanged."""

import json
from pathlib import Path

import pytest

from sim.wire import BOOKS, SYMBOLS, connected, key, simulated
from ssmd.exchanges import EXCHANGES
from ssmd.sim.faults import Fault
from ssmd.sim.play import Play
from ssmd.sim.server import SimOptions, Simulator

everywhere = pytest.mark.parametrize("exchange", EXCHANGES)


async def recording(exchange: str, path: Path, *, acks: bool) -> list[bytes]:
    """What one client heard of a market, as a file."""
    async with simulated(exchange) as sim, connected(sim, exchange) as client:
        client.subscribe(BOOKS[exchange], SYMBOLS[exchange])
        frames = await client.take(1_000)
    kept = [f for f in frames if acks or client.header(f).kind in ("data", "status", "meta")]
    keep(path, kept)
    return kept


def keep(path: Path, frames: list[bytes]) -> None:
    path.write_bytes(b"".join(frame + b"\n" for frame in frames))


def playing(exchange: str, path: Path, *faults: Fault, pace: float | None = None) -> Simulator:
    return Simulator(
        SimOptions(
            exchanges=(exchange,), plays={exchange: Play(path, pace)}, faults=faults,
            kalshi_public_key=key()[1],
        )
    )  # fmt: skip


@everywhere
async def test_a_recording_comes_byte_by_byte(exchange: str, tmp_path: Path) -> None:
    frames = await recording(exchange, tmp_path / "it.jsonl", acks=True)
    async with playing(exchange, tmp_path / "it.jsonl") as sim, connected(sim, exchange) as client:
        client.subscribe(BOOKS[exchange], SYMBOLS[exchange])
        assert await client.take(len(frames)) == frames
        await sim.played.wait()
        assert len(sim.ledger.of(exchange)[0]) == len(client.heard)


@everywhere
async def test_a_recording_without_acks_gets_them(exchange: str, tmp_path: Path) -> None:
    frames = await recording(exchange, tmp_path / "it.jsonl", acks=False)
    async with playing(exchange, tmp_path / "it.jsonl") as sim, connected(sim, exchange) as client:
        client.subscribe(BOOKS[exchange], SYMBOLS[exchange])
        await sim.played.wait()
        heard = list[bytes]()
        while heard[-1:] != frames[-1:]:
            heard += await client.take(1)
    assert heard[-len(frames) :] == frames
    extra = heard[: -len(frames)]
    assert {client.header(frame).kind for frame in extra} <= {"ack"}
    assert bool(extra) is (exchange != "polymarket")


async def test_each_client_gets_it_from_its_start(tmp_path: Path) -> None:
    frames = await recording("kraken", tmp_path / "it.jsonl", acks=True)
    async with (
        playing("kraken", tmp_path / "it.jsonl") as sim,
        connected(sim, "kraken") as first,
        connected(sim, "kraken") as second,
    ):
        for client in (first, second):
            client.subscribe("book", SYMBOLS["kraken"])
            assert await client.take(len(frames)) == frames


async def test_odd_lines_are_frames_too(tmp_path: Path) -> None:
    lines = [b'{"channel":"book", "x" : 1.50}', b"no json", b"\xff\xfe", b'{"a":"\xc3\xa9"}\r']
    (tmp_path / "it.jsonl").write_bytes(b"\n\n".join(lines))
    async with playing("kraken", tmp_path / "it.jsonl") as sim, connected(sim, "kraken") as client:
        client.subscribe("book", ["BTC/USD"])
        assert (await client.take(1 + len(lines)))[1:] == lines


async def test_a_recording_keeps_its_pace(tmp_path: Path) -> None:
    """A thousand times as fast, in order."""
    stamps = (1_000, 1_500, 61_500, 61_501)
    frames = [
        json.dumps({"feed": "trade", "product_id": "PF_XBTUSD", "time": ms}).encode()
        for ms in stamps
    ]
    (tmp_path / "it.jsonl").write_bytes(b"\n".join(frames))
    name = "kraken_futures"
    async with (
        playing(name, tmp_path / "it.jsonl", pace=1_000.0) as sim,
        connected(sim, name) as client,
    ):
        client.subscribe("trade", ["PF_XBTUSD"])
        assert (await client.take(1 + len(frames)))[1:] == frames


async def test_faults_meet_recordings_too(tmp_path: Path) -> None:
    frames = await recording("kraken", tmp_path / "it.jsonl", acks=True)
    fault = Fault(kind="drop", exchange="kraken", type="book", after=10)
    async with (
        playing("kraken", tmp_path / "it.jsonl", fault) as sim,
        connected(sim, "kraken") as client,
    ):
        client.subscribe("book", SYMBOLS["kraken"])
        heard = await client.take(len(frames) - 1)
    books = [frame for frame in frames if client.header(frame).type == "book"]
    frames.remove(books[10])
    assert heard == frames
