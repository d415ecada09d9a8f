"""What Polymarket's messages say of markets (documented examples of 2026; ``new_market`` and
``market_resolved`` come with ``custom_feature_enabled``)."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import UNSET, Struct

from ssmd.exchanges.master import Patch
from ssmd.exchanges.polymarket_records import decode_tick
from ssmd.instrument import PriceRange
from ssmd.message import Message

_ONE: Final = Decimal(1)


class _Event(Struct, gc=False):
    slug: str | None = None


class _NewMarket(Struct, gc=False):
    market: str
    assets_ids: list[str]
    outcomes: list[str] = []
    id: str | None = None
    question: str | None = None
    slug: str | None = None
    active: bool | None = None
    order_price_min_tick_size: Decimal | None = None
    event_message: _Event | None = None
    tags: list[str] = []


class _Resolved(Struct, gc=False):
    market: str
    assets_ids: list[str]
    winning_asset_id: str


_new_market = msgspec.json.Decoder(_NewMarket).decode
_resolved = msgspec.json.Decoder(_Resolved).decode


def grid(tick: Decimal | None) -> tuple[PriceRange, ...]:
    return (PriceRange(Decimal(0), _ONE, tick),) if tick else ()


def patches(message: Message) -> Iterator[Patch]:
    at_ns = None if message.ts_ns is UNSET else message.ts_ns
    if message.type == "new_market":
        yield from _created(_new_market(message.payload), at_ns)
    elif message.type == "market_resolved":
        yield from _ended(_resolved(message.payload), at_ns)
    elif message.type == "tick_size_change":
        tick = decode_tick(message.payload)
        fields = {"grid": grid(tick.new_tick_size)}
        yield Patch(sym=tick.asset_id, fields=fields, at_ns=at_ns)


def _created(market: _NewMarket, at_ns: int | None) -> Iterator[Patch]:
    names = [
        market.outcomes[i] if i < len(market.outcomes) else str(i)
        for i in range(len(market.assets_ids))
    ]
    told = {
        "status": "active" if market.active else "inactive",
        "active": bool(market.active),
        "kind": "binary" if len(names) == 2 else "categorical",
        "title": market.question or market.slug,
        "category": market.tags[0] if market.tags else None,
        "group": market.market,
        "quote": "USDC",
        "grid": grid(market.order_price_min_tick_size) or None,
        "aliases": (market.slug,) if market.slug else None,
    }
    fields = {name: value for name, value in told.items() if value is not None}
    links = {
        "market": market.id,
        "event": market.event_message.slug if market.event_message else None,
        "condition": market.market,
        "tokens": dict(zip(names, market.assets_ids, strict=True)),
    }
    known = {name: value for name, value in links.items() if value is not None}
    for name, token in zip(names, market.assets_ids, strict=True):
        own = {**fields, "outcome": name, "base": name}
        yield Patch(sym=token, fields=own, links=known, at_ns=at_ns, creates=True)


def _ended(market: _Resolved, at_ns: int | None) -> Iterator[Patch]:
    for token in market.assets_ids:
        won = token == market.winning_asset_id
        fields = {
            "status": "resolved",
            "active": False,
            "group": market.market,
            "quote": "USDC",
            "result": "won" if won else "lost",
            "settlement": _ONE if won else Decimal(0),
            "settle_ns": at_ns,
        }
        yield Patch(sym=token, fields=fields, links={"condition": market.market}, at_ns=at_ns)
