"""Answers, errors and parameters, the same shape for every endpoint."""

import logging
import re
import time
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ssmd.errors import BusError, NotFound, SsmdError, StorageError

log = logging.getLogger(__name__)

JSON: Final = "application/json"
MAX_LIMIT: Final = 10_000
DEADLINE_S: Final = 30.0
"""How long one request may read the archive."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
MAX_WORD: Final = 256


class BadRequest(SsmdError):
    """A parameter that cannot be used."""

    code = "bad_request"


class Ambiguous(BadRequest):
    """A request whose end is not clear: nothing after it may be taken for another."""


class Unauthorized(SsmdError):
    code = "unauthorized"


class Forbidden(SsmdError):
    code = "forbidden"


class TooLarge(SsmdError):
    code = "too_large"


class SlowBody(SsmdError):
    code = "slow_body"


class UnknownMedia(SsmdError):
    code = "unknown_media"


class NeedsUpgrade(SsmdError):
    """A plain request for what is a WebSocket."""

    code = "needs_upgrade"


class TooMany(SsmdError):
    """More requests than the rate limit lets through."""

    code = "too_many"

    def __init__(self, message: str, *, hint: str | None = None, after_s: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.after_s = after_s


class Overloaded(SsmdError):
    """As many requests read the archive already as may."""

    code = "overloaded"


class Timeout(SsmdError):
    """The answer would have taken longer than ``DEADLINE_S``."""

    code = "timeout"


STATUS: Final[dict[type[SsmdError], int]] = {
    BadRequest: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    SlowBody: 408,
    TooLarge: 413,
    UnknownMedia: 415,
    NeedsUpgrade: 426,
    TooMany: 429,
    Overloaded: 503,
    Timeout: 503,
    StorageError: 503,
    BusError: 503,
}
"""Every other error is ours: 500."""

_HEADERS: Final = {
    401: {"WWW-Authenticate": "ApiKey"},
    426: {"Upgrade": "websocket", "Connection": "Upgrade"},
    503: {"Retry-After": "1"},
}
CODES: Final = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}


class Deadline:
    """When a request has read long enough."""

    def __init__(self, seconds: float = DEADLINE_S) -> None:
        self._end = time.monotonic() + seconds

    def pass_now(self) -> None:
        self._end = 0.0

    @property
    def passed(self) -> bool:
        return time.monotonic() > self._end

    def check(self, hint: str) -> None:
        """Raises Timeout."""
        if self.passed:
            raise Timeout("this takes longer than one request may", hint=hint)


def time_of(ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339, UTC, to the millisecond."""
    stamp = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{ns // 1_000_000 % 1000:03d}Z"


def answer(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type=JSON)


def error_answer(error: SsmdError) -> Response:
    status = next((s for kind, s in STATUS.items() if isinstance(error, kind)), 500)
    headers = _HEADERS.get(status, {})
    if isinstance(error, TooMany):
        headers = {"Retry-After": str(error.after_s)}
    if isinstance(error, Ambiguous | SlowBody):
        headers = {"Connection": "close"}
    body = msgspec.json.encode({"error": error.as_dict()})
    return Response(body, status, headers=headers, media_type=JSON)


async def on_error(request: Request, error: Exception) -> Response:
    """Our own errors."""
    assert isinstance(error, SsmdError)
    return error_answer(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """The framework's: no such path, no such method."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    what = {
        404: f"no endpoint {request.url.path}",
        405: f"{request.url.path} does not take {request.method}",
    }
    content = {
        "code": CODES.get(status, "http"),
        "message": what.get(status, str(error.detail)),
        "hint": {404: "see / for what there is", 405: "use GET"}.get(status),
    }
    body = msgspec.json.encode({"error": content})
    return Response(body, status, headers=error.headers, media_type=JSON)


async def on_unreadable(request: Request, error: Exception) -> Response:
    """The operating system's: a file of the archive that cannot be read."""
    log.error("%s", error)
    reason = error.strerror if isinstance(error, OSError) else None
    return error_answer(
        StorageError(f"the archive cannot be read: {reason or 'error'}", hint="see /health")
    )


async def on_bug(request: Request, error: Exception) -> Response:
    """A bug of ours: the log has the traceback, the answer does not."""
    content = {"code": "internal", "message": "internal error", "hint": "see the log of ssmd serve"}
    return Response(msgspec.json.encode({"error": content}), 500, media_type=JSON)


# --- parameters: refused before anything is looked up by them -----------------------------------


def limit_of(request: Request, default: int = 10) -> int:
    """``limit``, from 1 to 10,000. Raises BadRequest."""
    text = request.query_params.get("limit")
    return default if text is None else number_of(text, "limit")


def number_of(text: str, name: str, most: int = MAX_LIMIT) -> int:
    """A whole number from 1. Raises BadRequest."""
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise BadRequest(
            f"{name} {_shown(text)} is no number from 1 to {most}", hint=f"for example {name}=100"
        )
    return int(text)


def day_of(text: str, name: str) -> str:
    """A date, written YYYY-MM-DD. Raises BadRequest."""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadRequest(
            f"{name} {_shown(text)} is no date", hint="write it as 2026-11-23"
        ) from None


def feed_of(text: str) -> str:
    """A feed's name. Raises BadRequest."""
    if not _NAME.fullmatch(text):
        raise BadRequest(
            f"feed {_shown(text)} is no name of a feed", hint="/v1/feeds lists the feeds"
        )
    return text


def word_of(text: str | None, name: str) -> str | None:
    """A message type or symbol; None where not given. Raises BadRequest."""
    if not text:
        return None
    if len(text) > MAX_WORD or _UNPRINTABLE.search(text):
        raise BadRequest(
            f"{name} {_shown(text)} cannot be one",
            hint=f"at most {MAX_WORD} characters, none of them control characters",
        )
    return text


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
