"""Kraken spot: frames in, headers, answers, records and verdicts out."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmd import message as wire
from ssmd.errors import ConfigError, ContractError, ExchangeError
from ssmd.exchanges import KRAKEN
from ssmd.exchanges.base import Fault, Request, Subscription, Verdict
from ssmd.exchanges.kraken_continuity import checksum
from ssmd.exchanges.times import ms_ns, rfc3339_ns
from ssmd.message import BookDelta, BookSnapshot, Header, InstrumentStatus, Message, Quote, Trade

REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "kraken_spot"
needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
BTC = "mhadiamiri_btcusd_d10_20260719_A3.jsonl"
MINA = "depthcharge_minagbp_d25_resync_20260818.jsonl"
STAMP = "2023-10-06T17:35:55.440295Z"


def message(frame: bytes) -> Message:
    header = KRAKEN.classify(frame)
    return Message(
        feed="kraken",
        conn="c",
        n=7,
        recv_ns=1,
        mono_ns=2,
        type=header.type,
        raw=wire.one_line(frame),
    )


def verdicts(frames: Sequence[bytes]) -> list[Verdict]:
    checks = KRAKEN.continuity()
    return [checks.check(KRAKEN.classify(frame), frame) for frame in frames]


def book(kind: str, bids: str, asks: str, total: int | None, symbol: str = "BTC/USD") -> bytes:
    """A book frame; sides are written as ``price:qty price:qty``."""

    def side(text: str) -> str:
        pairs = (level.split(":") for level in text.split())
        return ",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in pairs)

    crc = "" if total is None else f',"checksum":{total}'
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{side(bids)}],'
        f'"asks":[{side(asks)}]{crc},"timestamp":"{STAMP}"}}]}}'
    ).encode()


def crc(bids: str, asks: str) -> int:
    def levels(text: str) -> list[tuple[Decimal, Decimal]]:
        pairs = (level.split(":") for level in text.split())
        return [(Decimal(price), Decimal(qty)) for price, qty in pairs]

    return checksum(levels(bids), levels(asks))


def trade(kind: str, *ids: int, symbol: str = "BTC/USD") -> bytes:
    entries = [
        {"symbol": symbol, "side": "buy", "price": 1.5, "qty": 2, "trade_id": number}
        for number in ids
    ]
    return json.dumps({"channel": "trade", "type": kind, "data": entries}).encode()


def ack(method: str, channel: str, depth: int | None = None) -> bytes:
    result = {"channel": channel, "symbol": "BTC/USD"} | ({"depth": depth} if depth else {})
    return json.dumps({"method": method, "result": result, "success": True, "req_id": 4}).encode()


# --- commands and answers -----------------------------------------------------------------------


def test_subscribe_packs_a_hundred_symbols_to_a_frame() -> None:
    symbols = tuple(f"S{i}/USD" for i in range(250))
    commands = KRAKEN.subscribe(Subscription("book", symbols, 25), 10)
    bodies = [json.loads(command.frame) for command in commands]
    assert [len(body["params"]["symbol"]) for body in bodies] == [100, 100, 50]
    assert [body["req_id"] for body in bodies] == [10, 11, 12]
    assert bodies[0]["method"] == "subscribe"
    assert bodies[0]["params"]["depth"] == 25
    assert bodies[0]["params"]["snapshot"] is True
    assert sum((command.subscription.symbols for command in commands), ()) == symbols


def test_unsubscribe_repeats_the_depth_and_asks_for_no_snapshot() -> None:
    (command,) = KRAKEN.unsubscribe(Subscription("book", ("BTC/USD",), 25), 3)
    assert json.loads(command.frame) == {
        "method": "unsubscribe",
        "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 25},
        "req_id": 3,
    }


def test_the_instrument_channel_is_subscribed_once_and_whole() -> None:
    plans = KRAKEN.plan(KRAKEN.channels, [f"S{i}/USD" for i in range(5)], per_connection=2)
    assert [sub.channel for sub in plans[0].subscriptions] == [
        "instrument",
        "ticker",
        "trade",
        "book",
    ]
    assert len(plans) == 3
    assert all(sub.channel != "instrument" for plan in plans[1:] for sub in plan.subscriptions)
    assert {sub.depth for plan in plans for sub in plan.subscriptions} == {None, 10}
    (command,) = KRAKEN.subscribe(plans[0].subscriptions[0], 1)
    assert "symbol" not in json.loads(command.frame)["params"]


def test_a_depth_that_kraken_does_not_offer_is_refused() -> None:
    with pytest.raises(ConfigError, match="depth 50"):
        KRAKEN.plan(["book"], ["BTC/USD"], depth=50)


def test_answers_name_the_symbol_of_each_acknowledgement() -> None:
    (good,) = KRAKEN.answers(ack("subscribe", "book", 10))
    assert (good.outcome, good.request_id, good.channel) == ("ok", 4, "book")
    assert good.symbols == ("BTC/USD",)
    refusal = (
        b'{"method":"subscribe","success":false,"error":"Currency pair not supported FOO/USD",'
        b'"symbol":"FOO/USD","time_in":"..","time_out":"..","req_id":1}'
    )
    assert KRAKEN.classify(refusal).kind == "error"
    (bad,) = KRAKEN.answers(refusal)
    assert (bad.outcome, bad.request_id, bad.symbols, bad.fatal) == ("error", 1, ("FOO/USD",), True)
    busy = b'{"method":"subscribe","success":false,"error":"Exceeded msg rate","req_id":2}'
    assert not KRAKEN.answers(busy)[0].fatal
    nameless = b'{"error":"Malformed request","success":false}'
    assert KRAKEN.classify(nameless) == Header("error", kind="error")
    assert KRAKEN.answers(nameless)[0].message == "Malformed request"
    assert KRAKEN.answers(b'{"channel":"heartbeat"}') == []
    assert KRAKEN.answers(b"nonsense") == []


# --- classify -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "header"),
    [
        (b'{"channel":"heartbeat"}', Header("heartbeat", kind="idle")),
        (
            b'{"channel":"status","type":"update","data":[{"connection_id":13834774380200032777}]}',
            Header("status", kind="status"),
        ),
        (b'{"method":"pong","req_id":42}', Header("pong", kind="idle")),
        (ack("subscribe", "ticker"), Header("subscribe", kind="ack")),
        (ack("unsubscribe", "ticker"), Header("unsubscribe", kind="ack")),
        (
            book("update", "1.5:2", "", 5),
            Header("book", "BTC/USD", 1696613755440295000),
        ),
        (
            b'{"channel":"trade","data":[{"symbol":"A/B"},{"symbol":"C/D"}]}',
            Header("trade", None),
        ),
        (b'{"channel":"instrument","type":"snapshot","data":{"pairs":[]}}', Header("instrument")),
        (b'{"channel":"ohlc","data":[{"symbol":"A/B","open":1}]}', Header("ohlc", "A/B")),
        (b'{"channel":"book","data":[{"symbol":5}]}', Header("book")),
        (b'{"channel":"new","data":"text"}', Header("new")),
        (b'{"hello":1}', Header(wire.UNKNOWN, kind="idle")),
        (b"[]", Header(wire.EMPTY, kind="idle")),
        (b"17", Header(wire.UNKNOWN, kind="idle")),
        (b"pong", Header(wire.TEXT, kind="idle")),
        (b"\xff\xfe", Header(wire.BINARY, kind="idle")),
    ],
)
def test_classify(frame: bytes, header: Header) -> None:
    assert KRAKEN.classify(frame) == header


def _pieces() -> st.SearchStrategy[bytes]:
    """Bytes of any kind, and frames that are nearly right."""
    frame = book("snapshot", "1.5:2", "2.5:1", 5) + trade("update", 1) + ack("subscribe", "book")
    cut = st.tuples(st.integers(0, len(frame)), st.integers(0, len(frame))).map(
        lambda ends: frame[min(ends) : max(ends)]
    )
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
    keys = st.sampled_from(["channel", "method", "data", "error", "success", "result", "symbol"])
    shaped = st.dictionaries(keys, values).map(lambda body: json.dumps(body).encode())
    return st.binary() | cut | shaped


@given(_pieces())
def test_no_bytes_break_classify_or_answers(frame: bytes) -> None:
    header = KRAKEN.classify(frame)
    KRAKEN.answers(frame)
    if header.type not in (wire.TEXT, wire.BINARY):
        json.loads(frame)
    wire.subject("demo", "kraken", header.type, header.sym)


def test_times_beyond_64_bits_are_none() -> None:
    assert rfc3339_ns("2023-10-06T17:35:55.440295Z") == 1696613755440295000
    assert rfc3339_ns("2023-10-06T19:35:55.440295+02:00") == 1696613755440295000
    assert rfc3339_ns("2023-10-06T17:35:55Z") == 1696613755000000000
    assert rfc3339_ns("9999-12-31T23:59:59.9Z") is None
    assert rfc3339_ns("2023-13-06T17:35:55.4Z") is None
    assert rfc3339_ns("2023-10-06T17:35:55.4²Z") is None
    assert ms_ns(10**30) is None


# --- records ------------------------------------------------------------------------------------


def test_records_keep_the_digits() -> None:
    (found,) = KRAKEN.records(message(book("snapshot", "0.010:1.50000000 1E-9:2", "3:0", 77)))
    assert isinstance(found, BookSnapshot)
    assert [str(number) for level in found.bids for number in level] == [
        "0.010",
        "1.50000000",
        "1E-9",
        "2",
    ]
    assert (found.sym, found.checksum, found.n) == ("BTC/USD", 77, 7)
    assert found.ts_ns == 1696613755440295000
    (delta,) = KRAKEN.records(message(book("update", "", "3.0:0.00000000", 78)))
    assert isinstance(delta, BookDelta)
    assert (delta.op, delta.asks) == ("set", [(Decimal("3.0"), Decimal(0))])


def test_records_of_trades_and_tickers() -> None:
    frame = (
        b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell",'
        b'"price":105944.20,"qty":0.00027625,"ord_type":"limit","trade_id":10218208,'
        b'"timestamp":"2023-10-06T17:35:55.440295Z"},{"symbol":"BTC/USD","side":"?","price":1,'
        b'"qty":2,"trade_id":10218209}]}'
    )
    first, second = KRAKEN.records(message(frame))
    assert isinstance(first, Trade)
    assert (str(first.price), str(first.size), first.side) == ("105944.20", "0.00027625", "sell")
    assert (first.trade_id, first.seq) == ("10218208", 10218208)
    assert isinstance(second, Trade)
    assert (second.side, second.ts_ns) == (None, None)
    ticker = (
        b'{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":105944.2,'
        b'"bid_qty":2.5,"ask":105944.3,"ask_qty":3.20,"last":105899.4,"change_pct":0.24}]}'
    )
    (quote,) = KRAKEN.records(message(ticker))
    assert isinstance(quote, Quote)
    assert (str(quote.bid), str(quote.ask_size), str(quote.last)) == (
        "105944.2",
        "3.20",
        "105899.4",
    )


def test_a_message_without_the_fields_of_its_type_is_a_contract_error() -> None:
    with pytest.raises(ContractError, match="kraken trade"):
        KRAKEN.records(message(b'{"channel":"trade","type":"update","data":[{"symbol":"A/B"}]}'))
    assert list(KRAKEN.records(message(b'{"channel":"heartbeat"}'))) == []


@needs_recordings
def test_records_of_the_instrument_channel() -> None:
    frame = (REAL / "torquey66_instrument_snapshot_2024.json").read_bytes()
    found = list(KRAKEN.records(message(frame)))
    assert len(found) == len(json.loads(frame)["data"]["pairs"]) > 500
    by_symbol = {one.sym: one for one in found if isinstance(one, InstrumentStatus)}
    assert by_symbol["BTC/USD"].status == "online"
    assert by_symbol["BTC/USD"].tick_size == Decimal("0.1")


# --- continuity ---------------------------------------------------------------------------------


def frames_of(file: str) -> list[bytes]:
    return [line for line in (REAL / file).read_bytes().split(b"\n") if line]


def test_the_documented_checksum() -> None:
    """The vector of docs.kraken.com, "Book checksum v2"."""
    asks = (
        "45285.2:0.00100000 45286.4:1.54571953 45286.6:1.54571109 45289.6:1.54560911 "
        "45290.2:0.15890660 45291.8:1.54553491 45294.7:0.04454749 45296.1:0.35380000 "
        "45297.5:0.09945542 45299.5:0.18772827"
    )
    bids = (
        "45283.5:0.10000000 45283.4:1.54582015 45282.1:0.10000000 45281.0:0.10000000 "
        "45280.3:1.54592586 45279.0:0.07990000 45277.6:0.03310103 45277.5:0.30000000 "
        "45277.3:1.54602737 45276.6:0.15445238"
    )
    assert crc(bids, asks) == 3310070434
    assert verdicts([book("snapshot", bids, asks, 3310070434)])[0].state == "verified"


def without_zeros(frame: bytes) -> bytes:
    """What a JSON library that reads floats would have made of a frame."""
    return json.dumps(json.loads(frame), separators=(",", ":")).encode()


@needs_recordings
@pytest.mark.parametrize(("file", "books"), [(BTC, 1254), (MINA, 19)])
def test_checksums_verify_where_trailing_zeros_were_lost(file: str, books: int) -> None:
    found = Counter(verdict.state for verdict in verdicts([*map(without_zeros, frames_of(file))]))
    assert (found["verified"], found["broken"]) == (books, 0)


def test_the_widths_of_the_instrument_channel_are_used() -> None:
    """A book whose every price could have one digit less."""
    instrument = (
        b'{"channel":"instrument","type":"snapshot","data":{"pairs":[{"symbol":"BTC/USD",'
        b'"status":"online","price_precision":2,"qty_precision":3}]}}'
    )
    total = crc("1.50:2.000", "1.60:1.000")
    frame = book("snapshot", "1.5:2", "1.6:1", total)
    assert verdicts([instrument, frame])[-1].state == "verified"
    assert verdicts([frame])[-1].faults[0].cause == "checksum"


@needs_recordings
@pytest.mark.parametrize("file", [BTC, MINA])
def test_a_missing_update_is_found_and_the_next_snapshot_mends_it(file: str) -> None:
    frames = frames_of(file)
    updates = [i for i, frame in enumerate(frames) if b'"update","data":[{"symbol"' in frame]
    torn = frames[: updates[3]] + frames[updates[3] + 1 :] + frames
    found = verdicts(torn)
    broken = [verdict for verdict in found if verdict.state == "broken"]
    assert [(fault.cause, fault.sym is not None) for v in broken for fault in v.faults] == [
        ("checksum", True)
    ]
    after = [verdict.state for verdict in found[len(frames) - 1 :]]
    assert "unverified" not in {
        state for state, frame in zip(after, frames, strict=True) if b'"book","type"' in frame
    }


def test_levels_that_fall_out_of_the_depth_are_forgotten() -> None:
    bids = " ".join(f"{100 - i}.0:1.0" for i in range(10))
    asks = " ".join(f"{101 + i}.0:1.0" for i in range(10))
    pushed = "100.5:2.0 " + bids.rsplit(" ", 1)[0]
    frames = [
        ack("subscribe", "book", 10),
        book("snapshot", bids, asks, crc(bids, asks)),
        book("update", "100.5:2.0", "", crc(pushed, asks)),
        # The level that was pushed out does not come back by itself.
        book("update", "100.5:0", "", crc(bids.rsplit(" ", 1)[0], asks)),
    ]
    assert [verdict.state for verdict in verdicts(frames)[1:]] == ["verified"] * 3


def test_the_depth_is_learnt_from_the_acknowledgement() -> None:
    bids = " ".join(f"{100 - i}.0:1.0" for i in range(10))
    deep = book("snapshot", bids, "200.0:1.0", crc(bids, "200.0:1.0"))
    more = "100.5:1.0 " + bids
    frames = [
        book("update", "100.5:1.0", "", crc(more, "200.0:1.0")),
        book("update", "100.5:0", "", crc(bids, "200.0:1.0")),
    ]
    assert [v.state for v in verdicts([ack("subscribe", "book", 25), deep, *frames])[1:]] == [
        "verified"
    ] * 3
    assert verdicts([ack("subscribe", "book", 10), deep, *frames])[-1].faults[0].cause == "checksum"


def test_a_crossed_book_is_broken_though_its_checksum_holds() -> None:
    frames = [
        book("snapshot", "1.0:1", "2.0:1", crc("1.0:1", "2.0:1")),
        book("update", "2.0:3", "", crc("2.0:3 1.0:1", "2.0:1")),
        book("update", "2.0:0", "", crc("1.0:1", "2.0:1")),
    ]
    assert [(v.state, v.faults[0].cause if v.faults else None) for v in verdicts(frames)] == [
        ("verified", None),
        ("broken", "crossed"),
        ("unverified", None),
    ]


def test_every_book_of_a_frame_is_applied_whatever_the_first_says() -> None:
    both = json.dumps(
        {
            "channel": "book",
            "type": "snapshot",
            "data": [
                {"symbol": "A/B", "bids": [{"price": 1, "qty": 1}], "asks": [], "checksum": 1},
                {
                    "symbol": "C/D",
                    "bids": [{"price": 1, "qty": 1}],
                    "asks": [],
                    "checksum": crc("1:1", ""),
                },
            ],
        }
    ).encode()
    update = book("update", "", "2:1", crc("1:1", "2:1"), "C/D")
    first, second = verdicts([both, update])
    assert (first.state, first.faults[0].sym) == ("broken", "A/B")
    assert second.state == "verified"


def test_unsubscribed_books_and_trades_start_anew() -> None:
    snapshot = book("snapshot", "1.0:1", "2.0:1", crc("1.0:1", "2.0:1"))
    frames = [
        snapshot,
        trade("update", 1),
        ack("unsubscribe", "book"),
        ack("unsubscribe", "trade"),
        book("update", "1.0:2", "", 1),
        trade("update", 9),
        snapshot,
    ]
    states = [verdict.state for verdict in verdicts(frames)]
    assert states == ["verified", *(["unverified"] * 5), "verified"]


def test_trade_ids_rise_by_one_per_symbol() -> None:
    frames = [
        trade("snapshot", 12, 10, 11),
        trade("update", 13, 14),
        trade("update", 7, symbol="ETH/USD"),
        trade("update", 18),
        trade("update", 19),
        trade("update", 19),
        trade("snapshot", 19, 18, 20),
    ]
    found = verdicts(frames)
    assert [verdict.state for verdict in found] == [
        "verified",
        "verified",
        "unverified",
        "broken",
        "verified",
        "unverified",
        "verified",
    ]
    gap = found[3]
    (gap,) = gap.faults
    assert (gap.cause, gap.first_seq, gap.last_seq, gap.sym) == ("sequence", 15, 17, "BTC/USD")


def test_a_book_message_that_cannot_be_applied_spoils_the_book_it_names() -> None:
    good = book("snapshot", "1:1", "2:1", crc("1:1", "2:1"))
    (sym,) = verdicts([good])[0].synced
    absurd = verdicts([good, book("update", "1e999999:1", "", 1)])[-1]
    assert absurd.faults == (Fault("unreadable", sym, books=(sym,)),)
    other = verdicts([good, b'{"channel":"book","type":"update","data":[{"bids":[]}]}', good])
    assert other[1].faults == (Fault("unreadable", None, books=(sym,)),)
    assert other[2].synced == (sym,)


def test_the_exchange_says_when_it_is_closed() -> None:
    checks = KRAKEN.continuity()
    for system, paused in (("maintenance", True), ("online", False), ("cancel_only", True)):
        frame = b'{"channel":"status","type":"update","data":[{"system":"%s"}]}' % system.encode()
        checks.check(KRAKEN.classify(frame), frame)
        assert checks.paused is paused


# --- instruments --------------------------------------------------------------------------------


def pairs(file: str) -> Iterator[Any]:
    return iter(
        KRAKEN.instruments_page(Request("/AssetPairs"), (REAL / file).read_bytes()).instruments
    )


@needs_recordings
def test_instruments_of_the_recorded_list() -> None:
    found = {
        instrument.sym: instrument
        for instrument in pairs("rest_AssetPairs_cryptofeed_20210417.json")
    }
    bitcoin = found["BTC/USD"]
    assert bitcoin.aliases == ("XXBTZUSD", "XBTUSD", "XBT/USD")
    assert (bitcoin.base, bitcoin.quote, bitcoin.price_precision) == ("BTC", "USD", 1)
    assert bitcoin.size_precision == 8
    assert bitcoin.active
    assert "DOGE/USD" in found
    assert not any("XBT" in sym.split("/") or "XDG" in sym.split("/") for sym in found)
    dark = found["XBTUSD.d"]
    assert not dark.active
    assert dark.base is None


@needs_recordings
def test_instruments_of_the_documented_lists() -> None:
    (usdt,) = pairs("nautilus/http_asset_pairs.json")
    assert usdt.sym == "BTC/USDT"
    assert usdt.grid[0].step == Decimal("0.1")
    (apple,) = pairs("nautilus/http_asset_pairs_tokenized.json")
    assert (apple.sym, apple.active) == ("AAPLx/USD", True)


def test_a_status_that_does_not_trade_is_not_active() -> None:
    def one(status: str) -> bool:
        body = {"error": [], "result": {"X": {"wsname": "A/B", "status": status}}}
        page = KRAKEN.instruments_page(Request("/AssetPairs"), json.dumps(body).encode())
        return page.instruments[0].active

    assert one("online")
    assert one("post_only")
    assert not one("cancel_only")
    assert not one("delisted")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":["EService:Unavailable"]}'])
def test_an_answer_that_is_no_list_is_an_exchange_error(body: bytes) -> None:
    with pytest.raises(ExchangeError, match="AssetPairs"):
        KRAKEN.instruments_page(Request("/AssetPairs"), body)
