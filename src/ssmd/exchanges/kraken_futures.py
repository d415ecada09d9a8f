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
    Answer,
    Command,
    Continuity,
    Keepalive,
    Page,
    Plan,
    Request,
    Subscription,
    TradesPage,
)
from ssmd.exchanges.kraken_futures_continuity import FuturesContinuity
from ssmd.exchanges.kraken_futures_records import (
    decode_ack,
    decode_products,
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


_frame = msgspec.json.Decoder(_Frame).decode
_loose = msgspec.json.Decoder(_Loose).decode


class KrakenFutures:
    name = "kraken_futures"
    endpoint = "wss://futures.kraken.com/ws/v1"
    rest_endpoint = "https://futures.kraken.com/derivatives/api/v3"
    keepalive: Keepalive | None = Keepalive(30.0)
    channels: tuple[str, ...] = ("ticker", "trade", "book")
    """``ticker_lite`` is a subset of ``ticker``: known, captured when a feed file asks for it."""
    book_channel = "book"
    audit_every_s: float | None = None
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
            ack = decode_ack(frame)
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


KRAKEN_FUTURES = KrakenFutures()
