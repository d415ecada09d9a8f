"""``/v1/messages`` and ``/v1/records`` over a real socket, measured: lines a second, and the CPU of
the server for each; a hundredth of the day beside the whole of it.

``python benchmarks/history.py --messages 1000000``
"""

import argparse
import asyncio
import re
import socket
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import aiohttp
from measure import spawn

from query import START_NS, archive

DAY_NS = 80_000_000_000_000
"""What ``query.messages`` are spread over."""


class Cost(NamedTuple):
    lines: int
    wall_s: float
    cpu_s: float


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def ask(client: aiohttp.ClientSession, pid: int, path: str, encoding: str) -> Cost:
    began, before, last = time.perf_counter(), cpu_s(pid), b""
    async with client.get(path, headers={"Accept-Encoding": encoding}) as answer:
        answer.raise_for_status()
        async for piece in answer.content.iter_any():
            last = (last + piece)[-1000:]
    found = re.search(rb'"_end":{"count":(\d+),', last)
    count = int(found[1]) if found else 0
    return Cost(count, time.perf_counter() - began, cpu_s(pid) - before)


async def measured(data: Path, count: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = spawn(
        "-m", "ssmd", "serve", "--env", "demo", "--data", str(data), "--port", str(port)
    )
    try:
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", auto_decompress=False
        ) as client:
            await up(client)
            span = f"from={START_NS}&to={START_NS + 2 * DAY_NS}&feed=kalshi&format=ndjson"
            middle = START_NS + DAY_NS // 2
            part = f"from={middle}&to={middle + DAY_NS // 100}&feed=kalshi&format=ndjson"
            whole = await ask(client, process.pid, f"/v1/messages?{span}", "identity")
            show("messages", whole)
            few = await ask(client, process.pid, f"/v1/messages?{part}", "identity")
            show("a hundredth of them", few)
            if whole.cpu_s:
                print(f"{'':22} {few.cpu_s / whole.cpu_s:.3f} of the CPU of the whole")
            chosen = f"/v1/messages?{span}&symbol=KXBTC-7"
            show(
                "of one symbol",
                (await ask(client, process.pid, chosen, "identity"))._replace(lines=count),
            )
            show("records", await ask(client, process.pid, f"/v1/records?{span}", "identity"))
    finally:
        process.terminate()
        process.communicate()


async def up(client: aiohttp.ClientSession) -> None:
    while True:
        try:
            async with client.get("/ready"):
                return
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.05)


def show(name: str, cost: Cost) -> None:
    each = cost.cpu_s / cost.lines * 1e6 if cost.lines else 0.0
    print(f"{name:22} {cost.lines / cost.wall_s:12,.0f}/s  {each:6.2f} us of CPU each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    count = parser.parse_args().messages
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        archive(data / "archive", count, env="demo")
        asyncio.run(measured(data, count))


if __name__ == "__main__":
    main()
