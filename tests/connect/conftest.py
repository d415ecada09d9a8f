"""The real connector against a venue of the test's own, over a real nats-server."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from connect import harness
from connect.harness import Captured, Capturing


@pytest.fixture
def capturing(tmp_path: Path) -> Capturing:
    """``capturing(url)`` or ``capturing(feed=url, ...)``: a connector while the block lasts."""

    def run(endpoint: str = "", **endpoints: str) -> AbstractAsyncContextManager[Captured]:
        named = {"kraken": endpoint} if endpoint else {}
        return harness.capturing(tmp_path, {**named, **endpoints})

    return run


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is tried again soon."""
    monkeypatch.setattr("ssmd.connect.retry.REFUSED_RETRY_S", 0.05)
