"""Polymarket's hash of a book.

SHA-1 of the book's compact JSON, keys in this order, ``hash`` empty, levels and numbers with their
texts as sent. REST books hold all of it; events of the socket lack ``min_order_size`` and
``neg_risk``, which stay the same for a market: a hash that matches proves them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

_KNOWN_SIZES: Final = ("5",)
"""``min_order_size`` of every market recorded."""
CANDIDATES: Final = tuple((size, risk) for size in _KNOWN_SIZES for risk in (False, True))


class TextLevel(Struct, gc=False):
    price: str
    size: str


class _Hashed(Struct, gc=False):
    market: str
    asset_id: str
    timestamp: str
    hash: str
    bids: list[TextLevel]
    asks: list[TextLevel]
    min_order_size: str | UnsetType | None = UNSET
    tick_size: str | UnsetType | None = UNSET
    neg_risk: bool | UnsetType | None = UNSET
    last_trade_price: str | UnsetType | None = UNSET


_hashed = msgspec.json.Decoder(_Hashed).decode
_encode = msgspec.json.Encoder().encode


def book_hash(
    book: Mapping[str, Any],
    *,
    min_order_size: str | None = None,
    neg_risk: bool | None = None,
    last_trade_price: str | None = None,
    tick_size: str | None = None,
) -> str:
    """The exchange's hash of a book given as its JSON object.

    Facts that events of the socket lack can be given; a hash that differs without them proves
    nothing (py-clob-client-v2#117).
    """

    def side(name: str) -> list[dict[str, str]]:
        levels: Sequence[Mapping[str, str]] = book.get(name) or ()
        return [{"price": level["price"], "size": level["size"]} for level in levels]

    body = {
        "market": book["market"],
        "asset_id": book["asset_id"],
        "timestamp": book["timestamp"],
        "hash": "",
        "bids": side("bids"),
        "asks": side("asks"),
        "min_order_size": book.get("min_order_size", min_order_size),
        "tick_size": book.get("tick_size", tick_size),
        "neg_risk": book.get("neg_risk", neg_risk),
        "last_trade_price": book.get("last_trade_price", last_trade_price),
    }
    return _sha1(body)


def hash_holds(raw: bytes) -> bool | None:
    """Whether the hash of a book is that of its content; None where it cannot be told, because
    the book does not hold all that is hashed."""
    try:
        book = _hashed(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    claimed, book.hash = book.hash, ""
    if len(claimed) != 40 or book.tick_size is UNSET or book.last_trade_price is UNSET:
        return None
    if book.min_order_size is not UNSET and book.neg_risk is not UNSET:
        return _sha1(book) == claimed
    for book.min_order_size, book.neg_risk in CANDIDATES:
        if _sha1(book) == claimed:
            return True
    return None


def _sha1(content: Any) -> str:
    return hashlib.sha1(_encode(content), usedforsecurity=False).hexdigest()
