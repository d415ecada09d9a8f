"""Kalshi trade API v2, WebSocket. Facts from the AsyncAPI text of docs.kalshi.com (2026-07 to 10)
and recordings of 2026-08.

``seq`` is dense per (connection, sid) over all markets of the subscription, and acknowledgements of
updates and snapshots consume numbers. ``delta_fp`` is a signed change. Both sides of the book are
bids: a NO bid at p is a YES ask at 1 - p. A side that is empty is absent.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Meta, Struct

from ssmd import message as wire
from ssmd.errors import ConfigError, ContractError, KeyFault
from ssmd.exchanges import kalshi_records, kalshi_rest
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
from ssmd.exchanges.kalshi_answers import ACKS, answers
from ssmd.exchanges.kalshi_continuity import KalshiContinuity
from ssmd.exchanges.kalshi_signature import signature
from ssmd.exchanges.loose import int64, no_object, text
from ssmd.exchanges.packing import pack
from ssmd.exchanges.times import NS_PER_MS, NS_PER_S, ms_ns
from ssmd.message import AnyRecord, BookSnapshot, Header, Message

_MARKET_CHANNELS = ("ticker", "trade", "orderbook_delta")
_THURSDAY: Final = 3
_MOST_MS: Final = (2**63 - 1) // NS_PER_MS
_MOST_S: Final = (2**63 - 1) // NS_PER_S

# Integers of the wire contract have 64 bits: greater ones are looked at one by one.
_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Ms = Annotated[int, Meta(ge=-_MOST_MS, le=_MOST_MS)]
_S = Annotated[int, Meta(ge=-_MOST_S, le=_MOST_S)]


class _Msg(Struct, gc=False):
    market_ticker: str | None = None
    ts_ms: _Ms | None = None
    ts: _S | str | None = None


class _Frame(Struct, gc=False):
    type: str | None = None
    sid: _Int | None = None
    seq: _Int | None = None
    msg: _Msg | None = None


class _Loose(Struct, gc=False):
    type: Any = None
    sid: Any = None
    seq: Any = None
    msg: Any = None


_frame = msgspec.json.Decoder(_Frame).decode
_loose = msgspec.json.Decoder(_Loose).decode


class Kalshi:
    name = "kalshi"
    endpoint = "wss://external-api-ws.kalshi.com/trade-api/ws/v2"
    rest_endpoint = "https://external-api.kalshi.com/trade-api/v2"
    keepalive: Keepalive | None = None
    """The server pings every 10 s; there is no ping of the application's."""
    channels: tuple[str, ...] = ("market_lifecycle_v2", "ticker", "trade", "orderbook_delta")
    book_channel = "orderbook_delta"
    listing_types = frozenset({"market_lifecycle_v2"})
    key_fields: tuple[str, ...] = ("api_key", "private_key")
    max_symbols_per_connection = 1000
    max_frame_bytes = 64 * 1024 * 1024

    def handshake_headers(
        self, url: str, secrets: Mapping[str, str], now_ms: int
    ) -> dict[str, str]:
        """Signed over ``{ms}GET{path}``."""
        for field in self.key_fields:
            if not secrets.get(field):
                raise KeyFault(
                    f"the Kalshi key lacks {field}", hint="see `keys` of the environment"
                )
        signed = f"{now_ms}GET{urlsplit(url).path}"
        return {
            "KALSHI-ACCESS-KEY": secrets["api_key"],
            "KALSHI-ACCESS-TIMESTAMP": str(now_ms),
            "KALSHI-ACCESS-SIGNATURE": signature(secrets["private_key"], signed),
        }

    def plan(
        self,
        channels: Sequence[str],
        symbols: Sequence[str],
        *,
        depth: int | None = None,
        per_connection: int | None = None,
    ) -> list[Plan]:
        """Without symbols: each channel for all markets. Raises ConfigError where there is no such
        subscription."""
        if not symbols and self.book_channel in channels:
            raise ConfigError(
                "Kalshi has no order books of all markets: orderbook_delta needs instruments",
                hint="name symbols or a filter under instruments, or leave orderbook_delta out",
            )
        per_market = _MARKET_CHANNELS if symbols else ()
        return pack(
            [channel for channel in channels if channel in per_market],
            [channel for channel in channels if channel not in per_market],
            symbols,
            per_connection or self.max_symbols_per_connection,
        )

    def subscribe(self, subscription: Subscription, request_id: int) -> list[Command]:
        params: dict[str, Any] = {"channels": [subscription.channel]}
        if subscription.symbols:
            params["market_tickers"] = list(subscription.symbols)
        if subscription.channel == "orderbook_delta":
            # The default is announced to change: never rely on it.
            params["use_yes_price"] = False
        if subscription.channel == "ticker":
            params["send_initial_snapshot"] = True
        body = {"id": request_id, "cmd": "subscribe", "params": params}
        return [Command(json.dumps(body).encode(), subscription)]

    def unsubscribe(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        """Takes the markets off the sid ``grp``; without symbols ends the sid."""
        if grp is None:
            return []
        body: dict[str, Any] = {
            "id": request_id,
            "cmd": "unsubscribe",
            "params": {"sids": [int(grp)]},
        }
        if subscription.symbols:
            params = {
                "sids": [int(grp)],
                "market_tickers": list(subscription.symbols),
                "action": "delete_markets",
            }
            body = {"id": request_id, "cmd": "update_subscription", "params": params}
        return [Command(json.dumps(body).encode(), subscription)]

    def repair(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        """Snapshots within the sid, which go on with its numbers; they are their own answer."""
        if grp is None:
            return []
        params = {
            "sid": int(grp),
            "market_tickers": list(subscription.symbols),
            "action": "get_snapshot",
        }
        body = {"id": request_id, "cmd": "update_subscription", "params": params}
        return [Command(json.dumps(body).encode(), subscription, acked=False)]

    def classify(self, frame: bytes) -> Header:
        try:
            head = _frame(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _classify_loosely(frame)
        kind = head.type
        if not kind:
            return Header(wire.UNKNOWN, kind="idle")
        group = None if head.sid is None else str(head.sid)
        if kind in ACKS:
            return Header(kind, None, None, head.seq, group, "ack")
        if kind == "error":
            return Header(kind, None, None, head.seq, group, "error")
        msg = head.msg
        if msg is None:
            return Header(kind, None, None, head.seq, group)
        ts_ns = None
        if msg.ts_ms is not None:
            ts_ns = msg.ts_ms * NS_PER_MS
        elif type(msg.ts) is int:
            ts_ns = msg.ts * NS_PER_S
        return Header(kind, msg.market_ticker, ts_ns, head.seq, group)

    def answers(self, frame: bytes) -> list[Answer]:
        return answers(frame)

    def records(self, message: Message) -> Iterable[AnyRecord]:
        if message.raw is UNSET:
            return ()
        try:
            return list(kalshi_records.records(message, bytes(message.raw)))
        except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError) as error:
            raise ContractError(f"not a kalshi {message.type} message: {error}") from error

    def continuity(self) -> Continuity:
        return KalshiContinuity()

    def instruments_request(self, filter: Mapping[str, str]) -> Request:
        return kalshi_rest.instruments_request(filter)

    def instruments_page(self, request: Request, body: bytes) -> Page:
        return kalshi_rest.instruments_page(request, body)

    def book_request(self, symbol: str) -> Request:
        """The REST call for one book."""
        return kalshi_rest.book_request(symbol)

    def book_answer(self, symbol: str, body: bytes) -> BookSnapshot:
        """The book in an answer; raises ExchangeError."""
        return kalshi_rest.book_answer(symbol, body)

    def trades_request(self, symbol: str, since_ns: int, until_ns: int) -> Request | None:
        """The first REST call for the trades of a span; the answer may go beyond it by seconds."""
        return kalshi_rest.trades_request(symbol, since_ns, until_ns)

    def trades_answer(self, request: Request, body: bytes) -> TradesPage:
        """The trades in an answer; raises ExchangeError."""
        return kalshi_rest.trades_answer(request, body)

    def quiet(self, now_ns: int) -> bool:
        """Trading pauses on Thursdays from 03:00 to 05:00 in New York."""
        local = datetime.fromtimestamp(now_ns // NS_PER_S, _new_york())
        return local.weekday() == _THURSDAY and 3 <= local.hour < 5


@cache
def _new_york() -> ZoneInfo:
    return ZoneInfo("America/New_York")


def _classify_loosely(frame: bytes) -> Header:
    """A frame whose fields are not of the documented types."""
    try:
        head = _loose(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return no_object(frame)
    kind, sid, seq = text(head.type), int64(head.sid), int64(head.seq)
    if not kind:
        return Header(wire.UNKNOWN, kind="idle")
    group = None if sid is None else str(sid)
    if kind in ACKS or kind == "error":
        return Header(kind, None, None, seq, group, "error" if kind == "error" else "ack")
    msg = head.msg if isinstance(head.msg, dict) else {}
    ts_ms = int64(msg.get("ts_ms"))
    if ts_ms is None and (ts_s := int64(msg.get("ts"))) is not None:
        ts_ms = ts_s * 1000
    return Header(kind, text(msg.get("market_ticker")), ms_ns(ts_ms), seq, group)


KALSHI = Kalshi()
