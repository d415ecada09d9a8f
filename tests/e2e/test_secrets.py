"""A planted key is in no log, no message, no archive and no file that NATS keeps."""

import asyncio
import gzip
from pathlib import Path

from command import ssmd
from proof import archive_of
from roles import Roles, variables
from ssmd import keys
from ssmd.sim.server import SimOptions, Simulator

CONFIG = str(Path(__file__).parents[2] / "config")
KEY_ID = "planted-0b5cf5cf-key-id"


def holders(data: Path, secrets: list[bytes]) -> list[Path]:
    """Files, but the key's own, that hold one of the secrets."""
    files = (path for path in data.rglob("*") if path.is_file() and path.parent.name != "keys")
    return [path for path in files if any(secret in content(path) for secret in secrets)]


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


async def test_a_planted_key_is_found_nowhere(tmp_path: Path) -> None:
    secret, public = keys.make(tmp_path / "keys")
    lines = secret.read_bytes().splitlines()
    options = SimOptions(
        exchanges=("kalshi",), rate=200, kalshi_public_key=public.read_bytes(),
        kalshi_key_id=KEY_ID,
    )  # fmt: skip
    async with Simulator(options) as sim:
        env = {
            **variables(sim, secret),
            "KALSHI_API_KEY": KEY_ID,
            "KALSHI_PRIVATE_KEY": secret.read_text(),
        }
        del env["KALSHI_PRIVATE_KEY_FILE"]
        roles = Roles(tmp_path, env, ("kalshi",))
        floor = sim.floors["kalshi"]
        async with roles.all(), asyncio.timeout(60):
            while floor.frames < 500:
                await asyncio.sleep(0.02)
            # A refusal is told, and an end, and a repair.
            (client,) = floor.clients
            client.abort()
            while floor.connections < 2 or floor.frames < 1000:
                await asyncio.sleep(0.02)
        said = [
            await asyncio.to_thread(ssmd, "meta", *words, "demo", "-v", "--config", CONFIG, **env)
            for words in (["key", "verify"], ["key", "list"], ["env", "show"], ["env", "explain"])
        ]
    assert archive_of(tmp_path, "demo").days("kalshi")
    planted = [KEY_ID.encode(), *(line for line in lines if len(line) > 40)]
    assert len(planted) > 20
    assert holders(tmp_path, planted) == []
    for done in said:
        assert done.returncode == 0, done
        for secret_part in planted:
            assert secret_part not in (done.stdout + done.stderr).encode()
