"""A change of a record: what an ``_instrument`` message carries, and the bucket keeps of it."""

import secrets
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct

from ssmd import message
from ssmd.errors import ContractError
from ssmd.message import Message
from ssmd.security import Security

TYPE: Final = "_instrument"
REST: Final = "rest"


class Held(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A record as it was known from ``known_ns`` on."""

    number: int
    """Counts the changes of this instrument, from 1."""
    known_ns: int
    """When the security master knew it: ``recv_ns`` of its message."""
    learned_ns: int
    """When the answer or message was received that says so."""
    valid_ns: int
    """Since when it is so: by the exchange where it tells, else ``learned_ns``."""
    source: str
    """``rest``, or the type of the message that said it."""
    source_seq: int | None = None
    """Where that message is in the feed's stream."""
    raw_sha256: str | None = None
    """Of the exchange's object, as it came."""
    instrument: Security

    @property
    def sym(self) -> str:
        return self.instrument.sym


class Change(Held, kw_only=True, frozen=True, omit_defaults=True):
    """Whole facts, and what of them is new: field -> what it was, what it is."""

    kind: Literal["added", "changed"]
    changed: Mapping[str, tuple[Any, Any]] = {}


encode = msgspec.json.Encoder().encode
_held = msgspec.json.Decoder(Held).decode
_change = msgspec.json.Decoder(Change).decode


def decode_held(value: bytes) -> Held:
    """What the bucket holds. Raises ContractError."""
    try:
        return _held(value)
    except (msgspec.MsgspecError, ArithmeticError) as error:
        raise ContractError(f"not a record of an instrument: {error}") from error


def decode_change(payload: bytes) -> Change:
    """The ``raw`` of an ``_instrument`` message. Raises ContractError."""
    try:
        return _change(payload)
    except (msgspec.MsgspecError, ArithmeticError) as error:
        raise ContractError(f"not an {TYPE} message: {error}") from error


def held(change: Change) -> Held:
    """Without what was different before."""
    return Held(**{name: getattr(change, name) for name in Held.__struct_fields__})


def connection_id() -> str:
    """Of one run of the security master: unique for ever, and sorted by time."""
    return f"{time.time_ns():x}-master-{secrets.token_hex(4)}"


def to_message(feed: str, conn: str, number: int, change: Change) -> Message:
    """The ``number``th message of a run. No frame of an exchange is part of it."""
    return Message(
        feed=feed,
        conn=conn,
        n=0,
        part=-number,
        recv_ns=change.known_ns,
        mono_ns=time.monotonic_ns(),
        ts_ns=UNSET if change.valid_ns == change.learned_ns else change.valid_ns,
        type=TYPE,
        sym=change.sym,
        raw=msgspec.Raw(encode(change)),
    )


def subjects(env: str, feed: str, type_: str = TYPE) -> str:
    """All messages of a type, as a NATS wildcard."""
    return f"{message.subject(env, feed, type_, None).rpartition('.')[0]}.>"
