"""Kraken spot v2, replayed: an ack per symbol, snapshots of the archived books, frames as they
came."""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from ssmd.exchanges.kraken_book import DEPTHS, offered
from ssmd.exchanges.kraken_records import decode_status
from ssmd.serve.replay.kraken_depth import KrakenBook, snapshot, update
from ssmd.serve.replay.venue import Heard, Homes

CHANNELS: Final = ("ticker", "trade", "book", "instrument")
SNAPSHOT_TRADES: Final = 50
MALFORMED: Final = b'{"error":"Malformed request","success":false}'


class _Frame(Struct, gc=False):
    channel: str
    type: str
    data: msgspec.Raw


class _Named(Struct, gc=False):
    symbol: str
    trade_id: int = 0


class _Instruments(Struct, gc=False):
    assets: list[msgspec.Raw] = []
    pairs: list[msgspec.Raw] = []


class _Asset(Struct, gc=False):
    id: str


class _Result(Struct, gc=False):
    channel: str | None = None
    symbol: str | None = None
    depth: int | None = None


class _Ack(Struct, gc=False):
    method: str
    success: bool = True
    result: _Result | None = None


_frame = msgspec.json.Decoder(_Frame).decode
_entries = msgspec.json.Decoder(list[msgspec.Raw]).decode
_named = msgspec.json.Decoder(_Named).decode
_instruments = msgspec.json.Decoder(_Instruments).decode
_asset = msgspec.json.Decoder(_Asset).decode
_ack = msgspec.json.Decoder(_Ack).decode


