"""Archived messages -> what a venue hears: checked by the exchange's own rules on the way."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from ssmd import message
from ssmd.errors import SsmdError
from ssmd.exchanges.base import UNVERIFIED, Continuity, Exchange, Verdict
from ssmd.message import Archived
from ssmd.serve.replay.venue import Heard, Venue

_UNREADABLE: Final = (SsmdError, msgspec.MsgspecError, ArithmeticError, ValueError)


class _Ended(Struct):
    conn: str | None = None


class _Connection(Struct):
    checks: Continuity
    n: int = 0
    left: int = 0
    """Elements that are still to come of the frame ``n``."""


class Ear:
    def __init__(self, exchange: Exchange, venue: Venue) -> None:
        self._exchange = exchange
        self._venue = venue
        self._connections: dict[str, _Connection] = {}

    def hear(self, line: bytes) -> Iterator[bytes]:
        """The frames that the client gets of an archived message. One that is not as documented
        is passed over: the checks tell which books it spoils."""
        with contextlib.suppress(*_UNREADABLE):
            yield from self._hear(line)

    def _hear(self, line: bytes) -> Iterable[bytes]:
        entry = message.decode_archived(line)
        if (entry.part or 0) < 0:
            if entry.type == "_disconnect":
                self._end(entry)
            return ()
        known = self._connection(entry)
        if entry.type.startswith("_"):
            return ()
        return self._venue.hear(self._heard(known, entry))

    def _connection(self, entry: Archived) -> _Connection:
        """Where a frame is missing, nothing that follows from it holds."""
        known = self._connections.get(entry.conn)
        part, parts = entry.part or 0, entry.parts or 0
        if known is not None:
            whole = (entry.n == known.n) if known.left else (entry.n == known.n + 1 and not part)
            if not whole:
                self._venue.gone(entry.conn)
                known = None
        if known is None:
            known = self._connections[entry.conn] = _Connection(self._exchange.continuity())
        known.n, known.left = entry.n, max(0, parts - part - 1)
        return known

    def _heard(self, known: _Connection, entry: Archived) -> Heard:
        payload = entry.payload
        header = self._exchange.classify(payload)
        verdict = UNVERIFIED if header.kind == "idle" else self._check(known, entry, header)
        spoilt = {book for fault in verdict.faults for book in fault.books}
        repeated = any(
            fault.cause == "sequence" and fault.first_seq is None and not fault.books
            for fault in verdict.faults
        )
        return Heard(
            entry.conn,
            header,
            payload,
            frozenset(spoilt.union(verdict.voided)),
            repeated,
            entry.part or 0,
            entry.parts or 0,
        )

    def _check(self, known: _Connection, entry: Archived, header: message.Header) -> Verdict:
        try:
            return known.checks.check(header, entry.payload)
        except _UNREADABLE:
            return UNVERIFIED

    def _end(self, entry: Archived) -> None:
        try:
            conn = msgspec.json.decode(entry.payload, type=_Ended).conn or entry.conn
        except msgspec.MsgspecError:
            conn = entry.conn
        self._connections.pop(conn, None)
        self._venue.gone(conn)
