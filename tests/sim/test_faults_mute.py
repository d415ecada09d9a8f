"""Silence of one symbol: from the frame on, until it is subscribed again, and of no other."""

import json
import re
from collections.abc import Sequence

from sim.frames import (
    AFTER,
    DELTA,
    SPAN,
    everywhere,
    hashes,
    hearing,
    of_a_change,
    sound,
    withheld,
)
from sim.wire import BOOKS, SYMBOLS, Wire
from ssmd.exchanges import EXCHANGES


@everywhere("mute")
async def test_mute(exchange: str) -> None:
    symbol = SYMBOLS[exchange][0]
    expected = await sound(exchange)
    fault = of_a_change("mute", exchange, symbol=symbol)
    own = [n for n, frame in enumerate(expected) if f'"{symbol}"'.encode() in frame]
    last = [n for n in own if EXCHANGES[exchange].classify(expected[n]).type == DELTA[exchange]][
        AFTER
    ]
    lost = [n for n in own if n > last]
    left = [frame for n, frame in enumerate(expected) if n not in lost]
    async with hearing(exchange, fault) as (client, ledger):
        heard = await client.take(len(left))
        assert numberless(heard) == numberless(left)
        if exchange == "kalshi":
            # As if the subscription were forgotten: what is not sent is not numbered.
            assert seqs(heard) == list(range(1, len(seqs(heard)) + 1))
        else:
            assert heard == left
        assert hashes([expected[n] for n in lost]) == withheld(ledger)[: len(lost)]
        client.subscribe(BOOKS[exchange], [symbol], 2)
        await _until_it_speaks_again(client, symbol)


async def _until_it_speaks_again(client: Wire, symbol: str) -> None:
    """A snapshot comes, and changes after it."""
    found = 0
    while found < 3:
        (frame,) = await client.take(1)
        found += client.header(frame).kind == "data" and f'"{symbol}"'.encode() in frame


@everywhere("mute")
async def test_mute_of_so_many_frames(exchange: str) -> None:
    expected = await sound(exchange)
    fault = of_a_change("mute", exchange, "3", symbol=SYMBOLS[exchange][0])
    async with hearing(exchange, fault) as (client, ledger):
        heard = await client.take(SPAN - 3)
    assert len(withheld(ledger)) == 3
    lost = [n for n, frame in enumerate(expected) if hashes([frame])[0] in withheld(ledger)]
    assert numberless(heard) == numberless([f for n, f in enumerate(expected) if n not in lost])


async def test_mute_takes_one_outcome_out_of_a_message_of_both() -> None:
    yes, no = str(10**60), str(10**60 + 1)
    fault = of_a_change("mute", "polymarket", symbol=no)
    async with hearing("polymarket", fault, symbols=[yes, no]) as (client, ledger):
        heard = await client.take(SPAN)
    changes = [json.loads(frame)["price_changes"] for frame in heard if b"price_changes" in frame]
    both, one = changes[: AFTER + 1], changes[AFTER + 1 :]
    assert {tuple(change["asset_id"] for change in found) for found in both} == {(yes, no)}
    assert {tuple(change["asset_id"] for change in found) for found in one} == {(yes,)}
    assert len(withheld(ledger)) >= len(one)


def seqs(frames: Sequence[bytes]) -> list[int]:
    return [int(found[1]) for frame in frames if (found := re.search(rb'"seq":(\d+)', frame))]


def numberless(frames: Sequence[bytes]) -> list[bytes]:
    return [re.sub(rb'"seq":\d+', b"", frame) for frame in frames]
