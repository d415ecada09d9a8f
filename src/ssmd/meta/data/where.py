"""Which archive a command is about, and the options that say so."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from msgspec import Struct

from ssmd.config import Environment, load
from ssmd.dataset import Archive, Day
from ssmd.errors import ConfigError, NotFound
from ssmd.store import retired

F = TypeVar("F", bound=Callable[..., Any])

NS_PER_S: Final = 10**9
_FRACTION = re.compile(r"\.(\d{1,9})")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class Where(Struct, frozen=True):
    """One environment's archive; ``config`` is None where its configuration is not here."""

    archive: Archive
    env: str
    config: Environment | None

    def days(self, feeds: Iterable[str], first: str | None, last: str | None) -> list[Day]:
        """Days of these feeds (none: of all), both inclusive. Raises NotFound for a feed that is
        not archived."""
        return [
            self.archive.day(feed, day)
            for feed in self._wanted(feeds)
            for day in self.archive.days(feed)
            if _within(day, first, last)
        ]

    def deleted(
        self, feeds: Iterable[str], first: str | None, last: str | None
    ) -> Iterator[retired.Retired]:
        """What is on record of their days that were deleted. Raises NotFound likewise."""
        for feed in self._wanted(feeds):
            for folder in retired.days(self.archive.folder / feed):
                found = retired.load(folder) if _within(folder.name, first, last) else None
                if found is not None:
                    yield found

    def _wanted(self, feeds: Iterable[str]) -> list[str]:
        known = self.archive.feeds()
        wanted = list(feeds) or known
        for feed in wanted:
            if feed not in known:
                raise NotFound(
                    f"no feed {feed!r}", hint=f"archived are: {', '.join(known) or 'none'}"
                )
        return wanted


def _within(day: str, first: str | None, last: str | None) -> bool:
    return (first is None or day >= first) and (last is None or day <= last)


class DateOrTime(click.ParamType[str]):
    """A day, or a moment in RFC 3339."""

    name = "date|time"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        try:
            moment_ns(value)
        except ValueError:
            self.fail(
                f"{value!r} is no date such as 2026-11-23 and no time such as 2026-11-23T12:00:00Z",
                param, ctx,
            )  # fmt: skip
        return str(value)


def moment_ns(text: str, *, end: bool = False) -> int:
    """A moment; of a day, its first, or with ``end`` that after its last. Raises ValueError."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        day = date.fromisoformat(text) + timedelta(days=end)
        return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * NS_PER_S
    fraction = _FRACTION.search(text)
    whole = datetime.fromisoformat(_FRACTION.sub("", text, count=1))
    if whole.tzinfo is None:
        whole = whole.replace(tzinfo=UTC)
    return int(whole.timestamp()) * NS_PER_S + int((fraction[1] if fraction else "0").ljust(9, "0"))


def day_of(text: str | None) -> str | None:
    """The UTC day of a date or time."""
    if text is None:
        return None
    return f"{datetime.fromtimestamp(moment_ns(text) // NS_PER_S, UTC):%Y-%m-%d}"


def place(command: F) -> F:
    """The options that say which archive, and how to print."""
    for option in (
        click.option(
            "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
            help="How to print.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON: --output json."),
        click.option(
            "--config", "config", type=click.Path(path_type=Path), help="Configuration folder."
        ),
        click.option("--env", help="Environment, where the archive holds several."),
        click.option(
            "--path", envvar="SSMD_DATA_PATH", show_envvar=True,
            help="Folder of the archive, of what holds it, or of one environment in it."
            "  [default: data]",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def span(command: F) -> F:
    """The options that choose feeds and days."""
    for option in (
        click.option("--to", "last", type=DateOrTime(), help="Last day (included)."),
        click.option("--from", "first", type=DateOrTime(), help="First day."),
        click.option("--feed", "feeds", multiple=True, help="Only this feed (repeatable)."),
    ):
        command = option(command)
    return command


def where(path: str | None, env: str | None, config: Path | None) -> Where:
    """The archive meant. Raises NotFound where there is none, ConfigError where it could be one of
    several or lies in an object store."""
    path = path or None  # an empty variable says nothing
    root = Path(path or "data")
    scheme = _SCHEME.match(path or "")
    if scheme is not None:
        raise ConfigError(
            f"{scheme[0]} is not supported: only folders on this machine can be read",
            hint="copy the archive here, then give its folder with --path",
        )
    known = _config(env, config)
    if known is not None and known.storage.type != "local":
        raise ConfigError(
            f"storage type {known.storage.type!r} is not supported",
            hint="give a folder with --path",
        )
    if path is None and known is not None and known.storage.path:
        root = Path(known.storage.path)
    if not root.is_dir():
        raise NotFound(f"there is no folder {root}", hint="choose the archive with --path")
    return _chosen(root, env, config)


def _chosen(root: Path, env: str | None, config: Path | None) -> Where:
    if env is None and _has_days(root):
        folders = [root]
    else:
        folders = [
            below
            for above in (root, root / "archive")
            if above.is_dir()
            for below in sorted(above.iterdir())
            if (below.name == env if env is not None else _has_days(below))
        ]
    if not folders:
        if env is None:
            raise NotFound(f"nothing is archived in {root}", hint="choose the archive with --path")
        raise NotFound(f"{root} has no archive of {env}", hint="see its folders, or --path")
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise ConfigError(f"{root} has several archives: {names}", hint="choose one with --env")
    (folder,) = folders
    name = folder.resolve().name
    return Where(Archive(folder.resolve().parent, name), name, _config(name, config))


def _has_days(folder: Path) -> bool:
    """Whether this is the archive of an environment: it has feeds, and these have days."""
    archive = Archive(folder.parent, folder.name)
    return folder.is_dir() and any(archive.days(feed) for feed in archive.feeds())


def _config(env: str | None, config: Path | None) -> Environment | None:
    """The archive can be looked at where its configuration is not."""
    if env is None:
        return None
    try:
        return load(env, root=config).env
    except (ConfigError, NotFound):
        return None
