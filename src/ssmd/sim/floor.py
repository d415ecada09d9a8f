"""One exchange of a simulator: its clients, and the pace at which its market moves."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from ssmd.sim.client import Client
from ssmd.sim.failing import failing
from ssmd.sim.ledger import Ledger
from ssmd.sim.play import Recording
from ssmd.sim.trouble import Trouble
from ssmd.sim.venues.base import Reply, Venue
from ssmd.sim.world import World

_BATCH: Final = 256
_SHORTEST_SLEEP_S: Final = 0.002


class Floor:
    """Every client of an exchange sees the same market. It stands still while any of them has
    not read what was sent, so that memory is bounded and no frame is dropped."""

    def __init__(
        self,
        venue: Venue,
        world: World,
        ledger: Ledger,
        *,
        rate: float | None,
        recording: Recording | None = None,
    ) -> None:
        """``rate``: frames per second to all clients together; None: as many as they read."""
        self.venue = venue
        self.world = world
        self.ledger = ledger
        self.recording = recording
        self.clients: set[Client] = set()
        self.connections = 0
        self.frames = 0
        self.rate = rate
        self._group: asyncio.TaskGroup | None = None
        self.played = asyncio.Event()
        self.trouble = Trouble(self)

    def join(self, client: Client) -> None:
        self.clients.add(client)
        self.trouble.join(client)
        self.world.join(client.session, client.push)
        if self.recording is not None and self._group is not None:
            self._group.create_task(self._play(client, self.recording))

    def leave(self, client: Client) -> None:
        if client in self.clients:
            self.clients.discard(client)
            self.world.leave(client.session)

    def rest(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply | None:
        """The answer to a REST call; None: there will be none."""
        fault = self.trouble.take("rest", path)
        answer = self._answer(method, path, query, body)
        return answer if fault is None else failing(fault, answer)

    def _answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        if method not in ("GET", "POST"):
            return Reply(405, b'{"error":"method not allowed"}')
        return self.venue.rest(self.world, path, query, body if method == "POST" else None)

    async def run(self) -> None:
        """Move the market, beat the heart, play the recording; runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._beat())
            if self.recording is None:
                group.create_task(self._move())

    async def _move(self) -> None:
        owed = 0.0
        before = time.monotonic()
        while True:
            if self._held():
                await self._released()
                owed, before = 0.0, time.monotonic()
            if self.rate is None:
                self._steps(_BATCH)
                await asyncio.sleep(0)
                continue
            now = time.monotonic()
            owed = min(owed + (now - before) * self.rate, max(self.rate / 2, 1.0))
            before = now
            while owed >= 1 and not self._held():
                owed -= self._steps(min(owed, _BATCH))
            await asyncio.sleep(max((1 - owed) / self.rate, _SHORTEST_SLEEP_S))

    def _steps(self, wanted: float) -> int:
        """Events until about so many frames are made, and sent. An event nobody sees counts 1."""
        made = 0
        while made < wanted and self.world.awake.is_set():
            made += self.world.step() or 1
        for client in tuple(self.clients):
            client.flush()
        return max(made, 1)

    def _held(self) -> bool:
        return not (
            self.world.awake.is_set() and all(client.ready.is_set() for client in self.clients)
        )

    async def _released(self) -> None:
        while self._held():
            for client in tuple(self.clients):
                await client.ready.wait()
            await self.world.awake.wait()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.venue.tick_s)
            for client in tuple(self.clients):
                if self.recording is None and client.ready.is_set():
                    client.push(client.session.on_tick())
                    client.flush()
                if self.venue.ping is not None:
                    client.ping(self.venue.ping)

    async def _play(self, client: Client, recording: Recording) -> None:
        """Send the recording to a client from its first subscription on, once."""
        await _first(client.subscribed, client.gone)
        await client.ready.wait()
        if recording.pace is None:
            await self._play_all(client, recording)
        else:
            await self._play_timed(client, recording)
        if not client.gone.is_set():
            self.played.set()

    async def _play_all(self, client: Client, recording: Recording) -> None:
        batch: list[bytes] = []
        for frame in recording.frames():
            batch.append(frame)
            if len(batch) == _BATCH:
                if client.gone.is_set():
                    return
                client.push(batch)
                client.flush()
                batch.clear()
                await asyncio.sleep(0)
                await client.ready.wait()
        client.push(batch)
        client.flush()

    async def _play_timed(self, client: Client, recording: Recording) -> None:
        began = time.monotonic()
        for due, frame in recording.timed():
            ahead = began + due - time.monotonic()
            if ahead > 0.001 or not client.ready.is_set():
                client.flush()
                await asyncio.sleep(max(ahead, 0))
                await client.ready.wait()
            if client.gone.is_set():
                return
            client.push((frame,))
        client.flush()


async def _first(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
