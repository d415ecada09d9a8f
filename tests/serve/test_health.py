"""What probes are told, while things are broken on purpose."""

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from disk import fill
from serve_archive import ENV, make, serving
from ssmd.bus import EmbeddedServer
from ssmd.config import Transport
from ssmd.serve.tail import Tail

PATIENCE_S = 60


async def told(client: aiohttp.ClientSession, path: str = "/health") -> tuple[int, dict[str, Any]]:
    async with client.get(path) as answer:
        return answer.status, await answer.json()


async def until(client: aiohttp.ClientSession, bus: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while (health := (await told(client))[1])["bus"] != bus:
            await asyncio.sleep(0.05)
    return health


async def test_well(client: aiohttp.ClientSession) -> None:
    code, health = await told(client)
    assert (code, health["status"], health["detail"]) == (200, "ok", None)
    assert (health["storage"], health["bus"]) == ("ok", "none")
    assert await told(client, "/ready") == (200, {"status": "ready", "detail": None})
    assert await told(client, "/live") == (200, {"status": "alive"})


async def test_an_archive_that_is_not_there_yet(tmp_path: Path) -> None:
    async with serving(tmp_path / "archive") as client:
        code, health = await told(client)
        assert (code, health["status"], health["storage"]) == (200, "ok", "empty")
        assert health["detail"] == "nothing is archived yet"
        code, ready = await told(client, "/ready")
        assert (code, ready["detail"]) == (503, "nothing is archived yet")
        make(tmp_path / "archive")
        assert (await told(client, "/ready"))[0] == 200


async def test_an_archive_that_is_gone(root: Path, client: aiohttp.ClientSession) -> None:
    assert (await told(client))[0] == 200
    away = shutil.move(root, root.with_name("away"))
    code, health = await told(client)
    assert (code, health["status"], health["detail"]) == (503, "unhealthy", "the archive is gone")
    assert (await told(client, "/ready"))[0] == 503
    assert (await told(client, "/live"))[0] == 200
    shutil.move(away, root)
    assert (await told(client))[0] == 200


async def test_an_archive_that_is_a_file(root: Path, client: aiohttp.ClientSession) -> None:
    shutil.rmtree(root / ENV)
    (root / ENV).touch()
    code, health = await told(client)
    assert (code, health["detail"]) == (503, "the archive cannot be read: Not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_an_archive_that_may_not_be_read(root: Path, client: aiohttp.ClientSession) -> None:
    (root / ENV).chmod(0)
    try:
        code, health = await told(client)
        assert (code, health["detail"]) == (503, "the archive cannot be read: Permission denied")
    finally:
        (root / ENV).chmod(0o755)


async def test_a_full_disk(small_disk: Path) -> None:
    async with serving(make(small_disk / "archive")) as client:
        assert (await told(client))[0] == 200
        filler = fill(small_disk)
        code, health = await told(client)
        assert (code, health["status"]) == (503, "unhealthy")
        assert health["detail"].startswith("the disk of the archive is full: 0 KiB")
        async with client.get("/datasets") as answer:
            assert answer.status == 200
        filler.unlink()
        assert (await told(client))[0] == 200


async def test_the_bus_comes_and_goes(root: Path, tmp_path: Path) -> None:
    tail = Tail(ENV, Transport(), tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(EmbeddedServer(tmp_path / "nats"))
        client = await stack.enter_async_context(serving(root, tail=tail))
        assert (await until(client, "up"))["status"] == "ok"
        facts = EmbeddedServer(tmp_path / "nats").facts
        assert facts is not None
        os.kill(facts.pid, signal.SIGKILL)
        health = await until(client, "away")
        assert health["status"] == "degraded"
        assert "NATS is away" in health["detail"]
        assert (await told(client))[0] == 200
        async with client.get("/datasets") as answer:
            assert answer.status == 200
