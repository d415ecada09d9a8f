"""Edits of YAML keep everything else: comments, order, quotes, spacing, line breaks."""

import re
from dataclasses import dataclass, field
from datetime import date
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ssmd.config.files import parse
from ssmd.errors import ConfigError
from ssmd.meta.draft import Draft
from ssmd.meta.render import plain

FILE = Path("x.yaml")
ROOT = Path(__file__).parents[2] / "config"
NAMES = st.sampled_from(["name", "url", "depth", "calendar", "a", "b", "c-d", "open_time", "x1"])
SCALARS = st.sampled_from(
    [
        ("kraken", "kraken"), ('"09:30"', "09:30"), ("'it''s'", "it's"), ("12", 12), ("1.50", 1.5),
        ("true", True), ("2026-01-01", "2026-01-01"), ("wss://h/p", "wss://h/p"), ("é😀", "é😀"),
        ('"a # b"', "a # b"), ("[]", []), ("{}", {}), ("[1,2 ,  3]", [1, 2, 3]), ("~", None),
        ("{ p: 1,q: x }", {"p": 1, "q": "x"}), ("0x10", 16), ("", None),
    ]
)  # fmt: skip
VALUES = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=12),
    st.text("\n\t:# -'\"{}[],&*!|>%@`a1", max_size=8),
    st.integers(), st.booleans(), st.floats(0.001, 1e6), st.dates(),
    st.lists(st.sampled_from(["x", "y, z", "1"]), max_size=3),
)  # fmt: skip


@dataclass
class Text:
    """A file as a person might have written it."""

    lines: list[str] = field(default_factory=list)
    comments: int = 0

    def comment(self, draw: Any, column: int) -> None:
        kind = draw(st.sampled_from(["", "", "", "blank", "comment", "both"]))
        if kind in ("blank", "both"):
            self.lines.append("")
        if kind in ("comment", "both"):
            self.comments += 1
            self.lines.append(" " * column + f"# remark {self.comments}")

    def trailing(self, draw: Any) -> str:
        if draw(st.integers(0, 4)):
            return ""
        self.comments += 1
        return f"   # remark {self.comments}"


def mapping(draw: Any, text: Text, column: int, depth: int, first: str = "") -> dict[str, Any]:
    """Lines of a block mapping; ``first`` is what its first line begins with."""
    found: dict[str, Any] = {}
    for index, name in enumerate(draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))):
        if index or not first:
            text.comment(draw, column)
        lead = first if first and not index else " " * column
        kind = draw(
            st.sampled_from(["scalar", "scalar", "mapping", "list"] if depth else ["scalar"])
        )
        if kind == "scalar":
            written, value = draw(SCALARS)
            space = " " * draw(st.integers(1, 3)) if written else ""
            text.lines.append(f"{lead}{name}:{space}{written}{text.trailing(draw)}")
            found[name] = value
        elif kind == "mapping":
            text.lines.append(f"{lead}{name}:{text.trailing(draw)}")
            found[name] = mapping(draw, text, column + draw(st.integers(1, 4)), depth - 1)
        else:
            text.lines.append(f"{lead}{name}:")
            dash = column + draw(st.sampled_from([0, 2, 3]))
            found[name] = items(draw, text, dash, depth - 1)
    return found


def items(draw: Any, text: Text, dash: int, depth: int) -> list[Any]:
    found: list[Any] = []
    gap = draw(st.integers(1, 3))
    for _ in range(draw(st.integers(1, 3))):
        text.comment(draw, dash)
        lead = " " * dash + "-" + " " * gap
        if draw(st.booleans()):
            found.append(mapping(draw, text, len(lead), depth, lead))
        else:
            written, value = draw(SCALARS.filter(lambda pair: pair[0] != ""))
            text.lines.append(lead + written + text.trailing(draw))
            found.append(value)
    return found


@st.composite
def files(draw: Any) -> tuple[str, dict[str, Any]]:
    text = Text()
    content = mapping(draw, text, 0, 3)
    text.comment(draw, 0)
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join(text.lines) + draw(st.sampled_from([end, ""])), content


