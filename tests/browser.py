"""A real Chromium, driven by Playwright."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium in PATH")
PHONE: Final = {"width": 390, "height": 844}
DESK: Final = {"width": 1360, "height": 900}
TIMEOUT_MS: Final = 60_000

expect.set_options(timeout=TIMEOUT_MS)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    assert CHROMIUM is not None
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--js-flags=--expose-gc"],
        )
        try:
            yield found
        finally:
            await found.close()


class Tab:
    """A page with a context of its own. ``complaints`` is what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self._failed(request.url, request.failure))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning", "assert"):
            self.complaints.append(text)

    def _failed(self, url: str, why: str | None) -> None:
        # A view that is left stops what it asked for.
        if why != "net::ERR_ABORTED":
            self.complaints.append(f"{url}: {why}")

    async def js(self, expression: str) -> Any:
        return await self.page.evaluate(expression)

    async def count(self, selector: str, wanted: int) -> None:
        await expect(self.page.locator(selector)).to_have_count(wanted)

    async def shown(self, text: str) -> None:
        await expect(self.page.locator("body")).to_contain_text(text, use_inner_text=True)

    async def width(self) -> int:
        return int(await self.js("document.documentElement.scrollWidth"))


@asynccontextmanager
async def tab(
    browser: Browser, *, theme: str = "light", phone: bool = False, scale: float = 1
) -> AsyncIterator[Tab]:
    context = await browser.new_context(
        viewport=PHONE if phone else DESK,  # type: ignore[arg-type]
        color_scheme=theme,  # type: ignore[arg-type]
        device_scale_factor=scale,
        has_touch=phone,
        is_mobile=phone,
    )
    try:
        yield Tab(await context.new_page())
    finally:
        await context.close()


def small(path: Path) -> bool:
    """Whether a picture is one that a repository can carry."""
    return path.stat().st_size < 150_000
