"""docs/reliability.md out of the fault matrix's results: ``make reliability``."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ssmd.exchanges import EXCHANGES
from ssmd.sim.faults import FAULTS

HEAD = """# What happens when something goes wrong

Each row is a fault that `ssmd sim` can bring about, each cell what the connector made of it in a
run of the fault matrix: what found it, after how many seconds, and after how many all was right
again. `make reliability` runs the matrix and writes this file.

The runs look into instruments that are silent for 2 s (`stale_after_s`, 60 by default) and take a
socket for dead after 3 s without a byte (60 by default): in use these faults are found later.

*nothing* means that the exchange gives no means to see it, or that nothing is lost by it. Books
touched: those of the symbol, of its group (all that a Kalshi sid carries), any on the connection,
or all, because the connection itself ended. Only these are asked for again.

"""


def cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    if row["found"] == "nothing":
        return "nothing"
    return f"{row['found']}, {row['found_s']:.1f} s; right after {row['repaired_s']:.1f} s"


def table(rows: Iterable[dict[str, Any]]) -> str:
    found = {(row["fault"], row["value"], row["exchange"]): row for row in rows}
    names = list(dict.fromkeys((fault, value) for fault, value, _ in found))
    lines = [
        "| fault | what it does | books touched | " + " | ".join(EXCHANGES) + " |",
        "|---|---|---|" + "---|" * len(EXCHANGES),
    ]
    for fault, value in names:
        cells = [found.get((fault, value, exchange)) for exchange in EXCHANGES]
        touches = next(row["touches"] for row in cells if row)
        name = f"`{fault}`" + (f" {value}" if value else "")
        what = FAULTS[fault].what
        lines.append(f"| {name} | {what} | {touches} | " + " | ".join(map(cell, cells)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    results = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    Path(sys.argv[2]).write_text(HEAD + table(results))
