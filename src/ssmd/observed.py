"""What the messages of a feed really look like: fields read off archived ones, and the records
that are derived from them."""

import contextlib
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, NamedTuple

from msgspec import Struct

from ssmd import fields
from ssmd.dataset import ALIASES, Archive, types_of
from ssmd.errors import ContractError, CorruptArchive, NotFound
from ssmd.exchanges import EXCHANGES
from ssmd.message import (
    Archived,
    BookDelta,
    BookSnapshot,
    InstrumentStatus,
    Quote,
    Record,
    Trade,
    decode_archived,
)
from ssmd.store.manifest import OTHER

RECORDS: Final[dict[str, tuple[type[Record], ...]]] = {
    "trade": (Trade,),
    "ticker": (Quote,),
    "orderbook": (BookSnapshot, BookDelta),
    "lifecycle": (InstrumentStatus,),
}
"""Word -> what messages of that kind become, where none is archived to tell."""

EXAMPLES: Final = 500
"""How many archived messages the fields are read off."""
DAYS: Final = 7


class Schema(Struct, frozen=True):
    """``fields`` are paths into the archived line, ``records`` what ssmd derives from it."""

    feed: str
    type: str
    exchange: str | None
    message_types: list[str]
    """The exchange's own, that were found in the archive."""
    fields: dict[str, str]
    derived: list[str]
    records: dict[str, dict[str, str]]
    observed: int
    """How many archived messages the fields were read off; with none, they are the envelope's."""
    observed_on: str | None


class _Examples(NamedTuple):
    day: str | None
    lines: list[bytes]
    types: set[str]
    """Every message type of the newest days."""


def schema(
    archive: Archive,
    feed: str,
    type_: str,
    exchange: str | None,
    types: Callable[[str, str], set[str]],
) -> Schema:
    """``types`` tells the message types of a feed on a day. Raises NotFound for a type that neither
    the archive nor the exchange knows."""
    examples = _examples(archive, feed, type_, types)
    _check_type(type_, exchange, examples)
    kinds = _derived(exchange, examples.lines) if examples.lines else RECORDS.get(_word(type_), ())
    records = {str(kind.__struct_config__.tag): fields.of_struct(kind) for kind in kinds}
    return Schema(
        feed=feed,
        type=type_,
        exchange=exchange,
        message_types=sorted(t for t in examples.types if t.lower() in types_of(type_)),
        fields=fields.of_lines(examples.lines) or fields.of_struct(Archived),
        derived=list(records),
        records=records,
        observed=len(examples.lines),
        observed_on=examples.day,
    )


def _examples(
    archive: Archive, feed: str, type_: str, types: Callable[[str, str], set[str]]
) -> _Examples:
    """Messages of that type, from the newest day that has any."""
    wanted, every = types_of(type_), set[str]()
    for day in reversed(archive.days(feed)[-DAYS:]):
        found = types(feed, day)
        every |= found
        if OTHER in found or any(kind.lower() in wanted for kind in found):
            lines = list[bytes]()
            with contextlib.suppress(CorruptArchive, ContractError, OSError):
                lines.extend(islice(archive.day(feed, day).lines(type=type_), EXAMPLES))
            if lines:
                return _Examples(day, lines, every)
    return _Examples(None, [], every)


def _check_type(type_: str, exchange: str | None, examples: _Examples) -> None:
    if examples.lines:
        return
    known = {*ALIASES, *examples.types}
    if exchange in EXCHANGES:
        known |= {*EXCHANGES[exchange].channels}
    if not examples.types:
        known |= frozenset[str]().union(*ALIASES.values())
    if type_.lower() not in {kind.lower() for kind in known}:
        raise NotFound(
            f"unknown message type {type_!r}", hint=f"one of: {', '.join(sorted(known))}"
        )


def _derived(exchange: str | None, lines: Iterable[bytes]) -> tuple[type[Record], ...]:
    """Which records the messages become, in order of appearance."""
    kinds: dict[type[Record], None] = {}
    if exchange in EXCHANGES:
        derive = EXCHANGES[exchange].records
        for line in lines:
            with contextlib.suppress(ContractError):
                kinds.update(
                    dict.fromkeys(type(record) for record in derive(decode_archived(line)))
                )
    return tuple(kinds)


def _word(type_: str) -> str:
    """The seed's word for a message type."""
    lower = type_.lower()
    return next((word for word, types in ALIASES.items() if lower in {word, *types}), lower)
