"""A market with known truth: an integer order book that trades and never crosses.

Prices and sizes are integers in units of 10^-decimals, so that a venue can write them with exactly
the digits it has. A venue with two outcomes (Kalshi, Polymarket) reads the book as that of the
first outcome; the second's is its mirror at ``grid[0] + grid[-1] - price``.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal
from zlib import crc32

from msgspec import Struct

if TYPE_CHECKING:
    from ssmd.sim.world import Watcher

Side = Literal["bid", "ask"]
Status = Literal["created", "open", "closed", "settled"]

_REACH: Final = 15
"""How many steps from the middle new orders stand at most."""
_REMEMBERED: Final = 1_000
_PAST_TRADES: Final = 10
_PAST_EVERY_NS: Final = 1_000_000_000


class Listing(Struct, kw_only=True, frozen=True):
    """What a venue says of an instrument when it is first looked at.

    ``grid`` holds all prices that orders can have, ascending, in units of 10^-price_decimals (a
    ``range`` will do). ``mid`` is a position in it, where the market starts. Sizes are multiples of
    ``lot`` units of 10^-size_decimals. At most ``levels`` levels stand on a side.
    """

    sym: str
    grid: Sequence[int]
    mid: int
    price_decimals: int
    size_decimals: int
    lot: int = 1
    levels: int = 12


class Book:
    """Levels of both sides: size by price, and the prices ascending."""

    __slots__ = ("ask_prices", "asks", "bid_prices", "bids")

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.bid_prices: list[int] = []
        self.ask_prices: list[int] = []

    @property
    def best_bid(self) -> int | None:
        return self.bid_prices[-1] if self.bid_prices else None

    @property
    def best_ask(self) -> int | None:
        return self.ask_prices[0] if self.ask_prices else None

    def top(self, depth: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Bids and asks as (price, size), best first, at most ``depth`` of each."""
        bids = [(price, self.bids[price]) for price in self.bid_prices[: -depth - 1 : -1]]
        return bids, [(price, self.asks[price]) for price in self.ask_prices[:depth]]

    def set(self, side: Side, price: int, size: int) -> int:
        """Make the level ``size`` big, 0 to remove it; returns the change in size."""
        levels, prices = (
            (self.bids, self.bid_prices) if side == "bid" else (self.asks, self.ask_prices)
        )
        before = levels.get(price, 0)
        if size:
            levels[price] = size
            if not before:
                insort(prices, price)
        elif before:
            del levels[price]
            del prices[bisect_left(prices, price)]
        return size - before


