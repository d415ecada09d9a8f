"""Frames -> what a message can hold of them, byte for byte."""

import base64
import re
from typing import Any

import msgspec
from msgspec import Raw

_decode_elements = msgspec.json.Decoder(list[Raw]).decode
_decode_any = msgspec.json.Decoder(Raw).decode
_LINE_BREAKS = re.compile(rb"[\r\n]")


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
