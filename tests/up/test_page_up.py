"""Every view of the page over a running ``ssmd up``, in both themes and on a phone."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from browser import PHONE, Tab, chromium, needs_chromium, tab
from page_stage import Stage, archived, move_past, up, write_past

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

MODES = {"light": ("light", False), "dark": ("dark", False), "phone": ("dark", True)}
UPDATES = 30_000
GROWTH_BYTES = 3_000_000
LOADED_BYTES = 200_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    data = tmp_path_factory.mktemp("up")
    write_past(data / "past", feeds=("kraken",), days=40)
    async with up(data) as found:
        move_past(data / "past", data / "archive")
        await archived(found.url, ("kraken",))
        yield found


async def look_at_everything(at: Tab, stage: Stage) -> AsyncIterator[str]:
    """Through all views as a person goes; the name of each, once it shows."""
    page = at.page
    await page.goto(stage.url)
    await at.count("article.feed", 4)
    await expect(page.locator(".tile").first).to_contain_text("4 of 4")
    await expect(page.locator(".strip .cell").first).to_be_visible()
    yield "overview"
    await page.get_by_role("link", name="Calendar").click()
    await at.shown("The worse of covered and clean")
    await page.get_by_role("button", name="Verified").click()
    await expect(page.locator(".feedyear", has_text="kraken").first).to_be_visible()
    yield "calendar"
    await page.locator("[aria-label='Days of kraken'] a.cell").nth(20).click()
    await at.shown("The day, UTC")
    await expect(page.locator(".messages button").first).to_be_visible()
    await page.locator(".messages button").nth(2).click()
    yield "day"
    await page.get_by_role("link", name="Gaps").click()
    await page.get_by_label("Time").select_option("365")
    await expect(page.locator("tbody tr").first).to_be_visible()
    await page.get_by_label("Symbol").fill("no such symbol")
    await at.shown("No gap fits these filters.")
    await page.get_by_label("Symbol").fill("")
    yield "gaps"
    await page.get_by_role("link", name="Clients").click()
    await expect(page.locator("main")).to_contain_text(re.compile("Not available|Nobody|Clients"))
    yield "clients"
    await page.get_by_role("link", name="Instruments").click()
    await page.get_by_role("button", name="kraken", exact=True).click()
    await page.get_by_role("searchbox").fill("BTC/U")
    await at.count("tbody tr", 1)
    yield "instruments"
    await page.get_by_role("searchbox").press("Enter")
    await expect(page.locator("h1")).to_have_text("BTC/USD")
    await expect(page.locator(".ladder .bid:not(.none)").first).to_be_visible()
    await expect(page.locator(".tape li:not(.none)").first).to_be_visible()
    await expect(page.locator(".messages button").first).to_be_visible()
    await page.get_by_role("button", name="5 min", exact=True).click()
    await page.get_by_text("Bars as a table").click()
    await expect(page.locator("details tbody tr").first).to_be_visible()
    yield "instrument"
    await page.get_by_role("link", name="API").click()
    await at.shown("/v1/feeds")
    await page.go_back()
    await expect(page.locator("h1")).to_have_text("BTC/USD")


@pytest.mark.parametrize("mode", MODES)
async def test_every_view(browser: Browser, stage: Stage, mode: str) -> None:
    theme, phone = MODES[mode]
    async with tab(browser, theme=theme, phone=phone) as at:
        seen = []
        async for view in look_at_everything(at, stage):
            seen.append(view)
            if phone:
                assert await at.width() <= PHONE["width"], view
        assert len(seen) == 7
        ground = await at.js("getComputedStyle(document.documentElement).backgroundColor")
        await at.page.get_by_role("button", name="Theme: system").click()
        assert await at.js("document.documentElement.dataset.theme") == "light"
        turned = await at.js("getComputedStyle(document.documentElement).backgroundColor")
        assert (ground == turned) == (theme == "light")
        assert at.complaints == []


async def test_the_page_is_usable_by_keyboard(browser: Browser, stage: Stage) -> None:
    async with tab(browser) as at:
        keyboard = at.page.keyboard
        await at.page.goto(stage.url)
        await at.count("article.feed", 4)
        await keyboard.press("Tab")
        assert await at.js("document.activeElement.textContent") == "Skip to the content"
        assert await at.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await keyboard.press("Enter")
        assert await at.js("document.activeElement.id") == "main"
        await at.page.goto(f"{stage.url}/#/calendar")
        cells = "[aria-label='Days of kraken'] a.cell"
        await at.page.locator(f"{cells}[tabindex='0']").focus()
        await keyboard.press("ArrowLeft")
        week_before = await at.js("document.activeElement.getAttribute('href')")
        assert await at.page.locator(f"{cells}[tabindex='0']").count() == 1
        await keyboard.press("Enter")
        await at.shown("The day, UTC")
        assert at.page.url.endswith(week_before)
        unnamed = (
            "[...document.querySelectorAll('a, button, input, select, canvas, [role=img]')]"
            ".filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length || e.title))"
            ".length"
        )
        assert await at.js(unnamed) == 0
        assert at.complaints == []


async def test_it_loads_few_bytes(browser: Browser, stage: Stage) -> None:
    async with tab(browser) as at:
        await at.page.goto(stage.url)
        await at.count("article.feed", 4)
        files = await at.js(
            "performance.getEntriesByType('resource').filter((e) => e.name.includes('/page/'))"
            ".map((e) => e.encodedBodySize)"
        )
        ready_ms = await at.js(
            "performance.getEntriesByType('resource').find((e) => e.name.endsWith('/v1/feeds'))"
            ".responseEnd"
        )
    print(
        f"\nthe overview: {len(files)} files, {sum(files):,} bytes, shown after {ready_ms:.0f} ms"
    )
    assert sum(files) < LOADED_BYTES


async def test_updates_leave_the_heap_as_it_was(browser: Browser, stage: Stage) -> None:
    """As many as 60 a second are in eight minutes, through the seam that all transports use."""
    feed = """async (count) => {
        const { deliver } = await import("/page/live.js");
        const frame = () => new Promise((done) => requestAnimationFrame(done));
        const base = { feed: "kraken", sym: "BTC/USD", ts_ns: null, bids: [], asks: [] };
        let recv_ns = Date.now() * 1e6;
        for (let i = 0; i < count; i++) {
            recv_ns += 1e9 / 60;
            const price = String(60000 + (i % 40) / 10);
            const trade = { ...base, kind: "trade", price, size: "0.5", side: "buy" };
            const bids = [[price, String(i % 7)]];
            const delta = { ...base, kind: "book_delta", op: "set", bids };
            deliver([{ ...(i % 3 ? delta : trade), recv_ns, nats_seq: i, nth: 0 }]);
            if (i % 200 === 0) await frame();
        }
        await frame();
        return document.querySelectorAll("*").length;
    }"""
    async with tab(browser) as at:
        await at.page.goto(f"{stage.url}/#/instrument/kraken/BTC%2FUSD")
        await expect(at.page.locator(".ladder .bid:not(.none)").first).to_be_visible()
        await at.page.evaluate(feed, UPDATES // 3)  # all that is bounded is full
        before = await heap(at)
        nodes = await at.page.evaluate(feed, UPDATES)
        after = await heap(at)
        print(f"\n{UPDATES:,} updates: heap {before:,} -> {after:,} bytes, {nodes:,} nodes")
        assert after - before < GROWTH_BYTES
        assert nodes < 4000
        assert at.complaints == []


async def heap(at: Tab) -> int:
    """Bytes in use, once what nobody needs is gone."""
    tools = await at.page.context.new_cdp_session(at.page)
    for _ in range(3):
        await tools.send("HeapProfiler.collectGarbage")
    usage = await tools.send("Runtime.getHeapUsage")
    await tools.detach()
    return int(usage["usedSize"])
