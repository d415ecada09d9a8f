"""Fixtures that more than one area uses. Everything is real: servers, sockets, files."""

from collections.abc import AsyncIterator
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
