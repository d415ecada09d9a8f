"""The quality report: what is quiet is not missing, and what is unverified is not clean."""

from pathlib import Path

import pytest

from archives import DATE, DAY, ENV, Capture, archive, put, trades, writer
from ssmd import quality
from ssmd.archive.listing import row as list_row
from ssmd.archive.writer import NS_PER_DAY
from ssmd.config import Schedule
from ssmd.quality import NS_PER_MINUTE, NS_PER_S, Row, window
from ssmd.store import manifest as manifests


def rows(day: Path) -> list[Row]:
    return quality.rows(manifests.days(day.parent), None, lambda _: None)


def test_a_day_at_a_glance(tmp_path: Path) -> None:
    frames = trades(60)
    lines = Capture("kalshi").session(frames[:20] + frames[25:], clock_each=7)
    (row,) = rows(archive(tmp_path, lines + lines[-3:], segments=2))
    assert (row.state, row.messages, row.duplicates) == ("data", 55, 3)
    assert (row.verified, row.unverified, row.broken) == (53, 1, 1)
    assert row.verified_share == 53 / 55
    assert row.gaps == {"sequence": 1}
    assert row.clean_share is not None
    assert row.clean_share < 1
    assert row.unknown_types == {}
    assert row.new_fields == {}


@pytest.mark.parametrize("member", [1, 2])
def test_a_part_that_is_closed_while_it_is_read(tmp_path: Path, member: int) -> None:
    """The archiver closes it before its first byte is read, or after."""
    lines = Capture("kalshi").session(trades(40))
    folder = archive(tmp_path, lines[:20])
    to = writer(tmp_path)
    put(to, lines[20:], member=5)
    left = member

    def progress(_: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            to.seal()

    (row,) = quality.rows([folder], None, progress)
    to.close()
    assert (row.messages, row.damaged) == (40, [])


def test_quiet_is_not_missing(tmp_path: Path) -> None:
    """Ten minutes connected, data in the first one only; the rest of the day nobody listens."""
    capture = Capture("kalshi")
    lines = [capture.note("_connect"), *capture.frame(trades(1)[0])]
    capture.now_ns += 10 * NS_PER_MINUTE - NS_PER_S
    lines += [capture.clock(), capture.note("_disconnect")]
    (row,) = rows(archive(tmp_path, lines))
    assert row.state == "data"
    assert (row.quiet_minutes, row.missing_minutes) == (9, 1430)
    assert row.coverage is not None
    assert 0.0069 < row.coverage < 0.0070


def test_a_day_of_silence_is_quiet_and_not_verified(tmp_path: Path) -> None:
    capture = Capture("kraken")
    (row,) = rows(archive(tmp_path, capture.session([b'{"channel":"heartbeat"}']), "kraken"))
    assert row.state == "quiet"
    assert row.messages == 0
    assert row.verified_share is None


def test_a_killed_capture_is_not_clean(tmp_path: Path) -> None:
    lines = Capture("kalshi").session(trades(30))[:20]
    (row,) = rows(archive(tmp_path, lines))
    assert row.verified_share == 0
    assert (row.verified, row.unverified) == (0, 19)


def test_drift_is_told(tmp_path: Path) -> None:
    capture = Capture("kalshi")
    frames = trades(8)
    frames[5] = frames[5].replace(b'"count_fp"', b'"shade":{"hue":[{"deep":1}]},"count_fp"')
    frames[6] = frames[6].replace(b'"type":"trade"', b'"type":"whisper"')
    frames[7] = b"not JSON"
    (row,) = rows(archive(tmp_path, capture.session(frames), segments=2))
    assert row.new_fields == {"trade": ["msg.shade", "msg.shade.hue", "msg.shade.hue[].deep"]}
    assert row.unknown_types == {"whisper": 1, "_text": 1}


def test_ages(tmp_path: Path) -> None:
    """Exchange time is that of the frames, receive time one ms later for each."""
    capture = Capture("kalshi", start_ns=DAY * NS_PER_DAY + 100_000_000)
    frames = [*trades(100), trades(1)[0].replace(b"1728000000001", b"1728000009999")]
    (row,) = rows(archive(tmp_path, capture.session(frames)))
    assert row.negative_ages == 1
    assert row.age_ms_p50 is not None
    assert 100 <= row.age_ms_p50 <= 105


def test_what_is_being_written_is_in_the_report(tmp_path: Path) -> None:
    to = writer(tmp_path)
    put(to, Capture("kalshi").session(trades(20)))
    (row,) = rows(tmp_path / ENV / "kalshi" / DATE)
    assert row.messages == 20
    assert list_row(tmp_path / ENV / "kalshi" / DATE, None).open_parts == 1
    to.close()


def test_hours_of_a_schedule() -> None:
    schedule = Schedule(timezone="America/New_York", day_start="18:00", day_end="17:00")
    day = DAY * NS_PER_DAY
    hour = 3600 * NS_PER_S
    assert window(DATE, schedule, day + 2 * NS_PER_DAY) == [
        (day, day + 21 * hour),
        (day + 22 * hour, day + 24 * hour),
    ]
    assert window(DATE, Schedule(), day + 5 * hour) == [(day, day + 5 * hour)]
