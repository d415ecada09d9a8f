"""Native replay of real recordings, read by clients that know the exchanges' documentation only."""

import json
from functools import partial
from pathlib import Path

import pytest

import archives
from archives import DAY, REAL, Capture, archive, recording
from clients import kalshi, kraken, kraken_futures, polymarket
from serve_archive import serving
from ssmd.archive.writer import NS_PER_DAY

START = DAY * NS_PER_DAY
KRAKEN = "kraken_spot/mhadiamiri_btcusd_d10_20260719_A3.jsonl"
KRAKEN_RESYNC = "kraken_spot/depthcharge_minagbp_d25_resync_20260818.jsonl"
FUTURES = "kraken_futures/cryptofeed_futures_20210722.jsonl"
POLYMARKET = "polymarket/nslaughter_noreplay_reference_20261004.jsonl"
REOPENING = "polymarket/nslaughter_noreplay_reconnect_opening_20261004.jsonl"
KALSHI = "kalshi/zkiihne_KXGOLD15M-26AUG102030-30_first9000_resync.jsonl"

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")


def made(root: Path, exchange: str, frames: list[bytes]) -> Path:
    """An archive of one connection that got these frames, a ms apart from ``START`` on, and that
    is open still."""
    archive(root, Capture(exchange).session(frames)[:-1], exchange)
    return root


def url(exchange: str, frames: int, *, before: int) -> str:
    """A native replay, as fast as it is read, that leaves out so many frames at the beginning."""
    start = START + (before + 1) * archives.MS
    return f"/replay/{exchange}/ws?from={start}&to={START + NS_PER_DAY}&speed=0"


of = partial(serving, env=archives.ENV)


@pytest.mark.parametrize("before", [0, 700, 1300])
async def test_kraken_checksums_hold_from_any_moment_on(tmp_path: Path, before: int) -> None:
    frames = recording(KRAKEN)
    async with of(made(tmp_path, "kraken", frames)) as client:
        seen = await kraken.run(client, url("kraken", len(frames), before=before), ["BTC/USD"])
    books = sum(frame.startswith(b'{"channel":"book"') for frame in frames[before:])
    assert seen.wrong == []
    assert seen.verified == books + (1 if before else 0)  # and the snapshot that was made
    assert seen.snapshots == 1
    assert seen.closed == 1000
    assert [ack["result"]["channel"] for ack in seen.acks if ack["method"] == "subscribe"] == [
        "instrument", "ticker", "trade", "book",
    ]  # fmt: skip
    assert [ack["req_id"] for ack in seen.acks if ack["method"] == "pong"] == [99]
    assert seen.status[0]["system"] == "online"


async def test_frames_come_as_the_exchange_sent_them(tmp_path: Path) -> None:
    frames = recording(KRAKEN)
    async with of(made(tmp_path, "kraken", frames)) as client:
        seen = await kraken.run(client, url("kraken", len(frames), before=800), ["BTC/USD"])
    sent = [frame.decode() for frame in frames[800:] if frame.startswith(b'{"channel":"book"')]
    assert [frame for frame in seen.frames if frame.startswith('{"channel":"book"')][1:] == sent


@pytest.mark.parametrize("depth", [10, 25])
@pytest.mark.parametrize("before", [0, 10, 85])
async def test_kraken_books_can_be_had_at_a_smaller_depth(
    tmp_path: Path, before: int, depth: int
) -> None:
    frames = recording(KRAKEN_RESYNC)
    async with of(made(tmp_path, "kraken", frames)) as client:
        path = url("kraken", len(frames), before=before)
        seen = await kraken.run(client, path, ["MINA/GBP"], depth=depth)
    assert seen.wrong == []
    assert seen.verified >= 1
    assert len(seen.books["MINA/GBP"].bids) <= depth


async def test_kraken_has_no_more_depth_than_was_recorded(tmp_path: Path) -> None:
    frames = recording(KRAKEN)
    async with of(made(tmp_path, "kraken", frames)) as client:
        path = url("kraken", len(frames), before=100)
        seen = await kraken.run(client, path, ["BTC/USD", "FOO/USD"], depth=100)
    assert {error["error"] for error in seen.errors} == {
        "Subscription depth not supported",
        "Currency pair not supported FOO/USD",
    }
    assert seen.books == {}