class Market:
    """One instrument while somebody looks at it. ``extra`` is the venue's own, None at first.

    ``seq`` counts the changes of the book and ``trades`` the trades, both from 1 and dense, so that
    a venue can derive its own sequence numbers from them.
    """

    __slots__ = (
        "book",
        "extra",
        "history",
        "index",
        "last",
        "last_size",
        "listing",
        "mid",
        "result",
        "seq",
        "status",
        "sym",
        "trades",
        "turnover",
        "volume",
        "watchers",
    )

    def __init__(self, index: int, listing: Listing, rng: Random, now_ns: int) -> None:
        self.index = index
        self.listing = listing
        self.sym = listing.sym
        self.mid = listing.mid
        self.book = Book()
        self.status: Status = "open"
        self.result: str | None = None
        self.seq = 0
        self.trades = 0
        self.volume = 0
        self.turnover = 0
        self.last: int | None = None
        self.last_size = 0
        self.extra: Any = None
        self.watchers: list[Watcher] = []
        self.history: deque[Trade] = deque(maxlen=_REMEMBERED)
        """The latest trades, the oldest first: what snapshots and REST tell of."""
        self._fill(rng)
        for ago in range(_PAST_TRADES, 0, -1):
            self._trade_before(rng, now_ns - ago * _PAST_EVERY_NS)

    def mirror(self, price: int) -> int:
        """The price of the other outcome."""
        grid = self.listing.grid
        return grid[0] + grid[-1] - price

    def _fill(self, rng: Random) -> None:
        grid = self.listing.grid
        for distance in range(1, max(2, self.listing.levels * 2 // 3)):
            if self.mid - distance >= 0:
                self.book.set("bid", grid[self.mid - distance], _size(rng, self.listing.lot))
            if self.mid + distance < len(grid):
                self.book.set("ask", grid[self.mid + distance], _size(rng, self.listing.lot))

    def _trade_before(self, rng: Random, ts_ns: int) -> None:
        """A trade from before anybody looked, of which the book shows nothing any more."""
        price, size = self.listing.grid[self.mid], _size(rng, self.listing.lot)
        change = Change(self, "ask", price, 0, -size, 0, ts_ns)
        _book_trade(self, "buy", price, size, change)


class Change(Struct, frozen=True, gc=False):
    """A level of the book became ``size`` (0: gone), which is ``delta`` more than before."""

    market: Market
    side: Side
    price: int
    size: int
    delta: int
    seq: int
    ts_ns: int


class Trade(Struct, frozen=True, gc=False):
    """A taker bought (or sold) at ``price``; ``change`` is what that took off the book.

    Its change is not published a second time: a venue sends both from its ``on_trade``.
    """

    market: Market
    taker: Literal["buy", "sell"]
    price: int
    size: int
    number: int
    change: Change
    ts_ns: int


class Life(Struct, frozen=True, gc=False):
    """A step in an instrument's life; ``result`` is ``yes`` or ``no`` once it is settled."""

    market: Market
    status: Status
    ts_ns: int
    result: str | None = None


def step(market: Market, rng: Random, ts_ns: int) -> Change | Trade:
    """Let one thing happen: an order is placed, reduced, cancelled or filled."""
    bits = rng.getrandbits(16)
    if not bits & 0x0F:
        _drift(market, bits)
    buy = bool(bits & 0x10)
    if bits & 0xE0 == 0:
        return _trade(market, buy, rng, ts_ns) or _order(market, buy, rng, ts_ns)
    return _order(market, buy, rng, ts_ns)


def clear(market: Market, ts_ns: int) -> Iterator[Change]:
    """Cancel all that stands in the book, as a venue does when an instrument closes."""
    for price in list(market.book.bids):
        yield _set(market, "bid", price, 0, ts_ns)
    for price in list(market.book.asks):
        yield _set(market, "ask", price, 0, ts_ns)


def draw(seed: int, index: int, below: int, what: str = "") -> int:
    """A number in [0, below) that belongs to this seed, instrument and purpose."""
    return crc32(f"{seed}:{index}:{what}".encode()) % below


def text(units: int, decimals: int) -> str:
    """Exact decimal text with all its digits: ``text(-250, 2)`` is ``-2.50``."""
    if not decimals:
        return str(units)
    whole, part = divmod(abs(units), 10**decimals)
    return f"{'-' if units < 0 else ''}{whole}.{part:0{decimals}d}"


def _drift(market: Market, bits: int) -> None:
    moved = market.mid + (1 if bits & 0x8000 else -1)
    if 1 <= moved < len(market.listing.grid) - 1:
        market.mid = moved


def _order(market: Market, buy: bool, rng: Random, ts_ns: int) -> Change | Trade:
    """An order near the middle. One that would cross the book fills instead."""
    listing, book = market.listing, market.book
    bits = rng.getrandbits(12)
    distance = 1 + min(bits & _REACH, (bits >> 4) & _REACH)
    side: Side
    if buy:
        price = listing.grid[max(market.mid - distance, 0)]
        crosses = book.ask_prices and price >= book.ask_prices[0]
        side, levels = "bid", book.bids
    else:
        price = listing.grid[min(market.mid + distance, len(listing.grid) - 1)]
        crosses = book.bid_prices and price <= book.bid_prices[-1]
        side, levels = "ask", book.asks
    if crosses:
        trade = _trade(market, buy, rng, ts_ns)
        assert trade is not None
        return trade
    size = levels.get(price, 0)
    if not size and len(levels) >= listing.levels:
        worst = book.bid_prices[0] if buy else book.ask_prices[-1]
        return _set(market, side, worst, 0, ts_ns)
    return _set(market, side, price, _resize(size, bits >> 8, rng, listing.lot), ts_ns)


def _resize(size: int, dice: int, rng: Random, lot: int) -> int:
    """What becomes of a level: it grows, shrinks, or, one time in four, goes."""
    if not size or dice & 2:
        return size + _size(rng, lot) if size < 1000 * lot else lot
    if dice & 1 or size <= lot:
        return 0
    return size - lot * (1 + int(rng.random() * (size // lot - 1)))


def _trade(market: Market, buy: bool, rng: Random, ts_ns: int) -> Trade | None:
    """Fill (a part of) the best level of the other side; None where there is none."""
    book = market.book
    prices, levels = (book.ask_prices, book.asks) if buy else (book.bid_prices, book.bids)
    if not prices:
        return None
    price = prices[0] if buy else prices[-1]
    size = min(levels[price], _size(rng, market.listing.lot))
    change = _set(market, "ask" if buy else "bid", price, levels[price] - size, ts_ns)
    return _book_trade(market, "buy" if buy else "sell", price, size, change)


def _book_trade(
    market: Market, taker: Literal["buy", "sell"], price: int, size: int, change: Change
) -> Trade:
    market.trades += 1
    market.volume += size
    market.turnover += price * size
    market.last, market.last_size = price, size
    trade = Trade(market, taker, price, size, market.trades, change, change.ts_ns)
    market.history.append(trade)
    return trade


def _set(market: Market, side: Side, price: int, size: int, ts_ns: int) -> Change:
    delta = market.book.set(side, price, size)
    market.seq += 1
    return Change(market, side, price, size, delta, market.seq, ts_ns)


def _size(rng: Random, lot: int) -> int:
    draw = rng.random()
    return lot * (1 + int(draw * draw * 200))
