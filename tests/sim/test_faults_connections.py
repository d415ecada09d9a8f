"""Faults of connections, handshakes and the clock, as a raw client meets them."""

import asyncio

import pytest
from picows import WSHandshakeError

from sim.wire import BOOKS, HEARTBEAT, PATIENCE_S, SYMBOLS, Wire, connected, simulated
from ssmd.exchanges import EXCHANGES
from ssmd.sim.faults import Fault
from ssmd.sim.server import Simulator

AFTER = 25
everywhere = pytest.mark.parametrize("exchange", EXCHANGES)


def on_the_first(kind: str, exchange: str, value: str | None = None) -> Fault:
    return Fault(kind=kind, exchange=exchange, connection=1, after=AFTER, value=value)


def subscribe(client: Wire, exchange: str, number: int = 1) -> None:
    client.subscribe(BOOKS[exchange], SYMBOLS[exchange], number)


async def sound(exchange: str) -> list[bytes]:
    """Frames of the market up to the one that the fault acts on."""
    async with simulated(exchange) as sim, connected(sim, exchange) as client:
        subscribe(client, exchange)
        found = list[bytes]()
        data = 0
        while data <= AFTER:
            found += await client.take(1)
            data += client.header(found[-1]).kind == "data"
    return found


def assert_acted(sim: Simulator, kind: str, client: Wire, frames: int) -> None:
    """Once, on the first connection and none else, and the ledger says when."""
    (event,) = sim.ledger.events
    assert (event.fault, event.conn) == (kind, 1)
    assert len(client.told(client.heard[: event.after_n])) == frames - 1


@pytest.mark.parametrize("value", ["1001 going away", "1012", "4000 mystery"])
@everywhere
async def test_close(exchange: str, value: str) -> None:
    expected = await sound(exchange)
    code, _, reason = value.partition(" ")
    async with simulated(exchange, on_the_first("close", exchange, value)) as sim:
        async with connected(sim, exchange) as client:
            subscribe(client, exchange)
            assert await client.until_the_end() == expected
            assert (client.close_code, client.close_reason) == (int(code), reason.encode())
            assert_acted(sim, "close", client, len(expected))
        await assert_well(sim, exchange)


@everywhere
async def test_abort(exchange: str) -> None:
    """What was sent before may be lost with the connection; there is no close frame."""
    expected = await sound(exchange)
    async with simulated(exchange, on_the_first("abort", exchange)) as sim:
        async with connected(sim, exchange) as client:
            subscribe(client, exchange)
            heard = await client.until_the_end()
            assert heard == expected[: len(heard)]
            assert client.close_code is None
        await assert_well(sim, exchange)
        (event,) = sim.ledger.events
        assert (event.fault, event.conn) == ("abort", 1)


async def assert_well(sim: Simulator, exchange: str) -> None:
    """The next connection has nothing wrong."""
    async with connected(sim, exchange) as client:
        subscribe(client, exchange)
        await client.take(5 * AFTER)
        await client.pong()


@everywhere
async def test_half_open(exchange: str) -> None:
    """Nothing comes and nothing is read, while others are served; and the socket stays open."""
    expected = await sound(exchange)
    async with (
        simulated(exchange, on_the_first("half_open", exchange)) as sim,
        connected(sim, exchange) as dead,
    ):
        subscribe(dead, exchange)
        heard = await dead.take(len(expected))
        dead.transport.send_ping(b"?")
        dead.say(b"PING")
        subscribe(dead, exchange, 2)
        await assert_well(sim, exchange)
        assert heard == dead.told(dead.heard) == expected
        assert dead.pongs == 0
        assert not dead.gone.is_set()
        assert_acted(sim, "half_open", dead, len(expected))


@everywhere
async def test_mute_all(exchange: str) -> None:
    """Pongs and heartbeats go on."""
    expected = await sound(exchange)
    async with (
        simulated(exchange, on_the_first("mute_all", exchange)) as sim,
        connected(sim, exchange) as mute,
    ):
        subscribe(mute, exchange)
        await mute.take(len(expected))
        await mute.pong()
        await assert_well(sim, exchange)
        await mute.pong()
        if exchange == "kraken":
            assert await mute.frame() == HEARTBEAT
        if exchange == "polymarket":
            mute.say(b"PING")
            assert await mute.frame() == b"PONG"
        assert [f for f in mute.told(mute.heard) if f != b"PONG"] == expected
        assert_acted(sim, "mute_all", mute, len(expected))
        assert len(sim.ledger.connections[0].withheld) > 0


@everywhere
async def test_slow(exchange: str) -> None:
    """What the client says waits in its socket; it goes on hearing."""
    expected = await sound(exchange)
    async with (
        simulated(exchange, on_the_first("slow", exchange, "0.2")) as sim,
        connected(sim, exchange) as client,
    ):
        subscribe(client, exchange)
        await client.take(len(expected))
        (peer,) = sim.floors[exchange].clients
        assert not peer.transport.is_reading()
        assert_acted(sim, "slow", client, len(expected))
        pong = asyncio.ensure_future(client.pong())
        while not peer.transport.is_reading():
            assert not pong.done()
            await asyncio.sleep(0)
        await pong


@pytest.mark.parametrize(
    ("value", "status", "after"),
    [(None, 401, None), ("401", 401, None), ("429/3", 429, "3"), ("503", 503, None)],
)
@everywhere
async def test_handshake(exchange: str, value: str | None, status: int, after: str | None) -> None:
    fault = Fault(kind="handshake", exchange=exchange, count=2, value=value)
    async with simulated(exchange, fault) as sim:
        for _ in range(2):
            with pytest.raises(WSHandshakeError) as refused:
                async with connected(sim, exchange):
                    pass
            answer = refused.value.response
            assert answer is not None
            assert answer.status.value == status
            assert answer.headers.get("Retry-After") == after
        await assert_well(sim, exchange)
        assert [(event.fault, event.conn) for event in sim.ledger.events] == [
            ("handshake", None)
        ] * 2


@pytest.mark.parametrize("seconds", ["3600", "-0.5"])
@everywhere
async def test_clock(exchange: str, seconds: str) -> None:
    expected = await sound(exchange)
    step_ns = int(float(seconds) * 1e9)
    async with simulated(exchange, Fault(kind="clock", exchange=exchange, value=seconds)) as sim:
        async with connected(sim, exchange) as client:
            subscribe(client, exchange)
            heard = await client.take(len(expected))
            before, after = ([client.header(f).ts_ns for f in told] for told in (expected, heard))
        assert any(before)
        # An exchange tells milliseconds or less.
        assert [a and round((a - b) / 1e6) for a, b in zip(after, before, strict=True) if b] == [
            round(step_ns / 1e6)
        ] * len([b for b in before if b])
        assert [event.fault for event in sim.ledger.events] == ["clock"]


@everywhere
async def test_a_quiet_connection_ends_too(exchange: str) -> None:
    """Without a frame to wait for."""
    async with simulated(exchange, rate=1e-9) as sim, connected(sim, exchange) as client:
        await client.pong()
        active = sim.inject(Fault(kind="close", exchange=exchange, value="1012 restarting"))
        assert active.fired.is_set()
        async with asyncio.timeout(PATIENCE_S):
            await client.gone.wait()
        assert (client.close_code, client.close_reason) == (1012, b"restarting")
