"""Kalshi, simulated. Signed handshake, sids with dense sequences, error codes, lifecycle."""

import base64
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from ssmd.sim.market import Event, Market
from ssmd.sim.venues.base import NOT_FOUND, Answer, Send, Session, Venue

CHANNELS = ("ticker", "trade", "orderbook_delta", "market_lifecycle_v2")
MAX_PAGE = 1000
CLOCK_SKEW_MS = 60_000
SIDES = {"bid": "yes", "ask": "no"}
ERRORS = {
    2: "Params required",
    3: "Channels required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
}


class Sid:
    """One subscription: a channel, its markets (None is all), and its own sequence."""

    def __init__(self, number: int, channel: str, tickers: set[str] | None) -> None:
        self.number = number
        self.channel = channel
        self.tickers = tickers
        self.seq = 0

    def next(self) -> int:
        self.seq += 1
        return self.seq


class KalshiSession(Session):
    def __init__(self, send: Send, venue: "Kalshi") -> None:
        super().__init__(send)
        self._venue = venue
        self._sids: dict[int, Sid] = {}
        self._numbers = 0
        self._routes: dict[str, list[Sid]] = {channel: [] for channel in CHANNELS}

    def received(self, frame: bytes) -> None:
        try:
            command = json.loads(frame)
            number = command.get("id", 0)
            handler = {
                "subscribe": self._subscribe,
                "unsubscribe": self._unsubscribe,
                "update_subscription": self._update,
                "list_subscriptions": self._list,
            }.get(command.get("cmd"))
        except (ValueError, AttributeError):
            return self._error(0, 5)
        if handler is None:
            return self._error(number, 5)
        params = command.get("params")
        if not isinstance(params, dict) and command["cmd"] != "list_subscriptions":
            return self._error(number, 2)
        handler(number, params or {})
        return None

    def _error(self, number: int, code: int) -> None:
        body = {"id": number, "type": "error", "msg": {"code": code, "msg": ERRORS[code]}}
        self.send(msgspec.json.encode(body))

    def _subscribe(self, number: int, params: dict[str, Any]) -> None:
        channels = params.get("channels") or []
        if not channels:
            return self._error(number, 3)
        one = params.get("market_ticker")
        tickers = [one] if one else params.get("market_tickers")
        for channel in channels:
            if channel not in CHANNELS:
                self._error(number, 8)
            elif channel == "orderbook_delta" and not tickers:
                self._error(number, 14)
            else:
                self._open(number, channel, tickers)
        return None

    def _open(self, number: int, channel: str, tickers: list[str] | None) -> None:
        self._numbers += 1
        wanted = None if tickers is None or channel.endswith("_v2") else set(tickers)
        sid = Sid(self._numbers, channel, wanted)
        self._sids[sid.number] = sid
        self._routes[channel].append(sid)
        msg = {"channel": channel, "sid": sid.number}
        self.send(msgspec.json.encode({"id": number, "type": "subscribed", "msg": msg}))
        if channel == "orderbook_delta":
            self._snapshots(sid, tickers or ())

    def _snapshots(self, sid: Sid, tickers: Iterable[str], number: int | None = None) -> None:
        for ticker in tickers:
            market = self._venue.markets.get(ticker)
            if market is not None:
                self.send(self._snapshot(sid, market, number))

    def _snapshot(self, sid: Sid, market: Market, number: int | None) -> bytes:
        msg: dict[str, Any] = {
            "market_ticker": market.symbol,
            "market_id": market_id(market.symbol),
        }
        yes = [[dollars(tick), f"{size}.00"] for tick, size in sorted(market.bids.items())]
        no = [[dollars(100 - t), f"{s}.00"] for t, s in sorted(market.asks.items(), reverse=True)]
        if yes:
            msg["yes_dollars_fp"] = yes
        if no:
            msg["no_dollars_fp"] = no
        head: dict[str, Any] = {} if number is None else {"id": number}
        body = {"type": "orderbook_snapshot", "sid": sid.number, "seq": sid.next(), "msg": msg}
        return msgspec.json.encode({**head, **body})

    def _unsubscribe(self, number: int, params: dict[str, Any]) -> None:
        for wanted in params.get("sids") or []:
            sid = self._sids.pop(wanted, None)
            if sid is None:
                self._error(number, 7)
                continue
            self._routes[sid.channel].remove(sid)
            body = {"id": number, "sid": sid.number, "seq": sid.next(), "type": "unsubscribed"}
            self.send(msgspec.json.encode(body))

    def _update(self, number: int, params: dict[str, Any]) -> None:
        sids = params.get("sids") or ([params["sid"]] if "sid" in params else [])
        if len(sids) != 1:
            return self._error(number, 12)
        sid = self._sids.get(sids[0])
        if sid is None:
            return self._error(number, 7)
        tickers = params.get("market_tickers") or []
        action = params.get("action")
        if action == "get_snapshot":
            self._snapshots(sid, tickers, number)
            return None
        if action not in ("add_markets", "delete_markets"):
            return self._error(number, 13)
        current = sid.tickers or set()
        sid.tickers = current | set(tickers) if action == "add_markets" else current - set(tickers)
        body = {
            "id": number,
            "sid": sid.number,
            "seq": sid.next(),
            "type": "ok",
            "msg": {"market_tickers": sorted(sid.tickers)},
        }
        self.send(msgspec.json.encode(body))
        if action == "add_markets" and sid.channel == "orderbook_delta":
            self._snapshots(sid, tickers)
        return None

    def _list(self, number: int, params: dict[str, Any]) -> None:
        held = [{"channel": sid.channel, "sid": sid.number} for sid in self._sids.values()]
        self.send(msgspec.json.encode({"id": number, "type": "ok", "subscriptions": held}))

    def happened(self, market: Market, event: Event, ts_ns: int) -> None:
        ticker, ts_ms = market.symbol, ts_ns // 1_000_000
        for sid in self._routes["orderbook_delta"]:
            if sid.tickers is None or ticker in sid.tickers:
                self.send(self._delta(sid, ticker, event, ts_ms))
        if not event.traded:
            return
        for sid in self._routes["trade"]:
            if sid.tickers is None or ticker in sid.tickers:
                self.send(self._trade(sid, market, event, ts_ms))
        for sid in self._routes["ticker"]:
            if sid.tickers is None or ticker in sid.tickers:
                self.send(self._ticker(sid, market, event, ts_ms))

    def _delta(self, sid: Sid, ticker: str, event: Event, ts_ms: int) -> bytes:
        tick = event.tick if event.side == "bid" else 100 - event.tick
        moment = datetime.fromtimestamp(ts_ms / 1000, UTC)
        return (
            f'{{"type":"orderbook_delta","sid":{sid.number},"seq":{sid.next()},"msg":'
            f'{{"market_ticker":"{ticker}","market_id":"{market_id(ticker)}",'
            f'"price_dollars":"{dollars(tick)}","delta_fp":"{event.change}.00",'
            f'"side":"{SIDES[event.side]}","ts":"{moment:%Y-%m-%dT%H:%M:%S.%fZ}",'
            f'"ts_ms":{ts_ms}}}}}'
        ).encode()

    def _trade(self, sid: Sid, market: Market, event: Event, ts_ms: int) -> bytes:
        """A resting NO order filled is a taker who bought YES."""
        taker = "no" if event.side == "bid" else "yes"
        msg = {
            "trade_id": str(uuid.UUID(int=self._venue.rng.getrandbits(128))),
            "market_ticker": market.symbol,
            "yes_price_dollars": dollars(event.tick),
            "no_price_dollars": dollars(100 - event.tick),
            "count_fp": f"{event.traded}.00",
            "taker_side": taker,
            "taker_outcome_side": taker,
            "taker_book_side": "bid" if taker == "yes" else "ask",
            "ts": ts_ms // 1000,
            "ts_ms": ts_ms,
        }
        body = {"type": "trade", "sid": sid.number, "seq": sid.next(), "msg": msg}
        return msgspec.json.encode(body)

    def _ticker(self, sid: Sid, market: Market, event: Event, ts_ms: int) -> bytes:
        bid, ask = market.best()
        msg = {
            "market_ticker": market.symbol,
            "market_id": market_id(market.symbol),
            "price_dollars": dollars(event.tick),
            "yes_bid_dollars": dollars(bid or 0),
            "yes_ask_dollars": dollars(100 if ask is None else ask),
            "yes_bid_size_fp": f"{market.bids.get(bid or 0, 0)}.00",
            "yes_ask_size_fp": f"{market.asks.get(ask or 0, 0)}.00",
            "last_trade_size_fp": f"{event.traded}.00",
            "volume_fp": f"{market.volume}.00",
            "open_interest_fp": f"{market.volume // 2}.00",
            "dollar_volume": market.volume // 2,
            "dollar_open_interest": market.volume // 4,
            "ts": ts_ms // 1000,
            "ts_ms": ts_ms,
        }
        return msgspec.json.encode({"type": "ticker", "sid": sid.number, "msg": msg})

    def listed(self, market: Market, status: str, ts_ns: int) -> None:
        seconds = ts_ns // 1_000_000_000
        msg: dict[str, Any] = {"event_type": status, "market_ticker": market.symbol}
        if status == "created":
            msg |= {"open_ts": seconds, "close_ts": seconds + 900}
            msg |= {"price_level_structure": "linear_cent", "price_ranges": RANGES}
        elif status == "determined":
            msg |= {"determination_ts": seconds, "result": "yes" if market.last >= 50 else "no"}
        elif status == "settled":
            msg |= {"settled_ts": seconds}
        for sid in self._routes["market_lifecycle_v2"]:
            body = {"type": "market_lifecycle_v2", "sid": sid.number, "seq": sid.next(), "msg": msg}
            self.send(msgspec.json.encode(body))


