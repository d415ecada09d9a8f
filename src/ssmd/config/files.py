"""One file of a configuration folder: found by name, read with line numbers, checked whole."""

import math
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
LARGEST = 1_000_000
"""Nodes of a file: more can only come of aliases that multiply each other."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_DEEP = re.compile(r"[\[{](?:\s*[\[{]){99}")
"""The parser takes a minute for thousands of these before it gives up."""
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

    def line(self, problem: Problem) -> int:
        """Where the problem is, or what holds it."""
        place = problem.place
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def _line(self, problem: Problem) -> str:
        return f"{self.file}:{self.line(problem)}: {problem.text}"


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
    # Other projects have a config/environments/ too, with no YAML of ours in it.
    if any(Path("config/environments").glob("*.yaml")):
        return Path("config")
    return shipped()


def shipped() -> Path:
    """The configuration folder that came with the package."""
    package = Path(__file__).parents[1]
    for folder in (package / "_config", package.parents[1] / "config"):
        if (folder / "environments").is_dir():
            return folder
    raise ConfigError("no configuration found", hint="choose a config folder with --config")


def read(root: Path, folder: str, name: str, kind: type[_T]) -> _T:
    """One file of a configuration folder. Raises NotFound, ConfigError."""
    return decode(document(root, folder, name), kind)


def names(root: Path, folder: str) -> list[str]:
    """The names that have a file in that folder, sorted."""
    found = (file.stem for file in (root / folder).glob("*.yaml"))
    return sorted(name for name in found if is_name(name))


def is_name(name: str) -> bool:
    """Whether it can name a feed, schema or environment: nothing that could leave its folder."""
    return _NAME.fullmatch(name) is not None


def document(root: Path, folder: str, name: str) -> Document:
    """The file of that name. Raises NotFound, ConfigError."""
    known = f"one of: {', '.join(names(root, folder)) or 'none yet'}"
    if not is_name(name):
        raise NotFound(
            f"{name!r} is no name: names are lower-case letters, digits, - and _", hint=known
        )
    file = root / folder / f"{name}.yaml"
    if not file.is_file():
        raise NotFound(f"unknown {FOLDERS[folder]} {name!r}: there is no {file}", hint=known)
    return parse(file)


def decode(source: Document, kind: type[_T]) -> _T:
    """The Struct of a document; its name must be the file's. Raises ConfigError."""
    found = faults(source, kind)
    if found:
        raise source.error(found)
    return msgspec.convert(source.content, kind)


def faults(source: Document, kind: type[Any]) -> list[Problem]:
    """All that is wrong with a document by itself."""
    found = list(problems(source.content, kind))
    if not found and source.content["name"] != source.file.stem:
        text = f"the name is {source.content['name']!r} and the file's {source.file.stem!r}"
        found = [Problem(("name",), text)]
    return found


def parse(file: Path, text: str | None = None) -> Document:
    """The YAML of a file, or of the text that is to become its content. Raises ConfigError."""
    # Imported late: `ssmd --help` needs no YAML.
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    class Constructor(SafeConstructor):
        """Leaves dates as text: what reads them into a Struct tells where a bad one is."""

    Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    try:
        text = file.read_text(encoding="utf-8") if text is None else text
        if _DEEP.search(text):
            raise RecursionError
        lines: dict[Place, int] = {}
        node = yaml.compose(text)
        if _size(node, {}) > LARGEST:
            raise ConfigError(f"{file}: its aliases make it endless", hint=f"correct {file}")
        _note_lines(node, (), lines, set())
        return Document(file, yaml.load(text), lines)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # What ruamel says of a duplicate shows both values.
        twice = isinstance(error, DuplicateKeyError)
        what = "a key is given twice" if twice else error.problem or "is not YAML"
        raise ConfigError(
            f"{file}:{mark.line + 1 if mark else 1}: {what}", hint=f"correct {file}"
        ) from None
    except UnicodeDecodeError as error:
        at = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}:{at}: is not UTF-8 text", hint=f"correct {file}") from None
    except ReaderError as error:
        at = (text or "").count("\n", 0, error.position) + 1
        what = "holds a character that YAML does not allow"
        raise ConfigError(f"{file}:{at}: {what}", hint=f"correct {file}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        reason = "is nested too deeply" if isinstance(error, RecursionError) else "is not YAML"
        raise ConfigError(f"{file}: {reason}", hint=f"correct {file}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error


def _size(node: Any, known: dict[int, float]) -> float:
    """How many nodes there are once each alias stands for what it names."""
    if node is None or node.id == "scalar":
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf
        below = node.value if node.id == "sequence" else [n for pair in node.value for n in pair]
        known[id(node)] = 1 + sum(_size(one, known) for one in below)
    return known[id(node)]


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
