"""``ssmd archive retain``: what goes, what stays, and a crash at any moment."""

import asyncio
import json
import random
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from archives import Capture, put, trades, writer
from command import clean, ssmd
from ssmd.archive import recovery, retain
from ssmd.archive.finding import Summary
from ssmd.archive.repair import repair
from ssmd.archive.verify import verify
from ssmd.archive.writer import NS_PER_DAY
from ssmd.bus import connect
from ssmd.config import Keep, Transport, load
from ssmd.dataset import Archive
from ssmd.day import Ledger
from ssmd.errors import NotFound
from ssmd.store import manifest as manifests
from ssmd.store import retired
from ssmd.store.segment import PART

FEED = "kalshi"
TODAY = date(2024, 10, 14)
FIRST = 20_000
"""2024-10-04, in days of the epoch."""
CONFIG = Path(__file__).parents[2] / "config"


def history(root: Path, days: int = 8, messages: int = 20, first: int = FIRST) -> Archive:
    """A day of a connection each; the one over midnight leaves a gap open."""
    to = writer(root, FEED)
    for n in range(days):
        start = (first + n) * NS_PER_DAY
        capture = Capture(FEED, conn=f"c{n}", start_ns=start)
        lines = [capture.note("_connect", {"exchange": FEED})]
        lines += [line for frame in trades(messages) for line in capture.frame(frame)]
        lines += [capture.clock(), capture.gap("reconnect")]
        put(to, lines)
    to.seal()
    to.close()
    return Archive(root, "demo")


def proved(archive: Archive) -> Summary:
    return verify(archive.folder, [FEED], (), deep=False, tell=print, progress=id)


def chosen(archive: Archive, **bounds: int) -> list[retain.Outcome]:
    return list(retain.due(archive.folder / FEED, Keep(**bounds), TODAY))


def test_days_and_bytes_choose_the_oldest_and_leave_the_newest(tmp_path: Path) -> None:
    archive = history(tmp_path)
    days = archive.days(FEED)
    assert chosen(archive) == []
    assert [one.date for one in chosen(archive, days=7)] == days[:3]  # before the 7th
    assert [one.date for one in chosen(archive, days=1)] == days[:-2]
    assert [one.date for one in chosen(archive, max_bytes=1)] == days[:-2]
    sizes = [retain.size(archive.folder / FEED / day) for day in days]
    assert [one.bytes for one in chosen(archive, days=1)] == sizes[:-2]
    by_bytes = chosen(archive, max_bytes=sum(sizes[2:]))
    assert [(one.date, one.why) for one in by_bytes] == [
        (day, f"over {sum(sizes[2:])} bytes") for day in days[:2]
    ]
    assert len(chosen(archive, max_bytes=sum(sizes))) == 0


def test_a_deleted_day_is_told_from_one_that_never_was(tmp_path: Path) -> None:
    archive = history(tmp_path)
    days = archive.days(FEED)
    folder = archive.folder / FEED / days[0]
    before = manifests.load(folder)
    assert before is not None
    (folder / f"day-{days[0]}.json").write_text("{}")
    retain.delete(archive, chosen(archive, days=7), forced=False)
    assert archive.days(FEED) == days[3:]
    assert sorted(path.name for path in folder.iterdir()) == [f"day-{days[0]}.json", "retired.json"]
    gone = retired.load(folder)
    assert gone is not None
    assert (gone.messages, gone.why) == (before.files[0].records, "older than 7 days")
    assert gone.manifest.files[0].sha256 == before.files[0].sha256
    with pytest.raises(NotFound, match=f"kalshi on {days[0]} was deleted: older than 7 days"):
        archive.day(FEED, days[0])
    with pytest.raises(NotFound, match="no dataset"):
        archive.day(FEED, "2024-01-01")
    # What is left proves clean, though the gaps that it begins with were opened on a deleted day.
    assert manifests.load(archive.folder / FEED / days[3]).gaps_before  # type: ignore[union-attr]
    assert proved(archive).ok
    assert repair(archive.folder, [FEED], (), dry_run=False) == []


