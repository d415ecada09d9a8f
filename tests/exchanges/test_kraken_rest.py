"""Kraken's REST answers, spot and futures: books and trades."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from ssmd.errors import ExchangeError
from ssmd.exchanges import EXCHANGES
from ssmd.exchanges.times import rfc3339_ns

SPOT, FUTURES = EXCHANGES["kraken"], EXCHANGES["kraken_futures"]
REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
NS = 1_000_000_000


@needs_recordings
def test_recorded_books() -> None:
    body = (REAL / "kraken_spot/nautilus/http_order_book.json").read_bytes()
    book = SPOT.book_answer("BTC/USDT", body)
    assert book.asks[0] == (Decimal("105944.30000"), Decimal("0.136"))
    assert max(book.bids) < min(book.asks)
    body = (REAL / "kraken_futures/nautilus/http_futures_orderbook.json").read_bytes()
    book = FUTURES.book_answer("PI_XBTUSD", body)
    assert (book.bids[0], book.asks[0]) == (
        (Decimal("105900.0"), Decimal("0.5")),
        (Decimal("105950.0"), Decimal("0.3")),
    )


def test_rest_names_of_pairs() -> None:
    assert SPOT.book_request("BTC/USD").query["pair"] == "XBTUSD"
    assert SPOT.book_request("ETH/EUR").query["pair"] == "ETHEUR"


def test_spot_trades_go_on_from_last_until_the_end() -> None:
    request = SPOT.trades_request("BTC/USD", 5 * NS, 2000 * NS)
    assert request is not None
    rows = [["1.0", "2.50", 6 + n, "b", "m", "", n] for n in range(1000)]
    body = json.dumps({"error": [], "result": {"XXBTZUSD": rows, "last": "1005000000000"}}).encode()
    page = SPOT.trades_answer(request, body)
    header, raw = page.trades[0]
    assert (header.type, header.sym, header.ts_ns) == ("trade", "BTC/USD", 6 * NS)
    assert raw in body
    assert page.next is not None
    assert page.next.query["since"] == "1005000000000"
    short = json.dumps({"error": [], "result": {"XXBTZUSD": rows[:3], "last": "9"}}).encode()
    assert SPOT.trades_answer(request, short).next is None


def test_spot_times_are_exact() -> None:
    request = SPOT.trades_request("BTC/USD", 0, NS)
    assert request is not None
    body = b'{"error":[],"result":{"X":[["1","2",1762820248.1234567,"b","m","",7]],"last":"1"}}'
    ((header, raw),) = SPOT.trades_answer(request, body).trades
    assert header.ts_ns == 1762820248123456700
    assert raw == b'["1","2",1762820248.1234567,"b","m","",7]'


def test_futures_trades_go_back_to_the_beginning() -> None:
    request = FUTURES.trades_request("PI_XBTUSD", 1000 * NS, 2000 * NS)
    assert request is not None
    assert request.query["lastTime"] == "1970-01-01T00:33:20.000Z"
    times = [f"1970-01-01T00:33:{19 - n // 10:02d}.{900 - n % 10}Z" for n in range(100)]
    rows = [{"time": time, "trade_id": n, "price": 1.0} for n, time in enumerate(times)]
    page = FUTURES.trades_answer(request, json.dumps({"history": rows}).encode())
    assert page.trades[0][0].ts_ns == rfc3339_ns(times[0])
    assert page.next is not None
    assert page.next.query["lastTime"] == times[-1]
    assert (
        FUTURES.trades_answer(page.next, json.dumps({"history": rows[-5:]}).encode()).next is None
    )


@pytest.mark.parametrize("exchange", [SPOT, FUTURES], ids=lambda exchange: exchange.name)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"error":["EQuery:Unknown asset pair"]}',
        b'{"result":"error","error":"invalidArgument: symbol"}',
        b'{"error":[],"result":{}}',
        b'{"error":[],"result":{"X":5}}',
        b'{"result":"success","orderBook":{"bids":[["x",1]],"asks":[]},"history":[{"time":5}]}',
    ],
)
def test_what_is_no_answer_is_an_error(exchange: object, body: bytes) -> None:
    found = SPOT if exchange is SPOT else FUTURES
    with pytest.raises(ExchangeError):
        found.book_answer("BTC/USD", body)
    request = found.trades_request("BTC/USD", 0, NS)
    assert request is not None
    with pytest.raises(ExchangeError):
        found.trades_answer(request, body)
