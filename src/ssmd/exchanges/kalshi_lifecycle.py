"""What Kalshi's lifecycle channel says of markets. The field names are those of the AsyncAPI text
of docs.kalshi.com (2026-07 to 10)."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from ssmd.exchanges.master import Patch
from ssmd.exchanges.times import NS_PER_S
from ssmd.instrument import PriceRange
from ssmd.message import Message
from ssmd.security import Fee, Strike

_STATUS: Final = {
    "created": ("initialized", False),
    "activated": ("active", True),
    "deactivated": ("inactive", False),
    "determined": ("determined", False),
    "settled": ("finalized", False),
}
"""Event -> the status that REST gives the market then, and whether it trades."""


class _Range(Struct, gc=False):
    start: Decimal
    end: Decimal
    step: Decimal


class _Metadata(Struct, gc=False):
    title: str | None = None
    yes_sub_title: str | None = None
    event_ticker: str | None = None
    expected_expiration_ts: int | None = None
    strike_type: str | None = None
    floor_strike: Decimal | None = None
    cap_strike: Decimal | None = None


class _Event(Struct, gc=False):
    event_type: str
    market_ticker: str
    open_ts: int | None = None
    close_ts: int | None = None
    determination_ts: int | None = None
    settled_ts: int | None = None
    result: str | None = None
    settlement_value: Decimal | None = None
    price_level_structure: str | None = None
    price_ranges: list[_Range] | None = None
    additional_metadata: _Metadata | None = None


class _Frame(Struct, gc=False):
    msg: _Event


class _FeeEvent(Struct, gc=False):
    event_ticker: str
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None


class _FeeFrame(Struct, gc=False):
    msg: _FeeEvent


_frame = msgspec.json.Decoder(_Frame, strict=False).decode
_fee_frame = msgspec.json.Decoder(_FeeFrame, strict=False).decode


def patches(message: Message) -> Iterator[Patch]:
    if message.type == "event_fee_update":
        yield _fee(_fee_frame(message.payload).msg, message.recv_ns)
    elif message.type == "market_lifecycle_v2":
        yield _patch(_frame(message.payload).msg)


def _patch(event: _Event) -> Patch:
    told: dict[str, Any] = {
        "open_ns": _ns(event.open_ts),
        "close_ns": _ns(event.close_ts),
        "determined_ns": _ns(event.determination_ts),
        "settle_ns": _ns(event.settled_ts),
        "result": event.result or None,
        "settlement": event.settlement_value,
        "grid_name": event.price_level_structure,
    }
    if event.price_ranges:
        told["grid"] = tuple(PriceRange(r.start, r.end, r.step) for r in event.price_ranges)
    links = {}
    metadata = event.additional_metadata
    if metadata is not None:
        told |= _told(metadata)
        if metadata.event_ticker:
            links = {"event": metadata.event_ticker}
    fields = {name: value for name, value in told.items() if value is not None}
    if event.event_type in _STATUS:
        fields["status"], fields["active"] = _STATUS[event.event_type]
    at_ns = {"determined": _ns(event.determination_ts), "settled": _ns(event.settled_ts)}
    return Patch(
        sym=event.market_ticker,
        fields={"quote": "USD", **fields},
        links=links,
        at_ns=at_ns.get(event.event_type),
        creates=event.event_type == "created",
    )


def _told(metadata: _Metadata) -> dict[str, Any]:
    strike = Strike(kind=metadata.strike_type, floor=metadata.floor_strike, cap=metadata.cap_strike)
    return {
        "title": metadata.title,
        "outcome": metadata.yes_sub_title or None,
        "group": metadata.event_ticker,
        "expected_ns": _ns(metadata.expected_expiration_ts),
        "strike": None if strike == Strike() else strike,
    }


def _fee(event: _FeeEvent, from_ns: int) -> Patch:
    """An event's own fees, in place of its series'; none named ends them."""
    if event.fee_type_override is None and event.fee_multiplier_override is None:
        return Patch(event=event.event_ticker, fields={"own_fees": ()})
    fee = Fee(
        kind=event.fee_type_override or "override",
        multiplier=event.fee_multiplier_override,
        from_ns=from_ns,
    )
    return Patch(event=event.event_ticker, fields={"own_fees": (fee,)})


def _ns(seconds: int | None) -> int | None:
    found = None if seconds is None else seconds * NS_PER_S
    return found if found is not None and abs(found) < 2**63 else None
