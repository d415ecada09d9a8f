"""Days of Kraken Futures at accelerated time: in a file of its own, as those of each exchange."""

from pathlib import Path

import pytest

from day_accelerated import days_with_a_crash_in_each_state


@pytest.mark.timeout(180)
async def test_days_with_a_crash_in_each_state(tmp_path: Path) -> None:
    await days_with_a_crash_in_each_state("kraken-futures", tmp_path)
