"""A WebSocket that is talked to at its reader's pace, and that is given up when it stalls."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from ssmd.errors import SsmdError

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
    def __init__(self, websocket: WebSocket, stopping: asyncio.Event) -> None:
        """``stopping`` is set when the server is about to end."""
        self._websocket = websocket
        self._stopping = stopping

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

            async def until_over(part: Awaitable[None]) -> None:
                nonlocal failure
                try:
                    await part
                except Exception as error:
                    failure = failure or error
                for one in parts:
                    one.cancel()

            parts = [
                tasks.create_task(until_over(part))
                for part in (self._listen(hear), talk(), self._stop())
            ]
        await self._end(failure)

    async def _stop(self) -> None:
        await self._stopping.wait()
        raise Closed(GOING_AWAY, "the server stops")

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
