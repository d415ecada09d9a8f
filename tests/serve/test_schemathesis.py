"""Schemathesis over the OpenAPI document and a served archive: no server error, no status, media
type or body that is not documented, nothing accepted that the document forbids.

The suite makes a few examples; ``SSMD_TEST_EXAMPLES`` (``make fuzz-api``) makes more, and tries
every boundary of every parameter.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from serve_archive import serving

EXAMPLES = os.environ.get("SSMD_TEST_EXAMPLES")
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
    "unsupported_method", "allow_header_conformance", "ignored_auth",
)  # fmt: skip


def endless(document: dict[str, Any]) -> list[str]:
    """Paths whose answer has no end: their own tests read them."""
    return [
        path
        for path, operations in document["paths"].items()
        if any("text/event-stream" in str(one.get("responses")) for one in operations.values())
    ]


async def run(client: aiohttp.ClientSession, folder: Path, *options: str) -> tuple[int, str]:
    async with client.get("/openapi.json") as answer:
        document = await answer.json()
    url = str(client._base_url).rstrip("/") + "/openapi.json"
    arguments = [
        "--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color",
        "--phases", "examples,coverage,fuzzing" if EXAMPLES else "examples,fuzzing",
        "--max-examples", EXAMPLES or "4", "--request-timeout", "60",
        "--suppress-health-check", "all", *options,
    ]  # fmt: skip
    for path in endless(document):
        arguments += ["--exclude-path", path]
    if not EXAMPLES:
        arguments += ["--seed", "1"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", url, *arguments,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.parametrize("key", [None, "secret"])
async def test_the_server_does_what_its_document_says(
    root: Path, tmp_path: Path, key: str | None
) -> None:
    async with serving(root, key=key) as client:
        if key:
            client.headers["X-API-Key"] = key
        code, said = await run(client, tmp_path, *(["-H", f"X-API-Key: {key}"] if key else []))
        assert code == 0, said
        assert "Tested: " in said
        if EXAMPLES:
            print(said)
        async with client.get("/health") as answer:
            assert answer.status == 200
