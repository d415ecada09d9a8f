"""A server that plays an exchange at its worst: each connection follows a script, byte by byte."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

TEXT, BINARY, CLOSE, PING, PONG, MORE = 1, 2, 8, 9, 10, 0
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def trade(number: int) -> bytes:
    """A market data frame of Kraken."""
    return (
        b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy",'
        b'"price":7.1,"qty":1.0,"ord_type":"market","trade_id":%d,'
        b'"timestamp":"2026-11-23T12:00:00.000001Z"}]}' % number
    )


def frame(payload: bytes, kind: int = TEXT, *, last: bool = True) -> bytes:
    """A frame as a server sends it."""
    return head(len(payload), kind, last=last) + payload


def head(size: int, kind: int = TEXT, *, last: bool = True) -> bytes:
    first = bytes([kind | (0x80 if last else 0)])
    if size < 126:
        return first + bytes([size])
    if size < 1 << 16:
        return first + b"\x7e" + size.to_bytes(2, "big")
    return first + b"\x7f" + size.to_bytes(8, "big")


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> str:
        """The head of the HTTP request."""
        return (await self._reader.readuntil(b"\r\n\r\n")).decode()

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: str, *headers: str) -> None:
        """A plain HTTP answer to the handshake."""
        await self.request()
        lines = [f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "Connection: close"]
        await self.write("\r\n".join([*lines, "", ""]).encode())

    async def upgrade(self) -> None:
        """The handshake as it should be."""
        lines = (await self.request()).split("\r\n")
        named = dict(line.partition(": ")[::2] for line in lines[1:] if line)
        key = next(v for k, v in named.items() if k.lower() == "sec-websocket-key").encode()
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT).digest()).decode()
        await self.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept.encode()
        )

    async def send(self, payload: bytes, kind: int = TEXT, *, last: bool = True) -> None:
        await self.write(frame(payload, kind, last=last))

    async def close(self, code: int, reason: bytes = b"") -> None:
        await self.send(code.to_bytes(2, "big") + reason, CLOSE)

    async def read(self, kind: int) -> bytes:
        """The payload of the client's next frame of a kind; others are passed over."""
        while True:
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
            mask = await self._reader.readexactly(4)
            body = await self._reader.readexactly(size)
            if first & 0xF == kind:
                return bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))

    async def gone(self) -> None:
        """Until the client hangs up."""
        while await self._reader.read(1 << 16):
            pass

    def half_close(self) -> None:
        self._writer.write_eof()


Script = Callable[[Peer], Awaitable[None]]


class Venue:
    """``url`` is where; the n-th connection follows the n-th script, later ones the last."""

    def __init__(self, *scripts: Script) -> None:
        self.met = 0
        """Connections so far."""
        self.url = ""
        self.port = 0
        self._scripts = scripts
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{self.port}/feed"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for client in self._clients:
                client.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.current_task()
        assert client is not None
        self._clients.add(client)
        script = self._scripts[min(self.met, len(self._scripts) - 1)]
        self.met += 1
        try:
            await script(Peer(reader, writer))
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client went away
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()
            self._clients.discard(client)


@asynccontextmanager
async def venue(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Venue]:
    server = Venue(*scripts)
    await server.start(tls=tls)
    try:
        yield server
    finally:
        await server.stop()


async def steady(peer: Peer) -> None:
    """An exchange as it should be: the handshake, one trade, and an open socket."""
    await peer.upgrade()
    await peer.send(trade(1))
    await peer.gone()


def refusing(status: str, *headers: str) -> Script:
    """An exchange that answers the handshake so."""

    async def script(peer: Peer) -> None:
        await peer.answer(status, *headers)

    return script
