"""Every field of a record: which of them the recorded REST answers of each exchange give."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssmd.exchanges.base import Request
from ssmd.exchanges.master import Context
from ssmd.exchanges.masters import MASTERS
from ssmd.security import FIELDS, Links, Security

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")

RECORDED = {
    "kalshi": [
        "kalshi/rest_event_KXGOLD15M-26AUG101900.json",
        "kalshi/rest_golden/markets_list.json",
        "kalshi/rest_golden/event_single.json",
    ],
    "polymarket": [
        "polymarket/nautilus_rust/gamma_market_closed_binary_accepting_false.json",
        "polymarket/nautilus_rust/gamma_market_sports_market_money_line.json",
        "polymarket/trebuchet_fed-decision-june/gamma-event.json",
    ],
    "kraken": ["kraken_spot/nautilus/http_asset_pairs.json"],
    "kraken_futures": [
        "kraken_futures/nautilus/http_futures_instruments.json",
        "kraken_futures/rest_instruments_cryptofeed_20210722.json",
    ],
}
POLYMARKET_ALONE = {
    "links.condition", "links.market", "links.question", "links.tokens",
}  # fmt: skip
NO_EVENT = {
    "basis", "determined_ns", "expected_ns", "grid_name", "links.collection", "links.event",
    "links.legs", "links.series", "outcome", "own_fees", "result", "settle_ns", "settlement",
    "strike", "created_ns", *POLYMARKET_ALONE,
}  # fmt: skip
"""Of what is no contract on an event."""
NOT_TOLD = {
    # When it was determined, and an event's own fees, come by messages; the grid is the precision.
    "kalshi": {
        "aliases", "base", "determined_ns", "links.underlying", "min_size", "own_fees",
        "price_precision", "size_precision", *POLYMARKET_ALONE,
    },
    "polymarket": {
        "basis", "contract_size", "expected_ns", "grid_name", "links.legs", "own_fees",
        "price_precision", "size_precision", "strike",
    },
    "kraken": {"close_ns", "expire_ns", "group", "links.underlying", "open_ns", *NO_EVENT},
    "kraken_futures": {"category", "min_size", "price_precision", *NO_EVENT},
}  # fmt: skip
"""Fields that the exchange does not know, or that its REST answers do not tell."""
ALL = {name for name in FIELDS if name != "links"} | {
    f"links.{name}" for name in Links.__struct_fields__
}


def learned(exchange: str) -> Context:
    """What the calls before the listing say; fees are answered as their documents show them."""
    context: Context = {}
    master = MASTERS[exchange]
    for request in master.context():
        if request.path == "/series":
            body = b"""{"series":[{"ticker":"KXGOLD15M","category":"Commodities",
                       "fee_type":"quadratic","fee_multiplier":1}]}"""
        elif request.path == "/series/fee_changes":
            body = b'{"series_fee_change_arr":[]}'
        else:
            body = b"""{"feeSchedules":[{"uid":"723888f7-0a8e-4183-8648-f920a22339e3",
                       "name":"PGTMainFees","tiers":[{"makerFee":0.02,"takerFee":0.05}]}]}"""
        master.learn(context, request, body)
    return context


def given(security: Security) -> Iterator[str]:
    for name in FIELDS:
        value: Any = getattr(security, name)
        if isinstance(value, Links):
            yield from (f"links.{n}" for n in value.__struct_fields__ if getattr(value, n))
        elif value not in (None, "", (), {}):
            yield name


@needs_recordings
@pytest.mark.parametrize("exchange", RECORDED)
def test_recorded_answers_give_every_field_that_the_exchange_knows(exchange: str) -> None:
    context, found = learned(exchange), set[str]()
    for file in RECORDED[exchange]:
        page = MASTERS[exchange].page(context, Request("/x"), (REAL / file).read_bytes())
        assert page.malformed == []
        for one in page.found:
            found.update(given(one.security))
    assert found == ALL - NOT_TOLD[exchange]


def test_every_field_is_given_by_some_exchange_or_a_message() -> None:
    assert set.intersection(*NOT_TOLD.values()) == {"own_fees"}
