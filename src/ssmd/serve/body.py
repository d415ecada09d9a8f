"""Bodies of requests: bounded in size and time, and never decompressed."""

import asyncio
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from ssmd.serve.answers import Ambiguous, BadRequest, SlowBody, TooLarge, UnknownMedia

T = TypeVar("T")
BODY_S: Final = 15.0
"""How long a body may take to come."""


class Body(Struct, Generic[T], frozen=True):
    """JSON of one type. ``max_bytes`` bounds it; the type is a msgspec Struct."""

    type: Any
    text: str
    max_bytes: int = 64 * 1024
    example: Any = None

    async def of(self, request: Request) -> T:
        """Raises BadRequest, TooLarge, SlowBody."""
        content = await request.body()
        try:
            found: T = msgspec.json.decode(content, type=self.type)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(
                f"the body cannot be used: {str(error)[:200]}", hint=self.text
            ) from None
        return found


def bounded(scope: Scope, receive: Receive, body: Body[Any] | None) -> Receive:
    """A ``receive`` that raises for a body that is too long or too slow. Raises TooLarge,
    UnknownMedia for one that says so itself."""
    headers = dict(scope["headers"])
    length, chunked = headers.get(b"content-length", b"0"), b"transfer-encoding" in headers
    if b"content-length" in headers and chunked:
        # Proxies disagree on where such a request ends: what follows may be someone else's.
        raise Ambiguous("a body has a length or comes in chunks", hint="send one of the two")
    if body is None:
        if length != b"0" or chunked:
            raise TooLarge("requests have no body", hint="put the parameters into the URL")
        return receive
    # h11 takes digits only, of any number.
    if len(length) > 12 or int(length) > body.max_bytes:
        raise _too_large(body)
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnknownMedia("bodies are not decompressed", hint="send it without Content-Encoding")
    return _Reading(receive, body).receive


class _Reading:
    def __init__(self, receive: Receive, body: Body[Any]) -> None:
        self._receive = receive
        self._body = body
        self._bytes = 0
        self._whole = False
        self._end = asyncio.get_running_loop().time() + BODY_S

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._end):
                message = await self._receive()
        except TimeoutError:
            raise SlowBody("the body took too long to come", hint="send it at once") from None
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._body.max_bytes:
            raise _too_large(self._body)
        self._whole = not message.get("more_body", False)
        return message


def _too_large(body: Body[Any]) -> TooLarge:
    return TooLarge(f"the body is longer than {body.max_bytes} bytes", hint="ask for less")
