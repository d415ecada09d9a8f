"""What no good client sends: the right status, and a server that is well after.

Each case writes bytes as they are; what comes back is read to the end of the connection.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from rawhttp import (
    BOMB,
    CHUNKED,
    DEEP,
    GOOD,
    HERE,
    LONG,
    ROUTES,
    SAMPLE,
    chunks,
    get,
    length,
    post,
    statuses,
    talk,
    well,
)
from serve_archive import serving
from ssmd.serve import body, server


@pytest.fixture
async def client(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[aiohttp.ClientSession]:
    monkeypatch.setattr(server, "IDLE_S", 1.0)
    monkeypatch.setattr(body, "BODY_S", 1.0)
    async with serving(root, routes=ROUTES) as client:
        yield client


QUERIES = {
    # 10,000 symbols are more than fits a head.
    "10,000 symbols": (b"/v1/trades?" + b"&".join(b"symbol=S%d" % n for n in range(10_000)), 431),
    "1,001 symbols": (b"/v1/trades?" + b"&".join(b"symbol=S%d" % n for n in range(1_001)), 400),
    "1,000 symbols": (b"/v1/trades?" + b"&".join(b"symbol=S%d" % n for n in range(1_000)), 200),
    "10,000 limits": (b"/datasets?" + b"&".join([b"limit=1"] * 3_000), 400),
    "a URL of 30 kB": (b"/" + b"a" * 30_000, 404),
    "a URL of 1 MB": (b"/" + b"a" * 1_000_000, 431),
    "10,000 slashes": (b"/" * 10_000, 404),
    "10,000 ups": (b"/.." * 10_000, 404),
    "half an escape": (b"/datasets?feed=%", 400),
    "no hexadecimal": (b"/datasets?feed=%zz", 400),
    "half an escape in the path": (b"/datasets/%/2026-11-20/sample", 400),
    "an overlong slash": (b"/datasets/%c0%af/2026-11-20/sample", 400),
    "overlong UTF-8": (b"/datasets?feed=%e0%80%af", 400),
    "a surrogate": (SAMPLE + b"?ticker=%ed%a0%80", 200),
    "half a character": (SAMPLE + b"?ticker=%e2%82", 200),
    "a NUL": (SAMPLE + b"?ticker=a%00b", 400),
    "a NUL in the path": (b"/datasets/kalshi%00/2026-11-20/sample", 400),
    "a NUL in a name": (SAMPLE + b"?a%00=1", 400),
    "a line break in a symbol": (SAMPLE + b"?ticker=%0d%0aX-Evil:%201", 400),
    "a line break in a type": (SAMPLE + b"?type=%0d%0aX-Evil:%201", 400),
    "a line break in a limit": (SAMPLE + b"?limit=%0d%0aX-Evil:%201", 400),
    "a line break in a name": (SAMPLE + b"?%0d%0aX-Evil:%201=1", 400),
    "a line break in a day": (b"/datasets?from=%0d%0aX-Evil:%201", 400),
    "a line break in a format": (b"/v1/trades?format=%0d%0aX-Evil:%201", 400),
    "a line break in a cursor": (b"/v1/trades?cursor=%0d%0aX-Evil:%201", 400),
    "a line break in an interval": (b"/v1/bars?interval=%0d%0aX-Evil:%201", 400),
    "a line break in a symbol of a table": (b"/v1/bars?symbol=%0d%0aX-Evil:%201", 400),
    "a fragment": (b"/datasets#/../..", 404),
    "SQL": (b"/v1/trades?symbol=%27%3B%20DROP%20TABLE%20trades%3B--", 200),
    "SQL in a feed": (b"/v1/trades?feed=%27%3B%20DROP%20TABLE", 400),
    "a year of five digits": (b"/v1/trades?from=99999-01-01", 400),
    "the last nanosecond": (b"/v1/trades?from=0&to=9999999999999999999", 200),
    "before all time": (b"/v1/trades?from=0001-01-01T00:00:00Z", 200),
    "a zone beyond": (b"/v1/trades?from=0001-01-01T00:00:00%2B23:59", 200),
    "an Arabic number": (SAMPLE + b"?limit=%d9%a3", 400),
}  # fmt: skip
WHOLE = {
    "many headers": (get(b"/datasets", HERE, *(b"A%d: b" % n for n in range(9_000))), 431),
    "a header of 1 MB": (get(b"/datasets", HERE, b"A: " + b"x" * 1_000_000), 431),
    "a key of 30 kB": (get(b"/datasets", HERE, b"X-API-Key: " + b"x" * 30_000), 401),
    "a key that is no text": (get(b"/datasets", HERE, b"X-API-Key: \xff\xfe"), 401),
    "a line break in a header": (get(b"/datasets", HERE, b"A: b\r\n\tc"), 200),
    "a bare CR in a header": (get(b"/datasets", HERE, b"A: b\rX-Evil: 1"), 400),
    "a NUL in a header": (get(b"/datasets", HERE, b"A: b\x00"), 400),
    "no name of a header": (get(b"/datasets", HERE, b": b"), 400),
    "a space before a colon": (get(b"/datasets", HERE, b"A : b"), 400),
    "HTTP/1.0": (get(b"/datasets", HERE, version=b"1.0"), 200),
    "HTTP/0.9": (b"GET /datasets\r\n\r\n", 400),
    "HTTP/1.9": (get(b"/datasets", version=b"1.9"), 200),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
    "an upgrade to HTTP/2": (get(b"/datasets", HERE, b"Upgrade: h2c"), 200),
    "no method": (b" /datasets HTTP/1.1\r\n\r\n", 400),
    "a method of 1 kB": (get(b"/datasets", method=b"A" * 1_000), 405),
    "CONNECT": (get(b"evil.example:443", method=b"CONNECT"), None),
    "TRACE": (get(b"/datasets", method=b"TRACE"), 405),
    "an asterisk": (get(b"*", method=b"OPTIONS"), 404),
    "a host of two ports": (get(b"/datasets", b"Host: localhost:1:2"), 403),
    "a host with a space": (get(b"/datasets", b"Host: local host"), None),
    "a host of 10 kB": (get(b"/datasets", b"Host: " + b"a" * 10_000), 403),
    "no answer to Expect": (post(b"Expect: 200-maybe", length(GOOD), content=GOOD), 200),
    "a good body": (post(length(GOOD), content=GOOD), 200),
    "a good body in chunks": (post(CHUNKED, content=chunks(GOOD[:5], GOOD[5:])), 200),
    "no JSON": (post(length(b"x"), content=b"x"), 400),
    "other JSON": (post(length(b'{"numbers":["1"]}'), content=b'{"numbers":["1"]}'), 400),
    "no body": (post(), 400),
    "deep JSON": (post(length(DEEP), content=DEEP), 400),
    "a NUL as body": (post(length(b"\x00"), content=b"\x00"), 400),
    "a long body": (post(length(LONG), content=LONG), 413),
    "a long body in chunks": (post(CHUNKED, content=chunks(*[b"1" * 500] * 10)), 413),
    "a body that says 10 TB": (post(b"Content-Length: 10000000000000"), 413),
    "a body that says 10^100": (post(b"Content-Length: 1" + b"0" * 100), None),
    "a length below zero": (post(b"Content-Length: -1"), 400),
    "two lengths": (post(b"Content-Length: 1", b"Content-Length: 2", content=b"11"), 400),
    "length and chunks": (post(length(GOOD), CHUNKED, content=chunks(GOOD)), 400),
    "an unknown coding": (post(b"Transfer-Encoding: gzip", content=BOMB), None),
    "a chunk of no number": (post(CHUNKED, content=b"zz\r\n"), 400),
    "a chunk that says 16 EB": (post(CHUNKED, content=b"ffffffffffffffffffff\r\n1"), None),
    "a bomb": (post(b"Content-Encoding: gzip", length(BOMB[:900]), content=BOMB[:900]), 415),
    "a bomb in chunks": (post(b"Content-Encoding: gzip", CHUNKED, content=chunks(BOMB)), 415),
    "a body where none is taken": (post(length(GOOD), content=GOOD, target=b"/datasets"), 413),
    "chunks where none are taken": (post(CHUNKED, content=chunks(GOOD), target=b"/datasets"), 413),
    "a GET with a body": (get(b"/datasets", HERE, b"Content-Length: 5") + b"12345", 413),
}  # fmt: skip
CASES = {**{name: (get(target), status) for name, (target, status) in QUERIES.items()}, **WHOLE}


@pytest.mark.parametrize("name", CASES)
async def test_bytes(client: aiohttp.ClientSession, name: str) -> None:
    sent, status = CASES[name]
    got = await talk(client, sent)
    head, _, content = got.partition(b"\r\n\r\n")
    # None: whatever it is, it is a refusal, or nothing.
    found = statuses(got)
    assert found == [status] if status else all(400 <= code < 500 or code == 501 for code in found)
    assert b"x-evil" not in head.lower().replace(b"access-control", b"")
    if content and found[0] >= 400 and len(found) == 1:
        assert set(msgspec.json.decode(content)["error"]) == {"code", "message", "hint"}
    assert b"Traceback" not in got
    await well(client)


async def test_pipelined(client: aiohttp.ClientSession) -> None:
    """Answers come in the order of the requests, those to bad ones among them."""
    one = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    paths = [b"/health", b"/nope", b"/datasets", b"/datasets?feed=..", SAMPLE] * 20
    sent = b"".join(one % path for path in paths) + get(b"/ready")
    found = statuses(await talk(client, sent))
    assert found == [200, 404, 200, 400, 200] * 20 + [200]
    await well(client)


async def test_a_smuggled_request_is_not_run(client: aiohttp.ClientSession) -> None:
    inner = b"GET /nope-smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"POST /datasets HTTP/1.1\r\nHost: localhost\r\n"
    for framing in (
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(inner) + 5),
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: +5\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    ):
        got = await talk(client, head + framing + inner)
        assert b"nope-smuggled" not in got or statuses(got)[0] == 413, framing
    await well(client)
