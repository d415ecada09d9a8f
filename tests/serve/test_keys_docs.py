"""docs/keys.md: its commands, typed in its order."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from command import clean, ssmd
from ssmd import keys

CONFIG = Path(__file__).parents[2] / "config"
DOCS = Path(__file__).parents[2] / "docs" / "keys.md"


def typed() -> list[list[str]]:
    text = DOCS.read_text(encoding="utf-8")
    fences = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`(ssmd [^`\n]+)`", text)
    return [shlex.split(line)[1:] for line in [*"".join(fences).splitlines(), *spans]]


def test_the_commands_work_in_their_order(tmp_path: Path) -> None:
    verify, create, list_, serve, revoke = typed()
    assert verify == ["meta", "key", "verify", "demo"]
    secret, _ = keys.make(tmp_path)
    variables = {"KALSHI_API_KEY": "sim", "KALSHI_PRIVATE_KEY_FILE": str(secret)}
    done = ssmd(*verify, cwd=tmp_path, SSMD_CONFIG=str(CONFIG), **variables)
    assert done.returncode == 0, done
    made = ssmd(*create, cwd=tmp_path)
    assert made.returncode == 0, made
    listed = ssmd(*list_, cwd=tmp_path)
    id_ = made.stdout.split("_")[1]
    assert re.search(rf"^{id_} +ann +valid +read +kraken ", listed.stdout, re.MULTILINE)
    with subprocess.Popen(
        [sys.executable, "-m", "ssmd", *serve, "--port", "0"], cwd=tmp_path, env=clean(),
        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert "http://127.0.0.1:" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert "ID" in revoke
    ended = ssmd(*[id_ if word == "ID" else word for word in revoke], cwd=tmp_path)
    assert ended.stdout == f"revoked {id_}\n"
