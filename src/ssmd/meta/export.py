"""The wire contract and the records as JSON Schema (2020-12), as a text that does not change
unless they do."""

import inspect
import json
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from ssmd.errors import NotFound, StorageError
from ssmd.message import AnyRecord, Message

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
EXPORTED: Final[dict[str, Any]] = {"message": Message, "record": AnyRecord}


def schema_text(name: str) -> str:
    """Raises NotFound."""
    if name not in EXPORTED:
        raise NotFound(
            f"nothing called {name!r} is exported", hint=f"one of: {', '.join(EXPORTED)}"
        )
    content = {"$schema": DIALECT, **_cleaned(msgspec.json.schema(EXPORTED[name]))}
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _cleaned(schema: Any) -> Any:
    """Descriptions without the indentation of the source."""
    if isinstance(schema, dict):
        return {
            key: inspect.cleandoc(value)
            if key == "description" and isinstance(value, str)
            else _cleaned(value)
            for key, value in schema.items()
        }
    return [_cleaned(value) for value in schema] if isinstance(schema, list) else schema


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write NAME.json files there."
)
def export(names: tuple[str, ...], out: Path | None) -> None:
    """Export the wire contract (message) and the record types (record) as JSON Schema.

    Without --out, what is named goes to stdout.
    """
    for name in names or EXPORTED:
        text = schema_text(name)
        if out is None:
            click.echo(text, nl=False)
        else:
            click.echo(_written(out / f"{name}.json", text))


def _written(file: Path, text: str) -> Path:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"cannot write {file}: {error.strerror}", hint="choose another folder with --out"
        ) from error
    return file
