"""What the suites of faults found out, and how much of them runs."""

import json
import os
from pathlib import Path

WHOLE = "SSMD_FAULT_RESULTS" in os.environ or os.environ.get("SSMD_TEST_FAULTS") == "all"


def record(
    fault: str, value: str | None, exchange: str, touches: str, found: str, found_s: float,
    repaired_s: float,
) -> None:  # fmt: skip
    """A line for docs/reliability.md, where one is being made."""
    path = os.environ.get("SSMD_FAULT_RESULTS")
    if path:
        row = {
            "fault": fault, "value": value, "exchange": exchange, "touches": touches,
            "found": found, "found_s": round(found_s, 3), "repaired_s": round(repaired_s, 3),
        }  # fmt: skip
        with Path(path).open("a") as file:
            file.write(json.dumps(row) + "\n")
