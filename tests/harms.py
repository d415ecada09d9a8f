"""What can happen to the files of an archive, and what verify says of it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ssmd.archive.verify import Summary
from ssmd.archive.verify import verify as prove
from ssmd.store import manifest as manifests
from ssmd.store import segment
from ssmd.store.manifest import Manifest


def verify(day: Path, *, deep: bool = False, dates: Sequence[str] = ()) -> Summary:
    feed = day.parent
    return prove(
        feed.parent, [feed.name], dates, deep=deep, tell=lambda _: None, progress=lambda _: None
    )


def told(day: Path, *, deep: bool = False) -> list[str]:
    """What was found, in words."""
    return [f"{Path(one.path).name}: {one.what}" for one in verify(day, deep=deep).findings]


def manifest_of(day: Path) -> Manifest:
    found = manifests.load(day)
    assert found is not None
    return found


def segments(day: Path) -> list[Path]:
    return list(manifests.segments(day))


def remove(day: Path) -> None:
    segments(day)[1].unlink()


def rename(day: Path) -> None:
    path = segments(day)[1]
    path.rename(path.with_name("235959-000000000999.jsonl.gz"))


def swap(day: Path) -> None:
    one, two, _ = segments(day)
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


def forge(day: Path) -> None:
    """Another segment in the place of one, and the manifest's entry made to fit."""
    manifest, path = manifest_of(day), segments(day)[0]
    content = b"".join(text for _, _, text in segment.members(path))
    path.write_bytes(segment.compress(content.replace(b"0.5000", b"0.6000")))
    manifest.files[0].sha256 = segment.sha256(path)
    manifest.files[0].compressed_bytes = path.stat().st_size
    manifests.save(day, manifest)


def leave_out(day: Path) -> None:
    """A segment and its entry are taken out together."""
    manifest = manifest_of(day)
    segments(day)[1].unlink()
    del manifest.files[1]
    manifests.save(day, manifest)


def miscount(day: Path) -> None:
    manifest = manifest_of(day)
    manifest.files[1].records += 1
    manifests.save(day, manifest)


def misplace(day: Path) -> None:
    """The block index is wrong."""
    manifest = manifest_of(day)
    block = manifest.files[1].blocks[1]
    manifest.files[1].blocks[1] = msgspec.structs.replace(block, offset=block.offset + 1)
    manifests.save(day, manifest)


def praise(day: Path) -> None:
    """The manifest says that more was verified than is."""
    text = (day / manifests.NAME).read_text()
    share = manifest_of(day).verified_share
    (day / manifests.NAME).write_text(text.replace(f": {share}", ": 1.0"))


def spoil(day: Path) -> None:
    (day / manifests.NAME).write_bytes(b'{"feed": "kalshi", "fi')


def lose_manifest(day: Path) -> None:
    (day / manifests.NAME).unlink()


def leave_part(day: Path) -> None:
    shutil.copy(segments(day)[2], day / "235959-000000000999.jsonl.gz.part")


HARMS = [
    remove, rename, swap, forge, leave_out, miscount, misplace, praise, spoil,
    lose_manifest, leave_part,
]  # fmt: skip
