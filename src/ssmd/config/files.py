"""One file of a configuration folder: found by name, read with line numbers, checked whole."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from ssmd.config.check import Place, Problem, problems
from ssmd.config.model import Environment, Feed, Schema
from ssmd.errors import ConfigError, NotFound

FOLDERS = {"feeds": "feed", "schemas": "schema", "environments": "environment"}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_T = TypeVar("_T", Feed, Schema, Environment)


class Document(NamedTuple):
    """The content of a file as plain Python, and the line of each place in it."""

    file: Path
    content: Any
    lines: Mapping[Place, int]

    def error(self, found: Sequence[Problem]) -> ConfigError:
        """All that is wrong with the file in one error."""
        if len(found) == 1:
            return ConfigError(self._line(found[0]), hint=found[0].hint or f"correct {self.file}")
        lines = [
            self._line(problem) + (f" ({problem.hint})" if problem.hint else "")
            for problem in found
        ]
        return ConfigError("\n".join(lines), hint=f"correct these {len(found)} places")

    def _line(self, problem: Problem) -> str:
        place = problem.place
        while place not in self.lines and place:
            place = place[:-1]
        return f"{self.file}:{self.lines.get(place, 1)}: {problem.text}"


def find_root(explicit: Path | None = None) -> Path:
    """``--config``, else ``SSMD_CONFIG``, else ``./config``, else the one in the package."""
    named = os.environ.get("SSMD_CONFIG")
    chosen = explicit or (Path(named) if named else None)
    if chosen is not None:
        if not (chosen / "environments").is_dir():
            raise ConfigError(
                f"{chosen} has no folder environments/", hint="choose a config folder with --config"
            )
        return chosen
    package = Path(__file__).parents[1]
    for folder in (Path("config"), package / "_config", package.parents[1] / "config"):
        # Other projects have a config/environments/ too, with no YAML of ours in it.
        if any((folder / "environments").glob("*.yaml")):
            return folder
    raise ConfigError("no configuration found", hint="choose a config folder with --config")


def read(root: Path, folder: str, name: str, kind: type[_T]) -> _T:
    """One file of a configuration folder. Raises NotFound, ConfigError."""
    return decode(document(root, folder, name), kind)


def names(root: Path, folder: str) -> list[str]:
    """The names that have a file in that folder, sorted."""
    found = (file.stem for file in (root / folder).glob("*.yaml"))
    return sorted(name for name in found if _NAME.fullmatch(name))


def document(root: Path, folder: str, name: str) -> Document:
    """The file of that name. Raises NotFound, ConfigError."""
    known = f"one of: {', '.join(names(root, folder)) or 'none yet'}"
    if not _NAME.fullmatch(name):
        raise NotFound(
            f"{name!r} is no name: names are lower-case letters, digits, - and _", hint=known
        )
    file = path_of(root, folder, name)
    if not file.is_file():
        raise NotFound(f"unknown {FOLDERS[folder]} {name!r}: there is no {file}", hint=known)
    return parse(file)


def path_of(root: Path, folder: str, name: str) -> Path:
    """The file of that name, whether or not it is there. Raises ConfigError: a name is no path."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name: names are lower-case letters, digits, - and _",
            hint="choose another name",
        )
    return root / folder / f"{name}.yaml"


def decode(source: Document, kind: type[_T]) -> _T:
    """The Struct of a document; its name must be the file's. Raises ConfigError."""
    found = list(problems(source.content, kind))
    if not found and source.content["name"] != source.file.stem:
        text = f"the name is {source.content['name']!r} and the file's {source.file.stem!r}"
        found = [Problem(("name",), text)]
    if found:
        raise source.error(found)
    return msgspec.convert(source.content, kind)


def parse(file: Path) -> Document:
    """The YAML of a file. Raises ConfigError."""
    try:
        return parse_text(file, file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not YAML", hint=f"correct {file}") from None


def parse_text(file: Path, text: str) -> Document:
    """YAML that stands, or is to stand, in a file. Raises ConfigError."""
    # Imported late: `ssmd --help` needs no YAML.
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    class Constructor(SafeConstructor):
        """Leaves dates as text: what reads them into a Struct tells where a bad one is."""

    Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    try:
        lines: dict[Place, int] = {}
        _note_lines(yaml.compose(text), (), lines, set())
        return Document(file, yaml.load(text), lines)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # What ruamel says of a duplicate shows both values.
        twice = isinstance(error, DuplicateKeyError)
        what = "a key is given twice" if twice else error.problem or "is not YAML"
        raise ConfigError(
            f"{file}:{mark.line + 1 if mark else 1}: {what}", hint=f"correct {file}"
        ) from None
    except (YAMLError, ValueError, RecursionError) as error:
        reason = "is nested too deeply" if isinstance(error, RecursionError) else "is not YAML"
        raise ConfigError(f"{file}: {reason}", hint=f"correct {file}") from None


def _note_lines(node: Any, place: Place, lines: dict[Place, int], seen: set[int]) -> None:
    """The line on which each key or item begins. A node that is named again is noted once."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    lines.setdefault(place, node.start_mark.line + 1)
    if node.id == "mapping":
        for key, value in node.value:
            if isinstance(key.value, str):
                lines[(*place, key.value)] = key.start_mark.line + 1
                _note_lines(value, (*place, key.value), lines, seen)
    elif node.id == "sequence":
        for index, value in enumerate(node.value):
            _note_lines(value, (*place, index), lines, seen)
