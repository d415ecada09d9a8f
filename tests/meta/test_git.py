"""``ssmd meta diff`` and ``commit`` on real repositories, in every state."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metacli import IDENTITY, Run, Said, git

Refused = Callable[..., Said]
KRAKEN = "config/feeds/kraken.yaml"


def change(meta: Run, rate: int = 7) -> None:
    meta("feed", "update", "kraken", "--rate-limit", str(rate))


def head() -> str:
    return git("rev-parse", "HEAD").strip()


def staged() -> list[str]:
    return git("diff", "--cached", "--name-only").split()


# --- diff ---------------------------------------------------------------------------------------


def test_a_change_is_told_field_by_field_and_for_whom(meta: Run, repository: Path) -> None:
    assert meta("diff").out == "nothing changed\n"
    change(meta)
    meta("env", "update", "demo", "--storage.path", "/x")
    assert meta("diff").out.splitlines() == [
        "modified config/environments/demo.yaml  [demo]",
        "  + storage.path: /x",
        f"modified {KRAKEN}  [demo, live]",
        "  versions[v2].rate_limit_per_second: 1 -> 7",
    ]
    found = meta("diff", "--json").json
    assert found[1]["environments"] == ["demo", "live"]
    assert found[1]["changes"] == [
        {"field": "versions[v2].rate_limit_per_second", "old": 1, "new": 7}
    ]
    assert len(meta("diff", "-q").out.splitlines()) == 2


def test_new_deleted_and_renamed_files_are_told(meta: Run, repository: Path) -> None:
    meta("feed", "create", "new-one", "--type", "websocket", "--exchange", "kraken")
    Path("config/feeds/polymarket.yaml").unlink()
    text = Path(KRAKEN).read_text().replace("name: kraken\n", "name: kraken-spot\n")
    Path("config/feeds/kraken-spot.yaml").write_text(text)
    Path(KRAKEN).unlink()
    Path("config/schemas/message.json").write_text("{}")
    told = meta("diff").out.splitlines()
    assert told == [
        f"renamed  {KRAKEN} -> config/feeds/kraken-spot.yaml  [demo, live]",
        "  name: kraken -> kraken-spot",
        "new      config/feeds/new-one.yaml  [no environment]",
        "deleted  config/feeds/polymarket.yaml  [demo, live]",
        "modified config/schemas/message.json  [demo, live]",
        told[5],
    ]
    assert re.fullmatch(r"  sha256: sha256:[0-9a-f]{64} -> sha256:[0-9a-f]{64}", told[5])
    assert "display_name: Polymarket" in meta("diff", "-v").out


def test_layout_alone_and_what_cannot_be_read_are_told(meta: Run, repository: Path) -> None:
    file = Path(KRAKEN)
    file.write_text("# a remark\n" + file.read_text())
    Path("config/feeds/kalshi.yaml").write_text("name: [\n")
    Path("config/feeds/polymarket.yaml").write_bytes(b"\xff\xfe")
    told = meta("diff").out
    assert "(comments, order or layout alone)" in told
    assert "(fields cannot be compared: config/feeds/kalshi.yaml:2: " in told
    assert "(fields cannot be compared: config/feeds/polymarket.yaml: is not text)" in told


def test_a_staged_rename_and_odd_names_are_told(meta: Run, repository: Path) -> None:
    git("mv", KRAKEN, "config/feeds/kräken 'x\".yaml")
    told = meta("diff").out.splitlines()
    assert told == [f"renamed  {KRAKEN} -> config/feeds/kräken 'x\".yaml  [demo, live]",
                    "  (comments, order or layout alone)"]  # fmt: skip


def test_a_repository_without_commits_has_everything_new(meta: Run, config: Path) -> None:
    git("init", "--quiet", "--initial-branch=main")
    assert [line.split()[0] for line in meta("diff").out.splitlines()] == ["new"] * 10


def test_a_subfolder_of_a_worktree_works(
    meta: Run, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("worktree", "add", "--quiet", "-b", "side", "../side")
    monkeypatch.chdir("../side/config/feeds")
    words = ["--config", ".."]
    meta("feed", "update", "kraken", "--rate-limit", "9", *words)
    assert "modified ../feeds/kraken.yaml  [demo, live]" in meta("diff", *words).out
    meta("commit", "-m", "side", *words)
    assert git("log", "-1", "--format=%s %D").startswith("side HEAD -> side")
    assert git("show", "--name-only", "--format=").split() == [KRAKEN]


def test_passwords_and_secrets_are_not_shown(meta: Run, repository: Path) -> None:
    file = Path("config/environments/demo.yaml")
    text = file.read_text().replace("url: embedded", "url: nats://u:s3cr3t@h:4222")
    file.write_text(text.replace("env:KALSHI_API_KEY,KALSHI_PRIVATE_KEY", "s3cr3t"))
    for words in (["diff"], ["diff", "-v"], ["diff", "--json"]):
        told = meta(*words).out
        assert "s3cr3t" not in told
        assert "(not shown)" in told
    file.write_text(file.read_text().replace("type: api_key", "type: api_key\n    value: s3cr3t"))
    for words in (["diff"], ["diff", "--json"], ["validate"], ["env", "list"], ["key", "list"]):
        said = meta(*words, *(["demo"] if words[0] == "key" else []), code=None)
        assert "s3cr3t" not in said.out + said.err


# --- commit -------------------------------------------------------------------------------------


def test_only_the_configuration_is_committed(meta: Run, repository: Path) -> None:
    Path("staged.txt").write_text("mine")
    Path("loose.txt").write_text("mine")
    git("add", "staged.txt")
    change(meta)
    meta("feed", "create", "new-one", "--type", "websocket", "--exchange", "kraken")
    Path("config/feeds/polymarket.yaml").unlink()
    meta("env", "update", "demo", "--feed", "kraken", "--clear", "endpoints", "--clear", "keys")
    meta("env", "update", "live", "--feed", "kraken")
    said = meta("commit", "-m", "-kraken: more\n\nwhy", "--json").json
    assert said["commit"] == head()
    assert git("show", "--name-status", "--format=").split("\n")[:-1] == [
        "M\tconfig/environments/demo.yaml", "M\tconfig/environments/live.yaml", f"M\t{KRAKEN}",
        "A\tconfig/feeds/new-one.yaml", "D\tconfig/feeds/polymarket.yaml",
    ]  # fmt: skip
    assert git("log", "-1", "--format=%B").strip() == "-kraken: more\n\nwhy"
    assert staged() == ["staged.txt"]
    assert git("status", "--porcelain") == "A  staged.txt\n?? loose.txt\n"
    assert "nothing to commit" in meta("commit", "-m", "again").out


def test_the_first_commit_of_a_repository(meta: Run, config: Path) -> None:
    git("init", "--quiet", "--initial-branch=main")
    Path("staged.txt").write_text("mine")
    git("add", "staged.txt")
    meta("commit", "-m", "first")
    assert {name.split("/")[0] for name in git("ls-tree", "-r", "--name-only", "HEAD").split()} == {
        "config"
    }
    assert staged() == ["staged.txt"]


def test_what_is_wrong_is_not_committed_unless_told_so(
    meta: Run, refused: Refused, repository: Path
) -> None:
    file = Path(KRAKEN)
    file.write_text(file.read_text().replace("depth: 10", "depth: deep\nnonsense: 1"))
    before = head()
    said = refused("commit", "-m", "x")
    assert f"{KRAKEN}:5: " in said.err
    assert f"{KRAKEN}:6: unknown key 'nonsense'" in said.err
    assert (head(), staged()) == (before, [])
    meta("commit", "-m", "x", "--no-validate")
    assert head() != before


def test_a_hook_that_refuses_leaves_the_index_as_it_was(
    meta: Run, refused: Refused, repository: Path
) -> None:
    hook = Path(".git/hooks/pre-commit")
    hook.write_text("#!/bin/sh\necho no such commit >&2\nexit 1\n")
    hook.chmod(0o755)
    meta("feed", "create", "new-one", "--type", "websocket", "--exchange", "kraken")
    before = git("status", "--porcelain")
    assert "no such commit" in refused("commit", "-m", "x").err
    assert git("status", "--porcelain") == before


def test_the_hook_of_init_judges_what_is_committed(
    meta: Run, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "bin" / "ssmd"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m ssmd "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    git("config", "core.hooksPath", ".githooks")
    file = Path(KRAKEN)
    good = file.read_text()
    file.write_text(good.replace("depth: 10", "depth: deep"))
    git("add", KRAKEN)
    file.write_text(good)  # what lies there is right, what is staged is not
    done = subprocess.run(["git", "commit", "-m", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "config/feeds/kraken.yaml:5: error: depth: Expected `int" in done.stdout + done.stderr
    change(meta)
    meta("commit", "-m", "good")
    git("commit", "--quiet", "--allow-empty", "-m", "other")


def detached() -> None:
    git("checkout", "--quiet", "--detach")


def merging() -> None:
    git("checkout", "--quiet", "-b", "side")
    Path(KRAKEN).write_text(
        Path(KRAKEN).read_text().replace("limit_per_second: 1", "limit_per_second: 2")
    )
    git("commit", "--quiet", "--all", "-m", "side")
    git("checkout", "--quiet", "main")
    Path(KRAKEN).write_text(
        Path(KRAKEN).read_text().replace("limit_per_second: 1", "limit_per_second: 3")
    )
    git("commit", "--quiet", "--all", "-m", "main")
    subprocess.run(["git", "merge", "side"], capture_output=True, check=False)


def nameless() -> None:
    for name in IDENTITY:
        os.environ.pop(name)


def gitless() -> None:
    os.environ["PATH"] = "/nowhere"


def ignored() -> None:
    Path(".gitignore").write_text("config/\n")
    git("rm", "-r", "--quiet", "--cached", "config")
    git("commit", "--quiet", "-m", "gone")


STATES: list[tuple[Callable[[], None], str, str]] = [
    (detached, "the head is detached", "git switch"),
    (merging, "in the middle of a merge", "git status"),
    (nameless, "does not know who commits", "git config user.name"),
    (gitless, "git is not installed", "install git"),
    (ignored, "Git ignores config", ".gitignore"),
]


@pytest.mark.parametrize(("state", "says", "hint"), STATES, ids=[s[0].__name__ for s in STATES])
def test_a_repository_in_no_state_to_commit_is_named(
    state: Callable[[], None], says: str, hint: str, meta: Run, refused: Refused,
    repository: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name in [*IDENTITY, "PATH"]:
        monkeypatch.setenv(name, os.environ[name])
    if state is not merging:
        change(meta)
    state()
    said = refused("commit", "-m", "x", "--no-validate")
    assert says in said.err
    assert hint in said.err


def test_no_repository_is_named(refused: Refused, config: Path) -> None:
    for words in (["diff"], ["commit", "-m", "x"]):
        assert "Error: config is in no Git repository\nTry: git init" in refused(*words).err


def test_an_empty_message_is_a_usage_error(refused: Refused, repository: Path) -> None:
    refused("commit", "-m", "  ", code=2)
    refused("commit", code=2)
