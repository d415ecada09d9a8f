"""Fixtures that more than one area uses. Everything is real: servers, sockets, files."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from ssmd.bus import Bus, connect
from ssmd.config import Transport

# On a busy machine, examples take their time: that is no fault of what is tested.
hypothesis.settings.register_profile(
    "ssmd", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("ssmd")


@pytest.fixture
def transport() -> Transport:
    return Transport(url="embedded")


@pytest.fixture
async def bus(tmp_path: Path, transport: Transport) -> AsyncIterator[Bus]:
    """A connection to a nats-server of the test's own, with an empty store."""
    async with connect(transport, name="test", data=tmp_path) as bus:
        yield bus


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here (it takes root)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
