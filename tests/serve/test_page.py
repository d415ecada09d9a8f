"""The page in a real Chromium, over archives of the test's own."""

import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from browser import Tab, chromium, needs_chromium, tab
from serve_archive import DAY, add, make, payloads, serving, writer
from ssmd.runtime import Role, _health_server
from ssmd.serve.roles import Roles

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

EVIL = "<img src=x onerror=document.title='owned'>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Tab]:
    async with tab(browser) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with serving(make(tmp_path / "archive")) as client:
        yield url_of(client)


def url_of(client: aiohttp.ClientSession) -> str:
    return str(client._base_url)


async def card(page: Tab, feed: str) -> str:
    """All the text of a feed's card."""
    return await page.page.get_by_role("article", name=feed, exact=True).inner_text()


async def test_feeds_that_nobody_captures_are_not_called_live(page: Tab, url: str) -> None:
    await page.page.goto(url)
    await page.count("article.feed", 3)
    await page.shown("0 of 3")
    text = await card(page, "kalshi")
    assert "Messages, 20 Nov\n5" in text
    assert "No connector of this machine captures it." in text
    assert "verified" not in text
    assert page.complaints == []


async def test_a_day_shows_the_bytes_that_are_stored(page: Tab, url: str) -> None:
    await page.page.goto(f"{url}/#/day/kalshi/{DAY}")
    buttons = page.page.locator(".messages button")
    await expect(buttons).to_have_count(5)
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{url}/datasets/kalshi/{DAY}/sample") as answer,
    ):
        stored = (await answer.text())[1:-1].split(",\n")
    for number, line in enumerate(stored):
        await buttons.nth(number).click()
        # Laid out to read, and not a digit or letter is another.
        shown = await page.page.locator(".raw pre").text_content()
        assert "".join((shown or "").split()) == "".join(line.split())
    await buttons.nth(3).click()
    await page.shown("Records made of it\nTrade")
    assert "12345678901234567890" in stored[3]
    await page.page.get_by_label("Type").fill("trade")
    await page.page.get_by_role("button", name="Show").click()
    await expect(buttons).to_have_count(1)
    assert page.complaints == []


async def test_market_text_is_never_markup(page: Tab, tmp_path: Path) -> None:
    root = make(tmp_path / "archive")
    frames = [
        b'{"type":"%s","sid":2,"seq":1,"msg":{"market_ticker":"%s"}}' % (kind, EVIL.encode())
        for kind in (b"trade", EVIL.encode(), b"</code></li><script>alert(1)</script>")
    ]
    frames.append(
        b'{"type":"trade","sid":2,"seq":2,"msg":{"market_ticker":"%s","trade_id":"%s","ts_ms":'
        b'1795132800200,"yes_price_dollars":"0.42","count_fp":"1.00","taker_side":"yes"}}'
        % (EVIL.encode(), EVIL.encode())
    )
    sneaky = [b'{"type":"trade","msg":{"x":"},\\n{\\"nats_seq\\":1,\\"type\\":\\"made up\\"}"}}']
    with contextlib.closing(writer(root, "kalshi")) as to:
        add(to, payloads("kalshi", frames, conn=EVIL))
        add(to, payloads("kalshi", sneaky, conn="sneaky"))
    async with serving(root) as client:
        base = url_of(client)
        await page.page.goto(f"{base}/#/day/kalshi/{DAY}")
        buttons = page.page.locator(".messages button")
        await expect(buttons).to_have_count(10)
        for number in range(5, 10):
            await buttons.nth(number).click()
            await expect(buttons.nth(number)).to_have_attribute("aria-pressed", "true")
        await page.shown("<img src=x")
        await page.page.goto(f"{base}/#/instruments?feed=kalshi")
        await page.shown("<img src=x")
        await page.page.locator("td.sym a", has_text="<img").first.click()
        await expect(page.page.locator("h1")).to_contain_text("<img src=x")
        await page.shown("archive")
        found = "document.querySelectorAll('main img, main script, iframe, [onerror]').length"
        assert await page.js(found) == 0
        assert "owned" not in (await page.page.title()).replace(EVIL, "")
    assert page.complaints == []


