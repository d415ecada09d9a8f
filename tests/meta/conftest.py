"""A configuration in a Git repository, and ``ssmd meta`` on it, in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metacli import IDENTITY, NO_GIT, Run, Said, contents, git, variables
from ssmd import cli


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with none of the variables that a person may have set."""
    for name in variables():
        monkeypatch.delenv(name)
    for name, value in {**NO_GIT, **IDENTITY}.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def meta(here: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, code: int | None = 0) -> Said:
        capsys.readouterr()
        try:
            cli.main(["meta", *arguments])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
        else:
            status = 0
        said = Said(status, *capsys.readouterr())
        assert "Traceback" not in said.err
        if code is not None:
            assert said.code == code, said
        return said

    return run


@pytest.fixture
def refused(meta: Run, here: Path) -> Callable[..., Said]:
    """A command that must fail, say what to try, and leave every file as it was."""

    def run(*arguments: str, code: int = 1) -> Said:
        before = contents(here)
        said = meta(*arguments, code=code)
        if code == 1:
            assert said.err.startswith("Error: "), said
            assert "\nTry: " in said.err
            assert said.out == ""
        assert contents(here) == before
        return said

    return run


@pytest.fixture
def config(meta: Run, here: Path) -> Path:
    """``config/`` as ``ssmd meta init`` makes it."""
    meta("init")
    return Path("config")


@pytest.fixture
def repository(config: Path, here: Path) -> Path:
    """The configuration, committed."""
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message=first")
    return here
