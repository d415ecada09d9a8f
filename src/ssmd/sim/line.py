"""One TCP connection to the simulator: HTTP requests, and the WebSocket that one may turn into."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import parse_qsl, unquote

import h11
from msgspec import Struct
from multidict import CIMultiDict
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import RemoteProtocolError

from ssmd.sim.client import Client, Close
from ssmd.sim.venues.base import Reply

_HIGH_WATER_BYTES: Final = 1 << 20
_MOST_BODY_BYTES: Final = 1 << 20
_MOST_COMMAND_BYTES: Final = 64 << 20
_MOST_HEAD_BYTES: Final = 64 << 10
_PIECES: Final = 20
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


class Ask(Struct, frozen=True):
    """A request. ``path`` is as the client wrote it, without the query; header names are looked
    up in any case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def upgrades(self) -> bool:
        return self.headers.get("Upgrade", "").lower() == "websocket"


Serve = Callable[[Ask], Reply | Client | None]
"""The answer to a request; a client takes over the connection, None never answers."""


class Line(asyncio.Protocol):
    """The venue's part is in ``serve``; ``lines`` holds every line that is open."""

    def __init__(self, serve: Serve, lines: "set[Line]") -> None:
        self._serve = serve
        self._lines = lines
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD_BYTES)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._websocket: WSConnection | None = None
        self._command = bytearray()
        self._client: Client | None = None
        self.gone = asyncio.Event()

    # --- transport ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self._lines.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._lines.discard(self)
        self.gone.set()
        if self._client is not None:
            self._client.lost()

    def pause_writing(self) -> None:
        if self._client is not None:
            self._client.pause_writing()

    def resume_writing(self) -> None:
        if self._client is not None:
            self._client.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._client is None:
            self._read_http(data)
        else:
            self._read_frames(self._client, data)

    # --- HTTP -----------------------------------------------------------------------------------

    def _read_http(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._read_on()

    def _read_on(self) -> None:
        try:
            while self._client is None and self._take(self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self._answer(Reply(error.error_status_hint, b'{"error":"bad request"}'))
            self.transport.close()

    def _take(self, event: object) -> bool:
        """Whether there may be another event."""
        if isinstance(event, h11.Request):
            self._request = event
            self._body.clear()
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > _MOST_BODY_BYTES:
                raise h11.RemoteProtocolError("too large", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage):
            self._obey()
        else:
            if isinstance(event, h11.ConnectionClosed):
                self.transport.close()
            return False
        return True

    def _obey(self) -> None:
        assert self._request is not None
        answer = self._serve(_ask(self._request, bytes(self._body)))
        if isinstance(answer, Client):
            self._upgrade(self._request, answer)
        elif answer is not None:
            self._answer(answer)
            if not answer.over_s:
                self._next()

    def _next(self) -> None:
        """The answer was given."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.transport.close()

    def _answer(self, reply: Reply) -> None:
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(reply.body)),
            **reply.headers,
        }
        head = h11.Response(
            status_code=reply.status,
            headers=list(headers.items()),
            reason=_PHRASES.get(reply.status, ""),
        )
        self._say(head)
        if reply.truncated:
            self._say(h11.Data(data=reply.body[: len(reply.body) // 2]))
            self.transport.close()
        elif reply.over_s:
            self._trickle(reply.body, reply.over_s)
        else:
            self._say(h11.Data(data=reply.body))
            self._say(h11.EndOfMessage())

    def _say(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        self.transport.write(self._http.send(event) or b"")

    def _trickle(self, body: bytes, over_s: float) -> None:
        """Send the body in pieces."""
        size = len(body) // _PIECES + 1
        pause_s = over_s * size / (len(body) or 1)

        def go_on(start: int) -> None:
            if self.transport.is_closing():
                return
            if start < len(body):
                self._say(h11.Data(data=body[start : start + size]))
                asyncio.get_running_loop().call_later(pause_s, go_on, start + size)
            else:
                self._say(h11.EndOfMessage())
                self._next()
                self._read_on()

        go_on(0)

    # --- WebSocket ------------------------------------------------------------------------------

    def _upgrade(self, request: h11.Request, client: Client) -> None:
        self._websocket = WSConnection(ConnectionType.SERVER)
        try:
            self._websocket.initiate_upgrade_connection(list(request.headers), request.target)
        except RemoteProtocolError:
            self._answer(Reply(400, b'{"error":"not a WebSocket handshake"}'))
            self.transport.close()
            return
        list(self._websocket.events())
        self.transport.write(self._websocket.send(AcceptConnection()))
        self.transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        self._client = client
        client.connected(self.transport)
        rest, _ = self._http.trailing_data
        if rest:
            self._read_frames(client, rest)

    def _read_frames(self, client: Client, data: bytes) -> None:
        assert self._websocket is not None
        if client.closing:
            return
        try:
            self._websocket.receive_data(data)
            for event in self._websocket.events():
                self._hear(client, event)
        except RemoteProtocolError as error:
            hint = error.event_hint
            code = hint.code if isinstance(hint, CloseConnection) else Close.PROTOCOL_ERROR
            client.close(int(code))

    def _hear(self, client: Client, event: object) -> None:
        assert self._websocket is not None
        if isinstance(event, TextMessage | BytesMessage):
            data = event.data
            self._command += data.encode() if isinstance(data, str) else data
            if len(self._command) > _MOST_COMMAND_BYTES:
                client.close(Close.TOO_BIG)
            elif event.message_finished:
                client.hear(bytes(self._command))
                self._command.clear()
        elif isinstance(event, Ping):
            self.transport.write(self._websocket.send(event.response()))
        elif isinstance(event, CloseConnection) and not client.closing:
            self.transport.write(self._websocket.send(event.response()))
            client.leave()


def _ask(request: h11.Request, body: bytes) -> Ask:
    path, _, query = request.target.decode("latin-1").partition("?")
    headers = CIMultiDict(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers
    )
    fields = dict(parse_qsl(query, keep_blank_values=True))
    return Ask(request.method.decode("latin-1"), unquote(path), fields, headers, body)
