"""The security master's records, field by field, out of recorded REST answers and messages."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ssmd import message as wire
from ssmd.errors import ExchangeError
from ssmd.exchanges import EXCHANGES
from ssmd.exchanges.base import Request
from ssmd.exchanges.master import Context, Listed, Patch
from ssmd.exchanges.masters import MASTERS
from ssmd.exchanges.times import rfc3339_ns as ns
from ssmd.instrument import PriceRange
from ssmd.message import Message
from ssmd.security import Fee, Links, Security, Strike, Tier

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
CENTS = (PriceRange(Decimal(0), Decimal(1), Decimal("0.01")),)
ASKED = Request("/markets", {"limit": "1000"})


def listed(exchange: str, body: bytes | object, context: Context | None = None) -> Listed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return MASTERS[exchange].page(context or {}, ASKED, raw)


def recorded(exchange: str, file: str, context: Context | None = None) -> list[Security]:
    page = listed(exchange, (REAL / file).read_bytes(), context)
    assert page.malformed == []
    return [found.security for found in page.found]


def said(exchange: str, frame: bytes) -> list[Patch]:
    header = EXCHANGES[exchange].classify(frame)
    entry = Message(
        feed=exchange, conn="c", n=1, recv_ns=7, mono_ns=7, type=header.type, **wire.body(frame),
        **({} if header.ts_ns is None else {"ts_ns": header.ts_ns}),
    )  # fmt: skip
    return list(MASTERS[exchange].patches(entry))


# --- Kalshi ---------------------------------------------------------------------------------------


@needs_recordings
def test_kalshi_settled_market_in_its_event() -> None:
    (found,) = listed(
        "kalshi", (REAL / "kalshi/rest_event_KXGOLD15M-26AUG101900.json").read_bytes()
    ).found
    assert found.security == Security(
        exchange="kalshi",
        sym="KXGOLD15M-26AUG101900-00",
        status="finalized",
        active=False,
        kind="binary",
        title="Gold price up in next 15 mins?",
        category="Commodities",
        group="KXGOLD15M-26AUG101900",
        outcome="Target Price: $4,395.85",
        quote="USD",
        created_ns=ns("2026-08-08T17:08:57.242856Z"),
        open_ns=ns("2026-08-10T22:45:00Z"),
        close_ns=ns("2026-08-10T23:00:00Z"),
        expected_ns=ns("2026-08-10T23:05:00Z"),
        expire_ns=ns("2026-08-17T23:00:00Z"),
        settle_ns=ns("2026-08-10T23:00:05.467118Z"),
        result="yes",
        settlement=Decimal(1),
        basis="4399.09",
        grid=CENTS,
        grid_name="linear_cent",
        contract_size=Decimal(1),
        strike=Strike(
            kind="greater_or_equal", floor=Decimal("4395.85"), custom={"round_digits": "2"}
        ),
        links=Links(event="KXGOLD15M-26AUG101900", series="KXGOLD15M"),
    )
    assert found.updated_ns == ns("2026-08-10T23:00:05.481779Z")
    assert found.silent == {"fees", "determined_ns"}


@needs_recordings
def test_kalshi_combination_with_its_legs() -> None:
    (one,) = recorded("kalshi", "kalshi/rest_golden/market_single.json")
    assert one.links.collection == "KXMVENFLSINGLEGAME-26JAN12HOUPIT"
    assert one.links.legs[0] == "KXNFLGAME-26JAN12HOUPIT-PIT:yes"
    assert len(one.links.legs) == 5
    assert one.grid == (PriceRange(Decimal(0), Decimal(1), Decimal("0.001")),)
    assert one.strike is not None
    assert one.strike.kind == "custom"
    assert (one.status, one.active, one.result, one.settlement) == ("active", True, None, None)


@needs_recordings
def test_kalshi_list_with_series_from_their_own_list() -> None:
    master, context = MASTERS["kalshi"], Context()
    series, _ = master.context()
    master.learn(context, series, (REAL / "kalshi/rest_golden/series_list.json").read_bytes())
    assert context["series"]["CO2"].category == "Climate and Weather"
    found = recorded("kalshi", "kalshi/rest_golden/markets_list.json", context)
    assert len(found) == 5
    market = {"ticker": "CO2-26-T1", "status": "active", "event_ticker": "CO2-26"}
    (one,) = listed("kalshi", {"markets": [market]}, context).found
    assert one.security.category == "Climate and Weather"
    assert one.security.fees == (Fee(kind="quadratic", multiplier=Decimal(1)),)
    assert one.silent == {"determined_ns"}


@needs_recordings
def test_kalshi_event_that_never_ends() -> None:
    (one,) = recorded("kalshi", "kalshi/rest_golden/event_single.json")
    assert one.created_ns is None  # the year 1
    assert (one.category, one.links.series) == ("World", "KXELONMARS")


def test_kalshi_fees_over_time() -> None:
    master, context = MASTERS["kalshi"], Context()
    series, changes = master.context()
    known = {"ticker": "KXA", "category": "C", "fee_type": "quadratic", "fee_multiplier": 1}
    master.learn(context, series, json.dumps({"series": [known]}).encode())
    told = [
        {"id": "2", "series_ticker": "KXA", "fee_type": "flat", "fee_multiplier": 0.5,
         "scheduled_ts": "2026-12-02T00:00:00Z"},
        {"id": "1", "series_ticker": "KXA", "fee_type": "quadratic", "fee_multiplier": 2,
         "scheduled_ts": "2026-12-01T00:00:00Z"},
    ]  # fmt: skip
    master.learn(context, changes, json.dumps({"series_fee_change_arr": told}).encode())
    market = {"ticker": "KXA-1-T", "status": "active", "event_ticker": "KXA-1"}
    (one,) = listed("kalshi", {"markets": [market]}, context).found
    first, second = ns("2026-12-01T00:00:00Z"), ns("2026-12-02T00:00:00Z")
    assert one.security.fees == (
        Fee(kind="quadratic", multiplier=Decimal(1), until_ns=first),
        Fee(kind="quadratic", multiplier=Decimal(2), from_ns=first, until_ns=second),
        Fee(kind="flat", multiplier=Decimal("0.5"), from_ns=second),
    )


def test_kalshi_pages_and_what_is_asked_again() -> None:
    master = MASTERS["kalshi"]
    page = listed("kalshi", {"markets": [], "cursor": "abc"})
    assert page.next == Request("/markets", {"limit": "1000", "cursor": "abc"})
    assert listed("kalshi", {"markets": [], "cursor": ""}).next is None
    since = master.first({"status": "open", "mve_filter": "exclude"}, 1_000_000_000_000)
    assert since is not None
    assert since.query == {"limit": "1000", "mve_filter": "exclude", "min_updated_ts": "1000"}
    assert master.first({"event_ticker": "E"}, 1) is None
    gone = [
        Security(exchange="kalshi", sym=f"K{i}", status="active", active=True) for i in range(101)
    ]
    assert [r.query["tickers"].count(",") for r in master.again(gone) or ()] == [99, 0]


def test_kalshi_entry_that_is_wrong_takes_no_other_along() -> None:
    good = {"ticker": "A", "status": "active"}
    page = listed("kalshi", {"markets": [good, {"ticker": "B"}, 7, {**good, "ticker": "C"}]})
    assert [found.security.sym for found in page.found] == ["A", "C"]
    assert [entry.entry for entry in page.malformed] == ["B", "market 3 of the page"]


@needs_recordings
def test_kalshi_determined_as_recorded() -> None:
    (patch,) = said("kalshi", (REAL / "kalshi/single_frames_lifecycle.jsonl").read_bytes().strip())
    at = 1759350638 * 10**9
    assert patch.sym == "KXMLBGAME-25OCT01DETCLE-DET"
    assert patch.at_ns == at
    assert patch.fields == {
        "quote": "USD", "status": "determined", "active": False, "result": "no",
        "determined_ns": at,
    }  # fmt: skip


def test_kalshi_created_and_repriced_and_fees() -> None:
    head = b'{"type":"market_lifecycle_v2","sid":13,"seq":9,"msg":{"market_ticker":"INXD-B4487",'
    (patch,) = said(
        "kalshi",
        head + b'"event_type":"created","open_ts":1694635200,"close_ts":1694721600,'
        b'"price_level_structure":"linear_cent","price_ranges":[{"start":"0.0000","end":"1.0000",'
        b'"step":"0.0100"}],"additional_metadata":{"title":"T","yes_sub_title":"Y",'
        b'"event_ticker":"INXD","expected_expiration_ts":1694721600,"strike_type":"between",'
        b'"floor_strike":4487,"cap_strike":4487.99}}}',
    )
    assert patch.creates
    assert patch.links == {"event": "INXD"}
    assert patch.fields["grid"] == CENTS
    assert patch.fields["strike"] == Strike(
        kind="between", floor=Decimal(4487), cap=Decimal("4487.99")
    )
    assert (patch.fields["status"], patch.fields["title"]) == ("initialized", "T")
    (moved,) = said("kalshi", head + b'"event_type":"close_date_updated","close_ts":1694800000}}')
    assert moved.fields == {"quote": "USD", "close_ns": 1694800000 * 10**9}
    (fee,) = said(
        "kalshi", b'{"type":"event_fee_update","sid":1,"msg":{"event_ticker":"E",'
        b'"fee_type_override":"flat","fee_multiplier_override":0.5}}',
    )  # fmt: skip
    assert fee.event == "E"
    own = (Fee(kind="flat", multiplier=Decimal("0.5"), from_ns=7),)
    assert fee.fields == {"own_fees": own}


# --- Polymarket -----------------------------------------------------------------------------------


@needs_recordings
def test_polymarket_market_with_its_fees_and_event() -> None:
    up, down = recorded("polymarket", "polymarket/nautilus_rust/gamma_market.json")
    tokens = {"Up": up.sym, "Down": down.sym}
    assert up == Security(
        exchange="polymarket",
        sym="104239898038807136052399800151408521467737075933964991162589336683346093173875",
        status="active",
        active=True,
        kind="binary",
        title="Bitcoin Up or Down - March 12, 5:20AM-5:25AM ET",
        group="0x78443f961b9a65869dcb39359de9960165c7e5cbad0904eac7f29cd77872a63b",
        outcome="Up",
        base="Up",
        quote="USDC",
        created_ns=ns("2026-03-11T09:27:51.140253Z"),
        open_ns=ns("2026-03-11T09:29:01.328428Z"),
        close_ns=ns("2026-03-12T09:25:00Z"),
        expire_ns=ns("2026-03-12T09:25:00Z"),
        grid=CENTS,
        min_size=Decimal(5),
        fees=(Fee(kind="crypto_fees", maker_bps=Decimal(1000), taker_bps=Decimal(1000)),),
        links=Links(
            market="1557558",
            event="btc-updown-5m-1773307200",
            series="btc-up-or-down-5m",
            condition="0x78443f961b9a65869dcb39359de9960165c7e5cbad0904eac7f29cd77872a63b",
            question="0x15813764bba41cfb5f99e2e649cfbae7a121a9f8f91ed47ca261aab95e9729de",
            tokens=tokens,
            underlying="https://data.chain.link/streams/btc-usd",
        ),
        aliases=("btc-updown-5m-1773307200",),
    )
    assert (down.outcome, down.links.tokens) == ("Down", tokens)


@needs_recordings
def test_polymarket_resolved_market() -> None:
    file = "polymarket/nautilus_rust/gamma_market_closed_binary_accepting_false.json"
    yes, no = recorded("polymarket", file)
    assert (yes.status, yes.active) == ("resolved", False)
    assert (yes.result, yes.settlement, no.result, no.settlement) == ("lost", 0, "won", 1)
    assert yes.close_ns == yes.settle_ns == ns("2026-03-19T23:20:15Z")
    assert yes.determined_ns == ns("2026-03-19T23:20:15Z")
    assert yes.expire_ns == ns("2028-01-01T05:00:00Z")
    assert yes.fees == ()


@needs_recordings
def test_polymarket_event_with_all_its_markets() -> None:
    found = recorded("polymarket", "polymarket/trebuchet_fed-decision-june/gamma-event.json")
    first = found[0]
    assert first.category == "Economic Policy"
    assert first.links.event == "fed-decision-in-june-825"
    assert first.links.series == "fomc"
    assert first.links.collection is not None
    assert first.fees == (
        Fee(
            kind="economics_fees", rate=Decimal("0.05"), exponent=Decimal(1), taker_only=True,
            rebate=Decimal("0.25"), maker_bps=Decimal(1000), taker_bps=Decimal(1000),
        ),
    )  # fmt: skip
    assert first.grid == (PriceRange(Decimal(0), Decimal(1), Decimal("0.001")),)
    assert len(found) % 2 == 0


@needs_recordings
@pytest.mark.parametrize(
    "file",
    ["gamma_event.json", "gamma_market_sports_market_map_handicap.json",
     "gamma_market_sports_market_money_line.json"],
)  # fmt: skip
def test_polymarket_other_answers(file: str) -> None:
    found = recorded("polymarket", f"polymarket/nautilus_rust/{file}")
    assert found
    assert all(one.grid and one.title and one.links.condition for one in found)


@needs_recordings
def test_polymarket_messages() -> None:
    folder = REAL / "polymarket/nautilus_rust"
    yes, no = said("polymarket", (folder / "ws_market_new_market_msg.json").read_bytes())
    assert yes.creates
    assert yes.fields["outcome"] == "Yes"
    assert yes.fields["category"] == "stocks"
    assert yes.fields["grid"] == CENTS
    assert yes.links["tokens"] == {"Yes": yes.sym, "No": no.sym}
    assert yes.links["event"] == "nvda-above-in-january-2026"
    won, lost = said("polymarket", (folder / "ws_market_resolved_msg.json").read_bytes())
    assert (won.sym, won.fields["result"], won.fields["settlement"]) == (yes.sym, "won", 1)
    assert (lost.sym, lost.fields["result"], lost.fields["settlement"]) == (no.sym, "lost", 0)
    assert won.at_ns == won.fields["settle_ns"] == 1766790415550 * 10**6
    (tick,) = said("polymarket", (folder / "ws_market_tick_size_msg.json").read_bytes())
    assert tick.fields == {"grid": CENTS}


def test_polymarket_entry_that_is_wrong() -> None:
    good = {"conditionId": "0x1", "clobTokenIds": '["1","2"]', "outcomes": '["Yes","No"]'}
    page = listed("polymarket", {"markets": [{"conditionId": "0x2", "clobTokenIds": "[1"}, good]})
    assert [found.security.sym for found in page.found] == ["1", "2"]
    assert [entry.entry for entry in page.malformed] == ["0x2"]


# --- Kraken ---------------------------------------------------------------------------------------


@needs_recordings
def test_kraken_pair() -> None:
    (one,) = recorded("kraken", "kraken_spot/nautilus/http_asset_pairs.json")
    (fee,) = one.fees
    assert fee.taker[:2] == (
        Tier(Decimal(0), Decimal("0.4")),
        Tier(Decimal(10000), Decimal("0.35")),
    )
    assert fee.maker[-1] == Tier(Decimal(10_000_000), Decimal(0))
    assert one == Security(
        exchange="kraken",
        sym="BTC/USDT",
        status="online",
        active=True,
        kind="spot",
        title="BTC in USDT",
        category="currency",
        base="BTC",
        quote="USDT",
        grid=(PriceRange(Decimal(0), Decimal("Infinity"), Decimal("0.1")),),
        price_precision=1,
        size_precision=8,
        min_size=Decimal("0.00005"),
        contract_size=Decimal(1),
        fees=one.fees,
        aliases=("XBTUSDT", "XBT/USDT"),
    )


@needs_recordings
def test_kraken_tokenized_and_old() -> None:
    (one,) = recorded("kraken", "kraken_spot/nautilus/http_asset_pairs_tokenized.json")
    assert (one.sym, one.category) == ("AAPLx/USD", "tokenized_asset")
    assert one.fees[0].maker == (Tier(Decimal(0), Decimal("-0.02")),)
    old = recorded("kraken", "kraken_spot/rest_AssetPairs_cryptofeed_20210417.json")
    assert len(old) > 100
    assert any(not one.active for one in old)  # dark pools


@needs_recordings
def test_kraken_instrument_channel() -> None:
    frame = (REAL / "kraken_spot/torquey66_instrument_snapshot_2024.json").read_bytes()
    patches = said("kraken", frame)
    assert len(patches) > 500
    first = patches[0]
    assert first.creates
    assert {"status", "active", "base", "quote", "grid", "min_size"} <= first.fields.keys()


@needs_recordings
def test_kraken_futures_products() -> None:
    master, context = MASTERS["kraken_futures"], Context()
    schedules = {
        "result": "success",
        "feeSchedules": [
            {"uid": "a6cbc326-9477-4a6c-911a-d4cb3ed7481e", "name": "default",
             "tiers": [{"makerFee": 0.02, "takerFee": 0.05, "usdVolume": 0.0}]},
        ],
    }  # fmt: skip
    master.learn(context, master.context()[0], json.dumps(schedules).encode())
    found = recorded(
        "kraken_futures", "kraken_futures/nautilus/http_futures_instruments.json", context
    )
    assert found[0] == Security(
        exchange="kraken_futures",
        sym="PI_XBTUSD",
        status="tradeable",
        active=True,
        kind="futures_inverse",
        title="BTC:USD futures_inverse",
        group="rr_xbtusd",
        base="BTC",
        quote="USD",
        open_ns=ns("2018-08-31T00:00:00Z"),
        grid=(PriceRange(Decimal(0), Decimal("Infinity"), Decimal("0.5")),),
        size_precision=0,
        contract_size=Decimal(1),
        fees=(
            Fee(
                kind="a6cbc326-9477-4a6c-911a-d4cb3ed7481e",
                maker=(Tier(Decimal(0), Decimal("0.02")),),
                taker=(Tier(Decimal(0), Decimal("0.05")),),
            ),
        ),
        links=Links(underlying="rr_xbtusd"),
        aliases=("GB00J62YGL67",),
    )
    assert found[2].grid[0].step == Decimal("1e-10")


@needs_recordings
def test_kraken_futures_that_end() -> None:
    found = recorded("kraken_futures", "kraken_futures/rest_instruments_cryptofeed_20210722.json")
    dated = {one.sym: one for one in found}["FI_XBTUSD_210924"]
    assert dated.close_ns == dated.expire_ns == ns("2021-09-24T15:00:00.000Z")
    assert "fi_xbtusd_210924" in dated.aliases


# --- all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", MASTERS)
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"7", b'{"error":["EGeneral"]}', b"\xff"])
def test_an_answer_that_is_no_list_is_an_error_of_ours(exchange: str, body: bytes) -> None:
    with pytest.raises(ExchangeError):
        listed(exchange, body)


@pytest.mark.parametrize("exchange", MASTERS)
def test_every_exchange_has_a_master(exchange: str) -> None:
    assert set(MASTERS) == set(EXCHANGES)
    request: Any = MASTERS[exchange].first({}, None)
    assert request.path.startswith("/")
