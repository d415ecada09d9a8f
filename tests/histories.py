"""Made-up histories: what a simulated exchange sends on one connection, and as an archive."""

from pathlib import Path

from archives import Capture, archive
from ssmd.exchanges import EXCHANGES
from ssmd.sim.venues import VENUES
from ssmd.sim.venues.polymarket_listing import token
from ssmd.sim.world import World

NOW_NS = 1_728_000_000_000_000_000


def frames(exchange: str, *, seed: int, steps: int, markets: int = 5) -> list[bytes]:
    """All channels of some markets, from the subscription on."""
    venue, known = VENUES[exchange], EXCHANGES[exchange]
    world = World(venue, seed=seed, count=markets, start_ns=NOW_NS, lifecycle_every=100)
    session, sent = venue.session(world, 1), list[bytes]()
    world.join(session, sent.extend)
    symbols = [world.at(index).sym for index in range(markets)]
    if exchange == "polymarket":
        symbols = [token(index, side) for index in range(markets) for side in (0, 1)]
    for plan in known.plan(known.channels, symbols):
        for number, wanted in enumerate(plan.subscriptions, 1):
            for command in known.subscribe(wanted, number):
                sent.extend(session.on_frame(command.frame))
    for _ in range(steps):
        world.step()
    return sent


def archived(
    root: Path, exchange: str, *, seed: int = 1, steps: int = 200, segments: int = 3
) -> Path:
    """One closed day of it; its folder."""
    lines = Capture(exchange).session(frames(exchange, seed=seed, steps=steps))
    return archive(root, lines, exchange, segments=segments)
