"""Instruments: what can be traded, under which names, on which price grid."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct


class PriceRange(Struct, frozen=True):
    """A stretch of the price grid: prices from ``start`` to ``end`` move by ``step``."""

    start: Decimal
    end: Decimal
    step: Decimal


class Instrument(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A tradable thing as its exchange describes it.

    ``sym`` is the symbol that subscriptions and messages use. ``status`` is the exchange's own
    word; ``active`` is ours: it can be subscribed and may trade. Times are ns UTC.
    """

    exchange: str
    sym: str
    status: str
    active: bool
    group: str | None = None
    """What it belongs to: Kalshi's event ticker, Polymarket's condition id."""
    name: str | None = None
    base: str | None = None
    quote: str | None = None
    price_precision: int | None = None
    size_precision: int | None = None
    grid: Sequence[PriceRange] = ()
    open_ns: int | None = None
    close_ns: int | None = None
    volume: Decimal | None = None
    aliases: Sequence[str] = ()
    """Other names of the same thing (Kraken's ``XBT/USD``, ``XXBTZUSD``)."""
