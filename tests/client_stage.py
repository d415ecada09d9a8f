"""A server for clients that block: in a thread of its own, behind a line that can be cut."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from archives import ENV
from serve_archive import serving

SEEN_MOST = 1 << 16


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """``ssmd serve`` over an archive. It can be stopped, and started again at the same port."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.port = free_port()
        self._root = root
        self._options = {"env": ENV, **options}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stop: asyncio.Event | None = None
        self._over: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def start(self) -> None:
        up = threading.Event()

        async def serve() -> None:
            self._stop = asyncio.Event()
            async with serving(self._root, port=self.port, **self._options):
                up.set()
                await self._stop.wait()

        self._over = asyncio.run_coroutine_threadsafe(serve(), self._loop)
        assert up.wait(60)

    def stop(self) -> None:
        if self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._over.result(60)
            self._stop = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextlib.contextmanager
def served(root: Path, **options: Any) -> Iterator[Served]:
    server = Served(root, **options)
    try:
        server.start()
        yield server
    finally:
        server.close()


class Line:
    """A proxy between a client and a server, which breaks what it is told to."""

    def __init__(self, server: Served) -> None:
        self.port = free_port()
        self.requests: list[str] = []
        """The first line of each."""
        self.answers: list[bytes] = []
        """What is answered in the server's place, in turn; b"" hangs up."""
        self.cuts: list[int] = []
        """After so many bytes of an answer of the server the line is cut, in turn."""
        self.cut = threading.Event()
        self._server = server
        self._listener: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for end in tuple(self._ends):
            end.close()
        await self._listener.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head.split(b"\r\n", 1)[0].decode())
                if self.answers:
                    answer = self.answers.pop(0)
                    writer.write(answer)
                    await writer.drain()
                    if not answer:
                        return
                elif not await self._pass(head, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._ends.discard(writer)
            writer.close()

    async def _pass(self, head: bytes, writer: asyncio.StreamWriter) -> bool:
        """The server's answer to one request; False where the line is cut in it."""
        left = self.cuts.pop(0) if self.cuts else None
        reader, upward = await asyncio.open_connection("127.0.0.1", self._server.port)
        self._ends.add(upward)
        try:
            lines = [
                line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")
            ]
            lines.insert(1, b"Connection: close")
            upward.write(b"\r\n".join(lines))
            while some := await reader.read(SEEN_MOST):
                if left is not None and len(some) >= left:
                    writer.write(some[:left])
                    await writer.drain()
                    self.cut.set()
                    return False
                left = None if left is None else left - len(some)
                writer.write(some)
                await writer.drain()
            return False  # the server said that it closes: so does the line
        finally:
            self._ends.discard(upward)
            upward.close()


@contextlib.contextmanager
def line(server: Served) -> Iterator[Line]:
    made = Line(server)
    server.run(made.open())
    try:
        yield made
    finally:
        server.run(made.close())
