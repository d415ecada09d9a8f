"""Answers that refuse us: each in one clear line, none fatal, and the exchange's wishes heeded."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connect.harness import Capturing, lines, until
from connect.venue import Peer, refusing, steady, venue
from ssmd import keys
from ssmd.connect.refusal import explain_status
from ssmd.connect.retry import LONGEST_S, REFUSED_RETRY_S, asked_s, delay_s
from ssmd.errors import ExchangeError, ExchangeRefused, KeyFault

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "state", "says"),
    [
        ("401 Unauthorized", "refused", "refused us (401)"),
        ("403 Forbidden", "refused", "refused us (403)"),
        ("404 Not Found", "refused", "answered 404"),
        ("410 Gone", "refused", "answered 410"),
        ("429 Too Many Requests", "backoff", "answered 429"),
        ("500 Internal Server Error", "backoff", "answered 500"),
        ("503 Service Unavailable", "backoff", "answered 503"),
        ("520 Web Server Returned an Unknown Error", "backoff", "answered 520"),
        ("200 OK", "backoff", "answered 200"),
    ],
)
@pytest.mark.usefixtures("quickly")
async def test_a_refused_handshake_is_said_once_and_tried_again(
    capturing: Capturing, caplog: pytest.LogCaptureFixture, answer: str, state: str, says: str
) -> None:
    seen = asyncio.Event()

    async def later(peer: Peer) -> None:
        await seen.wait()
        await peer.answer(answer)

    async with (
        venue(refusing(answer), later, steady) as server,
        capturing(server.url) as captured,
    ):
        await captured.reaches(state)
        well, why = captured.health
        assert not well
        assert says in why["ill"]["kraken"]
        seen.set()
        await captured.reaches("live")
        assert captured.health[0]
        assert server.met == 3
    (line,) = lines(caplog)
    assert f"{server.url} {says}" in line


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
@pytest.mark.usefixtures("quickly")
async def test_a_redirect_is_named_and_not_followed(
    capturing: Capturing, caplog: pytest.LogCaptureFixture, status: str
) -> None:
    async with (
        venue(steady) as elsewhere,
        venue(refusing(status, f"Location: {elsewhere.url}"), steady) as server,
        capturing(server.url) as captured,
    ):
        await captured.reaches("live")
        assert elsewhere.met == 0
        assert server.met == 2
    (line,) = lines(caplog)
    assert f"redirects to {elsewhere.url} ({status[:3]}), which is not followed" in line
    assert "the feed's endpoint" in line


async def test_a_refused_key_harms_no_other_feed(
    capturing: Capturing,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private, _ = keys.make(tmp_path / "keys")
    monkeypatch.setenv("KALSHI_API_KEY", "revoked")
    monkeypatch.setenv("KALSHI_PRIVATE_KEY_FILE", str(private))
    signed: list[str] = []

    async def refuse(peer: Peer) -> None:
        signed.append(await peer.request())
        await peer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

    async with (
        venue(refuse) as kalshi,
        venue(steady) as kraken,
        capturing(kalshi=kalshi.url, kraken=kraken.url) as captured,
    ):
        await captured.reaches("refused", "kalshi")
        await captured.reaches("live", "kraken")
        assert len(await captured.framed(1, "kraken")) == 1
        assert captured.health[1]["ill"].keys() == {"kalshi"}
    assert "KALSHI-ACCESS-KEY: revoked" in signed[0]
    (line,) = lines(caplog, "kalshi")
    assert "refused us (401)" in line
    assert "check the key of this feed" in line
    assert "revoked" not in line
    assert not lines(caplog, "kraken")


# --- Retry-After --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0),
        ("99999999999999999999", LONGEST_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_S),
        ("soon", 0),
        ("-5", 0),
        ("1.5", 0),
        ("\u0663", 0),
    ],
)
def test_what_retry_after_asks_for(value: str | None, seconds: float) -> None:
    assert asked_s(value, NOW) == seconds


def test_the_next_attempt_is_never_earlier_than_asked() -> None:
    assert delay_s(ExchangeError("503", retry_after_s=20), 0.3) == 20.3
    assert delay_s(ExchangeError("503"), 0.3) == 0.3
    assert delay_s(ExchangeRefused("403", retry_after_s=300), 0) == 300
    assert delay_s(ExchangeRefused("403", retry_after_s=5), 0) == REFUSED_RETRY_S
    assert delay_s(KeyFault("none"), 0) == REFUSED_RETRY_S
    assert explain_status("x", 429, 9, None).retry_after_s == 9


async def test_a_rate_limit_is_waited_out_before_the_next_handshake(
    capturing: Capturing, caplog: pytest.LogCaptureFixture
) -> None:
    came: list[float] = []

    async def limited(peer: Peer) -> None:
        await peer.answer("429 Too Many Requests", "retry-after: 2")
        came.append(time.monotonic())

    async def open_again(peer: Peer) -> None:
        came.append(time.monotonic())
        await steady(peer)

    async with venue(limited, open_again) as server, capturing(server.url) as captured:
        await captured.reaches("live")
    assert came[1] - came[0] >= 1.9
    (line,) = lines(caplog)
    assert "answered 429 and asks for 2 s of quiet" in line


async def test_a_stop_ends_the_wait(capturing: Capturing) -> None:
    limited = refusing("503 Service Unavailable", "Retry-After: 3000")
    async with venue(limited) as server, asyncio.timeout(60):
        async with capturing(server.url) as captured:
            await captured.reaches("backoff")
            captured.stop()
        assert server.met == 1
        assert captured.status()["state"] == "closed"


async def test_two_feeds_wait_each_for_itself(capturing: Capturing) -> None:
    limited = refusing("429 Too Many Requests", "Retry-After: 3000")
    async with (
        venue(limited) as one,
        venue(steady) as other,
        capturing(kraken=one.url, **{"kraken-futures": other.url}) as captured,
    ):
        await captured.reaches("backoff", "kraken")
        await until(lambda: captured.status("kraken-futures")["messages"] > 0)
