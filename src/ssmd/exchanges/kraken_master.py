"""Kraken spot's pairs for the security master: REST ``/AssetPairs`` and the channel ``instrument``
(docs.kraken.com, 2025; recorded answers of 2021 to 2025)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw, Struct

from ssmd.errors import ExchangeError
from ssmd.exchanges.base import Request
from ssmd.exchanges.kraken_records import TRADING, v2
from ssmd.exchanges.master import Context, Found, Listed, Patch, each, sha256
from ssmd.exchanges.rest import read, unexpected
from ssmd.instrument import PriceRange
from ssmd.message import Message
from ssmd.security import Fee, Security, Tier

_ENDLESS: Final = Decimal("Infinity")


class _Pair(Struct, gc=False):
    wsname: str | None = None
    altname: str = ""
    aclass_base: str | None = None
    base: str = ""
    quote: str = ""
    pair_decimals: int | None = None
    lot_decimals: int | None = None
    lot_multiplier: Decimal | None = None
    tick_size: Decimal | None = None
    ordermin: Decimal | None = None
    fees: list[tuple[Decimal, Decimal]] | None = None
    fees_maker: list[tuple[Decimal, Decimal]] | None = None
    status: str | None = None


class _Answer(Struct, gc=False):
    error: list[str] = []
    result: dict[str, Raw] | None = None


class _Live(Struct, gc=False):
    symbol: str
    status: str
    base: str | None = None
    quote: str | None = None
    price_precision: int | None = None
    qty_precision: int | None = None
    price_increment: Decimal | None = None
    qty_min: Decimal | None = None


class _LivePairs(Struct, gc=False):
    pairs: list[_Live] = []


class _Frame(Struct, gc=False):
    data: _LivePairs


_answer = msgspec.json.Decoder(_Answer).decode
_pair = msgspec.json.Decoder(_Pair, strict=False).decode
_frame = msgspec.json.Decoder(_Frame).decode


class KrakenMaster:
    types: tuple[str, ...] = ("instrument",)

    def context(self) -> Sequence[Request]:
        return ()

    def learn(self, context: Context, request: Request, body: bytes) -> None:
        """There is nothing to learn."""

    def first(self, filter: Mapping[str, str], since_ns: int | None) -> Request | None:
        return Request("/AssetPairs", dict(filter)) if since_ns is None else None

    def page(self, context: Context, request: Request, body: bytes) -> Listed:
        answer = read("kraken AssetPairs", _answer, body)
        if answer.error:
            raise ExchangeError(f"kraken AssetPairs: {', '.join(answer.error)}")
        if answer.result is None:
            raise unexpected("kraken AssetPairs", body, "it lists no pairs")
        listed = Listed()
        for key, raw in answer.result.items():
            each(listed, [(key, raw)], lambda raw, key=key: _found(key, raw))  # type: ignore[misc]
        return listed

    def again(self, gone: Sequence[Security]) -> Sequence[Request] | None:
        return None

    def patches(self, message: Message) -> Iterable[Patch]:
        if message.type != "instrument":
            return ()
        return [_patch(pair) for pair in _frame(message.payload).data.pairs]


def _found(key: str, raw: bytes) -> Iterator[Found]:
    """Pairs without ``wsname`` (dark pools, 2021) have no name on the WebSocket: not active."""
    pair = _pair(raw)
    base, _, quote = (pair.wsname or "").partition("/")
    sym = f"{v2(base)}/{v2(quote)}" if quote else pair.altname or key
    status = pair.status or "online"  # not told until 2022
    names = (key, pair.altname, pair.wsname)
    step = pair.tick_size
    security = Security(
        exchange="kraken",
        sym=sym,
        status=status,
        active=bool(quote) and status in TRADING,
        kind="spot",
        title=f"{v2(base or pair.base)} in {v2(quote or pair.quote)}",
        category=pair.aclass_base,
        base=v2(base) or pair.base or None,
        quote=v2(quote) or pair.quote or None,
        grid=(PriceRange(Decimal(0), _ENDLESS, step),) if step else (),
        price_precision=pair.pair_decimals,
        size_precision=pair.lot_decimals,
        min_size=pair.ordermin,
        contract_size=pair.lot_multiplier,
        fees=_fees(pair),
        aliases=tuple(dict.fromkeys(name for name in names if name and name != sym)),
    )
    silent = frozenset() if step else frozenset({"grid"})
    yield Found(security, sha256(raw), None, silent)


def _fees(pair: _Pair) -> tuple[Fee, ...]:
    taker = tuple(Tier(volume, percent) for volume, percent in pair.fees or ())
    maker = tuple(Tier(volume, percent) for volume, percent in pair.fees_maker or ())
    return (Fee(kind="volume_tiers", taker=taker, maker=maker),) if taker or maker else ()


def _patch(pair: _Live) -> Patch:
    step = pair.price_increment
    told = {
        "status": pair.status,
        "active": pair.status in TRADING,
        "kind": "spot",
        "base": pair.base,
        "quote": pair.quote,
        "grid": (PriceRange(Decimal(0), _ENDLESS, step),) if step else None,
        "price_precision": pair.price_precision,
        "size_precision": pair.qty_precision,
        "min_size": pair.qty_min,
    }
    fields = {name: value for name, value in told.items() if value is not None}
    return Patch(sym=pair.symbol, fields=fields, creates=True)


KRAKEN = KrakenMaster()
