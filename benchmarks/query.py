"""Compaction and bars, measured: one day of made-up trades through the archive, Parquet and DuckDB.

``python benchmarks/query.py --trades 1000000``
"""

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ssmd import message
from ssmd.archive.compact import compact
from ssmd.archive.writer import Writer
from ssmd.config import Rotation
from ssmd.dataset import Archive, Day
from ssmd.message import Message
from ssmd.query.scope import Scope
from ssmd.query.session import opened
from ssmd.store.header import About

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
START_NS = int(datetime(YESTERDAY.year, YESTERDAY.month, YESTERDAY.day, tzinfo=UTC).timestamp()) * (
    10**9
)


def messages(count: int) -> Iterator[bytes]:
    """Kalshi trades in 100 markets, spread over the day."""
    rng = random.Random(1)
    step = 80_000_000_000_000 // count
    for n in range(1, count + 1):
        now_ns = START_NS + n * step
        sym = f"KXBTC-{rng.randrange(100)}"
        raw = (
            f'{{"type":"trade","sid":1,"seq":{n},"msg":{{"trade_id":"{rng.getrandbits(128):032x}",'
            f'"market_ticker":"{sym}","yes_price_dollars":"0.{rng.randrange(100, 9900):04}",'
            f'"count_fp":"{rng.randrange(1, 200)}.00","taker_side":"{rng.choice(("yes", "no"))}",'
            f'"ts_ms":{now_ns // 10**6}}}}}'
        )
        yield message.encode(
            Message(
                feed="kalshi", conn="c", n=n, recv_ns=now_ns, mono_ns=n, type="trade", sym=sym,
                ts_ns=now_ns, seq=n, grp="1", **message.body(raw.encode()),
            )
        )  # fmt: skip


def archive(root: Path, count: int, env: str = "bench") -> None:
    about = About(env, "kalshi", "message:v1", "sha256:0", "2024-01-01T00:00:00Z", "kalshi")
    to = Writer(root, about, Rotation())
    for seq, line in enumerate(messages(count), 1):
        to.add(seq, line)
        if seq % 5_000 == 0:
            to.flush()
    to.flush()
    to.seal()
    to.close()


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed_bars(root: Path, interval: str) -> None:
    start = time.perf_counter()
    with opened(Archive(root, "bench"), Scope(tables=frozenset({"trades", "bars"}))) as query:
        opening = time.perf_counter() - start
        best = min(_once(query, interval) for _ in range(3))
        source = "Parquet" if query.compacted else "segments"
    print(f"bars {interval:>3} from {source}: open {opening:.3f} s, bars {best:.3f} s")


def _once(query: object, interval: str) -> float:
    start = time.perf_counter()
    query.bars(interval).aggregate("count(*), max(high), sum(volume)").fetchall()  # type: ignore[attr-defined]
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--memory", default="512MB")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        archive(root, asked.trades)
        day = Day(root / "bench" / "kalshi" / str(YESTERDAY))
        print(f"{asked.trades} trades archived, peak {peak_mb():.0f} MB so far")
        timed_bars(root, "1h")
        start = time.perf_counter()
        done = compact(day, lambda _: None, memory=asked.memory)
        seconds = time.perf_counter() - start
        if done.state != "compacted":
            sys.exit(f"not compacted: {done.why}")
        rows = sum(done.rows.values())
        print(
            f"compaction: {rows} rows in {seconds:.1f} s, {rows / seconds:.0f} rows/s, "
            f"{done.bytes / 1e6:.0f} MB, peak {peak_mb():.0f} MB"
        )
        for interval in ("1m", "1h", "1d"):
            timed_bars(root, interval)


if __name__ == "__main__":
    main()
