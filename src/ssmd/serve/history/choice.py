"""Which messages and records are asked for, and what becomes of each in the answer."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate
from typing import Final

import msgspec

from ssmd.dataset import matcher, types_of
from ssmd.errors import ContractError
from ssmd.exchanges.base import Exchange
from ssmd.message import decode_archived, decode_capture
from ssmd.serve.history.reading import Take

_encode = msgspec.json.Encoder().encode
_PATTERN: Final = re.compile(r"[*?]")


class Symbols:
    """Symbols by name, in any case, and by pattern (``*`` any signs, ``?`` one)."""

    def __init__(self, wanted: Iterable[str]) -> None:
        names = [name.lower() for name in wanted]
        self.exact = frozenset(name for name in names if not _PATTERN.search(name))
        patterns = [translate(name.replace("[", "[[]")) for name in names if _PATTERN.search(name)]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def __bool__(self) -> bool:
        return bool(self.exact) or self._pattern is not None

    def has(self, sym: str | None) -> bool:
        if sym is None:
            return False
        name = sym.lower()
        return name in self.exact or (self._pattern is not None and bool(self._pattern.match(name)))


def messages(types: Sequence[str], symbols: Sequence[str]) -> Take | None:
    """By the exchange's own message types, or usual names of them, and by symbols: the message's
    own, or one that its frame names inside. None where all are wanted."""
    kinds = frozenset(kind for type_ in types for kind in types_of(type_))
    wanted = Symbols(symbols)
    if not kinds and not wanted:
        return None
    inside = [matcher(None, symbol) for symbol in symbols if symbol.lower() in wanted.exact]

    def take(feed: str, line: bytes) -> Sequence[bytes]:
        try:
            capture = decode_capture(line)
            if kinds and capture.type.lower() not in kinds:
                return ()
            if not wanted or wanted.has(capture.sym) or any(has(line) for has in inside):
                return (line,)
        except ContractError:
            return ()
        return ()

    return take


def records(
    exchanges: Mapping[str, Exchange | None], types: Sequence[str], symbols: Sequence[str],
    encode: Callable[[object, int, int], bytes] | None = None,
) -> Take:  # fmt: skip
    """By the types of records, and by their symbols. ``encode`` takes a record, the sequence of its
    message, and which of its records it is."""
    kinds, wanted = frozenset(types), Symbols(symbols)

    def take(feed: str, line: bytes) -> Sequence[bytes]:
        exchange = exchanges[feed]
        if exchange is None:
            return ()
        found = []
        try:
            message = decode_archived(line)
            for nth, record in enumerate(exchange.records(message)):
                if kinds and record.__struct_config__.tag not in kinds:
                    continue
                if wanted and not wanted.has(record.sym):
                    continue
                found.append(encode(record, message.nats_seq, nth) if encode else _encode(record))
        except ContractError:
            return found  # not as documented: the message has it all the same
        return found

    return take
