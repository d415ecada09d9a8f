"""Who may ask: those who send a key; where none is set, also this machine."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from ssmd.apikey import ApiKey
from ssmd.errors import SsmdError
from ssmd.serve.access import KEY
from ssmd.serve.answers import Forbidden, TooLarge, error_answer
from ssmd.serve.endpoints.page import FOLDER
from ssmd.serve.keyring import Keyring
from ssmd.serve.reach import host_of, is_loopback

OPEN: Final = frozenset({"/", "/health", "/ready", "/metrics"})
"""Paths that need no key: probes and the page, which hold no market data; so do its files."""


class Guard:
    """Lets a request through that carries a key with the scope ``read``.

    Where no key is asked for, only names of this machine are answered to: a page elsewhere whose
    name is made to point at 127.0.0.1 must not read the archive through the visitor's browser.
    Requests with a body are refused before it is read: no endpoint takes one.
    """

    def __init__(self, app: ASGIApp, keyring: Keyring, required: bool) -> None:
        """``required``: this machine needs a key, too."""
        self._app = app
        self._keyring = keyring
        self._required = required or keyring.has_master

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            key = self._key_of(scope["path"], dict(reversed(scope["headers"])))
        except SsmdError as error:
            await error_answer(error)(scope, receive, send)
            return
        if key is not None:
            scope[KEY] = key
        await self._app(scope, receive, send)

    def _key_of(self, path: str, headers: dict[bytes, bytes]) -> ApiKey | None:
        """What the request may do; None is everything. Raises what refuses it."""
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            raise TooLarge("requests have no body", hint="put the parameters into the URL")
        sent = headers.get(b"x-api-key")
        if not self._required:
            host = headers.get(b"host", b"").decode("latin-1")
            if not is_loopback(host_of(host)):
                raise Forbidden(
                    f"without a key, {host!r} is not answered to",
                    hint="use http://127.0.0.1, or set SSMD_API_KEY where ssmd serve runs",
                )
        if path in OPEN or path.startswith(FOLDER) or (sent is None and not self._required):
            return None
        key = self._keyring.check((sent or b"").decode("latin-1"))
        if key is not None and "read" not in key.scopes:
            raise Forbidden("the key may not read", hint="ask for one with the scope read")
        return key
