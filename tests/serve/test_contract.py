"""Every endpoint in one table, and what all of them must do."""

import asyncio
import gzip
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest
from starlette.routing import Route
from yarl import URL

from serve_archive import DAY, ENV, serving
from ssmd.dataset import Archive
from ssmd.serve.answers import Deadline
from ssmd.serve.app import create_app
from ssmd.serve.endpoints.tables import DERIVED


class Case(NamedTuple):
    """One endpoint: a good request, bad ones, and ones for what is not there."""

    good: str
    bad: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    open: bool = False
    json: bool = True


HUGE = "1" * 5000
SAMPLE = f"/datasets/kalshi/{DAY}/sample"
ENDPOINTS = {
    "/": Case("/", open=True, json=False),
    "/page/{name:path}": Case(
        "/page/main.js",
        unknown=("/page/", "/page/no.js", "/page/../app.py", "/page/..%2fapp.py", "/page/views/"),
        open=True,
        json=False,
    ),
    "/health": Case("/health", open=True),
    "/live": Case("/live", open=True),
    "/ready": Case("/ready", open=True),
    "/metrics": Case("/metrics", open=True, json=False),
    "/openapi.json": Case("/openapi.json", open=True),
    "/docs": Case("/docs", open=True, json=False),
    "/docs/docs.js": Case("/docs/docs.js", open=True, json=False),
    "/docs/docs.css": Case("/docs/docs.css", open=True, json=False),
    "/v1/feeds": Case("/v1/feeds", bad=("/v1/feeds?feed=kalshi",)),
    "/builders": Case("/builders"),
    **{
        f"/v1/{name}": Case(
            f"/v1/{name}?from={DAY}",
            bad=tuple(
                f"/v1/{name}?{query}"
                for query in (
                    "from=yesterday",
                    "to=20261123T",
                    "limit=0",
                    f"limit={HUGE}",
                    "feed=../../etc",
                    "format=xml",
                    "cursor=%00",
                    f"symbol={'a' * 257}",
                    "symbol=a%0d%0ab",
                    "symbl=a",
                    "limit=1&limit=2",
                )
            ),
            unknown=(f"/v1/{name}?feed=nope",),
        )
        for name in DERIVED
    },
    "/datasets": Case(
        "/datasets?feed=kalshi&from=2026-11-01&to=2026-11-30",
        bad=(
            "/datasets?from=yesterday",
            "/datasets?to=20261123",
            "/datasets?to=2026-02-30",
            "/datasets?from=2026-11-02&to=2026-11-01",
            "/datasets?from=٢٠٢٦-١١-٠١",
            "/datasets?feed=../../etc",
            "/datasets?feed=KALSHI",
            f"/datasets?feed={'a' * 65}",
        ),
    ),
    "/datasets/{feed}/{date}/sample": Case(
        SAMPLE,
        bad=(
            *(f"{SAMPLE}?limit={n}" for n in ("0", "-1", "x", "10001", "1.5", "", "²", "٣", HUGE)),
            f"{SAMPLE}?ticker={'a' * 257}",
            f"{SAMPLE}?ticker=a%0Ab",
            f"{SAMPLE}?type=%00",
            "/datasets/kalshi/2026/sample",
            "/datasets/kalshi/2026-13-01/sample",
            "/datasets/%2E%2E/2026-11-20/sample",
            "/datasets/kalshi/%2E%2E/sample",
            "/datasets/.lock/2026-11-20/sample",
            "/datasets/a%00b/2026-11-20/sample",
        ),
        unknown=(
            "/datasets/nope/2026-11-20/sample",
            "/datasets/kalshi/2026-11-21/sample",
            "/datasets/..%2F..%2Fetc/2026-11-20/sample",
        ),
    ),
    "/schema/{feed}/{type}": Case(
        "/schema/kalshi/trade",
        bad=("/schema/%2E%2E/trade", f"/schema/kalshi/{'a' * 257}", "/schema/kalshi/%0A"),
        unknown=("/schema/nope/trade", "/schema/kalshi/nope"),
    ),
}
KEYED = [path for path, case in ENDPOINTS.items() if not case.open]


