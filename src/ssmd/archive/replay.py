"""The exchange's own checks once more over what is archived, beside the gaps on record."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from ssmd import message
from ssmd.archive.finding import Line, Tell, at_line, facts_of, subject_of
from ssmd.errors import ContractError, SsmdError
from ssmd.exchanges.base import UNVERIFIED, Continuity, Exchange, Fault, Verdict
from ssmd.message import Archived, Header

UNNAMED_KEPT: Final = 1_000
HINT: Final = "the books of these messages are not to be trusted until their next snapshot"


class _Unnamed(Struct):
    fault: Fault
    path: Path
    line: Line


class _Connection(Struct):
    checks: Continuity | None
    """None where messages are missing that the checks would need."""
    unnamed: list[_Unnamed] = field(default_factory=list)
    last: tuple[int, int] = (0, 0)


class Replay:
    """Fed with every line of a feed in order; holds books of live connections only."""

    def __init__(self, feed: str, exchange: Exchange | None, tell: Tell) -> None:
        self.outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        """Message type -> how many of its messages are verified, unverified, broken."""
        self.faults = 0
        self._feed = feed
        self._exchange = exchange
        self._tell = tell
        self._connections: dict[str, _Connection] = {}

    def lose(self, conn: str) -> None:
        """Messages of the connection are missing: its checks know no more what to expect."""
        known = self._connections.get(conn)
        if known is not None:
            known.checks = None

    def line(self, path: Path, line: Line, text: bytes) -> None:
        try:
            archived = message.decode_archived(text)
        except ContractError as error:
            self._tell(at_line(path, line, error.message))
            return
        if archived.feed != self._feed:
            self._tell(at_line(path, line, f"this is a message of feed {archived.feed}"))
        if self._exchange is None:
            return
        if line.part < 0:
            self._note(line, facts_of(text))
        elif line.type != "_foreign":
            self._frame(path, line, archived, self._exchange)

    def finish(self) -> None:
        for known in self._connections.values():
            self._complain(known)
        self._connections.clear()

    # --- frames ---------------------------------------------------------------------------------

    def _frame(self, path: Path, line: Line, archived: Archived, exchange: Exchange) -> None:
        known = self._connections.get(line.conn)
        if known is None:
            first = (line.n, line.part) == (1, 0)
            known = self._begin(line.conn, exchange.continuity() if first else None)
        known.last = line.n, line.part
        payload = archived.payload
        header = exchange.classify(payload)
        if header.kind == "idle":
            return
        verdict = _check(known.checks, header, payload)
        if header.kind == "data":
            self.outcomes[line.type][verdict.state] += 1
        self.faults += len(verdict.faults)
        known.unnamed += [_Unnamed(fault, path, line) for fault in verdict.faults]
        if len(known.unnamed) > UNNAMED_KEPT:
            self._complain(known)

    def _begin(self, conn: str, checks: Continuity | None) -> _Connection:
        known = self._connections[conn] = _Connection(checks)
        return known

    # --- our own messages -----------------------------------------------------------------------

    def _note(self, line: Line, facts: dict[str, Any]) -> None:
        assert self._exchange is not None
        conn = subject_of(line, facts)
        known = self._connections.get(conn)
        if line.type == "_connect":
            self._begin(line.conn, self._exchange.continuity())
        elif known is None:
            return
        elif line.type == "_gap":
            known.unnamed = [one for one in known.unnamed if not _names(facts, one.fault)]
        elif line.type == "_disconnect":
            if conn != line.conn:  # it was killed, perhaps before it could say what it saw last
                _excuse_last(known)
            self._complain(known)
            del self._connections[conn]

    def _complain(self, known: _Connection) -> None:
        for one in known.unnamed:
            fault = one.fault
            what = f"{fault.cause} fault"
            for name, value in (("of", fault.sym), ("in group", fault.grp)):
                what += f" {name} {value}" if value is not None else ""
            if fault.first_seq is not None:
                what += f" (sequences {fault.first_seq} to {fault.last_seq})"
            self._tell(at_line(one.path, one.line, f"{what}: no gap names it", HINT))
        known.unnamed = []


def _excuse_last(known: _Connection) -> None:
    known.unnamed = [one for one in known.unnamed if (one.line.n, one.line.part) != known.last]


def _check(checks: Continuity | None, header: Header, payload: bytes) -> Verdict:
    """As the connector's tape does it: what cannot be read is unverified."""
    if checks is None:
        return UNVERIFIED
    try:
        return checks.check(header, payload)
    except (SsmdError, msgspec.MsgspecError, ArithmeticError, ValueError):
        return UNVERIFIED


def _names(facts: dict[str, Any], fault: Fault) -> bool:
    return all(
        facts.get(key) == getattr(fault, key)
        for key in ("cause", "sym", "grp", "first_seq", "last_seq")
    )
