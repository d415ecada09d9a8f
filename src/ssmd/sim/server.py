"""The simulator: every venue's WebSocket and REST on one port."""

import asyncio
import errno
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, unquote

import msgspec
from msgspec import Struct, field
from picows import (
    WSCloseCode,
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from ssmd.errors import ConfigError, PortInUse
from ssmd.runtime import wait
from ssmd.sim.client import Client
from ssmd.sim.faults import Active, Fault, check, parse
from ssmd.sim.floor import Floor
from ssmd.sim.ledger import Ledger
from ssmd.sim.play import Play, Recording
from ssmd.sim.venues import VENUES, venue
from ssmd.sim.venues.base import Keys, Reply
from ssmd.sim.world import World

_JSON: Final = {"Content-Type": "application/json"}
_PATIENCE_S: Final = 1.0
_MAX_COMMAND_BYTES: Final = 64 * 1024 * 1024


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


class Simulator:
    """``async with Simulator(options) as sim``: listens from entry to exit.

    Raises PortInUse, ConfigError for options that do not fit together, and NotFound for an unknown
    exchange or a recording that is not there.
    """

    def __init__(self, options: SimOptions | None = None) -> None:
        self.options = options or SimOptions()
        self.ledger = Ledger(self.options.ledger, keep=self.options.keep_ledger)
        self._keys = Keys(self.options.kalshi_public_key, self.options.kalshi_key_id)
        self.floors = {name: self._floor(name) for name in self.options.exchanges or tuple(VENUES)}
        stray = set(self.options.plays) - set(self.floors)
        if stray:
            raise ConfigError(f"a recording for {', '.join(stray)}, which is not simulated")
        for fault in self.options.faults:
            self.inject(fault)
        self.port = 0
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
            self._server = await ws_create_server(
                self._accept, options.host, options.port, max_frame_size=_MAX_COMMAND_BYTES
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
                client.close(WSCloseCode.GOING_AWAY)
                if not await wait(client.gone, _PATIENCE_S):
                    client.abort()
                    await client.gone.wait()
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
        """Let something go wrong. Raises ConfigError."""
        floor = self.floors.get(check(fault).exchange)
        if floor is None:
            raise ConfigError(f"{fault.exchange} is not simulated here")
        return floor.trouble.inject(fault)

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

    def _accept(
        self, request: WSUpgradeRequest
    ) -> WSListener | WSUpgradeResponseWithListener | None:
        """Route a request: to a venue's WebSocket, to its REST, or to what is said at ``/``."""
        path, _, query = request.path.decode("latin-1").partition("?")
        _, name, below = (*path.split("/", 2), "")[:3]
        floor = self.floors.get(name)
        if path == "/_sim/faults":
            return _answer(self._faults(request.method.decode("latin-1"), query))
        if floor is None:
            return _answer(self._index() if path == "/" else Reply(404, b'{"error":"not found"}'))
        below = unquote(f"/{below}")
        if request.headers.get("Upgrade", "").lower() != "websocket":
            trouble = floor.trouble.take("rest")
            if trouble is not None:
                return _answer(_failing(trouble.fault))
            fields = dict(parse_qsl(query, keep_blank_values=True))
            return _answer(floor.venue.rest(floor.world, below, fields))
        if below != floor.venue.ws_path:
            return _answer(Reply(404, b'{"error":"not found"}'))
        trouble = floor.trouble.take("handshake")
        if trouble is not None:
            return _refuse(trouble.fault)
        now_ms = time.time_ns() // 1_000_000
        status = floor.venue.check(request.headers, path, self._keys, now_ms)
        if status != 101:
            return _answer(Reply(status, b'{"error":"unauthorized"}'))
        return Client(floor)

    def _faults(self, method: str, query: str) -> Reply:
        """``GET``: those at work; ``POST ?fault=...``: one more each; ``DELETE``: none."""
        try:
            found = [parse(value) for name, value in parse_qsl(query) if name == "fault"]
            if method == "POST":
                for fault in found:
                    self.inject(fault)
            elif method == "DELETE":
                for floor in self.floors.values():
                    floor.trouble.clear()
        except ConfigError as error:
            return Reply(400, msgspec.json.encode({"error": error.as_dict()}))
        acting = [a.as_dict() for floor in self.floors.values() for a in floor.trouble.active]
        return Reply(200, msgspec.json.encode({"faults": acting}))

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


def _failing(fault: Fault) -> Reply:
    value = fault.value or "503"
    return (
        Reply(int(value), b'{"error":"out of order"}') if value.isdigit() else Reply(200, b"<html>")
    )


def _refuse(fault: Fault) -> WSUpgradeResponseWithListener:
    status, _, after = (fault.value or "401").partition("/")
    headers = {**_JSON, "Retry-After": after} if after else _JSON
    response = WSUpgradeResponse.create_error_response(int(status), b'{"error":"refused"}', headers)
    return WSUpgradeResponseWithListener(response, None)


def _answer(reply: Reply) -> WSUpgradeResponseWithListener:
    if reply.status == 200:
        response = WSUpgradeResponse.create_ok_response(reply.body, _JSON)
    else:
        response = WSUpgradeResponse.create_error_response(reply.status, reply.body, _JSON)
    return WSUpgradeResponseWithListener(response, None)
