"""Guards: imports point down, and each library has one home."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

from ssmd.cli import COMMANDS

SOURCE = Path(__file__).parents[1] / "src" / "ssmd"
RANKS = {
    "errors": 0, "lazy": 0, "show": 0,
    "message": 1, "instrument": 1, "config": 1, "book": 1.5, "apikey": 1, "keys": 3,
    "exchanges": 2, "calendar": 2.5, "store": 3, "bus": 3, "runtime": 2,
    "security": 1.5, "refusal": 2, "rest": 3, "instruments": 4.5,
    "fields": 2, "dataset": 4, "span": 4.2, "day": 4, "place": 4.5, "quality": 4.5,
    "quality_shown": 4.6, "builders": 1, "observed": 4.5, "query": 4.7,
    "connect": 5, "archive": 5, "serve": 5, "meta": 5, "sim": 5, "up": 5,
    "outfile": 1, "client": 5,
    "cli": 6, "__main__": 7, "": 0,
}  # fmt: skip
HOMES = {
    "nats": {"bus"},
    "starlette": {"serve"},
    "hypercorn": {"serve"},
    "ruamel": {"config", "meta"},
    "picows": {"connect", "sim"},
    "duckdb": {"query"},
    "polars": {"client"},
    "pandas": {"client"},
    "pyarrow": {"client"},
}


def imports(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def area(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py").replace("__init__", "")


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_point_down(file: Path) -> None:
    own = area(file)
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "ssmd" and len(parts) > 1 and parts[1] in RANKS and parts[1] != own:
            assert RANKS[parts[1]] < RANKS[own], f"{own} imports {name}"
        for library, homes in HOMES.items():
            if parts[0] == library:
                assert own in homes, f"{own} imports {name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_exist(name: str) -> None:
    module, _, attribute = COMMANDS[name].target.partition(":")
    assert getattr(import_module(module), attribute).name == name
