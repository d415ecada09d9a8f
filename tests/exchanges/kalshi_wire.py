"""Kalshi frames, as short as tests need them."""

import json
from pathlib import Path
from typing import Any

from ssmd.exchanges.base import Verdict
from ssmd.exchanges.kalshi import KALSHI
from ssmd.exchanges.kalshi_continuity import KalshiContinuity

REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "kalshi"
RECORDINGS = (
    "zkiihne_KXGOLD15M-26AUG101900-00_full.jsonl",
    "zkiihne_KXGOLD15M-26AUG102030-30_first9000_resync.jsonl",
)
T0 = 1_786_401_938_000
"""Milliseconds."""
FACTS: dict[str, Any] = {"feed": "k", "recv_ns": 1, "conn": "c", "n": 7}
"""Of a message and its records."""


def encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def of(kind: str, msg: dict[str, Any], **more: Any) -> bytes:
    return encode({"type": kind, "sid": 3, "seq": 4, "msg": {"market_ticker": "A", **msg}, **more})


def subscribed(sid: int, channel: str = "orderbook_delta") -> bytes:
    return encode({"type": "subscribed", "id": sid, "msg": {"channel": channel, "sid": sid}})


def snapshot(seq: int, yes: str = "", no: str = "", sym: str = "A", sid: int = 1) -> bytes:
    """Sides are written as ``price:size price:size``; an empty one is absent, as sent."""
    msg: dict[str, Any] = {"market_ticker": sym, "market_id": "x"}
    for name, text in (("yes_dollars_fp", yes), ("no_dollars_fp", no)):
        if text:
            msg[name] = [level.split(":") for level in text.split()]
    return encode({"type": "orderbook_snapshot", "sid": sid, "seq": seq, "msg": msg})


def delta(
    seq: int,
    side: str,
    price: str,
    change: str,
    sym: str = "A",
    sid: int = 1,
    ms: int | None = None,
) -> bytes:
    msg = {"market_ticker": sym, "price_dollars": price, "delta_fp": change, "side": side}
    stamp = {} if ms is None else {"ts_ms": T0 + ms}
    return encode({"type": "orderbook_delta", "sid": sid, "seq": seq, "msg": msg | stamp})


def trade(
    seq: int, taker: str, price: str, size: str, ms: int = 0, sym: str = "A", **more: Any
) -> bytes:
    """``price`` is the YES price."""
    msg = {"market_ticker": sym, "yes_price_dollars": price, "count_fp": size, "ts_ms": T0 + ms}
    msg |= {"taker_outcome_side": taker} | more
    return encode({"type": "trade", "sid": 2, "seq": seq, "msg": msg})


def feed(checks: KalshiContinuity, *frames: bytes) -> list[Verdict]:
    return [checks.check(KALSHI.classify(frame), frame) for frame in frames]


def causes(verdict: Verdict) -> list[str]:
    return [fault.cause for fault in verdict.faults]
