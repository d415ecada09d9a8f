"""One run over the instruments of one feed: what the exchange says becomes messages and records."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Self

import msgspec
from msgspec import Struct, field

from ssmd import message
from ssmd.bus import Bus, Publisher, StreamFacts
from ssmd.config import Config, ResolvedFeed
from ssmd.exchanges import exchange
from ssmd.exchanges.master import Found, Malformed, Master
from ssmd.exchanges.masters import MASTERS
from ssmd.instruments import decide
from ssmd.instruments.change import TYPE, Change, Held, connection_id, held, to_message
from ssmd.instruments.decide import Outcome
from ssmd.instruments.shelf import Shelf, State
from ssmd.rest import Rest, open_rest

TELL_S: Final = 60.0
MALFORMED_KEPT: Final = 100
LOST: Final = (
    "a run was cut off, and the stream does not hold any more what it told last: it is told again"
)


class Counts(Struct):
    """What a run came to."""

    feed: str
    resumed: bool = False
    """A listing that was cut off before went on."""
    incremental: bool = False
    pages: int = 0
    listed: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    stale: int = 0
    """Said by answers and messages that are older than what is known."""
    followed: int = 0
    """Messages of the exchange that were taken up."""
    recovered: int = 0
    """Changes that a run before had published and not kept."""
    malformed: int = 0
    seconds: float = 0.0
    entries: list[Malformed] = field(default_factory=list)
    """Entries that are not as documented: the first of them."""
    notes: list[str] = field(default_factory=list)


class Run:
    """Holds the feed from entry to exit: nobody else changes its records."""

    def __init__(
        self, shelf: Shelf, feed: ResolvedFeed, rest: Rest, publisher: Publisher, state: State
    ) -> None:
        self.shelf = shelf
        self.feed = feed
        self.rest = rest
        self.state = state
        self.master: Master = MASTERS[feed.exchange]
        self.counts = Counts(feed.name)
        self.trouble: str | None = None
        """Why the exchange could not be listed lately."""
        self.on_progress: Callable[[Counts], None] = lambda counts: None
        self._publisher = publisher
        self._conn = state.holder or ""
        self._told = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, bus: Bus, config: Config, feed: ResolvedFeed) -> AsyncIterator[Self]:
        """Take the feed over, and let it go when the block ends. Raises Conflict where another
        run is at work, BusError."""
        env, transport = config.env.name, config.env.transport
        shelf = await Shelf.open(bus, env, feed.name, transport.replicas)
        state = await shelf.state()
        name = f"ssmd meta secmaster sync of {env} {feed.name}"
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(bus.claim(name, ask=state.holder is not None))
            await bus.ensure_stream(env, feed.name, transport)
            facts = await bus.stream_facts(shelf.stream)
            lost = state.holder is not None and facts.first_seq > state.seq + 1
            state, recovered = await take_over(shelf, state, facts)
            rest = await stack.enter_async_context(open_rest(feed, exchange(feed.exchange)))
            publisher = await stack.enter_async_context(bus.publisher(shelf.stream))
            run = cls(shelf, feed, rest, publisher, state)
            run.counts.recovered = recovered
            if lost:
                run.counts.notes.append(LOST)
            yield run
            await run.checkpoint(holder=None)

    # --- changes --------------------------------------------------------------------------------

    async def take(self, found: Sequence[Found], learned_ns: int) -> None:
        """What a REST answer says."""
        known = await self.shelf.get_many(list(dict.fromkeys(f.security.sym for f in found)))
        made: list[Change] = []
        for one in found:
            old = known.get(one.security.sym)
            outcome = decide.by_answer(old, one, learned_ns, time.time_ns())
            self.note(outcome, known, made)
        await self.tell(made)

    def note(self, outcome: Outcome, known: dict[str, Held], made: list[Change]) -> None:
        """Count an outcome; a change is known to what is decided next."""
        if isinstance(outcome, Change):
            known[outcome.sym] = held(outcome)
            made.append(outcome)
            self.counts.added += outcome.kind == "added"
            self.counts.changed += outcome.kind == "changed"
        else:
            self.counts.unchanged += outcome == "same"
            self.counts.stale += outcome == "stale"

    async def tell(self, made: Sequence[Change]) -> None:
        """Publish changes, and keep them once JetStream has them. Raises BusError."""
        env, feed = self.shelf.env, self.feed.name
        for change in made:
            self._told += 1
            entry = to_message(feed, self._conn, self._told, change)
            subject = message.subject(env, feed, TYPE, change.sym)
            self._publisher.put(subject, entry.id, message.encode(entry))
        if made:
            await self._publisher.flush(TELL_S)
            await self.shelf.put_many(made)

    async def checkpoint(self, **changes: object) -> None:
        """Save how far this run has come; all that it told is kept. Raises Conflict where another
        run has taken over."""
        facts = await self.shelf.bus.stream_facts(self.shelf.stream)
        state = msgspec.structs.replace(self.state, seq=facts.last_seq, **changes)
        await self.shelf.save(state)
        self.state = state


async def take_over(shelf: Shelf, state: State, facts: StreamFacts) -> tuple[State, int]:
    """The state as this run begins with it; how many changes were published and not kept."""
    recovered = 0
    if state.stream_created != facts.created:
        first_ever = not state.stream_created
        # What was said before the first listing is in the listing.
        followed = facts.last_seq if first_ever else 0
        state = msgspec.structs.replace(
            state, stream_created=facts.created, seq=0, followed_seq=followed
        )
    if state.holder is not None or state.seq == 0:
        recovered, source_seq = await shelf.catch_up(state.seq)
        # Of the last message that it took up, it may have told a part.
        followed = max(state.followed_seq, source_seq - 1)
        state = msgspec.structs.replace(state, followed_seq=followed)
    state = msgspec.structs.replace(state, holder=connection_id(), seq=facts.last_seq)
    await shelf.save(state)
    return state, recovered
