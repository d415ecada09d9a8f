"""Answers and errors, the same shape for every endpoint."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ssmd.dataset import Archive
from ssmd.errors import CorruptArchive, NotFound, SsmdError, StorageError

JSON: Final = "application/json"
MAX_LIMIT: Final = 10_000
CHUNK_BYTES: Final = 64 * 1024


class BadRequest(SsmdError):
    """A parameter that cannot be used."""

    code = "bad_request"


class Unauthorized(SsmdError):
    code = "unauthorized"


STATUS: dict[type[SsmdError], int] = {
    BadRequest: 400,
    Unauthorized: 401,
    NotFound: 404,
    CorruptArchive: 500,
    StorageError: 503,
}


def archive_of(request: Request) -> Archive:
    archive = request.app.state.archive
    assert isinstance(archive, Archive)
    return archive


def answer(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type=JSON)


def answer_lines(lines: Iterable[bytes]) -> Response:
    """A JSON array of messages, as they are stored: nothing in them is read and written again."""
    return StreamingResponse(_array(lines), media_type=JSON)


def _array(lines: Iterable[bytes]) -> Iterator[bytes]:
    chunk = bytearray(b"[")
    first = True
    for line in lines:
        chunk += line if first else b",\n" + line
        first = False
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk + b"]")


def error_answer(error: SsmdError) -> Response:
    status = next((s for kind, s in STATUS.items() if isinstance(error, kind)), 500)
    headers = {"WWW-Authenticate": "ApiKey"} if status == 401 else None
    body = msgspec.json.encode({"error": error.as_dict()})
    return Response(body, status, headers=headers, media_type=JSON)


async def on_error(request: Request, error: Exception) -> Response:
    """Our own errors."""
    assert isinstance(error, SsmdError)
    return error_answer(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """The framework's: no such path, no such method."""
    assert isinstance(error, HTTPException)
    hint = "see / for what there is" if error.status_code in (404, 405) else None
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
    body = {"error": {"code": code, "message": str(error.detail), "hint": hint}}
    return Response(
        msgspec.json.encode(body), error.status_code, headers=error.headers, media_type=JSON
    )


async def on_bug(request: Request, error: Exception) -> Response:
    """A bug of ours: the log has the traceback, the answer does not."""
    body = {"error": {"code": "internal", "message": "internal error", "hint": "see the log"}}
    return Response(msgspec.json.encode(body), 500, media_type=JSON)


def limit_of(request: Request, default: int = 10) -> int:
    """``limit``, from 1 to 10,000. Raises BadRequest."""
    text = request.query_params.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text) <= MAX_LIMIT:
        raise BadRequest(f"limit {text!r} is no number from 1 to {MAX_LIMIT}")
    return int(text)


def date_of(request: Request, name: str) -> str | None:
    """A date parameter as YYYY-MM-DD. Raises BadRequest."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadRequest(f"{name} {text!r} is no date", hint="write it as 2026-11-23") from None
