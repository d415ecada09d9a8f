"""What the connector and the archiver of this machine say of themselves, where they run here."""

import asyncio
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from ssmd.serve.reach import is_loopback

TIMEOUT_S: Final = 1.0
KEPT_S: Final = 1.0
"""How long an answer serves: many pages that look on are one question a second."""
TROUBLE: Final = frozenset({"disk_full", "write_error"})
_MAX_BYTES: Final = 1 << 20


class Live(Struct, frozen=True):
    """One feed, by the roles that run it. Counts are of the running connector."""

    state: str
    detail: str | None = None
    verified: int = 0
    """Messages that proved to be whole and in order, and those that could not or did not."""
    unverified: int = 0
    broken: int = 0
    unacked: int = 0
    age_ms_p50: float | None = None


class _Where(Struct):
    url: str | None = None


class _Status(Struct):
    feeds: dict[str, Live] = {}


class Roles:
    """Asks the roles that wrote down where they are: ``{data}/run/{role}.json``."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "run"
        self._session: aiohttp.ClientSession | None = None
        self._lock = asyncio.Lock()
        self._known: dict[str, Live] = {}
        self._asked = float("-inf")

    async def feeds(self) -> dict[str, Live]:
        """Feed -> what is known of it; none where no connector of this machine answers."""
        async with self._lock:
            if time.monotonic() - self._asked > KEPT_S:
                connect, archive = await asyncio.gather(self._ask("connect"), self._ask("archive"))
                trouble = {name: feed for name, feed in archive.items() if feed.state in TROUBLE}
                self._known = {name: trouble.get(name, feed) for name, feed in connect.items()}
                self._asked = time.monotonic()
            return self._known

    async def _ask(self, role: str) -> dict[str, Live]:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            content = await asyncio.to_thread((self._folder / f"{role}.json").read_bytes)
            url = msgspec.json.decode(content, type=_Where).url
            if url is None or not is_loopback(urlsplit(url).hostname or ""):
                return {}
            async with self._session.get(f"{url}/status", allow_redirects=False) as answer:
                body = await answer.content.read(_MAX_BYTES)
            return msgspec.json.decode(body, type=_Status).feeds
        except (OSError, ValueError, aiohttp.ClientError, TimeoutError):
            return {}  # it does not run here, or ends just now: what the archive tells is shown

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