def places(content: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [place]
    if not isinstance(content, (dict, list)):
        return found
    below: Any = content.items() if isinstance(content, dict) else enumerate(content)
    for step, value in below:
        found += places(value, (*place, step))
    return found


def at(content: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        content = content[step]
    return content


def remarks(text: str) -> list[str]:
    return re.findall(r"# remark \d+", text)


def changed(before: str, after: str) -> list[tuple[str, list[str], list[str]]]:
    old, new = before.splitlines(), after.splitlines()
    return [
        (tag, old[a:b], new[c:d])
        for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if tag != "equal"
    ]


@settings(max_examples=30)
@given(files(), st.data(), VALUES)
def test_a_value_set_changes_its_own_line_alone(
    file: tuple[str, dict[str, Any]], data: st.DataObject, value: Any
) -> None:
    text, content = file
    assert parse(FILE, text).content == content
    scalars = [p for p in places(content) if p and not isinstance(at(content, p), (dict, list))]
    assume(scalars)
    place = data.draw(st.sampled_from(scalars))
    draft = Draft(FILE, text)
    draft.put(place, value)
    after = draft.text()
    expected = plain(content)
    at(expected, place[:-1])[place[-1]] = plain(value)
    assert parse(FILE, after).content == expected
    assert remarks(after) == remarks(text)
    assert len(after.splitlines()) == len(text.splitlines())
    assert sum(len(new) for _, _, new in changed(text, after)) <= 1
    assert text.count("\r") == after.count("\r")


@settings(max_examples=30)
@given(files(), st.data(), VALUES)
def test_any_value_may_take_the_place_of_any_other(
    file: tuple[str, dict[str, Any]], data: st.DataObject, value: Any
) -> None:
    text, content = file
    place = data.draw(st.sampled_from(places(content)[1:]))
    value = data.draw(st.sampled_from([value, {"a": value}, [value, {"b": 1}]]))
    draft = Draft(FILE, text)
    draft.put(place, value)
    expected = plain(content)
    at(expected, place[:-1])[place[-1]] = plain(value)
    assert parse(FILE, draft.text()).content == expected


@settings(max_examples=30)
@given(files(), st.data(), VALUES)
def test_a_key_or_item_that_is_added_adds_lines_in_one_place(
    file: tuple[str, dict[str, Any]], data: st.DataObject, value: Any
) -> None:
    text, content = file
    holders = [p for p in places(content) if isinstance(at(content, p), (dict, list))]
    place = data.draw(st.sampled_from(holders))
    item = data.draw(
        st.sampled_from([value, {"version": "v9", "effective_from": date(2026, 5, 1)}])
    )
    draft, expected = Draft(FILE, text), plain(content)
    if isinstance(at(content, place), dict):
        draft.put((*place, "added"), item)
        at(expected, place)["added"] = plain(item)
    else:
        draft.add(place, item)
        at(expected, place).append(plain(item))
    after = draft.text()
    assert parse(FILE, after).content == expected
    assert remarks(after) == remarks(text)
    differences = changed(text, after)
    assert len(differences) == 1
    tag, old, new = differences[0]
    assert tag == "insert" or len(old) == len(new) == 1  # within [ ] and { }


@settings(max_examples=30)
@given(files(), st.data())
def test_a_key_that_is_dropped_takes_its_lines_alone(
    file: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    text, content = file
    keys = [p for p in places(content) if p and isinstance(at(content, p[:-1]), dict)]
    place = data.draw(st.sampled_from(keys))
    assume(all(len(at(content, place[:depth])) > 1 for depth in range(len(place))
               if isinstance(at(content, place[:depth]), dict)))  # fmt: skip
    draft = Draft(FILE, text)
    draft.drop(place)
    after = draft.text()
    expected = plain(content)
    del at(expected, place[:-1])[place[-1]]
    assert parse(FILE, after).content == expected
    behind_a_dash = isinstance(place[-2:][0], int)
    if not behind_a_dash or next(iter(at(content, place[:-1]))) != place[-1]:
        for tag, _, new in changed(text, after):
            assert tag == "delete" or len(new) == 1  # within { }


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.yaml")), ids=lambda file: file.stem)
def test_the_files_of_the_project_keep_every_other_byte(file: Path) -> None:
    text = file.read_text()
    draft = Draft(file, text)
    draft.put(("description",), "one more: line")
    draft.put(("description",), None)
    draft.drop(("description",))
    if parse(file).content.get("description") is None:
        assert draft.text() == text
    draft = Draft(file, text)
    draft.put(("name",), "other")
    assert draft.text() == text.replace(f"name: {file.stem}\n", "name: other\n", 1)


def test_what_leads_to_a_place_is_made() -> None:
    draft = Draft(FILE, "a: 1\n# end\n")
    draft.put(("storage", "path"), "/data")
    draft.add(("list",), {"site": "nyc"})
    assert draft.text() == "a: 1\nstorage:\n  path: /data\nlist:\n  - site: nyc\n# end\n"


def test_a_mapping_left_empty_goes() -> None:
    draft = Draft(FILE, "a: 1\nstorage:\n  path: /data  # here\nb: 2\n")
    draft.drop(("storage", "path"))
    assert draft.text() == "a: 1\nb: 2\n"


def test_what_is_the_same_is_not_written_anew() -> None:
    text = "a:   0x10\nb: '1'\n"
    draft = Draft(FILE, text)
    draft.put(("a",), 16)
    draft.put(("b",), "1")
    assert draft.text() == text


def test_an_alias_is_not_edited_in_two_places() -> None:
    draft = Draft(FILE, "a: &x {p: 1}\nb: *x\nc: 3\n")
    draft.put(("c",), 4)
    assert draft.text() == "a: &x {p: 1}\nb: *x\nc: 4\n"
    draft = Draft(FILE, "a: &x {p: 1}\nb: *x\n")
    draft.put(("b", "p"), 2)
    with pytest.raises(ConfigError, match="without harm"):
        draft.text()


@pytest.mark.parametrize("text", ["", "[]", "x", "- 1\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no mapping"):
        Draft(FILE, text)


def test_aliases_that_multiply_are_refused_and_not_waited_for() -> None:
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{n}: &a{n} [{','.join(['*a%d' % (n - 1)] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ConfigError, match="endless"):
        parse(FILE, "\n".join(lines))
