"""What Hypercorn 0.18 leaves open, and none of its settings closes; each has a test that shows it.

- A connection that its client has closed keeps its socket until the idle time is over: a client
  that connects anew for each request uses up the sockets of the process. One whose only stream was
  reset (HTTP/2) is never idle.
- HTTP/2 without TLS is never idle before its first request, and no client of ours speaks it.
- A WebSocket message that is too long is refused, and gathered on.
- A WebSocket whose client sends data before it is accepted is left open, and waits for ever.
- A compressed WebSocket message is inflated before its size is looked at.
"""

from typing import Any, Final

import hypercorn.protocol as protocols
from hypercorn.asyncio import run
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import h2, h11, ws_stream
from hypercorn.protocol.events import Body, Data, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent

_BROKEN: Final = (OSError, TimeoutError)


class Connection(TCPServer):
    """Ends when its client has, or does nothing."""

    _over = False

    async def _read_data(self) -> None:
        while not self.reader.at_eof():
            try:
                data = await self.reader.read(MAX_RECV)
            except _BROKEN:
                break
            await self.protocol.handle(RawData(data))
            inner = self.protocol.protocol
            if isinstance(inner, h2.H2Protocol) and inner.idle and not self._waits:
                await self.idle_task.restart(self._task_group, self._idle_timeout)
        await self.protocol.handle(Closed())
        self._over = True
        await self.idle_task.stop()

    @property
    def _waits(self) -> bool:
        handle = self.idle_task._handle
        return handle is not None and not handle.done()

    async def protocol_send(self, event: Event) -> None:
        if not (self._over and isinstance(event, Updated)):
            await super().protocol_send(event)


class PlainHttp(h11.H11Protocol):
    """HTTP/1 stays HTTP/1."""

    async def _check_protocol(self, event: Any) -> None:
        pass


class Bounded(ws_stream.WebsocketBuffer):
    """Lets go of a message that is too long."""

    def extend(self, event: Any) -> None:
        if self.length + len(event.data) > self.max_length:
            self.value, self.length = None, self.max_length
            raise ws_stream.FrameTooLargeError
        super().extend(event)


class Prompt(ws_stream.WSStream):
    """Ends where its client does not wait."""

    async def handle(self, event: StreamEvent) -> None:
        if self.closed or not isinstance(event, Body | Data) or self.handshake.accepted:
            await super().handle(event)
            return
        if self.state is ws_stream.ASGIWebsocketState.HANDSHAKE:
            await self._send_error_response(400)
        await self.send(StreamClosed(stream_id=self.stream_id))


def _no_extensions(*_: Any) -> None:
    """Compression of WebSockets is not agreed to."""


def harden() -> None:
    """For this process."""
    vars(run)["TCPServer"] = Connection
    vars(protocols)["H11Protocol"] = PlainHttp
    vars(ws_stream)["WebsocketBuffer"] = Bounded
    for protocol in (h2, h11):
        vars(protocol)["WSStream"] = Prompt
    vars(ws_stream)["server_extensions_handshake"] = _no_extensions
