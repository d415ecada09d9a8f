"""``ssmd meta schema``: definitions, their hashes, and what is refused."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from metacli import Run, Said
from ssmd.config import Schema, read

Refused = Callable[..., Said]


def sha(content: str) -> str:
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


@pytest.fixture
def definition(here: Path) -> Path:
    file = here.parent / "trade.json"
    file.write_text('{"type": "object"}')
    return file


def test_registered_schemas_are_active_and_all_are_listed(
    meta: Run, config: Path, definition: Path
) -> None:
    meta("schema", "register", "trade", "--file", str(definition))
    meta("schema", "register", "draft", "--file", str(definition), "--status", "draft")
    listed = meta("schema", "list", "--json").json
    assert [(one["name"], one["version"], one["status"]) for one in listed] == [
        ("draft", "v1", "draft"), ("message", "v1", "active"), ("record", "v1", "active"),
        ("trade", "v1", "active"),
    ]  # fmt: skip
    assert len(meta("schema", "list").out.splitlines()) == 5
    assert meta("schema", "list", "--status", "draft", "-q").out == "draft\n"
    made = read(config, "schemas", "trade", Schema)
    assert (made.format, made.schema_file) == ("json_schema", "trade.json")
    assert made.versions[0].hash == sha(definition.read_text())
    assert (config / "schemas" / "trade.json").read_text() == definition.read_text()
    meta("validate")


@pytest.mark.parametrize(("suffix", "format_"), [(".capnp", "capnp"), (".proto", "protobuf")])
def test_the_format_is_told_by_the_name(
    meta: Run, config: Path, here: Path, suffix: str, format_: str
) -> None:
    file = here / f"order{suffix}"
    file.write_text("message Order {}")
    meta("schema", "register", "order", "--file", str(file), "--effective-from", "2026-02-01")
    assert read(config, "schemas", "order", Schema).format == format_
    assert "2026-02-01" in meta("schema", "list").out


def test_versions_have_files_of_their_own(meta: Run, config: Path, definition: Path) -> None:
    meta("schema", "register", "trade", "--file", str(definition), "--effective-from", "2026-01-01")
    definition.write_text('{"type": "object", "properties": {"fee": {}}}')
    words = ["schema", "add-version", "trade", "--file", str(definition), "--effective-from"]
    meta(*words, "2026-06-01", "--compatible-with", "v1", "--breaking-changes", "none at all")
    v1, v2 = read(config, "schemas", "trade", Schema).versions
    assert (v2.version, v2.status, v2.schema_file) == ("v2", "draft", "trade-v2.json")
    assert (list(v2.compatible_with), v2.breaking_changes) == (["v1"], "none at all")
    assert (v1.hash, v2.hash) == (
        sha('{"type": "object"}'),
        sha('{"type": "object", "properties": {"fee": {}}}'),
    )
    shown = meta("schema", "show", "trade").out
    assert shown.count("(the file's)") == 2
    assert meta("schema", "show", "trade:v2", "--json").json["versions"][0]["matches"] is True
    meta("validate")


def test_compatibility_is_computed(
    meta: Run, refused: Refused, config: Path, definition: Path
) -> None:
    meta("schema", "register", "trade", "--file", str(definition), "--effective-from", "2026-01-01")
    words = ["schema", "add-version", "trade", "--file", str(definition), "--effective-from"]
    definition.write_text('{"type": "object", "properties": {"fee": {}}}')
    meta(*words, "2026-06-01")
    definition.write_text('{"type": "array"}')
    said = refused(*words, "2026-07-01", "--compatible-with", "v1")
    assert "is not compatible with v1: /: type was 'object', is 'array'" in said.err
    assert not (config / "schemas" / "trade-v3.json").exists()
    meta(*words, "2026-07-01")
    _, v2, v3 = read(config, "schemas", "trade", Schema).versions
    assert (list(v2.compatible_with), v2.breaking_changes) == (["v1"], None)
    assert list(v3.compatible_with) == []
    assert v3.breaking_changes is not None
    assert "/: type was 'object', is 'array' (breaking)" in v3.breaking_changes


def test_every_version_is_hashed_anew(meta: Run, config: Path, definition: Path) -> None:
    meta("schema", "register", "trade", "--file", str(definition), "--effective-from", "2026-01-01")
    definition.write_text('{"type": "array"}')
    words = ["schema", "add-version", "trade", "--file", str(definition)]
    meta(*words, "--effective-from", "2026-06-01")
    assert meta("schema", "hash", "trade").out.count("unchanged") == 2
    (config / "schemas" / "trade.json").write_text("{}")
    found = meta("schema", "hash", "--all", "--check", "--json", code=1).json
    assert [one["state"] for one in found] == ["unchanged", "unchanged", "differs", "unchanged"]
    assert "trade.json has changed" in meta("validate", code=1).out
    assert "NOT the file's" in meta("schema", "show", "trade:v1").out
    found = meta("schema", "hash", "trade", "--json").json
    assert [(one["version"], one["state"]) for one in found] == [
        ("v1", "updated"), ("v2", "unchanged"),
    ]  # fmt: skip
    meta("validate")


def test_what_an_environment_produces_is_no_draft(
    meta: Run, refused: Refused, config: Path
) -> None:
    said = refused("schema", "set-status", "message:v1", "draft")
    assert "produced by demo, live" in said.err
    meta("schema", "set-status", "message:v1", "deprecated")
    said = meta("validate")
    assert said.out.count("schema message:v1 is deprecated") == 2
    meta("schema", "set-status", "message:v1", "active")


REGISTER = ["register", "x", "--file"]
BAD = [
    ([*REGISTER, "nowhere.json"], "cannot read nowhere.json"),
    ([*REGISTER, "."], "format of . is not told"),
    ([*REGISTER, "odd.txt"], "not told by its name"),
    ([*REGISTER, "empty.json"], "is empty"),
    ([*REGISTER, "bad.json"], "bad.json:2: "),
    ([*REGISTER, "binary.json"], "binary.json is not JSON"),
    (["register", "../x", "--file", "good.json"], "'../x' is no name"),
    (["register", "message", "--file", "good.json"], "schema message exists"),
    (["show", "message:v9"], "no version 'v9'"),
    (["show", "nope"], "unknown schema 'nope'"),
    (["hash", "nope"], "unknown schema 'nope'"),
    (["set-status", "message:v9", "active"], "no version 'v9'"),
    (["set-status", "nope:v1", "active"], "unknown schema"),
    (["add-version", "nope", "--file", "good.json", "--effective-from", "2027-01-01"], "unknown"),
    (
        ["add-version", "message", "--file", "good.json", "--effective-from", "2027-01-01",
         "--compatible-with", "v7"], "no version 'v7'",
    ),
    (
        ["add-version", "message", "--file", "good.json", "--effective-from", "2027-01-01",
         "--version", "../v2"], "no name of a version",
    ),
    (
        ["add-version", "message", "--file", "good.json", "--effective-from", "2026-11-23",
         "--status", "active"], "two versions begin on",
    ),
    (
        ["add-version", "message", "--file", "good.json", "--effective-from", "2027-01-01",
         "--version", "v1"], "two versions are named 'v1'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("words", "says"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_what_is_wrong_is_refused_and_nothing_written(
    words: list[str], says: str, refused: Refused, config: Path, here: Path
) -> None:
    for name, content in {
        "odd.txt": b"{}", "empty.json": b" \n", "bad.json": b'{\n"a": }', "good.json": b"{}",
        "binary.json": b"\xff\xfe\x00",
    }.items():  # fmt: skip
        (here / name).write_bytes(content)
    assert says in refused("schema", *words).err


@pytest.mark.parametrize(
    "words", [["hash"], ["hash", "x", "--all"], ["set-status", "message", "active"],
              ["set-status", "message:v1", "gone"], ["register", "x"]],
)  # fmt: skip
def test_a_wrong_call_is_a_usage_error(words: list[str], refused: Refused, config: Path) -> None:
    refused("schema", *words, code=2)


def test_a_definition_that_lies_in_place_is_registered_where_it_is(
    meta: Run, refused: Refused, config: Path, definition: Path
) -> None:
    lying = config / "schemas" / "trade.json"
    lying.write_text("{}")
    assert (
        "with other content"
        in refused("schema", "register", "trade", "--file", str(definition)).err
    )
    meta("schema", "register", "trade", "--file", str(lying))
    meta("validate")


def test_a_definition_that_is_gone_is_an_error(meta: Run, refused: Refused, config: Path) -> None:
    (config / "schemas" / "message.json").unlink()
    said = meta("validate", code=1).out
    assert f"{config}/schemas/message.yaml:9: error: version v1: cannot read" in said
    assert "cannot read" in refused("schema", "hash", "message").err
    assert meta("schema", "show", "message").out.count("cannot be read") == 1


@pytest.mark.parametrize("name", ["../feeds/kraken.yaml", "/etc/passwd", "sub/x.json"])
def test_a_definition_outside_the_folder_is_refused(meta: Run, config: Path, name: str) -> None:
    file = config / "schemas" / "message.yaml"
    file.write_text(file.read_text().replace("message.json", name))
    assert "message.yaml:4: error: the file must lie in schemas/" in meta("validate", code=1).out


def test_a_link_out_of_the_folder_is_refused(meta: Run, config: Path, definition: Path) -> None:
    link = config / "schemas" / "message.json"
    content = link.read_bytes()
    link.unlink()
    definition.write_bytes(content)
    link.symlink_to(definition)
    assert "is a link that leaves schemas/" in meta("validate", code=1).out
