"""What ``ssmd archive verify`` finds wrong: one line each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

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
