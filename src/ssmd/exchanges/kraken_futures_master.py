"""Kraken Futures' products for the security master: REST ``/instruments`` and ``/feeschedules``
(docs.kraken.com, futures; recorded answers of 2021 to 2025). No message tells of instruments."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from ssmd.exchanges.base import Request
from ssmd.exchanges.master import Context, Found, Listed, Patch, called, each, numbered, sha256
from ssmd.exchanges.rest import read, unexpected
from ssmd.exchanges.times import rfc3339_ns
from ssmd.instrument import PriceRange
from ssmd.message import Message
from ssmd.security import Fee, Links, Security, Tier

_ENDLESS: Final = Decimal("Infinity")


class _Product(Struct, gc=False, rename="camel"):
    symbol: str
    type: str | None = None
    tick_size: Decimal | None = None
    contract_size: Decimal | None = None
    tradeable: bool = True
    post_only: bool = False
    opening_date: str | None = None
    last_trading_time: str | None = None
    base: str | None = None
    quote: str | None = None
    pair: str | None = None
    underlying: str | None = None
    isin: str | None = None
    category: str | None = None
    contract_value_trade_precision: int | None = None
    fee_schedule_uid: str | None = None


class _Answer(Struct, gc=False):
    result: str = ""
    error: Any = None
    instruments: list[Raw] | None = None


class _Step(Struct, gc=False, rename="camel"):
    maker_fee: Decimal
    taker_fee: Decimal
    usd_volume: Decimal = Decimal(0)


class _Schedule(Struct, gc=False):
    uid: str
    tiers: list[_Step] = []


class _Schedules(Struct, gc=False, rename="camel"):
    fee_schedules: list[_Schedule] | None = None


_answer = msgspec.json.Decoder(_Answer).decode
_product = msgspec.json.Decoder(_Product).decode
_schedules = msgspec.json.Decoder(_Schedules).decode
_name = called(str, "symbol")


class KrakenFuturesMaster:
    types: tuple[str, ...] = ()

    def context(self) -> Sequence[Request]:
        return (Request("/feeschedules"),)

    def learn(self, context: Context, request: Request, body: bytes) -> None:
        what = "kraken_futures feeschedules"
        found = read(what, _schedules, body).fee_schedules
        if found is None:
            raise unexpected(what, body, "it lists no schedules")
        context["schedules"] = {schedule.uid: schedule for schedule in found}

    def first(self, filter: Mapping[str, str], since_ns: int | None) -> Request | None:
        return Request("/instruments", dict(filter)) if since_ns is None else None

    def page(self, context: Context, request: Request, body: bytes) -> Listed:
        what = "kraken_futures instruments"
        answer = read(what, _answer, body)
        if answer.result != "success" or answer.instruments is None:
            raise unexpected(what, body, "it lists no instruments")
        listed = Listed()
        entries = numbered("instrument", answer.instruments, _name)
        each(listed, entries, partial(_found, context))
        return listed

    def again(self, gone: Sequence[Security]) -> Sequence[Request] | None:
        return None

    def patches(self, message: Message) -> Iterable[Patch]:
        return ()


def _found(context: Context, raw: bytes) -> Iterator[Found]:
    product = _product(raw)
    base, _, quote = (product.pair or "").partition(":")
    sym = product.symbol.upper()
    step, last_ns = product.tick_size, _ns(product.last_trading_time)
    open_status = "post only" if product.post_only else "tradeable"
    names = (product.symbol, product.isin)
    security = Security(
        exchange="kraken_futures",
        sym=sym,
        status=open_status if product.tradeable else "not tradeable",
        active=product.tradeable,
        kind=product.type,
        title=f"{product.pair or product.underlying or sym} {product.type or ''}".strip(),
        category=product.category or None,
        group=product.underlying,
        base=product.base or base or None,
        quote=product.quote or quote or None,
        open_ns=_ns(product.opening_date),
        close_ns=last_ns,
        expire_ns=last_ns,
        grid=(PriceRange(Decimal(0), _ENDLESS, step),) if step else (),
        size_precision=product.contract_value_trade_precision,
        contract_size=product.contract_size,
        fees=_fees(product.fee_schedule_uid, context.get("schedules", {})),
        links=Links(underlying=product.underlying or product.pair),
        aliases=tuple(dict.fromkeys(name for name in names if name and name != sym)),
    )
    silent = frozenset() if "schedules" in context else frozenset({"fees"})
    yield Found(security, sha256(raw), None, silent)


def _fees(uid: str | None, schedules: Mapping[str, _Schedule]) -> tuple[Fee, ...]:
    if uid is None:
        return ()
    schedule = schedules.get(uid) or _Schedule(uid)
    return (
        Fee(
            kind=uid,
            maker=tuple(Tier(step.usd_volume, step.maker_fee) for step in schedule.tiers),
            taker=tuple(Tier(step.usd_volume, step.taker_fee) for step in schedule.tiers),
        ),
    )


def _ns(text: str | None) -> int | None:
    return rfc3339_ns(text) if text else None


KRAKEN_FUTURES = KrakenFuturesMaster()
