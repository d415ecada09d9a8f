"""The page in a real Chromium, over real archives."""

import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest

from browser import Page, browser, needs_chromium
from serve_archive import DAY, add, make, payloads, serving, writer
from ssmd.runtime import Role, _health_server
from ssmd.serve.roles import Roles

pytestmark = needs_chromium

EVIL = "<img src=x onerror=document.title='owned'>"
WIDTHS = (400, 1400)


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browser(tmp_path / "chromium") as page:
        yield page


def url_of(client: aiohttp.ClientSession) -> str:
    return str(client._base_url)


async def card(page: Page, feed: str) -> str:
    """All the text of a feed's card."""
    return await page.js(
        "[...document.querySelectorAll('.feed')]"
        f".find((card) => card.querySelector('h3').textContent === {feed!r})?.innerText"
    )


async def test_feeds_and_datasets_show(page: Page, client: aiohttp.ClientSession) -> None:
    await page.open(url_of(client))
    await page.until("document.querySelectorAll('.feed').length === 3")
    await page.until("document.querySelectorAll('#rows tr').length === 3")
    text = await card(page, "kalshi")
    assert "Messages, 20 Nov\n5" in text
    assert "Gaps\nnone" in text
    # The archive is of another day, and no connector runs.
    assert "stale" in text
    assert "No message for" in text
    assert await page.js("document.getElementById('state').textContent") == "0 of 3 feeds live"
    assert page.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
async def test_nothing_is_cut_off(page: Page, client: aiohttp.ClientSession, width: int) -> None:
    await page.size(width, 900)
    await page.open(url_of(client))
    await page.until("document.querySelectorAll('#rows tr').length === 3")
    assert await page.js("document.documentElement.scrollWidth") <= width
    overflowing = (
        "[...document.querySelectorAll('.feed *, .scroll')]"
        ".filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth).map((e) => e.outerHTML)"
    )
    assert await page.js(overflowing) == []


async def test_a_sample_shows_the_bytes_that_are_stored(
    page: Page, client: aiohttp.ClientSession
) -> None:
    await page.open(url_of(client))
    await page.until("document.querySelectorAll('#rows tr').length === 3")
    await page.js("document.querySelector('#rows button').click()")
    await page.until("document.querySelectorAll('#lines li').length === 5")
    async with client.get(f"/datasets/kalshi/{DAY}/sample") as response:
        stored = (await response.text())[1:-1].split(",\n")
    shown = await page.js("[...document.querySelectorAll('#lines code')].map((c) => c.textContent)")
    assert shown == stored
    await page.until("document.querySelectorAll('#type option').length > 1")
    await page.js(
        "(() => { const t = document.getElementById('type'); t.value = 'trade';"
        " t.dispatchEvent(new Event('change')); })()"
    )
    await page.until("document.querySelectorAll('#lines li').length === 1")
    assert page.complaints == []


async def test_market_text_is_never_markup(page: Page, tmp_path: Path) -> None:
    root = make(tmp_path / "archive")
    frames = [
        b'{"type":"%s","sid":2,"seq":1,"msg":{"market_ticker":"%s"}}' % (kind, EVIL.encode())
        for kind in (b"trade", EVIL.encode(), b"</code></li><script>alert(1)</script>")
    ]
    with contextlib.closing(writer(root, "kalshi")) as to:
        add(to, payloads("kalshi", frames, conn=EVIL))
    async with serving(root) as client:
        await page.open(url_of(client))
        await page.until("document.querySelectorAll('#rows tr').length === 3")
        await page.js("document.querySelector('#rows button').click()")
        await page.until("document.querySelectorAll('#lines li').length === 8")
        await page.until("document.getElementById('type').innerHTML.includes('&lt;img')")
        assert await page.js("document.body.textContent.includes('<img src=x')")
        found = "document.querySelectorAll('img, script:not([src]), iframe, [onerror]').length"
        assert await page.js(found) == 0
        assert await page.js("document.title") == "0/3 live · ssmd"
    assert page.complaints == []


