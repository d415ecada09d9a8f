"""Coverage-guided fuzzing of bytes from outside: ``make fuzz ARGS="-max_total_time=60"``.

Arguments are libFuzzer's. A crash prints the bytes and writes them to a file; run again with that
file as argument to see it alone. The suite fuzzes the same functions without guidance.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ssmd"]):
    from fuzz.targets import frame, segment

CORPUS = Path(tempfile.gettempdir()) / "ssmd-fuzz-corpus"
REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
SEEDS_PER_FILE = 50


def seed(folder: Path) -> None:
    """Start from real frames where they are at hand."""
    folder.mkdir(exist_ok=True)
    for file in REAL.rglob("*.jsonl"):
        for number, line in enumerate(file.read_bytes().splitlines()[:SEEDS_PER_FILE]):
            (folder / f"{file.stem}-{number}").write_bytes(line)


def one(content: bytes) -> None:
    frame(content)
    segment(content)


if __name__ == "__main__":
    seed(CORPUS)
    atheris.Setup([*sys.argv, str(CORPUS)], one)
    atheris.Fuzz()
