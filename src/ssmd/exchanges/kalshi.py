"""Kalshi trade API v2, WebSocket. Facts from the AsyncAPI text of docs.kalshi.com (2026-07 to 10)
and recordings of 2026-08.

``seq`` is dense per (connection, sid) over all markets of the subscription, and acknowledgements of
updates and snapshots consume numbers. ``delta_fp`` is a signed change. Both sides of the book are
bids: a NO bid at p is a YES ask at 1 - p. A side that is empty is absent.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Struct

from ssmd import message as wire
from ssmd.book import Book
from ssmd.errors import ContractError, ExchangeError, KeyFault
from ssmd.exchanges import kalshi_records
from ssmd.exchanges.base import (
    UNVERIFIED,
    VERIFIED,
    Answer,
    Command,
    Continuity,
    Fault,
    Keepalive,
    Page,
    Plan,
    Request,
    Subscription,
    Verdict,
    broken,
)
from ssmd.exchanges.packing import pack
from ssmd.exchanges.times import NS_PER_MS, NS_PER_S
from ssmd.message import AnyRecord, Header, Message

_MARKET_CHANNELS = ("ticker", "trade", "orderbook_delta")
_ACKS = frozenset({"subscribed", "unsubscribed", "ok"})
_BOOK_TYPES = frozenset({"orderbook_snapshot", "orderbook_delta"})
LOST: Final = frozenset({10, 25})
"""Channel error and subscription buffer overflow: the subscription is over, messages are lost."""
FATAL: Final = frozenset({2, 3, 5, 8, 9, 11, 14})
"""The same command will be refused again."""


class _Msg(Struct, gc=False):
    market_ticker: str | None = None
    ts_ms: int | None = None
    ts: int | str | None = None


class _Frame(Struct, gc=False):
    type: str | None = None
    sid: int | None = None
    seq: int | None = None
    msg: _Msg | None = None


class _Loose(Struct, gc=False):
    type: Any = None


class _AckMsg(Struct, gc=False):
    channel: str | None = None
    sid: int | None = None
    code: int | None = None
    msg: str | None = None
    market_ticker: str | None = None
    market_tickers: list[str] = []


class _Ack(Struct, gc=False):
    type: str | None = None
    id: int | None = None
    sid: int | None = None
    msg: _AckMsg | None = None


_frame = msgspec.json.Decoder(_Frame).decode
_loose = msgspec.json.Decoder(_Loose).decode
_ack = msgspec.json.Decoder(_Ack).decode


class Kalshi:
    name = "kalshi"
    endpoint = "wss://external-api-ws.kalshi.com/trade-api/ws/v2"
    rest_endpoint = "https://external-api.kalshi.com/trade-api/v2"
    keepalive: Keepalive | None = None
    """The server pings every 10 s; there is no ping of the application's."""
    channels: tuple[str, ...] = ("market_lifecycle_v2", "ticker", "trade", "orderbook_delta")
    book_channel = "orderbook_delta"
    key_fields: tuple[str, ...] = ("api_key", "private_key")
    max_symbols_per_connection = 1000
    max_frame_bytes = 64 * 1024 * 1024

    def handshake_headers(
        self, url: str, secrets: Mapping[str, str], now_ms: int
    ) -> dict[str, str]:
        """RSA-PSS (SHA-256, salt as long as the digest) or Ed25519 over ``{ms}GET{path}``."""
        for field in self.key_fields:
            if not secrets.get(field):
                raise KeyFault(
                    f"the Kalshi key lacks {field}", hint="see `keys` of the environment"
                )
        text = f"{now_ms}GET{urlsplit(url).path}".encode()
        return {
            "KALSHI-ACCESS-KEY": secrets["api_key"],
            "KALSHI-ACCESS-TIMESTAMP": str(now_ms),
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(
                _sign(secrets["private_key"], text)
            ).decode(),
        }

    def plan(
        self,
        channels: Sequence[str],
        symbols: Sequence[str],
        *,
        depth: int | None = None,
        per_connection: int | None = None,
    ) -> list[Plan]:
        return pack(
            [channel for channel in channels if channel in _MARKET_CHANNELS],
            [channel for channel in channels if channel not in _MARKET_CHANNELS],
            symbols,
            per_connection or self.max_symbols_per_connection,
        )

    def subscribe(self, subscription: Subscription, request_id: int) -> list[Command]:
        params: dict[str, Any] = {"channels": [subscription.channel]}
        if subscription.symbols:
            params["market_tickers"] = list(subscription.symbols)
        if subscription.channel == "orderbook_delta":
            # The default is announced to change: never rely on it.
            params["use_yes_price"] = False
        if subscription.channel == "ticker":
            params["send_initial_snapshot"] = True
        body = {"id": request_id, "cmd": "subscribe", "params": params}
        return [Command(json.dumps(body).encode(), subscription)]

    def unsubscribe(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        """Takes the markets off the sid ``grp``; without symbols ends the sid."""
        if grp is None:
            return []
        body: dict[str, Any] = {
            "id": request_id,
            "cmd": "unsubscribe",
            "params": {"sids": [int(grp)]},
        }
        if subscription.symbols:
            params = {
                "sids": [int(grp)],
                "market_tickers": list(subscription.symbols),
                "action": "delete_markets",
            }
            body = {"id": request_id, "cmd": "update_subscription", "params": params}
        return [Command(json.dumps(body).encode(), subscription)]

    def repair(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        """Snapshots within the sid, which go on with its numbers; they are their own answer."""
        if grp is None:
            return []
        params = {
            "sid": int(grp),
            "market_tickers": list(subscription.symbols),
            "action": "get_snapshot",
        }
        body = {"id": request_id, "cmd": "update_subscription", "params": params}
        return [Command(json.dumps(body).encode(), subscription, acked=False)]

    def classify(self, frame: bytes) -> Header:
        try:
            head = _frame(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _classify_loosely(frame)
        kind = head.type
        if not kind:
            return Header(wire.UNKNOWN, kind="idle")
        group = None if head.sid is None else str(head.sid)
        if kind in _ACKS:
            return Header(kind, None, None, head.seq, group, "ack")
        if kind == "error":
            return Header(kind, None, None, head.seq, group, "error")
        msg = head.msg
        if msg is None:
            return Header(kind, None, None, head.seq, group)
        ts_ns = None
        if msg.ts_ms is not None:
            ts_ns = msg.ts_ms * NS_PER_MS
        elif type(msg.ts) is int:
            ts_ns = msg.ts * NS_PER_S
        return Header(kind, msg.market_ticker, ts_ns, head.seq, group)

    def answers(self, frame: bytes) -> list[Answer]:
        try:
            ack = _ack(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []
        if ack.type not in _ACKS and ack.type != "error":
            return []
        msg = ack.msg or _AckMsg()
        sid = ack.sid if ack.sid is not None else msg.sid
        failed = ack.type == "error"
        tickers = msg.market_tickers or ([msg.market_ticker] if msg.market_ticker else [])
        return [
            Answer(
                outcome="error" if failed else "ok",
                request_id=ack.id,
                channel=msg.channel,
                symbols=tuple(tickers),
                grp=None if sid is None else str(sid),
                message=f"{msg.code}: {msg.msg}" if failed else None,
                fatal=failed and msg.code in FATAL,
                lost=failed and msg.code in LOST,
            )
        ]

    def records(self, message: Message) -> Iterable[AnyRecord]:
        if message.raw is UNSET:
            return ()
        try:
            return list(kalshi_records.records(message, bytes(message.raw)))
        except (msgspec.MsgspecError, UnicodeDecodeError, ArithmeticError) as error:
            raise ContractError(f"not a kalshi {message.type} message: {error}") from error

    def continuity(self) -> Continuity:
        return KalshiContinuity()

    def instruments_request(self, filter: Mapping[str, str]) -> Request:
        return Request("/markets", {"limit": "1000", **filter})

    def instruments_page(self, request: Request, body: bytes) -> Page:
        try:
            instruments, cursor = kalshi_records.markets(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ExchangeError(f"kalshi markets: unexpected answer: {error}") from error
        after = Request(request.path, {**request.query, "cursor": cursor}) if cursor else None
        return Page(instruments, after)


def _classify_loosely(frame: bytes) -> Header:
    """A frame whose fields are not of the documented types: kept under what it calls itself."""
    try:
        head = _loose(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Header(wire.TEXT if wire.is_utf8(frame) else wire.BINARY, kind="idle")
    named = isinstance(head.type, str) and head.type
    return Header(head.type if named else wire.UNKNOWN, kind="idle")


def _sign(pem: str, text: bytes) -> bytes:
    # Imported late: only Kalshi signs, and the import costs a tenth of a second.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not chained: the parser's own message may quote the key.
        raise KeyFault(
            "the Kalshi private key cannot be read", hint="it must be an unencrypted PEM key"
        ) from None
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
        return key.sign(text, pss, hashes.SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(text)
    raise KeyFault("the Kalshi private key is neither RSA nor Ed25519")


class KalshiContinuity:
    """Sequences per sid, and the books' invariants, of one connection."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._books: dict[str, Book] = {}

    def check(self, header: Header, frame: bytes) -> Verdict:
        sequence = self._check_sequence(header)
        if sequence.state == "broken" and header.grp is not None:
            # The number may have been any market's: no book of the sid can be trusted.
            self._books.clear()
        if header.type in _BOOK_TYPES and header.sym is not None:
            book = self._check_book(header, frame)
            if book.state == "broken" and sequence.state != "broken":
                return book
        return sequence

    def _check_sequence(self, header: Header) -> Verdict:
        group, seq = header.grp, header.seq
        if group is None or seq is None:
            return UNVERIFIED
        last = self._last.get(group)
        self._last[group] = seq
        if last is None:
            return UNVERIFIED
        if seq != last + 1:
            return broken(Fault("sequence", header.sym, group, last + 1, seq - 1))
        return VERIFIED

    def _check_book(self, header: Header, frame: bytes) -> Verdict:
        sym = header.sym or ""
        book = self._books.get(sym)
        if header.type == "orderbook_snapshot":
            book = self._books[sym] = Book()
            kalshi_records.apply(book, header.type, frame)
            return VERIFIED
        if book is None:
            return UNVERIFIED
        size = kalshi_records.apply(book, header.type, frame)
        if size < 0:
            del self._books[sym]
            return broken(Fault("negative", sym, header.grp, books=(sym,)))
        return VERIFIED


KALSHI = Kalshi()
