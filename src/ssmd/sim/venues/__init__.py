"""The simulated venues. A new one is a file here and a line in ``VENUES``."""

from ssmd.errors import NotFound
from ssmd.sim.venues.base import Venue
from ssmd.sim.venues.kalshi import KALSHI
from ssmd.sim.venues.kraken import KRAKEN
from ssmd.sim.venues.kraken_futures import KRAKEN_FUTURES
from ssmd.sim.venues.polymarket import POLYMARKET

VENUES: dict[str, Venue] = {
    venue.name: venue for venue in (KALSHI, POLYMARKET, KRAKEN, KRAKEN_FUTURES)
}


def venue(name: str) -> Venue:
    """The venue of that name; raises NotFound."""
    try:
        return VENUES[name]
    except KeyError:
        raise NotFound(f"unknown exchange {name!r}", hint=f"one of: {', '.join(VENUES)}") from None