async def test_a_key_is_asked_for_and_remembered(page: Tab, tmp_path: Path) -> None:
    async with serving(make(tmp_path / "archive"), key="schlüssel ключ") as client:
        await page.page.goto(url_of(client))
        await page.shown("An API key is needed")
        assert await page.js("document.querySelectorAll('article').length") == 0
        await enter(page, "wrong")
        await page.shown("That key is not accepted.")
        assert await page.js("document.querySelectorAll('article').length") == 0
        await enter(page, "schlüssel ключ")
        await page.count("article.feed", 3)
        await page.page.reload()
        await page.count("article.feed", 3)
        assert await page.js("Object.keys(localStorage)") == []
    # The browser itself names each refusal; nothing else is complained of.
    refused = [text for text in page.complaints if "401" not in text and "ERR_" not in text]
    assert refused == []


async def enter(page: Tab, key: str) -> None:
    await page.page.get_by_label("API key").fill(key)
    await page.page.get_by_role("button", name="Show the data").click()


async def test_a_server_that_goes_is_told_of_and_a_server_that_comes_back(
    page: Tab, tmp_path: Path
) -> None:
    root = make(tmp_path / "archive")
    async with serving(root) as client:
        port = client._base_url.port
        await page.page.goto(url_of(client))
        await page.count("article.feed", 3)
    await page.shown("The server does not answer. Shown is what it said at ")
    await page.shown("no answer")
    await page.count("article.feed", 3)
    async with serving(root, port=port):
        await expect(page.page.locator("#trouble")).to_be_hidden()
        await page.shown("connected")


async def test_what_the_server_refuses_is_shown(page: Tab, tmp_path: Path) -> None:
    root = make(tmp_path / "archive")
    async with serving(root) as client:
        await page.page.goto(f"{url_of(client)}/#/instrument/nope/ABC")
        await page.shown("No feed is called nope.")
        await page.page.goto(f"{url_of(client)}/#/day/kalshi/2026-13-45")
        await page.shown("That is no day.")
        await page.page.goto(f"{url_of(client)}/#/day/kalshi/2026-11-19")
        await page.shown("Nothing of kalshi is archived on that day.")
        await page.page.goto(f"{url_of(client)}/#/no/such/view")
        await page.count("article.feed", 3)
        assert page.complaints == []
        manifest = root / "test" / "kalshi" / DAY / "manifest.json"
        manifest.unlink()
        manifest.mkdir()
        await page.page.goto(f"{url_of(client)}/#/calendar")
        await page.shown("The server refuses: ")
        await page.shown("error")
    assert {text for text in page.complaints if "503" not in text} == set()


async def test_an_empty_archive_says_so(page: Tab, tmp_path: Path) -> None:
    async with serving(tmp_path / "archive") as client:
        base = url_of(client)
        for view, text in {
            "": "Nothing is archived yet.",
            "#/instruments": "Nothing is archived yet.",
            "#/calendar": "Nothing is archived yet.",
            "#/gaps": "No gap is noted in this time.",
        }.items():
            await page.page.goto(f"{base}/{view}")
            await page.shown(text)
    assert page.complaints == []


def role(data: Path, name: str, feeds: dict[str, object]) -> AbstractAsyncContextManager[None]:
    """A role's own health server, with this status."""
    running = Role(name)
    running.status = lambda: {"role": name, "feeds": feeds}
    return _health_server(running, "127.0.0.1:0", data)


async def test_what_the_roles_say_shows(page: Tab, tmp_path: Path) -> None:
    root = make(tmp_path / "archive")
    now_ns = time.time_ns()
    for feed in ("kalshi", "polymarket"):
        with contextlib.closing(writer(root, feed)) as to:
            frames = [b'{"type":"trade"}', b'{"type":"trade"}']
            add(to, payloads(feed, frames, start_ns=now_ns - 5_000_000_000, conn="now"))
    live = {"state": "live", "verified": 99_999, "unverified": 1, "broken": 1, "age_ms_p50": 2.5}
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
        await page.page.goto(url_of(client))
        await page.count("article.feed", 3)
        await page.shown("1 of 3")
        kalshi = await card(page, "kalshi")
        # All but two is not all: it never reads 100 %.
        assert "99.9 % verified · 0.1 % unchecked · 1 broken" in kalshi
        assert "Lag\n2.5 ms" in kalshi
        kraken = await card(page, "kraken")
        assert "refused" in kraken.lower()
        assert EVIL in kraken
        polymarket = await card(page, "polymarket")
        assert "disk full" in polymarket.lower()
        assert "not acking" in polymarket
        assert await page.page.title() == "1/3 live · ssmd"
    assert page.complaints == []
