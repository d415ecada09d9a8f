"""Requests to ``ssmd serve``: tried again for a while where that can help. Imported late."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from ssmd.client.errors import BadRequest, TooLong, Unreachable, of_code
from ssmd.client.patience import Again, Patience, retry_after_s
from ssmd.errors import SsmdError

Query = Sequence[tuple[str, str]]

CONNECT_S: Final = 10.0
QUIET_S: Final = 60.0
"""The server answers within half of it, and tells in a stream that it is still there."""
_PASSING: Final = frozenset({429, 502, 503, 504})
_MOST_ERROR: Final = 1 << 16
_LOST: Final = (aiohttp.ClientError, TimeoutError, OSError)


class _Told(Struct):
    code: str = "refused"
    message: str = ""
    hint: str | None = None


class _Body(Struct):
    error: _Told


class Http:
    """Of one event loop; use it as ``async with``."""

    def __init__(self, url: str, key: str | None, patience_s: float) -> None:
        self.url = url.rstrip("/")
        self._patience_s = patience_s
        self._session = aiohttp.ClientSession(
            headers={"X-API-Key": key} if key else None,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=QUIET_S),
        )
        self._met = False
        """Somebody answered once: what fails from then on may pass."""

    async def __aenter__(self) -> "Http":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, query: Query = ()) -> bytes:
        """Raises what the server answers, and Unreachable."""
        patience = Patience(self._patience_s)
        while True:
            try:
                return await self._once(path, query)
            except Again as again:
                await asyncio.sleep(patience.pause_s(again))

    async def _once(self, path: str, query: Query) -> bytes:
        try:
            async with self._session.get(
                self.url + path, params=query, allow_redirects=False
            ) as answer:
                await self._check(answer, "application/json")
                return await answer.read()
        except _LOST as error:
            raise self._lost(error) from error

    async def _check(self, answer: aiohttp.ClientResponse, media: str) -> None:
        """Raises what the answer says is wrong."""
        self._met = True
        if answer.status == 200 and answer.content_type == media:
            return
        error = await self._error(answer)
        if answer.status in _PASSING and not isinstance(error, TooLong):
            raise Again(error, retry_after_s(answer.headers.get("Retry-After")))
        raise error

    async def _error(self, answer: aiohttp.ClientResponse) -> SsmdError:
        body = await answer.content.read(_MOST_ERROR)
        try:
            told = msgspec.json.decode(body, type=_Body).error
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Unreachable(
                f"{self.url} answers {answer.status} {answer.reason} and not as ssmd serve does",
                hint="is this the URL of ssmd serve?",
            )
        return of_code(told.code)(told.message, hint=told.hint)

    def _lost(self, error: Exception) -> Exception:
        if isinstance(error, aiohttp.InvalidURL):
            return BadRequest(f"{self.url} is no URL", hint="such as http://127.0.0.1:8080")
        what = str(error) or type(error).__name__
        unreachable = Unreachable(
            f"cannot reach {self.url}: {what}", hint="does ssmd serve run there?"
        )
        return Again(unreachable) if self._met else unreachable

    # --- streams ----------------------------------------------------------------------------------

    async def events(
        self, path: str, query: Query, cursor: Callable[[], str | None]
    ) -> AsyncIterator[list["Event"]]:
        """Server-sent events, some at a time, until one named ``end``; a connection that is lost is
        made again, from behind ``cursor`` on. Raises what the server answers, and Unreachable."""
        patience = Patience(self._patience_s)
        while True:
            try:
                async for found in self._events(path, query, cursor()):
                    patience.renew()
                    yield found
                    if found and found[-1].type == "end":
                        return
                self._met = True
                raise self._lost(ConnectionResetError("the stream ended in the middle"))
            except Again as again:
                await asyncio.sleep(patience.pause_s(again))

    async def _events(
        self, path: str, query: Query, cursor: str | None
    ) -> AsyncIterator[list["Event"]]:
        headers: Mapping[str, str] = {"Accept": "text/event-stream"}
        if cursor:
            headers = {**headers, "Last-Event-ID": cursor}
        parse = Parser()
        try:
            async with self._session.get(
                self.url + path, params=query, headers=headers, allow_redirects=False
            ) as answer:
                await self._check(answer, "text/event-stream")
                async for some in answer.content.iter_any():
                    yield parse(some)
        except _LOST as error:
            raise self._lost(error) from error


class Event(Struct, frozen=True):
    """One server-sent event."""

    type: str
    data: bytes
    id: str | None = None


class Parser:
    """Bytes as they come -> the events that are whole by then."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, some: bytes) -> list[Event]:
        *whole, self._rest = (self._rest + some).split(b"\n\n")
        return [event for text in whole if (event := _event(text)) is not None]


def _event(text: bytes) -> Event | None:
    lines = (line.partition(b":") for line in text.split(b"\n"))
    fields = {name.decode(): value.removeprefix(b" ") for name, _, value in lines}
    if "data" not in fields:
        return None  # a comment: the server is still there
    id_ = fields.get("id")
    return Event(
        type=fields.get("event", b"message").decode(),
        data=fields["data"],
        id=id_.decode() if id_ else None,
    )
