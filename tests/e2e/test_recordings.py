"""Every real recording through simulated exchange -> connect -> NATS -> archive -> serve."""

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec import json

from proof import Kept, archive_of, assert_all_kept, assert_served, flat, frames_read, lines, sha256
from roles import Roles
from ssmd import keys
from ssmd.dataset import Archive
from ssmd.sim.play import Play, Recording
from ssmd.sim.server import SimOptions, Simulator

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "real"
EXCHANGES = {"kraken_spot": "kraken"}
"""Folder -> exchange, where they differ."""
SYMBOLS = {
    "kalshi": "KX-ANY",
    "kraken": "BTC/USD",
    "kraken_futures": "PF_XBTUSD",
    "polymarket": "1",
}
SEQUENCED = ("kraken", "kraken_futures")
"""Whose recordings are whole: everything that can be checked of them holds. Those of Kalshi are
one market of several under one sequence."""

JSONL = sorted(REAL.rglob("*.jsonl"))
FIXTURES = sorted(REAL.rglob("ws_*.json"))
ABSENT = [pytest.param(REAL, marks=pytest.mark.skip(reason=f"no recordings at {REAL}"))]


class Source(NamedTuple):
    """What one feed of the run is sent: a recording, or a folder of fixtures, a frame a file."""

    path: Path

    @property
    def exchange(self) -> str:
        folder = self.path.relative_to(REAL).parts[0]
        return EXCHANGES.get(folder, folder)

    @property
    def feed(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", str(self.path.relative_to(REAL)).lower())[:64].strip("-")

    @property
    def files(self) -> list[Path]:
        return [file for file in FIXTURES if file.parent == self.path]

    @property
    def frames(self) -> list[bytes]:
        if self.path.is_dir():
            return [file.read_bytes() for file in self.files]
        return [line for line in self.path.read_bytes().split(b"\n") if line]


class Fixtures(Recording):
    """Frames with line breaks, which a recording of one frame a line cannot hold."""

    def __init__(self, source: Source) -> None:
        self._source = source
        super().__init__(Play(source.files[0], None), source.exchange)

    def frames(self) -> Iterator[bytes]:
        yield from self._source.frames


SOURCES = [Source(path) for path in (*JSONL, *sorted({file.parent for file in FIXTURES}))]


class Outcome(NamedTuple):
    """What came of one source, once everything has ended."""

    source: Source
    sim: Simulator
    kept: Kept
    served: int


def simulator(source: Source, public: bytes) -> Simulator:
    file = source.files[0] if source.path.is_dir() else source.path
    sim = Simulator(
        SimOptions(
            exchanges=(source.exchange,),
            plays={source.exchange: Play(file, None)},
            kalshi_public_key=public,
        )
    )
    if source.path.is_dir():
        sim.floors[source.exchange].recording = Fixtures(source)
    return sim


def configure(root: Path, sims: dict[Source, Simulator]) -> None:
    """A configuration with one feed for each source, its endpoint a simulator of its own."""
    for folder in ("feeds", "environments"):
        (root / folder).mkdir(parents=True)
    (root / "schemas").symlink_to(ROOT / "config" / "schemas")
    key = {
        "type": "api_key",
        "fields": ["api_key", "private_key"],
        "source": "env:KALSHI_API_KEY,KALSHI_PRIVATE_KEY",
    }
    for source, sim in sims.items():
        version = {
            "version": "v1",
            "effective_from": "2026-01-01",
            "protocol": {"transport": "ws"},
            "endpoint": sim.ws_url(source.exchange),
            "rest_endpoint": sim.rest_url(source.exchange),
        }
        feed = {
            "name": source.feed,
            "exchange": source.exchange,
            "instruments": {"symbols": [SYMBOLS[source.exchange]]},
            "versions": [version],
        }
        (root / "feeds" / f"{source.feed}.yaml").write_bytes(json.encode(feed))
    env = {
        "name": "played",
        "feeds": [source.feed for source in sims],
        "schema": "message:v1",
        "transport": {"url": "embedded", "max_bytes": 100_000_000},
        "keys": {source.feed: key for source in sims if source.exchange == "kalshi"},
    }
    (root / "environments" / "played.yaml").write_bytes(json.encode(env))


async def all_archived(roles: Roles, archive: Archive, sims: dict[Source, Simulator]) -> None:
    """Handed to the socket is not read yet: what a stop cuts off is named, but lost."""
    for source, sim in sims.items():
        while not sim.played.is_set() or frames_read(archive, source.feed) < sum(
            map(len, sim.ledger.of(source.exchange))
        ):
            roles.check()
            await asyncio.sleep(0.2)


async def play_all(data: Path) -> dict[Path, Outcome]:
    secret, public = keys.make(data / "keys")
    env = {"KALSHI_API_KEY": "test", "KALSHI_PRIVATE_KEY_FILE": str(secret)}
    archive = archive_of(data, "played")
    async with AsyncExitStack() as stack:
        sims = {
            source: await stack.enter_async_context(simulator(source, public.read_bytes()))
            for source in SOURCES
        }
        configure(data / "config", sims)
        arguments = ("--env", "played", "--config", str(data / "config"))
        roles = Roles(data, env, arguments=arguments)
        async with roles.all():
            async with asyncio.timeout(90):
                await all_archived(roles, archive, sims)
        async with roles.served() as client:
            served = {s: await assert_served(client, archive, s.feed) for s in sims}
        return {
            s.path: Outcome(s, sim, Kept(lines(archive, s.feed)), served[s])
            for s, sim in sims.items()
        }


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Outcome]:
    """One run of the roles for all recordings, at the pace at which they are read."""
    return asyncio.run(play_all(tmp_path_factory.mktemp("played")))


def named(path: Path) -> str:
    return os.fspath(path.relative_to(REAL))


@pytest.mark.parametrize("file", JSONL or ABSENT, ids=named)
def test_a_recording_comes_out_as_it_went_in(outcomes: dict[Path, Outcome], file: Path) -> None:
    source, sim, kept, served = outcomes[file]
    assert assert_all_kept(kept, sim.ledger, source.exchange) >= len(source.frames)
    recorded = source.frames
    (frames,) = kept.frames.values()
    among = set(recorded)
    assert [frame for frame in frames if frame in among] == recorded
    assert served >= min(len(kept.messages), 10_000)


@pytest.mark.parametrize("file", FIXTURES or ABSENT, ids=named)
def test_a_pretty_frame_loses_its_line_breaks_only(
    outcomes: dict[Path, Outcome], file: Path
) -> None:
    source, sim, kept, _ = outcomes[file.parent]
    changed = {sha256(frame): sha256(flat(frame)) for frame in source.frames}
    assert_all_kept(kept, sim.ledger, source.exchange, changed)
    (frames,) = kept.frames.values()
    assert frames.count(flat(file.read_bytes())) == 1


@pytest.mark.parametrize("file", JSONL or ABSENT, ids=named)
def test_no_recording_has_a_false_gap(outcomes: dict[Path, Outcome], file: Path) -> None:
    source, _, kept, _ = outcomes[file]
    if source.exchange in SEQUENCED:
        assert kept.of_type("_gap") == []
