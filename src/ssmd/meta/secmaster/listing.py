"""Reading an exchange's whole list, page by page, and going on where a run before was cut off."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from ssmd.errors import ExchangeError, ExchangeRefused, SsmdError
from ssmd.exchanges.base import Request
from ssmd.exchanges.master import Context, Listed
from ssmd.instruments import decide
from ssmd.instruments.change import Change, Held, decode_held
from ssmd.meta.secmaster.run import MALFORMED_KEPT, Run

MAX_PAGES: Final = 50_000
DAY_NS: Final = 86_400_000_000_000
OVERLAP_NS: Final = 60_000_000_000
"""An incremental listing begins so long before the one before it did: clocks differ."""
_AT_ONCE: Final = 1000


class Stopped(SsmdError):
    """A person ended the run."""


async def listing(run: Run, stop: asyncio.Event, *, full: bool = False) -> None:
    """List what there is, or what changed since the last listing where the exchange can tell.

    Raises ExchangeError, BusError, and Stopped where ``stop`` came first: what is listed by then
    is kept, and the next run goes on from there.
    """
    context = await _context(run)
    cut_off = _cut_off(run, full=full)
    try:
        await _pages(run, context, stop, cut_off or await _begin(run, full=full), bool(cut_off))
    except ExchangeRefused:
        if cut_off is None or run.counts.pages:
            raise
        run.counts.notes.append("the exchange does not go on with the old listing: a new one")
        await _pages(run, context, stop, await _begin(run, full=full), False)


def _cut_off(run: Run, *, full: bool) -> Request | None:
    """Where a listing goes on that was cut off; None where none was, or one of other things."""
    state = run.state
    same = state.filter == run.feed.instruments.filter and not (full and state.since_ns)
    return state.next if same else None


async def _begin(run: Run, *, full: bool) -> Request:
    """A new listing: its first call."""
    state, wanted = run.state, run.feed.instruments.filter
    now = time.time_ns()
    recent = state.filter == wanted and now - state.complete_ns < DAY_NS
    since = state.current_ns - OVERLAP_NS if recent and not full else None
    request = run.master.first(wanted, since) if since is not None else None
    if request is None:
        since, request = None, run.master.first(wanted, None)
    assert request is not None
    await run.checkpoint(filter=dict(wanted), next=request, began_ns=now, since_ns=since, listed=0)
    return request


async def _context(run: Run) -> Context:
    """What the entries refer to. An exchange that does not answer for it is listed all the same:
    what these facts would have said stays as it was."""
    context: Context = {}
    for request in run.master.context():
        try:
            run.master.learn(context, request, await run.rest.get(request))
        except ExchangeRefused as error:
            run.counts.notes.append(f"without {request.path}: {error.message}")
    return context


async def _pages(
    run: Run, context: Context, stop: asyncio.Event, first: Request, resumed: bool
) -> None:
    run.counts.resumed, run.counts.incremental = resumed, run.state.since_ns is not None
    whole = not resumed and run.state.since_ns is None
    seen = set[str]()
    request: Request | None = first
    for _ in range(MAX_PAGES):
        if request is None:
            break
        if stop.is_set():
            raise Stopped("stopped in the middle of the list", hint="run it again: it goes on")
        page = await _page(run, context, request)
        if whole:
            seen.update(one.security.sym for one in page.found)
        if page.next == request:
            raise ExchangeError(f"{run.feed.name}: the list of the exchange goes in circles")
        request = page.next
        await run.checkpoint(next=request, listed=run.state.listed + len(page.found))
    if request is not None:
        raise ExchangeError(f"{run.feed.name} has more than {MAX_PAGES} pages")
    if whole:
        await _gone(run, context, seen)
    done = {"current_ns": run.state.began_ns, "next": None}
    if run.state.since_ns is None:
        done["complete_ns"] = run.state.began_ns
    await run.checkpoint(**done)


async def _page(run: Run, context: Context, request: Request) -> Listed:
    body = await run.rest.get(request)
    learned_ns = time.time_ns()
    page = run.master.page(context, request, body)
    del body  # of some exchanges it is the largest thing in memory
    await run.take(page.found, learned_ns)
    counts = run.counts
    counts.pages += 1
    counts.listed += len(page.found)
    counts.malformed += len(page.malformed)
    counts.entries += page.malformed[: max(0, MALFORMED_KEPT - len(counts.entries))]
    run.on_progress(counts)
    return page


# --- what is not listed any more ------------------------------------------------------------------


async def _gone(run: Run, context: Context, seen: set[str]) -> None:
    """Instruments that were active and are in the list no more: ask for them by name. Where the
    list names all that exist, they are delisted."""
    missing = await _missing(run, seen)
    for first in range(0, len(missing), _AT_ONCE):
        some = await run.shelf.get_many(missing[first:][:_AT_ONCE])
        requests = run.master.again([one.instrument for one in some.values()])
        if requests is None:
            if not run.feed.instruments.filter:
                await _delist(run, list(some.values()))
            continue
        for request in requests:
            await _page(run, context, request)


async def _missing(run: Run, seen: set[str]) -> list[str]:
    return [
        entry.key
        async for entry in run.shelf.bucket.scan()
        if entry.key not in seen and decode_held(entry.value).instrument.active
    ]


async def _delist(run: Run, gone: Sequence[Held]) -> None:
    made: list[Change] = []
    now = time.time_ns()
    for one in gone:
        run.note(decide.gone(one, now, now), {}, made)
    await run.tell(made)
