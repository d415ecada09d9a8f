"""Looking after a run: ask the roles, keep the rates, and show it all."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import aiohttp
from rich.console import Console
from rich.live import Live

from ssmd.runtime import wait
from ssmd.up import board
from ssmd.up.board import Places, Process, Row, Scene
from ssmd.up.child import Child

log = logging.getLogger(__name__)

POLL_S = 0.5
POLLED = ("connect", "archive", "secmaster")
PLAIN_EVERY_S = 5.0
RATE_EVERY_S = 1.0
CURVE = 30
EVENTS = 5


class Watch:
    """Polls the children and shows what they say: a dashboard, or lines."""

    def __init__(
        self,
        feeds: Sequence[str],
        children: Mapping[str, Child],
        places: Places,
        *,
        console: Console,
        plain: bool,
        for_s: float | None,
    ) -> None:
        self.stopping: str | None = None
        self.nats = Process("nats", None, 0)
        self._feeds = feeds
        self._children = children
        self._places = places
        self._console = console
        self._plain = plain
        self._for_s = for_s
        self._started = time.monotonic()
        self._counted = self._started
        self._before: dict[str, int] = {}
        self._rates = {feed: deque[float](maxlen=CURVE) for feed in feeds}
        self._events = deque[str](maxlen=EVENTS)

    def notice(self, text: str) -> None:
        """Something that a person should know of now."""
        if self._plain:
            log.warning("%s", text)
        else:
            log.info("%s", text)
            self._events.append(f"{time.strftime('%H:%M:%S')} {text}")

    async def run(self, ended: asyncio.Event) -> None:
        """Until ``ended``."""
        said = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            with self._live() as live:
                while not ended.is_set():
                    await self._poll(session)
                    if live is not None:
                        live.update(board.dashboard(self._scene(), self._console.width))
                    elif time.monotonic() - said >= PLAIN_EVERY_S:
                        said = time.monotonic()
                        for row in self.rows():
                            log.info("%s", board.plain(row))
                    await wait(ended, POLL_S)

    @contextlib.contextmanager
    def _live(self) -> Iterator[Live | None]:
        if self._plain:
            log.info("data in %s, API at %s", self._places.data, self._places.api)
            yield None
            return
        first = board.dashboard(self._scene(), self._console.width)
        with Live(first, console=self._console, refresh_per_second=4, transient=True) as live:
            yield live

    async def _poll(self, session: aiohttp.ClientSession) -> None:
        polled = [self._children[name] for name in POLLED if name in self._children]
        await asyncio.gather(*(child.poll(session) for child in polled))
        now = time.monotonic()
        if now - self._counted < RATE_EVERY_S:
            return
        for row in self.rows():
            # A count is known anew after a restart only once the role has answered.
            fresh = max(0, row.messages - self._before.get(row.feed, row.messages))
            self._rates[row.feed].append(fresh / (now - self._counted))
            self._before[row.feed] = max(row.messages, self._before.get(row.feed, 0))
        self._counted = now

    def rows(self) -> list[Row]:
        connect, archive = self._statuses("connect"), self._statuses("archive")
        return [board.row(feed, connect, archive, self._rates[feed]) for feed in self._feeds]

    def _statuses(self, name: str) -> board.Statuses:
        child = self._children.get(name)
        return [*child.past, child.status] if child else []

    def _scene(self) -> Scene:
        elapsed = time.monotonic() - self._started
        processes = [
            Process(child.name, child.pid, child.restarts) for child in self._children.values()
        ]
        return Scene(
            places=self._places,
            rows=self.rows(),
            processes=[*processes, self.nats] if self.nats.pid else processes,
            events=list(self._events),
            elapsed_s=elapsed,
            left_s=None if self._for_s is None else max(0.0, self._for_s - elapsed),
            stopping=self.stopping,
        )
