"""Kraken Futures: frames in, headers, answers, records and verdicts out."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ssmd import message as wire
from ssmd.book import Book
from ssmd.errors import ContractError, ExchangeError
from ssmd.exchanges import KRAKEN_FUTURES
from ssmd.exchanges.base import Fault, Request, Subscription, Verdict, broken
from ssmd.message import AnyRecord, BookDelta, BookSnapshot, Header, Message, Quote, Trade

REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "kraken_futures"
needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
RECORDING = "cryptofeed_futures_20210722.jsonl"


def recording() -> list[bytes]:
    return [line for line in (REAL / RECORDING).read_bytes().split(b"\n") if line]


def records(frame: bytes) -> list[AnyRecord]:
    header = KRAKEN_FUTURES.classify(frame)
    facts = {"feed": "f", "conn": "c", "n": 1, "recv_ns": 1, "mono_ns": 2}
    ts_ns = UNSET if header.ts_ns is None else header.ts_ns
    entry = Message(**facts, type=header.type, ts_ns=ts_ns, raw=wire.one_line(frame))
    return list(KRAKEN_FUTURES.records(entry))


def verdicts(frames: Sequence[bytes]) -> list[Verdict]:
    checks = KRAKEN_FUTURES.continuity()
    return [checks.check(KRAKEN_FUTURES.classify(frame), frame) for frame in frames]


def snapshot(seq: int, product: str = "PI_XBTUSD") -> bytes:
    return (
        f'{{"feed":"book_snapshot","product_id":"{product}","timestamp":1612269825817,"seq":{seq},'
        f'"tickSize":null,"bids":[{{"price":34892.5,"qty":6385}}],"asks":[]}}'
    ).encode()


def delta(seq: int, product: str = "PI_XBTUSD") -> bytes:
    return (
        f'{{"feed":"book","product_id":"{product}","side":"sell","seq":{seq},"price":34981,"qty":0,'
        f'"timestamp":1612269953629}}'
    ).encode()


def trade(seq: int, product: str = "PI_XBTUSD") -> bytes:
    return (
        f'{{"feed":"trade","product_id":"{product}","uid":"05af78ac","side":"sell","type":"fill",'
        f'"seq":{seq},"time":1612266317519,"qty":15000,"price":34969.50}}'
    ).encode()


def trades(*seqs: int) -> bytes:
    inner = ",".join(trade(seq).decode() for seq in seqs)
    return f'{{"feed":"trade_snapshot","product_id":"PI_XBTUSD","trades":[{inner}]}}'.encode()


# --- commands and answers -----------------------------------------------------------------------


def test_subscribe_packs_products_and_drops_the_request_number() -> None:
    products = tuple(f"PF_{i}USD" for i in range(120))
    commands = KRAKEN_FUTURES.subscribe(Subscription("book", products), 10)
    bodies = [json.loads(command.frame) for command in commands]
    assert [len(body["product_ids"]) for body in bodies] == [100, 20]
    assert bodies[1] == {
        "event": "subscribe",
        "feed": "book",
        "product_ids": list(products[100:]),
    }
    (end,) = KRAKEN_FUTURES.unsubscribe(Subscription("trade", ("PI_XBTUSD",)), 1)
    assert json.loads(end.frame)["event"] == "unsubscribe"


def test_the_heartbeat_feed_takes_no_products() -> None:
    plans = KRAKEN_FUTURES.plan(["book", "heartbeat"], ["A", "B", "C"], per_connection=2)
    first = [(sub.channel, sub.symbols) for sub in plans[0].subscriptions]
    assert first == [("heartbeat", ()), ("book", ("A", "B"))]
    assert [sub.channel for sub in plans[1].subscriptions] == ["book"]
    (command,) = KRAKEN_FUTURES.subscribe(plans[0].subscriptions[0], 1)
    assert json.loads(command.frame) == {"event": "subscribe", "feed": "heartbeat"}


def test_a_ping_goes_out_well_within_the_minute() -> None:
    assert KRAKEN_FUTURES.keepalive is not None
    assert KRAKEN_FUTURES.keepalive.payload is None
    assert KRAKEN_FUTURES.keepalive.interval_s <= 60


def test_answers() -> None:
    (good,) = KRAKEN_FUTURES.answers(
        b'{"event":"subscribed","feed":"book","product_ids":["PF_XBTUSD"]}'
    )
    assert (good.outcome, good.channel, good.symbols) == ("ok", "book", ("PF_XBTUSD",))
    (bad,) = KRAKEN_FUTURES.answers(b'{"event":"error","message":"Invalid product id"}')
    assert (bad.outcome, bad.message, bad.fatal) == ("error", "Invalid product id", True)
    assert KRAKEN_FUTURES.answers(b'{"event":"info","version":1}') == []
    assert KRAKEN_FUTURES.answers(b"nonsense") == []


# --- classify -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "header"),
    [
        (b'{"event":"info","version":1}', Header("info", kind="idle")),
        (
            b'{"event":"subscribed","feed":"book","product_ids":["A"]}',
            Header("subscribed", kind="ack"),
        ),
        (b'{"event":"error","message":"Invalid feed"}', Header("error", kind="error")),
        (b'{"event":"alert","message":"Bad request"}', Header("alert", kind="error")),
        (b'{"feed":"heartbeat","time":1534262350627}', Header("heartbeat", kind="idle")),
        (
            snapshot(7),
            Header("book_snapshot", "PI_XBTUSD", 1612269825817000000, 7, "PI_XBTUSD:book"),
        ),
        (delta(8), Header("book", "PI_XBTUSD", 1612269953629000000, 8, "PI_XBTUSD:book")),
        (trade(9), Header("trade", "PI_XBTUSD", 1612266317519000000, 9, "PI_XBTUSD:trade")),
        (trades(9), Header("trade_snapshot", "PI_XBTUSD")),
        (
            b'{"feed":"ticker_lite","product_id":"A","bid":1}',
            Header("ticker_lite", "A"),
        ),
        (b'{"feed":"book","seq":"x"}', Header("book")),
        (b'{"hello":1}', Header(wire.UNKNOWN, kind="idle")),
        (b"[]", Header(wire.EMPTY, kind="idle")),
        (b"17", Header(wire.UNKNOWN, kind="idle")),
        (b"pong", Header(wire.TEXT, kind="idle")),
        (b"\xff\xfe", Header(wire.BINARY, kind="idle")),
    ],
)
def test_classify(frame: bytes, header: Header) -> None:
    assert KRAKEN_FUTURES.classify(frame) == header


def _pieces() -> st.SearchStrategy[bytes]:
    frame = snapshot(1) + delta(2) + trades(3)
    cut = st.tuples(st.integers(0, len(frame)), st.integers(0, len(frame))).map(
        lambda ends: frame[min(ends) : max(ends)]
    )
    values = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    keys = st.sampled_from(["feed", "event", "product_id", "seq", "timestamp", "time", "message"])
    shaped = st.dictionaries(keys, values).map(lambda body: json.dumps(body).encode())
    return st.binary() | cut | shaped


@given(_pieces())
def test_no_bytes_break_classify_or_answers(frame: bytes) -> None:
    header = KRAKEN_FUTURES.classify(frame)
    KRAKEN_FUTURES.answers(frame)
    # JSON decoders pass over the bytes of strings that they skip.
    if header.type not in (wire.TEXT, wire.BINARY) and wire.is_utf8(frame):
        json.loads(frame)
    wire.subject("demo", "futures", header.type, header.sym)


# --- records ------------------------------------------------------------------------------------


def test_records_of_books_and_trades() -> None:
    (found,) = records(snapshot(7))
    assert isinstance(found, BookSnapshot)
    assert (found.seq, found.bids) == (7, [(Decimal("34892.5"), Decimal(6385))])
    (change,) = records(delta(8))
    assert isinstance(change, BookDelta)
    assert (change.op, change.bids, change.asks) == ("set", [], [(Decimal(34981), Decimal(0))])
    first, second = records(trades(9, 8))
    assert isinstance(first, Trade)
    assert (first.seq, first.side, str(first.price)) == (9, "sell", "34969.50")
    assert first.ts_ns == 1612266317519000000
    assert second.sym == "PI_XBTUSD"
    with pytest.raises(ContractError, match="kraken_futures book"):
        records(delta(8).replace(b'"sell"', b'"both"'))


@needs_recordings
def test_numbers_with_exponents_stay_exact() -> None:
    frame = (REAL / "nautilus" / "ws_futures_ticker.json").read_bytes()
    (quote,) = records(frame)
    assert isinstance(quote, Quote)
    assert quote.bid is not None
    tiny = b'{"feed":"ticker","product_id":"A","time":1,"bid":1e-10,"funding_rate":-6.2604214e-11}'
    (quote,) = records(tiny)
    assert isinstance(quote, Quote)
    assert quote.bid == Decimal("0.0000000001")


@needs_recordings
def test_recorded_books_know_what_they_delete_and_do_not_end_crossed() -> None:
    books: dict[str, Book] = {}
    for frame in recording():
        for record in records(frame):
            if isinstance(record, BookSnapshot):
                books[record.sym] = Book()
            if isinstance(record, BookDelta):
                held = books[record.sym].bids | books[record.sym].asks
                for price, size in (*record.bids, *record.asks):
                    assert size or price in held
            if isinstance(record, BookSnapshot | BookDelta):
                books[record.sym].apply(record)
    assert len(books) == 10
    assert not any(book.crossed for book in books.values())


# --- continuity ---------------------------------------------------------------------------------


@needs_recordings
def test_the_recording_has_no_gap() -> None:
    frames = recording()
    found: Counter[tuple[str, str]] = Counter()
    for frame, verdict in zip(frames, verdicts(frames), strict=True):
        found[KRAKEN_FUTURES.classify(frame).type, verdict.state] += 1
    assert sum(found.values()) == 7175
    assert found["book", "verified"] == 7014
    assert found["trade", "verified"] == 3
    assert found["trade_snapshot", "verified"] == 10
    assert not any(state == "broken" for _, state in found)


@needs_recordings
def test_each_missing_delta_of_the_recording_is_named() -> None:
    frames = recording()
    headers = [KRAKEN_FUTURES.classify(frame) for frame in frames]
    deltas = [i for i, header in enumerate(headers) if header.type == "book"]
    lost = deltas[100]
    found = [v for v in verdicts(frames[:lost] + frames[lost + 1 :]) if v.state == "broken"]
    assert found == [
        broken(
            Fault(
                "sequence",
                headers[lost].sym,
                headers[lost].grp,
                headers[lost].seq,
                headers[lost].seq,
                books=(headers[lost].sym or "",),
            )
        )
    ]


def states(frames: Sequence[bytes]) -> Iterator[tuple[str, int | None, int | None]]:
    for verdict in verdicts(frames):
        fault = verdict.faults[0] if verdict.faults else Fault("")
        yield verdict.state, fault.first_seq, fault.last_seq


def test_the_first_delta_is_compared_with_the_snapshot() -> None:
    assert list(states([snapshot(10), delta(11)]))[1] == ("verified", None, None)
    assert list(states([snapshot(10), delta(13)]))[1] == ("broken", 11, 12)


def test_a_torn_book_is_unverified_until_its_snapshot() -> None:
    frames = [delta(5), delta(6), snapshot(10), delta(11), delta(13), delta(14), delta(16)]
    frames += [delta(12), snapshot(20), delta(21), delta(30, "PI_ETHUSD")]
    assert list(states(frames)) == [
        ("unverified", None, None),
        ("unverified", None, None),
        ("unverified", None, None),
        ("verified", None, None),
        ("broken", 12, 12),
        ("unverified", None, None),
        ("broken", 15, 15),
        ("broken", None, None),
        ("unverified", None, None),
        ("verified", None, None),
        ("unverified", None, None),
    ]


def level(seq: int, side: str, price: str, qty: str) -> bytes:
    return (
        f'{{"feed":"book","product_id":"PI_XBTUSD","side":"{side}","seq":{seq},"price":{price},'
        f'"qty":{qty},"timestamp":1612269953629}}'
    ).encode()


def causes(frames: Sequence[bytes]) -> list[str]:
    found = verdicts(frames)
    assert all(fault.books == ("PI_XBTUSD",) for verdict in found for fault in verdict.faults)
    return [v.faults[0].cause if v.faults else v.state for v in found]


def test_a_crossed_book_is_broken_until_its_snapshot() -> None:
    frames = [snapshot(1), level(2, "sell", "34893", "1"), level(3, "buy", "34893.0", "2")]
    frames += [level(4, "buy", "34893.0", "0"), snapshot(9), level(10, "sell", "34892.5", "1")]
    frames += [snapshot(20), level(21, "buy", "34892.5", "0"), level(22, "sell", "1.5", "1")]
    assert causes(frames) == [
        "unverified", "verified", "crossed",
        "unverified", "unverified", "crossed",
        "unverified", "verified", "verified",
    ]  # fmt: skip


def test_a_level_below_zero_breaks_the_book() -> None:
    frames = [snapshot(1), level(2, "buy", "34000", "-1"), level(3, "buy", "34000", "1")]
    assert causes(frames) == ["unverified", "negative", "unverified"]
    crossed = snapshot(5).replace(b'"asks":[]', b'"asks":[{"price":1,"qty":1}]')
    assert causes([crossed, level(6, "buy", "2", "1")]) == ["crossed", "unverified"]


def test_a_delta_that_cannot_be_read_breaks_the_book() -> None:
    assert causes([snapshot(1), level(2, "neither", "1", "1"), delta(3)]) == [
        "unverified", "unreadable", "unverified",
    ]  # fmt: skip


def test_the_top_is_told_while_the_book_is_right() -> None:
    checks = KRAKEN_FUTURES.continuity()
    frames = [snapshot(1), level(2, "sell", "34893.5", "7"), delta(9)]
    tops = []
    for frame in frames:
        checks.check(KRAKEN_FUTURES.classify(frame), frame)
        tops.append(checks.top("PI_XBTUSD"))
    bid = (Decimal("34892.5"), Decimal(6385))
    assert tops == [(bid, None), (bid, (Decimal("34893.5"), Decimal(7))), None]


def test_trades_follow_their_snapshot() -> None:
    frames = [trades(9, 8, 7), trade(9), trade(10), trade(13), trade(14), trades(18, 17), trades()]
    assert list(states(frames)) == [
        ("verified", None, None),
        ("unverified", None, None),
        ("verified", None, None),
        ("broken", 11, 12),
        ("verified", None, None),
        ("broken", 15, 16),
        ("unverified", None, None),
    ]


def test_book_and_trade_sequences_are_told_apart() -> None:
    frames = [snapshot(10), trades(700), delta(11), trade(701), delta(12)]
    assert [state for state, _, _ in states(frames)][2:] == ["verified"] * 3


def test_what_was_unsubscribed_starts_anew() -> None:
    end = b'{"event":"unsubscribed","feed":"%s","product_ids":["PI_XBTUSD"]}'
    frames = [snapshot(1), delta(2), trades(5), end % b"book", end % b"trade", trade(9), delta(9)]
    assert {state for state, _, _ in states(frames)} == {"verified", "unverified"}


# --- instruments --------------------------------------------------------------------------------


@needs_recordings
def test_instruments_of_the_recorded_list() -> None:
    body = (REAL / "rest_instruments_cryptofeed_20210722.json").read_bytes()
    found = KRAKEN_FUTURES.instruments_page(Request("/instruments"), body).instruments
    by_symbol = {instrument.sym: instrument for instrument in found}
    bitcoin = by_symbol["PI_XBTUSD"]
    assert bitcoin.active
    assert bitcoin.grid[0].step == Decimal("0.5")
    dated = by_symbol["FI_XBTUSD_210924"]
    assert dated.close_ns is not None
    assert not any(sym != sym.upper() for sym in by_symbol)
    assert any(not instrument.active for instrument in found)


@needs_recordings
def test_tick_sizes_with_exponents() -> None:
    body = (REAL / "nautilus" / "http_futures_instruments.json").read_bytes()
    found = KRAKEN_FUTURES.instruments_page(Request("/instruments"), body).instruments
    pepe = next(instrument for instrument in found if instrument.sym == "PF_PEPEUSD")
    assert pepe.grid[0].step == Decimal("0.0000000001")
    assert (pepe.base, pepe.quote) == ("PEPE", "USD")
    assert pepe.open_ns == 1685011945000000000


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"result":"error","error":"apiLimit"}'])
def test_an_answer_that_is_no_list_is_an_exchange_error(body: bytes) -> None:
    with pytest.raises(ExchangeError, match="kraken_futures"):
        KRAKEN_FUTURES.instruments_page(Request("/instruments"), body)