RANGES = [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]


class Kalshi(Venue):
    name = "kalshi"
    ws_path = "/kalshi/trade-api/ws/v2"
    rest_path = "/kalshi/trade-api/v2"
    ping = b"heartbeat"

    def __init__(self, seed: int, count: int, public_key: str | None = None) -> None:
        super().__init__(seed, count)
        self._public_key = public_key
        self._listed = 0
        self._status: dict[str, str] = {}

    def make(self, count: int) -> list[Market]:
        return [self._market(f"KXSIM-26NOV-T{number}.99") for number in range(count)]

    def _market(self, symbol: str) -> Market:
        return Market(symbol, self.rng, mid=self.rng.randint(20, 80), low=1, high=99)

    def list_new(self) -> Market:
        self._listed += 1
        return self._market(f"KXSIM15M-26NOV-{self._listed:05d}")

    def settle(self, market: Market) -> None:
        super().settle(market)
        self._status[market.symbol] = "finalized"

    def session(self, send: Send) -> KalshiSession:
        return KalshiSession(send, self)

    def refuse(self, headers: Mapping[str, str], path: str) -> int | None:
        if self._public_key is None:
            return None
        stamp = headers.get("kalshi-access-timestamp", "")
        signature = headers.get("kalshi-access-signature", "")
        if not headers.get("kalshi-access-key") or not stamp.isdigit():
            return 401
        if abs(int(stamp) - time.time_ns() // 1_000_000) > CLOCK_SKEW_MS:
            return 401
        return None if _verified(self._public_key, f"{stamp}GET{path}", signature) else 401

    def rest(self, path: str, query: Mapping[str, str]) -> Answer:
        if path == "/markets":
            return self._markets(query)
        if path == "/exchange/status":
            return Answer(200, b'{"exchange_active":true,"trading_active":true}')
        symbol = path.removeprefix("/markets/").removesuffix("/orderbook")
        market = self.markets.get(symbol)
        if market is None:
            return NOT_FOUND
        if not path.endswith("/orderbook"):
            return Answer(200, msgspec.json.encode({"market": self._describe(market)}))
        yes = [[dollars(t), f"{s}.00"] for t, s in sorted(market.bids.items())]
        no = [[dollars(100 - t), f"{s}.00"] for t, s in sorted(market.asks.items(), reverse=True)]
        book = {"orderbook_fp": {"yes_dollars": yes, "no_dollars": no}}
        return Answer(200, msgspec.json.encode(book))

    def _markets(self, query: Mapping[str, str]) -> Answer:
        limit, cursor = query.get("limit", "100"), query.get("cursor") or "0"
        if not limit.isdigit() or not 0 < int(limit) <= MAX_PAGE or not cursor.isdigit():
            return Answer(400, b'{"error":{"code":"bad_request"}}')
        symbols = list(self.markets)
        if query.get("status") == "open":
            symbols = [symbol for symbol in symbols if symbol not in self._status]
        first, last = int(cursor), int(cursor) + int(limit)
        page = [self._describe(self.markets[symbol]) for symbol in symbols[first:last]]
        body = {"markets": page, "cursor": str(last) if last < len(symbols) else ""}
        return Answer(200, msgspec.json.encode(body))

    def _describe(self, market: Market) -> dict[str, Any]:
        bid, ask = market.best()
        return {
            "ticker": market.symbol,
            "event_ticker": market.symbol.rpartition("-")[0],
            "market_type": "binary",
            "status": self._status.get(market.symbol, "active"),
            "title": f"Simulated market {market.symbol}",
            "open_time": "2026-01-01T00:00:00Z",
            "close_time": "2027-01-01T00:00:00Z",
            "price_level_structure": "linear_cent",
            "price_ranges": RANGES,
            "yes_bid_dollars": dollars(bid or 0),
            "yes_ask_dollars": dollars(100 if ask is None else ask),
            "last_price_dollars": dollars(market.last),
            "volume_fp": f"{market.volume}.00",
        }


def dollars(cents: int) -> str:
    """Cents as Kalshi writes prices."""
    return f"{cents // 100}.{cents % 100:02d}00"


@cache
def market_id(symbol: str) -> str:
    """A stable UUID for a symbol."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, symbol))


def _verified(public_key: str, text: str, signature: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(public_key.encode())
    try:
        signed = base64.b64decode(signature, validate=True)
        if isinstance(key, rsa.RSAPublicKey):
            mask = padding.MGF1(hashes.SHA256())
            pss = padding.PSS(mgf=mask, salt_length=hashes.SHA256.digest_size)
            key.verify(signed, text.encode(), pss, hashes.SHA256())
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signed, text.encode())
        else:
            return False
    except (ValueError, InvalidSignature):
        return False
    return True
