"""``ssmd meta schema list`` and ``show``."""

from pathlib import Path
from typing import Any

import click

from ssmd import show
from ssmd.config import Environment, Schema, SchemaVersion, read
from ssmd.errors import NotFound
from ssmd.meta.options import Desk, command, facts, pairs
from ssmd.meta.readable import readable
from ssmd.meta.validation import definition, digest

STATUSES = click.Choice(["draft", "active", "deprecated"])


@click.command(name="list")
@click.option("--status", type=STATUSES, help="Only versions of this status.")
@command
def list_(desk: Desk, status: str | None) -> None:
    """All versions of all schemas; with -v also who produces them."""
    head = ["NAME", "VERSION", "FORMAT", "STATUS", "EFFECTIVE"] + ["ENVIRONMENTS"] * desk.verbose
    rows, content = [], []
    schemas, unreadable = readable(desk.root, "schemas", Schema)
    for schema in schemas:
        name = schema.name
        for version in schema.versions:
            if status not in (None, version.status):
                continue
            since = f"{version.effective_from}"
            since += f"–{version.effective_to}" if version.effective_to else ""
            row = [name, version.version, schema.format, version.status, since]
            used = users(desk, f"{name}:{version.version}")
            rows.append(row + [", ".join(used) or "–"] * desk.verbose)
            content.append(
                {"name": name, "format": schema.format, **facts(version), "environments": used}
            )
    desk.rows(head, rows, content)
    unreadable.tell()


@click.command(name="show")
@click.argument("name")
@command
def show_(desk: Desk, name: str) -> None:
    """One schema with its versions, or one version of it: NAME or NAME:VERSION."""
    name, _, wanted = name.partition(":")
    schema = read(desk.root, "schemas", name, Schema)
    chosen = [v for v in schema.versions if wanted in ("", v.version)]
    if not chosen:
        known = ", ".join(v.version for v in schema.versions)
        raise NotFound(f"schema {name} has no version {wanted!r}", hint=f"one of: {known}")
    if desk.json:
        versions = [_facts(desk, schema, version) for version in chosen]
        show.as_json({**facts(schema), "versions": versions})
        return
    pairs([("Name", name), ("Format", schema.format), ("File", schema.schema_file)])
    for version in chosen:
        click.echo("")
        pairs(_rows(desk, schema, version))


def _facts(desk: Desk, schema: Schema, version: SchemaVersion) -> dict[str, Any]:
    file = definition(desk.root, schema, list(schema.versions).index(version))
    used = users(desk, f"{schema.name}:{version.version}")
    return {
        **facts(version), "file": str(file), "matches": matches(file, version),
        "environments": used,
    }  # fmt: skip


def _rows(desk: Desk, schema: Schema, version: SchemaVersion) -> list[tuple[str, Any]]:
    found = _facts(desk, schema, version)
    ends = f" to {version.effective_to}" if version.effective_to else ""
    says = {True: "the file's", False: "NOT the file's", None: "the file cannot be read"}
    return [
        ("Version", version.version),
        ("Status", version.status),
        ("Effective", f"from {version.effective_from}{ends}"),
        ("File", found["file"]),
        ("Hash", f"{version.hash or 'none'} ({says[found['matches']]})"),
        ("Compatible with", ", ".join(version.compatible_with)),
        ("Breaking changes", version.breaking_changes),
        ("Environments", ", ".join(found["environments"])),
    ]


def matches(file: Path, version: SchemaVersion) -> bool | None:
    """Whether the file has the version's hash; None where it cannot be read."""
    try:
        return digest(file.read_bytes()) == version.hash
    except OSError:
        return None


def users(desk: Desk, reference: str) -> list[str]:
    """The environments that produce a version; those that cannot be read are for ``validate``."""
    environments, _ = readable(desk.root, "environments", Environment)
    return [one.name for one in environments if one.schema == reference]
