"""An archive written by the archiver's own writer, and Hypercorn over it on a free port."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Collection, Iterable
from pathlib import Path

import aiohttp
from starlette.routing import BaseRoute

from ssmd import message
from ssmd.archive.writer import About, Writer
from ssmd.config import Instruments, ResolvedFeed, Rotation
from ssmd.dataset import Archive
from ssmd.exchanges import EXCHANGES
from ssmd.message import Message
from ssmd.serve.app import create_app
from ssmd.serve.rate import Rate
from ssmd.serve.roles import Roles
from ssmd.serve.server import serve_on
from ssmd.serve.tail import Tail
from ssmd.serve.tls import Tls

ENV = "test"
DAY = "2026-11-20"
START_NS = 1_795_132_800_000_000_000
"""Noon of that day."""

KALSHI = [
    b'{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":1}}',
    b'{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"KXBTC-26","yes_dollars_fp"'
    b':[["0.4100","10.00"]],"no_dollars_fp":[["0.5500","7.50"]]}}',
    b'{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"KXBTC-26","price_dollars":'
    b'"0.4200","delta_fp":"3.00","side":"yes","ts_ms":1795132800100}}',
    b'{"type":"trade","sid":2,"seq":1,"msg":{"market_ticker":"KXETH-26","trade_id":"t1",'
    b'"yes_price_dollars":"0.4200","count_fp":"1.00","taker_side":"yes","ts_ms":1795132800200,'
    b'"odd":12345678901234567890,"zeros":1.500}}',
    b'{"type":"ticker","sid":3,"msg":{"market_ticker":"KXETH-26","yes_bid_dollars":"0.4100",'
    b'"yes_ask_dollars":"0.4300","ts_ms":1795132800300}}',
]
POLYMARKET = [
    b'{"event_type":"price_change","market":"0xabc","timestamp":"1795132800100","price_changes":['
    b'{"asset_id":"111","price":"0.5","size":"200","side":"BUY","hash":"h1","best_bid":"0.5",'
    b'"best_ask":"0.6"},{"asset_id":"222","price":"0.5","size":"200","side":"SELL","hash":"h2",'
    b'"best_bid":"0.4","best_ask":"0.5"}]}',
    b'{"event_type":"last_trade_price","market":"0xabc","asset_id":"111","price":"0.5","size":"2",'
    b'"side":"BUY","timestamp":"1795132800200"}',
]
KRAKEN = [
    b'{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[{"symbol":"BTC/USD",'
    b'"base":"BTC","quote":"USD","status":"online"},{"symbol":"ETH/USD","base":"ETH","quote":"USD",'
    b'"status":"online"}]}}',
    b'{"channel":"heartbeat"}',
]
FRAMES = {"kalshi": KALSHI, "polymarket": POLYMARKET, "kraken": KRAKEN}


def payloads(
    feed: str, frames: Iterable[bytes], *, start_ns: int = START_NS, conn: str = "c1"
) -> list[bytes]:
    """Frames as the connector publishes them."""
    made = []
    for n, frame in enumerate(frames, 1):
        header = EXCHANGES[feed].classify(frame)
        facts = {"ts_ns": header.ts_ns, "sym": header.sym, "seq": header.seq, "grp": header.grp}
        made.append(
            message.encode(
                Message(
                    feed=feed,
                    conn=conn,
                    n=n,
                    recv_ns=start_ns + n,
                    mono_ns=n,
                    type=header.type,
                    **{key: value for key, value in facts.items() if value is not None},
                    **message.body(frame),
                )
            )
        )
    return made


def writer(root: Path, feed: str, *, created: str = "2026-11-20T00:00:00Z") -> Writer:
    return Writer(root, About(ENV, feed, "message:v1", "sha256:0", created), Rotation())


def add(to: Writer, lines: Iterable[bytes]) -> None:
    """Make messages durable in the open segment."""
    for payload in lines:
        to.add(to.last_seq + 1, payload)
    to.flush()


def make(root: Path) -> Path:
    """An archive with one closed segment a feed."""
    for feed, frames in FRAMES.items():
        with contextlib.closing(writer(root, feed)) as to:
            add(to, payloads(feed, frames))
            to.seal()
    return root


def feeds() -> dict[str, ResolvedFeed]:
    return {
        name: ResolvedFeed(
            name=name,
            exchange=name,
            endpoint="ws://127.0.0.1:1",
            rest_endpoint="http://127.0.0.1:1",
            channels=(),
            depth=None,
            instruments=Instruments(),
            max_symbols_per_connection=None,
            rate_limit_per_second=None,
            stale_after_s=60.0,
            rest_stands_in=True,
            key=None,
        )
        for name in ("kalshi", "polymarket")
    }


@contextlib.asynccontextmanager
async def serving(
    root: Path,
    *,
    key: str | None = None,
    tail: Tail | None = None,
    roles: Roles | None = None,
    port: int = 0,
    key_required: bool = False,
    origins: Collection[str] = (),
    rate: Rate | None = None,
    tls: Tls | None = None,
    routes: Iterable[BaseRoute] = (),
    env: str = ENV,
    stop: asyncio.Event | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the application, served by Hypercorn, with some more ``routes``."""
    stop = stop or asyncio.Event()
    app = create_app(
        Archive(root, env),
        feeds(),
        key=key,
        tail=tail,
        roles=roles,
        key_required=key_required,
        origins=origins,
        rate=rate,
        stopping=stop,
    )
    app.router.routes.extend(routes)
    with socket.create_server(("127.0.0.1", port)) as listener:
        scheme = "http" if tls is None else "https"
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve_on(listener, app, stop, tls))
            try:
                async with aiohttp.ClientSession(url) as client:
                    yield client
            finally:
                stop.set()
