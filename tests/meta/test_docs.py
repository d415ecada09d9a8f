"""``docs/meta.md``, typed line by line into a shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "meta.md"


def test_every_block_works_in_order(here: Path, tmp_path: Path) -> None:
    shim = tmp_path / "bin" / "ssmd"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m ssmd "$@"\n')
    shim.chmod(0o755)
    fences = re.findall(r"^```sh\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    script = "set -ex\n" + "".join(fences)
    done = subprocess.run(
        ["sh"], input=script, cwd=here, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "new      config/environments/paper.yaml  [paper]" in done.stdout
    assert "paper: Kraken twice (3 files)" in done.stdout


def test_no_other_command_is_shown() -> None:
    opened = re.findall(r"^```(.*)$", DOCS.read_text(), re.MULTILINE)[::2]
    assert set(opened) == {"sh"}
