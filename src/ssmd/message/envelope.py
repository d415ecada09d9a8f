"""Messages, and their lines on the bus and in the archive."""

import base64
from typing import Final, Literal, NamedTuple

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
