"""Polymarket: the top of each book against the claims, and hashes."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ssmd import message as wire
from ssmd.exchanges.base import Fault, Verdict
from ssmd.exchanges.polymarket import POLYMARKET
from ssmd.exchanges.polymarket_continuity import PolymarketContinuity
from ssmd.exchanges.polymarket_hash import book_hash

REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "polymarket"
needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
REFERENCE = "nslaughter_noreplay_reference_20261004.jsonl"
STATIC = {"min_order_size": "5", "neg_risk": True, "tick_size": "0.01", "last_trade_price": "0.5"}


def book(asset: str = "1", market: str = "0xm", **more: Any) -> dict[str, Any]:
    return {
        "event_type": "book",
        "market": market,
        "asset_id": asset,
        "timestamp": "1700000000000",
        "bids": [{"price": "0.48", "size": "5"}, {"price": "0.49", "size": "5"}],
        "asks": [{"price": "0.52", "size": "5"}],
        **more,
    }


def entry(
    price: str, size: str, best_bid: str | None, asset: str = "1", side: str = "BUY", **more: Any
) -> dict[str, Any]:
    claims = {"best_bid": best_bid, "best_ask": "0.52"} if best_bid else {}
    return {"asset_id": asset, "price": price, "size": size, "side": side, **claims, **more}


def change(*entries: dict[str, Any], ms: int | None = None) -> dict[str, Any]:
    stamp = {} if ms is None else {"timestamp": str(1700000000000 + ms)}
    body = {"event_type": "price_change", "market": "0xm", "price_changes": list(entries)}
    return body | stamp


def feed(checks: PolymarketContinuity, *events: dict[str, Any]) -> list[Verdict]:
    frames = [json.dumps(event).encode() for event in events]
    return [checks.check(POLYMARKET.classify(frame), frame) for frame in frames]


def top(asset: str) -> Fault:
    return Fault("top", asset, books=(asset,))


@pytest.fixture
def checks() -> PolymarketContinuity:
    return PolymarketContinuity()


# --- what no right book has -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        (entry("0.52", "3", None), "crossed"),
        (entry("0.60", "3", "0.60"), "crossed"),
        (entry("0.40", "-3", None), "negative"),
    ],
)
def test_a_change_that_cannot_be_breaks_its_book(
    checks: PolymarketContinuity, last: dict[str, Any], cause: str
) -> None:
    _, wrong, after = feed(checks, book(), change(last), change(entry("0.40", "3", None)))
    assert wrong.faults == (Fault(cause, "1", books=("1",)),)
    assert after == Verdict("unverified", touched=("1",))


@pytest.mark.parametrize(
    ("bids", "cause"),
    [([{"price": "0.52", "size": "1"}], "crossed"), ([{"price": "0.1", "size": "-1"}], "negative")],
)
def test_a_snapshot_that_cannot_be_begins_no_book(
    checks: PolymarketContinuity, bids: list[dict[str, str]], cause: str
) -> None:
    (verdict,) = feed(checks, book(bids=bids))
    assert verdict.faults == (Fault(cause, "1", books=("1",)),)
    assert verdict.synced == ()
    assert checks.top("1") is None


# --- tops -----------------------------------------------------------------------------------------


def test_the_own_top_is_held_against_the_claimed_one(checks: PolymarketContinuity) -> None:
    unknown, opening, right, wrong, after = feed(
        checks,
        change(entry("0.50", "3", "0.50")),
        book(),
        change(entry("0.50", "3", "0.50")),
        change(entry("0.50", "0", "0.48")),
        change(entry("0.50", "3", "0.50")),
    )
    assert unknown == Verdict("unverified", touched=("1",))
    assert opening == Verdict("unverified", synced=("1",), touched=("1",))
    assert right == Verdict("verified", touched=("1",))
    assert wrong == Verdict("broken", (top("1"),), touched=("1",))
    assert after.state == "unverified"


def test_every_broken_asset_of_a_message_is_named(checks: PolymarketContinuity) -> None:
    found = feed(
        checks,
        *(book(asset) for asset in "123"),
        change(*(entry("0.50", "3", {"2": "0.50"}.get(asset, "0.51"), asset) for asset in "123")),
        change(*(entry("0.51", "3", "0.51", asset) for asset in "123")),
    )
    assert found[3] == Verdict("broken", (top("1"), top("3")), touched=("1", "2", "3"))
    # The one that was right goes on; of the others there is no book.
    assert found[4] == Verdict("unverified", touched=("1", "2", "3"))
    (alone,) = feed(checks, change(entry("0.50", "0", "0.51", "2")))
    assert alone.state == "verified"


def test_a_message_is_verified_only_when_all_of_it_is(checks: PolymarketContinuity) -> None:
    found = feed(
        checks,
        book("1"),
        change(entry("0.50", "3", "0.50"), entry("0.50", "3", "0.50", "2")),
        change(entry("0.50", "4", "0.50"), entry("0.40", "3", None)),
        change(),
    )
    assert [verdict.state for verdict in found[1:]] == ["unverified"] * 3


def test_a_claim_is_of_the_top_after_all_entries_of_a_change(checks: PolymarketContinuity) -> None:
    """As recorded: two levels taken in two frames, each claiming the top after both."""
    first, second, later = feed(
        checks,
        book(),
        change(entry("0.49", "0", "0.47", hash="h1"), ms=1),
        change(entry("0.48", "0", "0.47", hash="h1"), entry("0.47", "1", "0.47", hash="h1"), ms=1),
        change(entry("0.46", "1", "0.47", hash="h2"), ms=1),
    )[1:]
    assert [first.state, second.state, later.state] == ["unverified", "unverified", "verified"]


@pytest.mark.parametrize(("ms", "text"), [(2, "h1"), (1, "h2")])
def test_a_claim_that_stays_wrong_is_broken_with_the_next_change(
    checks: PolymarketContinuity, ms: int, text: str
) -> None:
    held, wrong = feed(
        checks,
        book(),
        change(entry("0.49", "0", "0.47", hash="h1"), ms=1),
        change(entry("0.30", "1", "0.48", hash=text), ms=ms),
    )[1:]
    assert (held.state, wrong.faults) == ("unverified", (top("1"),))


@pytest.mark.parametrize(
    ("bids", "asks", "best_bid", "best_ask", "state"),
    [
        ([], [], "0", "1", "verified"),
        ([], [], "0", "0", "verified"),
        ([], [], "0.5", "1", "broken"),
        ([["0.5", "1"]], [], "0.5", "1", "verified"),
        ([["0.5", "1"]], [], "0.5", "0.6", "broken"),
    ],
)
def test_an_empty_side_is_claimed_as_0_or_1(
    checks: PolymarketContinuity,
    bids: list[list[str]],
    asks: list[list[str]],
    best_bid: str,
    best_ask: str,
    state: str,
) -> None:
    def side(levels: list[list[str]]) -> list[dict[str, str]]:
        return [{"price": price, "size": size} for price, size in levels]

    feed(checks, book(bids=side(bids), asks=side(asks)))
    nothing = {"asset_id": "1", "price": "0.1", "size": "0", "side": "BUY"}
    (found,) = feed(checks, change({**nothing, "best_bid": best_bid, "best_ask": best_ask}))
    assert found.state == state


def test_a_new_tick_size_voids_the_book(checks: PolymarketContinuity) -> None:
    tick = {"event_type": "tick_size_change", "asset_id": "1", "new_tick_size": "0.01"}
    found = feed(checks, book(), tick, change(entry("0.50", "3", "0.50")), book())
    assert found[1] == Verdict("unverified", voided=("1",), touched=("1",))
    assert (found[2].state, found[3].synced) == ("unverified", ("1",))


@pytest.mark.parametrize("kind", ["last_trade_price", "best_bid_ask"])
def test_other_events_touch_their_asset(checks: PolymarketContinuity, kind: str) -> None:
    assert feed(checks, {"event_type": kind, "asset_id": "1"})[0].touched == ("1",)


@pytest.mark.parametrize("kind", ["new_market", "market_resolved"])
def test_other_events_touch_their_assets(checks: PolymarketContinuity, kind: str) -> None:
    assert feed(checks, {"event_type": kind, "assets_ids": ["1", "2"]})[0].touched == ("1", "2")


# --- events that cannot be read -------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        {"event_type": "book", "market": "0xm", "bids": 5},
        {"event_type": "price_change", "market": "0xm"},
        change(entry("NaN", "1", "0.50")),
        change(entry("0.50", "1", "sNaN")),
        change(entry("0.50", "1", "0.50", side="LEFT")),
        {"event_type": "tick_size_change", "market": "0xm", "asset_id": 5},
    ],
)
def test_an_event_that_cannot_be_read_spoils_the_books_of_its_market(
    checks: PolymarketContinuity, event: dict[str, Any]
) -> None:
    feed(checks, book("1"), book("2"), book("3", "0xother"))
    (found,) = feed(checks, event)
    assert found.faults == (Fault("unreadable", "0xm", books=("1", "2")),)
    untouched = feed(checks, change(entry("0.50", "3", "0.50", "3")))
    assert untouched[0].state == "verified"
    with pytest.raises((msgspec.MsgspecError, ArithmeticError)):
        feed(checks, event)


# --- hashes ---------------------------------------------------------------------------------------


def test_a_book_that_holds_all_of_its_hash_is_checked(checks: PolymarketContinuity) -> None:
    whole = book(hash="", **STATIC)
    whole["hash"] = book_hash(whole)
    (right,) = feed(checks, whole)
    assert right == Verdict("verified", synced=("1",), touched=("1",))
    (wrong,) = feed(checks, {**whole, "bids": whole["bids"][1:]})
    assert wrong == Verdict("broken", (Fault("hash", "1", books=("1",)),), touched=("1",))
    assert feed(checks, change(entry("0.50", "3", "0.50")))[0].state == "unverified"


@pytest.mark.parametrize("risk", [True, False])
def test_a_hash_that_matches_proves_what_the_event_lacks(
    checks: PolymarketContinuity, risk: bool
) -> None:
    event = book(hash="", tick_size="0.01", last_trade_price="0.5")
    event["hash"] = book_hash(event, min_order_size="5", neg_risk=risk)
    assert feed(checks, event)[0].state == "verified"


@pytest.mark.parametrize(
    "more", [{"hash": "0xabc"}, {"hash": "0" * 40}, {"hash": "0" * 40, "tick_size": "0.01"}]
)
def test_a_hash_that_cannot_be_told_proves_nothing(
    checks: PolymarketContinuity, more: dict[str, Any]
) -> None:
    (found,) = feed(checks, book(**more))
    assert (found.state, found.synced) == ("unverified", ("1",))


# --- recordings -----------------------------------------------------------------------------------


def recorded(name: str) -> Iterator[bytes]:
    content = (REAL / name).read_bytes()
    lines = content.split(b"\n") if name.endswith(".jsonl") else [content]
    for line in filter(None, lines):
        yield from wire.split_array(line) or [line]


@needs_recordings
def test_each_change_hashes_the_book_it_leaves() -> None:
    """16 of 16: two assets in each of eight changes."""
    events = [json.loads(frame) for frame in recorded(REFERENCE)]
    books = {event["asset_id"]: event for event in events[:2]}
    known = {"min_order_size": "5", "neg_risk": True}
    sides = {
        (asset, side): {level["price"]: level["size"] for level in book[side]}
        for asset, book in books.items()
        for side in ("bids", "asks")
    }
    checked = 0
    for event in events[2:]:
        for one in event["price_changes"]:
            asset = one["asset_id"]
            levels = sides[asset, "bids" if one["side"] == "BUY" else "asks"]
            levels[one["price"]] = one["size"]
            if one["size"] == "0":
                del levels[one["price"]]
            body = {**books[asset], "timestamp": event["timestamp"]}
            for side, reverse in (("bids", False), ("asks", True)):
                prices = sorted(sides[asset, side], key=Decimal, reverse=reverse)
                body[side] = [{"price": p, "size": sides[asset, side][p]} for p in prices]
            assert book_hash(body, **known) == one["hash"]
            checked += 1
    assert checked == 16


@needs_recordings
def test_the_reference_recording_verifies_whole(checks: PolymarketContinuity) -> None:
    frames = list(recorded(REFERENCE))
    found = [checks.check(POLYMARKET.classify(frame), frame) for frame in frames]
    assert [verdict.state for verdict in found] == ["verified"] * 10
    assert [len(verdict.touched) for verdict in found] == [1, 1] + [2] * 8
    assert [len(verdict.synced) for verdict in found] == [1, 1] + [0] * 8


@needs_recordings
def test_no_recording_gives_a_false_alarm() -> None:
    files = [*REAL.glob("*.jsonl"), *REAL.glob("nautilus_rust/ws_*.json")]
    assert len(files) >= 10
    for file in files:
        checks = PolymarketContinuity()
        for frame in recorded(str(file.relative_to(REAL))):
            header = POLYMARKET.classify(frame)
            assert header.kind == "idle" or not checks.check(header, frame).faults
    checks = PolymarketContinuity()
    for frame in recorded("trebuchet_fed-decision-june/clob-books.json"):
        assert checks.check(POLYMARKET.classify(frame), frame).state == "verified"
