"""Which folders and days a command is asked to work on. None of it needs NATS or an exchange."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from ssmd.config import Environment, load
from ssmd.errors import ConfigError, NotFound
from ssmd.store import manifest as manifests


class Place(Struct, frozen=True):
    """One environment's folder, the feeds and the dates wanted (none: all)."""

    env: str
    folder: Path
    feeds: tuple[str, ...]
    dates: tuple[str, ...]
    config: Environment | None
    """What the configuration says of the environment; None where there is none."""

    def days(self) -> list[Path]:
        """The folders of all days wanted, feed by feed."""
        every = [day for feed in self.feeds for day in manifests.days(self.folder / feed)]
        return [day for day in every if not self.dates or day.name in self.dates]

    @property
    def size(self) -> int:
        """Bytes on disk that are to be read."""
        return sum(path.stat().st_size for day in self.days() for path in manifests.segments(day))


def places(
    data: Path,
    env: str | None,
    config: Path | None,
    feeds: Sequence[str] = (),
    dates: Sequence[str] = (),
) -> list[Place]:
    """The environments asked for; None is all that are archived in ``data``. Raises NotFound."""
    if env is not None:
        return [_place(data, env, config, feeds, dates)]
    root = data / "archive"
    names = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    if not names:
        raise NotFound(f"nothing is archived in {root}", hint="choose the folder with --data")
    return [_place(data, name, config, feeds, dates) for name in names]


def _place(
    data: Path, env: str, config: Path | None, feeds: Sequence[str], dates: Sequence[str]
) -> Place:
    known = _config(env, config)
    storage = known.storage.path if known is not None else None
    folder = (Path(storage) if storage else data / "archive") / env
    found = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    if not found:
        raise NotFound(f"nothing is archived in {folder}", hint="choose the folder with --data")
    for feed in feeds:
        if feed not in found:
            raise NotFound(f"{folder} has no feed {feed}", hint=f"it has: {', '.join(found)}")
    place = Place(env, folder, tuple(feeds) or tuple(found), tuple(dates), known)
    if not place.days():
        raise NotFound(f"{folder} has no such day", hint="see `ssmd archive list`")
    return place


def _config(env: str, config: Path | None) -> Environment | None:
    """The archive can be looked at where its configuration is not."""
    try:
        return load(env, root=config).env
    except (ConfigError, NotFound):
        return None
