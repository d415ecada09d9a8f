"""Fixtures of the archive's tests."""

from pathlib import Path

import pytest

from archives import Capture, archive, trades


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """The folder of a sound day: one connection, 60 frames, in three segments."""
    lines = Capture("kalshi").session(trades(60), clock_each=7)
    return archive(tmp_path / "data" / "archive", lines, segments=3, member=9)
