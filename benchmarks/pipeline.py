"""What one core carries: ``ssmd connect`` and ``ssmd archive`` beside a plain pipeline.

Each row is one process, measured by the operating system's own accounting while the simulated
Kraken Futures sends as fast as it is read. A ratio is of CPU time per message within this run.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import uvloop
from msgspec import Struct, to_builtins

from ssmd import bus
from ssmd.bus import EmbeddedServer
from ssmd.config import Transport

PLAIN = Path(__file__).with_name("plain.py")
FEED = "kraken-futures"
SUBSCRIBE = json.dumps(
    {"event": "subscribe", "feed": "book", "product_ids": [f"PF_{b}USD" for b in ("XBT", "ETH")]}
)


class Row(Struct):
    """One measured process."""

    name: str
    messages_per_s: float
    cpu_us_per_message: float
    ratio_to_plain: float | None
    rss_mb: float


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


def reap(process: subprocess.Popen[bytes], started: float) -> Ended:
    """Wait for the end; CPU and memory are those of this process alone."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return Ended(time.monotonic() - started, cpu, usage.ru_maxrss / 1024)


def stream(url: str, name: str) -> int:
    """Messages in a stream."""

    async def ask() -> int:
        async with bus.connect(Transport(url=url), name="bench") as connection:
            return (await connection.stream_facts(name)).messages

    return uvloop.run(ask())


def make_stream(url: str, env: str, feed: str) -> None:
    async def make() -> None:
        async with bus.connect(Transport(url=url), name="bench") as connection:
            await connection.ensure_stream(env, feed, Transport())

    uvloop.run(make())


class Bench:
    """One run: the same simulator and NATS server for all rows."""

    def __init__(self, folder: Path, seconds: float, nats: str, sim: str) -> None:
        self.folder = folder
        self.seconds = seconds
        self.nats = nats
        self.variables = {
            "SSMD_FEED_KRAKEN_FUTURES_ENDPOINT": f"ws://{sim}/kraken_futures/ws/v1",
            "SSMD_FEED_KRAKEN_FUTURES_REST_ENDPOINT": f"http://{sim}/kraken_futures"
            "/derivatives/api/v3",
            "SSMD_TRANSPORT_URL": nats,
        }
        self.sim = sim

    def connect(self) -> Row:
        process = spawn(
            *("-m", "ssmd", "connect", "--env", "demo", "--feed", FEED),
            *("--data", str(self.folder)),
            **self.variables,
        )
        return self._capture("ssmd connect", process, "DEMO_KRAKEN-FUTURES")

    def plain_connect(self) -> Row:
        make_stream(self.nats, "plain", "futures")
        url = self.variables["SSMD_FEED_KRAKEN_FUTURES_ENDPOINT"]
        process = spawn(
            str(PLAIN), "connect", url, SUBSCRIBE, self.nats, "PLAIN_FUTURES", "plain.futures"
        )
        return self._capture("plain connect", process, "PLAIN_FUTURES")

    def _capture(self, name: str, process: subprocess.Popen[bytes], target: str) -> Row:
        started = time.monotonic()
        time.sleep(self.seconds)
        process.send_signal(signal.SIGTERM)
        ended = reap(process, started)
        return self._row(name, stream(self.nats, target), ended)

    def archive(self, count: int) -> Row:
        started = time.monotonic()
        process = spawn(
            *("-m", "ssmd", "archive", "--env", "demo", "--feed", FEED),
            *("--data", str(self.folder), "--health-addr", "127.0.0.1:0"),
            **self.variables,
        )
        done = 0
        while done < count and process.poll() is None:
            time.sleep(0.1)
            done = self._archived()
        wall = time.monotonic() - started
        process.send_signal(signal.SIGTERM)
        ended = reap(process, started)
        return self._row("ssmd archive", count, Ended(wall, ended.cpu_s, ended.rss_mb))

    def _archived(self) -> int:
        try:
            where = json.loads((self.folder / "run" / "archive.json").read_bytes())["url"]
            with urllib.request.urlopen(f"{where}/status", timeout=2) as answer:
                status = json.loads(answer.read())["feeds"][FEED]
            return int(status.get("messages", 0))
        except (OSError, ValueError, KeyError):
            return 0

    def plain_archive(self, count: int) -> Row:
        started = time.monotonic()
        folder = str(self.folder / "plain")
        process = spawn(str(PLAIN), "archive", self.nats, "PLAIN_FUTURES", folder, str(count))
        return self._row("plain archive", count, reap(process, started))

    @staticmethod
    def _row(name: str, messages: int, ended: Ended) -> Row:
        per_message = ended.cpu_s / max(messages, 1) * 1e6
        return Row(name, messages / ended.wall_s, per_message, None, ended.rss_mb)


def compare(row: Row, plain: Row) -> None:
    row.ratio_to_plain = round(plain.cpu_us_per_message / row.cpu_us_per_message, 2)
    plain.ratio_to_plain = 1.0


def end_to_end(rows: list[Row]) -> list[Row]:
    """Both halves of a pipeline: the slower one's rate, the sum of their CPU."""
    totals = []
    for kind in ("ssmd", "plain"):
        halves = [row for row in rows if row.name.startswith(kind)]
        totals.append(
            Row(
                f"{kind} end to end",
                min(row.messages_per_s for row in halves),
                sum(row.cpu_us_per_message for row in halves),
                None,
                sum(row.rss_mb for row in halves),
            )
        )
    compare(totals[0], totals[1])
    return totals


def run(folder: Path, seconds: float) -> list[Row]:
    sim = spawn(
        *("-m", "ssmd", "sim", "--exchange", "kraken_futures", "--rate", "max", "--port", "0"),
        *("--json", "--data", str(folder)),
    )
    assert sim.stdout is not None
    address = json.loads(sim.stdout.readline())["kraken_futures"]["ws"].split("/")[2]
    server = EmbeddedServer(folder / "nats")
    url = uvloop.run(server.start())
    try:
        bench = Bench(folder, seconds, url, address)
        rows = [bench.connect(), bench.plain_connect()]
        rows.append(bench.archive(stream(url, "DEMO_KRAKEN-FUTURES")))
        rows.append(bench.plain_archive(stream(url, "PLAIN_FUTURES")))
    finally:
        sim.terminate()
        sim.wait()
        uvloop.run(server.stop())
    compare(rows[0], rows[1])
    compare(rows[2], rows[3])
    return [*rows, *end_to_end(rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a capture")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = run(Path(folder), options.seconds)
    out = sys.stdout.write
    out(f"{'':20}{'messages/s':>12}{'CPU us/msg':>12}{'on one core':>12}{'x plain':>9}{'MB':>7}\n")
    for row in rows:
        core = 1e6 / row.cpu_us_per_message
        out(
            f"{row.name:20}{row.messages_per_s:12,.0f}{row.cpu_us_per_message:12.1f}"
            f"{core:12,.0f}{row.ratio_to_plain or 0:9.2f}{row.rss_mb:7.0f}\n"
        )
    if options.json:
        options.json.write_text(json.dumps(to_builtins(rows), indent=1) + "\n")


if __name__ == "__main__":
    main()
