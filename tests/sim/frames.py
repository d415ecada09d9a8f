"""A market heard under a fault, and the same market without it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest

from sim.wire import BOOKS, SYMBOLS, Wire, connected, simulated
from ssmd.exchanges import EXCHANGES
from ssmd.sim.faults import FAULTS, Fault
from ssmd.sim.ledger import Ledger

DELTA = {
    "kalshi": "orderbook_delta",
    "polymarket": "price_change",
    "kraken": "book",
    "kraken_futures": "book",
}
AFTER = 40
"""So many changes of books pass before a fault acts."""
SPAN = 300
"""So many frames are looked at."""


def everywhere(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("exchange", sorted(FAULTS[kind].exchanges))


def of_a_change(kind: str, exchange: str, value: str | None = None, **more: object) -> Fault:
    fields = {"type": DELTA[exchange], "after": AFTER, "value": value, **more}
    return Fault(kind=kind, exchange=exchange, **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def hearing(
    exchange: str, *faults: Fault, channel: str | None = None, symbols: Sequence[str] = ()
) -> AsyncIterator[tuple[Wire, Ledger]]:
    """A client of a market with these faults; at the end, the ledger is what it heard."""
    async with simulated(exchange, *faults) as sim, connected(sim, exchange) as client:
        client.subscribe(channel or BOOKS[exchange], symbols or SYMBOLS[exchange])
        yield client, sim.ledger
        (sent,) = sim.ledger.of(exchange)
        hashes = [sha256(frame).hexdigest() for frame in client.heard]
        assert hashes == [sent.sha256(n) for n in range(1, len(hashes) + 1)]


async def sound(exchange: str, count: int = SPAN, **more: str) -> list[bytes]:
    """The first frames of the market when nothing is wrong."""
    async with hearing(exchange, **more) as (client, _):  # type: ignore[arg-type]
        return await client.take(count)


def place(exchange: str, frames: Sequence[bytes], type_: str | None = None) -> int:
    """Where the fault acts: at the change after the first ``AFTER`` ones."""
    wanted = type_ or DELTA[exchange]
    found = [n for n, frame in enumerate(frames) if EXCHANGES[exchange].classify(frame).type
             == wanted]  # fmt: skip
    return found[AFTER]


def assert_told(client: Wire, ledger: Ledger, kind: str, before: Sequence[bytes]) -> None:
    """The ledger says what acted, and after which frame of the connection."""
    (event, *_) = ledger.events
    assert (event.fault, event.conn) == (kind, 1)
    assert client.told(client.heard[: event.after_n]) == list(before)


def withheld(ledger: Ledger) -> list[str]:
    return [digest for _, digest in ledger.connections[0].withheld]


def hashes(frames: Sequence[bytes]) -> list[str]:
    return [sha256(frame).hexdigest() for frame in frames]
