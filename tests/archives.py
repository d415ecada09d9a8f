"""Archives to test with: frames through the exchange's own checks, as a connector publishes them,
and through the archiver's writer."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ssmd import message
from ssmd.archive.writer import NS_PER_DAY, Writer
from ssmd.config import Rotation
from ssmd.exchanges import EXCHANGES
from ssmd.message import Message
from ssmd.store.header import About

REAL = Path(__file__).parents[2] / "shared" / "data" / "real"
ENV = "demo"
DAY = 20_000
DATE = "2024-10-04"
"""Day 20,000 of the epoch."""
MS = 1_000_000


class Capture:
    """One connection of a connector: a frame each ms, and what it says of them."""

    def __init__(
        self, exchange: str, feed: str | None = None, *, conn: str = "c1", start_ns: int = 0
    ) -> None:
        self.feed = feed or exchange
        self.conn = conn
        self.now_ns = start_ns or DAY * NS_PER_DAY
        self._exchange = EXCHANGES[exchange]
        self._checks = self._exchange.continuity()
        self._n = 0
        self._notes = 0
        self._gaps = 0
        self._counts = {"messages": 0, "verified": 0, "unverified": 0, "broken": 0}

    def frame(self, frame: bytes) -> list[bytes]:
        """The messages of one frame, with the ``_gap``s of what its check finds."""
        self._n += 1
        self.now_ns += MS
        elements = message.split_array(frame)
        parts = elements or [frame]
        made = []
        for part, element in enumerate(parts):
            header = self._exchange.classify(element)
            facts = {"ts_ns": header.ts_ns, "sym": header.sym, "seq": header.seq, "grp": header.grp}
            if elements:
                facts |= {"parts": len(elements), "part": part or None}
            made.append(self._line(header.type, facts | message.body(element)))
            if header.kind != "idle":
                made += self._check(header, element)
        return made

    def _check(self, header: message.Header, element: bytes) -> Iterator[bytes]:
        verdict = self._checks.check(header, element)
        if header.kind == "data":
            self._counts["messages"] += 1
            self._counts[verdict.state] += 1
        for fault in verdict.faults:
            facts = {"grp": fault.grp, "first_seq": fault.first_seq, "last_seq": fault.last_seq}
            yield self.gap(fault.cause, sym=fault.sym, **facts)

    def gap(self, cause: str, **facts: Any) -> bytes:
        self._gaps += 1
        known = {"id": f"{self.conn}/{self._gaps}", "cause": cause, "conn": self.conn, **facts}
        return self.note("_gap", {key: value for key, value in known.items() if value is not None})

    def note(self, type_: str, facts: dict[str, Any] | None = None) -> bytes:
        self._notes += 1
        raw = msgspec.Raw(msgspec.json.encode(facts or {}))
        return self._line(type_, {"part": -self._notes, "raw": raw})

    def clock(self) -> bytes:
        counts, self._counts = self._counts, dict.fromkeys(self._counts, 0)
        return self.note("_clock", {**counts, "expected_quiet": False})

    def lose(self, frames: int = 1) -> None:
        """Frames that were read and got nowhere."""
        self._n += frames

    def _line(self, type_: str, facts: dict[str, Any]) -> bytes:
        return message.encode(
            Message(
                feed=self.feed,
                conn=self.conn,
                n=self._n,
                recv_ns=self.now_ns,
                mono_ns=self.now_ns,
                type=type_,
                **{key: value for key, value in facts.items() if value is not None},
            )
        )

    def session(self, frames: Iterable[bytes], *, clock_each: int = 50) -> list[bytes]:
        """A whole connection, from ``_connect`` to ``_disconnect``."""
        made = [self.note("_connect", {"exchange": self._exchange.name})]
        for number, frame in enumerate(frames, 1):
            made += self.frame(frame)
            if number % clock_each == 0:
                made.append(self.clock())
        return [*made, self.clock(), self.note("_disconnect", {"cause": "stopped"})]


def recording(file: str, most: int = 10**9) -> list[bytes]:
    """The frames of a real recording."""
    lines = (REAL / file).read_bytes().split(b"\n")
    return [line for line in lines if line][:most]


def about(
    feed: str, *, exchange: str | None = None, created: str = "2024-10-04T00:00:00Z"
) -> About:
    return About(ENV, feed, "message:v1", "sha256:0", created, exchange=exchange)


def writer(root: Path, feed: str = "kalshi", **more: Any) -> Writer:
    return Writer(root, about(feed, **more), Rotation())


def put(to: Writer, lines: Iterable[bytes], *, member: int = 100) -> None:
    """Make messages durable in the open segment, so many a member."""
    for number, line in enumerate(lines, 1):
        to.add(to.last_seq + 1, line)
        if number % member == 0:
            to.flush()
    to.flush()


def archive(
    root: Path, lines: list[bytes], feed: str = "kalshi", *, segments: int = 1, member: int = 100
) -> Path:
    """An archive of closed segments; the folder of its day."""
    to = writer(root, feed)
    size = -(-len(lines) // segments)
    for first in range(0, len(lines), size):
        put(to, lines[first : first + size], member=member)
        to.seal()
    to.close()
    return root / ENV / feed / DATE


def trades(count: int) -> list[bytes]:
    """Frames of a made-up Kalshi subscription: a sequence without holes."""
    return [
        b'{"type":"trade","sid":1,"seq":%d,"msg":{"trade_id":"t%d","market_ticker":"KX-1",'
        b'"yes_price_dollars":"0.5000","count_fp":"1.00","taker_side":"yes","ts_ms":%d}}'
        % (seq, seq, DAY * 86_400_000 + seq)
        for seq in range(1, count + 1)
    ]
