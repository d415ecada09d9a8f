"""Kalshi's law of fills: every trade takes exactly one resting order's size from the book.

For each trade there is one delta of the same market and ``ts_ms``, equal and opposite, on the
maker's side at the price of that side; the two come on different sids, in either order. Held for
52,985 of 52,985 trades of KXGOLD15M in August 2026. So a trade without its delta shows that the
book lacks a message, which sequences of the two sids cannot show where both are dense.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from ssmd.exchanges.kalshi_book import ZERO
from ssmd.exchanges.times import NS_PER_S

HORIZON_NS: Final = 5 * NS_PER_S
"""How far the books' own time may go on before a trade's delta counts as missing, and how late a
trade may come after its delta. The recordings show 2.2 s."""
TRADES_LEAD_NS: Final = 25 * NS_PER_S
"""How much further the trades' time may go on, where no delta comes at all."""
MOST: Final = 8192
"""Decreases, and trades, that are remembered. Beyond it trades are not judged."""

Fill = tuple[str, str, Decimal, Decimal]
"""Market, side of the book, price on that side, and the change: negative."""


class Fills:
    """Matches the trades of the markets of one sid with the decreases of their books.

    Memory is bounded; a trade older than what is remembered is not judged, nor is one that can
    have been taken off the book before the snapshot that the book began with.
    """

    def __init__(self) -> None:
        self.waiting = 0
        """Trades without their delta so far."""
        self._seen: dict[str, None] = {}
        self._clear()

    def _clear(self) -> None:
        self.waiting = 0
        self._trades: dict[int, list[Fill]] = {}
        self._decreases: dict[int, list[Fill]] = {}
        self._kept = 0
        self._clock = 0
        self._floor = 0
        """Decreases up to this time may have been forgotten."""
        self._since: dict[str, int] = {}
        """The first delta of each book after its snapshot."""

    def forget(self, sym: str) -> None:
        """The market's book begins anew, is not to be trusted, or is subscribed no longer."""
        self._since.pop(sym, None)
        if self.waiting:
            for ts_ns in list(self._trades):
                self._keep_trades(ts_ns, [f for f in self._trades[ts_ns] if f[0] != sym])

    def delta(self, sym: str, ts_ns: int, side: str, price: Decimal, change: Decimal) -> None:
        if ts_ns > self._clock:
            self._clock = ts_ns
        elif ts_ns < self._clock - HORIZON_NS:
            # A sid's time does not go back: what was remembered proves nothing.
            self._clear()
            self._clock = ts_ns
        if sym not in self._since:
            self._since[sym] = ts_ns
        if change >= ZERO:
            return
        fill = (sym, side, price, change)
        if self.waiting and self._takes(ts_ns, fill):
            return
        same_time = self._decreases.get(ts_ns)
        if same_time is None:
            self._decreases[ts_ns] = [fill]
        else:
            same_time.append(fill)
        self._kept += 1
        if same_time is None or self._kept > MOST:
            self._shrink()

    def _takes(self, ts_ns: int, fill: Fill) -> bool:
        """Whether a trade waited for this decrease."""
        trades = self._trades.get(ts_ns)
        if trades is None or fill not in trades:
            return False
        trades.remove(fill)
        self.waiting -= 1
        if not trades:
            del self._trades[ts_ns]
        return True

    def trade(
        self, sym: str, ts_ns: int, side: str, price: Decimal, size: Decimal, trade_id: str | None
    ) -> bool:
        """Whether the trade's delta has come; if not, it is waited for."""
        if trade_id is not None and self._has_seen(trade_id):
            return False
        fill = (sym, side, price, -size)
        decreases = self._decreases.get(ts_ns, [])
        if fill in decreases:
            decreases.remove(fill)
            self._kept -= 1
            return True
        since = self._since.get(sym)
        if since is not None and ts_ns > max(since, self._floor) and self.waiting < MOST:
            self._trades.setdefault(ts_ns, []).append(fill)
            self.waiting += 1
            self._clock = max(self._clock, ts_ns - TRADES_LEAD_NS)
        return False

    def overdue(self) -> Sequence[str]:
        """The markets whose trades waited in vain; they are waited for no longer."""
        late = [ts_ns for ts_ns in self._trades if ts_ns < self._clock - HORIZON_NS]
        found = dict.fromkeys(fill[0] for ts_ns in late for fill in self._trades[ts_ns])
        for ts_ns in late:
            self._keep_trades(ts_ns, [])
        return tuple(found)

    def _shrink(self) -> None:
        while self._decreases:
            oldest = next(iter(self._decreases))
            if oldest >= self._clock - HORIZON_NS and self._kept <= MOST:
                return
            self._kept -= len(self._decreases.pop(oldest))
            self._floor = max(self._floor, oldest)

    def _keep_trades(self, ts_ns: int, left: list[Fill]) -> None:
        self.waiting -= len(self._trades.pop(ts_ns)) - len(left)
        if left:
            self._trades[ts_ns] = left

    def _has_seen(self, trade_id: str) -> bool:
        """A second subscription brings each trade again, and its book's deltas on another sid."""
        if trade_id in self._seen:
            return True
        self._seen[trade_id] = None
        if len(self._seen) > MOST:
            del self._seen[next(iter(self._seen))]
        return False
