"""A WebSocket that is talked to at its reader's pace, and that is given up when it stalls."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from ssmd.errors import SsmdError, StorageError
from ssmd.serve.answers import error_answer

log = logging.getLogger(__name__)

SEND_TIMEOUT_S: Final = 60.0
"""How long a reader may take nothing."""
ENDED: Final = 1000
GOING_AWAY: Final = 1001
POLICY: Final = 1008
BROKEN: Final = 1011
_MOST_REASON: Final = 120


class Closed(Exception):
    """The conversation is to end, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Socket:
    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def send(self, text: bytes) -> None:
        """Raises Closed where the reader takes nothing."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._websocket.send_text(text.decode())
        except TimeoutError:
            raise Closed(POLICY, f"nothing was read for {SEND_TIMEOUT_S:.0f} s") from None

    async def converse(
        self, hear: Callable[[str], None], talk: Callable[[], Awaitable[None]]
    ) -> None:
        """Accept, and run ``talk`` until it ends or the reader goes; ``hear`` gets each text that
        comes. What they raise as Closed closes."""
        await self._websocket.accept()
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:

            async def both(main: Awaitable[None]) -> None:
                nonlocal failure
                try:
                    await main
                except Exception as error:
                    failure = failure or error
                listening.cancel()
                talking.cancel()

            listening = tasks.create_task(both(self._listen(hear)))
            talking = tasks.create_task(both(talk()))
        await self._end(failure)

    async def _listen(self, hear: Callable[[str], None]) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", ENDED))
            text = message.get("text")
            hear(text if text is not None else message["bytes"].decode("utf-8", "replace"))

    async def _end(self, failure: Exception | None) -> None:
        if isinstance(failure, WebSocketDisconnect):
            return
        if isinstance(failure, Closed):
            await self._close(failure.code, failure.reason)
        elif isinstance(failure, SsmdError):
            await self._close(BROKEN, failure.message)
        elif isinstance(failure, OSError):
            log.error("%s", failure)
            await self._close(BROKEN, "the archive cannot be read")
        elif failure is not None:
            await self._close(BROKEN, "internal error")
            raise failure

    async def _close(self, code: int, reason: str) -> None:
        reason = reason.encode()[:_MOST_REASON].decode("utf-8", "ignore")
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._websocket.close(code, reason)
        except (TimeoutError, RuntimeError, WebSocketDisconnect):
            log.info("a reader went without a close")


@contextlib.asynccontextmanager
async def refusing(websocket: WebSocket) -> AsyncIterator[None]:
    """Answer the handshake with what goes wrong before it is accepted."""
    try:
        yield
    except SsmdError as error:
        await websocket.send_denial_response(error_answer(error))
    except OSError as error:
        log.error("%s", error)
        unreadable = StorageError("the archive cannot be read", hint="see /health")
        await websocket.send_denial_response(error_answer(unreadable))
