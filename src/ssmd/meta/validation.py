"""What is wrong with a configuration folder: each file by itself, and what they say of each other.

An error keeps a role from starting or a promise from holding; a warning is for a person to judge.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ssmd.config import Environment, Feed, Schema, names
from ssmd.config.check import Place, Problem
from ssmd.config.files import FOLDERS, Document, faults, is_name, parse
from ssmd.config.load import references
from ssmd.errors import ConfigError, SsmdError
from ssmd.exchanges import EXCHANGES

KINDS: dict[str, type[Any]] = {"feeds": Feed, "schemas": Schema, "environments": Environment}


class Finding(Struct, frozen=True):
    """``line`` is None where a whole file is meant."""

    line: int | None
    severity: str
    message: str
    hint: str | None = None


class Report(Struct, frozen=True):
    """One file."""

    file: str
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        return [one for one in self.findings if one.severity == "error"]


def folder_reports(root: Path, folder: str) -> Iterator[Report]:
    """Each file of a folder, and what lies there and is no file of ours."""
    place = root / folder
    if not place.is_dir():
        yield Report(
            str(place), [Finding(None, "error", "the folder is missing", "ssmd meta init")]
        )
        return
    definitions = set(_definitions(root)) if folder == "schemas" else set()
    for file in sorted(place.iterdir()):
        if file.name.startswith("."):
            continue
        if file.suffix == ".yaml":
            yield file_report(root, file)
        elif file.suffix == ".yml" or folder != "schemas":
            text = "is never read: only files that end in .yaml are"
            yield Report(str(file), [Finding(None, "warning", text, "rename or remove it")])
        elif file.name not in definitions:
            text = "belongs to no schema"
            yield Report(str(file), [Finding(None, "warning", text, "register or remove it")])


def file_report(root: Path, file: Path) -> Report:
    """One YAML file, with what it refers to."""
    if not is_name(file.stem):
        text = f"{file.stem!r} is no name: names are lower-case letters, digits, - and _"
        return Report(str(file), [Finding(None, "error", text, "rename the file")])
    if not file.is_file():
        return Report(str(file), [Finding(None, "error", "is no file", "remove it")])
    try:
        source = parse(file)
    except ConfigError as error:
        return Report(str(file), [_whole(error, file)])
    found = [
        Finding(source.line(problem), severity, problem.text, problem.hint)
        for severity, problems in (
            ("error", errors(root, source)),
            ("warning", warnings(root, source)),
        )
        for problem in problems
    ]
    return Report(str(file), found)


def _whole(error: SsmdError, file: Path) -> Finding:
    """A file that cannot be read at all."""
    _, _, told = error.message.partition(str(file))
    line, _, text = told.removeprefix(":").partition(": ")
    if line.isdigit():
        return Finding(int(line), "error", text, error.hint)
    return Finding(None, "error", error.message, error.hint)


def errors(root: Path, source: Document) -> list[Problem]:
    """All that is wrong with a document, and with what it names."""
    folder = source.file.parent.name
    found = faults(source, KINDS[folder])
    if found:
        return found
    content = msgspec.convert(source.content, KINDS[folder])
    if isinstance(content, Environment):
        return [*_references(root, content), *_unknown_exchanges(root, content)]
    if isinstance(content, Schema):
        return list(_hashes(root, content))
    return []


def _references(root: Path, environment: Environment) -> list[Problem]:
    try:
        return list(references(root, environment))
    except SsmdError as error:
        text = f"schema {environment.schema} cannot be read: {error.message}"
        return [Problem(("schema",), text, error.hint)]


def feed_names(environment: Environment) -> list[str]:
    first = [environment.feed] if environment.feed else []
    return list(dict.fromkeys([*first, *environment.feeds]))


def exchange_of(feed: Feed) -> str:
    return feed.exchange or feed.name.replace("-", "_")


def _unknown_exchanges(root: Path, environment: Environment) -> Iterator[Problem]:
    """Feeds that no role could run."""
    named: list[tuple[Place, str]] = [
        (("feeds", index), name) for index, name in enumerate(environment.feeds)
    ]
    if environment.feed is not None:
        named.append((("feed",), environment.feed))
    for place, name in named:
        feed = _feed(root, name)
        if feed is None or feed.status == "disabled":
            continue
        if feed.type != "websocket":
            text = f"feed {name} is of type {feed.type}, which is not captured"
            yield Problem(place, text, "use type: websocket, or leave the feed out")
        elif exchange_of(feed) not in EXCHANGES:
            text = f"feed {name} is of the unknown exchange {exchange_of(feed)!r}"
            yield Problem(place, text, f"one of: {', '.join(EXCHANGES)}")


def _feed(root: Path, name: str) -> Feed | None:
    """None where its own file has its own problems."""
    file = root / "feeds" / f"{name}.yaml"
    try:
        source = parse(file)
    except ConfigError:
        return None
    return None if faults(source, Feed) else msgspec.convert(source.content, Feed)


def definition(root: Path, schema: Schema, index: int) -> Path:
    """The file that a version of a schema describes."""
    return root / "schemas" / (schema.versions[index].schema_file or schema.schema_file)


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _hashes(root: Path, schema: Schema) -> Iterator[Problem]:
    for index, version in enumerate(schema.versions):
        file = definition(root, schema, index)
        field = "schema_file" if version.schema_file or not version.hash else "hash"
        place = ("versions", index, field)
        try:
            if not file.resolve().is_relative_to((root / "schemas").resolve()):
                yield Problem(place, f"{file} is a link that leaves schemas/", "copy the file in")
                continue
            actual = digest(file.read_bytes())
        except OSError as error:
            text = f"version {version.version}: cannot read {file}: {error.strerror}"
            yield Problem(place, text, "put the file back, or register it again")
            continue
        if version.hash is None:
            text = f"version {version.version} has no hash"
            yield Problem(("versions", index), text, f"ssmd meta schema hash {schema.name}")
        elif version.hash != actual:
            text = f"version {version.version}: {file} has changed: its hash is {actual}"
            hint = f"put the file back, add a version, or: ssmd meta schema hash {schema.name}"
            yield Problem(("versions", index, "hash"), text, hint)


def _definitions(root: Path) -> Iterator[str]:
    """Names of the files that schemas name; of an unreadable schema, what can be seen."""
    for name in names(root, "schemas"):
        try:
            content = parse(root / "schemas" / f"{name}.yaml").content
        except ConfigError:
            continue
        for piece in [content, *(content.get("versions") or [] if _is_map(content) else [])]:
            if _is_map(piece) and isinstance(piece.get("schema_file"), str):
                yield piece["schema_file"]


def _is_map(content: Any) -> bool:
    return isinstance(content, dict)


# --- warnings -----------------------------------------------------------------------------------


def warnings(root: Path, source: Document) -> list[Problem]:
    """What is allowed, and may not be meant."""
    folder = source.file.parent.name
    if faults(source, KINDS[folder]):
        return []
    content = msgspec.convert(source.content, KINDS[folder])
    if isinstance(content, Feed):
        return list(_feed_warnings(content))
    if isinstance(content, Environment):
        return list(_environment_warnings(root, content))
    return []


def _feed_warnings(feed: Feed) -> Iterator[Problem]:
    if exchange_of(feed) not in EXCHANGES:
        text = f"no role can capture the exchange {exchange_of(feed)!r}"
        place = ("exchange",) if feed.exchange else ("name",)
        yield Problem(place, text, f"known: {', '.join(EXCHANGES)}")
    today = datetime.now(UTC).date()
    if not any(_in_force(version, today) for version in feed.versions):
        yield Problem(("versions",), f"no version is in force today, {today}")


def _in_force(version: Any, day: date) -> bool:
    ends = version.effective_to
    return bool(version.effective_from <= day and (ends is None or ends >= day))


def _environment_warnings(root: Path, environment: Environment) -> Iterator[Problem]:
    name, _, wanted = environment.schema.partition(":")
    try:
        source = parse(root / "schemas" / f"{name}.yaml")
    except ConfigError:
        return
    if not faults(source, Schema):
        schema = msgspec.convert(source.content, Schema)
        if any(v.version == wanted and v.status == "deprecated" for v in schema.versions):
            yield Problem(("schema",), f"schema {environment.schema} is deprecated")


def all_reports(root: Path) -> Iterator[Report]:
    for folder in FOLDERS:
        yield from folder_reports(root, folder)
