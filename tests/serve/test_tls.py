"""HTTPS with certificates of our own making, asked by clients of others: curl, aiohttp."""

import asyncio
import contextlib
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from h2.connection import H2Connection
from starlette.routing import Route
from starlette.websockets import WebSocket

from certificates import Made, made, private
from command import clean, refused
from serve_archive import DAY, serving
from ssmd.errors import ConfigError
from ssmd.serve.describe import sockets
from ssmd.serve.tls import Tls, tls_of

CONFIG = Path(__file__).parents[2] / "config"
curl_needed = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("ca"), "authority")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Made) -> Made:
    return made(tmp_path_factory.mktemp("server"), "server", authority)


async def curl(client: aiohttp.ClientSession, path: str, *options: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", *options, str(client._base_url).rstrip("/") + path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return said.decode()


@curl_needed
@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
async def test_curl(root: Path, authority: Made, server: Made, option: str, version: str) -> None:
    tls = Tls(server.cert, server.key)
    trusted = ("--cacert", str(authority.cert), option, "-w", "\n%{http_version} %{http_code}")
    async with serving(root, tls=tls) as client:
        said = await curl(client, f"/datasets/kalshi/{DAY}/sample", *trusted)
        assert said.endswith(f"\n{version} 200")
        assert '"KXBTC-26"' in said
        said = await curl(client, "/nope", *trusted)
        assert said.endswith(f"\n{version} 404")
        said = await curl(client, "/datasets", *trusted, "-d", "x" * 100)
        assert said.endswith(f"\n{version} 413")
        assert "certificate" in await curl(client, "/datasets", option)


@curl_needed
async def test_headers_of_http_1_do_not_break_http_2(
    root: Path, authority: Made, server: Made
) -> None:
    async def hello(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    routes = sockets("/hello", hello)
    assert any(isinstance(route, Route) for route in routes)
    context = ssl.create_default_context(cafile=authority.cert)
    async with serving(root, tls=Tls(server.cert, server.key), routes=routes) as client:
        said = await curl(
            client, "/hello", "--cacert", str(authority.cert), "--http2", "-w", "\n%{http_code}"
        )
        assert said.endswith("\n426")
        async with client.ws_connect("/hello", ssl=context) as opened:
            assert await opened.receive_str() == "hello"


async def test_a_connection_whose_requests_were_taken_back_ends(
    root: Path, authority: Made, server: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssmd.serve.server.IDLE_S", 1.0)
    context = ssl.create_default_context(cafile=authority.cert)
    context.set_alpn_protocols(["h2"])
    async with serving(root, tls=Tls(server.cert, server.key)) as client:
        assert client._base_url is not None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", client._base_url.port, ssl=context
        )
        asking = H2Connection()
        asking.initiate_connection()
        for stream in range(1, 100, 2):
            names = {
                "method": "GET", "path": "/v1/trades", "scheme": "https", "authority": "localhost",
            }  # fmt: skip
            asking.send_headers(stream, [(f":{k}", v) for k, v in names.items()], end_stream=True)
            asking.reset_stream(stream)
        writer.write(asking.data_to_send())
        async with asyncio.timeout(60):
            with contextlib.suppress(OSError):
                while await reader.read(1 << 16):
                    pass
        writer.close()
        context = ssl.create_default_context(cafile=authority.cert)
        async with client.get("/datasets", ssl=context) as answer:
            assert answer.status == 200


async def test_what_is_no_tls_harms_no_one(root: Path, authority: Made, server: Made) -> None:
    context = ssl.create_default_context(cafile=authority.cert)
    async with serving(root, tls=Tls(server.cert, server.key)) as client:
        assert client._base_url is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)
        writer.write(b"GET /datasets HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(60):
            assert b"200" not in await reader.read()
        writer.close()
        async with client.get("/datasets", ssl=context) as answer:
            assert answer.status == 200


async def test_clients_need_a_certificate_where_one_is_asked_for(
    root: Path, tmp_path: Path, authority: Made, server: Made
) -> None:
    ours = made(tmp_path, "client", authority)
    others = made(tmp_path, "stranger")
    async with serving(root, tls=Tls(server.cert, server.key, authority.cert)) as client:
        context = ssl.create_default_context(cafile=authority.cert)
        for stranger in (None, others):
            if stranger is not None:
                context.load_cert_chain(stranger.cert, stranger.key)
            with pytest.raises(aiohttp.ClientError):
                await client.get("/datasets", ssl=context)
        context = ssl.create_default_context(cafile=authority.cert)
        context.load_cert_chain(ours.cert, ours.key)
        async with client.get("/datasets", ssl=context) as answer:
            assert answer.status == 200


def faults(tmp_path: Path, server: Made, authority: Made) -> Iterator[tuple[object, ...]]:
    locked, garbage = tmp_path / "locked.key", tmp_path / "garbage.pem"
    locked.write_bytes(private(server.secret, b"hunter2"))
    garbage.write_bytes(b"\x00garbage")
    cert, key = server.cert, server.key
    yield cert, None, None, "TLS needs a certificate and its key"
    yield None, key, None, "TLS needs a certificate and its key"
    yield None, None, cert, "TLS needs a certificate and its key"
    yield cert, authority.key, None, "is not the key of"
    yield key, cert, None, "are no certificate and key"
    yield cert, garbage, None, "are no certificate and key"
    yield cert, locked, None, "has a password"
    yield cert, tmp_path / "nope", None, "cannot read .*nope: No such file"
    yield cert, tmp_path, None, "Is a directory"
    yield cert, key, garbage, "holds no certificate"
    yield cert, key, key, "holds no certificate"


def test_files_that_do_not_fit_are_told(tmp_path: Path, server: Made, authority: Made) -> None:
    for cert, key, ca, error in faults(tmp_path, server, authority):
        with pytest.raises(ConfigError, match=str(error)) as caught:
            tls_of(cert, key, ca)  # type: ignore[arg-type]
        assert caught.value.hint
    assert tls_of(None, None, None) is None


def run(tmp_path: Path, *options: str) -> str:
    """What ``ssmd serve`` says until it listens; then it is stopped."""
    with subprocess.Popen(
        [sys.executable, "-m", "ssmd", "serve", "--env", "demo", "--config", str(CONFIG),
         "--port", "0", *options],
        cwd=tmp_path, env=clean(SSMD_API_KEY="x"), stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if re.search(r"https?://", line):
                break
        process.terminate()
        said.append(process.stderr.read())
        assert process.wait(60) == 0
    return "".join(said)


def test_serve_says_how_it_is_reached(tmp_path: Path, server: Made) -> None:
    tls = ("--tls-cert", str(server.cert), "--tls-key", str(server.key))
    said = run(tmp_path, *tls, "--host", "0.0.0.0")
    assert "https://0.0.0.0:" in said
    assert "WARNING" not in said
    said = run(tmp_path, "--host", "0.0.0.0")
    assert "http://0.0.0.0:" in said
    assert "without TLS, keys can be read on their way" in said
    assert "WARNING" not in run(tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "hint"),
    [
        (["--tls-cert", "x.pem"], "TLS needs a certificate and its key", "--tls-key"),
        (["--rate-limit", "fast"], "'fast' is no rate limit", "6000/min"),
        (["--cors-origin", "*"], "'*' is no origin", "https://charts.example"),
    ],
)
def test_options_that_cannot_be(options: list[str], error: str, hint: str) -> None:
    said, tried = refused("serve", "--env", "demo", "--config", str(CONFIG), *options)
    assert error in said
    assert hint in tried