async def error_of(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The error, once its shape is seen to be right."""
    assert response.content_type == "application/json"
    text = await response.text()
    body = msgspec.json.decode(text)
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message", "hint"]
    assert body["error"]["message"]
    assert "Traceback" not in text
    assert "/archive" not in text
    error: dict[str, Any] = body["error"]
    return error


def as_written(path: str) -> URL:
    """A path that is not made pretty on its way."""
    return URL(path, encoded=path.isascii())


def test_every_route_is_in_the_table(root: Path) -> None:
    routes = [r.path for r in create_app(Archive(root, ENV), {}).routes if isinstance(r, Route)]
    assert sorted(routes) == sorted(ENDPOINTS)


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_answers(client: aiohttp.ClientSession, path: str) -> None:
    case = ENDPOINTS[path]
    async with client.get(case.good) as response:
        body = await response.read()
        assert response.status == 200
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in response.headers
        if case.json:
            assert response.content_type == "application/json"
            msgspec.json.decode(body)
    async with client.head(case.good) as response:
        assert response.status == 200
        assert await response.read() == b""


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_bad_and_unknown(client: aiohttp.ClientSession, path: str) -> None:
    case = ENDPOINTS[path]
    for request, status, code in [
        *((bad, 400, "bad_request") for bad in case.bad),
        *((unknown, 404, "not_found") for unknown in case.unknown),
    ]:
        async with client.get(as_written(request)) as response:
            assert response.status == status, request
            error = await error_of(response)
            assert error["code"] == code
            assert error["hint"]


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_other_methods(client: aiohttp.ClientSession, path: str) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        async with client.request(method, ENDPOINTS[path].good) as response:
            assert response.status == 405
            assert "GET" in response.headers["Allow"]
            assert (await error_of(response))["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_bodies_are_refused(client: aiohttp.ClientSession, path: str) -> None:
    async with client.post(ENDPOINTS[path].good, data=b"x" * 1_000_000) as response:
        assert response.status == 413
        assert (await error_of(response))["code"] == "too_large"


@pytest.mark.parametrize("path", ["/nope", "/datasets/", "/datasets/kalshi", "/health/x"])
async def test_no_such_endpoint(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(as_written(path), allow_redirects=False) as response:
        assert response.status == 404
        assert (await error_of(response))["code"] == "not_found"


async def test_key(root: Path) -> None:
    async with serving(root, key="secret ключ") as client:
        for path, case in ENDPOINTS.items():
            for given in (None, "", "secret", "secret ключ ", "wrong"):
                headers = {"X-API-Key": given} if given is not None else {}
                async with client.get(case.good, headers=headers) as response:
                    if path in KEYED and given != "secret ключ ":
                        assert response.status == 401
                        assert (await error_of(response))["code"] == "unauthorized"
                    else:
                        assert response.status == 200
            async with client.get(case.good, headers={"X-API-Key": "secret ключ"}) as response:
                assert response.status == 200
        async with client.get("/nope") as response:
            assert response.status == 401
        # With a key, other names are answered to: a proxy may stand before it.
        named = {"Host": "data.example", "X-API-Key": "secret ключ"}
        async with client.get("/datasets", headers=named) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.", "[::"]
)
async def test_without_a_key_only_this_machine(client: aiohttp.ClientSession, host: str) -> None:
    async with client.get("/datasets", headers={"Host": host}) as response:
        assert response.status == 403
        assert (await error_of(response))["code"] == "forbidden"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.2:1", "[::1]", "[::1]:80"])
async def test_names_of_this_machine(client: aiohttp.ClientSession, host: str) -> None:
    async with client.get("/datasets", headers={"Host": host}) as response:
        assert response.status == 200


async def test_what_takes_too_long_says_so(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Deadline.__init__, "__defaults__", (-1.0,))
    for path in (SAMPLE, "/datasets"):
        async with client.get(path) as response:
            assert response.status == 503
            assert response.headers["Retry-After"]
            assert (await error_of(response))["code"] == "timeout"


async def test_metrics(client: aiohttp.ClientSession) -> None:
    for path in (SAMPLE, f"{SAMPLE}?limit=0", "/datasets", "/made-up/1", "/made-up/2"):
        async with client.get(path):
            pass
    async with client.request("BREW", "/datasets"):
        pass
    async with client.get("/metrics") as response:
        text = await response.text()
    sample = "/datasets/{feed}/{date}/sample"
    for line in (
        f'ssmd_data_http_requests_total{{method="GET",path="{sample}",status="200"}} 1.0',
        f'ssmd_data_http_requests_total{{method="GET",path="{sample}",status="400"}} 1.0',
        'ssmd_data_http_requests_total{method="GET",path="other",status="404"} 2.0',
        'ssmd_data_http_requests_total{method="other",path="/datasets",status="405"} 1.0',
        "ssmd_data_records_served_total 5.0",
        "ssmd_data_datasets_scanned_total 4.0",
        f'ssmd_data_http_request_duration_seconds_count{{path="{sample}"}} 2.0',
    ):
        assert line in text
    assert "made-up" not in text


def request(target: bytes, *headers: bytes, version: bytes = b"1.1") -> bytes:
    head = b"GET " + target + b" HTTP/" + version
    return b"\r\n".join((head, *headers, b"Connection: close", b"", b""))


async def exchange_bytes(client: aiohttp.ClientSession, sent: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to bytes that no client library would send."""
    assert client._base_url is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)
    writer.write(sent)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, content = answer.partition(b"\r\n\r\n")
    return head, content