def test_what_is_half_deleted_is_deleted_for_all_and_taken_away_next_time(tmp_path: Path) -> None:
    archive = history(tmp_path)
    days = archive.days(FEED)
    folder = archive.folder / FEED / days[0]
    for files_left in (4, 1):  # cut off before any file was gone, and after some
        retired.retire(folder, at="2024-10-14T00:00:00Z", why="old", forced=False)
        for path in list(folder.iterdir())[files_left:]:
            if path.name != "retired.json":
                path.unlink()
        assert archive.days(FEED) == days[1:]
        assert proved(archive).ok
        recovery.take_up(archive.folder / FEED)
        assert repair(archive.folder, [FEED], (), dry_run=False) == []
        assert archive.days(FEED) == days[1:]
    (folder / "000000-000000000001.jsonl.gz").write_bytes(b"")
    assert retain.left(archive.folder / FEED) == [folder]
    retain.sweep(folder)
    assert [path.name for path in folder.iterdir()] == ["retired.json"]
    assert retain.left(archive.folder / FEED) == []
    with pytest.raises(NotFound, match="was deleted"):
        archive.day(FEED, days[0])


def test_an_archiver_goes_on_after_deleted_days(tmp_path: Path) -> None:
    archive = history(tmp_path)
    retain.delete(archive, chosen(archive, days=1), forced=False)
    to = writer(tmp_path, FEED)
    last = to.last_seq
    assert last == 8 * 23
    capture = Capture(FEED, conn="new", start_ns=(FIRST + 9) * NS_PER_DAY)
    put(to, capture.session(trades(5)))
    to.seal()
    to.close()
    assert len(archive.days(FEED)) == 3
    assert proved(archive).ok


# --- the command ----------------------------------------------------------------------------------


class Operator:
    """Days of the last week, and a configuration that keeps three of them."""

    def __init__(self, folder: Path, retention: str = "{days: 3}", days: int = 8) -> None:
        self.data = folder / "data"
        today = (datetime.now(UTC).date() - date(1970, 1, 1)).days
        self.archive = history(self.data / "archive", days, first=today - days + 1)
        self.days = self.archive.days(FEED)
        self.config = folder / "config"
        for file in CONFIG.rglob("*"):
            if file.is_file():
                to = self.config / file.relative_to(CONFIG)
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(file.read_bytes())
        with (self.config / "environments" / "demo.yaml").open("a") as file:
            file.write(f"retention: {retention}\n")
        self.words = ("archive", "retain", "--env", "demo", "--data", str(self.data))
        self.words += ("--config", str(self.config))

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = ssmd(*self.words, *words)
        assert "Traceback" not in done.stderr
        return done

    def states(self, *words: str) -> dict[str, Any]:
        done = self.types(*words, "--json")
        assert done.stdout, done.stderr
        found = json.loads(done.stdout)["days"]
        return {one["date"]: (one["state"], one["kept_by"]) for one in found}

    def folder(self, day: str) -> Path:
        return self.archive.folder / FEED / day


