"""What one core carries: ``ssmd connect`` and ``ssmd archive`` beside a plain pipeline.

Each row is one process, measured by the operating system's own accounting while the simulated
Kraken Futures sends as fast as it is read; the last rows at 10,000 messages/s, both roles side by
side. A ratio is of CPU time per message within this run.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from measure import Ended, Row, messages_of, reap, role, simulated, spawn
from msgspec import to_builtins
from steady import steady

from ssmd import bus
from ssmd.bus import EmbeddedServer
from ssmd.config import Transport

PLAIN = Path(__file__).with_name("plain.py")
SUBSCRIBE = json.dumps(
    {"event": "subscribe", "feed": "book", "product_ids": [f"PF_{b}USD" for b in ("XBT", "ETH")]}
)


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

    def __init__(self, folder: Path, seconds: float, nats: str, sim: dict[str, str]) -> None:
        self.folder = folder
        self.seconds = seconds
        self.nats = nats
        self.variables = {**sim, "SSMD_TRANSPORT_URL": nats}

    def connect(self) -> Row:
        process = role("connect", self.folder, **self.variables)
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
        process = role("archive", self.folder, **self.variables)
        done = 0
        while done < count and process.poll() is None:
            time.sleep(0.1)
            done = messages_of(self.folder, "archive")
        wall = time.monotonic() - started
        process.send_signal(signal.SIGTERM)
        ended = reap(process, started)
        return self._row("ssmd archive", count, Ended(wall, ended.cpu_s, ended.rss_mb))

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
    server = EmbeddedServer(folder / "nats")
    url = uvloop.run(server.start())
    try:
        with simulated(folder, "max") as sim:
            bench = Bench(folder, seconds, url, sim)
            rows = [bench.connect(), bench.plain_connect()]
            rows.append(bench.archive(stream(url, "DEMO_KRAKEN-FUTURES")))
            rows.append(bench.plain_archive(stream(url, "PLAIN_FUTURES")))
    finally:
        uvloop.run(server.stop())
    compare(rows[0], rows[1])
    compare(rows[2], rows[3])
    return [*rows, *end_to_end(rows), *run_steady(folder / "steady", seconds)]


def run_steady(folder: Path, seconds: float) -> list[Row]:
    """With a NATS of its own: no earlier message is left to archive."""
    server = EmbeddedServer(folder / "nats")
    url = uvloop.run(server.start())
    try:
        return steady(folder / "data", url, seconds)
    finally:
        uvloop.run(server.stop())


def table(rows: list[Row]) -> str:
    """For people. "On one core" is what a whole core would carry, "core" what was taken of one."""
    heads = ("messages/s", "CPU us/msg", "on one core", "core", "x plain", "MB")
    lines = [f"{'':20}" + "".join(f"{head:>12}" for head in heads)]
    for row in rows:
        ratio = "-" if row.ratio_to_plain is None else f"{row.ratio_to_plain:.2f}"
        lines.append(
            f"{row.name:20}{row.messages_per_s:12,.0f}{row.cpu_us_per_message:12.1f}"
            f"{1e6 / row.cpu_us_per_message:12,.0f}{row.core_share:12.0%}{ratio:>12}"
            f"{row.rss_mb:12.0f}"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a capture")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = run(Path(folder), options.seconds)
    sys.stdout.write(table(rows))
    if options.json:
        options.json.write_text(json.dumps(to_builtins(rows), indent=1) + "\n")


if __name__ == "__main__":
    main()
