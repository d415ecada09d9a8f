"""Polymarket's market channel, replayed: books of the client's assets, then their events."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from ssmd.exchanges.polymarket_records import Change, assets_of, decode_book, decode_changes, sides
from ssmd.message import Level
from ssmd.serve.replay.levels import pairs
from ssmd.serve.replay.venue import NOTHING, Heard, Homes

FEATURES: Final = frozenset({"best_bid_ask", "new_market", "market_resolved"})
"""Events that only come to those who ask for them."""
GLOBAL: Final = frozenset({"new_market", "market_resolved"})
_FORM: Final = '{"price":"%s","size":"%s"}'


class _Priced(Struct, gc=False):
    asset_id: str
    price: str


class _Ticked(Struct, gc=False):
    asset_id: str
    new_tick_size: str


class _Changes(Struct, gc=False):
    price_changes: msgspec.Raw
    timestamp: str | int | None = None


_event = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_priced = msgspec.json.Decoder(_Priced).decode
_ticked = msgspec.json.Decoder(_Ticked).decode
_changes = msgspec.json.Decoder(_Changes).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Book(Struct):
    """An asset's book from a snapshot on, and all else that the snapshot said."""

    conn: str
    facts: dict[str, Any]
    bids: dict[Decimal, Level]
    asks: dict[Decimal, Level]

    def set(self, change: Change, timestamp: str | int | None) -> None:
        side = self.bids if change.side == "BUY" else self.asks
        if change.size:
            side[change.price] = (change.price, change.size)
        else:
            side.pop(change.price, None)
        self.facts["timestamp"] = timestamp
        self.facts["hash"] = change.hash or ""

    def event(self) -> bytes:
        """As the exchange tells it to who comes now: bids ascending, asks descending."""
        bids = [self.bids[price] for price in sorted(self.bids)]
        asks = [self.asks[price] for price in sorted(self.asks, reverse=True)]
        levels = {"bids": bids, "asks": asks}
        told = {name: msgspec.Raw(pairs(side, _FORM).encode()) for name, side in levels.items()}
        return msgspec.json.encode({**self.facts, **told})


class PolymarketReplay:
    def __init__(self, symbols: frozenset[str]) -> None:
        self.started = False
        self._assets: set[str] = set()
        self._features = False
        self._books: dict[str, _Book] = {}
        self._homes = Homes()
        self._array: list[bytes] = []
        """What the client gets of the array frame that is being heard."""

    def greet(self) -> Iterable[bytes]:
        return NOTHING

    def tick(self) -> Iterable[bytes]:
        return NOTHING

    # --- commands ---------------------------------------------------------------------------------

    def obey(self, text: str) -> Iterator[bytes]:
        if text == "PING":
            yield b"PONG"
            return
        try:
            command = msgspec.json.decode(text)
            assets = [asset for asset in command["assets_ids"] if isinstance(asset, str)]
        except (msgspec.MsgspecError, KeyError, TypeError, RecursionError, ValueError):
            yield b"INVALID OPERATION"
            return
        if command.get("operation") == "unsubscribe":
            self._assets.difference_update(assets)
            return
        self._features = bool(command.get("custom_feature_enabled", self._features))
        self._assets.update(assets)
        self.started = True
        if command.get("initial_dump", True) is not False:
            books = [self._books[asset].event() for asset in assets if asset in self._books]
            yield b"[" + b",".join(books) + b"]"

    # --- what was archived ------------------------------------------------------------------------

    def hear(self, heard: Heard) -> Iterator[bytes]:
        for asset in heard.spoilt:
            if heard.header.type != "tick_size_change":
                self._books.pop(asset, None)
        told = self._told(heard)
        for asset in heard.spoilt:
            self._books.pop(asset, None)
        if not heard.parts:
            if told is not None:
                yield told
            return
        if not heard.part:
            self._array = []
        if told is not None:
            self._array.append(told)
        if heard.part == heard.parts - 1 and self._array:
            yield b"[" + b",".join(self._array) + b"]"

    def _told(self, heard: Heard) -> bytes | None:
        """What the client gets of an event."""
        kind = heard.header.type
        if kind == "price_change":
            return self._changed(heard)
        if kind == "book":
            return self._begun(heard)
        if kind in FEATURES and not self._features:
            return None
        if kind in GLOBAL:
            return heard.payload if self._homes.owns(heard.conn, kind) else None
        wanted = [
            asset for asset in assets_of(heard.payload) if self._homes.owns(heard.conn, kind, asset)
        ]
        self._keep(kind, wanted, heard.payload)
        return heard.payload if self._assets.intersection(wanted) else None

    def _keep(self, kind: str, assets: Iterable[str], event: bytes) -> None:
        """What an event says of a book's facts."""
        for asset in assets:
            book = self._books.get(asset)
            if book is None:
                continue
            if kind == "last_trade_price" and "last_trade_price" in book.facts:
                book.facts["last_trade_price"] = _priced(event).price
            elif kind == "tick_size_change" and "tick_size" in book.facts:
                book.facts["tick_size"] = _ticked(event).new_tick_size

    def _begun(self, heard: Heard) -> bytes | None:
        found = decode_book(heard.payload)
        asset = found.asset_id
        known = self._books.get(asset)
        if asset in heard.spoilt or (known is not None and heard.conn < known.conn):
            return None
        facts = _event(heard.payload)
        for old, new in (("buys", "bids"), ("sells", "asks")):
            if old in facts:
                facts[new] = facts.pop(old)
        bids, asks = ({price: (price, size) for price, size in s if size} for s in sides(found))
        self._books[asset] = _Book(heard.conn, dict(facts), bids, asks)
        return heard.payload if asset in self._assets else None

    def _changed(self, heard: Heard) -> bytes | None:
        """The changes of the client's books; the event as it was, where those are all."""
        raw = _changes(heard.payload)
        kept = []
        entries = _elements(raw.price_changes)
        for change, entry in zip(decode_changes(heard.payload), entries, strict=True):
            book = self._books.get(change.asset_id)
            if book is None or book.conn != heard.conn:
                continue
            book.set(change, raw.timestamp)
            if change.asset_id in self._assets:
                kept.append(bytes(entry))
        if len(kept) == len(entries):
            return heard.payload or None
        if not kept:
            return None
        return heard.payload.replace(bytes(raw.price_changes), b"[" + b",".join(kept) + b"]", 1)

    def gone(self, conn: str) -> None:
        self._homes.gone(conn)
        self._books = {name: book for name, book in self._books.items() if book.conn != conn}
