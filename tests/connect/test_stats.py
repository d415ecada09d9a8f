"""What a feed counts stays bounded, whatever an exchange sends."""

from connect.harness import Capturing
from connect.venue import Peer, venue
from ssmd.connect.stats import LONGEST_TYPE, MOST_TYPES, OTHER_TYPE, Stats


def test_types_are_counted_one_by_one_up_to_a_number() -> None:
    stats = Stats()
    for round_ in range(3):
        for number in range(MOST_TYPES + 50):
            stats.count_type(f"type{number}")
        assert stats.by_type["type0"] == stats.by_type[f"type{MOST_TYPES - 1}"] == round_ + 1
    assert len(stats.by_type) == MOST_TYPES + 1
    assert stats.by_type[OTHER_TYPE] == 3 * 50


def test_a_type_that_is_too_long_to_show_is_counted_with_the_others() -> None:
    stats = Stats()
    stats.count_type("a" * LONGEST_TYPE)
    stats.count_type("b" * (LONGEST_TYPE + 1))
    assert stats.by_type == {"a" * LONGEST_TYPE: 1, OTHER_TYPE: 1}


def test_our_own_types_are_always_told() -> None:
    stats = Stats()
    for number in range(2 * MOST_TYPES):
        stats.count_type(f"type{number}")
    stats.count_type("_gap", own=True)
    assert stats.by_type["_gap"] == 1


async def test_an_exchange_that_makes_up_types_fills_no_metrics(capturing: Capturing) -> None:
    count = 3 * MOST_TYPES

    async def inventive(peer: Peer) -> None:
        await peer.upgrade()
        for number in range(count):
            await peer.send(b'{"channel":"type%d%b","data":[]}' % (number, b"x" * (number % 90)))
        await peer.gone()

    async with venue(inventive) as server, capturing(server.url) as captured:
        frames = await captured.framed(count)
        types = captured.status()["types"]
    assert len(frames) == count
    own = {"_connect", "_subscribe", "_clock", "_gap", "_gap_closed", "_ack", "_book", OTHER_TYPE}
    assert len(types.keys() - own) == MOST_TYPES
    assert max(map(len, types)) <= LONGEST_TYPE
    assert sum(count for type_, count in types.items() if type_ not in own - {OTHER_TYPE}) == count
