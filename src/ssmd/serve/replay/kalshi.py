"""Kalshi, replayed: sids and sequences of the client's own, everything else as archived."""

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from ssmd.exchanges import kalshi_commands as commands
from ssmd.exchanges.kalshi_commands import LIFECYCLE, MARKET_CHANNELS, Params, Refusal, with_id
from ssmd.exchanges.kalshi_records import decode_book, decode_delta
from ssmd.message import Level
from ssmd.serve.replay.levels import pairs
from ssmd.serve.replay.venue import NOTHING, Heard, Homes

BOOK: Final = "orderbook_delta"
CHANNEL_OF: Final = {
    "orderbook_snapshot": BOOK,
    BOOK: BOOK,
    "trade": "trade",
    "ticker": "ticker",
    LIFECYCLE: LIFECYCLE,
    "event_lifecycle": LIFECYCLE,
    "event_fee_update": LIFECYCLE,
}
"""Message type -> the channel that carries it."""
_ID: Final = re.compile(rb'"id"\s*:\s*-?\d+\s*,\s*')
_SID: Final = re.compile(rb'("sid"\s*:\s*)\d+')
_SEQ: Final = re.compile(rb'("seq"\s*:\s*)\d+')


class _Named(Struct, gc=False):
    market_id: str | None = None


class _Frame(Struct, gc=False):
    msg: msgspec.Raw = msgspec.Raw(b"{}")


_frame = msgspec.json.Decoder(_Frame).decode
_named = msgspec.json.Decoder(_Named).decode


class _Book(Struct):
    """Both sides' bids at their own prices, from a snapshot on."""

    conn: str
    market_id: str | None
    yes: dict[Decimal, Decimal]
    no: dict[Decimal, Decimal]


class _Subscription(Struct):
    """A sid of the client; ``markets`` None is all."""

    sid: int
    channel: str
    markets: dict[str, None] | None = field(default_factory=dict)
    seq: int = 0

    def wants(self, market: str | None) -> bool:
        return self.markets is None or market in self.markets

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq


