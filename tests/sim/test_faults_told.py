"""How faults are told to the simulator: in words, and over HTTP; and what it says to bad ones."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sim import test_faults_connections, test_faults_frames, test_faults_mute
from sim.wire import connected, simulated
from ssmd.errors import ConfigError
from ssmd.sim.faults import FAULTS, Fault, parse
from ssmd.sim.server import Simulator


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop", Fault(kind="drop")),
        ("kraken:drop", Fault(kind="drop", exchange="kraken")),
        (
            "kraken:drop:symbol=BTC/USD:type=book:after=500:count=2:connection=3",
            Fault(kind="drop", exchange="kraken", symbol="BTC/USD", type="book", after=500,
                  count=2, connection=3),
        ),
        ("kalshi:error:value=10", Fault(kind="error", exchange="kalshi", value="10")),
        ("rest:path=*/markets:count=all:value=429/3",
         Fault(kind="rest", path="*/markets", count=None, value="429/3")),
        ("kraken:close:value=1012 a reason",
         Fault(kind="close", exchange="kraken", value="1012 a reason")),
        ("clock:value=-2.5", Fault(kind="clock", value="-2.5")),
    ],
)  # fmt: skip
def test_words(text: str, fault: Fault) -> None:
    assert parse(text) == fault


BAD = [
    ("", "no fault ''"),
    ("drip", "no fault 'drip'"),
    ("kraken", "no fault 'kraken'"),
    ("kraken:", "no fault ''"),
    ("kraken:drip", "no fault 'drip'"),
    ("nyse:drop", "no exchange 'nyse'"),
    ("drop:BTC/USD", "'BTC/USD' is no setting"),
    ("drop:after=soon", "after"),
    ("drop:after=-1", "after is 0 or more"),
    ("drop:count=0", "count 1 or more"),
    ("drop:colour=red", "colour"),
    ("drop:value=3", "drop takes no value"),
    ("drop:path=/x", "drop has no path"),
    ("rest:symbol=BTC/USD", "rest has no symbol"),
    ("rest:value=200", "rest: bad value '200'"),
    ("rest:value=slow/-1", "rest: bad value"),
    ("rest:value=slow/nan", "rest: bad value"),
    ("handshake:value=garbage", "handshake: bad value 'garbage'"),
    ("handshake:path=/x", "handshake has no path"),
    ("clock:value=now", "clock: bad value 'now'"),
    ("clock:value=inf", "clock: bad value 'inf'"),
    ("clock:value=nan", "clock: bad value 'nan'"),
    ("clock:connection=1", "clock has no connection"),
    ("kraken:error:value=25", "kraken has nothing that could be wrong by 'error'"),
    ("kalshi:error:value=11", "error: bad value '11'"),
    ("polymarket:sequence", "polymarket has nothing"),
    ("sequence:value=0", "sequence: bad value"),
    ("sequence:value=1.5", "sequence: bad value"),
    ("huge:value=1e15", "huge: bad value"),
    ("delay:value=-1", "delay: bad value"),
    ("close:value=999", "close: bad value '999'"),
    ("close:value=goodbye", "close: bad value 'goodbye'"),
    ("garbage:value=json", "garbage: bad value 'json'"),
    ("schema:value=drop", "schema: bad value 'drop'"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_bad_words_are_refused_with_a_hint(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert says in refused.value.message
    assert refused.value.hint


def test_every_kind_is_seen_on_the_wire() -> None:
    modules = (test_faults_frames, test_faults_mute, test_faults_connections)
    tried = {name for module in modules for name in dir(module)}
    assert [kind for kind in FAULTS if kind != "rest" and f"test_{kind}" not in tried] == []


# --- HTTP -----------------------------------------------------------------------------------------


class Control:
    def __init__(self, http: aiohttp.ClientSession, sim: Simulator) -> None:
        self.sim = sim
        self._http = http
        self._url = f"http://127.0.0.1:{sim.port}/_sim/faults"

    async def __call__(self, method: str, body: Any = None, status: int = 200) -> Any:
        data = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self._http.request(method, self._url, **data) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()


@asynccontextmanager
async def controlling(exchange: str) -> AsyncIterator[Control]:
    async with simulated(exchange, rate=200.0) as sim, aiohttp.ClientSession() as http:
        yield Control(http, sim)


async def test_a_fault_over_http() -> None:
    async with controlling("kraken") as control:
        assert await control("GET") == {"faults": [], "events": []}
        asked = {"kind": "drop", "exchange": "kraken", "symbol": "BTC/USD", "count": 2}
        (told,) = (await control("POST", asked))["faults"]
        assert told.items() >= {**asked, "acted": 0, "fired": False, "over": False}.items()
        async with connected(control.sim, "kraken") as client:
            client.subscribe("book", ["BTC/USD"])
            await control.sim.faults[0].fired.wait()
            while not control.sim.faults[0].over:
                await client.take(1)
        seen = await control("GET")
        assert seen["faults"][0]["acted"] == 2
        assert [(e["fault"], e["symbol"]) for e in seen["events"]] == [("drop", "BTC/USD")] * 2
        assert (await control("DELETE"))["faults"] == []


async def test_faults_as_words_and_as_a_list() -> None:
    async with controlling("kraken") as control:
        await control("POST", "kraken:drop:after=9")
        asked = ["garbage", {"kind": "close", "value": 1012, "after": 5}]
        told = (await control("POST", asked))["faults"]
        assert [fault["kind"] for fault in told] == ["drop", "garbage", "close"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 5000, b"7", b"[7]", b"{}", b'{"kind":"drip"}', b'"drip"',
     b'{"kind":"drop","after":"soon"}', b'{"kind":"drop","value":[1]}', b'"kalshi:drop"',
     b'{"kind":"clock","value":1e400}', b'{"kind":"delay","value":"x"}'],
)  # fmt: skip
async def test_a_bad_fault_over_http_is_refused_whole(body: bytes) -> None:
    """A list with one bad fault lets none happen."""
    async with controlling("kraken") as control:
        error = (await control("POST", body, 400))["error"]
        assert error["message"]
        assert error["hint"]
        if body.startswith((b"{", b'"')) and body != b"{":
            await control("POST", b'["kraken:drop",' + body + b"]", 400)
        assert (await control("GET"))["faults"] == []


async def test_other_methods_and_places_are_none() -> None:
    async with controlling("kraken") as control, aiohttp.ClientSession() as http:
        await control("PUT", {}, 405)
        async with http.get(f"http://127.0.0.1:{control.sim.port}/_sim/more") as answer:
            assert answer.status == 404


async def test_delete_ends_silence_and_forgets_what_waits() -> None:
    async with controlling("kraken") as control, connected(control.sim, "kraken") as client:
        client.subscribe("book", ["BTC/USD"])
        await client.take(5)
        told = await control("POST", ["kraken:mute_all", "kraken:drop:after=1000000"])
        assert told["faults"][0]["acted"] == 1
        await control("DELETE")
        await client.take(20)


async def test_the_file_of_the_ledger_tells_what_was_kept_back(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    fault = Fault(kind="drop", exchange="kraken", type="book", after=3, count=2)
    async with (
        simulated("kraken", fault, ledger=path) as sim,
        connected(sim, "kraken") as client,
    ):
        client.subscribe("book", ["BTC/USD"])
        await client.take(20)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [line for line in lines if line.get("dropped")]
    acted = [line for line in lines if "fault" in line]
    sent = [line for line in lines if "n" in line]
    assert [line["after_n"] for line in kept] == [line["after_n"] for line in acted]
    assert [line["sha256"] for line in kept] == [d for _, d in sim.ledger.connections[0].withheld]
    assert [line["n"] for line in sent] == list(range(1, len(sent) + 1))


async def test_an_answer_can_be_dropped_by_its_type() -> None:
    fault = Fault(kind="drop", exchange="kalshi", type="subscribed")
    async with simulated("kalshi", fault) as sim, connected(sim, "kalshi") as client:
        client.subscribe("orderbook_delta", ["KXSIM-E00000-T000000"])
        (first,) = await client.take(1)
        assert client.header(first).type == "orderbook_snapshot"
