"""What part of an archive is verified and what part is clean, from the archive alone.

The connector counts, for each connection, the market data it checked since its previous ``_clock``
and what came out. Data that no ``_clock`` speaks of (its connector was killed) was checked by
nobody, as far as the archive can tell: it is unverified.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

CONTROL: Final = frozenset(
    {
        "alert", "challenge", "error", "heartbeat", "info", "ok", "ping", "pong", "status",
        "subscribe", "subscribed", "subscribed_failed",
        "unsubscribe", "unsubscribed", "unsubscribed_failed",
    }
)  # fmt: skip
"""The exchanges' own types that carry no market data."""


def is_data(type_: str) -> bool:
    """Whether frames of a type are market data: what the connector's checks are asked about."""
    return not type_.startswith("_") and type_ not in CONTROL


class Checked(Struct):
    """Sums over ``_clock``s: messages of market data, by what their check found."""

    messages: int = 0
    verified: int = 0
    unverified: int = 0
    broken: int = 0

    def add(self, other: "Checked") -> None:
        self.messages += other.messages
        self.verified += other.verified
        self.unverified += other.unverified
        self.broken += other.broken


class Checks(Struct, array_like=True):
    """What the ``_clock``s of one connection say of its data in one stretch of the archive.

    The first ``_clock`` of the stretch may speak of data before the stretch, the data after the
    last one is spoken of after it; stretches that follow on each other can be joined.
    """

    data: int = 0
    """Messages of market data in the stretch."""
    head: int = 0
    """Those before the first ``_clock``."""
    mark: int = 0
    """Those up to the last ``_clock``."""
    clocks: int = 0
    first: Checked = field(default_factory=Checked)
    rest: Checked = field(default_factory=Checked)
    """Sums over the ``_clock``s after the first."""

    def clock(self, counts: Checked) -> None:
        """Take up one more ``_clock``."""
        if self.clocks:
            self.rest.add(counts)
        else:
            self.first, self.head = counts, self.data
        self.clocks += 1
        self.mark = self.data

    def join(self, later: "Checks") -> "Checks":
        """Of both stretches as one."""
        joined = Checks(
            data=self.data + later.data,
            head=self.head,
            mark=self.data + later.mark if later.clocks else self.mark,
            clocks=self.clocks + later.clocks,
        )
        joined.first.add(self.first if self.clocks else later.first)
        joined.rest.add(self.rest)
        joined.rest.add(later.rest)
        if self.clocks:
            joined.rest.add(later.first)
        elif later.clocks:
            joined.head = self.data + later.head
        return joined

    @property
    def sums(self) -> Checked:
        found = Checked()
        found.add(self.first)
        found.add(self.rest)
        return found

    def judged(self) -> tuple[int, int]:
        """``(verified, all)`` messages of market data in the stretch.

        Which of the messages of the first ``_clock`` were verified is not told: those before the
        stretch are taken to be, so that the answer is never more than is true.
        """
        if not self.clocks:
            return 0, self.data
        before = max(0, self.first.messages - self.head)
        verified = self.rest.verified + max(0, self.first.verified - before)
        middle = max(self.rest.messages, self.mark - self.head)
        total = self.head + middle + self.data - self.mark
        return min(verified, total), total


def verified_share(stretches: Iterable[Checks]) -> float | None:
    """Share of the market data that is verified; None where there is none to judge. 1 only where
    not a single message is unverified or broken."""
    judged = [checks.judged() for checks in stretches]
    total = sum(count for _, count in judged)
    return sum(count for count, _ in judged) / total if total else None


Span = tuple[int, int]
"""Wall clock, ns: from and to."""


class OpenGap(Struct):
    """A gap as ``clean_share`` sees it; ``to_ns`` None: nobody closed it."""

    from_ns: int
    to_ns: int | None
    conns: frozenset[str] | None
    """The connections that it counts against; None is all."""


def clean_share(spans: Mapping[str, Span], gaps: Iterable[OpenGap]) -> float | None:
    """Share of the captured connection-seconds in which no gap was open; None where none was
    captured.

    ``spans``: each connection's time on the day, from its ``_connect`` (else its first message) to
    its ``_disconnect`` (else its last). A gap is open from its ``from_ns`` (the moment when all
    was last known to be well; else its ``_gap``) to its ``_gap_closed``. It counts against the
    connection that it names and the one that closed it; where what closed it was no connection,
    against all; where nobody closed it, to the end of the connection that it names. Messages that
    the stream dropped are a gap of all connections, between the messages around them. Time after a
    connection's last ``_clock`` (or the ``_disconnect`` after it) counts as a gap: nobody says
    that all was well.
    """
    known = list(gaps)
    total = clean = 0
    for conn, (first_ns, last_ns) in spans.items():
        own = [
            (max(gap.from_ns, first_ns), last_ns if gap.to_ns is None else min(gap.to_ns, last_ns))
            for gap in known
            if gap.conns is None or conn in gap.conns
        ]
        total += last_ns - first_ns
        clean += last_ns - first_ns - covered(own)
    return clean / total if total else None


def covered(spans: Iterable[Span]) -> int:
    """Total length of spans, each moment counted once; those that end before they begin are
    none."""
    length = 0
    until: int | None = None
    for first, last in sorted(spans):
        begin = first if until is None else max(first, until)
        if last > begin:
            length += last - begin
            until = last
    return length
