"""Polymarket CLOB, market channel. Facts from docs.polymarket.com and recordings of 2026.

No authentication, no acknowledgements, no sequence numbers. A frame is one event or an array of
events. ``market`` is the condition id, which a message's ``sym`` is; one ``price_change`` usually
carries both outcome tokens, so records name the asset. Subscriptions are by asset.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from ssmd import message as wire
from ssmd.errors import ContractError, ExchangeError
from ssmd.exchanges import polymarket_records, polymarket_rest
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
from ssmd.exchanges.loose import no_object, text
from ssmd.exchanges.packing import pack
from ssmd.exchanges.polymarket_continuity import PolymarketContinuity
from ssmd.exchanges.times import ms_ns
from ssmd.message import AnyRecord, BookSnapshot, Header, Message

MARKET_CHANNEL: Final = "market"


class _Event(Struct, gc=False):
    event_type: str | None = None
    market: str | None = None
    timestamp: str | int | None = None
    bids: msgspec.Raw = msgspec.Raw()
    buys: msgspec.Raw = msgspec.Raw()


class _Loose(Struct, gc=False):
    event_type: Any = None
    market: Any = None
    timestamp: Any = None


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
        except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError) as error:
            raise ContractError(f"not a polymarket {message.type} message: {error}") from error

    def continuity(self) -> Continuity:
        return PolymarketContinuity()

    def instruments_request(self, filter: Mapping[str, str]) -> Request:
        return polymarket_rest.instruments_request(filter)

    def instruments_page(self, request: Request, body: bytes) -> Page:
        return polymarket_rest.instruments_page(request, body)

    def book_request(self, symbol: str) -> Request:
        """The REST call for one book: a whole URL, as books have a host of their own."""
        return polymarket_rest.book_request(symbol)

    def book_answer(self, symbol: str, body: bytes) -> BookSnapshot:
        """The book in an answer; raises ExchangeError."""
        return polymarket_rest.book_answer(symbol, body)

    def trades_request(self, symbol: str, since_ns: int, until_ns: int) -> Request | None:
        """No public list of an asset's trades is documented."""
        return None

    def trades_answer(self, request: Request, body: bytes) -> TradesPage:
        raise ExchangeError("polymarket has no list of trades")

    def quiet(self, now_ns: int) -> bool:
        """Markets trade at all hours."""
        return False


def _classify_loosely(frame: bytes) -> Header:
    """A frame whose fields are not of the documented types."""
    try:
        head = _loose(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return no_object(frame)
    kind, market, stamp = text(head.event_type), text(head.market), head.timestamp
    if not kind:
        return Header(wire.UNKNOWN, market, kind="idle")
    return Header(kind, market, ms_ns(stamp) if type(stamp) in (int, str) else None)


POLYMARKET = Polymarket()
