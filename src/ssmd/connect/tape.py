"""The tape of one connection: every frame, and what we have to say of it, onto the bus in order."""

import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from ssmd import message as wire
from ssmd.connect.gaps import Gaps
from ssmd.connect.outbox import Outbox
from ssmd.connect.stats import Counts, Stats
from ssmd.errors import SsmdError
from ssmd.exchanges.base import UNVERIFIED, Exchange, Top, Verdict
from ssmd.message import Header, Message

log = logging.getLogger(__name__)

Hear = Callable[[Header, bytes, Verdict], None]
"""Gets each frame or element that is not idle: its header, its bytes, what its check found."""

ENVELOPE_BYTES = 2048
"""More than the other fields of a message and its header take."""
_SUBJECTS_KEPT = 100_000
UNREADABLE = (SsmdError, msgspec.MsgspecError, ArithmeticError, ValueError)
"""What a check raises at a message that is not as documented."""
_NOT_JSON = frozenset({wire.TEXT, wire.BINARY})


def connection_id() -> str:
    """Unique for ever, and sorted by time of opening."""
    return f"{time.time_ns():x}-{secrets.token_hex(4)}"


class Channel:
    """What the tapes of one feed share: where they write to, and what they count."""

    def __init__(
        self, env: str, feed: str, exchange: Exchange, outbox: Outbox, max_payload: int
    ) -> None:
        self.env = env
        self.feed = feed
        self.exchange = exchange
        self.outbox = outbox
        self.max_line = max_payload - ENVELOPE_BYTES
        self.stats = Stats()
        self.gaps = Gaps(self.stats)
        self._subjects: dict[tuple[str, str | None], str] = {}

    def subject(self, type_: str, sym: str | None) -> str:
        """The subject of a message: escaping costs more than looking up."""
        key = (type_, sym)
        found = self._subjects.get(key)
        if found is None:
            if len(self._subjects) >= _SUBJECTS_KEPT:
                self._subjects.clear()
            found = self._subjects[key] = wire.subject(self.env, self.feed, type_, sym)
        return found


class Tape:
    """Numbers, stamps, checks and publishes the messages of one connection."""

    def __init__(self, channel: Channel, conn: str) -> None:
        self.conn = conn
        self.frames = 0
        self.recv_ns = time.time_ns()
        self.previous_ns = self.recv_ns
        """Receive times of the latest frame and of the one before it."""
        self.mono_s = time.monotonic()
        """Monotonic receive time of the latest frame."""
        self.counts = Counts()
        """Since the last ``_clock``."""
        self._notes = 0
        self._channel = channel
        self._stats = channel.stats
        self._exchange = channel.exchange
        self._continuity = channel.exchange.continuity()

    def frame(
        self,
        payload: bytes,
        recv_ns: int,
        mono_ns: int,
        hear: Hear,
    ) -> bool:
        """Keep one frame. Whether it was market data."""
        self.frames += 1
        self.previous_ns, self.recv_ns = self.recv_ns, recv_ns
        self.mono_s = mono_ns / 1e9
        elements = wire.split_array(payload) if payload[:1] in b"[ \t\r\n" else None
        if not elements:
            return self._element(payload, 0, 0, recv_ns, mono_ns, hear)
        data = False
        for part, element in enumerate(elements):
            data |= self._element(element, part, len(elements), recv_ns, mono_ns, hear)
        return data

    def _element(
        self,
        payload: bytes,
        part: int,
        parts: int,
        recv_ns: int,
        mono_ns: int,
        hear: Hear,
    ) -> bool:
        header = self._exchange.classify(payload)
        type_, sym, ts_ns, seq, grp, kind = header
        body: dict[str, Any]
        if type_ not in _NOT_JSON and wire.is_utf8(payload):
            body = {"raw": wire.one_line(payload)}
        else:
            body = wire.body(payload)
        line = wire.encode(
            Message(
                feed=self._channel.feed,
                conn=self.conn,
                n=self.frames,
                part=part or UNSET,
                parts=parts or UNSET,
                recv_ns=recv_ns,
                mono_ns=mono_ns,
                ts_ns=UNSET if ts_ns is None else ts_ns,
                type=type_,
                sym=UNSET if sym is None else sym,
                seq=UNSET if seq is None else seq,
                grp=UNSET if grp is None else grp,
                **body,
            )
        )
        if len(line) > self._channel.max_line:
            self._oversize(payload, header)
            kept = True
        else:
            kept = self._channel.outbox.put(
                self._channel.subject(type_, sym), f"{self.conn}:{self.frames}:{part}", line
            )
        self._count(type_, len(payload), ts_ns, recv_ns)
        if kind != "idle":
            hear(header, payload, self._check(header, payload, kept))
        return kind == "data"

    def note(self, type_: str, facts: dict[str, Any], sym: str | None = None) -> None:
        """A message of our own, after the last frame read."""
        self._notes += 1
        line = wire.encode(
            Message(
                feed=self._channel.feed,
                conn=self.conn,
                n=self.frames,
                part=-self._notes,
                recv_ns=time.time_ns(),
                mono_ns=time.monotonic_ns(),
                type=type_,
                sym=UNSET if sym is None else sym,
                raw=msgspec.Raw(msgspec.json.encode(facts)),
            )
        )
        kept = self._channel.outbox.put(
            self._channel.subject(type_, sym), f"{self.conn}:{self.frames}:{-self._notes}", line
        )
        # The numbers of our own messages have no holes: the gap that names what there was no room
        # for counts them.
        self._notes -= not kept
        self._stats.by_type[type_] += kept

    def _count(self, type_: str, size: int, ts_ns: int | None, recv_ns: int) -> None:
        stats = self._stats
        stats.messages += 1
        stats.bytes += size
        stats.by_type[type_] += 1
        if ts_ns is not None:
            stats.ages.add(recv_ns - ts_ns)

    def _check(self, header: Header, payload: bytes, kept: bool) -> Verdict:
        """Continuity after the message is on its way: a check never decides whether it is kept.
        What was not ``kept`` for lack of room is not counted as checked."""
        try:
            verdict = self._continuity.check(header, payload)
        except UNREADABLE as error:
            if not self._stats.unreadable:
                log.warning("a %s message is not as documented: %s", header.type, error)
            self._stats.unreadable += 1
            verdict = UNVERIFIED
        if header.kind == "data" and kept:
            self._stats.judge(verdict)
            self.counts.judge(verdict)
        return verdict

    def _oversize(self, payload: bytes, header: Header) -> None:
        log.warning("a frame of %d bytes is more than NATS takes; noted as a gap", len(payload))
        facts = {
            "bytes": len(payload),
            "sha256": hashlib.sha256(payload).hexdigest(),
            "frame_type": header.type,
        }
        self._channel.gaps.lost(self, "oversize", sym=header.sym, n=self.frames, **facts)

    @property
    def paused(self) -> bool:
        """The exchange says that it is closed for now."""
        return self._continuity.paused

    def top(self, sym: str) -> Top | None:
        """The best levels of the book that the checks hold; None where they hold none."""
        return self._continuity.top(sym)

    def clock(self, **facts: Any) -> None:
        """A ``_clock``: what was captured and checked on this connection since the one before."""
        self.note("_clock", {**self.counts.as_dict(), **facts})
        self.counts = Counts()
