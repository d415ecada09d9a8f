"""The forms of an answer: pages that are whole before they are sent, and streams that end in a line
that says so."""

import base64
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response, StreamingResponse

from ssmd.serve.answers import BadRequest
from ssmd.serve.history.reading import Reading
from ssmd.span import Place
from ssmd.store import segment

NDJSON: Final = "application/x-ndjson"
MAX_PAGE_BYTES: Final = 16 << 20
"""A page ends earlier than at its limit where it would be longer."""
_Places = dict[str, tuple[str, str, int]]


def cursor_of(places: Mapping[str, Place]) -> str:
    """Where an answer ended: a position in streams, which no rotation and no compaction moves."""
    known = {feed: (place.date, place.created, place.seq) for feed, place in places.items()}
    return base64.urlsafe_b64encode(msgspec.json.encode(known)).decode()


def places_of(text: str, _: str = "cursor") -> dict[str, Place]:
    """Raises BadRequest."""
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Places)
        return {feed: Place(*values) for feed, values in found.items()}
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise BadRequest("the cursor is none of ours", hint="send back `next` as it was") from None


async def page(reading: Reading, form: str) -> Response:
    """All at once: ``{rows, next, holes, bus}``, or the same as lines."""
    chunks = [chunk async for chunk in reading.chunks()]
    lines = b"".join(chunk.lines for chunk in chunks)
    after = cursor_of(reading.places) if reading.more else None
    if form == "ndjson":
        headers = {"X-Holes": str(len(reading.holes)), "X-Bus": reading.bus}
        if after:
            headers["X-Next-Cursor"] = after
        return Response(lines + _holes(reading), headers=headers, media_type=NDJSON)
    end = {"next": after, "holes": reading.holes, "bus": reading.bus}
    rows = lines[:-1].replace(b"\n", b",\n")
    body = b'{"rows":[%b],%b' % (rows, msgspec.json.encode(end)[1:])
    return Response(body, media_type="application/json")


def stream(reading: Reading, *, packed: bool) -> Response:
    """Line by line as far as the reader takes them. The last line is ``{"_end": ...}``: an answer
    without it was cut off. ``packed``: as gzip, with members of the archive as they lie."""
    headers = {"Content-Encoding": "gzip"} if packed else {}
    return StreamingResponse(_stream(reading, packed), headers=headers, media_type=NDJSON)


async def _stream(reading: Reading, packed: bool) -> AsyncGenerator[bytes, None]:
    count = 0
    async for chunk in reading.chunks():
        count += chunk.number
        if packed:
            yield chunk.packed or segment.compress(chunk.lines)
        else:
            yield chunk.lines
    end: dict[str, Any] = {"count": count, "holes": len(reading.holes), "bus": reading.bus}
    end["next"] = cursor_of(reading.places)
    last = _holes(reading) + msgspec.json.encode({"_end": end}) + b"\n"
    yield segment.compress(last) if packed else last


def _holes(reading: Reading) -> bytes:
    """A line for each: ``{"_hole": ...}``."""
    return b"".join(msgspec.json.encode({"_hole": hole}) + b"\n" for hole in reading.holes)
