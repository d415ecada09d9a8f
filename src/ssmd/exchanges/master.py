"""What an exchange file tells the security master: whole records out of its REST answers, and what
its messages say of instruments. Facts and pure functions, no I/O."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from ssmd.exchanges.base import Request
from ssmd.message import Message
from ssmd.security import Security

Entry = TypeVar("Entry", bound=Struct)
_MOST_TEXT = 200


class Found(Struct, frozen=True):
    """A record out of a REST answer."""

    security: Security
    raw_sha256: str
    """Of the exchange's object as it came."""
    updated_ns: int | None = None
    """When the exchange last changed the object, where it tells."""
    silent: frozenset[str] = frozenset()
    """Fields of the record that this answer says nothing about: they stay as they were."""


class Malformed(Struct, frozen=True):
    """An entry that is not as documented."""

    entry: str
    why: str


class Listed(Struct):
    """One REST answer, read."""

    found: list[Found] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    next: Request | None = None


class Patch(Struct, kw_only=True, frozen=True):
    """What a message says of one instrument, or of all that are listed under ``event``."""

    sym: str | None = None
    event: str | None = None
    fields: Mapping[str, Any] = {}
    links: Mapping[str, Any] = {}
    at_ns: int | None = None
    """Since when it is so, where the message tells."""
    creates: bool = False
    """It says enough to begin a record."""


Context = dict[str, Any]
"""What was learned before the listing is read: series, fee schedules."""


class Master(Protocol):
    """An exchange as the security master sees it."""

    types: tuple[str, ...]
    """Types of the messages that tell of instruments."""

    def context(self) -> Sequence[Request]:
        """Calls whose answers the listing's entries refer to. The listing works without."""
        ...

    def learn(self, context: Context, request: Request, body: bytes) -> None:
        """Take up one of their answers. Raises ExchangeError."""
        ...

    def first(self, filter: Mapping[str, str], since_ns: int | None) -> Request | None:
        """The first call of the listing; with ``since_ns``, of what changed since, and None where
        the exchange cannot tell that."""
        ...

    def page(self, context: Context, request: Request, body: bytes) -> Listed:
        """Read one answer of the listing. Raises ExchangeError."""
        ...

    def again(self, gone: Sequence[Security]) -> Sequence[Request] | None:
        """Calls that ask for instruments which the listing does not name any more; None where the
        exchange names all that exist, so that these do not."""
        ...

    def patches(self, message: Message) -> Iterable[Patch]:
        """What a message says. Raises msgspec's errors where it is not as documented."""
        ...


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def each(
    listed: Listed,
    entries: Iterable[tuple[str, Raw]],
    read: Callable[[bytes], Iterable[Found]],
) -> None:
    """Read the entries one by one: one that is not as documented takes none of the others along."""
    for name, raw in entries:
        try:
            listed.found += read(bytes(raw))
        except (msgspec.MsgspecError, ArithmeticError, ValueError, RecursionError) as error:
            listed.malformed.append(Malformed(name, _shown(str(error))))


def numbered(
    what: str, entries: Iterable[Raw], name: Callable[[bytes], str | None]
) -> Iterable[tuple[str, Raw]]:
    """Entries of a list with what to call each: its own name where it has one."""
    for number, raw in enumerate(entries, 1):
        yield name(bytes(raw)) or f"{what} {number} of the page", raw


def called(type_: Any, attribute: str) -> Callable[[bytes], str | None]:
    """What reads one text field off an object; None where it has none."""
    decode = msgspec.json.Decoder(dict[str, Raw]).decode

    def name(raw: bytes) -> str | None:
        try:
            found = msgspec.json.decode(decode(raw)[attribute], type=type_)
        except (msgspec.MsgspecError, KeyError, RecursionError):
            return None
        return _shown(str(found)) or None

    return name


def _shown(text: str) -> str:
    line = "".join(sign if sign.isprintable() else "?" for sign in text)
    return line[:_MOST_TEXT]
