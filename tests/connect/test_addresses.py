"""A URL can hold a secret: lines, errors and archived facts show where it leads, and no more."""

import logging

import aiohttp
import pytest

from connect.harness import Capturing, lines
from connect.venue import Peer, frame, refusing, steady, trade, venue
from ssmd.connect.refusal import explain
from ssmd.errors import ExchangeError
from ssmd.exchanges.base import Request
from ssmd.refusal import shown_url
from ssmd.rest import Rest

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("wss://host.test/ws/v2", "wss://host.test/ws/v2"),
        ("wss://host.test:8443/ws?token=hunter2", "wss://host.test:8443/ws"),
        ("https://me:hunter2@host.test/a#hunter2", "https://host.test/a"),
        ("https://me:hunter2@host.test:1/a", "https://host.test:1/a"),
        ("http://[::1]:80/a?hunter2", "http://[::1]:80/a"),
        ("/elsewhere?token=hunter2", "/elsewhere"),
        ("http://[hunter2", "a URL that cannot be read"),
        ("http://x/\x1b[2J", "http://x/?[2J"),
    ],
)
def test_of_a_url_scheme_host_and_path_are_shown(url: str, seen: str) -> None:
    assert shown_url(url) == seen
    assert SECRET not in explain(url, TimeoutError()).message


async def dumb(peer: Peer) -> None:
    await peer.write(b"no HTTP at all\r\n\r\n")


@pytest.mark.usefixtures("quickly")
async def test_no_line_and_no_fact_shows_the_query_of_the_endpoint(
    capturing: Capturing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "ssmd")

    async def broken(peer: Peer) -> None:
        await peer.upgrade()
        await peer.send(trade(1))
        await peer.write(b"\x83\x00")
        await peer.gone()

    async def silent(peer: Peer) -> None:
        await peer.request()

    async def oversize(peer: Peer) -> None:
        await peer.upgrade()
        await peer.write(frame(b"", last=False)[:1] + b"\x7f" + (1 << 40).to_bytes(8, "big"))
        await peer.gone()

    moved = refusing("302 Found", f"Location: wss://other.test/ws?token={SECRET}")
    scripts = (broken, dumb, silent, oversize, moved, refusing("401 Unauthorized"), steady)
    async with venue(*scripts) as server, capturing(f"{server.url}?token={SECRET}") as captured:
        await captured.framed(2)
        await captured.reaches("live")
        assert server.met == len(scripts)
        assert SECRET not in str(captured.status())
        facts = [message.payload for message in await captured.messages()]
    assert not any(SECRET.encode() in fact for fact in facts)
    told = lines(caplog)
    assert len(told) == len(scripts) - 1
    assert all(server.url in line for line in told)
    assert SECRET not in "".join(r.getMessage() for r in caplog.records if "ssmd" in r.name)


async def asked(url: str) -> str:
    """What the error says that comes of a REST call."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ExchangeError) as caught:
            await Rest(session, "", None).get(Request(url))
    return caught.value.message


async def test_an_error_of_rest_shows_no_query() -> None:
    async with venue(refusing("503 Service Unavailable"), dumb) as server:
        address = server.url.replace("ws", "http", 1)
        assert await asked(f"{address}?token={SECRET}") == f"{address} answered 503"
        assert SECRET not in await asked(f"{address}?token={SECRET}")
    for url in (f"{address}?token={SECRET}", f"http://[{SECRET}", f"nothing://x/?{SECRET}"):
        assert SECRET not in await asked(url)
