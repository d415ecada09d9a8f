"""Starting, watching and stopping the roles of one machine."""

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from msgspec import Struct
from rich.console import Console
from rich.live import Live

from ssmd import keys
from ssmd.bus import EmbeddedServer
from ssmd.config import Config
from ssmd.errors import PortInUse, SsmdError
from ssmd.runtime import wait, watch_signals, writable
from ssmd.up import board
from ssmd.up.board import Places, Row
from ssmd.up.child import Child

log = logging.getLogger(__name__)

POLL_S = 0.5
PLAIN_EVERY_S = 5.0
STOP_S = 40.0
SIM_START_S = 15.0
GIVE_UP_AFTER = 5


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
        self._config = config
        self._options = options
        self._stop = asyncio.Event()
        self._plain = options.plain or not sys.stdout.isatty()
        self._console = Console(stderr=self._plain)
        self._children: dict[str, Child] = {}
        self._rates: dict[str, float] = {}
        self._last: dict[str, tuple[float, int]] = {}
        self._nats = ""
        self._environment: dict[str, str] = {}

    async def run(self) -> None:
        """Until Ctrl-C, ``--for``, or a role that cannot start."""
        options = self._options
        watch_signals(self._stop)
        writable(options.data)
        _check_port(options.port)
        async with contextlib.AsyncExitStack() as stack:
            if self._config.env.transport.url == "embedded":
                server = await stack.enter_async_context(EmbeddedServer(options.data / "nats"))
                facts = server.facts
                self._nats = facts.url if facts else ""
            else:
                self._nats = self._config.env.transport.url.rpartition("@")[2]
            async with asyncio.TaskGroup() as tasks:
                try:
                    await self._start(tasks)
                    await self._watch()
                finally:
                    await self._stop_all()
        self._say_goodbye()

    # --- children -------------------------------------------------------------------------------

    async def _start(self, tasks: asyncio.TaskGroup) -> None:
        if _simulated(self._config):
            await self._start_sim(tasks)
        env = ["--env", self._config.env.name, "--data", str(self._options.data)]
        if self._options.root is not None:
            env += ["--config", str(self._options.root)]
        feeds = [word for name in self._options.feeds for word in ("--feed", name)]
        health = ["--health-addr", "127.0.0.1:0"]
        self._spawn(tasks, "archive", ["archive", *env, *feeds, *health])
        self._spawn(tasks, "serve", ["serve", *env, "--port", str(self._options.port)])
        self._spawn(tasks, "connect", ["connect", *env, *feeds, *health])

    def _spawn(self, tasks: asyncio.TaskGroup, name: str, arguments: list[str]) -> None:
        child = Child(
            name, arguments, self._options.data, environment=self._environment, echo=self._plain
        )
        self._children[name] = child
        tasks.create_task(child.run())

    async def _start_sim(self, tasks: asyncio.TaskGroup) -> None:
        """The simulated exchanges, on the port that the environment names, else on a free one."""
        endpoints = [feed.endpoint for feed in self._config.feeds.values()]
        named = urlsplit(endpoints[0]).port or 0
        port = named if _is_free(named) else _free_port()
        if port != named:
            self._environment |= _moved(self._config, port)
        secret, public = keys.make(self._options.data / "sim")
        self._environment["KALSHI_API_KEY"] = "sim"
        self._environment["KALSHI_PRIVATE_KEY_FILE"] = str(secret)
        arguments = ["sim", "--port", str(port), "--rate", self._options.rate]
        arguments += ["--data", str(self._options.data), "--kalshi-public-key", str(public)]
        for exchange in dict.fromkeys(feed.exchange for feed in self._config.feeds.values()):
            arguments += ["--exchange", exchange]
        self._spawn(tasks, "sim", arguments)
        until = time.monotonic() + SIM_START_S
        while _is_free(port) and time.monotonic() < until and not self._stop.is_set():
            await wait(self._stop, 0.05)

    async def _stop_all(self) -> None:
        """The source first, so that what it read is archived before the archiver goes."""
        for name in ("connect", "archive", "serve", "sim"):
            child = self._children.get(name)
            if child is not None:
                if name == "archive":
                    await self._poll_once()
                await child.stop(STOP_S)

    # --- watching -------------------------------------------------------------------------------

    async def _watch(self) -> None:
        options = self._options
        started = time.monotonic()
        said = started
        timeout = aiohttp.ClientTimeout(total=2)
        with self._view() as view:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                while not self._stop.is_set():
                    elapsed = time.monotonic() - started
                    if options.for_s is not None and elapsed >= options.for_s:
                        return
                    await self._poll(session)
                    self._check_started()
                    if view is not None:
                        restarts = {name: c.restarts for name, c in self._children.items()}
                        view.update(
                            board.dashboard(self._rows(), self._places(), elapsed, restarts)
                        )
                    elif time.monotonic() - said >= PLAIN_EVERY_S:
                        said = time.monotonic()
                        for row in self._rows():
                            log.info("%s", board.plain(row))
                    await wait(self._stop, POLL_S)

    @contextlib.contextmanager
    def _view(self) -> Iterator[Live | None]:
        if self._plain:
            log.info("data in %s, API at %s", self._options.data, self._places().api)
            yield None
            return
        with Live(console=self._console, refresh_per_second=4, screen=False) as live:
            yield live

    async def _poll_once(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            await self._poll(session)

    async def _poll(self, session: aiohttp.ClientSession) -> None:
        polled = [self._children[name] for name in ("connect", "archive") if name in self._children]
        await asyncio.gather(*(child.poll(session) for child in polled))
        now = time.monotonic()
        for name, feed in self._status("connect").get("feeds", {}).items():
            messages = feed.get("messages", 0)
            before, count = self._last.get(name, (now, messages))
            if now - before >= 1.0:
                self._rates[name] = max(0.0, (messages - count) / (now - before))
            if now - before >= 1.0 or name not in self._last:
                self._last[name] = (now, messages)

    def _check_started(self) -> None:
        """A role that fails again and again with a clear error will not come up by itself."""
        for child in self._children.values():
            if child.restarts >= GIVE_UP_AFTER and child.failed and not child.status:
                text = child.failed.removeprefix("Error: ")
                raise SsmdError(
                    f"{child.name} does not start: {text}", hint=f"see {child.log_path}"
                )

    def _status(self, name: str) -> dict[str, dict[str, dict[str, int]]]:
        child = self._children.get(name)
        return child.status if child else {}

    def _rows(self) -> list[Row]:
        return board.rows(self._status("connect"), self._status("archive"), self._rates)

    def _places(self) -> Places:
        return Places(
            env=self._config.env.name,
            data=str(self._options.data),
            api=f"http://127.0.0.1:{self._options.port}",
            nats=self._nats,
        )

    def _say_goodbye(self) -> None:
        feeds = _with_archive(self._rows(), self._options.data, self._config)
        if not feeds:
            return
        self._console.print(board.summary(feeds))
        env, data = self._config.env.name, self._options.data
        first = feeds[0].feed
        self._console.print("Try next:", style="bold", highlight=False)
        for command in (
            f"zcat {data}/archive/{env}/{first}/*/*.jsonl.gz | head -3",
            f"ssmd serve --env {env} --data {data} --port {self._options.port}",
            f"curl http://127.0.0.1:{self._options.port}/datasets",
        ):
            self._console.print(f"  {command}", highlight=False, soft_wrap=True, markup=False)


def _with_archive(rows: list[Row], data: Path, config: Config) -> list[Row]:
    """The rows with what the manifests say, now that all is closed."""
    from msgspec.structs import replace

    from ssmd.dataset import Archive

    storage = config.env.storage
    root = Path(storage.path) if storage.path else data / "archive"
    archive = Archive(root, config.env.name)
    found = []
    for row in rows:
        files = [
            entry
            for day in archive.days(row.feed)
            for entry in archive.day(row.feed, day).manifest.files
        ]
        found.append(
            replace(
                row,
                archived=sum(
                    count for entry in files for kind, count in entry.records_by_type.items()
                ),
                segments=len(files),
                archived_bytes=sum(entry.bytes for entry in files),
            )
        )
    return found


def _simulated(config: Config) -> bool:
    """Whether the environment puts loopback stand-ins in the place of the exchanges."""
    hosts = {urlsplit(feed.endpoint).hostname for feed in config.feeds.values()}
    return bool(config.env.endpoints) and hosts <= {"127.0.0.1", "localhost"}


def _moved(config: Config, port: int) -> dict[str, str]:
    """Variables that point the roles at the simulator's other port."""
    variables = {}
    for feed in config.feeds.values():
        prefix = f"SSMD_FEED_{feed.name.upper().replace('-', '_')}"
        for suffix, url in (("ENDPOINT", feed.endpoint), ("REST_ENDPOINT", feed.rest_endpoint)):
            parts = urlsplit(url)
            moved = parts._replace(netloc=f"{parts.hostname}:{port}")
            variables[f"{prefix}_{suffix}"] = urlunsplit(moved)
    return variables


def _check_port(port: int) -> None:
    if port and not _is_free(port):
        raise PortInUse(
            f"port {port} is in use", hint=f"choose another for the API: --port {port + 1}"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
