"""Taking up what the exchange's messages say, off the feed's stream."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from ssmd import message
from ssmd.bus import Delivery
from ssmd.errors import ContractError, ExchangeError
from ssmd.exchanges.master import Patch
from ssmd.instruments import decide
from ssmd.instruments.change import Change, Held, decode_held, subjects
from ssmd.instruments.shelf import Shelf
from ssmd.message import Message
from ssmd.meta.secmaster.listing import Stopped, listing
from ssmd.meta.secmaster.run import Run
from ssmd.runtime import backoff, wait

log = logging.getLogger(__name__)

POLL_S: Final = 0.5
RETRY_S: Final = 2.0
BATCH: Final = 200


async def follow(run: Run, stop: asyncio.Event, *, listed: bool = True) -> None:
    """Until ``stop``: messages as they come, and the list again each ``refresh_s`` of the feed; at
    once where it is not ``listed`` yet. An exchange that does not answer is asked again."""
    refresh_s = run.feed.instruments.refresh_s
    due, delays = time.monotonic() + (refresh_s if listed else 0.0), backoff(RETRY_S, refresh_s)
    while not stop.is_set():
        await take_up(run)
        if time.monotonic() >= due:
            try:
                await listing(run, stop)
                run.trouble = None
                due, delays = time.monotonic() + refresh_s, backoff(RETRY_S, refresh_s)
            except Stopped:
                return
            except ExchangeError as error:
                log.warning("%s: %s; asked again later", run.feed.name, error.message)
                run.trouble = error.message
                due = time.monotonic() + next(delays)
        await wait(stop, POLL_S)


async def take_up(run: Run) -> None:
    """All that is on the stream and was not taken up. Raises BusError."""
    if not run.master.types:
        return
    patterns = [subjects(run.shelf.env, run.feed.name, type_) for type_ in run.master.types]
    reading = run.shelf.bus.messages(
        run.shelf.stream, patterns, start_seq=run.state.followed_seq + 1
    )
    batch: list[Delivery] = []
    async for delivery in reading:
        batch.append(delivery)
        if len(batch) >= BATCH:
            await _take(run, batch)
            batch = []
    await _take(run, batch)


async def _take(run: Run, batch: Sequence[Delivery]) -> None:
    if not batch:
        return
    said = [(seq, entry, patch) for seq, entry in _read(run, batch) for patch in _said(run, entry)]
    known = await run.shelf.get_many(list({p.sym for _, _, p in said if p.sym is not None}))
    made: list[Change] = []
    for seq, entry, patch in said:
        async for sym in _meant(run.shelf, patch, known):
            old = known.get(sym)
            if old is None and not patch.creates:
                continue  # of an instrument that the feed's filter leaves out
            outcome = decide.by_patch(
                old, run.feed.exchange, sym, patch, entry, seq, time.time_ns()
            )
            run.note(outcome, known, made)
    await run.tell(made)
    run.counts.followed += len(batch)
    await run.checkpoint(followed_seq=batch[-1].nats_seq)
    run.on_progress(run.counts)


def _read(run: Run, batch: Sequence[Delivery]) -> list[tuple[int, Message]]:
    found = []
    for delivery in batch:
        try:
            found.append((delivery.nats_seq, message.decode(delivery.payload)))
        except ContractError as error:
            log.warning("%s: %s", run.feed.name, error.message)
    return found


def _said(run: Run, entry: Message) -> list[Patch]:
    try:
        return list(run.master.patches(entry))
    except (msgspec.MsgspecError, ArithmeticError, ValueError, RecursionError) as error:
        log.warning("%s: a %s message is not as documented: %s", run.feed.name, entry.type, error)
        run.counts.malformed += 1
        return []


async def _meant(shelf: Shelf, patch: Patch, known: dict[str, Held]) -> AsyncIterator[str]:
    """The instruments that a patch is about."""
    if patch.sym is not None:
        yield patch.sym
        return
    async for entry in shelf.bucket.scan():
        record = known.get(entry.key) or decode_held(entry.value)
        if record.instrument.links.event == patch.event:
            known[entry.key] = record
            yield entry.key
