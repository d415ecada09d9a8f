"""Checkpoints: all records of a feed as of the end of an archived day, so that who asks what was
known at some time need not read every day before it.

``{archive}/{env}/{feed}/_instruments/{DATE}.jsonl.gz``: a line that says which day it is about,
then a record a line. A checkpoint follows from the archive, and one whose day has other segments by
now is none.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ssmd.dataset import Archive
from ssmd.errors import ContractError, CorruptArchive
from ssmd.instruments.change import decode_held
from ssmd.store import manifest as manifests
from ssmd.store import retired, segment

FOLDER: Final = "_instruments"
SUFFIX: Final = ".jsonl.gz"
_MEMBER: Final = 1000
EVERY_DAYS: Final = 7
"""How many archived days are read again and again before there is a checkpoint of them."""


class Head(Struct, frozen=True):
    """``chain`` is the hash chain's value at the end of the day."""

    feed: str
    date: str
    chain: str
    records: int


_head = msgspec.json.Decoder(Head).decode


def latest(archive: Archive, feed: str, before: str) -> tuple[str, dict[str, bytes]]:
    """The latest sound checkpoint of a day before that date: its date, and the records by symbol,
    as text; ``("", {})`` where there is none."""
    names = sorted((archive.folder / feed / FOLDER).glob(f"????-??-??{SUFFIX}"), reverse=True)
    for path in names:
        date = path.name.removesuffix(SUFFIX)
        if date < before and (found := _read(archive, feed, date)) is not None:
            return date, found
    return "", {}


def _read(archive: Archive, feed: str, date: str) -> dict[str, bytes] | None:
    try:
        lines = segment.lines(_path(archive, feed, date))
        head = _head(next(lines))
        if (head.feed, head.date, head.chain) != (feed, date, chain_of(archive, feed, date)):
            return None
        found = {decode_held(line).sym: line for line in lines}
    except (OSError, CorruptArchive, StopIteration, msgspec.MsgspecError, ContractError):
        return None
    return found if len(found) == head.records else None


def write(archive: Archive, feed: str, date: str, records: Iterable[bytes]) -> None:
    """Durable when it returns; a crash leaves none or the whole. Raises OSError."""
    kept = list(records)
    head = Head(feed, date, chain_of(archive, feed, date), len(kept))
    path = _path(archive, feed, date)
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    lines = [msgspec.json.encode(head), *kept]
    with temporary.open("wb") as file:
        for first in range(0, len(lines), _MEMBER):
            file.write(segment.compress(b"\n".join([*lines[first : first + _MEMBER], b""])))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    segment.fsync_folder(path.parent)


def chain_of(archive: Archive, feed: str, date: str) -> str:
    """Which segments a day has; empty where it has none that are closed."""
    folder = archive.folder / feed / date
    gone = retired.load(folder)
    manifest = gone.manifest if gone is not None else manifests.load(folder)
    return manifest.files[-1].chain if manifest is not None and manifest.files else ""


def is_closed(archive: Archive, feed: str, date: str) -> bool:
    """Whether nothing is written to the day any more: a later one is, and all of it is named."""
    later = archive.days(feed)[-1:] > [date]
    day = archive.day(feed, date)
    return later and bool(chain_of(archive, feed, date)) and _is_whole(day.folder)


def _is_whole(folder: Path) -> bool:
    manifest = manifests.load(folder)
    named = {entry.name for entry in manifest.files} if manifest is not None else set()
    found = {path.name for path in (*manifests.segments(folder), *manifests.parts(folder))}
    return found == named


def drop_from(feed: Path, date: str) -> None:
    """Forget the checkpoints of that day and after: what they follow from has changed."""
    for path in (feed / FOLDER).glob(f"????-??-??{SUFFIX}"):
        if path.name.removesuffix(SUFFIX) >= date:
            path.unlink(missing_ok=True)


def _path(archive: Archive, feed: str, date: str) -> Path:
    return archive.folder / feed / FOLDER / f"{date}{SUFFIX}"
