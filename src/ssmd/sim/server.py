"""The simulator: every venue's WebSocket and REST on one port."""

import asyncio
import errno
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct, field

from ssmd.errors import ConfigError, NotFound, PortInUse
from ssmd.runtime import wait
from ssmd.sim.client import Client, Close
from ssmd.sim.control import control
from ssmd.sim.failing import refusal
from ssmd.sim.faults import Fault, check
from ssmd.sim.floor import Floor
from ssmd.sim.ledger import Ledger
from ssmd.sim.line import Ask, Line
from ssmd.sim.play import Play, Recording
from ssmd.sim.trouble import Active
from ssmd.sim.venues import VENUES, venue
from ssmd.sim.venues.base import Keys, Reply
from ssmd.sim.venues.kalshi import public_key
from ssmd.sim.world import World

_PATIENCE_S = 1.0
_NOT_FOUND = Reply(404, b'{"error":"not found"}')


class SimOptions(Struct, kw_only=True, frozen=True):
    """What is simulated. ``port`` 0 is any free port."""

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    exchanges: tuple[str, ...] = ()
    """None named means all."""
    rate: float | None = 100.0
    """Frames per second and exchange, to all clients together; None: as many as they read."""
    markets: int | Mapping[str, int] = 40
    """Instruments listed at first, for all exchanges or by name; fewer where a venue has fewer."""
    lifecycle_every: int = 5_000
    """Events between an opening and a settlement; 0: none."""
    start_ns: int | None = None
    """Makes the time stamps a function of the seed too: they begin here, 1/rate apart."""
    plays: Mapping[str, Play] = field(default_factory=dict)
    """Recordings by exchange, sent to every client of it in place of a market."""
    ledger: Path | None = None
    keep_ledger: bool = True
    kalshi_public_key: bytes | None = None
    """PEM. None refuses every handshake, as an exchange does that knows no key."""
    kalshi_key_id: str | None = None
    faults: tuple[Fault, ...] = ()
    """What goes wrong from the start."""


class Simulator:
    """``async with Simulator(options) as sim``: listens from entry to exit.

    Raises PortInUse, ConfigError for options that do not fit together, KeyFault, and NotFound for
    an unknown exchange or a recording that is not there.
    """

    def __init__(self, options: SimOptions | None = None) -> None:
        self.options = options or SimOptions()
        self.ledger = Ledger(self.options.ledger, keep=self.options.keep_ledger)
        if self.options.kalshi_public_key is not None:
            public_key(self.options.kalshi_public_key)
        self._keys = Keys(self.options.kalshi_public_key, self.options.kalshi_key_id)
        self.floors = {name: self._floor(name) for name in self.options.exchanges or tuple(VENUES)}
        stray = set(self.options.plays) - set(self.floors)
        if stray:
            raise ConfigError(f"a recording for {', '.join(stray)}, which is not simulated")
        self.faults: list[Active] = []
        """Every fault that was injected, since the last ``clear``."""
        for fault in self.options.faults:
            self.inject(fault)
        self.port = 0
        self._lines: set[Line] = set()
        self.played = asyncio.Event()
        """Set when every recording was sent to the end, each to at least one client."""

    def _floor(self, name: str) -> Floor:
        options, found = self.options, venue(name)
        wanted = options.markets
        count = wanted if isinstance(wanted, int) else wanted.get(name, 40)
        world = World(
            found,
            seed=options.seed,
            count=min(count, found.max_markets),
            lifecycle_every=options.lifecycle_every,
            start_ns=options.start_ns,
            step_ns=int(1e9 / (options.rate or 10_000)),
        )
        play = options.plays.get(name)
        recording = None if play is None else Recording(play, name)
        return Floor(found, world, self.ledger, rate=options.rate, recording=recording)

    async def __aenter__(self) -> Self:
        options = self.options
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Line(self._serve, self._lines), options.host, options.port
            )
        except OSError as error:
            self.ledger.close()
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(
                    f"port {options.port} on {options.host} is in use", hint="choose another --port"
                ) from error
            raise ConfigError(
                f"cannot listen on {options.host}:{options.port}: {error.strerror}"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._running = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        self._running.cancel()
        await asyncio.wait([self._running])
        for floor in self.floors.values():
            for client in tuple(floor.clients):
                client.close(Close.GOING_AWAY)
                if not await wait(client.gone, _PATIENCE_S):
                    client.abort()
                    await client.gone.wait()
        for line in tuple(self._lines):
            line.transport.abort()
            await line.gone.wait()
        self.ledger.close()
        if not self._running.cancelled():
            self._running.result()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for floor in self.floors.values():
                group.create_task(floor.run())
            for name in self.options.plays:
                await self.floors[name].played.wait()
            if self.options.plays:
                self.played.set()

    def inject(self, fault: Fault) -> Active:
        """Let something go wrong; ``fired`` of the answer is set when it does. Raises ConfigError
        and NotFound."""
        floors = self.concerned(fault)
        active = Active(fault)
        self.faults.append(active)
        for floor in floors:
            floor.trouble.inject(active)
        return active

    def concerned(self, fault: Fault) -> list[Floor]:
        """The exchanges that the fault is about. Raises ConfigError and NotFound."""
        name = check(fault).exchange
        if name is None:
            return list(self.floors.values())
        if name not in self.floors:
            raise NotFound(f"{name} is not simulated", hint=f"one of {', '.join(self.floors)}")
        return [self.floors[name]]

    def clear(self) -> None:
        """No fault acts any longer, and no one is mute. What is broken already stays so."""
        self.faults.clear()
        for floor in self.floors.values():
            floor.trouble.clear()

    async def failed(self) -> None:
        """Wait until the simulator breaks, which is a bug; raises what broke it."""
        await asyncio.shield(self._running)

    def ws_url(self, exchange: str) -> str:
        return f"ws://{self._address}/{exchange}{self.floors[exchange].venue.ws_path}"

    def rest_url(self, exchange: str) -> str:
        return f"http://{self._address}/{exchange}{self.floors[exchange].venue.rest_path}"

    @property
    def _address(self) -> str:
        return f"{self.options.host}:{self.port}"

    # --- requests -------------------------------------------------------------------------------

    def _serve(self, ask: Ask) -> Reply | Client | None:
        """Route a request: to a venue's WebSocket, to its REST, or to what is said at ``/``."""
        _, name, below = (*ask.path.split("/", 2), "")[:3]
        if name == "_sim":
            return control(self, ask, f"/{below}")
        floor = self.floors.get(name)
        if floor is None:
            return self._index() if ask.path == "/" else _NOT_FOUND
        if not ask.upgrades:
            return floor.rest(ask.method, f"/{below}", ask.query, ask.body)
        if f"/{below}" != floor.venue.ws_path:
            return _NOT_FOUND
        fault = floor.trouble.take("handshake", ask.path)
        if fault is not None:
            return refusal(fault, "401")
        status = floor.venue.check(ask.headers, ask.path, self._keys, time.time_ns() // 1_000_000)
        if status != 101:
            return Reply(status, b'{"error":"unauthorized"}')
        return Client(floor)

    def _index(self) -> Reply:
        content = {
            name: {
                "ws": self.ws_url(name),
                "rest": self.rest_url(name),
                "clients": len(floor.clients),
                "frames": floor.frames,
            }
            for name, floor in self.floors.items()
        }
        return Reply(200, msgspec.json.encode(content))