class KrakenReplay:
    def __init__(self, symbols: frozenset[str]) -> None:
        self.started = False
        self._symbols = symbols
        self._held: dict[str, dict[str, int]] = {channel: {} for channel in CHANNELS}
        """Channel -> symbol -> depth."""
        self._books: dict[str, KrakenBook] = {}
        self._depths: dict[tuple[str, str], int] = {}
        self._tickers: dict[str, bytes] = {}
        self._trades: dict[str, deque[tuple[int, bytes]]] = {}
        self._listed: tuple[dict[str, bytes], dict[str, bytes]] = {}, {}
        """Assets and pairs, as last told."""
        self._homes = Homes()
        self._system = "online"

    def greet(self) -> Iterable[bytes]:
        status = {"version": "2.0.10", "system": self._system, "api_version": "v2"}
        data = [{**status, "connection_id": 1}]
        yield msgspec.json.encode({"channel": "status", "type": "update", "data": data})

    def tick(self) -> Iterable[bytes]:
        if any(self._held.values()):
            yield b'{"channel":"heartbeat"}'

    # --- commands ---------------------------------------------------------------------------------

    def obey(self, text: str) -> Iterator[bytes]:
        try:
            command = msgspec.json.decode(text)
            method, params = command["method"], command.get("params") or {}
            channel, symbols = params.get("channel"), params.get("symbol") or ()
        except (
            msgspec.MsgspecError,
            LookupError,
            TypeError,
            AttributeError,
            ValueError,
            RecursionError,
        ):
            yield MALFORMED
            return
        number = command.get("req_id")
        if method == "ping":
            yield _stamped({"method": "pong"}, number)
        elif method not in ("subscribe", "unsubscribe") or channel not in CHANNELS:
            yield _refusal(method, "Unsupported method or channel", number)
        elif channel == "instrument":
            yield from self._instrument(method, params, number)
        elif not isinstance(symbols, list):
            yield _refusal(method, "Symbol(s) not found", number)
        else:
            for symbol in symbols:
                yield from self._one(method, params, symbol, number)

    def _one(
        self, method: str, params: dict[str, Any], symbol: Any, number: Any
    ) -> Iterator[bytes]:
        channel, depth = params["channel"], params.get("depth", DEPTHS[0])
        if not isinstance(symbol, str) or not self._knows(symbol):
            error = f"Currency pair not supported {symbol}"
            yield _refusal(method, error, number, symbol=symbol)
            return
        if channel == "book" and (depth not in DEPTHS or self._too_deep(symbol, depth)):
            yield _refusal(method, "Subscription depth not supported", number, symbol=symbol)
            return
        wants_snapshot = params.get("snapshot", channel != "trade") is True
        result: dict[str, Any] = {"channel": channel, "symbol": symbol}
        if channel == "book":
            result["depth"] = depth
        if method == "subscribe":
            result["snapshot"] = wants_snapshot
        yield _stamped({"method": method, "result": result, "success": True}, number)
        if method == "unsubscribe":
            self._held[channel].pop(symbol, None)
            return
        self._held[channel][symbol] = depth
        self.started = True
        if wants_snapshot:
            yield from self._snapshot(channel, symbol, depth)

    def _knows(self, symbol: str) -> bool:
        return any(symbol in known for known in (self._symbols, self._books, self._trades))

    def _too_deep(self, symbol: str, depth: int) -> bool:
        book = self._books.get(symbol)
        return book is not None and depth > book.depth

    def _snapshot(self, channel: str, symbol: str, depth: int) -> Iterator[bytes]:
        if channel == "book" and symbol in self._books:
            yield snapshot(symbol, self._books[symbol], depth)
        elif channel == "ticker" and symbol in self._tickers:
            yield _written("ticker", "snapshot", [self._tickers[symbol]])
        elif channel == "trade" and self._trades.get(symbol):
            yield _written("trade", "snapshot", [trade for _, trade in self._trades[symbol]])

    def _instrument(self, method: str, params: dict[str, Any], number: Any) -> Iterator[bytes]:
        wants_snapshot = params.get("snapshot", True) is True
        result = {"channel": "instrument", "snapshot": wants_snapshot}
        yield _stamped({"method": method, "result": result, "success": True}, number)
        if method == "unsubscribe":
            self._held["instrument"].clear()
            return
        self._held["instrument"][""] = 0
        self.started = True
        assets, pairs = self._listed
        if wants_snapshot and (assets or pairs):
            data = b'{"assets":[%b],"pairs":[%b]}' % (
                b",".join(assets.values()),
                b",".join(pairs.values()),
            )
            yield b'{"channel":"instrument","type":"snapshot","data":%b}' % data

    # --- what was archived ------------------------------------------------------------------------

    def hear(self, heard: Heard) -> Iterator[bytes]:
        for symbol in heard.spoilt:
            self._books.pop(symbol, None)
        kind = heard.header.type
        if heard.header.kind == "ack":
            self._learn_depth(heard)
        elif kind == "status":
            yield from self._status(heard)
        elif kind == "instrument":
            yield from self._listing(heard)
        elif kind in CHANNELS:
            yield from self._entries(kind, heard)

    def _entries(self, kind: str, heard: Heard) -> Iterator[bytes]:
        """Entries of symbols that the client holds; the frame as it was, where those are all."""
        frame = _frame(heard.payload)
        entries = [(_named(raw), bytes(raw)) for raw in _entries(frame.data)]
        if kind == "book":
            yield from self._changed(frame, entries, heard)
            return
        if kind == "trade":
            entries.sort(key=lambda entry: entry[0].trade_id)
            began = frozenset(self._trades)
            fresh = [
                raw
                for name, raw in entries
                if self._traded(name, raw) and (frame.type == "update" or name.symbol in began)
            ]
            # To a client that is there already, trades of a later snapshot are no news.
            kind_of = "update" if frame.type == "snapshot" else frame.type
        else:
            fresh = [raw for name, raw in entries if self._ticked(name.symbol, raw, heard.conn)]
            kind_of = frame.type
        if len(fresh) == len(entries) and kind_of == frame.type:
            yield heard.payload
        elif fresh:
            yield _written(kind, kind_of, fresh)

    def _ticked(self, symbol: str, entry: bytes, conn: str) -> bool:
        if not self._homes.owns(conn, "ticker", symbol):
            return False
        self._tickers[symbol] = entry
        return symbol in self._held["ticker"]

    def _traded(self, name: _Named, entry: bytes) -> bool:
        known = self._trades.setdefault(name.symbol, deque(maxlen=SNAPSHOT_TRADES))
        if known and name.trade_id <= known[-1][0]:
            return False
        known.append((name.trade_id, entry))
        return name.symbol in self._held["trade"]

    def _changed(
        self, frame: _Frame, entries: list[tuple[_Named, bytes]], heard: Heard
    ) -> Iterator[bytes]:
        as_it_was: list[bytes] = []
        for name, raw in entries:
            symbol = name.symbol
            if symbol in heard.spoilt:
                continue
            before = self._books.get(symbol)
            depth = self._held["book"].get(symbol)
            if frame.type == "snapshot":
                if before is not None and heard.conn < before.conn:
                    continue
                book = self._books[symbol] = KrakenBook(heard.conn)
                book.begin(raw, self._depths.get((heard.conn, symbol)))
                if depth is not None and depth != book.depth:
                    yield snapshot(symbol, book, depth)
                elif depth is not None:
                    as_it_was.append(raw)
            elif before is not None and before.conn == heard.conn:
                if depth is not None and depth < before.depth:
                    yield from update(symbol, before, raw, depth)
                    continue
                before.apply(raw)
                if depth is not None:
                    as_it_was.append(raw)
        if as_it_was and len(as_it_was) == len(entries):
            yield heard.payload
        elif as_it_was:
            yield _written("book", frame.type, as_it_was)

    def _learn_depth(self, heard: Heard) -> None:
        """The depth of a book stands in the acknowledgement that the recorder got."""
        result = _ack(heard.payload).result
        if result is not None and result.symbol is not None and result.depth:
            self._depths[heard.conn, result.symbol] = offered(result.depth)

    def _status(self, heard: Heard) -> Iterator[bytes]:
        """Only what is news: each connection of the recorder began with one."""
        for told in decode_status(heard.payload).data[-1:]:
            if told.system != self._system:
                self._system = told.system
                yield heard.payload

    def _listing(self, heard: Heard) -> Iterator[bytes]:
        if not self._homes.owns(heard.conn, "instrument"):
            return
        found = _instruments(_frame(heard.payload).data)
        assets, pairs = self._listed
        assets.update((_asset(raw).id, bytes(raw)) for raw in found.assets)
        pairs.update((_named(raw).symbol, bytes(raw)) for raw in found.pairs)
        if self._held["instrument"]:
            yield heard.payload

    def gone(self, conn: str) -> None:
        self._homes.gone(conn)
        self._books = {name: book for name, book in self._books.items() if book.conn != conn}
        self._depths = {key: depth for key, depth in self._depths.items() if key[0] != conn}


def _written(channel: str, kind: str, entries: list[bytes]) -> bytes:
    head = f'{{"channel":"{channel}","type":"{kind}","data":['
    return head.encode() + b",".join(entries) + b"]}"


def _refusal(method: Any, error: str, number: Any, **more: Any) -> bytes:
    return _stamped({"method": method, "success": False, "error": error, **more}, number)


def _stamped(body: dict[str, Any], number: Any) -> bytes:
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    tail: dict[str, Any] = {} if number is None else {"req_id": number}
    return msgspec.json.encode({**body, "time_in": now, "time_out": now, **tail})
