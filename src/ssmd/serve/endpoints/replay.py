"""``/v1/replay`` and ``/replay/{exchange}/ws``: the archive once more, as it came."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from msgspec import structs
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from ssmd.exchanges import EXCHANGES
from ssmd.serve.context import context_of
from ssmd.serve.describe import describe, sockets
from ssmd.serve.params import FEEDS, FROM, TO, TYPES, Param, choice
from ssmd.serve.params import SYMBOLS as NAMES
from ssmd.serve.replay.asked import FORMS, MAX_SPEED, native_of, replay_of, speed_of
from ssmd.serve.replay.native import Native
from ssmd.serve.replay.player import Abandoned, Frame, Player
from ssmd.serve.replay.socket import GOING_AWAY, Closed, Socket, refusing

SPEED: Final[Param[float]] = Param(
    name="speed",
    text="1 is as it was, N is N times as fast, 0 is as fast as you read.",
    parse=lambda text, _: speed_of(text),
    schema={"type": "number", "minimum": 0, "maximum": MAX_SPEED},
    example=0,
    default=1,
)
FORM: Final = choice("form", "Messages as they are archived, or what they mean.", FORMS)
CURSOR: Final[Param[str | None]] = Param(
    name="cursor",
    text="What the last message was sent with: goes on behind it.",
    parse=lambda text, _: text,
    schema={"type": "string"},
)
EXCHANGE: Final[Param[str]] = Param(
    name="exchange",
    text=f"Whose protocol it is: {', '.join(EXCHANGES)}.",
    parse=lambda text, _: text,
    schema={"type": "string"},
    example="kraken",
    place="path",
)
_FROM: Final = structs.replace(FROM, text="The first moment: a date, RFC 3339, or ns since 1970.")
_WHAT: Final = (FEEDS, TYPES, NAMES, _FROM, TO, SPEED, FORM, CURSOR)


@describe(*_WHAT, formats=("text/event-stream",), missing=True, cost=10)
async def events(request: Request) -> Response:
    """Messages of ``feed`` from ``from`` to ``to``, at ``speed``, as server-sent events.

    ``Last-Event-ID`` or ``cursor`` goes on where a replay was left.
    """
    context = context_of(request)
    asked = await run_in_threadpool(replay_of, request, context)
    seat = contextlib.ExitStack()
    seat.enter_context(context.replays.taken(request))
    return _Events(_stream(Player(context.archive, asked)), seat)


class _Events(StreamingResponse):
    """Keeps its seat for as long as it is sent."""

    def __init__(self, content: AsyncIterator[bytes], seat: contextlib.ExitStack) -> None:
        super().__init__(content, media_type="text/event-stream")
        self._seat = seat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._seat:
            await super().__call__(scope, receive, send)


async def _stream(player: Player) -> AsyncIterator[bytes]:
    with contextlib.suppress(Abandoned):
        async for frames in player.frames():
            yield b"".join(map(_event, frames)) or b": \n\n"


def _event(frame: Frame) -> bytes:
    id_ = f"id: {frame.cursor}\n" if frame.cursor else ""
    return f"event: {frame.type}\n{id_}data: ".encode() + frame.text + b"\n\n"


@describe(*_WHAT, socket=True)
async def messages(websocket: WebSocket) -> None:
    """The same over a WebSocket, which takes pause, resume, seek and speed."""
    context = context_of(websocket)
    async with refusing(websocket):
        asked = await run_in_threadpool(replay_of, websocket, context)
        with context.replays.taken(websocket):
            await _play(Socket(websocket), Player(context.archive, asked))


async def _play(socket: Socket, player: Player) -> None:
    async def talk() -> None:
        try:
            async for frames in player.frames():
                for frame in frames:
                    await socket.send(frame.text)
        except Abandoned as error:
            raise Closed(GOING_AWAY, str(error)) from error
        raise Closed(1000, "end of the replay")

    def hear(text: str) -> None:
        try:
            player.command(text)
        except Abandoned as error:
            raise Closed(GOING_AWAY, str(error)) from error

    await socket.converse(hear, talk)


@describe(EXCHANGE, any_query=True, missing=True)
async def native(websocket: WebSocket) -> None:
    """The exchange's own protocol over what is archived of it, from ``from`` to ``to``."""
    context = context_of(websocket)
    async with refusing(websocket):
        asked = await run_in_threadpool(native_of, websocket, context)
        with context.replays.taken(websocket):
            await Native(context.archive, asked).serve(Socket(websocket))


routes = [
    Route("/v1/replay", events),
    WebSocketRoute("/v1/replay", messages),
    *sockets("/replay/{exchange}/ws", native),
]
