"""Answers of an archive on this machine, without a server: the same rows, in the same words.
Imported late."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw

from ssmd.client.asked import Asked
from ssmd.client.rows import Feed, Hole, Page
from ssmd.dataset import Archive
from ssmd.errors import NotFound
from ssmd.query import plain
from ssmd.query.engine import Relation
from ssmd.query.facts import exchange_of, whole
from ssmd.query.scope import Scope
from ssmd.query.session import Query, opened
from ssmd.query.tables import FACTS_ORDER

AT_ONCE: Final = 5_000
"""Rows of a page."""


class Local:
    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def __repr__(self) -> str:
        return repr(str(self.archive.folder))

    def close(self) -> None:
        """There is nothing to close."""

    def table(self, asked: Asked) -> Iterator[Page]:
        feeds = asked.feeds or tuple(self.archive.feeds())
        if asked.start_ns >= asked.end_ns or not feeds:
            return
        scope = Scope(
            feeds=feeds,
            start_ns=asked.start_ns,
            end_ns=asked.end_ns,
            symbols=frozenset(asked.symbols) or None,
            tables=frozenset({asked.table}),
        )
        with opened(self.archive, scope) as query:
            yield Page([], [Hole(**msgspec.structs.asdict(hole)) for hole in query.holes])
            rows = map(_json, plain.rows(query.connection, _relation(query, asked)))
            while some := list(islice(rows, AT_ONCE)):
                yield Page(some)

    def feeds(self) -> Iterator[Page]:
        yield Page([_json(_feed(self.archive, name)) for name in self.archive.feeds()])


def _relation(query: Query, asked: Asked) -> Relation:
    if asked.table == "bars":
        return query.bars(asked.interval)
    rows = query.table(asked.table)
    return rows.order(FACTS_ORDER[asked.table]) if asked.table in FACTS_ORDER else rows


def _json(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


def _feed(archive: Archive, name: str) -> Feed:
    days = archive.days(name)
    found = [archive.day(name, day) for day in days[-2:]]
    manifests = [whole(day) for day in found]
    newest = manifests[-1] if manifests else None
    last_ns = max((f.last_recv_ns for made in manifests for f in made.files), default=0)
    exchange = exchange_of(found[-1], manifests[-1]) if newest else None
    return Feed(
        name=name,
        exchange=exchange.name if exchange else None,
        days=len(days),
        first=days[0] if days else None,
        last=days[-1] if days else None,
        message_types=newest.message_types if newest else [],
        records=sum(entry.records for entry in newest.files) if newest else 0,
        gaps=len(newest.gaps) + len(newest.exchange_gaps) if newest else 0,
        last_message=_time(last_ns) if last_ns else None,
    )


def _time(ns: int) -> str:
    stamp = datetime.fromtimestamp(ns // 10**9, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{ns // 1_000_000 % 1000:03d}Z"


def archive_at(path: Path, env: str | None) -> Archive:
    """The archive in a folder: of environments, or one that holds it as ``archive``; or the folder
    of one environment. Raises NotFound."""
    path = path.expanduser().absolute()
    if not path.is_dir():
        raise NotFound(f"there is no folder {path}", hint="the archive is by default data/archive")
    roots = [path / "archive", path] if env or _environments(path / "archive") else [path]
    for root in roots:
        found = _environments(root)
        if env in found:
            return Archive(root, env)
        if env is None and len(found) == 1:
            return Archive(root, found[0])
        if env is None and found:
            raise NotFound(f"{root} has several environments", hint=f"env= {', '.join(found)}")
    if env in (None, path.name) and any(_has_days(path.parent, path.name)):
        return Archive(path.parent, path.name)
    what = f"no environment {env!r}" if env else "nothing archived"
    known = ", ".join(_environments(path) or _environments(path / "archive"))
    raise NotFound(f"{path} has {what}", hint=f"it has: {known}" if known else None)


def _environments(root: Path) -> list[str]:
    """Folders in it that hold days of feeds."""
    if not root.is_dir():
        return []
    names = sorted(path.name for path in root.iterdir() if path.is_dir())
    return [name for name in names if any(_has_days(root, name))]


def _has_days(root: Path, name: str) -> Iterator[bool]:
    archive = Archive(root, name)
    return (bool(archive.days(feed)) for feed in archive.feeds())
