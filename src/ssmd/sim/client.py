"""One client's WebSocket: frames in to the session, frames out to the socket and the ledger."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from ssmd import message as wire

if TYPE_CHECKING:
    from ssmd.sim.faults import Mangler
    from ssmd.sim.floor import Floor

_HIGH_WATER_BYTES: Final = 1 << 20
_REPLY_BATCH: Final = 256
_MOST_COMMANDS: Final = 10_000
_TEXT, _BINARY = 0x81, 0x82


class Client(WSListener):
    """Back-pressure: what the socket does not take waits in the market, which stands still until
    every client of the exchange is ``ready``. Buffered are at most the high-water mark and one
    batch of frames."""

    def __init__(self, floor: "Floor") -> None:
        self._floor = floor
        self._inbox: deque[bytes] = deque()
        self._reply: Iterator[bytes] | None = None
        self._out: list[bytes] = []
        self._writable = True
        self.gone = asyncio.Event()
        self.ready = asyncio.Event()
        """Set while the socket takes frames and no command is being answered."""
        self.subscribed = asyncio.Event()
        self.mangler: Mangler | None = None
        """Faults between what the venue says and what is sent."""
        self.deaf = False
        """The socket is open, and dead."""
        self.number = 0
        self.push: Callable[[Iterable[bytes]], None] = self._out.extend
        """Take frames, to be sent at the next ``flush``."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._write = transport.underlying_transport.write
        transport.underlying_transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        peer = transport.underlying_transport.get_extra_info("peername")
        floor = self._floor
        floor.connections += 1
        self.number = floor.connections
        self.session = floor.venue.session(floor.world, floor.connections)
        self.sent = floor.ledger.open(floor.venue.name, floor.connections, peer[1])
        floor.join(self)
        if floor.recording is None:
            self._reply = iter(self.session.greet())
        elif floor.recording.answers:
            self.session.rehearse(floor.recording.sample)
        self.pump()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.deaf:
            return
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self._inbox.append(frame.get_payload_as_bytes())
            if len(self._inbox) > _MOST_COMMANDS:
                self.close(WSCloseCode.POLICY_VIOLATION, b"too many commands")
            else:
                self.pump()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone.set()
        self._inbox.clear()
        self._reply = None
        self._out.clear()
        self._floor.leave(self)
        self.ready.set()

    def pause_writing(self) -> None:
        self._writable = False
        self.ready.clear()

    def resume_writing(self) -> None:
        self._writable = True
        self.pump()

    def pump(self) -> None:
        """Answer commands in order for as long as the socket takes the answers."""
        self.flush()
        while self._writable and not self.gone.is_set():
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
        if not self._out or self.gone.is_set() or self.deaf:
            self._out.clear()
            return
        if self.mangler is None:
            self._send(self._out)
        else:
            self._send(self.mangler(self._out))
        self._out.clear()

    def _send(self, frames: Sequence[bytes]) -> None:
        self._floor.ledger.record(self.sent, frames)
        self._floor.frames += len(frames)
        parts = []
        for frame in frames:
            head = _HEADERS.get(len(frame))
            parts.append(head if head and frame.isascii() else _header(frame))
            parts.append(frame)
        self._write(b"".join(parts))

    def send_late(self, frames: Sequence[bytes]) -> None:
        """Frames that a fault held back."""
        if not self.gone.is_set() and not self.deaf:
            self._send(frames)

    def read_nothing(self, seconds: float) -> None:
        """Let the client's commands wait in the socket."""
        transport = self._transport.underlying_transport
        transport.pause_reading()
        asyncio.get_running_loop().call_later(
            seconds, lambda: None if self.gone.is_set() else transport.resume_reading()
        )

    def ping(self, body: bytes) -> None:
        if not self.gone.is_set() and not self.deaf:
            self._transport.send_ping(body)

    def close(self, code: WSCloseCode, reason: bytes = b"") -> None:
        if not self.gone.is_set():
            self._transport.send_close(code, reason)
            self._transport.disconnect()

    def abort(self) -> None:
        """End the connection without waiting for what the client has not read."""
        if not self.gone.is_set():
            self._transport.underlying_transport.abort()

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
    first = _TEXT if wire.is_utf8(frame) else _BINARY
    size = len(frame)
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2)
    return bytes((first, 127)) + size.to_bytes(8)


_HEADERS: Final = {size: _header(b" " * size) for size in range(2048)}
