"""What docs/replay.md tells to type, typed."""

import asyncio
import re
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from archives import ENV, REAL, Capture, archive, recording
from serve_archive import serving

TEXT = (Path(__file__).parents[2] / "docs" / "replay.md").read_text()
HERE = "127.0.0.1:8080"
KRAKEN = "kraken_spot/mhadiamiri_btcusd_d10_20260719_A3.jsonl"
TRADE = (
    b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":1.0,'
    b'"qty":1.0,"ord_type":"limit","trade_id":1,"timestamp":"2024-10-04T00:00:00.000000Z"}]}'
)

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")


def fence(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[str]:
    """Host and port of a server over a Kraken feed."""
    frames = [*recording(KRAKEN, 200), TRADE]
    archive(tmp_path, Capture("kraken").session(frames), "kraken")
    async with serving(tmp_path, env=ENV) as client:
        yield str(client._base_url.authority)  # type: ignore[union-attr]


async def said(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_events_with_curl(place: str) -> None:
    out = await said("curl", "-s", *shlex.split(fence("sh").replace(HERE, place))[1:])
    kinds = re.findall(r"^event: (\w+)$", out, re.MULTILINE)
    assert kinds == ["message", "end"]


async def test_a_client_of_the_exchange(place: str) -> None:
    out = await said(sys.executable, "-c", fence("python").replace(HERE, place))
    lines = out.splitlines()
    assert sum('"channel":"book","type":"snapshot"' in line for line in lines) == 1
    assert sum('"channel":"book","type":"update"' in line for line in lines) > 100
