"""What a person gets wrong, or finds broken: one error, one thing to try, and nothing harmed."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import clean, refused, ssmd
from ssmd import keys
from ssmd import message as wire
from ssmd.archive.writer import About, Writer
from ssmd.config import Rotation
from ssmd.message import Message

ROLES = [["connect"], ["archive"], ["serve", "--port", "0"], ["up", "--port", "0", "--plain"]]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role[0])
def test_an_unknown_environment_is_named(role: list[str], tmp_path: Path) -> None:
    error, hint = refused(*role, "--env", "prod", cwd=tmp_path)
    assert "environment 'prod'" in error or "prod" in error
    assert "demo" in hint
    assert "live" in hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("role", [r for r in ROLES if r[0] != "serve"], ids=lambda role: role[0])
def test_an_unknown_feed_is_named(role: list[str], tmp_path: Path) -> None:
    error, hint = refused(*role, "--env", "demo", "--feed", "krakken", cwd=tmp_path)
    assert error == "environment demo has no feed 'krakken'"
    assert hint == "one of: kalshi, polymarket, kraken, kraken-futures"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role[0])
def test_a_configuration_folder_that_is_none_is_named(role: list[str], tmp_path: Path) -> None:
    error, _ = refused(*role, "--env", "demo", "--config", str(tmp_path / "none"), cwd=tmp_path)
    assert str(tmp_path / "none") in error


@pytest.mark.parametrize(
    "role",
    [
        ["connect", "--env", "demo", "--feed", "kraken"],
        ["archive", "--env", "demo"],
        ["up", "--port", "0", "--plain"],
        ["sim", "--port", "0"],
    ],
    ids=lambda role: role[0],
)
def test_a_data_folder_that_cannot_be_written_is_named(role: list[str], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    error, hint = refused(*role, "--data", str(file / "data"), cwd=tmp_path)
    assert error.startswith(f"cannot write to {file / 'data'}")
    assert "--data" in hint
    assert file.read_text() == "kept"


@pytest.mark.parametrize(
    ("role", "option"),
    [
        (["serve", "--env", "demo"], "--port"),
        (["up", "--plain", "--feed", "kraken"], "--port"),
        (["sim", "--exchange", "kraken"], "--port"),
        (["connect", "--env", "demo", "--feed", "kraken"], "--health-addr"),
        (["archive", "--env", "demo", "--feed", "kraken"], "--health-addr"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_port_in_use_is_named(role: list[str], option: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        address = port if option == "--port" else f"127.0.0.1:{port}"
        error, hint = refused(*role, option, address, "--data", str(tmp_path / "d"), cwd=tmp_path)
    assert error.startswith(f"port {port} ")
    assert error.endswith("is in use")
    assert option in hint
    assert not (tmp_path / "d" / "nats" / "nats.json").exists()


@pytest.mark.parametrize("role", ["connect", "archive"])
def test_an_address_that_is_none_is_named(role: str, tmp_path: Path) -> None:
    arguments = ["--env", "demo", "--feed", "kraken", "--data", str(tmp_path)]
    error, hint = refused(role, *arguments, "--health-addr", "8081")
    assert error == "'8081' is no address"
    assert "127.0.0.1:8081" in hint


@pytest.mark.parametrize("role", ["connect", "archive"])
def test_nats_that_cannot_be_reached_is_named(role: str, tmp_path: Path) -> None:
    error, hint = refused(
        role, "--env", "demo", "--feed", "kraken", "--data", str(tmp_path),
        SSMD_TRANSPORT_URL="nats://user:hidden@127.0.0.1:9",
    )  # fmt: skip
    assert error.startswith("cannot connect to NATS at 127.0.0.1:9: ")
    assert "transport.url" in hint
    assert "hidden" not in error


# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "KALSHI_API_KEY is not set"),
        ({"KALSHI_API_KEY": "k"}, "KALSHI_PRIVATE_KEY is not set"),
        ({"KALSHI_API_KEY": "k", "KALSHI_PRIVATE_KEY_FILE": "{tmp}/none.pem"}, "cannot read"),
        ({"KALSHI_API_KEY": "k", "KALSHI_PRIVATE_KEY_FILE": "{tmp}"}, "cannot read"),
        ({"KALSHI_API_KEY": "k", "KALSHI_PRIVATE_KEY_FILE": "{tmp}/empty"}, "it is empty"),
        ({"KALSHI_API_KEY": "k", "KALSHI_PRIVATE_KEY_FILE": "{tmp}/public"}, "private key"),
        ({"KALSHI_API_KEY": "k", "KALSHI_PRIVATE_KEY": "top-secret no PEM"}, "private key"),
        (
            {
                "KALSHI_API_KEY": "k",
                "KALSHI_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----\ntop-secret",
            },
            "private key",
        ),
    ],
)
def test_a_key_that_is_missing_or_malformed_is_named_and_never_shown(
    variables: dict[str, str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    _, public = keys.make(tmp_path / "made")
    (tmp_path / "public").write_bytes(public.read_bytes())
    filled = {name: value.format(tmp=tmp_path) for name, value in variables.items()}
    arguments = ["--env", "demo", "--feed", "kalshi", "--data", str(tmp_path / "data")]
    error, hint = refused("connect", *arguments, **filled)
    assert error.startswith("feed kalshi: ")
    assert says in error
    assert "top-secret" not in error + hint


def test_a_public_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    arguments = ["--exchange", "kalshi", "--port", "0", "--kalshi-public-key"]
    error, _ = refused("sim", *arguments, str(tmp_path / "none.pem"), cwd=tmp_path)
    assert error.startswith("cannot read the public key")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--exchange", "nyse"], "nyse"),
        (["--rate", "fast"], "--rate 'fast' is neither a number above 0 nor max"),
        (["--rate", "-1"], "--rate '-1' is neither"),
        (["--rate", "nan"], "--rate 'nan' is neither"),
        (["--play", "x.jsonl"], "a recording is of one exchange"),
        (["--exchange", "kraken", "--play", "x.jsonl"], "x.jsonl"),
        (["--exchange", "kraken", "--play", "x.jsonl", "--pace", "0"], "--pace '0' is neither"),
        (["--exchange", "kraken", "--play", "prose.txt"], "prose.txt is no recording"),
        (["--host", "no-such-host.invalid", "--exchange", "kraken"], "no-such-host.invalid"),
        (["--fault", "kraken:drip"], "no fault 'drip'"),
        (["--fault", "kraken:drop:value=3"], "fault drop takes no value"),
        (["--fault", "rest:value=200"], "fault rest: bad value '200'"),
        (["--exchange", "kalshi", "--fault", "kraken:drop"], "kraken is not simulated"),
        (["--kalshi-public-key", "prose.txt"], "no RSA or Ed25519 key in PEM"),
        (["--kalshi-public-key", "data/sim/kalshi.pem"], "no RSA or Ed25519 key in PEM"),
    ],
)
def test_what_the_simulator_cannot_do_is_named(
    arguments: list[str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "prose.txt").write_text("Once upon a time.\n")
    keys.make(tmp_path / "data" / "sim")
    error, _ = refused("sim", "--port", "0", *arguments, cwd=tmp_path)
    assert says in error


@pytest.mark.parametrize("arguments", [["--markets", "0"], ["--port", "99999"]])
def test_numbers_out_of_range_are_wrong_usage(arguments: list[str]) -> None:
    done = ssmd("sim", *arguments)
    assert done.returncode == 2
    assert "is not in the range" in done.stderr


# --- broken archives ----------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The folder of a day with one closed segment of 20 trades."""
    about = About("demo", "kraken", "message:v1", "sha256:0", "2026-11-23T00:00:00Z")
    noon = 1_795_435_200_000_000_000
    with contextlib.closing(Writer(tmp_path / "archive", about, Rotation())) as writer:
        for n in range(1, 21):
            message = Message(
                feed="kraken", conn="c", n=n, recv_ns=noon + n, mono_ns=n, type="trade",
                sym="BTC/USD", **wire.body(b'{"n":%d}' % n),
            )  # fmt: skip
            writer.add(n, wire.encode(message))
        writer.flush()
        writer.seal()
    (manifest,) = (tmp_path / "archive" / "demo" / "kraken").glob("*/manifest.json")
    return manifest.parent