class KalshiReplay:
    def __init__(self, symbols: frozenset[str]) -> None:
        self.started = False
        self._symbols = symbols
        self._subscriptions: dict[int, _Subscription] = {}
        self._sids = 0
        self._books: dict[str, _Book] = {}
        self._tickers: dict[str, bytes] = {}
        self._homes = Homes()

    def greet(self) -> Iterable[bytes]:
        return NOTHING

    def tick(self) -> Iterable[bytes]:
        return NOTHING

    # --- commands ---------------------------------------------------------------------------------

    def obey(self, text: str) -> Iterator[bytes]:
        request = 0
        try:
            command = commands.command(text.encode("utf-8", "replace"))
            given = command.get("id")
            request = given if type(given) is int else 0
            yield from self._dispatch(command, request)
        except Refusal as refusal:
            yield refusal.frame(request)

    def _dispatch(self, command: Params, request: int) -> Iterator[bytes]:
        name, params = command.get("cmd"), command.get("params")
        if name == "list_subscriptions":
            listed = [{"channel": s.channel, "sid": s.sid} for s in self._subscriptions.values()]
            yield msgspec.json.encode(with_id({"type": "ok", "msg": listed}, request))
        elif name not in ("subscribe", "unsubscribe", "update_subscription"):
            raise Refusal(5)
        elif not isinstance(params, dict):
            raise Refusal(2)
        elif name == "subscribe":
            yield from self._subscribe(params, request)
        elif name == "unsubscribe":
            yield from self._unsubscribe(params, request)
        else:
            yield from self._update(params, request)

    def _subscribe(self, params: Params, request: int) -> Iterator[bytes]:
        channels, markets = commands.channels(params), self._known(commands.tickers(params))
        if BOOK in channels and not markets:
            raise Refusal(14)
        if params.get("use_yes_price") is True:
            # Archived prices are those of a bid's own side.
            raise Refusal(11)
        for channel in channels:
            self._sids += 1
            named = dict.fromkeys(markets) if markets and channel in MARKET_CHANNELS else None
            made = _Subscription(self._sids, channel, named)
            self._subscriptions[made.sid] = made
            self.started = True
            msg = {"channel": channel, "sid": made.sid}
            yield msgspec.json.encode(with_id({"type": "subscribed", "msg": msg}, request))
            if channel == BOOK:
                yield from self._snapshots(made, markets)
            elif channel == "ticker" and params.get("send_initial_snapshot") is True:
                yield from self._last_tickers(made)

    def _unsubscribe(self, params: Params, request: int) -> Iterator[bytes]:
        sids = commands.sids(params)
        for sid in sids:
            if sid not in self._subscriptions:
                raise Refusal(7, sid=sid)
        for sid in sids:
            seq = self._subscriptions.pop(sid).next_seq()
            body = {"sid": sid, "seq": seq, "type": "unsubscribed"}
            yield msgspec.json.encode(with_id(body, request))

    def _update(self, params: Params, request: int) -> Iterator[bytes]:
        sids = commands.sids(params)
        if len(sids) != 1:
            raise Refusal(12)
        sub = self._subscriptions.get(sids[0])
        if sub is None:
            raise Refusal(7, sid=sids[0])
        action, tickers = params.get("action"), commands.tickers(params)
        if not action:
            raise Refusal(15)
        if action not in ("add_markets", "delete_markets", "get_snapshot"):
            raise Refusal(13, sid=sub.sid)
        if not tickers:
            raise Refusal(14, sid=sub.sid)
        markets = self._known(tickers)
        if action == "get_snapshot":
            if sub.channel != BOOK:
                raise Refusal(13, sid=sub.sid)
            yield from self._snapshots(sub, markets, request)
        else:
            yield from self._change(sub, action == "add_markets", markets, request)

    def _change(
        self, sub: _Subscription, add: bool, markets: Sequence[str], request: int
    ) -> Iterator[bytes]:
        held = {} if sub.markets is None else sub.markets
        fresh = [market for market in markets if market not in held]
        for market in markets:
            if add:
                held[market] = None
            else:
                held.pop(market, None)
        body = with_id({"sid": sub.sid}, request)
        if sub.channel != "ticker":
            body["seq"] = sub.next_seq()
        yield msgspec.json.encode({**body, "type": "ok", "msg": {"market_tickers": list(held)}})
        if add and sub.channel == BOOK:
            yield from self._snapshots(sub, fresh)

    def _known(self, tickers: Sequence[str]) -> list[str]:
        unknown = [
            name for name in tickers if name not in self._symbols and name not in self._books
        ]
        if unknown:
            raise Refusal(11, market_tickers=unknown)
        return list(tickers)

    # --- snapshots --------------------------------------------------------------------------------

    def _snapshots(
        self, sub: _Subscription, markets: Iterable[str], request: int = 0
    ) -> Iterator[bytes]:
        """Of the books that are known; the others come when the archive has them."""
        for market in markets:
            book = self._books.get(market)
            if book is not None:
                yield _snapshot(market, book, sub.sid, sub.next_seq(), request)

    def _last_tickers(self, sub: _Subscription) -> Iterator[bytes]:
        for market, frame in self._tickers.items():
            if sub.wants(market):
                yield _renumbered(frame, sub.sid, None)

    # --- what was archived ------------------------------------------------------------------------

    def hear(self, heard: Heard) -> Iterator[bytes]:
        for spoilt in heard.spoilt:
            self._books.pop(spoilt, None)
        channel, market = CHANNEL_OF.get(heard.header.type), heard.header.sym
        if channel is None or heard.repeated or not self._follow(channel, market, heard):
            return
        for sub in self._subscriptions.values():
            if sub.channel == channel and sub.wants(market):
                seq = None if heard.header.seq is None else sub.next_seq()
                yield _renumbered(heard.payload, sub.sid, seq)

    def _follow(self, channel: str, market: str | None, heard: Heard) -> bool:
        """Keep what later snapshots are made of; whether the client may get the frame."""
        if channel == BOOK:
            return market is not None and market not in heard.spoilt and self._book(market, heard)
        if channel == LIFECYCLE:
            return self._homes.owns(heard.conn, channel)
        if market is None or not self._homes.owns(heard.conn, channel, market):
            return False
        if channel == "ticker":
            self._tickers[market] = heard.payload
        return True

    def _book(self, market: str, heard: Heard) -> bool:
        book = self._books.get(market)
        if heard.header.type == "orderbook_snapshot":
            if book is not None and heard.conn < book.conn:
                return False
            yes, no = decode_book(heard.payload)
            id_ = _named(_frame(heard.payload).msg).market_id
            self._books[market] = _Book(heard.conn, id_, _sizes(yes), _sizes(no))
            return True
        if book is None or heard.conn != book.conn:
            return False
        name, price, change = decode_delta(heard.payload)
        side = book.yes if name == "yes" else book.no
        size = side.get(price, Decimal(0)) + change
        if size:
            side[price] = size
        else:
            side.pop(price, None)
        return True

    def gone(self, conn: str) -> None:
        self._homes.gone(conn)
        self._books = {name: book for name, book in self._books.items() if book.conn != conn}


def _sizes(levels: Iterable[Level]) -> dict[Decimal, Decimal]:
    return {price: size for price, size in levels if size}


def _snapshot(market: str, book: _Book, sid: int, seq: int, request: int) -> bytes:
    """Levels ascending, so that the best is the last; a side without levels is absent."""
    msg: dict[str, Any] = {"market_ticker": market}
    if book.market_id is not None:
        msg["market_id"] = book.market_id
    for key, side in (("yes_dollars_fp", book.yes), ("no_dollars_fp", book.no)):
        if side:
            msg[key] = msgspec.Raw(pairs(sorted(side.items()), '["%s","%s"]').encode())
    body = {"type": "orderbook_snapshot", "sid": sid, "seq": seq, "msg": msg}
    return msgspec.json.encode(with_id(body, request))


def _renumbered(frame: bytes, sid: int, seq: int | None) -> bytes:
    """The frame under the client's sid and number, and no answer to the recorder's command."""
    msg = bytes(_frame(frame).msg)
    head, _, tail = frame.partition(msg)
    for pattern, text in ((_ID, b""), (_SID, b"\\g<1>%d" % sid), (_SEQ, b"\\g<1>%d" % (seq or 0))):
        if pattern is _SEQ and seq is None:
            continue
        head, found = pattern.subn(text, head, count=1)
        if not found:
            tail = pattern.sub(text, tail, count=1)
    return head + msg + tail
