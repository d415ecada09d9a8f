"""Polymarket: commands and headers."""

import json
from pathlib import Path

import pytest

from ssmd import message as wire
from ssmd.errors import ExchangeError
from ssmd.exchanges.base import Request, Subscription
from ssmd.exchanges.polymarket import POLYMARKET
from ssmd.message import Header, Message

MOST_NS = 9223372036854 * 10**6
"""The last whole millisecond that 64 bits hold."""
REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "polymarket"


def test_the_first_command_opens_the_channel_and_later_ones_add_to_it() -> None:
    wanted = Subscription("market", ("1", "2"))
    first, later = (POLYMARKET.subscribe(wanted, n)[0] for n in (1, 2))
    assert json.loads(first.frame)["type"] == "market"
    assert json.loads(later.frame)["operation"] == "subscribe"
    assert not first.acked
    assert not later.acked
    assert json.loads(POLYMARKET.unsubscribe(wanted, 3)[0].frame) == {
        "assets_ids": ["1", "2"],
        "operation": "unsubscribe",
    }


@pytest.mark.parametrize(
    "name", ["ws_last_trade.json", "ws_quotes.json", "ws_tick_size_change.json"]
)
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
def test_events_that_do_not_say_what_they_are_are_unknown(name: str) -> None:
    """Only books were ever seen without ``event_type``: these are an adapter's own examples."""
    frame = (REAL / "nautilus_rust" / name).read_bytes()
    header = POLYMARKET.classify(frame)
    assert (header.type, header.kind) == (wire.UNKNOWN, "idle")
    assert header.sym == json.loads(frame)["market"]
    message = Message(
        feed="p", conn="c", n=1, recv_ns=1, mono_ns=1, type=header.type, raw=wire.one_line(frame)
    )
    assert list(POLYMARKET.records(message)) == []
    assert POLYMARKET.continuity().check(header, frame).state == "unverified"


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"[]", Header("_empty", kind="idle")),
        (b"PONG", Header("_text", kind="idle")),
        (b"\xff", Header("_binary", kind="idle")),
        (b"7", Header("_unknown", kind="idle")),
        (b'{"asset_id":"1","bids":[],"market":"m"}', Header("book", "m")),
        (b'{"event_type":"book","market":5}', Header("book")),
        (b'{"event_type":"book","market":"m","timestamp":"x"}', Header("book", "m")),
        (b'{"event_type":"book","timestamp":9223372036855}', Header("book")),
        (
            b'{"event_type":"book","timestamp":"9223372036854"}',
            Header("book", ts_ns=9223372036854 * 10**6),
        ),
        (b'{"event_type":"book","timestamp":[1]}', Header("book")),
        (b'{"event_type":3,"market":"m"}', Header("_unknown", "m", kind="idle")),
    ],
)
def test_headers(frame: bytes, expected: Header) -> None:
    assert POLYMARKET.classify(frame) == expected


def test_no_hour_is_quiet_and_no_list_of_trades_exists() -> None:
    assert not POLYMARKET.quiet(0)
    assert POLYMARKET.trades_request("1", 0, 1) is None
    with pytest.raises(ExchangeError):
        POLYMARKET.trades_answer(Request("/x"), b"{}")
