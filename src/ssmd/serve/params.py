"""The parameters of the API, each in one place: what a request may say is what is documented.

An endpoint names its parameters to ``describe`` and reads each with ``of`` (or ``all_of``, where
it may be given several times); what is malformed is refused in the one form of errors.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Generic, Literal, TypeVar

from msgspec import Struct, structs
from starlette.requests import HTTPConnection

from ssmd.serve.answers import (
    MAX_LIMIT,
    MAX_WORD,
    BadRequest,
    day_of,
    feed_of,
    number_of,
    word_of,
)

T = TypeVar("T")
Json = Mapping[str, Any]


class Param(Struct, Generic[T], frozen=True, kw_only=True):
    """``parse`` takes what was sent and the name, and raises BadRequest; ``default`` stands where
    nothing was. ``blank``: nothing after the ``=`` is as if it was not sent."""

    name: str
    text: str
    parse: Callable[[str, str], T]
    schema: Json
    example: Any = None
    default: Any = None
    place: Literal["query", "path"] = "query"
    many: bool = False
    blank: bool = False

    def of(self, request: HTTPConnection) -> T:
        """Raises BadRequest."""
        if self.place == "path":
            return self.parse(request.path_params[self.name], self.name)
        text = request.query_params.get(self.name)
        if text is None or (self.blank and not text):
            default: T = self.default
            return default
        return self.parse(text, self.name)

    def all_of(self, request: HTTPConnection) -> list[T]:
        """Raises BadRequest."""
        return [self.parse(text, self.name) for text in request.query_params.getlist(self.name)]

    def document(self) -> dict[str, Any]:
        """As an OpenAPI parameter."""
        schema = dict(self.schema)
        if self.blank:
            schema = {"anyOf": [schema, {"const": ""}]}
        if self.default is not None:
            schema["default"] = self.default
        return {
            "name": self.name,
            "in": self.place,
            "description": self.text,
            "required": self.place == "path",
            "schema": {"type": "array", "items": schema} if self.many else schema,
        } | ({"example": [self.example] if self.many else self.example} if self.example else {})


def in_path(param: Param[T]) -> Param[T]:
    return structs.replace(param, place="path", default=None)


def moment_of(text: str, name: str) -> int:
    """ns since 1970 of RFC 3339, a date, or ns since 1970. Raises BadRequest."""
    try:
        if text.isascii() and text.isdigit() and len(text) <= 19:
            return int(text)
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
    except (ValueError, OverflowError):
        raise BadRequest(
            f"{name} {text[:40]!r} is no time", hint="such as 2026-11-23T12:00:00Z"
        ) from None


def limit(default: int) -> Param[int]:
    return Param(
        name="limit",
        text=f"How many at most, from 1 to {MAX_LIMIT}.",
        parse=number_of,
        schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
        example=10,
        default=default,
    )


def choice(name: str, text: str, options: tuple[str, ...]) -> Param[str]:
    """One of some words; the first, where none is given."""

    def parse(sent: str, _: str) -> str:
        if sent not in options:
            raise BadRequest(f"{name} {sent[:40]!r} is none", hint=f"one of: {', '.join(options)}")
        return sent

    schema = {"type": "string", "enum": list(options)}
    return Param(name=name, text=text, parse=parse, schema=schema, default=options[0])


_FEED_SCHEMA: Final = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"}
_MOMENT_SCHEMA: Final = {"type": "string", "maxLength": 40}
_DAY_SCHEMA: Final = {"type": "string", "format": "date"}
_WORD_SCHEMA: Final = {"type": "string", "maxLength": MAX_WORD, "pattern": r"^[^\x00-\x1f\x7f]*$"}

FEED: Final[Param[str]] = Param(
    name="feed",
    text="Name of a feed, as /v1/feeds lists them.",
    parse=lambda text, _: feed_of(text),
    schema=_FEED_SCHEMA,
    example="kalshi",
)
ONE_FEED: Final[Param[str | None]] = structs.replace(FEED, blank=True)  # type: ignore[arg-type]
FEEDS: Final = structs.replace(FEED, many=True, text="Name of a feed; several are several `feed`s.")
FEED_IN_PATH: Final = in_path(FEED)

DATE_IN_PATH: Final[Param[str]] = Param(
    name="date",
    text="A day, UTC.",
    parse=day_of,
    schema=_DAY_SCHEMA,
    example="2026-11-23",
    place="path",
)
FROM_DAY: Final[Param[str | None]] = Param(
    name="from", text="The first day, UTC.", parse=day_of, schema=_DAY_SCHEMA,
    example="2026-11-01", blank=True,
)  # fmt: skip
TO_DAY: Final[Param[str | None]] = Param(
    name="to", text="The last day, UTC, inclusive.", parse=day_of, schema=_DAY_SCHEMA,
    example="2026-11-30", blank=True,
)  # fmt: skip


def days_of(request: HTTPConnection) -> tuple[str | None, str | None]:
    """``FROM_DAY`` and ``TO_DAY``, both inclusive; None where not given. Raises BadRequest."""
    first, last = FROM_DAY.of(request), TO_DAY.of(request)
    if first and last and first > last:
        raise BadRequest(f"from {first} is after to {last}", hint="swap them")
    return first, last


TYPE: Final[Param[str | None]] = Param(
    name="type",
    text="The exchange's own message type, or a usual name for it.",
    parse=word_of,
    schema=_WORD_SCHEMA,
    example="trade",
)
FROM: Final[Param[int | None]] = Param(
    name="from",
    text="The first moment: a date, RFC 3339, or ns since 1970; today, where not given.",
    parse=moment_of,
    schema=_MOMENT_SCHEMA,
    example="2026-11-23T12:00:00Z",
)
TO: Final[Param[int | None]] = Param(
    name="to",
    text="The moment after the last, in the same forms; now, where not given.",
    parse=moment_of,
    schema=_MOMENT_SCHEMA,
    example="2026-11-23T13:00:00Z",
)
SYMBOLS: Final[Param[str | None]] = Param(
    name="symbol",
    text="The exchange's own symbol; several are several `symbol`s.",
    parse=word_of,
    schema=_WORD_SCHEMA,
    example="BTC/USD",
    many=True,
)
INTERVAL: Final[Param[str]] = Param(
    name="interval",
    text="How long a bar is: a number with ms, s, m, h or d.",
    parse=lambda text, _: text,
    schema={"type": "string", "pattern": "^[1-9][0-9]{0,5}(ms|s|m|h|d)$"},
    example="5m",
    default="1m",
)
TYPE_IN_PATH: Final[Param[str]] = Param(
    name="type",
    text="The exchange's own message type, or a usual name for it.",
    parse=lambda text, name: word_of(text, name) or "",
    schema={**_WORD_SCHEMA, "minLength": 1},
    example="trade",
    place="path",
)
TICKER: Final[Param[str | None]] = Param(
    name="ticker", text="The exchange's own symbol.", parse=word_of, schema=_WORD_SCHEMA,
    example="BTC/USD",
)  # fmt: skip
