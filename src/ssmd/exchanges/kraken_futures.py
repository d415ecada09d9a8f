"""Kraken Futures, WebSocket v1. Facts from docs.kraken.com (futures) and recordings, 2021 to 2026.

Book ``seq`` rises by one per product, from its snapshot on; trade ``seq`` rises by one per product,
from the trade snapshot on. The socket must see a ping at least every 60 s.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct

from ssmd import message as wire
from ssmd.errors import ContractError, ExchangeError
from ssmd.exchanges import kraken_futures_rest
from ssmd.exchanges.base import (
    UNVERIFIED,
    VERIFIED,
    Answer,
    Command,
    Continuity,
    Fault,
    Keepalive,
    Page,
    Plan,
    Request,
    Subscription,
    Top,
    TradesPage,
    Verdict,
    broken,
)
from ssmd.exchanges.kraken_futures_records import (
    decode_products,
    decode_trade_snapshot,
    records,
    to_instrument,
)
from ssmd.exchanges.packing import pack
from ssmd.exchanges.times import ms_ns
from ssmd.message import AnyRecord, BookSnapshot, Header, Message

SYMBOLS_PER_COMMAND: Final = 100
_ACKS: Final = frozenset({"subscribed", "unsubscribed", "subscribed_failed", "unsubscribed_failed"})
_ERRORS: Final = frozenset({"error", "alert"})
_BOOKS: Final = frozenset({"book", "book_snapshot"})


class _Frame(Struct, gc=False):
    feed: str | None = None
    event: str | None = None
    product_id: str | None = None
    seq: int | None = None
    timestamp: int | None = None
    time: int | None = None


class _Loose(Struct, gc=False):
    feed: Any = None
    event: Any = None


class _Ack(Struct, gc=False):
    event: str | None = None
    feed: str | None = None
    product_ids: list[str] = []
    message: str | None = None


_frame = msgspec.json.Decoder(_Frame).decode
_loose = msgspec.json.Decoder(_Loose).decode
_ack = msgspec.json.Decoder(_Ack).decode


class KrakenFutures:
    name = "kraken_futures"
    endpoint = "wss://futures.kraken.com/ws/v1"
    rest_endpoint = "https://futures.kraken.com/derivatives/api/v3"
    keepalive: Keepalive | None = Keepalive(30.0)
    channels: tuple[str, ...] = ("ticker", "trade", "book")
    """``ticker_lite`` is a subset of ``ticker``: known, captured when a feed file asks for it."""
    book_channel = "book"
    listing_types: frozenset[str] = frozenset()
    key_fields: tuple[str, ...] = ()
    max_symbols_per_connection = 200
    max_frame_bytes = 64 * 1024 * 1024

    def handshake_headers(
        self, url: str, secrets: Mapping[str, str], now_ms: int
    ) -> dict[str, str]:
        return {}

    def plan(
        self,
        channels: Sequence[str],
        symbols: Sequence[str],
        *,
        depth: int | None = None,
        per_connection: int | None = None,
    ) -> list[Plan]:
        return pack(
            [channel for channel in channels if channel != "heartbeat"],
            [channel for channel in channels if channel == "heartbeat"],
            symbols,
            per_connection or self.max_symbols_per_connection,
        )

    def subscribe(self, subscription: Subscription, request_id: int) -> list[Command]:
        return self._commands("subscribe", subscription)

    def unsubscribe(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        return self._commands("unsubscribe", subscription)

    def _commands(self, event: str, subscription: Subscription) -> list[Command]:
        commands = []
        symbols = subscription.symbols
        for first in range(0, max(len(symbols), 1), SYMBOLS_PER_COMMAND):
            some = symbols[first : first + SYMBOLS_PER_COMMAND]
            body: dict[str, Any] = {"event": event, "feed": subscription.channel}
            if some:
                body["product_ids"] = list(some)
            commands.append(
                Command(json.dumps(body).encode(), Subscription(subscription.channel, some))
            )
        return commands

    def repair(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        """A book comes whole with its subscription only."""
        ended = self.unsubscribe(subscription, request_id, grp)
        return [*ended, *self.subscribe(subscription, request_id + len(ended))]

    def classify(self, frame: bytes) -> Header:
        try:
            head = _frame(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _classify_loosely(frame)
        if head.event:
            kind: Literal["ack", "error", "idle"] = "idle"
            if head.event in _ACKS:
                kind = "ack"
            elif head.event in _ERRORS:
                kind = "error"
            return Header(head.event, kind=kind)
        feed, sym, seq = head.feed, head.product_id, head.seq
        if not feed:
            return Header(wire.UNKNOWN, kind="idle")
        if feed == "heartbeat":
            return Header(feed, kind="idle")
        stamp = head.timestamp if head.timestamp is not None else head.time
        group = None
        if seq is not None and sym is not None:
            group = f"{sym}:{'book' if feed in _BOOKS else 'trade'}"
        return Header(feed, sym, ms_ns(stamp), seq, group)

    def answers(self, frame: bytes) -> list[Answer]:
        try:
            ack = _ack(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []
        if ack.event not in _ACKS and ack.event not in _ERRORS:
            return []
        good = ack.event in ("subscribed", "unsubscribed")
        return [
            Answer(
                outcome="ok" if good else "error",
                channel=ack.feed,
                symbols=tuple(ack.product_ids),
                message=None if good else ack.message or ack.event,
                fatal=not good and "invalid" in (ack.message or "").lower(),
            )
        ]

    def records(self, message: Message) -> Iterable[AnyRecord]:
        if message.raw is UNSET:
            return ()
        try:
            return list(records(message, bytes(message.raw)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ContractError(f"not a kraken_futures {message.type} message: {error}") from error

    def continuity(self) -> Continuity:
        return FuturesContinuity()

    def book_request(self, symbol: str) -> Request:
        return kraken_futures_rest.book_request(symbol)

    def book_answer(self, symbol: str, body: bytes) -> BookSnapshot:
        """The book in an answer; raises ExchangeError."""
        return kraken_futures_rest.book_answer(symbol, body)

    def trades_request(self, symbol: str, since_ns: int, until_ns: int) -> Request | None:
        return kraken_futures_rest.trades_request(symbol, since_ns, until_ns)

    def trades_answer(self, request: Request, body: bytes) -> TradesPage:
        """The trades in an answer; raises ExchangeError."""
        return kraken_futures_rest.trades_answer(request, body)

    def quiet(self, now_ns: int) -> bool:
        """Markets trade at all hours; maintenance is told on the ``status`` channel, where there
        is one."""
        return False

    def instruments_request(self, filter: Mapping[str, str]) -> Request:
        return Request("/instruments", dict(filter))

    def instruments_page(self, request: Request, body: bytes) -> Page:
        try:
            answer = decode_products(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ExchangeError(
                f"kraken_futures instruments: unexpected answer: {error}"
            ) from error
        if answer.result != "success":
            raise ExchangeError(f"kraken_futures instruments: {answer.error or answer.result}")
        return Page([to_instrument(product) for product in answer.instruments])


def _classify_loosely(frame: bytes) -> Header:
    """A frame whose fields are not of the documented types: kept under what it calls itself."""
    try:
        head = _loose(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _classify_stranger(frame)
    if isinstance(head.feed, str) and head.feed:
        return Header(head.feed, kind="data" if head.event is None else "idle")
    name = head.event
    return Header(name if isinstance(name, str) and name else wire.UNKNOWN, kind="idle")


def _classify_stranger(frame: bytes) -> Header:
    """A frame that is no JSON object."""
    if wire.is_json(frame):
        return Header(wire.EMPTY if wire.split_array(frame) == [] else wire.UNKNOWN, kind="idle")
    return Header(wire.TEXT if wire.is_utf8(frame) else wire.BINARY, kind="idle")


class FuturesContinuity:
    """Book and trade sequences of one connection, each per product.

    A book that missed a delta is unverified until its next snapshot, though its sequence goes on.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._torn: set[str] = set()
        """Groups whose book does not follow from a snapshot."""

    paused = False

    def top(self, sym: str) -> Top | None:
        return None

    def check(self, header: Header, frame: bytes) -> Verdict:
        group, seq = header.grp, header.seq
        if group is None or seq is None:
            if header.type == "trade_snapshot":
                return self._check_snapshot(frame)
            if header.kind == "ack":
                self._learn_end(frame)
            return UNVERIFIED
        if header.type == "trade":
            return self._check_trade(group, seq, header.sym)
        last = self._last.get(group)
        self._last[group] = seq
        if header.type == "book_snapshot":
            self._torn.discard(group)
            return Verdict("unverified", (), (header.sym or "",))
        if last is None:
            self._torn.add(group)
            return UNVERIFIED
        if seq == last + 1:
            return UNVERIFIED if group in self._torn else VERIFIED
        self._torn.add(group)
        if seq > last:
            return broken(
                Fault("sequence", header.sym, group, last + 1, seq - 1, (header.sym or "",))
            )
        return broken(Fault("sequence", header.sym, group, books=(header.sym or "",)))

    def _check_trade(self, group: str, seq: int, sym: str | None) -> Verdict:
        """A trade that the snapshot already held is no gap."""
        last = self._last.get(group)
        if last is not None and seq <= last:
            return UNVERIFIED
        self._last[group] = seq
        if last is None:
            return UNVERIFIED
        if seq != last + 1:
            return broken(Fault("sequence", sym, group, last + 1, seq - 1))
        return VERIFIED

    def _check_snapshot(self, frame: bytes) -> Verdict:
        """The latest trades, newest first, without holes in all recordings."""
        snapshot = decode_trade_snapshot(frame)
        sym = snapshot.product_id
        verdict = UNVERIFIED
        for seq in sorted(trade.seq for trade in snapshot.trades):
            found = self._check_trade(f"{sym}:trade", seq, sym)
            if found is not UNVERIFIED and verdict.state != "broken":
                verdict = found
        return verdict

    def _learn_end(self, frame: bytes) -> None:
        """What comes after a new subscription does not follow what came before the end."""
        ack = _ack(frame)
        if ack.event == "unsubscribed":
            for product in ack.product_ids:
                self._last.pop(f"{product}:{ack.feed}", None)


KRAKEN_FUTURES = KrakenFutures()
