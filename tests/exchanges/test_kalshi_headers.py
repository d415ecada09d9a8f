"""Kalshi: what classify reads off a frame, whatever it holds."""

import json

import pytest

from exchanges.kalshi_wire import FACTS, encode, of
from ssmd import message as wire
from ssmd.exchanges.kalshi import KALSHI
from ssmd.message import Header, Message

MOST = 2**63 - 1


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (of("trade", {"ts_ms": 10**16}), Header("trade", "A", None, 4, "3")),
        (of("trade", {"ts_ms": 10**16, "ts": 5}), Header("trade", "A", None, 4, "3")),
        (of("trade", {"ts": 10**12}), Header("trade", "A", None, 4, "3")),
        (of("trade", {"ts_ms": 1.5}), Header("trade", "A", None, 4, "3")),
        (
            of("trade", {"ts_ms": MOST // 10**6}),
            Header("trade", "A", MOST // 10**6 * 10**6, 4, "3"),
        ),
        (of("trade", {}, seq=2**63), Header("trade", "A", None, None, "3")),
        (of("trade", {}, seq=MOST), Header("trade", "A", None, MOST, "3")),
        (of("trade", {}, seq="4"), Header("trade", "A", None, None, "3")),
        (of("trade", {}, seq=True), Header("trade", "A", None, None, "3")),
        (of("trade", {}, sid=10**30), Header("trade", "A", None, 4, None)),
        (of("trade", {"market_ticker": 5}), Header("trade", None, None, 4, "3")),
        (
            encode({"type": "ok", "sid": 1, "seq": 2**70}),
            Header("ok", None, None, None, "1", "ack"),
        ),
        (encode({"type": "error", "msg": 5}), Header("error", kind="error")),
        (encode({"type": "strange", "msg": []}), Header("strange")),
        (encode({"type": 7}), Header("_unknown", kind="idle")),
        (b"[]", Header("_empty", kind="idle")),
        (b"17", Header("_unknown", kind="idle")),
        (b"heartbeat", Header("_text", kind="idle")),
        (b"\xff", Header("_binary", kind="idle")),
        (b'{"seq":' + b"9" * 5000 + b"}", None),
    ],
)
def test_a_header_holds_what_the_contract_can(frame: bytes, expected: Header | None) -> None:
    found = KALSHI.classify(frame)
    if expected is not None:
        assert found == expected
    facts = {"ts_ns": found.ts_ns or 0, "seq": found.seq or 0}
    line = wire.encode(Message(**FACTS, mono_ns=1, type=found.type, text="x", **facts))
    assert wire.decode(line).type == found.type


def test_a_frame_type_is_kept_although_its_fields_are_strange() -> None:
    frame = json.dumps({"type": "orderbook_delta", "sid": "1", "msg": "x"}).encode()
    assert KALSHI.classify(frame) == Header("orderbook_delta")
