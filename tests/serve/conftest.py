"""An archive as the archiver writes it, and a client of the API over it."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from serve_archive import make, serving


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "archive")


@pytest.fixture
async def client(root: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(root) as client:
        yield client
