"""Who may ask: with a key, those who send it; without, this machine."""

import hmac
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from ssmd.errors import SsmdError
from ssmd.serve.answers import Forbidden, TooLarge, Unauthorized, error_answer
from ssmd.serve.reach import host_of, is_loopback

OPEN: Final = frozenset(
    {"/", "/health", "/ready", "/metrics", "/page.js", "/feeds.js", "/page.css"}
)
"""Paths that need no key: probes and the page, which hold no market data."""


class Guard:
    """Lets a request through that carries the key, compared in constant time.

    Without a key only names of this machine are answered to: a page elsewhere whose name is made
    to point at 127.0.0.1 must not read the archive through the visitor's browser. Requests with a
    body are refused before it is read: no endpoint takes one.
    """

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self._app = app
        self._key = key.encode() if key is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refused = self._refuse(scope["path"], dict(reversed(scope["headers"])))
        if refused is None:
            await self._app(scope, receive, send)
        else:
            await error_answer(refused)(scope, receive, send)

    def _refuse(self, path: str, headers: dict[bytes, bytes]) -> SsmdError | None:
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            return TooLarge("requests have no body", hint="put the parameters into the URL")
        if self._key is None:
            host = headers.get(b"host", b"").decode("latin-1")
            if not is_loopback(host_of(host)):
                return Forbidden(
                    f"without a key, {host!r} is not answered to",
                    hint="use http://127.0.0.1, or set SSMD_API_KEY where ssmd serve runs",
                )
        elif path not in OPEN and not hmac.compare_digest(
            headers.get(b"x-api-key", b""), self._key
        ):
            return Unauthorized("the key is missing or wrong", hint="send it as X-API-Key")
        return None
