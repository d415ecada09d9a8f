"""The wire contract, version 1: the only place that knows what a message looks like.

A message is one JSON object on one line, the same bytes on the bus, in the archive and out of the
raw API. The frame is in exactly one of ``raw`` (it was JSON: the same bytes, only line breaks
between tokens and white space around it removed), ``text`` (valid UTF-8 but not JSON) or ``b64``
(neither).
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ssmd.errors import ContractError

VERSION: Final = 1

TEXT: Final = "_text"
"""Type of a frame that is UTF-8 but not JSON (Polymarket's ``PONG``)."""
BINARY: Final = "_binary"
"""Type of a frame that is not UTF-8."""
EMPTY: Final = "_empty"
"""Type of an empty array frame, which has no element to be a message."""
UNKNOWN: Final = "_unknown"
"""Type of a JSON frame that carries no type of its own."""


class Message(Struct, kw_only=True, frozen=True, gc=False):
    """One frame, or one element of an array frame, with its capture facts.

    ``n`` counts the frames of the connection from 1, without holes. A message of our own
    (``_connect``, ``_gap``, ...) stands after frame ``n``, and its ``part`` counts our own messages
    of the connection downwards from -1, also without holes: ``(conn, n, part)`` is unique for ever
    and frame numbers stay the exchange's.
    """

    v: Literal[1] = 1
    feed: str
    conn: str
    n: int
    part: int | UnsetType = UNSET
    parts: int | UnsetType = UNSET
    """How many elements the array frame had; absent where the frame was no array."""
    recv_ns: int
    mono_ns: int
    ts_ns: int | UnsetType = UNSET
    type: str
    sym: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    grp: str | UnsetType = UNSET
    raw: Raw | UnsetType = UNSET
    text: str | UnsetType = UNSET
    b64: str | UnsetType = UNSET

    @property
    def id(self) -> str:
        """``{conn}:{n}:{part}``, the ``Nats-Msg-Id``: the same at every resend."""
        return f"{self.conn}:{self.n}:{self.part or 0}"

    @property
    def payload(self) -> bytes:
        """The frame or element as stored."""
        if self.raw is not UNSET:
            return bytes(self.raw)
        if self.text is not UNSET:
            return self.text.encode()
        return base64.b64decode(self.b64) if self.b64 is not UNSET else b""


class Archived(Message, kw_only=True, frozen=True, gc=False):
    """A message as a line of the archive: with the stream sequence it was stored under."""

    nats_seq: int


class Capture(Struct, frozen=True, gc=False):
    """The few fields of an archived line that indexing needs; the rest is not decoded."""

    nats_seq: int
    conn: str
    n: int
    recv_ns: int
    type: str
    part: int = 0
    sym: str | None = None


class Header(NamedTuple):
    """What an exchange's ``classify`` reads off a frame. ``None`` where the frame has none.

    ``kind`` tells the connector what to do beyond keeping the frame: ``data`` is market data and
    proves life, ``ack`` and ``error`` answer a command of ours, ``status`` says how the exchange
    is, ``idle`` is anything that does not prove that data flows (heartbeats, pongs, greetings).
    """

    type: str
    sym: str | None = None
    ts_ns: int | None = None
    seq: int | None = None
    grp: str | None = None
    kind: Literal["data", "ack", "error", "status", "idle"] = "data"


_encoder = msgspec.json.Encoder()
_decode_message = msgspec.json.Decoder(Message).decode
_decode_archived = msgspec.json.Decoder(Archived).decode
_decode_capture = msgspec.json.Decoder(Capture).decode
_decode_elements = msgspec.json.Decoder(list[Raw]).decode
_decode_any = msgspec.json.Decoder(Raw).decode
_LINE_BREAKS = re.compile(rb"[\r\n]")

encode = _encoder.encode
"""Message -> its line, without the line break."""


def decode(line: bytes) -> Message:
    """The message of a line; raises ContractError where the line is none."""
    try:
        return _decode_message(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"not a message: {error}") from error


def decode_archived(line: bytes) -> Archived:
    """The message of an archive line; raises ContractError where the line is none."""
    try:
        return _decode_archived(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"not an archived message: {error}") from error


def decode_capture(line: bytes) -> Capture:
    """The capture facts of an archive line; raises ContractError where the line is no message."""
    try:
        return _decode_capture(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"not an archived message: {error}") from error


def archive_line(nats_seq: int, line: bytes) -> bytes:
    """A message as it stands in the archive: ``nats_seq`` first, then the bytes of the bus."""
    return b'{"nats_seq":%d,%b\n' % (nats_seq, line[1:])


def is_json(frame: bytes) -> bool:
    """Whether the frame can be embedded in a message as it is."""
    try:
        _decode_any(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return is_utf8(frame)


def is_utf8(frame: bytes) -> bool:
    """Whether the frame is valid UTF-8. JSON decoders pass over the bytes of skipped strings."""
    if frame.isascii():
        return True
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return True


def split_array(frame: bytes) -> list[bytes] | None:
    """The elements of an array frame, byte for byte; None where the frame is no JSON array."""
    if not frame.lstrip(b" \t\r\n").startswith(b"["):
        return None
    try:
        elements = _decode_elements(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return [bytes(element) for element in elements] if is_utf8(frame) else None


def body(frame: bytes) -> dict[str, Any]:
    """The one of ``raw``, ``text`` and ``b64`` that can hold the frame, as keyword arguments."""
    if is_json(frame):
        return {"raw": one_line(frame)}
    if is_utf8(frame):
        return {"text": frame.decode()}
    return {"b64": base64.b64encode(frame).decode()}


def one_line(frame: bytes) -> Raw:
    """A JSON frame without line breaks, which can only stand between its tokens, and without the
    white space around it, which no JSON reader hands on."""
    frame = frame.strip(b" \t\r\n")
    if b"\n" in frame or b"\r" in frame:
        frame = _LINE_BREAKS.sub(b"", frame)
    return Raw(frame)


# --- subjects -----------------------------------------------------------------------------------

NO_SYMBOL: Final = "_"
MAX_TOKEN_BYTES: Final = 512
_UNSAFE = re.compile(r"[^A-Za-z0-9_\-]")
_SHORTENED: Final = "%-"
"""No escape looks so."""


def escape_token(token: str) -> str:
    """Any text -> one NATS subject token, reversible by ``unescape_token``.

    Percent-encoding of the UTF-8 of all but ``A-Z a-z 0-9 _ -``; dots, spaces, wildcards and
    control characters cannot come through. Empty text is ``%``; a lone ``_`` is ``%5F``, so that
    it differs from "no symbol". What gets longer than ``MAX_TOKEN_BYTES`` (NATS ends a connection
    over a command line of 4,096) is its beginning, ``%-`` and the SHA-256 of the whole: always the
    same, and different for different texts, but not to be read back. The message has it whole.
    """
    if not token:
        return "%"
    if token == NO_SYMBOL:
        return "%5F"
    escaped = token if token.isascii() and token.isalnum() else _UNSAFE.sub(_percent, token)
    return escaped if len(escaped) <= MAX_TOKEN_BYTES else _shorten(token)


def _shorten(token: str) -> str:
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
    room = MAX_TOKEN_BYTES - len(_SHORTENED) - len(digest)
    start = ""
    for sign in token[:room]:
        piece = _UNSAFE.sub(_percent, sign)
        if len(start) + len(piece) > room:
            break
        start += piece
    return f"{start}{_SHORTENED}{digest}"


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogatepass"))


def unescape_token(token: str) -> str:
    """The text of a subject token; of a shortened one, the text that stands for it."""
    if token == "%":
        return ""
    return unquote(token, errors="surrogatepass")


def subject(env: str, feed: str, type_: str, sym: str | None) -> str:
    """``{env}.{feed}.json.{type}.{symbol}``; the symbol of a message without one is ``_``."""
    symbol = NO_SYMBOL if sym is None else escape_token(sym)
    return f"{escape_token(env)}.{escape_token(feed)}.json.{escape_token(type_)}.{symbol}"


def parse_subject(text: str) -> tuple[str, str, str, str | None]:
    """``(env, feed, type, symbol or None)`` of a subject, except where ``escape_token`` had to
    shorten one; raises ContractError."""
    tokens = text.split(".")
    if len(tokens) != 5 or tokens[2] != "json":
        raise ContractError(f"not a subject of ssmd: {text}")
    try:
        env, feed, type_ = (unescape_token(tokens[i]) for i in (0, 1, 3))
        return env, feed, type_, None if tokens[4] == NO_SYMBOL else unescape_token(tokens[4])
    except UnicodeDecodeError as error:
        raise ContractError(f"not a subject of ssmd: {text}") from error


def stream_name(env: str, feed: str) -> str:
    """``{ENV}_{FEED}``: the JetStream stream that holds one feed of one environment."""
    return f"{escape_token(env)}_{escape_token(feed)}".upper()


def feed_subjects(env: str, feed: str) -> str:
    """The subjects of one feed, as a NATS wildcard."""
    return f"{escape_token(env)}.{escape_token(feed)}.json.>"


# --- records ------------------------------------------------------------------------------------

Level = tuple[Decimal, Decimal]
"""Price and size, with the digits that the exchange sent."""


class Record(Struct, kw_only=True, frozen=True, tag_field="record", omit_defaults=True):
    """What a message means, in terms shared by all exchanges; derived, never stored as the truth.

    ``sym`` is the instrument (a Polymarket asset, where the message's ``sym`` is its market).
    ``ts_ns`` is exchange time. ``conn``, ``n`` and ``part`` name the message it came from.
    """

    feed: str
    sym: str
    recv_ns: int
    conn: str
    n: int
    part: int = 0
    ts_ns: int | None = None


class Trade(Record, kw_only=True, frozen=True, tag="trade"):
    """One execution. ``side`` is the taker's, in terms of the instrument."""

    price: Decimal
    size: Decimal
    side: Literal["buy", "sell"] | None = None
    trade_id: str | None = None
    seq: int | None = None


class Quote(Record, kw_only=True, frozen=True, tag="quote"):
    """Best bid and ask and the last price, as far as the exchange's ticker gives them."""

    bid: Decimal | None = None
    bid_size: Decimal | None = None
    ask: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None


class BookSnapshot(Record, kw_only=True, frozen=True, tag="book_snapshot"):
    """A whole book, in the order the exchange sent it: sort before use.

    ``checksum`` (Kraken CRC32) and ``hash`` (Polymarket) are the exchange's own, unchecked.
    """

    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()
    seq: int | None = None
    checksum: int | None = None
    hash: str | None = None


class BookDelta(Record, kw_only=True, frozen=True, tag="book_delta"):
    """Levels that changed. ``op`` tells whether a size replaces the level's ("set", 0 removes it)
    or is added to it ("add", signed). ``best_bid`` and ``best_ask`` are the exchange's own claim
    of the top after the change (Polymarket)."""

    op: Literal["set", "add"]
    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()
    seq: int | None = None
    checksum: int | None = None
    hash: str | None = None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None


class InstrumentStatus(Record, kw_only=True, frozen=True, tag="instrument_status"):
    """A change in an instrument's life, in the exchange's own words, with the facts it named."""

    status: str
    result: str | None = None
    open_ns: int | None = None
    close_ns: int | None = None
    tick_size: Decimal | None = None


AnyRecord = Trade | Quote | BookSnapshot | BookDelta | InstrumentStatus
