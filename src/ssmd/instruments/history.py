"""What was known when: every change, from the archive and on from the stream."""

from collections.abc import AsyncIterator, Iterable, Iterator

from msgspec import Struct

from ssmd import message
from ssmd.bus import Bus
from ssmd.dataset import Archive
from ssmd.errors import BusError, ContractError
from ssmd.instruments.change import TYPE, Change, Held, decode_change, held, subjects
from ssmd.message import Message


class Log(Struct):
    """Reads the changes of one feed, each once. What is neither archived nor on the stream any
    more is not known to it."""

    archive: Archive
    env: str
    feed: str
    told: dict[str, int] = {}
    """Run -> how many of its messages were read."""

    def archived(self, sym: str | None = None) -> Iterator[Change]:
        """Raises CorruptArchive where a closed segment is damaged."""
        for day in self.archive.days(self.feed):
            for entry in self.archive.day(self.feed, day).messages(type=TYPE):
                change = self._new(entry)
                if change is not None and sym in (None, change.sym):
                    yield change

    async def streamed(self, bus: Bus, sym: str | None = None) -> AsyncIterator[Change]:
        """Those that are on the stream and were not read before. Raises BusError."""
        name = message.stream_name(self.env, self.feed)
        async for delivery in bus.messages(name, subjects(self.env, self.feed)):
            try:
                change = self._new(message.decode(delivery.payload))
            except ContractError:
                continue
            if change is not None and sym in (None, change.sym):
                yield change

    def _new(self, entry: Message) -> Change | None:
        number = -(entry.part or 0)
        if number <= self.told.get(entry.conn, 0):
            return None
        self.told[entry.conn] = number
        return decode_change(entry.payload)


async def changes(log: Log, bus: Bus | None, sym: str | None = None) -> AsyncIterator[Change]:
    """All changes in order; without a bus, those that are archived."""
    for change in log.archived(sym):
        yield change
    if bus is not None:
        async for change in on_stream(log, bus, sym):
            yield change


async def on_stream(log: Log, bus: Bus, sym: str | None = None) -> AsyncIterator[Change]:
    """Those on the stream that were not read before; none where the feed has no stream."""
    try:
        await bus.stream_facts(message.stream_name(log.env, log.feed))
    except BusError:
        return
    async for change in log.streamed(bus, sym):
        yield change


def was_known(change: Change, at_ns: int | None) -> bool:
    """At that time; None is any time."""
    return at_ns is None or change.known_ns <= at_ns


def as_of(history: Iterable[Change], at_ns: int | None) -> dict[str, Held]:
    """What was known at that time, by symbol: the last in order of what was known by then."""
    return {change.sym: held(change) for change in history if was_known(change, at_ns)}
