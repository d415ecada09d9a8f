"""``docs/cli.md``, made from the live commands: ``python tests/cli_docs.py > docs/cli.md``."""

from collections.abc import Iterator
from typing import NamedTuple

import click

from ssmd.cli import root

HEAD = """\
# Every command and flag

Made from the commands themselves by `make cli-docs`; a test compares it to them. `--help` after any
command says more.
"""
REFERENCE_HEAD = """\
## From the reference system

Where its command line (sections 1.2 and 1.3 of its description) is found here; a test looks for
each command and flag. Its folder `exchanges/` is `config/` here, and `--config` chooses another.

| reference | here | differs |
|---|---|---|
"""


class Ours(NamedTuple):
    """Where a command of the reference is, with its flags under the names they have here."""

    words: str
    flags: tuple[str, ...] = ()
    differs: str = ""


ENV = (
    "--transport.type", "--transport.url", "--storage.type", "--storage.path", "--storage.bucket",
    "--storage.region",
)  # fmt: skip
EVERYWHERE = ("--quiet", "--verbose", "--json")
REFERENCE: dict[str, Ours] = {
    "init": Ours("meta init", (), "no `.ssmd/`, which nothing read; adds CI and a Git hook"),
    "feed list": Ours("meta feed list", ("--status",)),
    "feed show": Ours("meta feed show", ("--version", "--as-of")),
    "feed create": Ours(
        "meta feed create",
        ("--type", "--display-name", "--endpoint", "--auth-method", "--rate-limit",
         "--effective-from", "--supports-orderbook", "--supports-trades"),
        "the protocol is that of the type",
    ),
    "feed update": Ours(
        "meta feed update",
        ("--version", "--display-name", "--endpoint", "--rate-limit", "--status"),
        "`--clear FIELD` clears",
    ),
    "feed add-version": Ours(
        "meta feed add-version",
        ("--effective-from", "--effective-to", "--copy-from", "--endpoint", "--rate-limit",
         "--version"),
        "versions may not overlap",
    ),
    "feed add-location": Ours(
        "meta feed add-location",
        ("--site", "--datacenter", "--type", "--provider", "--region"),
        "`--datacenter` is another name of `--site`",
    ),
    "schema list": Ours("meta schema list", ("--status",), "lists all statuses"),
    "schema show": Ours("meta schema show"),
    "schema register": Ours(
        "meta schema register", ("--file", "--format", "--status", "--effective-from"),
        "active unless told otherwise",
    ),
    "schema hash": Ours("meta schema hash", ("--all",), "of every version"),
    "schema set-status": Ours(
        "meta schema set-status", (), "what an environment produces cannot become a draft"
    ),
    "schema add-version": Ours(
        "meta schema add-version",
        ("--file", "--effective-from", "--effective-to", "--status", "--compatible-with",
         "--breaking-changes", "--version"),
    ),
    "env list": Ours("meta env list"),
    "env show": Ours("meta env show"),
    "env create": Ours(
        "meta env create",
        ("--feed", "--schema", *ENV, "--schedule.timezone", "--schedule.day-start",
         "--schedule.day-end"),
        "several feeds; NATS embedded; feeds and schema must exist",
    ),
    "env update": Ours("meta env update", ("--feed", "--schema", *ENV), "`--clear FIELD` clears"),
    "env add-key": Ours(
        "meta env add-key", ("--type", "--fields", "--source", "--required"),
        "`--no-required` for `--required=false`",
    ),
    "key list": Ours("meta key list"),
    "key show": Ours("meta key show"),
    "key verify": Ours("meta key verify", (), "status 3: not verifiable from here"),
    "key check": Ours("meta key check", (), "status 3: not verifiable from here"),
    "validate": Ours("meta validate", ("--check-keys",)),
    "diff": Ours("meta diff", (), "field by field, and for whom"),
    "commit": Ours("meta commit", ("--message", "--no-validate"), "only `config/`"),
    "data list": Ours("meta data list", ("--feed", "--from", "--to")),
    "data sample": Ours("meta data sample", ("--ticker", "--type", "--limit")),
    "data schema": Ours("meta data schema"),
    "data builders": Ours("meta data builders"),
}  # fmt: skip


def walk(words: list[str], command: click.Command) -> Iterator[tuple[list[str], click.Command]]:
    """A command and all below it, with the words that call each."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk([*words, name], found)


def commands() -> dict[str, click.Command]:
    return {" ".join(words): command for words, command in walk([], root)}


def document() -> str:
    found = commands()
    parts = [HEAD, "| command | does |\n|---|---|"]
    parts += [f"| `{_usage(words, one)}` | {_summary(one)} |" for words, one in found.items()]
    for words, one in found.items():
        parts += _flags(words, one)
    rows = [
        f"| `ssmd {name}` | `ssmd {ours.words}` | {ours.differs} |"
        for name, ours in REFERENCE.items()
    ]
    return "\n".join(parts) + "\n\n" + REFERENCE_HEAD + "\n".join(rows) + "\n"


def _usage(words: str, command: click.Command) -> str:
    parts = [f"ssmd {words}".strip()]
    for one in command.params:
        if isinstance(one, click.Argument):
            name = one.make_metavar(click.Context(command)).strip("[]")
            parts.append(f"[{name}]" if not one.required else name)
    return " ".join(parts).replace("|", "\\|")


def _summary(command: click.Command) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split()).replace("|", "\\|")


def _flags(words: str, command: click.Command) -> list[str]:
    options = [one for one in command.params if isinstance(one, click.Option)]
    if not options:
        return []
    rows = [f"\n## ssmd {words}".rstrip() + "\n\n| flag | |\n|---|---|"]
    for one in options:
        names = ", ".join(f"`{name}`" for name in [*one.opts, *one.secondary_opts])
        needed = " Required." if one.required else ""
        told = " ".join((one.help or "").split()).replace("|", "\\|")
        rows.append(f"| {names} | {told}{needed} |")
    return rows


if __name__ == "__main__":
    print(document(), end="")
