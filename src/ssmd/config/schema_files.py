"""The files that define schemas: where they are, and whether they are what was registered."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ssmd.config.check import Problem
from ssmd.config.model import Schema, SchemaVersion
from ssmd.errors import ConfigError


def definition(root: Path, schema: Schema, version: SchemaVersion) -> Path:
    """The file that defines a version. Raises ConfigError where it is outside of the folder."""
    name = version.schema_file or schema.schema_file
    if Path(name).name != name or name.startswith("."):
        raise ConfigError(
            f"schema {schema.name}: schema_file {name!r} is no plain name of a file",
            hint="schema files stand beside the YAML, in schemas/",
        )
    return root / "schemas" / name


def sha256(file: Path) -> str:
    """``sha256:<hex>`` of a file. Raises ConfigError where it cannot be read."""
    try:
        return "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(
            f"cannot read {file}: {error.strerror}", hint="register the schema's file again"
        ) from error


def problems(root: Path, schema: Schema) -> Iterator[Problem]:
    """Versions whose file is gone, or is not what was registered."""
    for index, version in enumerate(schema.versions):
        place = ("versions", index, "hash")
        try:
            found = sha256(definition(root, schema, version))
        except ConfigError as error:
            yield Problem(("versions", index), error.message, error.hint)
            continue
        if version.hash is None:
            if version.status != "draft":
                hint = f"`ssmd meta schema hash {schema.name}` notes it"
                yield Problem(("versions", index), f"{version.version} has no hash", hint)
        elif version.hash != found:
            text = f"{version.version} is registered with another content: its file has {found}"
            hint = "put the file back, or add a version with the new one"
            yield Problem(place, text, hint)
