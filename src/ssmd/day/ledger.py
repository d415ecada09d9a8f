"""Where days are kept: a bucket that all roles share, and the stream that tells of each change.

A change is in the bucket first, swapped in against the revision that was read, so that of two who
want to make it one does. Then it is told on the stream as a ``_day`` message, and then it is noted
as told. Before the next change is made, the one before is told: a crash anywhere leaves at most the
last change untold, and whoever comes next tells it, under the number that it had. JetStream and the
archiver know messages by their number: telling it twice makes it no more.
"""

import contextlib
from typing import NamedTuple, Self

import msgspec

from ssmd import message
from ssmd.bus import Bucket, Bus, StreamFacts
from ssmd.bus.stream import NOT_FOUND, ApiError
from ssmd.config import Environment
from ssmd.day import state as states
from ssmd.day.state import Change, Day, State
from ssmd.errors import Conflict, DayFault
from ssmd.message import Message

TELL_S = 20.0

_decode = msgspec.json.Decoder(Day).decode


class Kept(NamedTuple):
    """A day, and the revision of the bucket that it is in."""

    day: Day
    revision: int


class Ledger:
    """The days of one environment. Every method raises BusError."""

    def __init__(self, bus: Bus, env: str, bucket: Bucket) -> None:
        self.bus = bus
        self.env = env
        self._bucket = bucket
        self._read_at = -1
        self._days: list[Kept] = []

    @classmethod
    async def open(cls, bus: Bus, env: Environment) -> Self:
        bucket = await bus.bucket(f"{env.name}_day", replicas=env.transport.replicas)
        return cls(bus, env.name, bucket)

    def stream(self, feed: str) -> str:
        return message.stream_name(self.env, feed)

    async def facts(self, feed: str) -> StreamFacts:
        """Of the feed's stream. Raises DayFault where there is none yet."""
        try:
            return await self.bus.stream_facts(self.stream(feed))
        except ApiError as error:
            if error.err_code not in NOT_FOUND:
                raise
            raise DayFault(
                f"{feed} has no stream: no archiver and no connector ran",
                hint="start both: `ssmd up`, or `ssmd archive` and `ssmd connect`",
            ) from error

    # --- reading --------------------------------------------------------------------------------

    async def days(self, feed: str) -> list[Kept]:
        """All days of a feed, by date; read again only where something changed."""
        revision = await self._bucket.revision()
        if revision != self._read_at:
            found = [Kept(_decode(e.value), e.revision) async for e in self._bucket.entries()]
            self._days = sorted(found, key=lambda kept: (kept.day.feed, kept.day.date))
            self._read_at = revision
        return [kept for kept in self._days if kept.day.feed == feed]

    async def get(self, feed: str, date: str) -> Kept | None:
        entry = await self._bucket.get(_key(feed, date))
        return Kept(_decode(entry.value), entry.revision) if entry else None

    # --- changing -------------------------------------------------------------------------------

    async def create(self, feed: str, date: str, by: str) -> Kept:
        """A new day, PENDING. Raises Conflict where there is one."""
        facts = await self.facts(feed)
        return await self.tell(await self._swap(states.new(feed, date, facts.created, by), 0))

    async def move(
        self,
        kept: Kept,
        to: State,
        *,
        by: str,
        reason: str | None = None,
        error: str | None = None,
        stats: dict[str, object] | None = None,
        forced: bool = False,
    ) -> Kept:
        """One change. Raises Conflict where someone else was first, DayFault where the state
        allows none such."""
        seen, kept = kept.day, await self.tell(kept)
        if kept.day.changes != seen.changes:
            raise Conflict(f"{seen.feed} {seen.date} was changed by someone else")
        day = states.moved(
            kept.day, to, by=by, reason=reason, error=error, stats=stats or {}
        )  # fmt: skip
        day = msgspec.structs.replace(day, forced=day.forced or forced)
        return await self.tell(await self._swap(day, kept.revision))

    async def force(self, kept: Kept) -> Kept:
        """Note that the day is to end whatever its verification finds."""
        if kept.day.forced:
            return kept
        return await self._swap(msgspec.structs.replace(kept.day, forced=True), kept.revision)

    async def tell(self, kept: Kept) -> Kept:
        """Publish what changed and is not on the stream for sure."""
        day = kept.day
        if day.told == len(day.changes):
            return kept
        kept = await self._follow_stream(kept)
        day = kept.day
        async with self.bus.publisher(self.stream(day.feed)) as publisher:
            for change in day.changes[day.told :]:
                line = _line(day, change)
                subject = message.subject(self.env, day.feed, states.TYPE, None)
                publisher.put(subject, line.id, message.encode(line))
            await publisher.flush(TELL_S)
        day = msgspec.structs.replace(day, told=len(day.changes))
        with contextlib.suppress(Conflict):  # then someone else told it, and went on
            return await self._swap(day, kept.revision)
        return await self.get(day.feed, day.date) or kept

    async def _follow_stream(self, kept: Kept) -> Kept:
        """On a stream that was made anew, count from 1 under another connection id."""
        facts = await self.facts(kept.day.feed)
        if facts.created == kept.day.stream_created:
            return kept
        conn = states.connection_id(kept.day.date)
        day = msgspec.structs.replace(
            kept.day, conn=conn, stream_created=facts.created, base=kept.day.told
        )
        return await self._swap(day, kept.revision)

    async def _swap(self, day: Day, revision: int) -> Kept:
        value = msgspec.json.encode(day)
        return Kept(day, await self._bucket.swap(_key(day.feed, day.date), value, revision))


def _key(feed: str, date: str) -> str:
    return f"{feed}/{date}"


def _line(day: Day, change: Change) -> Message:
    return Message(
        feed=day.feed,
        conn=day.conn,
        n=0,
        part=day.base - change.number,
        recv_ns=change.at_ns,
        mono_ns=change.mono_ns,
        type=states.TYPE,
        raw=msgspec.Raw(msgspec.json.encode(day.body(change))),
    )
