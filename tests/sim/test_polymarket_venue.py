"""The simulated Polymarket as a client sees it: no acks, books at once, both outcomes a change."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from sim.wire import Wire, connected, simulated
from ssmd.sim.server import Simulator
from ssmd.sim.venues.polymarket import MAX_ASSETS
from ssmd.sim.venues.polymarket_listing import condition, token

YES, NO, OTHER = token(0, 0), token(0, 1), token(1, 0)


def said(assets: list[str], **more: object) -> bytes:
    return json.dumps({"assets_ids": assets, "type": "market", **more}).encode()


@pytest.fixture
async def quiet() -> AsyncIterator[Simulator]:
    """A market in which nothing happens by itself."""
    async with simulated("polymarket", rate=1e-9) as sim:
        yield sim


async def test_ping_is_answered_in_words(quiet: Simulator) -> None:
    async with connected(quiet, "polymarket") as client:
        client.say(b"PING")
        assert await client.frame() == b"PONG"
        await client.pong()


@pytest.mark.parametrize("command", [b"{", b"{}", b"[]", b'{"assets_ids":7}', b"ping"])
async def test_what_is_no_command_is_invalid(quiet: Simulator, command: bytes) -> None:
    async with connected(quiet, "polymarket") as client:
        client.say(command)
        assert await client.frame() == b"INVALID OPERATION"


async def test_books_come_at_once_in_one_array(quiet: Simulator) -> None:
    async with connected(quiet, "polymarket") as client, aiohttp.ClientSession() as http:
        client.say(said([YES, NO, "1", OTHER]))
        books = json.loads(await client.frame())
        assert [book["asset_id"] for book in books] == [YES, NO, OTHER]
        assert {book["market"] for book in books} == {condition(0), condition(1)}
        # What is bid for one outcome is asked of the other.
        mirrored = {f"{1 - float(b['price']):.2f}": b["size"] for b in books[0]["bids"]}
        assert mirrored == {level["price"]: level["size"] for level in books[1]["asks"]}
        url = f"{quiet.rest_url('polymarket')}/book"
        async with http.get(url, params={"token_id": YES}) as got:
            assert await got.json() == books[0]
        async with http.get(url, params={"token_id": "7"}) as got:
            assert got.status == 404


async def test_a_change_tells_of_both_outcomes_and_their_tops() -> None:
    async with simulated("polymarket") as sim, connected(sim, "polymarket") as client:
        client.say(said([YES, NO]))
        await client.frame()
        for change in await _changes(client, 100):
            assert [entry["asset_id"] for entry in change] == [YES, NO]
            assert [entry["side"] for entry in change] in (["BUY", "SELL"], ["SELL", "BUY"])


async def _changes(client: Wire, count: int) -> list[list[dict[str, str]]]:
    found: list[list[dict[str, str]]] = []
    while len(found) < count:
        event = json.loads(await client.frame())
        if event["event_type"] == "price_change":
            found.append(event["price_changes"])
    return found


async def test_what_is_unsubscribed_falls_silent() -> None:
    async with simulated("polymarket") as sim, connected(sim, "polymarket") as client:
        client.say(said([YES, OTHER]))
        await client.take(20)
        client.say(said([YES], operation="unsubscribe"))
        client.say(b"PING")
        while await client.frame() != b"PONG":
            pass
        assert {c["asset_id"] for change in await _changes(client, 100) for c in change} == {OTHER}


async def test_too_many_assets_are_met_with_silence() -> None:
    async with (
        simulated("polymarket", markets=MAX_ASSETS + 1, rate=1e-9) as sim,
        connected(sim, "polymarket") as client,
    ):
        client.say(said([token(index, 0) for index in range(MAX_ASSETS + 1)]))
        client.say(b"PING")
        assert await client.frame() == b"PONG"


@pytest.mark.parametrize("wanted", [True, False])
async def test_new_and_settled_markets_are_told_who_asked(wanted: bool) -> None:
    async with (
        simulated("polymarket", lifecycle_every=40) as sim,
        connected(sim, "polymarket") as client,
    ):
        client.say(said([token(0, 0), token(2, 0)], custom_feature_enabled=wanted))
        await client.frame()
        told = {json.loads(frame)["event_type"] for frame in await client.take(1_000)}
        assert ({"new_market", "market_resolved"} <= told) is wanted
        assert ({"new_market", "market_resolved"} & told != set()) is wanted


async def test_the_list_goes_on_where_a_page_ends(quiet: Simulator) -> None:
    async with aiohttp.ClientSession() as http:
        url, after, found = f"{quiet.rest_url('polymarket')}/markets/keyset", "", []
        while True:
            async with http.get(url, params={"limit": "3", "after_cursor": after}) as got:
                page = await got.json()
            found += [json.loads(market["clobTokenIds"])[0] for market in page["markets"]]
            if "next_cursor" not in page:
                break
            after = page["next_cursor"]
        assert found == [token(index, 0) for index in range(4)]
        for query, status in (
            ({"limit": "101"}, 400), ({"limit": "x"}, 400), ({"limit": "\xb2"}, 400),
            ({"after_cursor": "x"}, 400), ({"offset": "5"}, 422),
        ):  # fmt: skip
            async with http.get(url, params=query) as got:
                assert got.status == status
