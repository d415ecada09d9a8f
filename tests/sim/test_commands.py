"""Whatever a client says, a session answers in frames of its protocol, and never breaks."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.wire import SYMBOLS
from ssmd.exchanges import EXCHANGES
from ssmd.sim.venues import VENUES
from ssmd.sim.world import World

WORDS = st.sampled_from(
    ["cmd", "params", "id", "channels", "market_tickers", "market_ticker", "sids", "sid", "action",
     "method", "channel", "symbol", "depth", "snapshot", "req_id", "event", "feed", "product_ids",
     "assets_ids", "operation", "custom_feature_enabled", "subscribe", "unsubscribe", "ping",
     "book", "trade", "ticker", "instrument", "heartbeat", "update_subscription",
     "list_subscriptions",
     "orderbook_delta", "market_lifecycle_v2", "add_markets", "delete_markets", "get_snapshot",
     *(symbol for symbols in SYMBOLS.values() for symbol in symbols)]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS
VALUES = SCALARS | st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)


def world_of(name: str) -> tuple[World, Any]:
    world = World(VENUES[name], seed=1, count=4, start_ns=1)
    session = VENUES[name].session(world, 1)
    world.join(session, lambda frames: None)
    return world, session


def obeyed(name: str, command: bytes) -> None:
    _, session = world_of(name)
    for frame in [*session.greet(), *session.on_frame(command), *session.acks(command)]:
        assert EXCHANGES[name].classify(frame)
    VENUES[name].command(command)


@pytest.mark.parametrize("name", VENUES)
@settings(max_examples=300)
@given(command=st.binary(max_size=200))
def test_any_bytes(name: str, command: bytes) -> None:
    obeyed(name, command)


@pytest.mark.parametrize("name", VENUES)
@settings(max_examples=300)
@given(command=VALUES)
def test_any_json(name: str, command: Any) -> None:
    obeyed(name, json.dumps(command).encode())


@pytest.mark.parametrize("name", VENUES)
@settings(max_examples=300)
@given(data=st.data())
def test_commands_with_one_thing_wrong(name: str, data: st.DataObject) -> None:
    """A real command, in which one value is another."""
    exchange = EXCHANGES[name]
    channel = data.draw(st.sampled_from(exchange.channels))
    (plan,) = exchange.plan([channel], SYMBOLS[name])
    (command, *_) = exchange.subscribe(plan.subscriptions[0], 1)
    said = json.loads(command.frame)
    inner = said["params"] if "params" in said and data.draw(st.booleans()) else said
    inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(VALUES)
    obeyed(name, json.dumps(said).encode())


@pytest.mark.parametrize("name", VENUES)
@settings(max_examples=300)
@given(
    path=st.sampled_from(["/markets", "/markets/trades", "/markets/x/orderbook", "/events", "/book",
                          "/markets/keyset", "/Depth", "/Trades", "/AssetPairs", "/Ticker",
                          "/orderbook", "/history", "/instruments", "/tickers", "/"]),
    query=st.dictionaries(
        st.sampled_from(["limit", "cursor", "after_cursor", "status", "tickers", "token_id", "pair",
                         "count", "since", "symbol", "lastTime", "depth", "min_ts", "max_ts"]),
        st.text(max_size=30) | st.integers().map(str) | WORDS, max_size=4,
    ),
)  # fmt: skip
def test_any_query(name: str, path: str, query: dict[str, str]) -> None:
    world, _ = world_of(name)
    reply = VENUES[name].rest(world, VENUES[name].rest_path + path, query)
    assert 200 <= reply.status < 500
    json.loads(reply.body)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("kraken", b'{"method":"subscribe","params":{"channel":"book","symbol":5}}'),
        ("kraken", b'{"method":"subscribe","params":{"channel":"book","symbol":[5]}}'),
        ("kraken_futures", b'{"event":"subscribe","feed":"book","product_ids":5}'),
        ("polymarket", '{"assets_ids":["\u00b2"]}'.encode()),
        ("polymarket", b'{"assets_ids":["%b"]}' % (b"9" * 5000)),
        ("polymarket", b"[" * 100_000),
        ("kraken", b"[" * 100_000),
        ("kraken_futures", b"[" * 100_000),
    ],
)  # fmt: skip
def test_commands_that_are_hard_to_read(name: str, command: bytes) -> None:
    obeyed(name, command)