@contextlib.contextmanager
def serving(data: Path) -> Iterator[http.client.HTTPConnection]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "ssmd", "serve", "--env", "demo", "--port", str(port),
         "--data", str(data)], env=clean(), stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if f":{port}" in line:
                    break
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
                yield client
            process.send_signal(signal.SIGTERM)
            said = process.stderr.read()
            assert process.wait(60) == 0, said
            assert "Traceback" not in said
        finally:
            process.kill()


def asked(client: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    client.request("GET", path)
    answer = client.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"\xff\x00", b'{"files": 7}'])
def test_a_corrupt_manifest_hides_no_data_and_is_left_alone(
    archive: Path, tmp_path: Path, garbage: bytes
) -> None:
    (archive / "manifest.json").write_bytes(garbage)
    before = contents(tmp_path / "archive")
    with serving(tmp_path) as client:
        status, body = asked(client, "/datasets")
        assert status == 200
        assert json.loads(body)[0]["records"] == 20
        status, body = asked(client, f"/datasets/kraken/{archive.name}/sample?limit=100")
        assert status == 200
        assert body.count(b'"nats_seq"') == 20
    assert contents(tmp_path / "archive") == before


def test_a_damaged_segment_is_named_and_left_alone(archive: Path, tmp_path: Path) -> None:
    (segment,) = archive.glob("*.jsonl.gz")
    damaged = bytearray(segment.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    segment.write_bytes(damaged)
    before = contents(tmp_path / "archive")
    with serving(tmp_path) as client:
        client.request("GET", f"/datasets/kraken/{archive.name}/sample?limit=100")
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (200, b"[]")
        assert f"{segment.name} is damaged at byte 0" in answer.headers["X-Ssmd-Damaged"]
    assert contents(tmp_path / "archive") == before


def test_a_role_that_fails_leaves_the_archive_alone(archive: Path, tmp_path: Path) -> None:
    before = contents(tmp_path / "archive")
    for arguments in (["--feed", "none"], ["--health-addr", "nowhere"], ["--config", "none"]):
        refused("archive", "--env", "demo", "--data", str(tmp_path), *arguments, cwd=tmp_path)
    assert contents(tmp_path / "archive") == before
