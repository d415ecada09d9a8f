"""Kalshi: REST answers, recorded and wrong."""

import json
from decimal import Decimal

import msgspec
import pytest

from exchanges.kalshi_wire import REAL
from ssmd import message as wire
from ssmd.errors import ExchangeError
from ssmd.exchanges.base import Page, Request
from ssmd.exchanges.kalshi import KALSHI
from ssmd.exchanges.times import rfc3339_ns
from ssmd.instrument import PriceRange
from ssmd.message import Header, Message, Trade

needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
ASKED = Request("/markets", {"limit": "1000"})


def page(body: object) -> Page:
    return KALSHI.instruments_page(ASKED, json.dumps(body).encode())


def recorded(name: str) -> bytes:
    return (REAL / name).read_bytes()


# --- instruments ----------------------------------------------------------------------------------


@needs_recordings
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("rest_golden/markets_list.json", 5),
        ("rest_golden/market_single.json", 1),
        ("rest_golden/event_single.json", 1),
        ("rest_event_KXGOLD15M-26AUG101900.json", 1),
        ("rest_event_KXGOLD15M-26AUG102030.json", 1),
    ],
)
def test_recorded_answers_list_their_markets(name: str, count: int) -> None:
    found = KALSHI.instruments_page(ASKED, recorded(name))
    assert len(found.instruments) == count
    assert all(i.sym and i.group and i.grid and i.open_ns for i in found.instruments)
    assert (found.next is not None) is (name == "rest_golden/markets_list.json")


@needs_recordings
@pytest.mark.parametrize(
    "name",
    [
        "orderbook",
        "trades_list",
        "events_list",
        "events_multivariate_list",
        "exchange_announcements",
        "exchange_schedule",
        "exchange_status",
        "series_candlesticks",
        "series_list",
        "series_single",
        "tags_by_categories",
    ],
)
def test_other_recorded_answers_are_no_list_of_markets(name: str) -> None:
    with pytest.raises(ExchangeError, match="lists no markets"):
        KALSHI.instruments_page(ASKED, recorded(f"rest_golden/{name}.json"))


@needs_recordings
def test_a_settled_market_reads_whole() -> None:
    body = recorded("rest_event_KXGOLD15M-26AUG101900.json")
    (found,) = KALSHI.instruments_page(ASKED, body).instruments
    assert (found.sym, found.status, found.active) == (
        "KXGOLD15M-26AUG101900-00",
        "finalized",
        False,
    )
    assert found.group == "KXGOLD15M-26AUG101900"
    assert found.grid == (PriceRange(Decimal("0.0000"), Decimal("1.0000"), Decimal("0.0100")),)
    assert found.volume == Decimal("32880.91")
    assert found.close_ns == rfc3339_ns("2026-08-10T23:00:00Z")


def test_pages_go_on_to_an_empty_cursor() -> None:
    first = page({"markets": [{"ticker": "A", "status": "active"}], "cursor": "c1"})
    assert first.instruments[0].active
    assert first.next == Request("/markets", {"limit": "1000", "cursor": "c1"})
    assert page({"markets": [], "cursor": ""}).next is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"code": "not_found", "message": "no such market"}}, "not_found: no such"),
        ({"error": "slow down"}, "slow down"),
        ({"code": "bad_request", "message": "invalid cursor"}, "bad_request: invalid cursor"),
        ({"markets": None}, "lists no markets"),
        ({}, "lists no markets"),
        ([], "unexpected answer"),
        ({"markets": [{"status": "active"}]}, "ticker"),
    ],
)
def test_an_answer_without_markets_is_an_error_in_the_exchanges_words(
    body: object, said: str
) -> None:
    with pytest.raises(ExchangeError, match=said):
        page(body)


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"\xff", b"[" * 100_000])
def test_garbage_is_an_error(body: bytes) -> None:
    for read in (
        lambda: KALSHI.instruments_page(ASKED, body),
        lambda: KALSHI.book_answer("A", body),
        lambda: KALSHI.trades_answer(ASKED, body),
    ):
        with pytest.raises(ExchangeError):
            read()


