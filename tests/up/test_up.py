"""``ssmd up`` as a user runs it: everything comes up, survives a killed role, and stops cleanly."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from ssmd.dataset import Archive
from ssmd.instruments.history import Log, as_of

FEEDS = ["kalshi", "kraken", "kraken-futures", "polymarket"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_one_command_captures_archives_and_stops_cleanly(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ssmd", "up", "--plain", "--data", str(tmp_path),
        "--port", str(free_port()), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    log: list[str] = []
    killed = False
    async with asyncio.timeout(90):
        async for line in process.stderr:
            log.append(line.decode())
            if " up kraken: live" not in log[-1]:
                continue
            if killed:
                process.send_signal(signal.SIGINT)
                break
            where = msgspec.json.decode((tmp_path / "run" / "archive.json").read_bytes())
            os.kill(where["pid"], signal.SIGKILL)
            killed = True
        _, rest = await process.communicate()
    text = "".join(log) + rest.decode()
    assert process.returncode == 0, text
    assert "archive ended (killed by SIGKILL); starting it again" in text
    assert "/datasets" in text
    assert "stopping secmaster" in text
    archive = Archive(tmp_path / "archive", "demo")
    assert archive.feeds() == FEEDS
    for feed in FEEDS:
        (*_, day) = archive.days(feed)
        assert sum(entry.records for entry in archive.day(feed, day).manifest.files) > 100
        known = as_of(Log(archive, "demo", feed).archived(), None)
        assert len(known) >= (80 if feed == "polymarket" else 40)
    assert not (tmp_path / "nats" / "nats.json").exists()
