"""What can go wrong at an exchange, on demand: a row in ``FAULTS`` for each kind.

Faults of frames act between a venue's frames and the socket, at one place (``mangler.Mangler``);
what they change is what the ledger records, because it is what is sent.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from ssmd.errors import ConfigError
from ssmd.exchanges import EXCHANGES
from ssmd.sim import spoil

Stage = Literal["frame", "connection", "handshake", "rest", "clock"]
ALL: Final = frozenset(EXCHANGES)
_CLOSE_CODES: Final = range(1000, 5000)
_DAY_S: Final = 86_400.0
_DECADE_S: Final = 3650 * _DAY_S


class Fault(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One fault: of which exchange, symbol, message type and connection (None: any), how often.

    ``path`` is of REST calls, with wildcards: ``*/orderbook``. ``after`` of the data frames that
    it is about (of all of ``type``, handshakes, REST calls) pass before it acts, then it acts on
    ``count``; None: until it is cleared. ``value``: as the kind says in ``FAULTS``.
    """

    kind: str
    exchange: str | None = None
    symbol: str | None = None
    type: str | None = None
    connection: int | None = None
    path: str | None = None
    after: int = 0
    count: int | None = 1
    value: str | int | float | None = None

    @property
    def number(self) -> float:
        return float(1 if self.value is None else self.value)

    @property
    def word(self) -> str:
        return "" if self.value is None else str(self.value)


class Kind(NamedTuple):
    stage: Stage
    what: str
    """Completes "the frame (connection, ...)"."""
    value: Callable[[Fault], object] | None = None
    """Reads the value; raises ValueError where it is none. None: the kind takes no value."""
    frame: spoil.Spoil | None = None
    exchanges: frozenset[str] = ALL
    suits: spoil.Suits = spoil.any_data


def status(fault: Fault, usual: str) -> tuple[int, str | None]:
    """``429/3``: the HTTP status, and what to say in Retry-After. Raises ValueError."""
    code, _, seconds = (fault.word or usual).partition("/")
    if not 400 <= int(code) <= 599:
        raise ValueError
    return int(code), str(int(seconds)) if seconds else None


def close_code(fault: Fault) -> tuple[int, str]:
    """``1012 restarting``: the code and the reason. Raises ValueError."""
    code, _, reason = (fault.word or "1001").partition(" ")
    if int(code) not in _CLOSE_CODES or len(reason.encode()) > 123:
        raise ValueError
    return int(code), reason


def over_s(fault: Fault) -> float | None:
    """``slow/5``: how long the answer takes; None where it is not slow. Raises ValueError."""
    word, _, seconds = fault.word.partition("/")
    if word != "slow":
        return None
    found = float(seconds or 5)
    if not 0 <= found <= _DAY_S:
        raise ValueError
    return found


def _rest(fault: Fault) -> object:
    if fault.word in ("garbage", "truncated", "hang") or over_s(fault) is not None:
        return fault.word
    return status(fault, "503")


def _seconds(fault: Fault) -> float:
    if not 0 <= fault.number <= _DAY_S:
        raise ValueError
    return fault.number


def _whole(least: int, most: int = 1 << 32) -> Callable[[Fault], int]:
    def read(fault: Fault) -> int:
        if fault.number != int(fault.number) or not least <= fault.number <= most:
            raise ValueError
        return int(fault.number)

    return read


def _step(fault: Fault) -> float:
    if not abs(fault.number) <= _DECADE_S:
        raise ValueError
    return fault.number


def _one_of(words: Iterable[str]) -> Callable[[Fault], object]:
    known = {"", *words}

    def read(fault: Fault) -> str:
        if fault.word not in known:
            raise ValueError
        return fault.word

    return read