# --- one book -------------------------------------------------------------------------------------


def test_a_book_is_asked_for_by_its_ticker() -> None:
    assert KALSHI.book_request("KXA-T1.5/x").path == "/markets/KXA-T1.5%2Fx/orderbook"


@pytest.mark.parametrize(
    "body",
    [
        {"orderbook_fp": {"yes_dollars": [["0.1500", "100.00"]], "no_dollars": [["0.80", "7"]]}},
        {"orderbook": {"yes": [[15, 100]], "no": [[80, 7]]}},
        {"orderbook": {"yes": None, "yes_dollars": [["0.1500", 100]], "no_dollars": [["0.80", 7]]}},
    ],
)
def test_a_book_reads_in_yes_terms_in_each_of_its_forms(body: object) -> None:
    found = KALSHI.book_answer("A", json.dumps(body).encode())
    assert (found.sym, found.feed, found.conn) == ("A", "", "")
    assert found.bids == [(Decimal("0.15"), Decimal(100))]
    assert found.asks == [(Decimal("0.20"), Decimal(7))]


@needs_recordings
def test_a_recorded_empty_book_is_empty() -> None:
    found = KALSHI.book_answer("A", recorded("rest_golden/orderbook.json"))
    assert (found.bids, found.asks) == ([], [])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"code": "not_found", "message": "gone"}}, "not_found: gone"),
        ({}, "holds no book"),
        ({"orderbook_fp": {"yes_dollars": [["NaN", "1"]]}}, "no number"),
        ({"orderbook_fp": {"yes_dollars": "x"}}, "unexpected"),
    ],
)
def test_what_is_no_book_is_an_error(body: object, said: str) -> None:
    with pytest.raises(ExchangeError, match=said):
        KALSHI.book_answer("A", json.dumps(body).encode())


# --- trades ---------------------------------------------------------------------------------------


def test_trades_are_asked_for_with_a_second_to_spare() -> None:
    found = KALSHI.trades_request("A", 5_900_000_000, 7_000_000_001)
    assert found == Request(
        "/markets/trades", {"limit": "1000", "ticker": "A", "min_ts": "4", "max_ts": "9"}
    )


@needs_recordings
def test_recorded_trades_keep_their_bytes_and_read_as_trades() -> None:
    body = recorded("rest_golden/trades_list.json")
    found = KALSHI.trades_answer(Request("/markets/trades", {"ticker": "X"}), body)
    assert found.next is not None
    assert found.next.query["cursor"] == json.loads(body)["cursor"]
    assert len(found.trades) == 5
    header, raw = found.trades[0]
    assert header == Header("trade", "KXELONMARS-99", rfc3339_ns("2026-01-12T15:00:20.897212Z"))
    assert raw in body
    facts = {"feed": "k", "conn": "c", "n": 1, "recv_ns": 1, "mono_ns": 1}
    message = Message(
        **facts, type=header.type, sym=header.sym, ts_ns=header.ts_ns, raw=wire.one_line(raw)
    )
    (trade,) = KALSHI.records(message)
    assert isinstance(trade, Trade)
    assert (str(trade.price), trade.size, trade.side) == ("0.0600", Decimal(1), "sell")
    assert trade.trade_id == "961535f3-d80f-5462-e91d-88d4fe6db285"
    assert trade.ts_ns == header.ts_ns


def test_the_last_page_of_trades_has_no_next() -> None:
    body = msgspec.json.encode({"trades": [], "cursor": ""})
    assert KALSHI.trades_answer(Request("/markets/trades"), body).next is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "invalid parameter"}}, "invalid parameter"),
        ({"cursor": ""}, "lists no trades"),
        ({"trades": [{"ticker": "A"}]}, "created_time"),
    ],
)
def test_what_lists_no_trades_is_an_error(body: object, said: str) -> None:
    with pytest.raises(ExchangeError, match=said):
        KALSHI.trades_answer(Request("/markets/trades"), json.dumps(body).encode())
