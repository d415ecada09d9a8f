"""One WebSocket: picows' callbacks -> the tape, stamped where the bytes are read."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from ssmd.connect.refusal import explain, hung_up, shown
from ssmd.connect.tape import Hear, Tape

HANDSHAKE_TIMEOUT_S = 10.0
_WHOLE = frozenset({WSMsgType.TEXT, WSMsgType.BINARY})


class Socket(WSListener):
    """The listener of one connection. ``hear`` gets what was read; ``full`` tells to pause."""

    def __init__(
        self,
        tape: Tape,
        opened: Callable[["Socket"], None],
        hear: Hear,
        full: Callable[["Socket"], bool],
        max_bytes: int,
    ) -> None:
        super().__init__()
        self.tape = tape
        self.data = False
        """Market data has come."""
        self.last_byte = time.monotonic()
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.fault: str | None = None
        self.transport: WSTransport | None = None
        self.closed = asyncio.Event()
        self._opened = opened
        self._hear = hear
        self._full = full
        self._max_bytes = max_bytes
        self._fragments = bytearray()
        self._paused = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        recv_ns, mono_ns = time.time_ns(), time.monotonic_ns()
        self.last_byte = mono_ns / 1e9
        kind = frame.msg_type
        if kind in _WHOLE and frame.fin:
            self._keep(frame.get_payload_as_bytes(), recv_ns, mono_ns)
        elif kind in _WHOLE or kind == WSMsgType.CONTINUATION:
            self._fragment(frame.get_payload_as_memoryview(), frame.fin, recv_ns, mono_ns)
        elif kind == WSMsgType.CLOSE:
            code = frame.get_close_code()
            # picows says 0 where the exchange gave no code.
            self.close_code = (code.value or None) if code is not None else None
            message = frame.get_close_message() or b""
            self.close_reason = bytes(message).decode(errors="replace") or None
            transport.send_close(code or WSCloseCode.OK)
            transport.disconnect()

    @property
    def ending(self) -> str:
        """How the exchange closed the connection, in its own words."""
        words = [str(self.close_code or ""), shown(self.close_reason or "")]
        said = " ".join(word for word in words if word)
        return f"the exchange closed the connection{f' ({said})' if said else ''}"

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()

    def _keep(self, payload: bytes, recv_ns: int, mono_ns: int) -> None:
        if self.tape.frame(payload, recv_ns, mono_ns, self._hear):
            self.data = True
        if not self._paused and self._full(self):
            self.pause()

    def _fragment(self, piece: memoryview, last: bool, recv_ns: int, mono_ns: int) -> None:
        self._fragments += piece
        if len(self._fragments) > self._max_bytes:
            self.fault = f"a frame of more than {self._max_bytes} bytes"
            self.disconnect()
        elif last:
            payload = bytes(self._fragments)
            self._fragments = bytearray()
            self._keep(payload, recv_ns, mono_ns)

    def send(self, payload: bytes) -> None:
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, payload)

    def ping(self) -> None:
        if self.transport is not None:
            self.transport.send_ping()

    def pause(self) -> None:
        """Read no more from the socket: TCP tells the exchange."""
        if self.transport is not None and not self.closed.is_set():
            self.transport.underlying_transport.pause_reading()
            self._paused = True

    def resume(self) -> None:
        if self._paused and self.transport is not None and not self.closed.is_set():
            self.transport.underlying_transport.resume_reading()
        self._paused = False

    def disconnect(self) -> None:
        if self.transport is not None:
            self.transport.send_close(WSCloseCode.OK)
            self.transport.disconnect()


async def open_socket(url: str, headers: Mapping[str, str], socket: Socket) -> WSTransport:
    """Raises ExchangeError, or ExchangeRefused where a retry cannot help."""
    options: dict[str, Any] = {"extra_headers": dict(headers)} if headers else {}
    try:
        # picows' own time-out begins when TCP and TLS are through, which may take minutes.
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S * 1.5):
            transport, _ = await ws_connect(
                lambda: socket,
                url,
                websocket_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                max_redirects=0,
                max_frame_size=socket._max_bytes + 16,
                enable_auto_pong=True,
                **options,
            )
    except (WSError, OSError, TimeoutError, ValueError) as error:
        raise explain(url, error) from error
    if socket.transport is None:  # picows hands on a connection that ended in its handshake
        raise hung_up(url)
    return transport
