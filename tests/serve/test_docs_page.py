"""``/docs`` in a real Chromium: the document, to read and to try."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import aiohttp
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from serve_archive import DAY, serving

expect.set_options(timeout=60_000)
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium in PATH")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield found
        await found.close()


async def opened(
    browser: Browser,
    client: aiohttp.ClientSession,
    said: list[str],
    *,
    theme: Literal["light", "dark"] = "light",
    width: int = 1200,
    place: str = "",
) -> Page:
    page = await browser.new_page(color_scheme=theme, viewport={"width": width, "height": 800})
    page.set_default_timeout(60_000)
    page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: said.append(asked.url) if "127.0.0.1" not in asked.url
            and not asked.url.startswith("data:") else None)  # fmt: skip
    await page.goto(f"{str(client._base_url).rstrip('/')}/docs{place}")
    await page.wait_for_selector("details")
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
async def test_every_operation_is_shown(
    browser: Browser,
    client: aiohttp.ClientSession,
    theme: Literal["light", "dark"],
    width: int,
) -> None:
    said: list[str] = []
    page = await opened(browser, client, said, theme=theme, width=width)
    async with client.get("/openapi.json") as answer:
        paths = (await answer.json())["paths"]
    shown = await page.locator("summary > code").all_text_contents()
    assert sorted(shown) == sorted(paths)
    await page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    ground = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == ("rgb(18, 20, 22)" if theme == "dark" else "rgb(246, 246, 243)")
    assert said == []


async def test_a_request_is_tried_with_a_key(browser: Browser, root: Path) -> None:
    said: list[str] = []
    async with serving(root, key="secret") as client:
        page = await opened(browser, client, said, place="#datasets_feed_date_sample")
        form = page.locator("#datasets_feed_date_sample")
        await form.locator("input[name=date]").fill(DAY)
        await form.locator("input[name=limit]").fill("1")
        await form.locator("button").click()
        output = form.locator("pre").first
        await expect(output).to_contain_text("\n401 ")
        await page.locator("#key").fill("secret")
        await form.locator("button").press("Enter")
        await expect(output).to_contain_text("nats_seq")
        await expect(output).to_contain_text("\n200 application/json")
        assert "secret" not in page.url
        assert await page.evaluate("Object.keys({...localStorage, ...sessionStorage})") == []
        assert [one for one in said if "401" not in one] == []


async def test_operations_are_found(browser: Browser, client: aiohttp.ClientSession) -> None:
    said: list[str] = []
    page = await opened(browser, client, said)
    await page.locator("#find").fill("high low volume")
    assert await page.locator("details:visible").count() == 1
    assert said == []
