"""``ssmd sim`` as a process: its start, its stop, and what it leaves behind."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from command import clean, refused
from sim.wire import connected_to
from ssmd.exchanges import EXCHANGES


@contextmanager
def simulator(
    folder: Path, *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The process, and the URLs it prints; it must be at its end when the block is."""
    words = ["sim", "--port", "0", "--json", *arguments]
    with subprocess.Popen(
        [sys.executable, "-m", "ssmd", *words], cwd=folder, env=clean(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
            said = process.communicate(timeout=60)[1]
            assert process.returncode == 0, said
            assert "Traceback" not in said
        finally:
            process.kill()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_answers_and_stops(tmp_path: Path, sign: signal.Signals) -> None:
    with simulator(tmp_path) as (process, urls):
        assert set(urls) == set(EXCHANGES)
        root = urls["kraken"]["rest"].partition("/kraken")[0]
        with urllib.request.urlopen(root) as answer:
            assert set(json.load(answer)) == set(EXCHANGES)
        with urllib.request.urlopen(urls["kraken"]["rest"] + "/SystemStatus") as answer:
            assert json.load(answer)["result"]["status"] == "online"
        process.send_signal(sign)
    assert (tmp_path / "data" / "sim" / "kalshi.pem").stat().st_mode & 0o077 == 0


async def test_the_ledger_is_complete_after_ctrl_c(tmp_path: Path) -> None:
    """Each frame that a client heard is in it, in order, although it was reading on."""
    words = ["--exchange", "kraken", "--rate", "max", "--ledger", "sent.jsonl",
             "--fault", "kraken:drop:type=book:after=20"]  # fmt: skip
    with simulator(tmp_path, *words) as (process, urls):
        async with connected_to(urls["kraken"]["ws"], "kraken") as client:
            client.subscribe("book", ["BTC/USD", "ETH/USD"])
            await client.take(2_000)
            process.send_signal(signal.SIGINT)
            await client.until_the_end()
    lines = [json.loads(line) for line in (tmp_path / "sent.jsonl").read_text().splitlines()]
    sent = [line["sha256"] for line in lines if "n" in line]
    heard = [sha256(frame).hexdigest() for frame in client.heard]
    assert heard == sent[: len(heard)]
    assert client.close_code == 1001
    assert len(heard) == len(sent)
    assert len([line for line in lines if line.get("dropped")]) == 1
    assert [line["fault"] for line in lines if "fault" in line] == ["drop"]


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error, hint = refused("sim", "--port", str(port), cwd=tmp_path)
    assert error == f"port {port} on 127.0.0.1 is in use"
    assert hint == "choose another --port"


def test_faults_by_command_line_are_at_work(tmp_path: Path) -> None:
    words = ["--exchange", "kraken", "--fault", "kraken:rest:path=*/Time:value=429/3:count=all"]
    with simulator(tmp_path, *words) as (process, urls):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(urls["kraken"]["rest"] + "/Time")
        with refusal.value as answer:
            assert (answer.code, answer.headers["Retry-After"]) == (429, "3")
        process.send_signal(signal.SIGINT)