async def test_a_key_is_asked_for_and_remembered(page: Page, tmp_path: Path) -> None:
    async with serving(make(tmp_path / "archive"), key="schlüssel ключ") as client:
        await page.open(url_of(client))
        await page.until("!document.getElementById('key').hidden")
        assert "API key is needed" in await page.js("document.getElementById('key').innerText")
        assert await page.js("document.getElementById('feeds').hidden")
        assert await page.js("document.getElementById('key-wrong').hidden")
        await enter(page, "wrong")
        await page.until("!document.getElementById('key-wrong').hidden")
        assert await page.js("document.querySelectorAll('.feed').length") == 0
        await enter(page, "schlüssel ключ")
        await page.until("document.querySelectorAll('.feed').length === 3")
        await page.until("document.querySelectorAll('#rows tr').length === 3")
        assert await page.js("document.getElementById('key').hidden")
        await page.reload()
        await page.until("document.querySelectorAll('.feed').length === 3")
    # The browser itself names each refusal; nothing else is complained of.
    assert {complaint for complaint in page.complaints if "401" not in complaint} == set()


async def enter(page: Page, key: str) -> None:
    await page.js(
        f"(() => {{ document.getElementById('key-value').value = {key!r};"
        " document.getElementById('key').requestSubmit(); })()"
    )


async def test_a_server_that_goes_is_told_of_and_a_server_that_comes_back(
    page: Page, tmp_path: Path
) -> None:
    root = make(tmp_path / "archive")
    async with serving(root) as client:
        port = client._base_url.port
        await page.open(url_of(client))
        await page.until("document.querySelectorAll('.feed').length === 3")
    await page.until("!document.getElementById('trouble').hidden")
    said = await page.js("document.getElementById('trouble').textContent")
    assert said.startswith("The server does not answer. Shown is what the server said at ")
    assert await page.js("document.getElementById('state').textContent") == "out of date"
    assert await page.js("document.querySelectorAll('.feed').length") == 3
    async with serving(root, port=port):
        await page.until("document.getElementById('trouble').hidden")
        assert await page.js("document.getElementById('state').textContent") == "0 of 3 feeds live"


def role(data: Path, name: str, feeds: dict[str, object]) -> AbstractAsyncContextManager[None]:
    """A role's own health server, with this status."""
    running = Role(name)
    running.status = lambda: {"role": name, "feeds": feeds}
    return _health_server(running, "127.0.0.1:0", data)


async def test_what_the_roles_say_shows(page: Page, tmp_path: Path) -> None:
    root = make(tmp_path / "archive")
    now_ns = time.time_ns()
    for feed in ("kalshi", "polymarket"):
        with contextlib.closing(writer(root, feed)) as to:
            frames = [b'{"type":"trade"}', b'{"type":"trade"}']
            add(to, payloads(feed, frames, start_ns=now_ns - 5_000_000_000, conn="now"))
    live = {"state": "live", "verified": 75, "unverified": 24, "broken": 1, "age_ms_p50": 2.5}
    connect = {
        "kalshi": live,
        "kraken": {"state": "refused", "detail": f"the exchange refused us {EVIL}"},
        "polymarket": live,
    }
    archive = {"polymarket": {"state": "disk_full", "detail": "No space left; not acking"}}
    async with (
        role(tmp_path, "connect", connect),
        role(tmp_path, "archive", archive),
        serving(root, roles=Roles(tmp_path)) as client,
    ):
        await page.open(url_of(client))
        await page.until("document.querySelectorAll('.feed').length === 3")
        kalshi = await card(page, "kalshi")
        assert kalshi.split("\n")[:2] == ["kalshi", "live"]
        assert "Verified\n75.0 %, 1 broken" in kalshi
        assert "Median delay\n2.5 ms" in kalshi
        kraken = await card(page, "kraken")
        assert kraken.split("\n")[:2] == ["kraken", "refused"]
        assert EVIL in kraken
        polymarket = await card(page, "polymarket")
        assert "disk full" in polymarket
        assert "not acking" in polymarket
        assert await page.js("document.title") == "1/3 live · ssmd"
        line = "document.querySelector('.feed .line').getAttribute('d')"
        assert len((await page.js(line)).split("L")) == 59
    assert page.complaints == []
