"""The exchanges ssmd speaks. A new one is a file here and a line in ``EXCHANGES``."""

from ssmd.errors import NotFound
from ssmd.exchanges.base import Exchange
from ssmd.exchanges.kalshi import KALSHI
from ssmd.exchanges.kraken import KRAKEN
from ssmd.exchanges.kraken_futures import KRAKEN_FUTURES
from ssmd.exchanges.polymarket import POLYMARKET

EXCHANGES: dict[str, Exchange] = {
    exchange.name: exchange for exchange in (KALSHI, POLYMARKET, KRAKEN, KRAKEN_FUTURES)
}


def exchange(name: str) -> Exchange:
    """The exchange of that name; raises NotFound."""
    try:
        return EXCHANGES[name]
    except KeyError:
        raise NotFound(
            f"unknown exchange {name!r}", hint=f"one of: {', '.join(EXCHANGES)}"
        ) from None
