"""Polymarket: REST answers, recorded and wrong."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from ssmd.errors import ExchangeError
from ssmd.exchanges.base import Page, Request
from ssmd.exchanges.polymarket import POLYMARKET
from ssmd.exchanges.polymarket_hash import book_hash

REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "polymarket"
needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
FED = "trebuchet_fed-decision-june"
MARKET = {
    "conditionId": "0xm",
    "question": "Rain?",
    "outcomes": '["Yes", "No"]',
    "clobTokenIds": '["1", "2"]',
    "active": True,
    "closed": False,
}


def page(body: object, path: str = "/markets/keyset", **query: str) -> Page:
    return POLYMARKET.instruments_page(Request(path, query), json.dumps(body).encode())


def test_a_market_is_two_instruments() -> None:
    found = page({"markets": [MARKET], "next_cursor": "abc"}, limit="100")
    assert [(i.sym, i.group, i.base) for i in found.instruments] == [
        ("1", "0xm", "Yes"),
        ("2", "0xm", "No"),
    ]
    assert found.next == Request("/markets/keyset", {"limit": "100", "after_cursor": "abc"})
    assert page({"markets": []}).next is None


@needs_recordings
@pytest.mark.parametrize(
    ("name", "count", "active"),
    [
        ("nautilus_rust/gamma_market.json", 2, 2),
        ("nautilus_rust/gamma_market_closed_binary_accepting_false.json", 2, 0),
        ("nautilus_rust/gamma_market_sports_market_map_handicap.json", 2, 0),
        ("nautilus_rust/gamma_market_sports_market_money_line.json", 2, 0),
        (f"{FED}/gamma-event.json", 10, 10),
    ],
)
def test_recorded_answers_list_their_markets(name: str, count: int, active: int) -> None:
    found = POLYMARKET.instruments_page(Request("/markets"), (REAL / name).read_bytes())
    assert len(found.instruments) == count
    assert sum(i.active for i in found.instruments) == active
    assert all(i.sym.isdecimal() and i.group and i.grid for i in found.instruments)
    assert found.next is None


@needs_recordings
@pytest.mark.parametrize(
    "name",
    [
        "nautilus_rust/gamma_event.json",
        "nautilus_rust/gamma_tags.json",
        "nautilus_rust/clob_book_response.json",
        "nautilus_rust/clob_market_closed_binary_accepting_false.json",
        f"{FED}/clob-books.json",
        f"{FED}/clob-markets.json",
        f"{FED}/gamma-search.json",
    ],
)
def test_other_recorded_answers_are_no_list_of_markets(name: str) -> None:
    with pytest.raises(ExchangeError, match="polymarket markets"):
        POLYMARKET.instruments_page(Request("/markets"), (REAL / name).read_bytes())


def test_a_list_goes_on_by_offset_to_a_short_page() -> None:
    first = page([MARKET, MARKET], "/markets", limit="2", closed="false")
    assert len(first.instruments) == 4
    assert first.next == Request("/markets", {"limit": "2", "closed": "false", "offset": "2"})
    second = page([MARKET, MARKET], "/markets", limit="2", offset="2")
    assert second.next is not None
    assert second.next.query["offset"] == "4"
    assert page([MARKET], "/markets", limit="2", offset="4").next is None
    assert page([], "/markets", limit="2", offset="4").next is None
    assert page([], "/markets", limit="0").next is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "offset is not supported"}, "offset is not supported"),
        ({"type": "validation error", "error": "limit is invalid"}, "limit is invalid"),
        ({}, "lists no markets"),
        ("x", "unexpected answer"),
        ({"markets": [{"question": "Rain?"}]}, "conditionId"),
        ({"markets": [{**MARKET, "clobTokenIds": "[1"}]}, "unexpected answer"),
    ],
)
def test_an_answer_without_markets_is_an_error_in_the_exchanges_words(
    body: object, said: str
) -> None:
    with pytest.raises(ExchangeError, match=said):
        page(body)


# --- one book -------------------------------------------------------------------------------------


def test_a_book_is_asked_for_by_its_asset() -> None:
    asked = POLYMARKET.book_request("7")
    assert (asked.path, asked.query) == ("https://clob.polymarket.com/book", {"token_id": "7"})


@needs_recordings
def test_recorded_books_read_and_hash() -> None:
    books = json.loads((REAL / FED / "clob-books.json").read_bytes())
    assert len(books) == 10
    for book in books:
        found = POLYMARKET.book_answer(book["asset_id"], json.dumps(book).encode())
        assert (found.hash, found.ts_ns) == (book_hash(book), int(book["timestamp"]) * 10**6)
        assert found.bids == [(Decimal(e["price"]), Decimal(e["size"])) for e in book["bids"]]
        assert (len(found.asks), found.feed, found.conn) == (len(book["asks"]), "", "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":"No orderbook exists for the requested token id"}', "No orderbook exists"),
        (b'{"asset_id":"8","bids":[],"asks":[]}', "it is the book of 8"),
        (b'{"asset_id":"7","bids":[{"price":"NaN","size":"1"}]}', "no price and no size"),
        (b"<html>", "unexpected answer"),
        (b"\xff", "unexpected answer"),
        (b"", "unexpected answer"),
        (b"[" * 100_000, "unexpected answer"),
    ],
)
def test_what_is_no_book_is_an_error(body: bytes, said: str) -> None:
    with pytest.raises(ExchangeError, match=said):
        POLYMARKET.book_answer("7", body)
