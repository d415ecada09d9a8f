"""The parameters of replays."""

import math
from typing import Final

from msgspec import structs

from ssmd.exchanges import EXCHANGES
from ssmd.serve import params
from ssmd.serve.answers import BadRequest
from ssmd.serve.params import TYPE, Param, choice

MAX_SPEED: Final = 1_000_000.0


def moment_of(text: str, name: str) -> int:
    """RFC 3339, a date, or ns since 1970. Raises BadRequest."""
    found = params.moment_of(text, name)
    if not 0 <= found < 2**63:
        raise BadRequest(f"{name} {text[:40]!r} is out of reach", hint="from 1970 to 2262")
    return found


def speed_of(text: str, name: str = "speed") -> float:
    """0 is as fast as the reader reads. Raises BadRequest."""
    try:
        speed = float(text) if len(text) <= 20 else math.nan
    except ValueError:
        speed = math.nan
    if not 0 <= speed <= MAX_SPEED or 0 < speed < 1 / MAX_SPEED:
        raise BadRequest(
            f"{name} {text[:40]!r} is none",
            hint=f"1 is as it was, N is N times as fast (to {MAX_SPEED:.0f}), 0 as you read",
        )
    return speed


FROM: Final[Param[int | None]] = structs.replace(
    params.FROM, text="The first moment (needed), in the forms of `to`.", parse=moment_of
)
TO: Final[Param[int | None]] = structs.replace(params.TO, parse=moment_of)
TYPES: Final = structs.replace(
    TYPE, many=True, text="A message type, or a usual name for it; several are several `type`s."
)
SPEED: Final[Param[float]] = Param(
    name="speed",
    text="1 is as it was, N is N times as fast, 0 is as fast as the reader reads.",
    parse=speed_of,
    schema={"type": "number", "minimum": 0, "maximum": MAX_SPEED},
    example=10,
    default=1.0,
)
FORM: Final = choice(
    "form", "Archived messages, or the records that they mean.", ("raw", "records")
)
CURSOR: Final[Param[str | None]] = Param(
    name="cursor",
    text="The cursor of the last message that came: the replay goes on behind it.",
    parse=lambda text, _: text,
    schema={"type": "string", "maxLength": 16_384},
)
EXCHANGE: Final[Param[str]] = Param(
    name="exchange",
    text="Whose protocol is spoken.",
    parse=lambda text, _: text,
    schema={"type": "string", "enum": list(EXCHANGES)},
    example="kraken",
    place="path",
)
