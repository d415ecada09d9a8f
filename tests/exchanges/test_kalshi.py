"""Kalshi: the signed handshake, the commands, and answers and records in their own words."""

import base64
import json
from datetime import datetime
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from exchanges.kalshi_wire import REAL
from ssmd import message as wire
from ssmd.errors import ConfigError, KeyFault
from ssmd.exchanges.base import Answer, Subscription
from ssmd.exchanges.kalshi import KALSHI
from ssmd.message import Message, Trade

URL = "wss://example.test/trade-api/ws/v2?x=1"
SIGNED = b"1700000000000GET/trade-api/ws/v2"


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def signature(text: str) -> bytes:
    secrets = {"api_key": "id", "private_key": text}
    headers = KALSHI.handshake_headers(URL, secrets, 1_700_000_000_000)
    assert headers["KALSHI-ACCESS-KEY"] == "id"
    assert headers["KALSHI-ACCESS-TIMESTAMP"] == "1700000000000"
    return base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"])


def records(frame: dict[str, object]) -> list[wire.AnyRecord]:
    raw = json.dumps(frame).encode()
    header = KALSHI.classify(raw)
    facts = {"feed": "k", "conn": "c", "n": 1, "recv_ns": 1, "mono_ns": 1}
    return list(
        KALSHI.records(
            Message(**facts, type=header.type, sym=header.sym or "", raw=wire.one_line(raw))
        )
    )


def test_the_handshake_is_signed_with_rsa_pss() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    key.public_key().verify(signature(pem(key)), SIGNED, pss, hashes.SHA256())


def test_the_handshake_is_signed_with_ed25519() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    key.public_key().verify(signature(pem(key)), SIGNED)


@pytest.mark.parametrize("text", ["", "hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END"])
def test_a_malformed_key_is_refused_without_its_value(text: str) -> None:
    with pytest.raises(KeyFault) as fault:
        signature(text)
    assert "hunter2" not in str(fault.value)


def test_the_sense_of_no_prices_is_always_asked_for() -> None:
    (command,) = KALSHI.subscribe(Subscription("orderbook_delta", ("A", "B")), 7)
    assert json.loads(command.frame) == {
        "id": 7,
        "cmd": "subscribe",
        "params": {
            "channels": ["orderbook_delta"],
            "market_tickers": ["A", "B"],
            "use_yes_price": False,
        },
    }


@pytest.mark.parametrize(("code", "lost"), [(10, True), (25, True), (14, False)])
def test_errors_that_end_a_subscription_are_told_apart(code: int, lost: bool) -> None:
    body = {"id": 3, "type": "error", "msg": {"code": code, "msg": "no"}}
    (answer,) = KALSHI.answers(json.dumps(body).encode())
    assert (answer.outcome, answer.request_id, answer.lost) == ("error", 3, lost)


@pytest.mark.parametrize(
    ("taker", "side"),
    [
        ({"taker_side": "yes"}, "buy"),
        ({"taker_outcome_side": "no"}, "sell"),
        ({"taker_book_side": "bid", "taker_outcome_side": "no"}, "buy"),
        ({}, None),
    ],
)
def test_a_trade_is_the_takers(taker: dict[str, str], side: str | None) -> None:
    msg = {"market_ticker": "A", "yes_price_dollars": "0.6800", "count_fp": "46.02", **taker}
    (trade,) = records({"type": "trade", "sid": 2, "seq": 1, "msg": msg})
    assert isinstance(trade, Trade)
    assert (trade.side, str(trade.price), trade.size) == (side, "0.6800", Decimal("46.02"))


# --- the plan -------------------------------------------------------------------------------------


def test_without_symbols_a_channel_is_subscribed_for_all_markets() -> None:
    (plan,) = KALSHI.plan(["ticker", "trade", "market_lifecycle_v2"], [])
    assert [wanted.symbols for wanted in plan.subscriptions] == [(), (), ()]
    frames = [KALSHI.subscribe(wanted, 1)[0].frame for wanted in plan.subscriptions]
    params = [json.loads(frame)["params"] for frame in frames]
    assert [entry["channels"] for entry in params] == [
        ["ticker"],
        ["trade"],
        ["market_lifecycle_v2"],
    ]
    assert not any("market_tickers" in entry for entry in params)


