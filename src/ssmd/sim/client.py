"""One client's WebSocket: frames in to the session, frames out to the socket and the ledger."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, Final

from ssmd import message as wire

if TYPE_CHECKING:
    from ssmd.sim.floor import Floor
    from ssmd.sim.mangler import Mangler

_REPLY_BATCH: Final = 256
_MOST_COMMANDS: Final = 10_000
_TEXT, _BINARY, _CLOSE, _PING = 0x81, 0x82, 0x88, 0x89


class Close(IntEnum):
    """Close codes (RFC 6455, 7.4.1)."""

    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    ABNORMAL = 1006
    """Never sent: the connection ends without a close frame."""
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009


class Text(bytes):
    """A frame that is sent as text, whether it is UTF-8 or not."""


class Client:
    """Back-pressure: what the socket does not take waits in the market, which stands still until
    every client of the exchange is ``ready``. Buffered are at most the high-water mark and one
    batch of frames."""

    def __init__(self, floor: "Floor") -> None:
        self._floor = floor
        self._inbox: deque[bytes] = deque()
        self._reply: Iterator[bytes] | None = None
        self._out: list[bytes] = []
        self._writable = True
        self.closing = False
        """No frame is sent any more, and none is heard."""
        self.deaf = False
        """The socket is open, and dead."""
        self.number = 0
        """Of the exchange's connections, from 1."""
        self.mangler: Mangler | None = None
        """What is wrong with the connection, if anything is."""
        self.gone = asyncio.Event()
        self.ready = asyncio.Event()
        """Set while the socket takes frames and no command is being answered."""
        self.subscribed = asyncio.Event()
        self.push: Callable[[Iterable[bytes]], None] = self._out.extend
        """Take frames, to be sent at the next ``flush``."""

    def connected(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._write = transport.write
        peer = transport.get_extra_info("peername")
        floor = self._floor
        floor.connections += 1
        self.number = floor.connections
        self.session = floor.venue.session(floor.world, self.number)
        self.sent = floor.ledger.open(floor.venue.name, self.number, peer[1])
        floor.join(self)
        if floor.recording is None:
            self._reply = iter(self.session.greet())
        elif floor.recording.answers:
            self.session.rehearse(floor.recording.sample)
        self.pump()

    def hear(self, command: bytes) -> None:
        """A text or binary message came from the client."""
        self._inbox.append(command)
        if len(self._inbox) > _MOST_COMMANDS:
            self.close(Close.POLICY_VIOLATION, b"too many commands")
        else:
            self.pump()

    def lost(self) -> None:
        """The connection is over."""
        self.closing = True
        self.gone.set()
        if self.mangler is not None:
            self.mangler.lost()
        self._stop()

    def _stop(self) -> None:
        """Nothing is obeyed or sent any more, and nobody waits for this client."""
        self._inbox.clear()
        self._reply = None
        self._out.clear()
        self._floor.leave(self)
        self.ready.set()

    def pause_writing(self) -> None:
        self._writable = False
        if not self.deaf:
            self.ready.clear()

    def resume_writing(self) -> None:
        self._writable = True
        self.pump()

    def pump(self) -> None:
        """Answer commands in order for as long as the socket takes the answers."""
        self.flush()
        while self._writable and not self.closing and not self.deaf:
            if self._reply is None:
                if not self._inbox:
                    break
                self._reply = iter(self._obey(self._inbox.popleft()))
            some = list(islice(self._reply, _REPLY_BATCH))
            self.push(some)
            self.flush()
            if len(some) < _REPLY_BATCH:
                self._reply = None
        if self._writable and self._reply is None:
            self.ready.set()
        else:
            self.ready.clear()

    def flush(self) -> None:
        """Hand all frames taken so far to the ledger and the socket, in one write.

        Every frame of every exchange passes here and nowhere else on its way out.
        """
        if not self._out or self.closing or self.deaf:
            self._out.clear()
            return
        if self.mangler is None:
            self._send(self._out)
            self._out.clear()
        else:
            self._send_spoiled(self.mangler)

    def _send_spoiled(self, mangler: "Mangler") -> None:
        frames = mangler(self._out)
        self._out.clear()
        if frames:
            self._send(frames)
        mangler.settle()

    def _send(self, frames: Sequence[bytes]) -> None:
        self._floor.ledger.record(self.sent, frames)
        self._floor.frames += len(frames)
        parts = []
        for frame in frames:
            head = _HEADERS.get(len(frame))
            parts.append(head if head and frame.isascii() else _header(frame))
            parts.append(frame)
        self._write(b"".join(parts))

    def send_late(self, frame: bytes) -> None:
        """A frame that a fault held back."""
        if self.closing or self.deaf:
            self._floor.ledger.withhold(self.sent, frame, self.sent.frames)
        else:
            self._send([frame])

    def ping(self, body: bytes) -> None:
        if not self.closing and not self.deaf:
            self._write(bytes((_PING, len(body))) + body)

    def close(self, code: int, reason: bytes = b"") -> None:
        if not self.closing:
            body = code.to_bytes(2) + reason[:123]
            self._write(bytes((_CLOSE, len(body))) + body)
            self.leave()

    def leave(self) -> None:
        """End the connection once everything that was sent has been taken."""
        self.closing = True
        self.transport.close()

    def read_nothing(self, seconds: float) -> None:
        """Let what the client sends wait in its socket."""
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self._read_again)

    def _read_again(self) -> None:
        if not self.closing and not self.deaf:
            self.transport.resume_reading()

    def go_deaf(self) -> None:
        """Neither read nor send, and keep the socket open."""
        self.deaf = True
        self.transport.pause_reading()
        self._stop()

    def abort(self) -> None:
        """End the connection without waiting for what the client has not read."""
        self.closing = True
        self.transport.abort()

    def _obey(self, command: bytes) -> Iterable[bytes]:
        recording = self._floor.recording
        if recording is None:
            return self.session.on_frame(command)
        kind = self._floor.venue.command(command)
        if kind == "ping":
            return self.session.on_frame(command)
        if kind == "subscribe":
            self.subscribed.set()
        return self.session.acks(command) if recording.answers else ()


def _header(frame: bytes) -> bytes:
    """The head of an unmasked, unfragmented WebSocket frame; binary where it is no UTF-8."""
    first = _TEXT if isinstance(frame, Text) or wire.is_utf8(frame) else _BINARY
    size = len(frame)
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2)
    return bytes((first, 127)) + size.to_bytes(8)


_HEADERS: Final = {size: _header(b" " * size) for size in range(2048)}