HERE = b"Host: localhost"
HOSTILE = {
    "up and out": (request(b"/../../etc/passwd", HERE), 404),
    "up from a page": (request(b"/page/../../auth.py", HERE), 404),
    "escaped up": (request(b"/%2e%2e/%2e%2e/etc/passwd", HERE), 404),
    "twice escaped": (request(b"/datasets/%252e%252e/2026-11-20/sample", HERE), 400),
    "up from a feed": (request(b"/datasets/../../etc/2026-11-20/sample", HERE), 404),
    "backslashes": (request(b"/datasets/..\\..\\etc/2026-11-20/sample", HERE), 400),
    "two slashes": (request(b"//etc/passwd", HERE), 404),
    "a header in the path": (request(b"/x%0d%0aX-Evil:%201", HERE), 404),
    "a header in a feed": (request(b"/datasets?feed=a%0d%0aX-Evil:%201", HERE), 400),
    "a header in a symbol": (request(SAMPLE.encode() + b"?ticker=%0d%0aX-Evil:1", HERE), 400),
    "no UTF-8": (request(b"/%ff%fe", HERE), 404),
    "no ASCII": (request(b"/\xff", HERE), 400),
    "no host": (request(b"/datasets"), 400),
    "no host, old": (request(b"/datasets", version=b"1.0"), 403),
    "two hosts": (request(b"/datasets", HERE, b"Host: evil.example"), 400),
    "a host that ends right": (request(b"/datasets", b"Host: localhost@evil.example"), 403),
    "a host with markup": (request(b"/datasets", b"Host: <script>alert(1)</script>"), 403),
    "another's page": (request(b"http://evil.example/", b"Host: evil.example"), 403),
    "a long header": (request(b"/datasets", HERE, b"A: " + b"x" * 100_000), 431),
    "no HTTP": (b"GARBAGE\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bytes(client: aiohttp.ClientSession, name: str) -> None:
    sent, status = HOSTILE[name]
    head, content = await exchange_bytes(client, sent)
    assert head.split()[1] == str(status).encode()
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
    assert len(names) == len(set(names))
    assert b"x-evil" not in names
    if content:
        assert b"content-type: application/json" in head.lower()
        assert set(msgspec.json.decode(content)["error"]) == {"code", "message", "hint"}
    for leak in (b"Traceback", b"root:", b"/site-packages/"):
        assert leak not in content


def damaged(day: Path, how: str) -> None:
    (segment,) = day.glob("*.gz")
    match how:
        case "a manifest of garbage":
            (day / "manifest.json").write_bytes(b"\x00{")
        case "a manifest of another shape":
            (day / "manifest.json").write_bytes(b'{"files": 1, "tickers": [[]]}')
        case "a manifest that is a folder":
            (day / "manifest.json").unlink()
            (day / "manifest.json").mkdir()
        case "a segment of garbage":
            segment.write_bytes(b"no gzip")
        case "half a segment":
            segment.write_bytes(segment.read_bytes()[:-40])
        case "a segment of other lines":
            segment.write_bytes(gzip.compress(b"not a message\n[]\n"))
        case "a segment that is a folder":
            segment.unlink()
            segment.mkdir()
        case "no segment":
            segment.unlink()
        case "a day that is a loop":
            shutil.rmtree(day)
            day.symlink_to(day.name)
        case "a day that is a file":
            shutil.rmtree(day)
            day.touch()


DAMAGE = (
    "a manifest of garbage",
    "a manifest of another shape",
    "a manifest that is a folder",
    "a segment of garbage",
    "half a segment",
    "a segment of other lines",
    "a segment that is a folder",
    "no segment",
    "a day that is a loop",
    "a day that is a file",
)


@pytest.mark.parametrize("how", DAMAGE)
async def test_a_damaged_day(root: Path, client: aiohttp.ClientSession, how: str) -> None:
    """It is answered to or is an error of the one shape, and hides no other day."""
    damaged(root / ENV / "kalshi" / DAY, how)
    for path, case in ENDPOINTS.items():
        async with client.get(case.good) as response:
            text = await response.text()
            assert response.status in (200, 404, 503), (path, text)
            if response.status != 200:
                await error_of(response)
            elif case.json:
                msgspec.json.decode(text)
            assert "Traceback" not in text
    async with client.get("/datasets") as response:
        found = {entry["feed"]: entry["records"] for entry in await response.json()}
    assert (found["polymarket"], found["kraken"]) == (2, 2)
