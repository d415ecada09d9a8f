"""Frames that are not as documented: they are kept under what can still be read off them."""

from typing import Any

from ssmd import message as wire
from ssmd.message import Header

_MOST = 2**63 - 1


def no_object(frame: bytes) -> Header:
    """The header of a frame that is no JSON object."""
    if wire.is_json(frame):
        return Header(wire.EMPTY if frame.strip() == b"[]" else wire.UNKNOWN, kind="idle")
    return Header(wire.TEXT if wire.is_utf8(frame) else wire.BINARY, kind="idle")


def int64(value: Any) -> int | None:
    """The value where it is an integer that the wire contract can hold."""
    return value if type(value) is int and -_MOST <= value <= _MOST else None


def text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
