"""The security master beside capture: what it tells is archived, and the archive proves clean."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from proof import archive_of
from roles import FEEDS, Process, Roles, variables
from ssmd import keys
from ssmd.archive.verify import verify
from ssmd.bus import Bus, connect
from ssmd.config import Transport
from ssmd.instruments.change import Held, decode_change, decode_held, subjects
from ssmd.instruments.history import Log, as_of
from ssmd.instruments.shelf import Shelf
from ssmd.message import decode, stream_name
from ssmd.sim.server import SimOptions, Simulator
from ssmd.store import manifest as manifests

MESSAGES = 20
"""Lifecycle messages that are waited for."""


async def test_what_is_followed_is_archived_once_and_clean(tmp_path: Path) -> None:
    secret, public = keys.make(tmp_path / "keys")
    options = SimOptions(rate=300, lifecycle_every=40, kalshi_public_key=public.read_bytes())
    async with Simulator(options) as sim:
        env = variables(sim, secret)
        roles = Roles(tmp_path, env, tuple(FEEDS.values()))
        async with (
            roles.all(),
            connect(Transport(url="embedded"), name="test", data=tmp_path) as bus,
            _following(tmp_path, env) as follower,
        ):
            async with asyncio.timeout(120):
                while await _followed(bus) < MESSAGES:
                    assert follower.returncode is None
                    roles.check()
                    await asyncio.sleep(0.1)
            follower.send_signal(signal.SIGINT)
            _, err = await follower.communicate()
            assert follower.returncode == 0, err.decode()
            latest = {feed: await _records(bus, feed) for feed in FEEDS.values()}
    for feed in FEEDS.values():
        log = Log(archive_of(tmp_path, "demo"), "demo", feed)
        assert as_of(log.archived(), None) == latest[feed]
        assert latest[feed]
    new = [one for one in latest["kalshi"].values() if one.source == "market_lifecycle_v2"]
    assert new
    _assert_clean(tmp_path)


@asynccontextmanager
async def _following(data: Path, env: Mapping[str, str]) -> AsyncIterator[Process]:
    """``sync --follow``, once it has listed all feeds."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ssmd", "meta", "secmaster", "sync", "--follow"),
        *("--env", "demo", "--data", str(data)),
        env={**os.environ, **env}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            listed = 0
            while listed < len(FEEDS):
                line = await process.stderr.readline()
                assert line, "it ended before it had listed all"
                listed += b" listed, " in line
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _followed(bus: Bus) -> int:
    """Changes of Kalshi's markets that a message of Kalshi told."""
    count = 0
    async for found in bus.messages(stream_name("demo", "kalshi"), subjects("demo", "kalshi")):
        change = decode_change(decode(found.payload).payload)
        count += change.source == "market_lifecycle_v2"
    return count


async def _records(bus: Bus, feed: str) -> dict[str, Held]:
    shelf = await Shelf.open(bus, "demo", feed)
    return {entry.key: decode_held(entry.value) async for entry in shelf.bucket.scan()}


def _assert_clean(data: Path) -> None:
    folder = data / "archive" / "demo"
    found = verify(folder, list(FEEDS.values()), (), deep=True, tell=print, progress=lambda _: None)
    assert found.findings == []
    for day in folder.glob("*/????-??-??"):
        manifest = manifests.load(day)
        assert manifest is not None
        assert (manifest.exchange_gaps, manifest.clean_share) == ([], 1.0)
