"""``ssmd meta schema register``, ``hash``, ``set-status`` and ``add-version``."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from ssmd.config import Schema, names, read
from ssmd.config.files import is_name
from ssmd.errors import ConfigError, Conflict, NotFound, StorageError
from ssmd.meta import write
from ssmd.meta.edit import creating, editing
from ssmd.meta.feed_edit import next_version, version_index
from ssmd.meta.options import Date, Desk, command, words
from ssmd.meta.schema_cmd import STATUSES, users
from ssmd.meta.validation import definition, digest

FORMATS = {".capnp": "capnp", ".proto": "protobuf", ".json": "json_schema"}
LARGEST = 16_000_000
_File = click.Path(path_type=Path)


@click.command()
@click.argument("name")
@click.option("--file", required=True, type=_File, help="The definition; it is copied.")
@click.option(
    "--format", "format_", type=click.Choice(list(FORMATS.values())),
    help="Its language.  [default: from the file's name]",
)  # fmt: skip
@click.option("--status", type=STATUSES, default="active", show_default=True, help="Of version v1.")
@click.option("--effective-from", type=Date(), help="First day of version v1.  [default: today]")
@command
def register(
    desk: Desk, name: str, file: Path, format_: str | None, status: str, effective_from: date | None
) -> None:
    """Add a schema, with its version v1, from a definition file."""
    if not is_name(name):
        raise ConfigError(
            f"{name!r} is no name", hint="names are lower-case letters, digits, - and _"
        )
    language = format_ or _language(file)
    content = _definition(file, language)
    if (desk.root / "schemas" / f"{name}.yaml").exists():
        raise Conflict(f"schema {name} exists", hint=f"ssmd meta schema add-version {name}")
    copied = f"{name}{_suffix(file, language)}"
    schema: dict[str, Any] = {
        "name": name,
        "format": language,
        "schema_file": copied,
        "versions": [
            {
                "version": "v1",
                "effective_from": effective_from or datetime.now(UTC).date(),
                "status": status,
                "hash": digest(content),
            }
        ],
    }
    copy = desk.root / "schemas" / copied
    made = _copy(desk, copy, content)
    try:
        created = creating(desk.root, "schemas", name, schema)
    except BaseException:
        _take_back(copy, made=made)
        raise
    desk.created(created, schema)


def _language(file: Path) -> str:
    if file.suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise ConfigError(
            f"the format of {file} is not told by its name ({known})", hint="give it with --format"
        )
    return FORMATS[file.suffix]


def _suffix(file: Path, language: str) -> str:
    known = {value: key for key, value in FORMATS.items()}
    return file.suffix if file.suffix in FORMATS else known[language]


def _definition(file: Path, language: str) -> bytes:
    """The bytes of a definition file. Raises ConfigError."""
    try:
        if file.stat().st_size > LARGEST:
            raise ConfigError(f"{file} is no definition: it is over {LARGEST} bytes", hint="--file")
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read {file}: {error.strerror}", hint="give the definition with --file"
        ) from None
    if not content.strip():
        raise ConfigError(f"{file} is empty", hint="give the definition with --file")
    if language == "json_schema":
        _refuse_no_json(file, content)
    return content


def _refuse_no_json(file: Path, content: bytes) -> None:
    try:
        json.loads(content)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}:{error.lineno}: {error.msg}", hint=f"correct {file}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{file} is not JSON", hint=f"correct {file}") from None


def _copy(desk: Desk, target: Path, content: bytes) -> bool:
    """Put the definition into schemas/; whether it was not there. Raises Conflict."""
    try:
        if target.read_bytes() == content:
            return False
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        with write.locked(desk.root):
            write.create(target, content)
        return True
    except OSError as error:
        raise StorageError(f"cannot read {target}: {error.strerror}") from None
    raise Conflict(f"{target} exists, with other content", hint="remove it, or choose another name")


def _take_back(copy: Path, *, made: bool) -> None:
    if made:
        copy.unlink(missing_ok=True)


@click.command(name="hash")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Every schema.")
@click.option("--check", is_flag=True, help="Write nothing; status 1 where a hash differs.")
@command
def hash_(desk: Desk, name: str | None, every: bool, check: bool) -> None:
    """Note the SHA-256 of every version's definition anew, and say which changed.

    A version in use should not change: add a version instead.
    """
    if every == (name is not None):
        raise click.UsageError("Give the NAME of a schema, or --all.")
    chosen = names(desk.root, "schemas") if every else [str(name)]
    rows = [row for one in chosen for row in _hash(desk, one, write_them=not check)]
    desk.rows(
        ("SCHEMA", "VERSION", "HASH", "STATE"), rows,
        [dict(zip(("schema", "version", "hash", "state"), row, strict=True)) for row in rows],
    )  # fmt: skip
    if check and any(row[3] != "unchanged" for row in rows):
        click.get_current_context().exit(1)


def _hash(desk: Desk, name: str, *, write_them: bool) -> list[list[str]]:
    rows = []
    schema = read(desk.root, "schemas", name, Schema)
    actual = [_digest(definition(desk.root, schema, i)) for i in range(len(schema.versions))]
    for version, found in zip(schema.versions, actual, strict=True):
        state = "unchanged" if version.hash == found else "updated" if write_them else "differs"
        rows.append([name, version.version, found, state])
    if write_them:
        with editing(desk.root, "schemas", name) as edited:
            for index, found in enumerate(actual):
                edited.draft.put(("versions", index, "hash"), found)
    return rows


def _digest(file: Path) -> str:
    try:
        return digest(file.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"cannot read {file}: {error.strerror}", hint="put the definition back"
        ) from None


@click.command(name="set-status")
@click.argument("version", metavar="NAME:VERSION")
@click.argument("status", metavar="STATUS", type=STATUSES)
@command
def set_status(desk: Desk, version: str, status: str) -> None:
    """Whether a version is a draft, active or deprecated: the three that STATUS can be.

    What an environment produces cannot become a draft.
    """
    name, _, wanted = version.partition(":")
    if not wanted:
        raise click.UsageError("Name the version: NAME:VERSION.")
    used = users(desk, version)
    if status == "draft" and used:
        raise Conflict(
            f"schema {version} is produced by {', '.join(used)}",
            hint="let them produce another first: ssmd meta env update --schema",
        )
    with editing(desk.root, "schemas", name) as edited:
        index = version_index(edited.draft, wanted)
        edited.draft.put(("versions", index, "status"), status)
    desk.edited(edited)


@click.command(name="add-version")
@click.argument("name")
@click.option("--file", required=True, type=_File, help="The definition; it is copied.")
@click.option("--effective-from", required=True, type=Date(), help="First day.")
@click.option("--effective-to", type=Date(), help="Last day.  [default: until the next version]")
@click.option("--version", help="Name of the version.  [default: v and the next number]")
@click.option("--status", type=STATUSES, default="draft", show_default=True, help="Its status.")
@click.option("--compatible-with", help="Versions that its readers can read too (commas).")
@click.option("--breaking-changes", help="What readers of older versions cannot read.")
@command
def add_version(
    desk: Desk,
    name: str,
    file: Path,
    effective_from: date,
    effective_to: date | None,
    version: str | None,
    status: str,
    compatible_with: str | None,
    breaking_changes: str | None,
) -> None:
    """A new definition of a schema, from a date on."""
    schema = read(desk.root, "schemas", name, Schema)
    content = _definition(file, schema.format)
    label = version or next_version([one.version for one in schema.versions])
    if not is_name(label):
        raise ConfigError(f"{label!r} is no name of a version", hint="write it as v2")
    target = f"{name}-{label}{_suffix(file, schema.format)}"
    new = {
        "version": label,
        "effective_from": effective_from,
        "effective_to": effective_to,
        "status": status,
        "schema_file": target,
        "hash": digest(content),
        **declared(schema, words(compatible_with), breaking_changes),
    }
    copy = desk.root / "schemas" / target
    made = _copy(desk, copy, content)
    try:
        with editing(desk.root, "schemas", name) as edited:
            edited.draft.add(("versions",), {k: v for k, v in new.items() if v is not None})
    except BaseException:
        _take_back(copy, made=made)
        raise
    desk.edited(edited)


def declared(
    schema: Schema, compatible_with: list[str], breaking_changes: str | None
) -> dict[str, Any]:
    """What a new version says of those before it: the one place where its ``compatible_with`` and
    ``breaking_changes`` are made. Raises NotFound for an unknown version."""
    known = [version.version for version in schema.versions]
    for name in compatible_with:
        if name not in known:
            raise NotFound(
                f"schema {schema.name} has no version {name!r}", hint=f"one of: {', '.join(known)}"
            )
    found: dict[str, Any] = {}
    if compatible_with:
        found["compatible_with"] = compatible_with
    if breaking_changes:
        found["breaking_changes"] = breaking_changes
    return found