def test_a_dry_run_deletes_nothing_and_yes_does(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    old = operator.days[:4]
    assert operator.states() == dict.fromkeys(old, ("to delete", None))
    assert "--yes does it" in operator.types().stdout
    assert operator.archive.days(FEED) == operator.days
    done = operator.types("--yes")
    assert (done.returncode, done.stdout.count("deleted")) == (0, 4)
    assert operator.archive.days(FEED) == operator.days[4:]
    assert operator.types("--yes").stdout == "demo: nothing to delete\n"
    listed = ssmd("archive", "list", "--data", str(operator.data)).stdout
    assert listed.count("(deleted ") == 4
    assert len(listed.splitlines()) == 10
    checkpoints = operator.archive.folder / FEED / "_instruments"
    assert [path.name for path in checkpoints.iterdir()] == [f"{old[-1]}.jsonl.gz"]


def test_what_is_not_verified_stays_unless_it_is_forced(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    damaged, aside, written, whole = operator.days[:4]
    (segment,) = manifests.segments(operator.folder(damaged))
    content = bytearray(segment.read_bytes())
    content[-20] ^= 1
    segment.write_bytes(bytes(content))
    (operator.folder(aside) / "_quarantine").mkdir()
    (operator.folder(aside) / "_quarantine" / "x.gz").write_bytes(b"x")
    (operator.folder(written) / f"230000-000000000099.jsonl.gz{PART}").write_bytes(b"x")
    done = operator.types("--yes", "--json")
    assert done.returncode == 1
    kept = {one["date"]: one["kept_by"] for one in json.loads(done.stdout)["days"]}
    assert kept[damaged].startswith("2 faults, first: ") or "faults, first: " in kept[damaged]
    assert kept[aside] == "it has files in quarantine"
    assert kept[written] == "it is being written"
    assert kept[whole] is None
    assert whole not in operator.archive.days(FEED)
    assert operator.archive.days(FEED) == [d for d in operator.days if d != whole]
    assert operator.types("--yes", "--force").returncode == 0
    assert operator.archive.days(FEED) == operator.days[4:]
    gone = retired.load(operator.folder(damaged))
    assert gone is not None
    assert gone.forced


async def test_a_trading_day_that_is_not_complete_keeps_its_days(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    env = load("demo", root=operator.config).env
    transport = Transport(url="embedded", max_bytes=50_000_000)
    async with connect(transport, name="test", data=operator.data) as bus:
        await bus.ensure_stream("demo", FEED, transport)
        ledger = await Ledger.open(bus, env)
        kept = await ledger.create(FEED, operator.days[1], "test")
        found = await asyncio.to_thread(operator.states, "--yes")
        assert found[operator.days[1]] == (
            "kept", f"the trading day {operator.days[1]} is PENDING",
        )  # fmt: skip
        assert [state for state, _ in found.values()].count("deleted") == 3
        for state in ("STARTING", "ACTIVE", "ENDING", "COMPLETE"):
            kept = await ledger.move(kept, state, by="test")  # type: ignore[arg-type]
        found = await asyncio.to_thread(operator.states, "--yes")
        assert found == {operator.days[1]: ("deleted", None)}


def test_killed_anywhere_each_day_is_whole_or_deleted(tmp_path: Path) -> None:
    operator = Operator(tmp_path, days=14)
    pick = random.Random(1)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-m", "ssmd", *operator.words, "--yes"],
            env=clean(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        first = operator.archive.days(FEED)[0]
        while process.poll() is None and operator.archive.days(FEED)[0] == first:
            pass
        for _ in range(pick.randint(0, 3_000)):  # anywhere in the next one
            operator.folder(first).exists()
        process.kill()
        process.wait()
        assert proved(operator.archive).ok
        gone = list(retired.days(operator.archive.folder / FEED))
        assert len(gone) + len(operator.archive.days(FEED)) == 14
    assert operator.types("--yes").returncode == 0
    assert operator.archive.days(FEED) == operator.days[-4:]
    assert retain.left(operator.archive.folder / FEED) == []


def test_a_feed_has_bounds_of_its_own_and_they_are_explained(tmp_path: Path) -> None:
    operator = Operator(tmp_path, "{days: 3, feeds: {kalshi: {days: 5}}}")
    assert list(operator.states()) == operator.days[:2]
    where = ("--config", str(operator.config))
    told = ssmd("meta", "env", "explain", "demo", *where).stdout
    assert "retention.feeds.kalshi.days" in told
    assert "3 days; kalshi: 5 days" in ssmd("meta", "env", "show", "demo", *where).stdout
    file = operator.config / "environments" / "demo.yaml"
    file.write_text(file.read_text().replace("{kalshi: {days: 5}}", "{kalsh: {days: 0}}"))
    done = ssmd("meta", "validate", *where)
    assert "expected" in done.stdout.lower()
    file.write_text(file.read_text().replace("days: 0", "days: 1"))
    assert "has no feed 'kalsh'" in ssmd("meta", "validate", *where).stdout
    assert operator.types().returncode == 1


def test_an_environment_without_bounds_keeps_everything(tmp_path: Path) -> None:
    operator = Operator(tmp_path, "{}")
    assert operator.types("--yes").stdout == "demo: nothing to delete\n"
    assert "Missing option '--env'" in ssmd("archive", "retain").stderr
