"""The simulated venues. A new one is a file here and a line in ``VENUES``."""

from ssmd.sim.venues.base import Venue

VENUES: dict[str, Venue] = {}