FAULTS: Final[Mapping[str, Kind]] = {
    "drop": Kind("frame", "is not sent, though numbered", None, spoil.drop),
    "duplicate": Kind("frame", "is sent twice", None, spoil.duplicate),
    "reorder": Kind("frame", "comes after the next one of its kind", None, spoil.reorder),
    "delay": Kind("frame", "comes `value` seconds late", _seconds, spoil.delay),
    "mute": Kind(
        "frame",
        "is the symbol's last, until it is subscribed again or `value` frames are lost",
        _whole(1),
        spoil.mute,
    ),
    "mute_all": Kind("connection", "gets no more data, while pongs and heartbeats go on"),
    "corrupt": Kind(
        "frame",
        "has a wrong checksum, best bid (`value` hash: a book with a wrong hash), change or price",
        _one_of(["hash"]),
        spoil.corrupt,
        suits=spoil.provable,
    ),
    "sequence": Kind(
        "frame",
        "and all behind it have numbers that are `value` higher",
        _whole(1),
        spoil.jump,
        ALL - {"polymarket"},
        spoil.numbered,
    ),
    "error": Kind(
        "frame",
        "is followed by error `value` (10 or 25), which ends the subscription",
        _one_of(["10", "25"]),
        spoil.error,
        frozenset({"kalshi"}),
        spoil.grouped,
    ),
    "garbage": Kind(
        "frame",
        "comes after `value`: text, utf8 (invalid), binary",
        _one_of(spoil.GARBAGE),
        spoil.garbage,
    ),
    "huge": Kind("frame", "comes after one of `value` bytes", _whole(32, 1 << 28), spoil.huge),
    "schema": Kind(
        "frame",
        "has a new field (`value` add), a renamed one (rename), a type nobody knows (type)",
        _one_of(["add", "rename", "type"]),
        spoil.schema,
    ),
    "close": Kind("connection", "is closed with `value`: 1012 a reason", close_code),
    "abort": Kind("connection", "ends without a word"),
    "half_open": Kind("connection", "neither sends nor reads, and stays open"),
    "slow": Kind("connection", "reads nothing for `value` seconds", _seconds),
    "handshake": Kind(
        "handshake", "is refused with `value`: 401, 429/3 (Retry-After)", lambda f: status(f, "401")
    ),
    "rest": Kind(
        "rest",
        "is answered with `value`: 503, 429/3, garbage (no JSON), truncated, slow/5, hang (never)",
        _rest,
    ),
    "clock": Kind("clock", "of the exchange jumps by `value` seconds", _step),
}
USAGE: Final = (
    "write it as [EXCHANGE:]KIND[:symbol=S][:type=T][:connection=N][:path=P][:after=N]"
    "[:count=N|all][:value=V]"
)
_OF_FRAMES: Final = ("symbol", "type", "connection")


def parse(text: str) -> Fault:
    """``kraken:drop:symbol=BTC/USD:after=500:count=1`` -> the fault; without an exchange it is of
    all. Raises ConfigError."""
    first, *settings = text.split(":")
    fields: dict[str, Any] = {"kind": first}
    if first not in FAULTS and settings and "=" not in settings[0]:
        fields = {"exchange": first, "kind": settings.pop(0)}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"fault {text!r}: {setting!r} is no setting", hint=USAGE)
        fields[name] = None if (name, value) == ("count", "all") else value
    return from_fields(fields)


def from_fields(fields: Any) -> Fault:
    """The fault that these say. Raises ConfigError."""
    try:
        return check(msgspec.convert(fields, Fault, strict=False))
    except msgspec.ValidationError as error:
        raise ConfigError(f"fault: {error}", hint=USAGE) from None


def check(fault: Fault) -> Fault:
    """The fault, where there is such a kind for that exchange. Raises ConfigError."""
    name = fault.kind
    if fault.exchange is not None and fault.exchange not in EXCHANGES:
        raise ConfigError(f"no exchange {fault.exchange!r}", hint=f"one of {', '.join(EXCHANGES)}")
    kind = FAULTS.get(name)
    if kind is None:
        raise ConfigError(f"no fault {name!r}", hint=f"one of {', '.join(FAULTS)}")
    if fault.exchange not in (None, *kind.exchanges):
        raise ConfigError(
            f"{fault.exchange} has nothing that could be wrong by {name!r}",
            hint=f"{name} is of {', '.join(sorted(kind.exchanges))}",
        )
    _check_settings(fault, kind)
    if fault.after < 0 or (fault.count is not None and fault.count < 1):
        raise ConfigError(f"fault {name}: after is 0 or more, count 1 or more", hint=USAGE)
    _check_value(fault, kind)
    return fault


def _check_settings(fault: Fault, kind: Kind) -> None:
    foreign = ["path"] if kind.stage in ("frame", "connection") else list(_OF_FRAMES)
    if kind.stage in ("handshake", "clock"):
        foreign.append("path")
    for setting in foreign:
        if getattr(fault, setting) is not None:
            raise ConfigError(
                f"fault {fault.kind} has no {setting}", hint=f"{fault.kind} is of a {kind.stage}"
            )


def _check_value(fault: Fault, kind: Kind) -> None:
    if kind.value is None:
        if fault.value is not None:
            raise ConfigError(
                f"fault {fault.kind} takes no value", hint=f"leave out {fault.word!r}"
            )
        return
    try:
        kind.value(fault)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"fault {fault.kind}: bad value {fault.word!r}", hint=f"{fault.kind}: {kind.what}"
        ) from None
