"""The API on a real Hypercorn: the seed's endpoints, byte-exact, with one shape of error."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from ssmd import message
from ssmd.archive.writer import About, Writer
from ssmd.config import Rotation
from ssmd.message import Message

RAW = b'{"price":0.00100000,"id":12345678901234567890,"side":"yes"}'
DATE = "2024-10-04"
ENDPOINTS = {
    "/datasets": 200,
    f"/datasets/kalshi/{DATE}/sample": 200,
    "/schema/kalshi/trade": 200,
    "/builders": 200,
}
OPEN = ("/", "/health", "/ready", "/metrics")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An archive with one closed segment and one that is being written."""
    about = About("demo", "kalshi", "message:v1", "sha256:0", "then")
    writer = Writer(tmp_path / "archive", about, Rotation())
    for n in range(1, 21):
        entry = Message(
            feed="kalshi", conn="c", n=n, recv_ns=20_000 * 86_400 * 10**9 + n, mono_ns=n,
            type="trade" if n % 2 else "orderbook_delta", sym=f"KX-{n % 4}",
            raw=message.one_line(RAW),
        )  # fmt: skip
        writer.add(n, message.encode(entry))
        if n == 10:
            writer.flush()
            writer.seal()
    writer.flush()
    writer.close()
    return tmp_path


async def start(data: Path, **variables: str) -> tuple[asyncio.subprocess.Process, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ssmd", "serve", "--env", "demo", "--data", str(data),
        "--port", str(port), env={**os.environ, **variables}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    assert b"http://" in await process.stderr.readline()
    return process, f"http://127.0.0.1:{port}"


@pytest.fixture
async def api(data: Path) -> AsyncIterator[aiohttp.ClientSession]:
    process, url = await start(data)
    async with aiohttp.ClientSession(url) as session:
        yield session
    process.terminate()
    _, rest = await process.communicate()
    assert process.returncode == 0, rest


async def test_every_endpoint_answers(api: aiohttp.ClientSession) -> None:
    for path in (*ENDPOINTS, *OPEN):
        async with api.get(path) as answer:
            assert answer.status == 200, path
            assert await answer.read()


async def test_samples_are_byte_exact_and_include_the_open_segment(
    api: aiohttp.ClientSession,
) -> None:
    async with api.get(f"/datasets/kalshi/{DATE}/sample", params={"limit": "100"}) as answer:
        body = await answer.read()
    assert body.count(RAW) == 20
    entries = msgspec.json.decode(body, type=list[message.Archived])
    assert [entry.nats_seq for entry in entries] == list(range(1, 21))


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 10),
        ({"type": "orderbook"}, 10),
        ({"ticker": "kx-1"}, 5),
        ({"type": "TRADE", "limit": "3"}, 3),
        ({"ticker": "no"}, 0),
    ],
)
async def test_samples_are_chosen(
    api: aiohttp.ClientSession, query: dict[str, str], count: int
) -> None:
    async with api.get(f"/datasets/kalshi/{DATE}/sample", params=query) as answer:
        assert len(await answer.json()) == count


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nothing", 404, "not_found"),
        ("/datasets?from=yesterday", 400, "bad_request"),
        (f"/datasets/kalshi/{DATE}/sample?limit=0", 400, "bad_request"),
        (f"/datasets/kalshi/{DATE}/sample?limit=99999", 400, "bad_request"),
        ("/datasets/kalshi/2024-10-05/sample", 404, "not_found"),
        ("/datasets/kalshi/2024-99-99/sample", 400, "bad_request"),
        ("/datasets/..%2F..%2Fetc/2024-10-04/sample", 404, "not_found"),
        ("/schema/nope/trade", 404, "not_found"),
        ("/schema/kalshi/nope", 404, "not_found"),
    ],
)
async def test_errors_have_one_shape(
    api: aiohttp.ClientSession, path: str, status: int, code: str
) -> None:
    async with api.get(path) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
        assert set(error) == {"code", "message", "hint"}
        assert error["code"] == code


async def test_other_methods_are_refused(api: aiohttp.ClientSession) -> None:
    async with api.post("/datasets") as answer:
        assert answer.status == 405
        assert (await answer.json())["error"]["code"] == "method_not_allowed"


async def test_a_key_is_asked_for(data: Path) -> None:
    process, url = await start(data, SSMD_API_KEY="planted-secret")
    async with aiohttp.ClientSession(url) as session:
        for path in ENDPOINTS:
            for headers in ({}, {"X-API-Key": "wrong"}):
                async with session.get(path, headers=headers) as answer:
                    assert answer.status == 401
            async with session.get(path, headers={"X-API-Key": "planted-secret"}) as answer:
                assert answer.status == 200
        for path in OPEN:
            async with session.get(path) as answer:
                assert answer.status == 200
    process.terminate()
    _, log = await process.communicate()
    assert b"planted-secret" not in log


def test_serving_others_needs_a_key(data: Path) -> None:
    from click.testing import CliRunner

    from ssmd.errors import ConfigError
    from ssmd.serve.cli import serve

    arguments = ["--env", "demo", "--data", str(data), "--host", "0.0.0.0", "--port", "0"]
    result = CliRunner().invoke(serve, arguments)
    assert isinstance(result.exception, ConfigError)
    assert "needs a key" in str(result.exception)


def test_a_taken_port_is_told(data: Path) -> None:
    from click.testing import CliRunner

    from ssmd.errors import PortInUse
    from ssmd.serve.cli import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(serve, ["--env", "demo", "--data", str(data), "--port", port])
    assert isinstance(result.exception, PortInUse)
