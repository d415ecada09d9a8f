"""API keys: made by one process, asked for by another, stored nowhere."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from command import refused, ssmd
from serve_archive import DAY, ENV, make, serving
from ssmd import apikey
from ssmd.bus import EmbeddedServer
from ssmd.config import Transport
from ssmd.serve.tail import Tail

SAMPLE = f"/datasets/kalshi/{DAY}/sample"
PATIENCE_S = 60
CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Path]:
    """A data folder with an archive and a running nats-server, and a configuration of it."""
    make(tmp_path / "archive")
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    text = (config / "environments" / "demo.yaml").read_text()
    (config / "environments" / f"{ENV}.yaml").write_text(text.replace("name: demo", f"name: {ENV}"))
    async with EmbeddedServer(tmp_path / "nats"):
        yield tmp_path


def where(data: Path) -> list[str]:
    return ["--env", ENV, "--data", str(data), "--config", str(data / "config")]


async def create(data: Path, *arguments: str) -> dict[str, Any]:
    done = await asyncio.to_thread(
        ssmd, "meta", "apikey", "create", "ann", *arguments, "--json", *where(data)
    )
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


@asynccontextmanager
async def served(data: Path, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    tail = Tail(ENV, Transport(), data)
    async with serving(data / "archive", tail=tail, key_required=True, **options) as client:
        yield client


async def status(client: aiohttp.ClientSession, path: str, key: str) -> tuple[int, Any]:
    async with client.get(path, headers={"X-API-Key": key}) as answer:
        return answer.status, await answer.json()


async def until(client: aiohttp.ClientSession, path: str, key: str, wanted: int) -> Any:
    """The answer, as soon as the key has this effect: keys are read every two seconds."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            code, content = await status(client, path, key)
            if code == wanted:
                return content
            await asyncio.sleep(0.1)


async def test_a_key_opens_until_it_is_revoked(data: Path) -> None:
    made = await create(data)
    async with served(data) as client:
        await until(client, SAMPLE, made["key"], 200)
        async with client.get(SAMPLE) as answer:
            assert answer.status == 401
        id_, secret = apikey.parse(made["key"]) or ("", "")
        for wrong in (
            made["key"][:-1] + ("A" if made["key"][-1] != "A" else "B"),
            apikey.text("0" * 12, secret),
            "ssmd_",
            "",
        ):
            code, content = await status(client, SAMPLE, wrong)
            assert (code, content["error"]["code"]) == (401, "unauthorized")
            assert secret[:20] not in json.dumps(content)
        done = await asyncio.to_thread(ssmd, "meta", "apikey", "revoke", id_, *where(data))
        assert done.stdout == f"revoked {id_}\n"
        content = await until(client, SAMPLE, made["key"], 401)
        assert content["error"]["message"] == "the key is revoked"


async def test_a_key_is_for_its_feeds_days_and_scopes(data: Path) -> None:
    some = await create(data, "--feed", "kalshi", "--from", "2026-01-01", "--to", DAY)
    early = await create(data, "--to", "2026-11-19")
    live = await create(data, "--scope", "live")
    async with served(data, key="master") as client:
        await until(client, SAMPLE, some["key"], 200)
        code, content = await status(client, f"/datasets/kraken/{DAY}/sample", some["key"])
        assert (code, content["error"]["message"]) == (403, "the key is not for feed 'kraken'")
        for path in (
            "/datasets?feed=kraken", "/schema/kraken/instrument", "/v1/trades?feed=kraken",
        ):  # fmt: skip
            assert (await status(client, path, some["key"]))[0] == 403
        _, every = await status(client, "/datasets", some["key"])
        assert {row["feed"] for row in every} == {"kalshi"}
        _, feeds = await status(client, "/v1/feeds", some["key"])
        assert [row["name"] for row in feeds] == ["kalshi"]
        _, days = await status(client, "/v1/coverage?from=2026-01-01", some["key"])
        assert {row["feed"] for row in days["rows"]} == {"kalshi"}
        _, days = await status(client, "/v1/coverage?from=2026-01-01", early["key"])
        assert days["rows"] == []
        assert await status(client, "/datasets", early["key"]) == (200, [])
        code, content = await status(client, SAMPLE, early["key"])
        assert (code, content["error"]["code"]) == (403, "forbidden")
        assert (await status(client, SAMPLE, live["key"]))[0] == 403
        _, every = await status(client, "/datasets", "master")
        assert len(every) == 3


async def test_an_expired_key_is_told_so(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await create(data, "--expires", "10m")
    async with served(data) as client:
        await until(client, SAMPLE, made["key"], 200)
        later = apikey.now().replace(year=2040)
        monkeypatch.setattr("ssmd.apikey.now", lambda: later)
        _, content = await status(client, SAMPLE, made["key"])
        assert content["error"]["message"] == "the key is expired"


async def test_without_nats_keys_are_refused_and_health_says_so(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssmd.serve.keyring.TRUSTED_S", 0.5)
    monkeypatch.setattr("ssmd.serve.keyring.REFRESH_S", 0.1)
    made = await create(data)
    async with served(data, key="master") as client:
        await until(client, SAMPLE, made["key"], 200)
        facts = EmbeddedServer(data / "nats").facts
        assert facts is not None
        os.kill(facts.pid, signal.SIGKILL)
        content = await until(client, SAMPLE, made["key"], 503)
        assert content["error"]["message"] == "API keys cannot be checked now"
        _, health = await status(client, "/health", "")
        assert "NATS is away" in health["detail"]
        assert (await status(client, SAMPLE, "master"))[0] == 200


def holders(data: Path, secret: str) -> list[Path]:
    """Files that hold the secret."""
    files = (path for path in data.rglob("*") if path.is_file())
    return [path for path in files if secret.encode() in path.read_bytes()]


async def test_the_secret_is_shown_once_and_stored_nowhere(data: Path) -> None:
    made = await create(data)
    _, secret = apikey.parse(made["key"]) or ("", "")
    assert len(secret) == 43
    told = [
        await asyncio.to_thread(ssmd, "meta", "apikey", *words, *where(data))
        for words in (["list"], ["list", "--json"], ["show", made["id"]], ["revoke", made["id"]])
    ]
    said = "".join(done.stdout + done.stderr for done in told)
    assert made["id"] in said
    assert "ann" in said
    assert secret not in said
    assert made.get("sha256") is None
    assert apikey.sha256(secret) not in said
    assert holders(data, secret) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["create", "x", "--feed", "nope"], "test has no feed 'nope'"),
        (["create", "x", "--from", "2026-02-01", "--to", "2026-01-01"], "before they begin"),
        (["create", "x", "--expires", "soon"], "'soon' is no time"),
        (["create", "x", "--expires", "2020-01-01"], "2020-01-01 is over"),
        (["show", "nope"], "there is no key of that id"),
        (["revoke", "ssmd_000000000000_hunter2"], "there is no key of that id"),
    ],
)
async def test_what_cannot_be_is_one_clear_error(
    data: Path, arguments: list[str], error: str
) -> None:
    said, _ = await asyncio.to_thread(refused, "meta", "apikey", *arguments, *where(data))
    assert error in said
    assert "hunter2" not in said
