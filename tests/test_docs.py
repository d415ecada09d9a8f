"""What the README tells a person to type, typed: a line that no test runs fails the suite."""

import contextlib
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command import clean, ssmd
from ssmd.cli import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:ssmd|make|curl|zcat|git|eval|pip|docker|helm) \S.*")
OTHER_FENCES = {"json", "jsonl", "python", "text", "yaml"}
"""Languages of fences that hold nothing to type into a shell."""


def commands() -> list[str]:
    """Every command of the README, in its shell fences and in its code spans."""
    fences = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", prose)
    lines = [re.sub(r"\s+#.*", "", line).strip() for fence in fences for line in fence.splitlines()]
    found = [line for line in lines if line]
    return list(dict.fromkeys([*found, *(span for span in spans if COMMAND.fullmatch(span))]))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make up`` leaves behind, stopped by itself: ``ssmd up --for`` on free ports."""
    folder = tmp_path_factory.mktemp("up")
    done = ssmd("up", "--for", "8s", "--plain", "--port", "0", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@contextlib.contextmanager
def running(folder: Path, *arguments: str, ready: str) -> Iterator[subprocess.Popen[str]]:
    """A role from its first sign of life to its clean end."""
    with subprocess.Popen(
        [sys.executable, "-m", "ssmd", *arguments], cwd=folder, env=clean(**simulated_key(folder)),
        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if re.search(ready, line):
                    break
            else:
                pytest.fail(f"{arguments} ended before {ready!r}")
            yield process
            process.terminate()
            said = process.stderr.read()
            assert process.wait(60) == 0, said
        finally:
            process.kill()


def simulated_key(folder: Path) -> dict[str, str]:
    return {
        "KALSHI_API_KEY": "sim",
        "KALSHI_PRIVATE_KEY_FILE": str(folder / "data" / "sim" / "kalshi.pem"),
    }


def made(folder: Path, *arguments: str) -> str:
    """What a make target would run; its recipe is tried here by the same words."""
    done = subprocess.run(
        ["make", "-n", "--no-print-directory", *arguments], cwd=ROOT,
        env={**os.environ, "MAKEFLAGS": ""}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


# --- one proof for each command -----------------------------------------------------------------


def make_up(folder: Path) -> None:
    assert made(folder, "up").rstrip().endswith(".venv/bin/ssmd up")
    assert (folder / "data" / "archive" / "demo").is_dir()  # the fixture ran it


def make_up_for(folder: Path) -> None:
    assert ".venv/bin/ssmd up --for 30s" in made(folder, "up", "ARGS=--for 30s")


def make_up_live(folder: Path) -> None:
    """Without a network it says so, once a feed, keeps trying, and stops by itself."""
    assert ".venv/bin/ssmd up --env live" in made(folder, "up", "ARGS=--env live")
    nowhere = {
        f"SSMD_FEED_{feed}_{suffix}": f"{scheme}://127.0.0.1:9"
        for feed in ("POLYMARKET", "KRAKEN", "KRAKEN_FUTURES")
        for suffix, scheme in (("ENDPOINT", "wss"), ("REST_ENDPOINT", "https"))
    }
    words = ["up", "--env", "live", "--for", "6s", "--plain", "--port", "0", "--data", "live"]
    done = ssmd(*words, cwd=folder, **nowhere)
    assert done.returncode == 0, done.stderr
    assert "kalshi is left out" in done.stderr
    assert "cannot reach wss://127.0.0.1:9" in done.stderr


def make_test(folder: Path) -> None:
    assert ".venv/bin/python -m pytest" in made(folder, "test")


def make_check(folder: Path) -> None:
    for tool in ("ruff format --check", "ruff check", "mypy"):
        assert f".venv/bin/{tool}" in made(folder, "check")


def make_bench(folder: Path) -> None:
    assert ".venv/bin/python benchmarks/pipeline.py" in made(folder, "bench")
    done = subprocess.run(
        [sys.executable, "benchmarks/pipeline.py", "--help"], cwd=ROOT, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "--json" in done.stdout


def serve(folder: Path) -> None:
    with serving(folder) as url, urllib.request.urlopen(f"{url}/health") as answer:
        assert answer.status == 200


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    port = str(free_port())
    with running(folder, "serve", "--env", "demo", "--port", port, ready=f":{port}"):
        yield f"http://127.0.0.1:{port}"


def curl_datasets(folder: Path) -> None:
    with serving(folder) as url, urllib.request.urlopen(f"{url}/datasets") as answer:
        feeds = {dataset["feed"] for dataset in json.load(answer)}
    assert feeds == {"kalshi", "kraken", "kraken-futures", "polymarket"}


def curl_sample(folder: Path) -> None:
    (command,) = [c for c in commands() if c.startswith("curl") and "/sample" in c]
    found = re.search(r"http://127\.0\.0\.1:8080(/datasets/kraken/)[\d-]+(/sample\?[^']+)", command)
    assert found is not None
    day = sorted((folder / "data/archive/demo/kraken").glob("*/manifest.json"))[-1].parent.name
    with (
        serving(folder) as url,
        urllib.request.urlopen(f"{url}{found[1]}{day}{found[2]}") as answer,
    ):
        messages = json.load(answer)
    assert len(messages) == 2
    assert {m["type"] for m in messages} == {"book"}
    assert {m["sym"] for m in messages} == {"BTC/USD"}


def zcat(folder: Path) -> None:
    (command,) = [c for c in commands() if c.startswith("zcat")]
    done = subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 3
    told = {"nats_seq", "feed", "conn", "n", "recv_ns", "type", "raw"}
    assert all(told <= line.keys() for line in lines)


def up(folder: Path) -> None:
    assert list((folder / "data" / "archive" / "demo").glob("*/*/*.jsonl.gz"))


def sim(folder: Path) -> None:
    with running(folder, "sim", "--port", "0", ready="kraken_futures: ws://127.0.0.1:"):
        pass


def connect(folder: Path) -> None:
    words = ["connect", "--env", "demo", "--data", "connect"]
    with running(folder, *words, ready=r"kraken: cannot reach ws://127.0.0.1:8790|instruments"):
        pass


def archive(folder: Path) -> None:
    words = ["archive", "--env", "demo", "--health-addr", f"127.0.0.1:{(port := free_port())}"]
    with subprocess.Popen(
        [sys.executable, "-m", "ssmd", *words, "--data", "archiving"], cwd=folder, env=clean(),
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ready").close()
                    break
            process.terminate()
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said
        finally:
            process.kill()


def proving(*words: str) -> Callable[[Path], None]:
    """A command of ``ssmd archive`` finds nothing wrong with what ``ssmd up`` left behind."""

    def prove(folder: Path) -> None:
        done = ssmd("archive", *words, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr

    return prove


def completion(folder: Path) -> None:
    done = ssmd(_SSMD_COMPLETE="bash_source")
    subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)
    assert "ssmd" in done.stdout


PROOFS: dict[str, Callable[[Path], None]] = {
    "make up": make_up,
    'make up ARGS="--for 30s"': make_up_for,
    'make up ARGS="--env live"': make_up_live,
    "make test": make_test,
    "make check": make_check,
    "make bench": make_bench,
    "ssmd serve --env demo --port 8080": serve,
    "curl 'http://127.0.0.1:8080/datasets'": curl_datasets,
    "curl 'http://127.0.0.1:8080/datasets/kraken/": curl_sample,
    "zcat data/archive/demo/kraken/*/*.jsonl.gz | head -3": zcat,
    "ssmd up": up,
    "ssmd sim": sim,
    "ssmd connect --env demo": connect,
    "ssmd archive --env demo": archive,
    "ssmd serve --env demo": serve,
    "ssmd archive list": proving("list"),
    "ssmd archive verify": proving("verify"),
    "ssmd archive verify --deep": proving("verify", "--deep"),
    "ssmd archive report": proving("report"),
    "ssmd archive repair --dry-run": proving("repair", "--dry-run"),
    "ssmd archive repair": proving("repair"),
    'eval "$(_SSMD_COMPLETE=bash_source ssmd)"': completion,
}
"""The README's commands (or how one begins, where it holds a date) and what tries each."""


