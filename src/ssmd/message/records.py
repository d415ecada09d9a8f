"""What messages mean, in terms shared by all exchanges."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from msgspec import Struct

Level = tuple[Decimal, Decimal]
"""Price and size, with the digits that the exchange sent."""


class Record(Struct, kw_only=True, frozen=True, gc=False, tag_field="record", omit_defaults=True):
    """What a message means, in terms shared by all exchanges; derived, never stored as the truth.

    ``sym`` is the instrument (a Polymarket asset, where the message's ``sym`` is its market).
    ``ts_ns`` is exchange time. ``conn``, ``n`` and ``part`` name the message it came from.
    """

    feed: str
    sym: str
    recv_ns: int
    conn: str
    n: int
    part: int = 0
    ts_ns: int | None = None


class Trade(Record, kw_only=True, frozen=True, gc=False, tag="trade"):
    """One execution. ``side`` is the taker's, in terms of the instrument."""

    price: Decimal
    size: Decimal
    side: Literal["buy", "sell"] | None = None
    trade_id: str | None = None
    seq: int | None = None


class Quote(Record, kw_only=True, frozen=True, gc=False, tag="quote"):
    """Best bid and ask and the last price, as far as the exchange's ticker gives them."""

    bid: Decimal | None = None
    bid_size: Decimal | None = None
    ask: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None


class BookSnapshot(Record, kw_only=True, frozen=True, gc=False, tag="book_snapshot"):
    """A whole book, in the order the exchange sent it: sort before use.

    ``checksum`` (Kraken CRC32) and ``hash`` (Polymarket) are the exchange's own, unchecked.
    """

    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()
    seq: int | None = None
    checksum: int | None = None
    hash: str | None = None


class BookDelta(Record, kw_only=True, frozen=True, gc=False, tag="book_delta"):
    """Levels that changed. ``op`` tells whether a size replaces the level's ("set", 0 removes it)
    or is added to it ("add", signed). ``best_bid`` and ``best_ask`` are the exchange's own claim
    of the top after the change (Polymarket)."""

    op: Literal["set", "add"]
    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()
    seq: int | None = None
    checksum: int | None = None
    hash: str | None = None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None


class InstrumentStatus(Record, kw_only=True, frozen=True, gc=False, tag="instrument_status"):
    """A change in an instrument's life, in the exchange's own words, with the facts it named."""

    status: str
    result: str | None = None
    open_ns: int | None = None
    close_ns: int | None = None
    tick_size: Decimal | None = None


AnyRecord = Trade | Quote | BookSnapshot | BookDelta | InstrumentStatus
