"""One connection to the simulated Kalshi: commands, subscriptions, sequence numbers."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from ssmd.exchanges import kalshi_commands as commands
from ssmd.exchanges.kalshi_commands import LIFECYCLE, MARKET_CHANNELS, Params, Refusal, with_id
from ssmd.sim.market import Change, Life, Market, Trade
from ssmd.sim.venues import kalshi_frames as frames
from ssmd.sim.world import World

MOST_MARKETS: Final = 500_000
"""Market subscriptions of one session (changelog of 2026-06-18)."""
_CHANNEL_OF: Final = {"orderbook_snapshot": "orderbook_delta", "event_lifecycle": LIFECYCLE}


class _Recorded(msgspec.Struct):
    type: str = ""
    sid: int | None = None


_recorded = msgspec.json.Decoder(_Recorded).decode


class Subscription:
    """A sid: one channel, its markets, and the number space that they share."""

    __slots__ = ("channel", "markets", "seq", "sid", "yes_price")

    def __init__(self, sid: int, channel: str, yes_price: bool) -> None:
        self.sid = sid
        self.channel = channel
        self.yes_price = yes_price
        self.seq = 0
        self.markets: dict[int, Market] | None = {}
        """By number; None means all."""

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq


class KalshiSession:
    def __init__(self, world: World) -> None:
        self._world = world
        self._subscriptions: dict[int, Subscription] = {}
        self._sids = 0
        self._recorded: dict[str, int] = {}
        self._of: dict[int, list[Subscription]] = {}
        """By market number, what wants to hear of it by name."""
        self._wide: list[Subscription] = []
        """What wants to hear of every market."""
        self._lifecycle: list[Subscription] = []

    # --- commands -------------------------------------------------------------------------------

    def greet(self) -> Iterable[bytes]:
        return ()

    def on_frame(self, frame: bytes) -> Iterator[bytes]:
        """The answers to a command, snapshots included, made as they are taken."""
        return self._obey(frame, data=True)

    def acks(self, frame: bytes) -> Iterator[bytes]:
        return self._obey(frame, data=False)

    def rehearse(self, recorded: Sequence[bytes]) -> None:
        """Acks shall name the sids under which the recorded messages of a channel stand."""
        for frame in recorded:
            head = _recorded(frame)
            channel = _CHANNEL_OF.get(head.type, head.type)
            if head.sid is not None and channel in commands.CHANNELS:
                self._recorded.setdefault(channel, head.sid)
        self._sids = max(self._recorded.values(), default=0)

    def _obey(self, frame: bytes, *, data: bool) -> Iterator[bytes]:
        request = 0
        try:
            command = commands.command(frame)
            given = command.get("id")
            request = given if type(given) is int else 0
            yield from self._dispatch(command, request, data)
        except Refusal as refusal:
            yield refusal.frame(request)

    def _dispatch(self, command: Params, request: int, data: bool) -> Iterator[bytes]:
        name = command.get("cmd")
        if name == "list_subscriptions":
            listed = [{"channel": s.channel, "sid": s.sid} for s in self._subscriptions.values()]
            yield frames.encode(with_id({"type": "ok", "msg": listed}, request))
            return
        if name not in ("subscribe", "unsubscribe", "update_subscription"):
            raise Refusal(5)
        params = command.get("params")
        if not isinstance(params, dict):
            raise Refusal(2)
        if name == "subscribe":
            yield from self._subscribe(params, request, data)
        elif name == "unsubscribe":
            yield from self._unsubscribe(params, request)
        else:
            yield from self._update(params, request, data)

    def _subscribe(self, params: Params, request: int, data: bool) -> Iterator[bytes]:
        channels, tickers = commands.channels(params), commands.tickers(params)
        if "orderbook_delta" in channels and not tickers:
            raise Refusal(14)
        # What plays beside a recording names markets that are none of ours.
        markets = self._find(tickers) if data else []
        wanted = len(markets) * sum(channel in MARKET_CHANNELS for channel in channels)
        if wanted + sum(map(len, self._of.values())) > MOST_MARKETS:
            raise Refusal(26)
        for channel in channels:
            added = Subscription(self._sid(channel), channel, params.get("use_yes_price") is True)
            self._subscriptions[added.sid] = added
            msg = {"channel": channel, "sid": added.sid}
            yield frames.encode(with_id({"type": "subscribed", "msg": msg}, request))
            if data:
                self._start(added, markets)
                initial = params.get("send_initial_snapshot") is True
                if channel == "orderbook_delta" or (channel == "ticker" and initial):
                    yield from self._snapshots(added, markets)

    def _sid(self, channel: str) -> int:
        """The sid that a recording uses for the channel, else one that nothing uses."""
        sid = self._recorded.pop(channel, None)
        if sid is None:
            self._sids += 1
            sid = self._sids
        return sid

    def _start(self, added: Subscription, markets: Sequence[Market]) -> None:
        if added.channel == LIFECYCLE:
            added.markets = None
            self._lifecycle.append(added)
        elif added.channel in MARKET_CHANNELS and not markets:
            added.markets = None
            self._wide.append(added)
            self._world.watch_all(self)
        elif added.channel in MARKET_CHANNELS:
            self._add(added, markets)

    def _unsubscribe(self, params: Params, request: int) -> Iterator[bytes]:
        for sid in commands.sids(params):
            if sid not in self._subscriptions:
                raise Refusal(7, sid=sid)
        for sid in commands.sids(params):
            ended = self.end(sid)
            if ended is not None:
                seq = ended.next_seq()
                yield frames.encode(
                    with_id({"sid": sid, "seq": seq, "type": "unsubscribed"}, request)
                )

    def end(self, sid: int) -> Subscription | None:
        """End a subscription without a word; None where there is none such."""
        ended = self._subscriptions.pop(sid, None)
        if ended is not None:
            self._drop(ended, list((ended.markets or {}).values()))
            for group in (self._wide, self._lifecycle):
                if ended in group:
                    group.remove(ended)
        return ended

    def _update(self, params: Params, request: int, data: bool) -> Iterator[bytes]:
        sids = commands.sids(params)
        if len(sids) != 1:
            raise Refusal(12)
        sub = self._subscriptions.get(sids[0])
        if sub is None:
            raise Refusal(7, sid=sids[0])
        action = params.get("action")
        if not action:
            raise Refusal(15)
        tickers = commands.tickers(params)
        if action not in ("add_markets", "delete_markets", "get_snapshot"):
            raise Refusal(13, sid=sub.sid)
        if not tickers:
            raise Refusal(14, sid=sub.sid)
        markets = self._find(tickers) if data else []
        if action == "get_snapshot":
            if sub.channel != "orderbook_delta":
                raise Refusal(13, sid=sub.sid)
            yield from self._snapshots(sub, markets, request)
            return
        fresh = [m for m in markets if sub.markets is not None and m.index not in sub.markets]
        if action == "add_markets":
            if len(fresh) + sum(map(len, self._of.values())) > MOST_MARKETS:
                raise Refusal(26, sid=sub.sid)
            self._add(sub, fresh)
        else:
            self._drop(sub, markets)
        listed = [market.sym for market in (sub.markets or {}).values()] if data else tickers
        body = with_id({"sid": sub.sid}, request)
        if sub.channel != "ticker":
            body["seq"] = sub.next_seq()
        yield frames.encode({**body, "type": "ok", "msg": {"market_tickers": listed}})
        if action == "add_markets" and sub.channel == "orderbook_delta":
            yield from self._snapshots(sub, fresh)

    def _find(self, tickers: Sequence[str]) -> list[Market]:
        found = {name: self._world.market(name) for name in tickers}
        unknown = [name for name, market in found.items() if market is None]
        if unknown:
            raise Refusal(11, market_tickers=unknown)
        return [market for market in found.values() if market is not None]

    def _add(self, sub: Subscription, markets: Sequence[Market]) -> None:
        for market in markets:
            if sub.markets is not None:
                sub.markets[market.index] = market
            self._of.setdefault(market.index, []).append(sub)
            self._world.watch(self, market)

    def _drop(self, sub: Subscription, markets: Sequence[Market]) -> None:
        for market in markets:
            if sub.markets is None or sub.markets.pop(market.index, None) is None:
                continue
            left = self._of[market.index]
            left.remove(sub)
            if not left:
                del self._of[market.index]
                if not self._wide:
                    self._world.unwatch(self, market)

    def _snapshots(
        self, sub: Subscription, markets: Sequence[Market], request: int = 0
    ) -> Iterator[bytes]:
        for market in markets:
            facts = frames.facts(market, self._world.seed)
            if sub.channel == "ticker":
                yield frames.ticker(market, facts, sub.sid, self._world.now_ns())
            else:
                seq = sub.next_seq()
                yield frames.snapshot(market, facts.names, sub.sid, seq, sub.yes_price, request)

    # --- events ---------------------------------------------------------------------------------

    def on_change(self, change: Change) -> Sequence[bytes]:
        market = change.market
        facts = frames.facts(market, self._world.seed)
        sent = []
        moved = _moves_top(change)
        for sub in self._of.get(market.index, ()):
            if sub.channel == "orderbook_delta":
                sent.append(
                    frames.delta(change, facts.names, sub.sid, sub.next_seq(), sub.yes_price)
                )
            elif moved and sub.channel == "ticker":
                sent.append(frames.ticker(market, facts, sub.sid, change.ts_ns))
        if moved and self._wide:
            sent += [
                frames.ticker(market, facts, sub.sid, change.ts_ns)
                for sub in self._wide
                if sub.channel == "ticker"
            ]
        return sent

    def on_trade(self, trade: Trade) -> Sequence[bytes]:
        """The delta, then the trade, as recorded: equal and opposite, at the same ``ts_ms``."""
        market, change = trade.market, trade.change
        facts = frames.facts(market, self._world.seed)
        subs = (*self._of.get(market.index, ()), *self._wide)
        sent = [
            frames.delta(change, facts.names, sub.sid, sub.next_seq(), sub.yes_price)
            for sub in subs
            if sub.channel == "orderbook_delta"
        ]
        for sub in subs:
            if sub.channel == "trade":
                sent.append(frames.trade(trade, sub.sid, sub.next_seq()))
            elif sub.channel == "ticker":
                sent.append(frames.ticker(market, facts, sub.sid, trade.ts_ns))
        return sent

    def on_life(self, life: Life) -> Sequence[bytes]:
        sent: list[bytes] = []
        for sub in self._lifecycle:
            began_s = self._world.began_ns // 1_000_000_000
            made = frames.lifecycle(life, sub.sid, sub.seq + 1, began_s)
            sub.seq += len(made)
            sent += made
        if life.status == "created" and self._wide:
            self._world.watch(self, life.market)
        return sent

    def on_tick(self) -> Sequence[bytes]:
        return ()


def _moves_top(change: Change) -> bool:
    book = change.market.book
    if change.side == "bid":
        return book.best_bid is None or change.price >= book.best_bid
    return book.best_ask is None or change.price <= book.best_ask
