"""The command line: help everywhere, and errors in two lines."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from command import ssmd
from ssmd import cli
from ssmd.cli import COMMANDS, root
from ssmd.errors import SsmdError

HEAVY = {
    "aiohttp", "cryptography", "duckdb", "hypercorn", "isal", "msgspec", "nats", "picows",
    "prometheus_client", "rich", "ruamel", "starlette", "uvloop",
}  # fmt: skip


# --- help ---------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[list[str], click.Command]]:
    """Every command and subcommand, with the words that call it."""

    def walk(words: list[str], command: click.Command) -> Iterator[tuple[list[str], click.Command]]:
        yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from walk([*words, name], found)

    return walk([], root)


ALL = list(commands())


@pytest.mark.parametrize(
    ("words", "command"), ALL, ids=lambda x: " ".join(x) if isinstance(x, list) else ""
)
def test_help_describes_the_command_and_every_option(
    words: list[str], command: click.Command
) -> None:
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    done = ssmd(*words, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith(f"Usage: {' '.join(['ssmd', *words])}")
    shown = " ".join(done.stdout.split())
    assert command.help.split("\n")[0].strip() in shown
    for parameter in command.params:
        assert parameter.opts[0] in shown
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_table_of_commands_says_what_each_does() -> None:
    done = ssmd("--help")
    for name, entry in COMMANDS.items():
        assert entry.help.endswith(".")
        assert f"{name} " in done.stdout
        assert entry.help.split()[0] in done.stdout


def test_no_command_is_help_and_a_usage_error() -> None:
    done = ssmd()
    assert done.returncode == 2
    assert "Usage: ssmd" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["conect"], ["--verbose"], ["up", "--nonsense"], ["connect"], ["archive", "--env"],
        ["serve", "--env", "demo", "--port", "http"], ["serve", "--env", "demo", "--port", "65536"],
        ["up", "--for", "soon"], ["up", "--rate", "0"], ["up", "more"],
    ],
)  # fmt: skip
def test_a_wrong_call_is_a_usage_error(arguments: Sequence[str], tmp_path: Path) -> None:
    done = ssmd(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_that_of_the_package() -> None:
    done = ssmd("--version")
    assert (done.returncode, done.stdout) == (0, f"ssmd, version {version('ssmd')}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_is_a_script(shell: str) -> None:
    done = ssmd(_SSMD_COMPLETE=f"{shell}_source")
    assert done.returncode == 0
    assert "_SSMD_COMPLETE" in done.stdout


def test_shell_completion_completes_commands_and_options() -> None:
    def completes(words: str, index: int) -> list[str]:
        done = ssmd(_SSMD_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(index))
        return [line.split(",")[-1] for line in done.stdout.splitlines()]

    assert completes("ssmd ", 1) == list(COMMANDS)
    assert completes("ssmd co", 1) == ["connect"]
    assert "--env" in completes("ssmd connect --", 2)


@pytest.mark.parametrize("module", ["ssmd", "ssmd.cli"])
def test_what_help_needs_is_light(module: str) -> None:
    code = (
        f"import sys, {module}; print(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


# --- errors -------------------------------------------------------------------------------------


def subclasses(kind: type[SsmdError]) -> Iterator[type[SsmdError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


@pytest.mark.parametrize(
    "kind", dict.fromkeys(subclasses(SsmdError)), ids=lambda kind: kind.__name__
)
def test_every_error_of_ours_is_two_lines_and_exit_status_1(
    kind: type[SsmdError], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def fail() -> None:
        if kind.__init__ is SsmdError.__init__ or kind.code == "exchange":
            raise kind("it is broken", hint="mend it")
        raise SsmdError("it is broken", hint="mend it")

    monkeypatch.setattr(root, "get_command", lambda context, name: fail)
    with pytest.raises(SystemExit) as ended:
        cli.main(["fail"])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.err == "Error: it is broken\nTry: mend it\n"
    assert said.out == ""


@pytest.mark.parametrize(("words", "hint"), [(["up"], "ssmd up --help"), (["x"], "ssmd --help")])
def test_an_error_without_a_hint_points_at_the_help(
    words: list[str],
    hint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def fail() -> None:
        raise SsmdError("it is broken")

    monkeypatch.setattr(root, "get_command", lambda context, name: fail)
    with pytest.raises(SystemExit):
        cli.main(words)
    assert capsys.readouterr().err == f"Error: it is broken\nTry: {hint}\n"


def test_codes_of_errors_are_their_own() -> None:
    kinds = [k for k in dict.fromkeys(subclasses(SsmdError)) if k.__module__ == "ssmd.errors"]
    assert len({kind.code for kind in kinds}) == len(kinds)
