"""What changed in a configuration folder since the last commit: files, fields, environments."""

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from msgspec import Struct

from ssmd.config.files import parse
from ssmd.errors import ConfigError
from ssmd.meta.fields import Change, changes
from ssmd.meta.git import Repository
from ssmd.meta.validation import digest

ALIKE = 0.6
"""Share of equal lines from which a file that went and one that came are one, renamed."""


class Delta(Struct, kw_only=True):
    """One file. ``note`` says what the fields cannot."""

    file: str
    status: Literal["modified", "new", "deleted", "renamed"]
    was: str | None = None
    environments: list[str]
    changes: list[Change]
    note: str | None = None


class Version(Struct):
    """A file in the last commit, or as it is."""

    path: str
    raw: bytes

    def content(self, root: Path) -> Any:
        """Raises ConfigError."""
        try:
            return parse(root / self.path, self.raw.decode("utf-8")).content
        except ValueError:
            raise ConfigError(f"{root / self.path}: is not text") from None


def deltas(root: Path, repository: Repository) -> list[Delta]:
    """In the order of their paths. Raises GitFault."""
    paths = repository.changed()
    old = _versions((path, repository.committed(path)) for path in paths)
    new = _versions((path, _read(root / path)) for path in paths)
    renamed = _renamed(old, new)
    users = _users(root, repository)
    found = []
    for path in sorted({*new, *(old.keys() - renamed.values())}):
        was = renamed.get(path, path)
        found.append(_delta(root, old.get(was), new.get(path), users))
    return found


def _versions(pairs: Iterable[tuple[str, bytes | None]]) -> dict[str, Version]:
    return {path: Version(path, raw) for path, raw in pairs if raw is not None}


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _renamed(old: dict[str, Version], new: dict[str, Version]) -> dict[str, str]:
    """New path -> old path."""
    gone, come = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    pairs = [
        (_likeness(old[was].raw, new[path].raw), path, was)
        for was in gone
        for path in come
        if PurePosixPath(was).parent == PurePosixPath(path).parent
    ]
    found: dict[str, str] = {}
    for alike, path, was in sorted(pairs, reverse=True):
        if alike >= ALIKE and path not in found and was not in found.values():
            found[path] = was
    return found


def _likeness(old: bytes, new: bytes) -> float:
    return SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False).ratio()


def _delta(
    root: Path, old: Version | None, new: Version | None, users: dict[str, set[str]]
) -> Delta:
    path = (new or old).path  # type: ignore[union-attr]
    was = old.path if old and new and old.path != new.path else None
    status = "renamed" if was else "modified" if old and new else "new" if new else "deleted"
    found, note = _fields(root, old, new)
    told = users.get(path, set()) | (users.get(was, set()) if was else set())
    return Delta(
        file=str(root / path), status=status, was=str(root / was) if was else None,  # type: ignore[arg-type]
        environments=sorted(told), changes=found, note=note,
    )  # fmt: skip


def _fields(
    root: Path, old: Version | None, new: Version | None
) -> tuple[list[Change], str | None]:
    path = (new or old).path  # type: ignore[union-attr]
    if not path.endswith(".yaml"):
        hashes = [digest(one.raw) if one else None for one in (old, new)]
        return ([Change("sha256", *hashes)] if hashes[0] != hashes[1] else []), None
    try:
        found = changes(old and old.content(root), new and new.content(root))
    except ConfigError as error:
        return [], f"fields cannot be compared: {error.message}"
    return found, None if found else "comments, order or layout alone"


# --- who is concerned ---------------------------------------------------------------------------


def _users(root: Path, repository: Repository) -> dict[str, set[str]]:
    """Path -> the environments it concerns, before or after the change."""
    found: dict[str, set[str]] = {}
    listed = set(repository.paths("ls-files", "-z", "--cached", "--others", "--exclude-standard"))
    if repository.has_commits():
        listed |= set(repository.paths("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", "."))
    for path in sorted(listed):
        if PurePosixPath(path).parent.name == "environments" and path.endswith(".yaml"):
            name = PurePosixPath(path).stem
            for raw in (repository.committed(path), _read(root / path)):
                for used in _named(root, path, raw):
                    found.setdefault(used, set()).add(name)
    for path in sorted(listed):
        if path.startswith("schemas/") and path.endswith(".yaml"):
            for raw in (repository.committed(path), _read(root / path)):
                for used in _definitions(root, path, raw):
                    found.setdefault(used, set()).update(found.get(path, ()))
    return found


def _content(root: Path, path: str, raw: bytes | None) -> dict[str, Any]:
    """Of a file that can be read, else nothing."""
    try:
        content = Version(path, raw).content(root) if raw is not None else None
    except ConfigError:
        return {}
    return content if isinstance(content, dict) else {}


def _named(root: Path, path: str, raw: bytes | None) -> Iterator[str]:
    content = _content(root, path, raw)
    if raw is not None:
        yield path
    feeds = content.get("feeds")
    for feed in [content.get("feed"), *(feeds if isinstance(feeds, list) else [])]:
        if isinstance(feed, str):
            yield f"feeds/{feed}.yaml"
    if isinstance(content.get("schema"), str):
        yield f"schemas/{content['schema'].partition(':')[0]}.yaml"


def _definitions(root: Path, path: str, raw: bytes | None) -> Iterator[str]:
    content = _content(root, path, raw)
    versions = content.get("versions")
    for piece in [content, *(versions if isinstance(versions, list) else [])]:
        if isinstance(piece, dict) and isinstance(piece.get("schema_file"), str):
            yield f"schemas/{piece['schema_file']}"
