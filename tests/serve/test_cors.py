"""Pages of other origins: none may ask, but those that are named."""

from pathlib import Path

import pytest

from serve_archive import serving
from ssmd.errors import ConfigError
from ssmd.serve.reach import check_origins

PAGE = "https://charts.example"
ASK = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}


async def test_by_default_no_page_may_ask(root: Path) -> None:
    async with serving(root, key="secret") as client:
        async with client.options("/datasets", headers=ASK) as answer:
            assert answer.status == 401
            assert "Access-Control-Allow-Origin" not in answer.headers
        headers = {"Origin": PAGE, "X-API-Key": "secret"}
        async with client.get("/datasets", headers=headers) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_a_named_page_may_ask(root: Path) -> None:
    async with serving(root, key="secret", origins=[PAGE, "http://localhost:3000"]) as client:
        asked = {**ASK, "Access-Control-Request-Headers": "x-api-key"}
        async with client.options("/datasets", headers=asked) as answer:
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert "X-API-Key" in answer.headers["Access-Control-Allow-Headers"]
        headers = {"Origin": PAGE, "X-API-Key": "secret"}
        async with client.get("/datasets", headers=headers) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert "Origin" in answer.headers["Vary"]
        async with client.get("/datasets", headers={"Origin": PAGE}) as answer:
            assert answer.status == 401  # and the page can read why
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        for other in ("https://evil.example", "null", "http://charts.example", f"{PAGE}:8443"):
            async with client.get("/datasets", headers={**headers, "Origin": other}) as answer:
                assert "Access-Control-Allow-Origin" not in answer.headers
            async with client.options("/datasets", headers={**asked, "Origin": other}) as answer:
                assert answer.status == 400
                assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    ["*", "", "null", "charts.example", "https://charts.example/", "https://*.example",
     "https://a@b.example", "ftp://a.example", "https://", "https://[",
     "HTTPS://A.example", "http://a b"],
)  # fmt: skip
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ConfigError, match="is no origin"):
        check_origins([origin])
