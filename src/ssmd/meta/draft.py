"""An edit of one YAML file, in text and in meaning at once."""

import copy
import io
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.util import load_yaml_guess_indent

from ssmd.config.check import Place
from ssmd.config.files import parse
from ssmd.errors import ConfigError
from ssmd.meta import splice
from ssmd.meta.render import plain


class Step(NamedTuple):
    kind: Literal["put", "add", "drop"]
    place: Place
    value: Any = None


class Draft:
    """The content of a file, and what is to become of it. Only ``text()`` reads YAML again."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self.before = text
        # Without sharing: what an alias names is two values, of which one is to change.
        self.content = plain(parse(file, text).content)
        self._steps: list[Step] = []
        if not isinstance(self.content, dict):
            raise ConfigError(f"{file}:1: the file is no mapping", hint=f"correct {file}")

    def get(self, place: Place) -> Any:
        """What is at a place, None where nothing is."""
        found = self.content
        for step in place:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return None
        return found

    def put(self, place: Place, value: Any) -> None:
        if self.get(place) != plain(value):
            self._do(Step("put", place, value))

    def add(self, place: Place, item: Any) -> None:
        self._do(Step("add", place, item))

    def drop(self, place: Place) -> None:
        """Without the key; a mapping that it leaves empty goes with it."""
        if self.get(place[:-1]) is None or place[-1] not in self.get(place[:-1]):
            return
        while len(place) > 1 and isinstance(place[-2], str) and len(self.get(place[:-1])) == 1:
            place = place[:-1]
        self._do(Step("drop", place))

    def _do(self, step: Step) -> None:
        try:
            _apply(self.content, step._replace(value=plain(step.value)))
        except (TypeError, AttributeError, IndexError):
            raise ConfigError(
                f"{self.file}: {'.'.join(map(str, step.place))} cannot be set here",
                hint=f"correct {self.file}",
            ) from None
        self._steps.append(step)

    def text(self) -> str:
        """The new text. Raises ConfigError where the file is written in a way that no edit of ours
        can keep."""
        for way in (self._spliced, self._rewritten):
            try:
                text = way()
                if parse(self.file, text).content == self.content:
                    return text
            except (splice.Unspliceable, YAMLError, ConfigError, ValueError, KeyError):
                continue
        raise ConfigError(
            f"{self.file} is written in a way that cannot be edited without harm",
            hint="edit it by hand (anchors and aliases, most likely)",
        )

    def _spliced(self) -> str:
        text = self.before
        for kind, place, value in self._steps:
            if kind == "put":
                text = splice.put(text, place, value)
            elif kind == "add":
                text = splice.add(text, place, value)
            else:
                text = splice.drop(text, place)
        return text

    def _rewritten(self) -> str:
        """By ruamel's round trip: keeps comments and order, may change spacing."""
        _, indent, offset = load_yaml_guess_indent(self.before)
        yaml = YAML()
        yaml.preserve_quotes = True
        yaml.width = 1_000_000
        yaml.indent(mapping=2, sequence=indent or 4, offset=offset if offset is not None else 2)
        tree = yaml.load(self.before)
        for step in self._steps:
            _apply(tree, step)
        out = io.StringIO()
        yaml.dump(tree, out)
        return out.getvalue().replace("\n", "\r\n" if "\r\n" in self.before else "\n")


def _apply(content: Any, step: Step) -> None:
    """The step on nested dicts and lists."""
    for name in step.place[:-1]:
        if isinstance(content, dict) and content.get(name) is None:
            content[name] = {}
        content = content[name]
    last = step.place[-1]
    if step.kind == "put":
        content[last] = copy.deepcopy(step.value)
    elif step.kind == "drop":
        del content[last]
    else:
        if isinstance(content, dict) and content.get(last) is None:
            content[last] = []
        content[last].append(copy.deepcopy(step.value))
