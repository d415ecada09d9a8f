"""Archived lines -> rows of the tables, each as a line of JSON that DuckDB reads."""

import re
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from ssmd.errors import ContractError
from ssmd.exchanges.base import Exchange
from ssmd.message import AnyRecord, Level, decode_archived, decode_capture
from ssmd.query.tables import DIGITS_AFTER, DIGITS_BEFORE, TABLE_OF

_MOST: Final = 2**63 - 1
_WHOLE: Final = (
    "nats_seq", "n", "part", "parts", "recv_ns", "ts_ns", "mono_ns", "seq", "checksum", "open_ns",
    "close_ns",
)  # fmt: skip
_FITS = re.compile(rf"-?\d{{1,{DIGITS_BEFORE}}}(?:\.\d{{1,{DIGITS_AFTER}}})?").fullmatch
_encode = msgspec.json.Encoder().encode

Row = dict[str, Any]


class _Line(Struct, gc=False):
    """An archived line as far as it can be read: it is kept whatever is missing."""

    nats_seq: int
    conn: str
    n: int
    recv_ns: int
    type: str
    feed: str = ""
    part: int = 0
    parts: int | None = None
    mono_ns: int | None = None
    ts_ns: int | None = None
    sym: str | None = None
    seq: int | None = None
    grp: str | None = None
    raw: Raw = Raw()
    text: str | None = None
    b64: str | None = None


_line = msgspec.json.Decoder(_Line).decode


class Rows:
    """What each line of one feed becomes, in some of the tables."""

    def __init__(
        self,
        exchange: Exchange | None,
        tables: Collection[str],
        symbols: frozenset[str] | None = None,
    ) -> None:
        """``exchange`` None: nobody knows what the messages mean, so there are no records.
        ``symbols``: only rows of these."""
        self.underivable = 0
        """Messages of which the exchange's file made no record: not as documented."""
        self._exchange = exchange if set(tables) - {"messages"} else None
        self._tables = frozenset(tables)
        self._symbols = symbols

    def of(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        """``(table, JSON)`` for each row. Raises ContractError for what is no message."""
        if "messages" in self._tables:
            row = message_row(line)
            if self._symbols is None or row["sym"] in self._symbols:
                yield "messages", _encode(row)
        if self._exchange is not None:
            for nth, (nats_seq, record) in enumerate(self.records(line)):
                table = TABLE_OF[str(record.__struct_config__.tag)]
                wanted = self._symbols is None or record.sym in self._symbols
                if wanted and table in self._tables:
                    yield table, _encode(record_row(record, nats_seq, nth))

    def records(self, line: bytes) -> list[tuple[int, AnyRecord]]:
        """With the sequence of their message; [] for one that is not as documented."""
        assert self._exchange is not None
        try:
            message = decode_archived(line)
            return [(message.nats_seq, record) for record in self._exchange.records(message)]
        except ContractError:
            self.underivable += 1
            return []


def message_row(line: bytes) -> Row:
    """Raises ContractError for what is no message."""
    try:
        found = _line(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        facts = decode_capture(line)
        found = _Line(facts.nats_seq, facts.conn, facts.n, facts.recv_ns, facts.type)
        found.part, found.sym = facts.part, facts.sym
    raw = bytes(found.raw)
    row = {
        "feed": found.feed, "sym": found.sym, "recv_ns": found.recv_ns, "ts_ns": found.ts_ns,
        "conn": found.conn, "n": found.n, "part": found.part, "nats_seq": found.nats_seq,
        "mono_ns": found.mono_ns, "parts": found.parts, "message_type": found.type,
        "seq": found.seq, "grp": found.grp, "text": found.text, "b64": found.b64,
        "raw": raw.decode("utf-8", "replace") if raw else None,
    }  # fmt: skip
    return _held(row, {})


def record_row(record: AnyRecord, nats_seq: int, nth: int) -> Row:
    """The columns of the record's table."""
    row: Row = {"nats_seq": nats_seq, "nth": nth}
    unfit: Row = {}
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if type(value) is Decimal:
            row[name] = fitting(value)
            if row[name] is None:
                unfit[name] = str(value)
        elif name == "bids" or name == "asks":
            row[name] = _levels(value)
            if not all(level["price"] and level["size"] for level in row[name]):
                unfit[name] = [[str(price), str(size)] for price, size in value]
        else:
            row[name] = value
    return _held(row, unfit)


def _levels(levels: Sequence[Level]) -> list[Row]:
    return [{"price": fitting(price), "size": fitting(size)} for price, size in levels]


def _held(row: Row, unfit: Row) -> Row:
    """The row, with its integers beyond 64 bits among what does not fit."""
    for name in _WHOLE:
        value = row.get(name)
        if value is not None and not -_MOST <= value <= _MOST:
            row[name] = None
            unfit[name] = str(value)
    if unfit:
        row["unfit"] = _encode(unfit).decode()
    return row


def fitting(value: Decimal) -> str | None:
    """The decimal as text without exponent; None where the column cannot hold it exactly."""
    text = str(value)
    if _FITS(text):
        return text
    if not value.is_finite() or not -40 < value.adjusted() < 40 or len(text) > 200:
        return "0" if value.is_finite() and not value else None
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").removesuffix(".")
    return text if _FITS(text) else None
