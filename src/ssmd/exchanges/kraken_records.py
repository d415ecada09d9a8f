"""Kraken spot messages and REST answers -> records and instruments."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from ssmd.exchanges.times import rfc3339_ns
from ssmd.instrument import Instrument, PriceRange
from ssmd.message import (
    AnyRecord,
    BookDelta,
    BookSnapshot,
    InstrumentStatus,
    Level,
    Message,
    Quote,
    Trade,
)

_TRADING: Final = frozenset({"online", "post_only", "limit_only", "reduce_only"})
_V2_NAMES: Final = {"XBT": "BTC", "XDG": "DOGE"}
SIDES: Final[Mapping[str, Literal["buy", "sell"]]] = {"buy": "buy", "sell": "sell"}


class LevelEntry(Struct, gc=False):
    price: Decimal
    qty: Decimal


class BookEntry(Struct, gc=False):
    symbol: str
    bids: list[LevelEntry] = []
    asks: list[LevelEntry] = []
    checksum: int | None = None
    timestamp: str | None = None


class BookFrame(Struct, gc=False):
    type: str
    data: list[BookEntry]


class TradeEntry(Struct, gc=False):
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    trade_id: int
    timestamp: str | None = None


class TradeFrame(Struct, gc=False):
    type: str
    data: list[TradeEntry]


class _System(Struct, gc=False):
    system: str = ""


class StatusFrame(Struct, gc=False):
    data: list[_System] = []


class _TickerEntry(Struct, gc=False):
    symbol: str
    bid: Decimal | None = None
    bid_qty: Decimal | None = None
    ask: Decimal | None = None
    ask_qty: Decimal | None = None
    last: Decimal | None = None
    timestamp: str | None = None


class _TickerFrame(Struct, gc=False):
    data: list[_TickerEntry]


class Pair(Struct, gc=False):
    symbol: str
    status: str
    price_precision: int | None = None
    qty_precision: int | None = None
    price_increment: Decimal | None = None


class _Pairs(Struct, gc=False):
    pairs: list[Pair] = []


class _InstrumentFrame(Struct, gc=False):
    data: _Pairs


class _AssetPair(Struct, gc=False):
    wsname: str | None = None
    altname: str = ""
    pair_decimals: int | None = None
    lot_decimals: int | None = None
    tick_size: Decimal | None = None
    status: str = "online"


class AssetPairs(Struct, gc=False):
    error: list[str] = []
    result: dict[str, _AssetPair] = {}


decode_status = msgspec.json.Decoder(StatusFrame).decode
decode_book = msgspec.json.Decoder(BookFrame).decode
decode_trades = msgspec.json.Decoder(TradeFrame).decode
decode_instruments = msgspec.json.Decoder(_InstrumentFrame).decode
decode_asset_pairs = msgspec.json.Decoder(AssetPairs).decode
_ticker = msgspec.json.Decoder(_TickerFrame).decode


def records(message: Message, raw: bytes) -> Iterator[AnyRecord]:
    """The records of one frame; raises msgspec's errors where fields are not as documented."""
    facts: dict[str, Any] = {
        "feed": message.feed,
        "recv_ns": message.recv_ns,
        "conn": message.conn,
        "n": message.n,
        "part": message.part or 0,
    }
    if message.type == "book":
        frame = decode_book(raw)
        for entry in frame.data:
            yield _book(frame.type, entry, facts)
    elif message.type == "trade":
        for trade in decode_trades(raw).data:
            yield Trade(
                **facts,
                sym=trade.symbol,
                ts_ns=_ns(trade.timestamp),
                price=trade.price,
                size=trade.qty,
                side=SIDES.get(trade.side),
                trade_id=str(trade.trade_id),
                seq=trade.trade_id,
            )
    elif message.type == "ticker":
        for tick in _ticker(raw).data:
            yield Quote(
                **facts,
                sym=tick.symbol,
                ts_ns=_ns(tick.timestamp),
                bid=tick.bid,
                bid_size=tick.bid_qty,
                ask=tick.ask,
                ask_size=tick.ask_qty,
                last=tick.last,
            )
    elif message.type == "instrument":
        for pair in decode_instruments(raw).data.pairs:
            yield InstrumentStatus(
                **facts, sym=pair.symbol, status=pair.status, tick_size=pair.price_increment
            )


def _book(kind: str, entry: BookEntry, facts: dict[str, Any]) -> BookSnapshot | BookDelta:
    common = {
        **facts,
        "sym": entry.symbol,
        "ts_ns": _ns(entry.timestamp),
        "bids": _levels(entry.bids),
        "asks": _levels(entry.asks),
        "checksum": entry.checksum,
    }
    return BookSnapshot(**common) if kind == "snapshot" else BookDelta(op="set", **common)


def _levels(entries: Sequence[LevelEntry]) -> list[Level]:
    return [(entry.price, entry.qty) for entry in entries]


def _ns(text: str | None) -> int | None:
    return rfc3339_ns(text) if text else None


def to_instrument(key: str, pair: _AssetPair) -> Instrument:
    """A pair of REST ``AssetPairs``. Those without ``wsname`` (dark pools, 2021) have no name on
    the WebSocket, so they are not active."""
    base, _, quote = (pair.wsname or "").partition("/")
    sym = f"{_v2(base)}/{_v2(quote)}" if quote else pair.altname or key
    aliases = (key, pair.altname, pair.wsname)
    step = pair.tick_size
    return Instrument(
        exchange="kraken",
        sym=sym,
        status=pair.status,
        active=bool(quote) and pair.status in _TRADING,
        base=_v2(base) or None,
        quote=_v2(quote) or None,
        price_precision=pair.pair_decimals,
        size_precision=pair.lot_decimals,
        grid=(PriceRange(Decimal(0), Decimal("Infinity"), step),) if step else (),
        aliases=tuple(dict.fromkeys(alias for alias in aliases if alias and alias != sym)),
    )


def _v2(asset: str) -> str:
    """The asset's name on WebSocket v2: REST and v1 say XBT and XDG."""
    return _V2_NAMES.get(asset, asset)
