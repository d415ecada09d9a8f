"""Connections that end without a word, again and again."""

import os
import resource
from pathlib import Path

import pytest

from faults.capture import capturing
from ssmd.exchanges import EXCHANGES

ROUNDS = int(os.environ.get("SSMD_TEST_RECONNECTS", "12"))


@pytest.mark.timeout(120 + 4 * ROUNDS)
@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_everything_is_subscribed_again_after_each_end(exchange: str, tmp_path: Path) -> None:
    async with capturing(exchange, tmp_path) as capture:
        (connection,) = capture.feed.connections
        books = set(connection.commands.books)
        for number in range(ROUNDS):
            if number == ROUNDS // 4:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            (client,) = capture.floor.clients
            client.abort()
            count = capture.floor.connections
            await capture.until(lambda n=count: capture.floor.connections > n, "a new connection")  # type: ignore[misc]
            await capture.well()
        await capture.more(50)
        assert len(capture.floor.clients) == 1
        assert {book.sym for book in connection.books} == books
        ended = await capture.notes("_disconnect")
        gaps = await capture.notes("_gap")
        closed = await capture.notes("_gap_closed")
    assert len(ended) == ROUNDS
    assert [gap["cause"] for gap in gaps] == ["disconnected"] * len(gaps)
    assert {gap["conn"] for gap in gaps} == {gap["conn"] for gap in closed}
    assert len(gaps) == len(closed) >= ROUNDS
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after < 1.2 * before
