"""Damaged files: put aside, never deleted, and what is sound in them kept in a new segment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ssmd.store import header, segment
from ssmd.store.header import About
from ssmd.store.segment import PART, SUFFIX
from ssmd.store.tally import Tally, member

QUARANTINE: Final = "_quarantine"


def salvage(damaged: Path, about: About | None) -> Path | None:
    """A new segment beside, with every complete member; None where there is none.

    ``about`` is what the segment says of itself where its own first member is lost. An earlier
    call's work is not done again.
    """
    name = damaged.name.removesuffix(PART).removesuffix(SUFFIX)
    target = damaged.with_name(f"{name}.salvaged{SUFFIX}")
    if target.exists():
        return target
    own = header.read(damaged)
    temporary = damaged.with_name(".salvage.tmp")
    with temporary.open("wb") as file:
        for offset, length, content in segment.sound_members(damaged):
            if not member(Tally(), offset, length, content):
                continue
            if not file.tell() and (offset or own is None):
                file.write(segment.compress(content, own or about))
            else:
                file.write(segment.read(damaged, offset, length))
        file.flush()
        os.fsync(file.fileno())
        empty = not file.tell()
    if empty:
        temporary.unlink()
        return None
    temporary.rename(target)
    segment.fsync_folder(target.parent)
    return target


def has_more(damaged: Path, end: int) -> bool:
    """Whether a complete member lies beyond byte ``end``, where the damage begins."""
    return any(offset >= end for offset, _, _ in segment.sound_members(damaged))


def put_aside(damaged: Path, why: str, facts: Mapping[str, Any]) -> Path:
    """Move a file to the quarantine of its day, beside a note why; where it is then."""
    folder = damaged.parent / QUARANTINE
    folder.mkdir(exist_ok=True)
    target, number = folder / damaged.name, 1
    while target.exists():
        number += 1
        target = folder / f"{damaged.name}.{number}"
    note = {"file": damaged.name, "why": why, "bytes": damaged.stat().st_size, **facts}
    target.with_name(f"{target.name}.why.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(note), indent=1)
    )
    damaged.rename(target)
    segment.fsync_folder(folder)
    segment.fsync_folder(damaged.parent)
    return target
