"""``/v1/replay`` and ``/replay/{exchange}/ws``: the archive once more, as it came."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from ssmd.errors import SsmdError, StorageError
from ssmd.serve.context import context_of
from ssmd.serve.describe import describe, sockets
from ssmd.serve.params import FEEDS, ONE_FEED, SYMBOLS
from ssmd.serve.replay.asked import native_of, replay_of
from ssmd.serve.replay.native import Native
from ssmd.serve.replay.parameters import CURSOR, EXCHANGE, FORM, FROM, SPEED, TO, TYPES
from ssmd.serve.replay.player import Abandoned, Frame, Player, failed
from ssmd.serve.replay.socket import GOING_AWAY, Closed, Socket

log = logging.getLogger(__name__)


@describe(FEEDS, TYPES, SYMBOLS, FROM, TO, SPEED, FORM, CURSOR, formats=("text/event-stream",))
async def events(request: Request) -> Response:
    """Archived messages of one or several feeds, at a pace, as server-sent events.

    ``Last-Event-ID`` or ``cursor`` goes on where a replay was left. Over a WebSocket on the same
    path the replay can be paused and moved: `docs/replay.md`.
    """
    context = context_of(request)
    asked = await run_in_threadpool(replay_of, request, context)
    seat = contextlib.ExitStack()
    seat.enter_context(context.replays.taken(request))
    return _Events(Player(context.archive, asked), seat, context.stopping)


class _Events(StreamingResponse):
    """Keeps its seat for as long as it is sent."""

    def __init__(self, player: Player, seat: contextlib.ExitStack, stopping: asyncio.Event) -> None:
        super().__init__(_stream(player), media_type="text/event-stream")
        self._player = player
        self._seat = seat
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failure = None
        with self._seat:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._stop())
                try:
                    await super().__call__(scope, receive, send)
                except Exception as error:
                    failure = error  # raised below: out of the group it would come wrapped
                watching.cancel()
        if failure is not None:
            raise failure

    async def _stop(self) -> None:
        await self._stopping.wait()
        self._player.stop()


async def _stream(player: Player) -> AsyncIterator[bytes]:
    try:
        async for frames in player.frames():
            yield b"".join(map(_event, frames)) or b": \n\n"
    except Abandoned:
        return
    except SsmdError as error:
        yield _event(failed(error))
    except OSError as error:
        log.error("%s", error)
        yield _event(failed(StorageError("the archive cannot be read", hint="see /health")))


def _event(frame: Frame) -> bytes:
    id_ = f"id: {frame.cursor}\n" if frame.cursor else ""
    return f"event: {frame.type}\n{id_}data: ".encode() + frame.text + b"\n\n"


@describe(FEEDS, TYPES, SYMBOLS, FROM, TO, SPEED, FORM, CURSOR)
async def messages(websocket: WebSocket) -> None:
    """The same over a WebSocket, which takes pause, resume, seek and speed."""
    context = context_of(websocket)
    asked = await run_in_threadpool(replay_of, websocket, context)
    with context.replays.taken(websocket):
        await _play(Socket(websocket, context.stopping), Player(context.archive, asked))


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


@describe(EXCHANGE, ONE_FEED, FROM, TO, SPEED, any_query=True)
async def native(websocket: WebSocket) -> None:
    """A WebSocket that speaks the exchange's own protocol over what is archived of it.

    A client of the exchange runs on it unchanged: `docs/replay.md`. `feed` is needed where several
    feeds are of the exchange.
    """
    context = context_of(websocket)
    asked = await run_in_threadpool(native_of, websocket, context)
    with context.replays.taken(websocket):
        await Native(context.archive, asked).serve(Socket(websocket, context.stopping))


routes = [
    Route("/v1/replay", events),
    WebSocketRoute("/v1/replay", messages),
    *sockets("/replay/{exchange}/ws", native),
]
