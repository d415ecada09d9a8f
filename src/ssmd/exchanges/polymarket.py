"""Polymarket CLOB, market channel. Facts from docs.polymarket.com and recordings of 2026.

No authentication, no acknowledgements, no sequence numbers. A frame is one event or an array of
events. ``market`` is the condition id, which a message's ``sym`` is; one ``price_change`` usually
carries both outcome tokens, so records name the asset. Subscriptions are by asset.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from ssmd import message as wire
from ssmd.book import Book
from ssmd.errors import ContractError, ExchangeError
from ssmd.exchanges import polymarket_records
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
from ssmd.exchanges.packing import pack
from ssmd.exchanges.times import ms_ns
from ssmd.message import AnyRecord, BookDelta, BookSnapshot, Header, Message

MARKET_CHANNEL: Final = "market"
_BOOK_TYPES = frozenset({"book", "price_change", "tick_size_change"})


class _Event(Struct, gc=False):
    event_type: str | None = None
    market: str | None = None
    timestamp: str | int | None = None
    bids: msgspec.Raw = msgspec.Raw()
    buys: msgspec.Raw = msgspec.Raw()


class _Loose(Struct, gc=False):
    event_type: Any = None


_event = msgspec.json.Decoder(_Event).decode
_loose = msgspec.json.Decoder(_Loose).decode


class Polymarket:
    name = "polymarket"
    endpoint = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    rest_endpoint = "https://gamma-api.polymarket.com"
    keepalive: Keepalive | None = Keepalive(10.0, b"PING")
    channels: tuple[str, ...] = (MARKET_CHANNEL,)
    book_channel = MARKET_CHANNEL
    listing_types = frozenset({"new_market", "market_resolved"})
    key_fields: tuple[str, ...] = ()
    max_symbols_per_connection = 200
    """Undocumented: above about 500 assets no opening book comes; others stay at 200."""
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
        return pack(channels, (), symbols, per_connection or self.max_symbols_per_connection)

    def subscribe(self, subscription: Subscription, request_id: int) -> list[Command]:
        """The first command of a connection opens the channel; later ones add to it."""
        body: dict[str, Any] = {"assets_ids": list(subscription.symbols)}
        if request_id == 1:
            body |= {"type": "market", "initial_dump": True, "level": 2}
        else:
            body |= {"operation": "subscribe"}
        body["custom_feature_enabled"] = True
        return [Command(json.dumps(body).encode(), subscription, acked=False)]

    def unsubscribe(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        body = {"assets_ids": list(subscription.symbols), "operation": "unsubscribe"}
        return [Command(json.dumps(body).encode(), subscription, acked=False)]

    def repair(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        """A book comes whole with its subscription only."""
        ended = self.unsubscribe(subscription, request_id, grp)
        return [*ended, *self.subscribe(subscription, request_id + 1)]

    def classify(self, frame: bytes) -> Header:
        try:
            event = _event(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _classify_loosely(frame)
        kind = event.event_type
        if not kind:
            # Documented for old books, and seen: a book that does not say what it is.
            if not (event.bids or event.buys):
                return Header(wire.UNKNOWN, event.market, kind="idle")
            kind = "book"
        return Header(kind, event.market, ms_ns(event.timestamp))

    def answers(self, frame: bytes) -> list[Answer]:
        return []

    def records(self, message: Message) -> Iterable[AnyRecord]:
        if message.raw is UNSET:
            return ()
        try:
            return list(polymarket_records.records(message, bytes(message.raw)))
        except (msgspec.MsgspecError, UnicodeDecodeError, ArithmeticError) as error:
            raise ContractError(f"not a polymarket {message.type} message: {error}") from error

    def continuity(self) -> Continuity:
        return PolymarketContinuity()

    def book_request(self, symbol: str) -> Request:
        raise ExchangeError("not yet")

    def book_answer(self, symbol: str, body: bytes) -> BookSnapshot:
        raise ExchangeError("not yet")

    def trades_request(self, symbol: str, since_ns: int, until_ns: int) -> Request | None:
        return None

    def trades_answer(self, request: Request, body: bytes) -> TradesPage:
        raise ExchangeError("not yet")

    def quiet(self, now_ns: int) -> bool:
        return False

    def instruments_request(self, filter: Mapping[str, str]) -> Request:
        return Request("/markets/keyset", {"limit": "100", "closed": "false", **filter})

    def instruments_page(self, request: Request, body: bytes) -> Page:
        try:
            instruments, cursor = polymarket_records.markets(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ExchangeError(f"polymarket markets: unexpected answer: {error}") from error
        after = Request(request.path, {**request.query, "after_cursor": cursor}) if cursor else None
        return Page(instruments, after)


def _classify_loosely(frame: bytes) -> Header:
    """A frame whose fields are not of the documented types: kept under what it calls itself."""
    if frame.strip() == b"[]":
        return Header(wire.EMPTY, kind="idle")
    try:
        head = _loose(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Header(wire.TEXT if wire.is_utf8(frame) else wire.BINARY, kind="idle")
    named = isinstance(head.event_type, str) and head.event_type
    return Header(head.event_type if named else wire.UNKNOWN, kind="idle")


class PolymarketContinuity:
    """Own top of book against the exchange's claim in each price change."""

    def __init__(self) -> None:
        self._books: dict[str, Book] = {}

    paused = False

    def top(self, sym: str) -> Top | None:
        book = self._books.get(sym)
        if book is None:
            return None
        bids, asks = book.top(1)
        return (bids[0] if bids else None, asks[0] if asks else None)

    def check(self, header: Header, frame: bytes) -> Verdict:
        if header.type not in _BOOK_TYPES:
            return UNVERIFIED
        if header.type == "tick_size_change":
            # A new epoch: the old book is void until the next snapshot.
            self._books.pop(polymarket_records.asset_of(frame), None)
            return UNVERIFIED
        facts = Message(feed="", conn="", n=0, recv_ns=0, mono_ns=0, type=header.type)
        worst = UNVERIFIED
        synced = []
        for record in polymarket_records.records(facts, frame):
            verdict = UNVERIFIED
            if isinstance(record, BookSnapshot):
                self._books.setdefault(record.sym, Book()).apply(record)
                synced.append(record.sym)
            elif isinstance(record, BookDelta):
                verdict = self._check_top(record)
            if verdict.state == "broken":
                return verdict
            if verdict.state == "verified":
                worst = verdict
        return Verdict(worst.state, worst.faults, tuple(synced)) if synced else worst

    def _check_top(self, record: BookDelta) -> Verdict:
        book = self._books.get(record.sym)
        if book is None:
            return UNVERIFIED
        book.apply(record)
        if record.best_bid is None and record.best_ask is None:
            return UNVERIFIED
        if _same(book.best_bid, record.best_bid, Decimal(0)) and _same(
            book.best_ask, record.best_ask, Decimal(1)
        ):
            return VERIFIED
        del self._books[record.sym]
        return broken(Fault("top", record.sym, books=(record.sym,)))


def _same(own: Decimal | None, claimed: Decimal | None, empty: Decimal) -> bool:
    """An empty side is claimed as 0 (bid) or 1 or 0 (ask), or not at all."""
    if own is None:
        return claimed is None or claimed in (empty, Decimal(0))
    return claimed is None or own == claimed


POLYMARKET = Polymarket()