def test_books_of_all_markets_cannot_be_had() -> None:
    with pytest.raises(ConfigError, match="orderbook_delta needs instruments") as fault:
        KALSHI.plan(["ticker", "orderbook_delta"], [])
    assert "leave orderbook_delta out" in (fault.value.hint or "")


def test_symbols_are_packed_and_the_whole_channel_comes_once() -> None:
    plans = KALSHI.plan(["market_lifecycle_v2", "trade"], ["A", "B", "C"], per_connection=2)
    assert [[(w.channel, w.symbols) for w in plan.subscriptions] for plan in plans] == [
        [("market_lifecycle_v2", ()), ("trade", ("A", "B"))],
        [("trade", ("C",))],
    ]


# --- commands within a sid ------------------------------------------------------------------------


@pytest.mark.parametrize("grp", [None, "4"])
def test_markets_leave_and_are_repaired_within_their_sid(grp: str | None) -> None:
    wanted = Subscription("orderbook_delta", ("A", "B"))
    left, repaired = KALSHI.unsubscribe(wanted, 8, grp), KALSHI.repair(wanted, 9, grp)
    if grp is None:
        assert left == repaired == []
        return
    tickers = ["A", "B"]
    assert json.loads(left[0].frame) == {
        "id": 8,
        "cmd": "update_subscription",
        "params": {"sids": [4], "market_tickers": tickers, "action": "delete_markets"},
    }
    assert json.loads(repaired[0].frame) == {
        "id": 9,
        "cmd": "update_subscription",
        "params": {"sid": 4, "market_tickers": tickers, "action": "get_snapshot"},
    }
    assert (left[0].acked, repaired[0].acked) == (True, False)
    (ended,) = KALSHI.unsubscribe(Subscription("trade"), 10, grp)
    assert json.loads(ended.frame)["params"] == {"sids": [4]}


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"id": 1, "type": "subscribed", "msg": {"channel": "trade", "sid": 5}},
            Answer("ok", 1, "trade", grp="5"),
        ),
        (
            {"id": 2, "sid": 5, "seq": 9, "type": "ok", "msg": {"market_tickers": ["A", "B"]}},
            Answer("ok", 2, grp="5"),
        ),
        ({"id": 3, "sid": 5, "seq": 10, "type": "unsubscribed"}, Answer("ok", 3, grp="5")),
        (
            {"id": 4, "type": "error", "msg": {"code": 14, "msg": "no", "market_ticker": "A"}},
            Answer("error", 4, symbols=("A",), message="14: no", fatal=True),
        ),
    ],
)
def test_answers_say_what_they_are_for(body: dict[str, object], expected: Answer) -> None:
    assert KALSHI.answers(json.dumps(body).encode()) == [expected]


@pytest.mark.parametrize("frame", [b"", b"[]", b'{"type":"ok","id":"x"}', b'{"type":"trade"}'])
def test_what_is_no_answer_says_nothing(frame: bytes) -> None:
    assert KALSHI.answers(frame) == []


# --- the pause ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("utc", "paused"),
    [
        ("2026-01-15T07:59:59", False),  # winter: New York is five hours behind
        ("2026-01-15T08:00:00", True),
        ("2026-01-15T09:59:59", True),
        ("2026-01-15T10:00:00", False),
        ("2026-07-16T06:59:59", False),  # summer: four
        ("2026-07-16T07:00:00", True),
        ("2026-07-16T08:59:59", True),
        ("2026-07-16T09:00:00", False),
        ("2026-01-14T08:30:00", False),
        ("2026-01-16T08:30:00", False),
        ("2026-03-12T07:30:00", True),  # the Thursday after the clocks went forward
        ("2026-11-05T08:30:00", True),  # and after they went back
    ],
)
def test_thursday_morning_in_new_york_is_quiet(utc: str, paused: bool) -> None:
    moment = datetime.fromisoformat(utc + "+00:00")
    assert KALSHI.quiet(int(moment.timestamp()) * 1_000_000_000) is paused


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
def test_the_pause_is_the_recorded_schedules() -> None:
    schedule = json.loads((REAL / "rest_golden/exchange_schedule.json").read_bytes())["schedule"]
    (hours,) = schedule["standard_hours"]
    assert hours.pop("thursday") == [
        {"close_time": "03:00", "open_time": "00:00"},
        {"close_time": "00:00", "open_time": "05:00"},
    ]
    days = [value for value in hours.values() if isinstance(value, list)]
    assert days == [[{"close_time": "00:00", "open_time": "00:00"}]] * 6
