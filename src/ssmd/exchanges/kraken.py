"""Kraken spot, WebSocket v2. Facts from docs.kraken.com and krakenfx/api-specs, as of 2026-11.

Limits and quirks: one acknowledgement per symbol; no sequence on the book but a CRC32 over its best
ten levels; ``trade_id`` rises by one per book; a heartbeat about every second when idle.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct

from ssmd import message as wire
from ssmd.errors import ConfigError, ContractError, ExchangeError
from ssmd.exchanges import kraken_rest
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
from ssmd.exchanges.kraken_continuity import DEPTHS, KrakenContinuity
from ssmd.exchanges.kraken_records import decode_asset_pairs, records, to_instrument
from ssmd.exchanges.packing import pack
from ssmd.exchanges.times import rfc3339_ns
from ssmd.message import AnyRecord, BookSnapshot, Header, Message

SYMBOLS_PER_COMMAND: Final = 100
_KINDS: Final[Mapping[str, Literal["idle", "status"]]] = {"heartbeat": "idle", "status": "status"}
_SYMBOL_CHANNELS: Final = ("ticker", "trade", "book")
_FATAL: Final = ("not supported", "unsupported", "invalid", "not found")


class _Entry(Struct, gc=False):
    symbol: str | None = None
    timestamp: str | None = None


class _Frame(Struct, gc=False):
    channel: str | None = None
    method: str | None = None
    success: bool = True
    error: str | None = None
    data: list[_Entry] | Raw | None = None


class _Loose(Struct, gc=False):
    channel: Any = None
    method: Any = None


class _AckResult(Struct, gc=False):
    channel: str | None = None
    symbol: str | None = None


class _Ack(Struct, gc=False):
    method: str | None = None
    success: bool = True
    error: str | None = None
    symbol: str | None = None
    req_id: int | None = None
    result: _AckResult | None = None


_frame = msgspec.json.Decoder(_Frame).decode
_loose = msgspec.json.Decoder(_Loose).decode
_ack = msgspec.json.Decoder(_Ack).decode


class Kraken:
    name = "kraken"
    endpoint = "wss://ws.kraken.com/v2"
    rest_endpoint = "https://api.kraken.com/0/public"
    keepalive: Keepalive | None = Keepalive(30.0, b'{"method":"ping"}')
    channels: tuple[str, ...] = ("instrument", "ticker", "trade", "book")
    book_channel = "book"
    listing_types = frozenset({"instrument"})
    key_fields: tuple[str, ...] = ()
    max_symbols_per_connection = 400
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
        if depth is not None and depth not in DEPTHS:
            raise ConfigError(
                f"kraken has no books of depth {depth}",
                hint=f"depth: one of {', '.join(map(str, DEPTHS))}",
            )
        return pack(
            [channel for channel in channels if channel in _SYMBOL_CHANNELS],
            [channel for channel in channels if channel not in _SYMBOL_CHANNELS],
            symbols,
            per_connection or self.max_symbols_per_connection,
            depth=depth or DEPTHS[0],
        )

    def subscribe(self, subscription: Subscription, request_id: int) -> list[Command]:
        return self._commands("subscribe", subscription, request_id)

    def unsubscribe(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        return self._commands("unsubscribe", subscription, request_id)

    def _commands(self, method: str, subscription: Subscription, request_id: int) -> list[Command]:
        commands: list[Command] = []
        symbols = subscription.symbols
        for first in range(0, max(len(symbols), 1), SYMBOLS_PER_COMMAND):
            some = symbols[first : first + SYMBOLS_PER_COMMAND]
            params: dict[str, Any] = {"channel": subscription.channel}
            if some:
                params["symbol"] = list(some)
            if subscription.channel == "book":
                params["depth"] = subscription.depth or DEPTHS[0]
            if method == "subscribe":
                params["snapshot"] = True
            body = {"method": method, "params": params, "req_id": request_id + len(commands)}
            part = Subscription(subscription.channel, some, subscription.depth)
            commands.append(Command(json.dumps(body).encode(), part))
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
        if not head.channel:
            return _classify_reply(head)
        if head.channel in _KINDS:
            return Header(head.channel, kind=_KINDS[head.channel])
        if not isinstance(head.data, list) or not head.data:
            return Header(head.channel)
        sym = head.data[0].symbol
        if len(head.data) > 1 and any(entry.symbol != sym for entry in head.data):
            sym = None
        stamp = head.data[-1].timestamp
        return Header(head.channel, sym, rfc3339_ns(stamp) if stamp else None)

    def answers(self, frame: bytes) -> list[Answer]:
        try:
            ack = _ack(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []
        if ack.method not in ("subscribe", "unsubscribe", None):
            return []
        if ack.method is None and ack.error is None:
            return []
        result = ack.result or _AckResult()
        good = ack.success and ack.error is None
        symbol = result.symbol or ack.symbol
        return [
            Answer(
                outcome="ok" if good else "error",
                request_id=ack.req_id,
                channel=result.channel,
                symbols=(symbol,) if symbol else (),
                message=ack.error,
                fatal=not good and any(word in (ack.error or "").lower() for word in _FATAL),
            )
        ]

    def records(self, message: Message) -> Iterable[AnyRecord]:
        if message.raw is UNSET:
            return ()
        try:
            return list(records(message, bytes(message.raw)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ContractError(f"not a kraken {message.type} message: {error}") from error

    def continuity(self) -> Continuity:
        return KrakenContinuity()

    def book_request(self, symbol: str) -> Request:
        return kraken_rest.book_request(symbol)

    def book_answer(self, symbol: str, body: bytes) -> BookSnapshot:
        """The book in an answer; raises ExchangeError."""
        return kraken_rest.book_answer(symbol, body)

    def trades_request(self, symbol: str, since_ns: int, until_ns: int) -> Request | None:
        return kraken_rest.trades_request(symbol, since_ns, until_ns)

    def trades_answer(self, request: Request, body: bytes) -> TradesPage:
        """The trades in an answer; raises ExchangeError."""
        return kraken_rest.trades_answer(request, body)

    def quiet(self, now_ns: int) -> bool:
        """Markets trade at all hours; maintenance is told on the ``status`` channel, where there
        is one."""
        return False

    def instruments_request(self, filter: Mapping[str, str]) -> Request:
        return Request("/AssetPairs", dict(filter))

    def instruments_page(self, request: Request, body: bytes) -> Page:
        try:
            answer = decode_asset_pairs(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ExchangeError(f"kraken AssetPairs: unexpected answer: {error}") from error
        if answer.error:
            raise ExchangeError(f"kraken AssetPairs: {', '.join(answer.error)}")
        return Page([to_instrument(key, pair) for key, pair in answer.result.items()])


def _classify_reply(head: _Frame) -> Header:
    """A frame of no channel: the answer to a command, or a complaint about one."""
    failed = not head.success or head.error is not None
    if not head.method:
        return Header("error", kind="error") if failed else Header(wire.UNKNOWN, kind="idle")
    kind: Literal["ack", "error", "idle"] = "error" if failed else "ack"
    return Header(head.method, kind="idle" if head.method == "pong" else kind)


def _classify_loosely(frame: bytes) -> Header:
    """A frame whose fields are not of the documented types: kept under what it calls itself."""
    try:
        head = _loose(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _classify_stranger(frame)
    if isinstance(head.channel, str) and head.channel:
        return Header(head.channel, kind=_KINDS.get(head.channel, "data"))
    name = head.method
    return Header(name if isinstance(name, str) and name else wire.UNKNOWN, kind="idle")


def _classify_stranger(frame: bytes) -> Header:
    """A frame that is no JSON object."""
    if wire.is_json(frame):
        return Header(wire.EMPTY if wire.split_array(frame) == [] else wire.UNKNOWN, kind="idle")
    return Header(wire.TEXT if wire.is_utf8(frame) else wire.BINARY, kind="idle")


KRAKEN = Kraken()
