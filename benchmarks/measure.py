"""Processes under measure: what each does, and what it costs by the operating system's account."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

FEED = "kraken-futures"


class Row(Struct):
    """One measured process. ``ratio_to_plain`` is of CPU time; None where nothing is compared."""

    name: str
    messages_per_s: float
    cpu_us_per_message: float
    ratio_to_plain: float | None
    rss_mb: float
    """The most that was resident at any moment."""

    @property
    def core_share(self) -> float:
        """How much of one core it took."""
        return self.messages_per_s * self.cpu_us_per_message / 1e6


class Ended(Struct):
    wall_s: float
    cpu_s: float
    rss_mb: float


def spawn(*arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "SSMD_LOG": "ERROR", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def role(name: str, data: Path, **variables: str) -> subprocess.Popen[bytes]:
    """``ssmd connect`` or ``ssmd archive``, with its status to be asked for."""
    return spawn(
        *("-m", "ssmd", name, "--env", "demo", "--feed", FEED),
        *("--data", str(data), "--health-addr", "127.0.0.1:0"),
        **variables,
    )


def reap(process: subprocess.Popen[bytes], started: float) -> Ended:
    """Wait for the end; CPU and memory are those of this process alone."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return Ended(time.monotonic() - started, cpu, usage.ru_maxrss / 1024)


def messages_of(data: Path, name: str) -> int:
    """How many messages a role says it has handled; 0 before it answers."""
    try:
        where: dict[str, Any] = json.loads((data / "run" / f"{name}.json").read_bytes())
        with urllib.request.urlopen(f"{where['url']}/status", timeout=2) as answer:
            return int(json.loads(answer.read())["feeds"][FEED].get("messages", 0))
    except (OSError, ValueError, KeyError):
        return 0


@contextlib.contextmanager
def simulated(data: Path, rate: str) -> Iterator[dict[str, str]]:
    """A simulated Kraken Futures; the variables that lead a role to it."""
    process = spawn(
        *("-m", "ssmd", "sim", "--exchange", "kraken_futures", "--rate", rate, "--port", "0"),
        *("--json", "--data", str(data)),
    )
    try:
        assert process.stdout is not None
        urls = json.loads(process.stdout.readline())["kraken_futures"]
        yield {
            "SSMD_FEED_KRAKEN_FUTURES_ENDPOINT": urls["ws"],
            "SSMD_FEED_KRAKEN_FUTURES_REST_ENDPOINT": urls["rest"],
        }
    finally:
        process.terminate()
        process.communicate()
