"""What one connection asks of the exchange, and what the exchange answers."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence

from ssmd.connect.books import Books
from ssmd.connect.socket import Socket
from ssmd.connect.tape import Channel, Tape
from ssmd.exchanges.base import Answer, Command, Subscription
from ssmd.message import Header

log = logging.getLogger(__name__)

ACK_TIMEOUT_S = 15.0
SPACING_S = 0.02


class Commands:
    """The subscriptions of one connection, over all its WebSockets.

    Commands go out through the socket of ``open``; each is noted on the tape with its answer.
    """

    def __init__(
        self, channel: Channel, subscriptions: Iterable[Subscription], books: Books
    ) -> None:
        self.wanted = list(subscriptions)
        """The full intent, restored with every reconnect."""
        self.asked = False
        """All of it was asked for on this WebSocket."""
        self._channel = channel
        self._exchange = channel.exchange
        self._books = books
        self._socket: Socket | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._next_id = 1
        self._pending: dict[int, tuple[float, Command]] = {}
        self._groups: dict[str, Subscription] = {}

    @property
    def symbols(self) -> set[str]:
        return {symbol for wanted in self.wanted for symbol in wanted.symbols}

    @property
    def books(self) -> list[str]:
        """Symbols of which the book is wanted."""
        return [
            symbol
            for wanted in self.wanted
            if wanted.channel == self._exchange.book_channel
            for symbol in wanted.symbols
        ]

    def open(self, socket: Socket, tasks: asyncio.TaskGroup) -> None:
        """From here on, commands go out through this socket; all that is wanted is asked for."""
        self._socket, self._tasks = socket, tasks
        self._next_id = 1
        self._pending.clear()
        self._groups.clear()
        tasks.create_task(self._begin())

    def close(self) -> None:
        self.asked = False
        self._socket = self._tasks = None

    async def add(self, subscriptions: Sequence[Subscription]) -> None:
        """Want more, from this moment and after each reconnect."""
        self.wanted += subscriptions
        if self._socket is not None:
            await self._subscribe(subscriptions)

    async def remove(self, symbols: set[str]) -> None:
        """Want these symbols no longer."""
        affected = [wanted for wanted in self.wanted if symbols.intersection(wanted.symbols)]
        kept = [_without(wanted, symbols) for wanted in affected]
        self.wanted = [w for w in self.wanted if w not in affected]
        self.wanted += [wanted for wanted in kept if wanted.symbols]
        if self._socket is not None:
            self._books.drop(self._socket.tape, symbols)
        for wanted in affected:
            gone = tuple(symbol for symbol in wanted.symbols if symbol in symbols)
            some = Subscription(wanted.channel, gone, wanted.depth)
            grp = next((g for g, held in self._groups.items() if held == wanted), None)
            await self._send("_unsubscribe", self._exchange.unsubscribe(some, self._next_id, grp))

    def repair(self, symbols: Sequence[str]) -> None:
        """Ask for new snapshots of these books, each through the subscription that carries it."""
        if self._tasks is not None:
            self._tasks.create_task(self._repair(symbols))

    async def _repair(self, symbols: Sequence[str]) -> None:
        lacking = set(symbols)
        for grp, wanted in self._carriers():
            some = tuple(symbol for symbol in wanted.symbols if symbol in lacking)
            if some:
                lacking.difference_update(some)
                part = Subscription(wanted.channel, some, wanted.depth)
                await self._send("_resubscribe", self._exchange.repair(part, self._next_id, grp))

    def _carriers(self) -> list[tuple[str | None, Subscription]]:
        """The book subscriptions, with their groups where the exchange has named them."""
        channel = self._exchange.book_channel
        grouped = [(g, held) for g, held in self._groups.items() if held.channel == channel]
        return [*grouped, *((None, held) for held in self.wanted if held.channel == channel)]

    async def _begin(self) -> None:
        # Before ``_connect`` is stored, nothing would name what a killed process had read.
        await self._channel.outbox.safe()
        await self._subscribe(list(self.wanted))
        self.asked = True

    # --- sending --------------------------------------------------------------------------------

    async def _subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        for subscription in subscriptions:
            if self._socket is not None and subscription.channel == self._exchange.book_channel:
                self._books.want(self._socket.tape, subscription.symbols, time.monotonic())
            await self._send("_subscribe", self._exchange.subscribe(subscription, self._next_id))

    async def _send(self, note: str, commands: Sequence[Command]) -> None:
        """Commands made with ``_next_id``, spaced out; their numbers are taken before the first
        pause, in which others send too."""
        numbers = range(self._next_id, self._next_id + len(commands))
        self._next_id = numbers.stop
        for number, command in zip(numbers, commands, strict=True):
            self._send_one(note, number, command)
            await asyncio.sleep(SPACING_S)

    def _send_one(self, note: str, number: int, command: Command) -> None:
        socket = self._socket
        if socket is None:
            return
        wanted = command.subscription
        facts = {
            "channel": wanted.channel,
            "symbols": list(wanted.symbols),
            "depth": wanted.depth,
            "request_id": number,
        }
        socket.tape.note(note, {key: value for key, value in facts.items() if value is not None})
        if command.acked:
            self._pending[number] = (time.monotonic() + ACK_TIMEOUT_S, command)
        socket.send(command.frame)

    # --- answers --------------------------------------------------------------------------------

    def hear(self, header: Header, payload: bytes, tape: Tape) -> None:
        """Take note of an ``ack`` or ``error`` frame."""
        for answer in self._exchange.answers(payload):
            self._answered(answer, tape)

    def _answered(self, answer: Answer, tape: Tape) -> None:
        command = self._command_of(answer)
        wanted = command.subscription if command else None
        channel = answer.channel or (wanted.channel if wanted else None)
        symbols = list(answer.symbols or (wanted.symbols if wanted else ()))
        facts = {
            "outcome": answer.outcome,
            "channel": channel,
            "symbols": symbols,
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
            channel or "a command",
            ", ".join(symbols[:5]),
            answer.message,
        )
        if answer.lost:
            self._lost(answer, tape)
        elif answer.fatal and channel == self._exchange.book_channel:
            self._books.drop(tape, symbols, "refused")

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

    def check_pending(self, tape: Tape, now: float) -> None:
        """Ask again for what the exchange did not acknowledge in time."""
        for number, (deadline, command) in list(self._pending.items()):
            if now <= deadline:
                continue
            del self._pending[number]
            wanted = command.subscription
            log.warning(
                "%s: no acknowledgement of %s for %d symbols",
                self._channel.feed,
                wanted.channel,
                len(wanted.symbols),
            )
            self._channel.gaps.lost(
                tape, "unacknowledged", channel=wanted.channel, symbols=list(wanted.symbols)
            )
            if self._tasks is not None:
                self._tasks.create_task(self._subscribe([wanted]))

    def _lost(self, answer: Answer, tape: Tape) -> None:
        """The exchange ended a subscription with messages lost: this one is asked for again."""
        wanted = self._groups.pop(answer.grp or "", None)
        facts = {"grp": answer.grp, "reason": answer.message}
        if wanted is None:
            self._channel.gaps.lost(tape, "lost", **facts)
            return
        if wanted.channel == self._exchange.book_channel:
            self._books.doubt(tape, wanted.symbols, "lost", time.monotonic(), **facts)
        else:
            self._channel.gaps.lost(
                tape, "lost", channel=wanted.channel, symbols=list(wanted.symbols), **facts
            )
        if self._tasks is not None:
            self._tasks.create_task(self._subscribe([wanted]))


def _without(wanted: Subscription, symbols: set[str]) -> Subscription:
    left = tuple(symbol for symbol in wanted.symbols if symbol not in symbols)
    return Subscription(wanted.channel, left, wanted.depth)
