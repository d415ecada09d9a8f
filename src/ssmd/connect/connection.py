"""The life of one connection: open, subscribe, watch, close, and again, until told to stop."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ssmd.connect.retry import delay_s
from ssmd.connect.socket import Socket, open_socket
from ssmd.connect.tape import Channel, Tape, connection_id
from ssmd.errors import ExchangeError, ExchangeRefused, KeyFault
from ssmd.exchanges.base import Answer, Command, Subscription
from ssmd.message import Header
from ssmd.runtime import backoff, wait

log = logging.getLogger(__name__)

SILENT_AFTER_S = 60.0
"""No byte for so long: the socket is dead, whatever TCP thinks. Every venue sends something, or
answers our keep-alive, well within."""
ACK_TIMEOUT_S = 15.0
COMMAND_SPACING_S = 0.02


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
    ) -> None:
        self.state = "connecting"
        self.detail: str | None = None
        self.subscriptions = list(subscriptions)
        self.retire = asyncio.Event()
        """Set when the feed needs this connection no longer."""
        self._channel = channel
        self._exchange = channel.exchange
        self._url = url
        self._secrets = secrets
        self._identity = identity
        self._on_full = on_full
        self._socket: Socket | None = None
        self._ending = ""
        self._request_id = 1
        self._pending: dict[int, tuple[float, Command]] = {}
        self._groups: dict[str, Subscription] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def symbols(self) -> set[str]:
        return {symbol for wanted in self.subscriptions for symbol in wanted.symbols}

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
        tape = Tape(self._channel, connection_id())
        socket = Socket(
            tape, self._on_open, self._hear, self._is_full, self._exchange.max_frame_bytes
        )
        headers = self._exchange.handshake_headers(
            self._url, self._secrets, time.time_ns() // 1_000_000
        )
        self._request_id = 1
        self._pending.clear()
        self._groups.clear()
        transport = await open_socket(self._url, headers, socket)
        cause = "closed"
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                chores = [
                    tasks.create_task(self._subscribe(self.subscriptions)),
                    tasks.create_task(self._keep_alive(socket)),
                ]
                cause = await self._watch(socket, stop)
                for chore in chores:
                    chore.cancel()
                self._tasks = None
            try:
                async with asyncio.timeout(5):
                    await transport.wait_disconnected()
            except TimeoutError:
                transport.disconnect(False)
            except Exception as error:  # picows re-raises here whatever broke the connection
                cause, socket.fault = "protocol", f"{type(error).__name__}: {error}"
        finally:
            self._socket = None
            self._ending = socket.ending
            self._close_note(socket, cause)
        if socket.fault:
            raise ExchangeError(f"{self._url}: {socket.fault}")
        return socket.data

    def _on_open(self, socket: Socket) -> None:
        transport = socket.transport
        assert transport is not None
        self._socket = socket
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
        socket.tape.note("_disconnect", {k: v for k, v in facts.items() if v is not None})

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
            self._check_pending(socket)
            if socket.data and self.state != "live":
                self._turn("live", None)
            await wait(socket.closed, 0.25)
        return "closed"

    async def _keep_alive(self, socket: Socket) -> None:
        keepalive = self._exchange.keepalive
        while keepalive is not None:
            await asyncio.sleep(keepalive.interval_s)
            if keepalive.payload is None:
                socket.ping()
            else:
                socket.send(keepalive.payload)

    def _is_full(self, socket: Socket) -> bool:
        if not self._channel.publisher.full:
            return False
        self._on_full(socket)
        return True

    def _hear(self, header: Header, payload: bytes) -> None:
        if header.kind in ("ack", "error") and self._socket is not None:
            for answer in self._exchange.answers(payload):
                self._answered(answer, self._socket.tape)

    # --- subscriptions --------------------------------------------------------------------------

    async def _subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        for subscription in list(subscriptions):
            for command in self._exchange.subscribe(subscription, self._request_id):
                self._send(command, "_subscribe")
                await asyncio.sleep(COMMAND_SPACING_S)

    def _send(self, command: Command, note: str) -> None:
        socket = self._socket
        if socket is None:
            return
        wanted = command.subscription
        facts = {
            "channel": wanted.channel,
            "symbols": list(wanted.symbols),
            "depth": wanted.depth,
            "request_id": self._request_id,
        }
        socket.tape.note(note, {key: value for key, value in facts.items() if value is not None})
        if command.acked:
            self._pending[self._request_id] = (time.monotonic() + ACK_TIMEOUT_S, command)
        self._request_id += 1
        socket.send(command.frame)

    def _answered(self, answer: Answer, tape: Tape) -> None:
        command = self._command_of(answer)
        wanted = command.subscription if command else None
        facts = {
            "outcome": answer.outcome,
            "channel": answer.channel or (wanted.channel if wanted else None),
            "symbols": list(answer.symbols or (wanted.symbols if wanted else ())),
            "request_id": answer.request_id,
            "grp": answer.grp,
            "message": answer.message,
        }
        tape.note("_ack", {key: value for key, value in facts.items() if value is not None})
        if answer.outcome == "ok":
            if answer.grp is not None and wanted is not None:
                self._groups[answer.grp] = wanted
            return
        log.warning(
            "%s: the exchange refuses %s %s: %s",
            self._channel.feed,
            facts["channel"] or "a command",
            ", ".join(list(answer.symbols)[:5]),
            answer.message,
        )
        if answer.lost:
            self._resubscribe(answer, tape)

    def _command_of(self, answer: Answer) -> Command | None:
        """The command that an answer is for; by its number, else by channel."""
        if answer.request_id is not None:
            found = self._pending.pop(answer.request_id, None)
            if (
                found
                and answer.symbols
                and set(found[1].subscription.symbols) - set(answer.symbols)
            ):
                return self._keep_rest(answer.request_id, found, answer.symbols)
            return found[1] if found else None
        for number, (_, command) in self._pending.items():
            if command.subscription.channel == answer.channel:
                del self._pending[number]
                if set(command.subscription.symbols) - set(answer.symbols):
                    return self._keep_rest(number, (_, command), answer.symbols)
                return command
        return None

    def _keep_rest(
        self, number: int, pending: tuple[float, Command], symbols: Sequence[str]
    ) -> Command:
        """Kraken acknowledges each symbol of a command on its own: wait for the others."""
        deadline, command = pending
        wanted = command.subscription
        rest = tuple(symbol for symbol in wanted.symbols if symbol not in set(symbols))
        left = Command(command.frame, Subscription(wanted.channel, rest, wanted.depth))
        self._pending[number] = (deadline, left)
        return command

    def _check_pending(self, socket: Socket) -> None:
        now = time.monotonic()
        for number, (deadline, command) in list(self._pending.items()):
            if now > deadline:
                del self._pending[number]
                wanted = command.subscription
                log.warning(
                    "%s: no acknowledgement of %s for %d symbols",
                    self._channel.feed,
                    wanted.channel,
                    len(wanted.symbols),
                )
                socket.tape.gap(
                    "unacknowledged", channel=wanted.channel, symbols=list(wanted.symbols)
                )

    def _resubscribe(self, answer: Answer, tape: Tape) -> None:
        """The exchange ended a subscription with messages lost: this one is asked for again."""
        wanted = self._groups.pop(answer.grp or "", None)
        tape.gap(
            "lost",
            grp=answer.grp,
            reason=answer.message,
            channel=wanted.channel if wanted else None,
            symbols=list(wanted.symbols) if wanted else None,
        )
        if wanted is not None and self._tasks is not None:
            self._tasks.create_task(self._subscribe([wanted]))

    async def add(self, subscriptions: Sequence[Subscription]) -> None:
        """Want more on this connection, from this moment and after each reconnect."""
        self.subscriptions += subscriptions
        if self._socket is not None:
            await self._subscribe(subscriptions)

    async def remove(self, symbols: set[str]) -> None:
        """Want these symbols no longer."""
        affected = [wanted for wanted in self.subscriptions if symbols.intersection(wanted.symbols)]
        kept = [_without(wanted, symbols) for wanted in affected]
        self.subscriptions = [w for w in self.subscriptions if w not in affected]
        self.subscriptions += [wanted for wanted in kept if wanted.symbols]
        for wanted in affected:
            gone = tuple(symbol for symbol in wanted.symbols if symbol in symbols)
            some = Subscription(wanted.channel, gone, wanted.depth)
            grp = next((g for g, held in self._groups.items() if held == wanted), None)
            for command in self._exchange.unsubscribe(some, self._request_id, grp):
                self._send(command, "_unsubscribe")
                await asyncio.sleep(COMMAND_SPACING_S)


def _without(wanted: Subscription, symbols: set[str]) -> Subscription:
    left = tuple(symbol for symbol in wanted.symbols if symbol not in symbols)
    return Subscription(wanted.channel, left, wanted.depth)


def _address(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) >= 2 else str(name)
