"""Kalshi: the signed handshake, the commands, and answers and records in their own words."""

import base64
import json
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from ssmd import message as wire
from ssmd.errors import KeyFault
from ssmd.exchanges.base import Subscription
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


def test_a_hole_in_a_sid_is_broken_and_names_its_stretch() -> None:
    checks = KALSHI.continuity()
    frames = [
        b'{"type":"trade","sid":1,"seq":%d,"msg":{"market_ticker":"A"}}' % n for n in (5, 6, 9)
    ]
    found = [checks.check(KALSHI.classify(frame), frame) for frame in frames]
    assert [verdict.state for verdict in found] == ["unverified", "verified", "broken"]
    assert (found[2].faults[0].first_seq, found[2].faults[0].last_seq, found[2].faults[0].grp) == (
        7,
        8,
        "1",
    )
