"""``ssmd meta validate`` and ``init``; files written whole or not at all."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from command import clean
from metacli import Run, Said, contents, git
from ssmd.config.files import find_root
from ssmd.errors import Conflict
from ssmd.meta import write
from ssmd.meta.edit import editing

Refused = Callable[..., Said]
FEED = "config/feeds/kraken.yaml"


# --- validate -----------------------------------------------------------------------------------


def test_the_configuration_of_this_project_is_right(meta: Run) -> None:
    root = Path(__file__).parents[2] / "config"
    assert meta("validate", "--config", str(root)).out.splitlines()[-1] == "Errors: 0"


def test_everything_wrong_is_told_at_once_with_its_line(meta: Run, config: Path) -> None:
    text = Path(FEED).read_text()
    text = text.replace("type: websocket", "type: websockt").replace("  symbols:", "  symbls:")
    Path(FEED).write_text(text + "nonsense: 1\n")
    env = config / "environments" / "demo.yaml"
    env.write_text(env.read_text().replace("[kalshi, ", "[kalshy, nope, "))
    said = meta("validate", code=1)
    lines = [line.partition(" (")[0] for line in said.out.splitlines() if ": error: " in line]
    assert lines == [
        f"{FEED}:3: error: type: 'websockt' is not possible",
        f"{FEED}:7: error: unknown key 'symbls'",
        f"{FEED}:25: error: unknown key 'nonsense'",
        f"{env}:4: error: there is no feed 'kalshy'",
        f"{env}:4: error: there is no feed 'nope'",
        f"{env}:21: error: the environment has no feed 'kalshi'",
    ]
    assert said.out.splitlines()[-1] == "Errors: 6"
    assert f"{FEED:<40} ✗ 3 errors" in said.out
    found = meta("validate", "--json", code=1).json
    assert (found["ok"], found["errors"]) == (False, 6)
    quiet = meta("validate", "-q", code=1).out.splitlines()
    assert len(quiet) == 6


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        (FEED, [FEED]),
        ("config/schemas", ["config/schemas/message.yaml", "config/schemas/record.yaml"]),
        ("config/environments/demo.yaml", ["config/environments/demo.yaml"]),
        (
            "config/environments/",
            ["config/environments/demo.yaml", "config/environments/live.yaml"],
        ),
    ],
)
def test_a_part_of_it_is_validated_with_what_it_refers_to(
    meta: Run, config: Path, path: str, lines: list[str]
) -> None:
    told = meta("validate", path).out.splitlines()
    assert [line.split()[0] for line in told[:-1]] == lines
    assert len(meta("validate", "config").out.splitlines()) == 9


def test_a_file_by_itself_is_judged_with_its_references(
    meta: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(FEED).unlink()
    said = meta("validate", "config/environments/demo.yaml", code=1)
    assert "demo.yaml:4: error: there is no feed 'kraken'" in said.out
    monkeypatch.chdir("config/environments")
    said = meta("validate", "demo.yaml", "--config", "..", code=1)
    assert "there is no feed 'kraken'" in said.out


@pytest.mark.parametrize("path", ["nowhere", ".gitignore", "config/schemas/message.json", "."])
def test_what_is_no_part_of_it_is_refused(refused: Refused, config: Path, path: str) -> None:
    refused("validate", path)


BROKEN = [
    (b"", "kraken.yaml:1: error: the file: Expected `object`, got `null`"),
    (b"[]", "got `array`"), (b"kraken", "got `str`"), (b"name: [\n", "kraken.yaml:2: error: "),
    (b"a: 1\na: 2\n", "kraken.yaml:2: error: a key is given twice"),
    (b"name: kraken\n\ttype: x\n", "kraken.yaml:2: error: "),
    (b"a: *b\n", "kraken.yaml:1: error: "),
    (b"name: kraken\ntype: \xff\xfe", "kraken.yaml:2: error: is not UTF-8 text"),
    (b"name: kraken\n\x00", "kraken.yaml:2: error: holds a character that YAML does not allow"),
    (b"--- 1\n--- 2\n", "kraken.yaml"), (b"!!python/object:os.system x", "kraken.yaml:1: error: "),
    (b"a: " * 3000, "kraken.yaml"), (b"[" * 5000, "is nested too deeply"),
    (b"? [a]\n: b\n", "kraken.yaml"), (b"a: &a [*a]\n", "its aliases make it endless"),
    (b"name: kraken\nversions: {}\n", "versions"), (b"name: kraken\nversions: []\n", "versions"),
    (b"name: kraken\nversions: [null]\n", "versions[0]"), (b"name: 1\nversions: x\n", "name: "),
    (b"name: kraken\nversions:\n- {version: v1, effective_from: 2026-02-30}\n", "kraken.yaml:3"),
    (b"a0: &a0 [1,1,1,1,1,1,1,1,1]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12)
    ), "its aliases make it endless"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "says"), BROKEN, ids=[str(b[:20]) for b, _ in BROKEN])
def test_yaml_of_every_wrong_kind_is_told_and_left_alone(
    content: bytes, says: str, meta: Run, refused: Refused, config: Path
) -> None:
    Path(FEED).write_bytes(content)
    said = meta("validate", code=1)
    assert says in said.out
    assert FEED in said.out
    for words in (
        ["feed", "update", "kraken", "--rate-limit", "2"], ["feed", "show", "kraken"],
        ["feed", "add-version", "kraken", "--effective-from", "2027-01-01"],
        ["feed", "add-location", "kraken", "--site", "x", "--type", "cloud"],
        ["feed", "update", "kraken", "--clear", "depth"],
    ):  # fmt: skip
        assert "kraken" in refused(*words).err
    listed = meta("feed", "list", "-q", code=1)
    assert listed.out.split() == ["kalshi", "kraken-futures", "polymarket"]
    assert listed.err.startswith("Error: ")
    assert FEED in listed.err


@pytest.mark.parametrize(
    ("kind", "folder", "bad", "left"),
    [
        ("feed", "feeds", ["kraken", "polymarket"], {"kalshi", "kraken-futures"}),
        ("env", "environments", ["demo"], {"live"}),
        ("schema", "schemas", ["message"], {"record"}),
    ],
)
def test_a_list_goes_on_past_what_cannot_be_read(
    kind: str, folder: str, bad: list[str], left: set[str], meta: Run, config: Path
) -> None:
    for name in bad:
        file = config / folder / f"{name}.yaml"
        file.write_text(file.read_text() + "nonsense: 1\n")
    said = meta(kind, "list", "--json", code=1)
    assert {one["name"] for one in said.json} == left
    for name in bad:
        assert f"config/{folder}/{name}.yaml:" in said.err
        assert "unknown key 'nonsense'" in said.err
    assert "\nTry: correct" in said.err or "\nTry: one of" in said.err


def test_what_was_wrong_before_does_not_keep_an_edit_from_mending(meta: Run, config: Path) -> None:
    Path(FEED).write_text(Path(FEED).read_text().replace("depth: 10", "depth: 0\nstatus: activ"))
    meta("feed", "update", "kraken", "--status", "active")
    meta("feed", "update", "kraken", "--clear", "depth")
    meta("validate")


def test_files_that_nobody_reads_are_warned_about(meta: Run, config: Path) -> None:
    (config / "feeds" / "kraken.yml").write_text("")
    (config / "feeds" / "Bad Name.yaml").write_text("")
    (config / "schemas" / "orphan.json").write_text("")
    (config / "feeds" / "folder.yaml").mkdir()
    told = meta("validate", code=1).out
    assert "kraken.yml: warning: is never read" in told
    assert "orphan.json: warning: belongs to no schema" in told
    assert "Bad Name.yaml: error: 'Bad Name' is no name" in told
    assert "folder.yaml: error: is no file" in told


def test_feeds_that_no_role_can_run_are_told(meta: Run, refused: Refused, config: Path) -> None:
    meta("feed", "create", "nasdaq", "--type", "multicast", "--effective-from", "2999-01-01")
    said = meta("validate")
    assert "nasdaq.yaml:1: warning: no role can capture the exchange 'nasdaq'" in said.out
    assert "no version is in force today" in said.out
    meta("feed", "create", "other", "--type", "websocket")
    for feed, says in (("nasdaq", "is of type multicast"), ("other", "unknown exchange 'other'")):
        words = ["env", "create", "new", "--feed", feed, "--schema", "message:v1"]
        assert says in refused(*words).err
    env = config / "environments" / "demo.yaml"
    env.write_text(env.read_text().replace("[kalshi, ", "[nasdaq, kalshi, "))
    assert "feed nasdaq is of type multicast" in meta("validate", code=1).out


def test_a_missing_folder_is_told(meta: Run, refused: Refused, config: Path) -> None:
    (config / "schemas").rename("elsewhere")
    assert "config/schemas: error: the folder is missing" in meta("validate", code=1).out
    said = refused("validate", "--config", "nowhere")
    assert "nowhere is no configuration folder\nTry: ssmd meta init" in said.err


# --- init ---------------------------------------------------------------------------------------


def test_init_makes_what_lacks_and_overwrites_nothing(meta: Run, here: Path) -> None:
    (here / ".gitignore").write_text("mine\n*.pem")
    made = meta("init", "--json").json["made"]
    assert "config/environments/demo.yaml" in made
    assert find_root() == Path("config")
    assert (here / ".gitignore").read_text() == "mine\n*.pem\n/data/\n.env\n*.ssmd-tmp\n"
    workflow = YAML(typ="safe").load((here / ".github/workflows/ssmd-config.yml").read_text())
    assert workflow["jobs"]["validate"]["steps"][-1] == {
        "run": "ssmd meta validate --config config"
    }
    assert os.access(here / ".githooks/pre-commit", os.X_OK)
    meta("validate")
    (here / "config/environments/demo.yaml").unlink()
    (here / ".githooks/pre-commit").write_text("mine")
    before = contents(here)
    assert meta("init", "--json").json["made"] == []
    assert "nothing to make" in meta("init").out
    assert contents(here) == before


def test_init_joins_who_uses_pre_commit(meta: Run, here: Path) -> None:
    file = here / ".pre-commit-config.yaml"
    text = "# ours\nrepos:\n- repo: local   # mine\n  hooks: []\n"
    file.write_text(text)
    meta("init")
    assert file.read_text().startswith(text)
    entry = YAML(typ="safe").load(file.read_text())["repos"][1]["hooks"][0]
    assert entry["entry"] == "ssmd meta validate --quiet --config config"
    assert not (here / ".githooks").exists()
    assert meta("init", "--json").json["made"] == []


def test_init_works_below_the_top_of_a_repository(
    meta: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("init", "--quiet")
    (here / "deep er").mkdir()
    monkeypatch.chdir("deep er")
    meta("init", "--config", "conf")
    workflow = YAML(typ="safe").load((here / ".github/workflows/ssmd-config.yml").read_text())
    last = workflow["jobs"]["validate"]["steps"][-1]["run"]
    assert last == "ssmd meta validate --config 'deep er/conf'"
    assert workflow[True if True in workflow else "on"]["push"]["paths"][0] == "deep er/conf/**"
    meta("validate", "--config", "conf")


def test_init_where_nothing_can_be_written_is_one_error(refused: Refused, here: Path) -> None:
    (here / "file").write_text("")
    assert "cannot make" in refused("init", "--config", "file/config").err


# --- whole or not at all ------------------------------------------------------------------------


def test_an_editor_that_saved_in_the_meantime_wins(meta: Run, config: Path) -> None:
    text = Path(FEED).read_text()
    with pytest.raises(Conflict, match="changed by someone else"):
        edit(config, lambda: Path(FEED).write_text(text + "# theirs\n"))
    assert Path(FEED).read_text() == text + "# theirs\n"
    with pytest.raises(Conflict, match="changed by someone else"):
        edit(config, Path(FEED).unlink)
    assert not Path(FEED).exists()


def edit(config: Path, meanwhile: Callable[[], object]) -> None:
    with editing(config, "feeds", "kraken") as edited:
        edited.draft.put(("depth",), 25)
        meanwhile()


def test_who_holds_the_folder_is_waited_for_and_then_named(
    meta: Run, refused: Refused, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = os.open(config, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    monkeypatch.setattr(write, "PATIENCE_S", 0.2)
    words = ["feed", "update", "kraken", "--rate-limit", "2"]
    assert "another command holds config" in refused(*words).err
    os.close(fd)
    meta(*words)


def test_many_edits_at_once_all_take_place(meta: Run, config: Path) -> None:
    def add(number: int) -> None:
        with editing(config, "feeds", "kraken") as edited:
            edited.draft.add(("capture_locations",), {"site": f"s{number}", "type": "cloud"})

    threads = [threading.Thread(target=add, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = meta("feed", "show", "kraken", "--json").json
    assert {one["site"] for one in shown["capture_locations"]} == {f"s{n}" for n in range(8)}


def test_a_disk_that_takes_nothing_leaves_the_file_as_it_was(here: Path, config: Path) -> None:
    before = contents(here)

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    done = subprocess.run(
        [sys.executable, "-m", "ssmd", "meta", "feed", "update", "kraken", "--rate-limit", "2"],
        capture_output=True, text=True, check=False, preexec_fn=small, env=clean(),
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot write config/feeds/kraken.yaml: File too large" in done.stderr
    assert contents(here) == before


def test_what_a_killed_command_left_is_swept(meta: Run, config: Path) -> None:
    left = config / "feeds" / f".kraken.yaml.1{write.SUFFIX}"
    left.write_text("half")
    meta("validate")
    meta("feed", "update", "kraken", "--rate-limit", "2")
    assert not left.exists()


def test_a_file_keeps_its_mode_and_a_link_its_target(meta: Run, config: Path) -> None:
    Path(FEED).chmod(0o640)
    Path(FEED).rename("config/feeds/.real")
    Path(FEED).symlink_to(".real")
    meta("feed", "update", "kraken", "--rate-limit", "2")
    assert Path(FEED).is_symlink()
    assert Path("config/feeds/.real").stat().st_mode & 0o777 == 0o640


def test_a_link_out_of_the_folder_is_not_followed(refused: Refused, config: Path) -> None:
    Path(FEED).rename("outside.yaml")
    Path(FEED).symlink_to(Path("outside.yaml").resolve())
    said = refused("feed", "update", "kraken", "--rate-limit", "2")
    assert "outside config" in said.err
