"""Reading REST answers: what is not as documented is an error, in the exchange's own words."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ssmd.errors import ExchangeError

_MOST_TEXT = 300

Answer = TypeVar("Answer")


class _Refusal(Struct, gc=False):
    error: Any = None
    code: Any = None
    message: Any = None
    details: Any = None


_refusal = msgspec.json.Decoder(_Refusal).decode


def read(what: str, decode: Callable[[bytes], Answer], body: bytes) -> Answer:
    """The decoded answer; raises ExchangeError where it is of another form."""
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unexpected(what, body, str(error)) from error


def unexpected(what: str, body: bytes, why: str) -> ExchangeError:
    """The error for an answer that lacks what is documented: the exchange's reason goes before
    ours."""
    said = _said(body)
    return ExchangeError(f"{what}: {said}" if said else f"{what}: unexpected answer: {why}")


def _said(body: bytes) -> str | None:
    """``{"error": text}``, ``{"error": {"code", "message"}}`` or ``{"code", "message"}``."""
    try:
        refusal = _refusal(body)
        if isinstance(refusal.error, str):
            return refusal.error[:_MOST_TEXT] or None
        if refusal.error is not None:
            refusal = msgspec.convert(refusal.error, _Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    parts = [refusal.code, refusal.message, refusal.details]
    texts = [part for part in parts if isinstance(part, str) and part]
    return ": ".join(texts)[:_MOST_TEXT] or None
