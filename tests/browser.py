"""A real Chromium, driven over its DevTools protocol."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium in PATH")


class Page:
    """One tab. ``complaints`` is what its console was told of errors and warnings."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._numbers = count(1)
        self._load = asyncio.Event()

    async def call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._load.set()
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(params["entry"]["text"])

    async def open(self, url: str) -> None:
        self._load.clear()
        await self.call("Page.navigate", url=url)
        await self._loaded()
        await self.until(f"location.href.startsWith({url!r}) && document.readyState === 'complete'")

    async def reload(self) -> None:
        self._load.clear()
        await self.call("Page.reload")
        await self._loaded()

    async def _loaded(self) -> None:
        async with asyncio.timeout(60):
            while not self._load.is_set():
                self._note(await self._socket.receive_json())

    async def js(self, expression: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Until the expression is true."""
        try:
            async with asyncio.timeout(60):
                while not await self.js(f"Boolean({expression})"):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.js("document.body.innerText")
            raise AssertionError(f"never true: {expression}\n{text}") from None

    async def size(self, width: int, height: int) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Page]:
    """A tab of a new Chromium with a profile of its own."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={profile}"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            while not (found := _port(profile)):
                assert process.returncode is None
                await asyncio.sleep(0.05)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{found}") as session:
            async with session.put("/json/new?about:blank") as answer:
                tab = json.loads(await answer.read())["webSocketDebuggerUrl"]
            async with session.ws_connect(tab, max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _port(profile: Path) -> str | None:
    with suppress(OSError, IndexError):
        return (profile / "DevToolsActivePort").read_text().splitlines()[0]
    return None
