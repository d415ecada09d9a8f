"""The pictures of the page in ``docs/pictures``: ``make pictures``. Takes some minutes."""

import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from PIL import Image

from browser import Tab, chromium, small, tab
from page_stage import Stage, archived, move_past, up, write_past

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
GROWING_S: Final = 360
"""So that the charts have a history."""
BTC: Final = "#/instrument/kraken/BTC%2FUSD"
PICTURES: Final = {
    # name -> address, theme, phone, what has to be seen
    "overview": ("", "light", False, ".strip .cell"),
    "overview-dark": ("", "dark", False, ".strip .cell"),
    "instrument": (f"{BTC}?window=5%20min", "dark", False, ".made .record"),
    "instrument-light": (f"{BTC}?window=5%20min", "light", False, ".made .record"),
    "instruments": ("#/instruments?feed=kraken", "light", False, "tbody tr"),
    "calendar": ("#/calendar", "light", False, "a.cell"),
    "day": ("#/day/kraken/{today}", "light", False, ".messages button"),
    "gaps": ("#/gaps", "light", False, "tbody tr"),
    "clients": ("#/clients", "light", False, "main h1"),
    "phone-overview": ("", "dark", True, ".strip .cell"),
    "phone-instrument": (BTC, "light", True, ".ladder .bid:not(.none)"),
}
FAULTS: Final = (
    "kraken:drop:symbol=BTC/USD:after=200",
    "kraken_futures:drop:after=900",
    "kalshi:drop:after=2500",
)


async def trouble(stage: Stage) -> None:
    """A few gaps, so that there is one to see."""
    today = await day(stage)
    async with aiohttp.ClientSession() as client:
        sample = f"{stage.url}/datasets/kraken/{today}/sample?type=_connect&limit=1"
        async with client.get(sample) as answer:
            (line,) = await answer.json()
        place = urlsplit(line["raw"]["url"]).netloc
        async with client.post(f"http://{place}/_sim/faults", json=list(FAULTS)) as answer:
            answer.raise_for_status()


async def day(stage: Stage) -> str:
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{stage.url}/v1/feeds") as answer,
    ):
        return str((await answer.json())[0]["last"])


async def take(at: Tab, stage: Stage, name: str) -> None:
    address, _, phone, selector = PICTURES[name]
    if "instrument" in name and not phone:
        await at.page.set_viewport_size({"width": 1360, "height": 1090})
    await at.page.goto(f"{stage.url}/{address.replace('{today}', await day(stage))}")
    await at.page.locator(selector).first.wait_for()
    await at.page.evaluate("document.fonts.ready")
    await asyncio.sleep(3)  # a picture of something that moves
    path = FOLDER / f"{name}.png"
    await at.page.screenshot(path=path)
    with Image.open(path) as picture:
        whole = picture.convert("RGB")
    whole.save(path, optimize=True)
    if not small(path):
        whole.quantize(256, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)
    assert small(path), f"{path} is too large: {path.stat().st_size:,} bytes"
    assert at.complaints == [], at.complaints
    print(f"{path.name}: {path.stat().st_size:,} bytes", flush=True)


async def main() -> None:
    wanted = re.compile(sys.argv[1] if len(sys.argv) > 1 else "")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ssmd-pictures-") as name:
        data = Path(name)
        write_past(data / "past")
        async with up(data, rate="120") as stage, chromium() as browser:
            move_past(data / "past", data / "archive")
            await archived(stage.url)
            await asyncio.sleep(GROWING_S / 2)
            await trouble(stage)
            await asyncio.sleep(GROWING_S / 2)
            for picture, (_, theme, phone, _) in PICTURES.items():
                if wanted.search(picture):
                    async with tab(browser, theme=theme, phone=phone) as at:
                        await take(at, stage, picture)


if __name__ == "__main__":
    asyncio.run(main())
