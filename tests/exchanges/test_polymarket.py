"""Polymarket: commands, events and the check of the top of the book."""

import json

from ssmd.exchanges.base import Request, Subscription
from ssmd.exchanges.polymarket import POLYMARKET

BOOK = {
    "event_type": "book",
    "market": "0xm",
    "asset_id": "1",
    "timestamp": "1700000000000",
    "bids": [{"price": "0.49", "size": "5"}],
    "asks": [{"price": "0.52", "size": "5"}],
}


def change(best_bid: str) -> dict[str, object]:
    entry = {"asset_id": "1", "price": "0.50", "size": "3", "side": "BUY"}
    tops = {"best_bid": best_bid, "best_ask": "0.52"}
    return {"event_type": "price_change", "market": "0xm", "price_changes": [entry | tops]}


def states(*events: dict[str, object]) -> list[tuple[str, str | None]]:
    checks = POLYMARKET.continuity()
    found = []
    for event in events:
        frame = json.dumps(event).encode()
        verdict = checks.check(POLYMARKET.classify(frame), frame)
        found.append((verdict.state, verdict.faults[0].cause if verdict.faults else None))
    return found


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


def test_the_own_top_is_held_against_the_claimed_one() -> None:
    assert states(change("0.50")) == [("unverified", None)]
    assert states(BOOK, change("0.50"))[1] == ("verified", None)
    assert states(BOOK, change("0.51"))[1] == ("broken", "top")


def test_a_new_tick_size_voids_the_book() -> None:
    tick = {"event_type": "tick_size_change", "asset_id": "1", "new_tick_size": "0.01"}
    assert states(BOOK, tick, change("0.50"))[2] == ("unverified", None)


def test_a_market_is_two_instruments() -> None:
    market = {
        "conditionId": "0xm",
        "question": "Rain?",
        "outcomes": '["Yes", "No"]',
        "clobTokenIds": '["1", "2"]',
        "active": True,
        "closed": False,
    }
    body = json.dumps({"markets": [market], "next_cursor": "abc"}).encode()
    page = POLYMARKET.instruments_page(Request("/markets/keyset"), body)
    assert [(i.sym, i.group, i.base) for i in page.instruments] == [
        ("1", "0xm", "Yes"),
        ("2", "0xm", "No"),
    ]
    assert page.next is not None
    assert page.next.query["after_cursor"] == "abc"