def proof_of(command: str) -> Callable[[Path], None] | None:
    whole = PROOFS.get(command)
    if whole is not None:
        return whole
    begun = [
        proof for start, proof in PROOFS.items() if start[-1] == "/" and command.startswith(start)
    ]
    return begun[0] if begun else None


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_works(command: str, data: Path) -> None:
    proof = proof_of(command)
    assert proof is not None, f"no test runs `{command}`: add it to PROOFS"
    proof(data)


def test_the_readme_names_every_command_and_no_proof_is_left_over() -> None:
    assert {command.split()[1] for command in commands() if command.startswith("ssmd ")} == set(
        COMMANDS
    )
    told = commands()
    assert [p for p in PROOFS if not any(c == p or c.startswith(p) for c in told)] == []


def test_no_fence_of_the_readme_goes_unread() -> None:
    opened = re.findall(r"^```(.*)$", README, re.MULTILINE)[::2]
    assert set(opened) <= {"sh", *OTHER_FENCES}


def test_what_the_readme_points_at_is_there() -> None:
    paths = re.findall(r"`((?:src|config|docs|k8s|tests)/[^`*<> ]+)`", README)
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_archives_read_with_plain_tools(data: Path) -> None:
    for path in (data / "data" / "archive").rglob("*.jsonl.gz"):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            assert next(iter(json.loads(line))) == "nats_seq"
