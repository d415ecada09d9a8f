"""Shards: each instrument is exactly one's, at every start."""

import pytest

from ssmd.connect.shard import Shard, parse
from ssmd.errors import ConfigError


@pytest.mark.parametrize("count", [1, 2, 8])
def test_each_instrument_is_exactly_one_shards(count: int) -> None:
    shards = [Shard(index, count) for index in range(1, count + 1)]
    symbols = [f"KX-{n}" for n in range(1000)] + ["BTC/USD", "", "\ud800"]
    assert all(sum(shard.has(sym) for shard in shards) == 1 for sym in symbols)
    held = [sum(shard.has(sym) for sym in symbols) for shard in shards]
    assert min(held) > 0.5 * max(held)


def test_the_division_is_fixed() -> None:
    """An instrument that changed its shard with a release would be captured twice, or not."""
    assert [next(i for i in range(1, 9) if Shard(i, 8).has(s)) for s in ("BTC/USD", "ETH/USD")] == [
        4,
        5,
    ]


def test_a_shard_is_written_as_part_of_whole() -> None:
    assert parse("2/8") == Shard(2, 8)
    assert str(Shard(2, 8)) == "2/8"


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "2", "2/", "/2", "a/b", "1/2/3", "٢/٣", "-1/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no shard"):
        parse(text)
