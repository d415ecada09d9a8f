"""The life of one connection: open, subscribe, watch, close, and again, until told to stop."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from picows import WSError

from ssmd.connect.books import Books
from ssmd.connect.commands import Commands
from ssmd.connect.gaps import Gap
from ssmd.connect.rest import Rest
from ssmd.connect.retry import delay_s
from ssmd.connect.silence import Silence
from ssmd.connect.socket import Socket, open_socket
from ssmd.connect.tape import Channel, Tape, connection_id
from ssmd.errors import ExchangeError, ExchangeRefused, KeyFault
from ssmd.exchanges.base import Subscription, Verdict
from ssmd.message import Header
from ssmd.runtime import backoff, wait

log = logging.getLogger(__name__)

SILENT_AFTER_S = 60.0
"""No byte for so long: the socket is dead, whatever TCP thinks. Every venue sends something, or
answers our keep-alive, well within."""
SNAPSHOT_S = 15.0
"""How long a book's snapshot may take from the command that asks for it."""
TICK_S = 0.25
CLOCK_S = 5.0


class Identity(Struct, frozen=True):
    """What ``_connect`` says of the process that opened the connection."""

    facts: Mapping[str, Any]


class Connection:
    """One WebSocket with its subscriptions; reconnects with all of them."""

    def __init__(
        self,
        channel: Channel,
        url: str,
        subscriptions: Iterable[Subscription],
        secrets: Mapping[str, str],
        identity: Identity,
        on_full: Callable[[Socket], None],
        rest: Rest,
        stale_after_s: float,
        on_listing: Callable[[], None],
    ) -> None:
        self.state = "connecting"
        self.detail: str | None = None
        self.books = Books(channel.gaps, SNAPSHOT_S)
        self.commands = Commands(channel, subscriptions, self.books)
        self.retire = asyncio.Event()
        """Set when the feed needs this connection no longer."""
        self._channel = channel
        self._exchange = channel.exchange
        self._url = url
        self._secrets = secrets
        self._identity = identity
        self._on_full = on_full
        self._rest = rest
        self._stale_after_s = stale_after_s
        self._on_listing = on_listing
        self._tape: Tape | None = None
        self._silence: Silence | None = None
        self._clocked = time.monotonic()
        self._away: Gap | None = None
        """From the last end that nobody wanted to when its books, or else data, are here again."""
        self._ending = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` or ``retire``."""
        delays = backoff()
        while not (stop.is_set() or self.retire.is_set()):
            delay = 0.0
            try:
                if await self._once(stop):
                    delays = backoff()
                if stop.is_set() or self.retire.is_set():
                    break
                self._turn("backoff", self._ending)
                delay = next(delays)
            except (ExchangeError, KeyFault) as error:
                refused = isinstance(error, ExchangeRefused | KeyFault)
                self._turn("refused" if refused else "backoff", error.message, error.hint)
                delay = delay_s(error, next(delays))
            self._channel.stats.reconnects += 1
            await self._pause(stop, delay)
        self.state = "closed"

    @property
    def conn(self) -> str | None:
        """The id of the latest WebSocket."""
        return self._tape.conn if self._tape else None

    def overflowed(self, facts: Mapping[str, Any]) -> bool:
        """Frames of the latest WebSocket were dropped; whether a gap for its books says so."""
        books = [book.sym for book in self.books if book.state == "synced"]
        if self._tape is None or not books:
            return False
        self.books.doubt(self._tape, books, "overflow", time.monotonic(), **facts)
        return True

    @property
    def well(self) -> bool:
        """Data comes, and every book is right."""
        return self.state == "live" and self.books.settled

    async def _pause(self, stop: asyncio.Event, delay_s: float) -> None:
        until = time.monotonic() + delay_s
        while time.monotonic() < until and not (stop.is_set() or self.retire.is_set()):
            await wait(stop, min(0.5, delay_s))

    def _turn(self, state: str, detail: str | None, hint: str | None = None) -> None:
        """One line for each change, and none for each attempt."""
        if (state, detail) == (self.state, self.detail):
            return
        self.state, self.detail = state, detail
        if detail is not None:
            text = f"{self._channel.feed}: {detail}" + (f" ({hint})" if hint else "")
            log.log(logging.WARNING if state != "live" else logging.INFO, "%s", text)

    async def _once(self, stop: asyncio.Event) -> bool:
        """From opening to close; whether market data came."""
        tape = self._tape = Tape(self._channel, connection_id())
        socket = Socket(
            tape, self._on_open, self._hear, self._is_full, self._exchange.max_frame_bytes
        )
        headers = self._exchange.handshake_headers(
            self._url, self._secrets, time.time_ns() // 1_000_000
        )
        transport = await open_socket(self._url, headers, socket)
        cause = "closed"
        try:
            async with asyncio.TaskGroup() as tasks:
                self.commands.open(socket, tasks)
                self._silence = Silence(
                    self._channel, self.books, self._rest, tape, self._stale_after_s
                )
                keeping = tasks.create_task(self._keep_alive(socket))
                watching = tasks.create_task(self._silence.run())
                cause = await self._watch(socket, stop)
                self.commands.close()
                keeping.cancel()
                watching.cancel()
            try:
                async with asyncio.timeout(5):
                    await transport.wait_disconnected()
            except TimeoutError:
                transport.disconnect(False)
            except (WSError, OSError) as error:  # picows re-raises what broke the connection
                cause, socket.fault = "protocol", f"{type(error).__name__}: {error}"
        finally:
            self.commands.close()
            self._ending = socket.ending
            self._close_note(socket, cause)
        if socket.fault:
            raise ExchangeError(f"{self._url}: {socket.fault}")
        return socket.data

    def _on_open(self, socket: Socket) -> None:
        transport = socket.transport
        assert transport is not None
        info = transport.underlying_transport.get_extra_info
        facts = {
            **self._identity.facts,
            "url": self._url.partition("?")[0],
            "local": _address(info("sockname")),
            "remote": _address(info("peername")),
        }
        socket.tape.note("_connect", facts)

    def _close_note(self, socket: Socket, cause: str) -> None:
        facts = {
            "cause": cause,
            "clean": cause == "stopped",
            "frames": socket.tape.frames,
            "code": socket.close_code,
            "reason": socket.close_reason or socket.fault,
        }
        socket.tape.clock()
        socket.tape.note("_disconnect", {k: v for k, v in facts.items() if v is not None})
        if cause != "stopped" and socket.transport is not None:
            self._lost_touch(socket.tape, cause)

    def _lost_touch(self, tape: Tape, cause: str) -> None:
        """All that comes until the next connection is missing."""
        synced = [book.sym for book in self.books if book.state == "synced"]
        if not synced and self._away is not None and self._away.id in self._channel.gaps.open:
            return
        self._away = self.books.doubt(
            tape,
            synced or [book.sym for book in self.books],
            "disconnected",
            time.monotonic(),
            from_ns=tape.recv_ns,
            end=cause,
        )

    # --- while it is open -----------------------------------------------------------------------

    async def _watch(self, socket: Socket, stop: asyncio.Event) -> str:
        """Until the connection is over; why it is."""
        while not socket.closed.is_set():
            if stop.is_set() or self.retire.is_set():
                socket.resume()
                socket.disconnect()
                return "stopped"
            if time.monotonic() - socket.last_byte > SILENT_AFTER_S:
                socket.fault = f"silent for {SILENT_AFTER_S:g} s"
                socket.disconnect()
                return "silent"
            if self._silence is not None and self._silence.dead:
                socket.fault = self._silence.dead
                socket.disconnect()
                return "mute"
            self._tend(socket.tape)
            if socket.data:
                self._is_live(socket.tape)
            await wait(socket.closed, TICK_S)
        return "closed"

    def _is_live(self, tape: Tape) -> None:
        if self.state != "live":
            self._turn("live", None)
        if self._away is not None and not self._away.books:
            self._channel.gaps.end(tape, self._away, "lost")
            self._away = None

    def _tend(self, tape: Tape) -> None:
        """What is late is asked for again."""
        now = time.monotonic()
        self.commands.check_pending(tape, now)
        if self.commands.asked:
            due = self.books.due(tape, now)
            if due:
                self.commands.repair(due)
        if now - self._clocked >= CLOCK_S:
            self._clocked = now
            tape.clock()

    async def _keep_alive(self, socket: Socket) -> None:
        keepalive = self._exchange.keepalive
        while keepalive is not None:
            await asyncio.sleep(keepalive.interval_s)
            if keepalive.payload is None:
                socket.ping()
            else:
                socket.send(keepalive.payload)

    def _is_full(self, socket: Socket) -> bool:
        if not self._channel.outbox.full:
            return False
        self._on_full(socket)
        return True

    def _hear(self, header: Header, payload: bytes, verdict: Verdict) -> None:
        tape = self._tape
        assert tape is not None
        self.books.hear(tape, header, verdict, tape.mono_s)
        if header.kind == "data" and self._silence is not None:
            self._silence.data_s = tape.mono_s
        if header.type in self._exchange.listing_types:
            self._on_listing()
        if header.kind in ("ack", "error"):
            self.commands.hear(header, payload, tape)


def _address(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) >= 2 else str(name)
