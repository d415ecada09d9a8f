"""What is known of one trading day of one feed, and which changes are legal."""

import os
import secrets
import socket
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

from ssmd.errors import DayFault
from ssmd.store.tally import rfc3339

State = Literal["PENDING", "STARTING", "ACTIVE", "ENDING", "COMPLETE", "ERROR"]

LEGAL: Final[Mapping[State | None, frozenset[State]]] = {
    None: frozenset({"PENDING"}),
    "PENDING": frozenset({"STARTING"}),
    "STARTING": frozenset({"ACTIVE", "ERROR"}),
    "ACTIVE": frozenset({"ENDING"}),
    "ENDING": frozenset({"COMPLETE", "ERROR"}),
    "ERROR": frozenset({"STARTING", "ENDING"}),
    "COMPLETE": frozenset(),
}
"""What may follow on each state. COMPLETE is for ever."""
OPEN: Final = frozenset({"PENDING", "STARTING", "ACTIVE"})
"""States of which a feed has one day at most."""
TYPE: Final = "_day"
"""Type of the message that each change is told with."""


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of state; what its ``_day`` message says."""

    number: int
    """Counts the changes of the day from 1."""
    state: State
    previous: State | None
    at_ns: int
    mono_ns: int
    by: str
    """Role, host and process."""
    reason: str | None = None
    error: str | None = None
    stats: Mapping[str, Any] = field(default_factory=dict)


class Day(Struct, frozen=True, kw_only=True):
    """A day as it is kept, with all that happened to it."""

    feed: str
    date: str
    conn: str
    """Under this connection id its ``_day`` messages are numbered."""
    stream_created: str
    """The stream that ``conn`` counts on; on one made anew another begins."""
    base: int = 0
    """How many changes were told under earlier connection ids."""
    told: int = 0
    """How many changes are on the stream for sure."""
    forced: bool = False
    """It is to end whatever its verification finds."""
    changes: tuple[Change, ...] = ()

    @property
    def state(self) -> State:
        return self.changes[-1].state

    @property
    def last(self) -> Change:
        return self.changes[-1]

    @property
    def failed(self) -> State | None:
        """Of a day in ERROR: the state whose work failed."""
        return self.last.previous if self.state == "ERROR" else None

    def first(self, state: State) -> Change | None:
        """The first change to a state: what was known then stays true when it is tried again."""
        return next((change for change in self.changes if change.state == state), None)

    def body(self, change: Change) -> dict[str, Any]:
        """What the ``_day`` message of a change says."""
        return {
            "date": self.date,
            "change": change.number,
            "state": change.state,
            "previous": change.previous,
            "at": rfc3339(change.at_ns),
            "by": change.by,
            "reason": change.reason,
            "error": change.error,
            "stats": dict(change.stats),
        }


def new(feed: str, date: str, stream_created: str, by: str) -> Day:
    """A day that is PENDING."""
    day = Day(feed=feed, date=date, conn=connection_id(date), stream_created=stream_created)
    return moved(day, "PENDING", by=by)


def moved(day: Day, to: State, **facts: Any) -> Day:
    """The day after one more change; ``facts`` are the change's. Raises DayFault."""
    previous = day.state if day.changes else None
    if to not in LEGAL[previous]:
        raise DayFault(
            f"{day.feed} {day.date} is {previous}: it cannot become {to}",
            hint=f"see `ssmd meta day history --feed {day.feed}`",
        )
    change = Change(
        number=len(day.changes) + 1,
        state=to,
        previous=previous,
        at_ns=time.time_ns(),
        mono_ns=time.monotonic_ns(),
        **facts,
    )
    return msgspec.structs.replace(day, changes=(*day.changes, change))


def connection_id(date: str) -> str:
    """Unique for ever; what is told under it are the changes of one day."""
    return f"day-{date}-{time.time_ns():x}-{secrets.token_hex(4)}"


def whoami(role: str) -> str:
    """Who changes a day: no user's name, and nothing secret."""
    return f"{role} {socket.gethostname()}/{os.getpid()}"
