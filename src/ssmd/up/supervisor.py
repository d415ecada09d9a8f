"""Starting, watching and stopping the roles of one machine."""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from rich.console import Console

from ssmd.bus import EmbeddedServer
from ssmd.config import Config
from ssmd.errors import BusError, ConfigError, PortInUse, SsmdError
from ssmd.runtime import set_up_logging, wait, watch_signals, writable
from ssmd.up import farewell, simulated
from ssmd.up.board import Places, Process
from ssmd.up.child import Child
from ssmd.up.watch import Watch

log = logging.getLogger(__name__)

STOP_S = 40.0
"""Longer than any role drains."""
SIM_START_S = 15.0
NATS_CHECK_S = 1.0
GIVE_UP_AFTER = 4
STOP_ORDER = ("connect", "secmaster", "archive", "serve", "sim")
"""The sources first, so that what it read is archived before the archiver goes."""


class Options(Struct, kw_only=True, frozen=True):
    feeds: tuple[str, ...]
    root: Path | None
    data: Path
    port: int
    for_s: float | None
    plain: bool
    rate: str


class Supervisor:
    """One run of ``ssmd up``."""

    def __init__(self, config: Config, options: Options) -> None:
        plain = options.plain or not sys.stdout.isatty()
        self._config = config
        self._options = options
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._plain = plain
        self._console = Console(stderr=plain)
        self._children: dict[str, Child] = {}
        self._variables: dict[str, str] = {}
        self._server: EmbeddedServer | None = None
        self._watch: Watch | None = None

    async def run(self) -> None:
        """Until Ctrl-C, ``--for``, or a role that cannot start. Raises SsmdError."""
        options = self._options
        watch_signals(self._stop, self._kill_all)
        writable(options.data)
        with self._logging(), _only_one(options.data):
            port = _port(options.port)
            before = farewell.archived(self._config, options.data)
            async with contextlib.AsyncExitStack() as stack:
                nats = self._config.env.transport.url.rpartition("@")[2]
                if nats == "embedded":
                    self._server = EmbeddedServer(options.data / "nats")
                    await stack.enter_async_context(self._server)
                    nats = self._server.facts.url if self._server.facts else ""
                api = f"http://127.0.0.1:{port}"
                places = Places(self._config.env.name, str(options.data), api, nats)
                failure = await self._supervise(places, port)
            if failure is not None:
                raise failure
            assert self._watch is not None
            farewell.say(self._console, self._config, options, self._watch.rows(), before)

    @contextlib.contextmanager
    def _logging(self) -> Iterator[None]:
        """Under a dashboard the log goes to a file."""
        if self._plain:
            yield
            return
        folder = writable(self._options.data / "logs")
        with (folder / "up.log").open("a", encoding="utf-8") as file:
            set_up_logging("up", file)
            yield
            set_up_logging("up")

    async def _supervise(self, places: Places, port: int) -> SsmdError | None:
        self._watch = Watch(
            list(self._config.feeds),
            self._children,
            places,
            console=self._console,
            plain=self._plain,
            for_s=self._options.for_s,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch.run(self._ended))
            if self._server is not None:
                tasks.create_task(self._keep_nats(self._server))
            try:
                await self._start(tasks, port)
                return await self._wait()
            finally:
                await self._stop_all()
                self._ended.set()

    # --- starting -------------------------------------------------------------------------------

    async def _start(self, tasks: asyncio.TaskGroup, port: int) -> None:
        data = str(self._options.data)
        if self._config.env.simulated:
            rate = self._options.rate
            plan = await asyncio.to_thread(simulated.plan, self._config, self._options.data, rate)
            self._variables = plan.variables
            self._spawn(tasks, "sim", plan.arguments)
            await self._await_port(plan.port)
        env = ["--env", self._config.env.name, "--data", data]
        if self._options.root is not None:
            env += ["--config", str(self._options.root)]
        feeds = [word for name in self._options.feeds for word in ("--feed", name)]
        health = ["--health-addr", "127.0.0.1:0"]
        self._spawn(tasks, "archive", ["archive", *env, *feeds, *health])
        self._spawn(tasks, "serve", ["serve", *env, "--port", str(port)])
        self._spawn(tasks, "connect", ["connect", *env, *feeds, *health])
        if self._config.env.secmaster:
            self._spawn(tasks, "secmaster", ["meta", "secmaster", "run", *env, *feeds, *health])

    def _spawn(self, tasks: asyncio.TaskGroup, name: str, arguments: list[str]) -> None:
        assert self._watch is not None
        child = Child(
            name,
            arguments,
            self._options.data,
            variables=self._variables,
            notice=self._watch.notice,
            echo=self._plain,
        )
        self._children[name] = child
        tasks.create_task(child.run())

    async def _await_port(self, port: int) -> None:
        """Until something listens: then the first connections need no second try."""
        until = time.monotonic() + SIM_START_S
        while time.monotonic() < until and not self._stop.is_set():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await wait(self._stop, 0.05)

    # --- running --------------------------------------------------------------------------------

    async def _wait(self) -> SsmdError | None:
        """Until it is time to stop; the error of a role that never comes up."""
        for_s = self._options.for_s
        until = None if for_s is None else time.monotonic() + for_s
        while not self._stop.is_set():
            left = 0.5 if until is None else min(0.5, until - time.monotonic())
            if left <= 0:
                return None
            await wait(self._stop, left)
            for child in self._children.values():
                if child.failures >= GIVE_UP_AFTER and child.error is not None:
                    return SsmdError(f"{child.name} does not start: {child.error}", hint=child.hint)
        return None

    async def _keep_nats(self, server: EmbeddedServer) -> None:
        """Start it again when it dies, and count that. The roles do the same: the first one wins,
        and the rest find it."""
        assert self._watch is not None
        pid = server.facts.pid if server.facts else None
        restarts = 0
        while not self._ended.is_set():
            try:
                await server.start()
            except (BusError, OSError) as error:
                self._watch.notice(f"nats: {error}")
            facts = server.facts
            if facts is not None and facts.pid != pid:
                pid, restarts = facts.pid, restarts + 1
                self._watch.notice("nats ended; started it again")
            self._watch.nats = Process("nats", pid, restarts)
            await wait(self._ended, NATS_CHECK_S)

    # --- stopping -------------------------------------------------------------------------------

    async def _stop_all(self) -> None:
        for name in STOP_ORDER:
            child = self._children.get(name)
            if child is None:
                continue
            if self._watch is not None:
                self._watch.stopping = name
            if self._plain:
                log.info("stopping %s", name)
            await child.stop(STOP_S)

    def _kill_all(self) -> None:
        """The second Ctrl-C. What was acked is durable; the rest is named at the next start."""
        for child in self._children.values():
            child.kill()
        facts = self._server.facts if self._server is not None else None
        if facts is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(facts.pid, signal.SIGTERM)
        self._console.show_cursor(True)


@contextlib.contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Two supervisors would run every role of the folder twice."""
    with (writable(data / "run") / "up.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"another ssmd up runs on {data}", hint="stop it, or choose another --data"
            ) from None
        yield


def _port(wanted: int) -> int:
    if wanted == 0:
        return simulated.free_port()
    if not simulated.is_free(wanted):
        raise PortInUse(
            f"port {wanted} is in use", hint=f"choose another for the API: --port {wanted + 1}"
        )
    return wanted
