"""What ``ssmd archive verify`` comes to: a line for each fault, and the sums."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from ssmd.message import Capture

REPAIR = "`ssmd archive repair` puts it aside and keeps what is sound"
REMAKE = "`ssmd archive repair` makes it again from the segments"
WITNESS = "compare with a copy of the archive; this cannot be repaired"


class Finding(Struct, frozen=True):
    """One fault: which file, where in it, what is wrong and what to try."""

    path: str
    at: str
    """``byte 120`` or ``seq 17``; empty for the file as a whole."""
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.path}{f':{self.at}' if self.at else ''}: {self.what}. Try: {self.hint}"


class Summary(Struct, kw_only=True):
    """What was looked at, and how fast. ``bytes`` is uncompressed."""

    ok: bool = True
    deep: bool = False
    feeds: list[str] = field(default_factory=list)
    days: int = 0
    segments: int = 0
    messages: int = 0
    bytes: int = 0
    seconds: float = 0.0
    quarantined: int = 0
    gaps: int = 0
    checks: dict[str, dict[str, int]] = field(default_factory=dict)
    """Message type -> how many of its messages verify again, cannot be verified, are broken."""
    faults: int = 0
    """Faults that the exchanges' checks find again; gaps name those that are no findings."""
    findings: list[Finding] = field(default_factory=list)


Tell = Callable[[Finding], None]


class Line(Capture, frozen=True, gc=False):
    """The fields of an archived line that proving it needs."""

    parts: int = 0
    ts_ns: int | None = None
    feed: str = ""


def at_line(path: Path, line: Line, what: str, hint: str = WITNESS) -> Finding:
    """Something about one line."""
    return Finding(str(path), f"seq {line.nats_seq}", what, hint)


def facts_of(text: bytes) -> dict[str, Any]:
    """What a message of our own says."""
    facts = msgspec.json.decode(text).get("raw")
    return facts if isinstance(facts, dict) else {}


def subject_of(line: Line, facts: dict[str, Any]) -> str:
    """The connection that a message of our own is about: its own, or the one that it names."""
    named = facts.get("conn")
    return named if isinstance(named, str) else line.conn
