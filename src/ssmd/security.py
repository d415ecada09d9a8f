"""The record of the security master: all that an exchange tells of an instrument but its prices."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from ssmd.instrument import PriceRange


class Tier(Struct, frozen=True):
    """A step of a fee schedule: from this 30-day volume on, so many percent."""

    volume: Decimal
    percent: Decimal


class Fee(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What trading costs, in the exchange's own terms, and when that holds where it tells.

    ``kind`` is its word: Kalshi's ``fee_type``, Polymarket's ``feeType``, the uid of a Kraken
    Futures schedule, ``volume_tiers`` for Kraken spot.
    """

    kind: str
    from_ns: int | None = None
    until_ns: int | None = None
    multiplier: Decimal | None = None
    """Kalshi: of the fee formula of this kind."""
    rate: Decimal | None = None
    exponent: Decimal | None = None
    taker_only: bool | None = None
    rebate: Decimal | None = None
    maker_bps: Decimal | None = None
    taker_bps: Decimal | None = None
    maker: tuple[Tier, ...] = ()
    taker: tuple[Tier, ...] = ()


class Strike(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What a contract is about: ``kind`` is the exchange's word (``greater_or_equal``)."""

    kind: str | None = None
    floor: Decimal | None = None
    cap: Decimal | None = None
    custom: Mapping[str, Any] = {}


class Links(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What it belongs to, and what belongs to it, under the exchange's own names."""

    market: str | None = None
    """The exchange's number of the market, where that is not its symbol."""
    event: str | None = None
    series: str | None = None
    collection: str | None = None
    condition: str | None = None
    question: str | None = None
    tokens: Mapping[str, str] = {}
    """Outcome -> asset: the YES and the NO token of a Polymarket market."""
    legs: tuple[str, ...] = ()
    """Markets that a combination is made of, each with its side."""
    underlying: str | None = None


class Security(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One instrument. Times are ns UTC, prices are in the quote currency.

    ``status`` is the exchange's own word; ``active`` is ours: it can be subscribed and may trade.
    """

    exchange: str
    sym: str
    status: str
    active: bool
    kind: str | None = None
    title: str | None = None
    category: str | None = None
    group: str | None = None
    """What it is listed under: Kalshi's event, Polymarket's condition, a future's underlying."""
    outcome: str | None = None
    base: str | None = None
    quote: str | None = None
    created_ns: int | None = None
    open_ns: int | None = None
    close_ns: int | None = None
    """When trading ends, or ended."""
    expected_ns: int | None = None
    """When the exchange expects the outcome to be known."""
    expire_ns: int | None = None
    """The latest time at which it can expire."""
    determined_ns: int | None = None
    settle_ns: int | None = None
    """When it was settled."""
    result: str | None = None
    settlement: Decimal | None = None
    """What one contract pays."""
    basis: str | None = None
    """The observed value that the result rests on, as the exchange writes it."""
    grid: tuple[PriceRange, ...] = ()
    grid_name: str | None = None
    price_precision: int | None = None
    size_precision: int | None = None
    min_size: Decimal | None = None
    contract_size: Decimal | None = None
    strike: Strike | None = None
    fees: tuple[Fee, ...] = ()
    own_fees: tuple[Fee, ...] = ()
    """Of its event, in place of ``fees`` (Kalshi's ``event_fee_update``)."""
    links: Links = Links()
    aliases: tuple[str, ...] = ()


FIELDS = tuple(field.name for field in msgspec.structs.fields(Security))
"""The names of all fields."""


def difference(old: Security, new: Security) -> dict[str, tuple[Any, Any]]:
    """Field -> what it was and what it is; a field of ``links`` or ``strike`` by its path. Numbers
    that are equal are no difference, however they are written."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in FIELDS:
        was, is_ = getattr(old, name), getattr(new, name)
        if was == is_:
            continue
        if isinstance(was, Links) and isinstance(is_, Links):
            found |= _within(name, was, is_)
        else:
            found[name] = (_plain(was), _plain(is_))
    return found


def _within(name: str, old: Links, new: Links) -> dict[str, tuple[Any, Any]]:
    pairs = {field: (getattr(old, field), getattr(new, field)) for field in old.__struct_fields__}
    return {
        f"{name}.{field}": (_plain(was), _plain(is_))
        for field, (was, is_) in pairs.items()
        if was != is_
    }


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
