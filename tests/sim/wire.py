"""A raw WebSocket client: it keeps what it hears, and understands nothing of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from ssmd import keys
from ssmd import message as wire
from ssmd.exchanges import EXCHANGES
from ssmd.message import Header
from ssmd.sim.faults import Fault
from ssmd.sim.server import SimOptions, Simulator

PATIENCE_S = 60.0
NOW_NS = 1_786_401_938_000_000_000
SYMBOLS = {
    "kalshi": ("KXSIM-E00000-T000000", "KXSIM-E00000-T000001"),
    "polymarket": (str(10**60), str(10**60 + 2)),
    "kraken": ("BTC/USD", "ETH/USD"),
    "kraken_futures": ("PF_XBTUSD", "PF_ETHUSD"),
}
BOOKS = {
    "kalshi": "orderbook_delta",
    "polymarket": "market",
    "kraken": "book",
    "kraken_futures": "book",
}

HEARTBEAT = b'{"channel":"heartbeat"}'


class Frame(NamedTuple):
    kind: WSMsgType
    data: bytes


class Wire(WSListener):
    """One connection."""

    def __init__(self, exchange: str) -> None:
        self.exchange = EXCHANGES[exchange]
        self.heard: list[bytes] = []
        """Text and binary frames, in order, as the ledger counts them."""
        self.close_code: int | None = None
        self.close_reason = b""
        self.pongs = 0
        self.gone = asyncio.Event()
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            code = frame.get_close_code()
            self.close_code = None if code is None else int(code)
            self.close_reason = bytes(frame.get_close_message() or b"")
            transport.disconnect()
        elif frame.msg_type == WSMsgType.PONG:
            self.pongs += 1
            self._frames.put_nowait(Frame(frame.msg_type, b""))
        else:
            data = frame.get_payload_as_bytes()
            self.heard.append(data)
            self._frames.put_nowait(Frame(frame.msg_type, data))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone.set()
        self._frames.put_nowait(None)

    def say(self, command: bytes) -> None:
        self.transport.send(WSMsgType.TEXT, command)

    def subscribe(self, channel: str, symbols: Sequence[str], number: int = 1) -> None:
        """All of it in one command: nothing happens in between."""
        (plan,) = self.exchange.plan([channel], symbols)
        (command,) = self.exchange.subscribe(plan.subscriptions[0], number)
        self.say(command.frame)

    async def next(self) -> Frame | None:
        """The next frame or pong; None where the connection ended."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._frames.get()

    async def frame(self) -> bytes:
        """The next text or binary frame. Fails where the connection ended."""
        while True:
            found = await self.next()
            assert found is not None, (self.close_code, self.close_reason)
            if found.kind != WSMsgType.PONG:
                return found.data

    async def take(self, count: int) -> list[bytes]:
        """The next frames without heartbeats, which come when the clock says so."""
        found: list[bytes] = []
        while len(found) < count:
            found += self.told([await self.frame()])
        return found

    async def until_the_end(self) -> list[bytes]:
        """What comes until the connection ends, without heartbeats."""
        found = []
        while (frame := await self.next()) is not None:
            found.append(frame.data)
        return self.told(found)

    def told(self, frames: Sequence[bytes]) -> list[bytes]:
        """The frames without heartbeats."""
        return [frame for frame in frames if frame != HEARTBEAT]

    async def ack(self) -> bytes:
        """The next answer to a command."""
        while True:
            frame = await self.frame()
            if self.header(frame).kind in ("ack", "error"):
                return frame

    async def pong(self) -> None:
        """Send a ping and wait for what answers it."""
        before = self.pongs
        self.transport.send_ping(b"?")
        while self.pongs == before:
            assert await self.next() is not None

    def header(self, frame: bytes) -> Header:
        elements = wire.split_array(frame)
        return self.exchange.classify(elements[0] if elements else frame)


@cache
def key() -> tuple[str, bytes]:
    """The private and the public PEM."""
    with TemporaryDirectory() as folder:
        private, public = keys.make(Path(folder))
        return private.read_text(), public.read_bytes()


@asynccontextmanager
async def simulated(
    exchange: str, *faults: Fault, rate: float | None = None, markets: int = 4,
    lifecycle_every: int = 0, seed: int = 1, ledger: Path | None = None,
) -> AsyncIterator[Simulator]:  # fmt: skip
    """A market whose every byte follows from the seed and the commands."""
    options = SimOptions(
        exchanges=(exchange,), rate=rate, markets=markets, seed=seed, ledger=ledger,
        start_ns=NOW_NS, lifecycle_every=lifecycle_every, faults=faults,
        kalshi_public_key=key()[1],
    )  # fmt: skip
    async with Simulator(options) as sim:
        yield sim


@asynccontextmanager
async def connected(sim: Simulator, exchange: str) -> AsyncIterator[Wire]:
    """Raises what ws_connect does where the handshake is refused."""
    url = sim.ws_url(exchange)
    headers = EXCHANGES[exchange].handshake_headers(
        url, {"api_key": "k", "private_key": key()[0]}, time.time_ns() // 1_000_000
    )
    async with connected_to(url, exchange, headers) as found:
        yield found


@asynccontextmanager
async def connected_to(
    url: str, exchange: str, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Wire]:
    transport, found = await ws_connect(
        lambda: Wire(exchange), url, extra_headers=headers, max_frame_size=1 << 26,
        enable_auto_pong=True,
    )  # fmt: skip
    assert isinstance(found, Wire)
    try:
        yield found
    finally:
        transport.disconnect(graceful=False)
        await found.gone.wait()
