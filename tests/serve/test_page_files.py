"""What the page is made of: its files, those of others among them, and what they may do."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(str(files("ssmd.serve").joinpath("page")))
SOURCES = sorted([*ROOT.glob("*.js"), *ROOT.glob("views/*.js")])
NAMES = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]
VENDOR = {
    # npm uplot@1.6.32 (MIT): dist/uPlot.iife.min.js, dist/uPlot.min.css, LICENSE
    "uPlot.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE.txt": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    # npm @fontsource-variable/inter@5.3.0 (OFL-1.1): files/inter-latin-wght-normal.woff2, LICENSE
    "inter.woff2": "3100e775e8616cd2611beecfa23a4263d7037586789b43f035236a2e6fbd4c62",
    "inter.LICENSE.txt": "3b0a5fca3d17942cde889069889dedbbbd075e9b599968c82a95f4d944e9b345",
}


def test_files_of_others_are_what_was_looked_at() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in vendor()}
    assert found == VENDOR


def vendor() -> list[Path]:
    return sorted((ROOT / "vendor").iterdir())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_modules_are_small_and_put_text_in_as_text(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 200
    found = re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc", text
    )
    assert found == []
    for name in re.findall(r"(?:from|import\()\s*[\"`](/page/[^\"`$]+)[\"`]", text):
        assert (ROOT / name.removeprefix("/page/")).exists(), name


def test_the_page_needs_nothing_inline_and_no_other_host() -> None:
    text = (ROOT / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text) == []
    ours = [path.read_text() for path in (*SOURCES, *ROOT.glob("*.css"), ROOT / "index.html")]
    hosts = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", "".join(ours)))
    assert hosts <= {"http://www.w3.org"}  # the name of SVG


def test_all_of_it_is_small() -> None:
    code = sum(path.stat().st_size for path in (*SOURCES, *ROOT.glob("*.css")))
    assert code < 150_000
    assert sum(path.stat().st_size for path in vendor()) < 120_000


async def test_every_file_is_served_with_its_type_and_bounds(
    client: aiohttp.ClientSession,
) -> None:
    types = {"js": "text/javascript", "css": "text/css", "woff2": "font/woff2"}
    policies = set()
    for name in NAMES:
        async with client.get(f"/page/{name}") as answer:
            assert answer.status == 200, name
            assert await answer.read() == (ROOT / name).read_bytes()
            assert answer.content_type == types.get(name.rpartition(".")[2], answer.content_type)
            policies.add(answer.headers["Content-Security-Policy"])
    (policy,) = policies
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_every_picture_is_small_and_shown_somewhere() -> None:
    docs = Path(__file__).parents[2] / "docs"
    told = (docs / "page.md").read_text() + (docs.parent / "README.md").read_text()
    shown = set(re.findall(r"pictures/([\w-]+\.png)", told))
    found = {path.name: path.stat().st_size for path in (docs / "pictures").iterdir()}
    assert shown == set(found)
    assert max(found.values()) < 150_000
