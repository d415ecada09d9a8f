"""Running a role: event loop, signals, logging, and the health server."""

import asyncio
import contextlib
import errno
import logging
import os
import random
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import msgspec
from prometheus_client import CollectorRegistry

from ssmd.errors import ConfigError, PortInUse, SsmdError, StorageError

log = logging.getLogger(__name__)

SUPERVISED: Final = "SSMD_SUPERVISED"
"""Set for a role whose stdin is a pipe from its supervisor."""

CANCEL_AGAIN_S: Final = 1.0

T = TypeVar("T")
Health = tuple[bool, dict[str, Any]]


class Role:
    """What a role shares with the process it runs in.

    ``status`` answers ``/status``; ``health`` tells whether all is well, and what is not: what is
    not makes ``/health`` and ``/ready`` answer 503. ``/live`` answers 200 as long as the process
    can answer: that is for who restarts it, which helps against no exchange's outage.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.stop = asyncio.Event()
        self.registry = CollectorRegistry()
        self.status: Callable[[], dict[str, Any]] = lambda: {"role": name}
        self.health: Callable[[], Health] = lambda: (False, {"ill": {name: "starting"}})


def run_role(
    main: Callable[[Role], Awaitable[None]],
    *,
    name: str,
    health_addr: str | None = None,
    data: Path | None = None,
) -> None:
    """Run ``main`` until it returns; SIGINT and SIGTERM set ``role.stop``, a second one kills.

    With ``health_addr`` (``host:port``, port 0 is any), ``/health``, ``/live``, ``/ready``,
    ``/metrics`` and ``/status`` are served, and ``{data}/run/{name}.json`` says where; when the
    role has ended, the file holds its last status. Raises SsmdError.
    """
    set_up_logging(name)
    run(_role(main, name, health_addr, data))


def run(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on the fastest loop there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_unwrapped(main))
    return uvloop.run(_unwrapped(main))


async def _unwrapped(main: Coroutine[Any, Any, T]) -> T:
    """The first error of ours out of task groups: what a person should read."""
    try:
        return await main
    except BaseExceptionGroup as group:
        ours = _first(group)
        if ours is None:
            raise
        raise ours from group


def _first(group: BaseExceptionGroup[BaseException]) -> SsmdError | None:
    if group.split(SsmdError)[1] is not None:
        return None  # something else went wrong too: that is a bug, and shows whole
    for error in group.exceptions:
        if isinstance(error, SsmdError):
            return error
        if isinstance(error, BaseExceptionGroup):
            return _first(error)
    return None


async def _role(
    main: Callable[[Role], Awaitable[None]], name: str, health_addr: str | None, data: Path | None
) -> None:
    role = Role(name)
    watch_signals(role.stop)
    if SUPERVISED in os.environ:
        _watch_parent(role.stop)
    async with contextlib.AsyncExitStack() as stack:
        if health_addr is not None:
            await stack.enter_async_context(_health_server(role, health_addr, data))
        await main(role)


def watch_signals(stop: asyncio.Event, at_once: Callable[[], None] | None = None) -> None:
    """The first SIGINT or SIGTERM sets ``stop``; a second one ends the process at once, after
    ``at_once`` has run."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            if at_once is not None:
                at_once()
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


def _watch_parent(stop: asyncio.Event) -> None:
    """Stop when stdin ends: the supervisor holds its other end, and was killed."""
    loop = asyncio.get_running_loop()

    def on_readable() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, on_readable)


def set_up_logging(name: str, stream: TextIO | None = None) -> None:
    """Lines on stderr or the stream: time, level, role, text. ``SSMD_LOG`` sets the level."""
    level = os.environ.get("SSMD_LOG", "INFO").upper()
    logging.basicConfig(
        stream=stream or sys.stderr,
        level=level if level in logging.getLevelNamesMapping() else "INFO",
        format=f"%(asctime)s %(levelname)-7s {name} %(message)s",
        force=True,
    )
    for noisy in ("picows", "nats", "aiohttp.access", "asyncio", "hypercorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if level != "DEBUG":  # how a connection broke is said once, by its feed
        logging.getLogger("picows.client").setLevel(logging.CRITICAL)


def backoff(base_s: float = 0.5, cap_s: float = 30.0) -> Iterator[float]:
    """Endless delays with full jitter: each up to twice as long as the last, up to the cap."""
    limit = base_s
    while True:
        yield random.uniform(0, limit)  # noqa: S311 - spreads retries, guards nothing
        limit = min(limit * 2, cap_s)


async def wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Whether the event came in time."""
    # Not wait_for: on Python 3.11 it swallows a cancellation that comes with the event.
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work answers; None where ``stop`` came first, which cancels the work."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        watching.cancel()
        # On Python 3.11 a wait_for below may swallow the first cancellation.
        while not working.done():
            working.cancel()
            await asyncio.wait({working}, timeout=CANCEL_AGAIN_S)
        await asyncio.gather(working, watching, return_exceptions=True)


def parse_address(address: str) -> tuple[str, int]:
    """``host:port`` -> both. Raises ConfigError."""
    host, found, port = address.rpartition(":")
    if not found or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ConfigError(f"{address!r} is no address", hint="write it as 127.0.0.1:8081")
    return host.strip("[]") or "127.0.0.1", int(port)


def writable(folder: Path) -> Path:
    """The folder, made where it is missing. Raises StorageError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"cannot write to {folder}: {error.strerror}",
            hint="choose a folder that you may write to with --data",
        ) from error
    return folder


@contextlib.asynccontextmanager
async def _health_server(role: Role, address: str, data: Path | None) -> AsyncIterator[None]:
    # Imported late: a role without a health server, and `--help`, need no web server.
    from aiohttp import web
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    def answer(content: dict[str, Any], status: int = 200) -> web.Response:
        body = msgspec.json.encode(content)
        return web.Response(body=body, status=status, content_type="application/json")

    async def health(_: web.Request) -> web.Response:
        well, why = role.health()
        content = {"status": "ok" if well else "degraded", "role": role.name, **why}
        return answer(content, 200 if well else 503)

    async def live(_: web.Request) -> web.Response:
        return answer({"status": "alive", "role": role.name})

    async def ready(_: web.Request) -> web.Response:
        well, why = role.health()
        content = {"status": "ready" if well else "not_ready", "role": role.name, **why}
        return answer(content, 200 if well else 503)

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(role.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def status(_: web.Request) -> web.Response:
        return answer(role.status())

    app = web.Application()
    for path, handler in (
        ("/health", health),
        ("/live", live),
        ("/ready", ready),
        ("/metrics", metrics),
        ("/status", status),
    ):
        app.router.add_get(path, handler)
    host, port = parse_address(address)
    runner = web.AppRunner(app, handle_signals=False, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await _listen(site, host, port)
        bracketed = f"[{host}]" if ":" in host else host
        url = f"http://{bracketed}:{runner.addresses[0][1]}"
        if data is not None:
            _record(role.name, {"pid": os.getpid(), "url": url}, data)
        yield
        if data is not None:
            with contextlib.suppress(SsmdError, OSError):  # the role has ended, whatever comes
                _record(role.name, {"pid": os.getpid(), "status": role.status()}, data)
    finally:
        await runner.cleanup()


async def _listen(site: Any, host: str, port: int) -> None:
    try:
        await site.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} on {host} is in use", hint="choose another with --health-addr"
            ) from error
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _record(name: str, content: dict[str, Any], data: Path) -> None:
    folder = writable(data / "run")
    temporary = folder / f".{name}.json"
    temporary.write_bytes(msgspec.json.encode(content))
    temporary.replace(folder / f"{name}.json")
