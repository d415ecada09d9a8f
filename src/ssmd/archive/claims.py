"""What a day's manifest claims, against the day's folder and what its segments make: the faults."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ssmd.archive.finding import REMAKE, REPAIR, Finding
from ssmd.archive.salvage import QUARANTINE
from ssmd.store import manifest as manifests
from ssmd.store import segment
from ssmd.store.manifest import GENESIS, File, Manifest
from ssmd.store.segment import PART

DERIVED: Final = (
    "exchange_gaps", "gap_ends", "gaps_before", "tickers", "message_types", "has_gaps",
    "duplicates", "checked", "verified_share", "clean_share",
)  # fmt: skip
"""What a manifest says beyond its entries, and its segments tell."""

DAY: Final = "day-"
"""How the name of a trading day's report begins."""


def absent(folder: Path, on_disk: set[Path], *, running: bool) -> Iterator[Finding]:
    """There is no manifest that can be read."""
    path = folder / manifests.NAME
    if path in on_disk:
        yield Finding(str(path), "", "this is no manifest that can be read", REMAKE)
    elif any(True for _ in manifests.segments(folder)) and not running:
        yield Finding(str(path), "", "there is no manifest of these segments", REMAKE)


def chain(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    previous = GENESIS
    for entry in manifest.files:
        if entry.chain != manifests.link(previous, entry.sha256):
            what = "the hash chain breaks here: a segment was taken out, added or changed"
            yield Finding(str(folder / entry.name), "", what, REMAKE)
        previous = entry.chain


def strays(
    folder: Path, on_disk: set[Path], manifest: Manifest, *, running: bool
) -> Iterator[Finding]:
    """Files that no manifest names."""
    known = {manifests.NAME, QUARANTINE, *(entry.name for entry in manifest.files)}
    last = manifest.files[-1].name if manifest.files else ""
    for path in sorted(on_disk):
        name = path.name
        if name in known or name.startswith((".", f"{manifests.NAME}.corrupt-", DAY)):
            continue
        if running and name > last:
            continue  # an archiver is about to close it or to enter it
        if name.endswith(PART):
            hint = "start the archiver: it closes it; or `ssmd archive repair`"
            yield Finding(str(path), "", "a part that nobody writes to", hint)
        else:
            yield Finding(str(path), "", "no manifest names this file", REMAKE)


def quarantined(folder: Path) -> int:
    """How many files were put aside."""
    aside = folder / QUARANTINE
    if not aside.is_dir():
        return 0
    return sum(path.suffix != ".json" for path in aside.iterdir())


def derived(folder: Path, manifest: Manifest, made: Manifest) -> Iterator[Finding]:
    """What the manifest says of the whole day; ``made`` is what its segments make."""
    path = str(folder / manifests.NAME)
    for gap in made.gaps:
        if gap not in manifest.gaps:
            what = f"{gap.missing_count} messages are missing, and no gap names them"
            yield Finding(path, f"seq {gap.after_seq + 1}", what, REMAKE)
    made.gaps = manifest.gaps  # a repair knows of more
    manifests.derive(made)
    for name in DERIVED:
        if getattr(manifest, name) != getattr(made, name):
            yield Finding(path, "", f"{name} is not what the segments make", REMAKE)


def entry(path: Path, said: File, found: File) -> Iterator[Finding]:
    """What the manifest says of one segment; ``found`` is what it is."""
    found.chain = said.chain
    found.blocks = segment.as_told(found.blocks, said.blocks)
    if found == said:
        return
    if found.sha256 != said.sha256:
        at = next(_changes(said, found), "")
        what = "its bytes are not those that the manifest was made of (sha256)"
        yield Finding(str(path), at, what, REPAIR)
    for name in File.__struct_fields__:
        claim, is_ = getattr(said, name), getattr(found, name)
        if claim != is_ and name != "sha256":
            short = isinstance(claim, int | str | float | None)
            what = f"the manifest says {name} {claim}, and it is {is_}" if short else (
                f"{name} are not what the manifest says"
            )  # fmt: skip
            yield Finding(str(path), "", what, REMAKE)


def _changes(said: File, found: File) -> Iterator[str]:
    """Where a segment differs first, as far as the block index tells."""
    for claim, is_ in zip(said.blocks, found.blocks, strict=False):
        if claim != is_:
            yield f"byte {claim.offset}"
    if len(found.blocks) < len(said.blocks):
        yield f"byte {said.blocks[len(found.blocks)].offset}"
