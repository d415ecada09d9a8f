"""Answers of a server, page by page."""

from collections.abc import Iterator
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from ssmd.client.asked import Asked
from ssmd.client.errors import BadRequest, Unreachable
from ssmd.client.http import Http, Query
from ssmd.client.loop import Loop
from ssmd.client.rows import Feed, Hole, Page
from ssmd.errors import KeyFault

T = TypeVar("T")

_AT_ONCE: Final = {"book_snapshots": 500, "book_deltas": 5_000}
"""Rows of a page where they are large."""
_MOST: Final = 10_000


class _Page(Struct):
    rows: list[Raw]
    next: str | None = None
    holes: list[Hole] = []


class Remote:
    """Blocks; what it asks is asked in a thread of its own."""

    def __init__(self, url: str, key: str | None, patience_s: float) -> None:
        self.url = checked(url)
        self._key = checked_key(key)
        self._patience_s = patience_s
        self._loop = Loop()
        self._http = self._loop.run(self._connected())

    def __repr__(self) -> str:
        return repr(self.url)

    async def _connected(self) -> Http:
        return self.http()

    def http(self) -> Http:
        """Another connection, of the event loop that runs."""
        return Http(self.url, self._key, self._patience_s)

    def close(self) -> None:
        if not self._loop.closed:
            self._loop.run(self._http.close())
            self._loop.close()

    def table(self, asked: Asked) -> Iterator[Page]:
        query = [
            *(("feed", feed) for feed in asked.feeds),
            *(("symbol", symbol) for symbol in asked.symbols),
            ("from", str(asked.start_ns)),
            ("to", str(asked.end_ns)),
            ("limit", str(_AT_ONCE.get(asked.table, _MOST))),
        ]
        if asked.interval:
            query.append(("interval", asked.interval))
        return self._pages(f"/v1/{asked.table}", query)

    def _pages(self, path: str, query: Query) -> Iterator[Page]:
        cursor: str | None = None
        while True:
            more = [("cursor", cursor)] if cursor else []
            page = self._answer(path, [*query, *more], _Page)
            yield Page(page.rows, page.holes)
            if page.next is None:
                return
            if page.next == cursor:
                raise Unreachable(f"{self.url}{path} goes in circles")
            cursor = page.next

    def feeds(self) -> Iterator[Page]:
        found = self._answer("/v1/feeds", (), list[Feed])
        yield Page([Raw(msgspec.json.encode(feed)) for feed in found])

    def _answer(self, path: str, query: Query, kind: type[T]) -> T:
        body = self._loop.run(self._http.get(path, query))
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unreachable(
                f"{self.url}{path} answers something else: {error}",
                hint="is it of the same version as this client?",
            ) from error


def checked(url: str) -> str:
    """Raises BadRequest."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment or not url.isprintable():
        raise BadRequest(f"{url!r:.80} is no URL", hint="such as http://127.0.0.1:8080")
    if parts.username is not None or parts.password is not None:
        raise BadRequest("the URL names a user", hint="give the key with key= or SSMD_API_KEY")
    return url.rstrip("/")


def checked_key(key: str | None) -> str | None:
    """Raises KeyFault, which does not tell the key."""
    if key is not None and not (key.isascii() and key.isprintable()):
        raise KeyFault("the key holds what no header can", hint="is there a line break in it?")
    return key or None
