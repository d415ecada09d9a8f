"""Packing channels and symbols into connections."""

from collections.abc import Sequence

from ssmd.exchanges.base import Plan, Subscription


def pack(
    per_symbol: Sequence[str],
    whole: Sequence[str],
    symbols: Sequence[str],
    limit: int,
    *,
    depth: int | None = None,
) -> list[Plan]:
    """As few connections as hold at most ``limit`` symbols each, in the symbols' own order.

    ``per_symbol`` channels are subscribed for the connection's symbols; ``whole`` channels, which
    take no symbols, once, on the first connection.
    """
    plans = []
    for first in range(0, max(len(symbols), 1), limit):
        some = tuple(symbols[first : first + limit])
        subscriptions = [Subscription(channel) for channel in whole] if first == 0 else []
        if some:
            subscriptions += [
                Subscription(channel, some, depth if channel == "book" else None)
                for channel in per_symbol
            ]
        if subscriptions:
            plans.append(Plan(tuple(subscriptions)))
    return plans
