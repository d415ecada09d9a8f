"""Who may ask: those who send a key; where none is set, also this machine."""

import base64
import binascii
from collections.abc import Collection
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssmd.apikey import ApiKey
from ssmd.errors import SsmdError
from ssmd.serve.access import KEY
from ssmd.serve.answers import Forbidden, Unauthorized, error_answer
from ssmd.serve.body import bounded
from ssmd.serve.describe import Described, described_of
from ssmd.serve.keyring import Keyring
from ssmd.serve.limits import Limits, place_of, telling
from ssmd.serve.reach import host_of, is_loopback, same_place

CALLER: Final = "ssmd.caller"
"""Of an ASGI scope: the id of the key that was sent, and is right."""
WRONG_COST: Final = 10
"""What a wrong key takes of the rate limit of the address that it came from."""
SUBPROTOCOL: Final = "ssmd"
KEY_PREFIX: Final = "key."
"""Of a subprotocol that carries a key, as base64url: a browser's WebSocket can send no header."""


class Guard:
    """Lets a request or WebSocket through that carries a key with the scope of its endpoint.

    Where no key is asked for, only names of this machine are answered to: a page elsewhere whose
    name is made to point at 127.0.0.1 must not read the archive through the visitor's browser.
    What such a page may send without asking, a WebSocket and anything but GET, is refused to
    origins other than this server and ``origins``.
    What is open, a body and a scope are those that the endpoint was described with.
    """

    def __init__(
        self,
        app: ASGIApp,
        keyring: Keyring,
        required: bool,
        limits: Limits,
        origins: Collection[str] = (),
    ) -> None:
        """``required``: this machine needs a key, too."""
        self._app = app
        self._keyring = keyring
        self._required = required or keyring.has_master
        self._limits = limits
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = dict(reversed(scope["headers"]))
        described = described_of(scope)
        try:
            self._check_origin(scope, headers)
            if scope["type"] == "http":
                receive = bounded(scope, receive, described.body)
            key = self._key_of(scope, headers, described)
            left = self._limits.take(scope[CALLER], described.cost) if CALLER in scope else None
        except SsmdError as error:
            await error_answer(error)(scope, receive, send)
            return
        if key is not None:
            scope[KEY] = key
        if left is not None:
            send = telling(send, left)
        if scope["type"] == "websocket":
            send = _with_subprotocol(scope, send)
        await self._app(scope, receive, send)

    def _check_origin(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Raises Forbidden."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return  # a browser shows what they answer to no other origin
        origin = headers.get(b"origin", b"").decode("latin-1")
        host = headers.get(b"host", b"").decode("latin-1")
        if origin and not same_place(origin, host) and origin not in self._origins:
            raise Forbidden(
                "pages of that origin may not ask", hint="allow it: ssmd serve --cors-origin"
            )

    def _key_of(
        self, scope: Scope, headers: dict[bytes, bytes], described: Described
    ) -> ApiKey | None:
        """What the request may do; None is everything. Raises what refuses it."""
        sent = _sent(scope, headers)
        if not self._required:
            host = headers.get(b"host", b"").decode("latin-1")
            if not is_loopback(host_of(host)):
                raise Forbidden(
                    f"without a key, {host!r} is not answered to",
                    hint="use http://127.0.0.1, or set SSMD_API_KEY where ssmd serve runs",
                )
        if described.open or (sent is None and not self._required):
            return None
        try:
            key = self._keyring.check((sent or b"").decode("latin-1"))
        except Unauthorized:
            # Guessing is bounded by the address: it has no key that could be limited.
            self._limits.take(place_of(scope.get("client")), WRONG_COST)
            raise
        scope[CALLER] = key.id if key is not None else "SSMD_API_KEY"
        if key is not None and described.scope not in key.scopes:
            raise Forbidden(
                f"the key has not the scope {described.scope}",
                hint=f"ask for one with the scope {described.scope}",
            )
        return key


def _sent(scope: Scope, headers: dict[bytes, bytes]) -> bytes | None:
    """The key: of X-API-Key, or of a WebSocket's subprotocol, which the application does not see.
    Raises Unauthorized."""
    offered = scope.get("subprotocols", ())
    keys = [name.removeprefix(KEY_PREFIX) for name in offered if name.startswith(KEY_PREFIX)]
    if offered:
        scope["subprotocols"] = [name for name in offered if not name.startswith(KEY_PREFIX)]
        scope["headers"] = [
            header for header in scope["headers"] if header[0] != b"sec-websocket-protocol"
        ]
    if b"x-api-key" in headers or not keys:
        return headers.get(b"x-api-key")
    try:
        padded = keys[0] + "=" * (-len(keys[0]) % 4)
        return base64.b64decode(padded.encode(), b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise Unauthorized(
            "the key of the subprotocol is no base64url", hint="offer ssmd, key.BASE64URL_OF_KEY"
        ) from None


def _with_subprotocol(scope: Scope, send: Send) -> Send:
    """Browsers close a WebSocket that chose none of the subprotocols that they offered."""
    if SUBPROTOCOL not in scope["subprotocols"]:
        return send

    async def answering(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": SUBPROTOCOL}
        await send(message)

    return answering
