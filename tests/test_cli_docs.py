"""``docs/cli.md`` says what the commands say; every command of the reference is there."""

import re
from pathlib import Path

import click
import pytest

from cli_docs import EVERYWHERE, REFERENCE, Ours, commands, document

DOCS = Path(__file__).parents[1] / "docs" / "cli.md"
COMMANDS = commands()
SPEC = Path(__file__).parents[2] / "shared" / "reference" / "seed-compat.md"


def test_the_table_of_commands_is_that_of_the_commands() -> None:
    assert DOCS.read_text(encoding="utf-8") == document(), "make cli-docs"


@pytest.mark.parametrize(("name", "ours"), REFERENCE.items(), ids=REFERENCE)
def test_every_command_of_the_reference_exists_with_its_flags(name: str, ours: Ours) -> None:
    if ours.words.startswith("meta data") and "meta data" not in COMMANDS:
        pytest.skip("ssmd meta data is not part of this build")
    command = COMMANDS[ours.words]
    flags = {
        flag
        for one in command.params
        if isinstance(one, click.Option)
        for flag in [*one.opts, *one.secondary_opts]
    }
    everywhere = set(EVERYWHERE) if name.split()[0] != "data" else {"--json"}
    assert set(ours.flags) | everywhere <= flags


def test_the_table_holds_what_the_reference_describes() -> None:
    if not SPEC.exists():
        pytest.skip(f"no {SPEC}: the reference's description is not part of the repository")
    text = SPEC.read_text(encoding="utf-8")
    text = text[text.index("## 1.2 ") : text.index("## 1.4 ")]
    rows = re.findall(r"^\| `((?:[a-z-]+ ?)+)[^`]*` \| (.*?) \|", text, re.MULTILINE)
    told = {name.strip(): set(re.findall(r"--[a-z.-]+", flags)) for name, flags in rows}
    told = {name: flags for name, flags in told.items() if name.split()[0] != "ssmd"}
    assert set(told) == set(REFERENCE)
    told["env update"].discard("--schedule.")  # "minus --schedule.*"
    # Their --path and --output of `data` are --data and --json here.
    for name, flags in told.items():
        lacking = flags - set(REFERENCE[name].flags) - {"--path", "--output"}
        assert not lacking, (name, lacking)
