"""The simulated prediction markets, which lose nothing, give no fault; what is taken away is."""

from collections import Counter
from collections.abc import Sequence

import pytest

from ssmd import message as wire
from ssmd.exchanges import EXCHANGES
from ssmd.exchanges.base import Fault
from ssmd.sim.venues import VENUES
from ssmd.sim.venues.polymarket_listing import token
from ssmd.sim.world import World

NOW_NS = 1_786_401_938_000_000_000


def play(name: str, steps: int, leave_out: Sequence[int] = ()) -> tuple[Counter[str], list[Fault]]:
    """Subscribe all channels for ten markets and let things happen: verdicts and faults."""
    venue, exchange = VENUES[name], EXCHANGES[name]
    world = World(venue, seed=7, count=10, start_ns=NOW_NS, lifecycle_every=300)
    session, frames = venue.session(world, 1), list[bytes]()
    world.join(session, frames.extend)
    symbols = [world.at(index).sym for index in range(10)]
    if name == "polymarket":
        symbols = [token(index, side) for index in range(10) for side in (0, 1)]
    (plan,) = exchange.plan(exchange.channels, symbols)
    for number, wanted in enumerate(plan.subscriptions, 1):
        for command in exchange.subscribe(wanted, number):
            frames.extend(session.on_frame(command.frame))
    for _ in range(steps):
        world.step()
    checks, states, faults = exchange.continuity(), Counter[str](), list[Fault]()
    for number, frame in enumerate(frames):
        for element in wire.split_array(frame) or [frame]:
            header = exchange.classify(element)
            if number in leave_out or header.kind == "idle":
                continue
            verdict = checks.check(header, element)
            states[verdict.state] += 1
            faults += verdict.faults
    return states, faults


@pytest.mark.parametrize("name", ["kalshi", "polymarket"])
def test_a_simulated_market_gives_no_false_alarm(name: str) -> None:
    states, faults = play(name, 8000)
    assert faults == []
    assert states["verified"] > 6000


def test_a_frame_taken_from_kalshi_is_one_hole() -> None:
    _, faults = play("kalshi", 2000, leave_out=[1500])
    assert [fault.cause for fault in faults] == ["sequence"]
    assert faults[0].first_seq == faults[0].last_seq


def test_frames_taken_from_polymarket_show_at_the_top() -> None:
    _, faults = play("polymarket", 4000, leave_out=range(1500, 1530))
    assert {fault.cause for fault in faults} == {"top"}
    assert all(fault.books == (fault.sym,) for fault in faults)
