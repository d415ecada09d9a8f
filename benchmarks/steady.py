"""Both roles at a steady rate: how much of a core they take, and how much memory."""

import signal
import time
from pathlib import Path

from measure import Row, messages_of, reap, role, simulated

RATE = 10_000
START_S = 60.0


def steady(data: Path, nats: str, seconds: float) -> list[Row]:
    """``connect`` and ``archive`` side by side while the exchange sends ``RATE`` messages/s.

    Rates are of the steady stretch; CPU time and memory are of the whole life of a process.
    """
    data.mkdir(parents=True)
    with simulated(data, str(RATE)) as variables:
        variables["SSMD_TRANSPORT_URL"] = nats
        started = time.monotonic()
        processes = {name: role(name, data, **variables) for name in ("archive", "connect")}
        while not all(messages_of(data, name) for name in processes):
            if time.monotonic() - started > START_S:
                raise SystemExit("Error: the roles do not start")
            time.sleep(0.1)
        before = {name: _tick(data, name) for name in processes}
        time.sleep(seconds)
        after = {name: _tick(data, name) for name in processes}
        rows = []
        for name in ("connect", "archive"):
            processes[name].send_signal(signal.SIGTERM)
            ended = reap(processes[name], started)
            (began, first), (until, last) = before[name], after[name]
            per_message = ended.cpu_s / last * 1e6
            rate = (last - first) / (until - began)
            rows.append(Row(f"{name} at 10k/s", rate, per_message, None, ended.rss_mb))
        return rows


def _tick(data: Path, name: str) -> tuple[float, int]:
    """When a count grew, and to what: the archiver counts what it has flushed, once a second."""
    before, until = messages_of(data, name), time.monotonic() + START_S
    while (count := messages_of(data, name)) <= before:
        if time.monotonic() > until:
            raise SystemExit(f"Error: {name} handles nothing")
        time.sleep(0.02)
    return time.monotonic(), count