@pytest.mark.parametrize("before", [0, 25, 4000])
async def test_futures_sequences_follow_from_the_snapshot(tmp_path: Path, before: int) -> None:
    frames = recording(FUTURES)
    products = sorted(
        {json.loads(f)["product_id"] for f in frames if b'"feed":"book_snapshot"' in f}
    )
    async with of(made(tmp_path, "kraken_futures", frames)) as client:
        path = url("kraken_futures", len(frames), before=before)
        seen = await kraken_futures.run(client, path, products, ("book", "trade", "ticker_lite"))
    deltas = sum(b'"feed":"book",' in frame and b'"seq"' in frame for frame in frames[before:])
    assert seen.wrong == []
    assert seen.verified == deltas
    assert set(seen.books) == set(products)
    assert seen.info == [{"event": "info", "version": 1}]
    assert len(seen.acks) == 3 * len(products)
    for numbers in seen.trades.values():
        assert numbers == sorted(set(numbers))


async def test_polymarket_tops_hold_and_the_made_book_is_the_exchanges_own(tmp_path: Path) -> None:
    frames = recording(POLYMARKET)
    assets = [book["asset_id"] for book in json.loads(frames[0])]
    async with of(made(tmp_path, "polymarket", frames)) as client:
        whole = await polymarket.run(client, url("polymarket", 0, before=0), assets)
        late = await polymarket.run(client, url("polymarket", 0, before=len(frames)), assets)
    assert whole.wrong == late.wrong == []
    assert whole.verified == 16
    assert whole.pongs == 1
    # What the exchange itself sent to a connection that was opened after the eight changes.
    (opening,) = recording(REOPENING)
    (told,) = [frame for frame in late.frames if frame.startswith("[{")]
    by_asset = {book["asset_id"]: book for book in json.loads(opening)}
    for book in json.loads(told):
        real = by_asset[book["asset_id"]]
        assert {**book, "timestamp": 0} == {**real, "timestamp": 0}


async def test_polymarket_sends_what_is_subscribed_only(tmp_path: Path) -> None:
    frames = recording(POLYMARKET)
    asset = json.loads(frames[0])[1]["asset_id"]
    async with of(made(tmp_path, "polymarket", frames)) as client:
        seen = await polymarket.run(client, url("polymarket", 0, before=0), [asset])
    assert seen.assets == {asset}
    assert seen.verified == 8
    assert seen.wrong == []


@pytest.mark.parametrize("before", [0, 1000, 3000])
async def test_kalshi_numbers_are_dense_and_books_sound(tmp_path: Path, before: int) -> None:
    """The recording begins anew in its middle: the client gets a new snapshot there."""
    frames = recording(KALSHI, 5000)
    second = next(i for i, f in enumerate(frames) if i and b'"orderbook_snapshot"' in f)
    capture = Capture("kalshi", conn="c1")
    lines = capture.session(of_one_sid(frames[:second]))
    again = Capture("kalshi", conn="c2", start_ns=capture.now_ns)
    lines += again.session(of_one_sid(frames[second:]))
    archive(tmp_path, lines, "kalshi")
    ticker = json.loads(frames[0])["msg"]["market_ticker"]
    async with of(tmp_path) as client:
        seen = await kalshi.run(client, url("kalshi", len(frames), before=before), [ticker])
    assert seen.wrong == []
    assert seen.counts["orderbook_snapshot"] == 2
    kinds = [json.loads(frame)["type"] for frame in frames[before:]]
    assert seen.counts["orderbook_delta"] == kinds.count("orderbook_delta")
    assert len(seen.trades) == kinds.count("trade")
    assert seen.closed == 1000


def of_one_sid(frames: list[bytes]) -> list[bytes]:
    """Each sid with numbers without holes: the recording is one market out of several."""
    counts: dict[bytes, int] = {}
    made = []
    for frame in frames:
        head, _, tail = frame.partition(b'"msg"')
        whole = json.loads(frame)
        counts[b"%d" % whole["sid"]] = seq = counts.get(b"%d" % whole["sid"], 0) + 1
        made.append(head.replace(b'"seq":%d' % whole["seq"], b'"seq":%d' % seq) + b'"msg"' + tail)
    return made


async def test_polymarket_client_of_nothing_gets_nothing(tmp_path: Path) -> None:
    async with of(made(tmp_path, "polymarket", recording(POLYMARKET))) as client:
        seen = await polymarket.run(client, url("polymarket", 0, before=0), ["1"])
    assert seen.counts == {}
