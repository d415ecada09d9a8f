"""Rate limits: so much at once, and then as fast as it grows back; the table never grows."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_archive import DAY, serving
from ssmd.errors import ConfigError
from ssmd.serve.answers import TooMany
from ssmd.serve.limits import CALLERS, Limits, place_of
from ssmd.serve.rate import Rate, rate_of

SAMPLE = f"/datasets/kalshi/{DAY}/sample"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_quota_is_used_up_and_grows_back() -> None:
    clock = Clock()
    limits = Limits(Rate(10, 60), clock)
    left = [limits.take("a", 1) for _ in range(10)]
    assert [one.remaining for one in left if one] == list(range(9, -1, -1))
    assert left[-1] is not None
    assert left[-1].reset_s == 60
    with pytest.raises(TooMany) as caught:
        limits.take("a", 1)
    assert caught.value.after_s == 6
    assert limits.take("b", 1)
    clock.now += 6
    assert limits.take("a", 1)
    with pytest.raises(TooMany):
        limits.take("a", 1)
    clock.now += 60
    assert [one.remaining for _ in range(2) if (one := limits.take("a", 5))] == [5, 0]


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 8)), max_size=200))
def test_never_more_than_the_quota_and_what_grew_back(asked: list[tuple[float, int]]) -> None:
    clock, rate = Clock(), Rate(20, 10)
    limits, taken = Limits(rate, clock), 0
    begun = clock.now
    for pause_s, cost in asked:
        clock.now += pause_s
        try:
            left = limits.take("a", cost)
        except TooMany as error:
            clock.now += error.after_s
            left = limits.take("a", cost)  # it may, after what it was told to wait
        assert left is not None
        assert 0 <= left.remaining < rate.quota
        assert 0 < left.reset_s <= rate.window_s
        taken += cost
        grown = (clock.now - begun) * rate.quota / rate.window_s
        assert taken <= rate.quota + grown + 1e-6


def test_a_cost_beyond_the_quota_is_the_whole_quota() -> None:
    limits = Limits(Rate(3, 1), Clock())
    assert limits.take("a", 100)
    with pytest.raises(TooMany):
        limits.take("a", 1)


def test_the_table_does_not_grow() -> None:
    limits = Limits(Rate(1, 3600))
    for number in range(CALLERS + 1000):
        limits.take(str(number), 1)
    assert len(limits) == CALLERS
    with pytest.raises(TooMany):
        limits.take(str(CALLERS + 999), 1)


@pytest.mark.parametrize(
    ("client", "place"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8:1:2:3::4", 5), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.1", 5), "192.0.2.1"),
        (("fe80::1%eth0", 5), "fe80::/64"),
        (("a name", 5), "nowhere"),
        (None, "nowhere"),
    ],
)
def test_where_from(client: tuple[str, int] | None, place: str) -> None:
    assert place_of(client) == place


@pytest.mark.parametrize("text", ["", "-1/s", "10", "10/day", "1e3/s", "0/s", "٣/s", "1/s ", "x"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ConfigError, match="is no rate limit"):
        rate_of(text)


def test_rates() -> None:
    assert [rate_of(text) for text in ("0", "5/s", "600/min", "7/h")] == [
        None, Rate(5, 1), Rate(600, 60), Rate(7, 3600)
    ]  # fmt: skip


async def test_answers_say_what_is_left(root: Path) -> None:
    async with serving(root, key="secret", rate=Rate(12, 3600)) as client:
        client.headers["X-API-Key"] = "secret"
        async with client.get(SAMPLE) as answer:
            assert answer.status == 200
            assert answer.headers["RateLimit-Policy"] == '"default";q=12;w=3600'
            assert answer.headers["RateLimit"] == '"default";r=11;t=300'
            assert answer.headers["RateLimit-Limit"] == "12"
            assert answer.headers["RateLimit-Remaining"] == "11"
            assert answer.headers["RateLimit-Reset"] == "300"
        async with client.get("/v1/trades") as answer:  # a query counts as several
            assert answer.headers["RateLimit-Remaining"] == "6"
        for _ in range(6):
            async with client.get("/datasets") as answer:
                assert answer.status == 200
        async with client.get("/datasets") as answer:
            assert answer.status == 429
            assert 0 < int(answer.headers["Retry-After"]) <= 300
            assert (await answer.json())["error"]["code"] == "too_many"
        for path in ("/health", "/metrics", "/openapi.json"):
            async with client.get(path) as answer:
                assert answer.status == 200


async def test_guessing_keys_is_limited_and_harms_no_one_else(root: Path) -> None:
    async with serving(root, key="secret", rate=Rate(30, 3600)) as client:
        codes = []
        for _ in range(5):
            async with client.get("/datasets", headers={"X-API-Key": "guess"}) as answer:
                codes.append(answer.status)
        assert codes == [401, 401, 401, 429, 429]
        async with client.get("/datasets", headers={"X-API-Key": "secret"}) as answer:
            assert answer.status == 200


async def test_without_a_key_this_machine_is_not_limited(root: Path) -> None:
    async with serving(root, rate=Rate(1, 3600)) as client:
        for _ in range(5):
            async with client.get("/builders") as answer:
                assert answer.status == 200
                assert "RateLimit" not in answer.headers


def test_rounding_is_never_to_zero_wait() -> None:
    clock = Clock()
    limits = Limits(Rate(1_000_000, 1), clock)
    assert limits.take("a", 1_000_000)
    with pytest.raises(TooMany) as caught:
        limits.take("a", 1)
    assert caught.value.after_s == math.ceil(1e-6)
