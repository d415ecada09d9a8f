"""The document says what the server does: it is made of what the server checks by."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import aiohttp
import jsonschema
import pytest
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from serve_archive import DAY, ENV, serving
from ssmd.dataset import Archive
from ssmd.serve import openapi
from ssmd.serve.app import create_app
from ssmd.serve.describe import described_by, sockets

VALUES = {"feed": "kalshi", "date": DAY, "type": "trade", "exchange": "kalshi"}
"""Of path parameters, such that there is something."""


def routes(root: Path) -> list[Route | WebSocketRoute]:
    found = create_app(Archive(root, ENV), {}).routes
    return [cast("Route | WebSocketRoute", route) for route in found]


def every(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from every(part)


def resolved(document: dict[str, Any], ref: str) -> Any:
    found: Any = document
    for part in ref.removeprefix("#/").split("/"):
        found = found[part]
    return found


def schema_of(document: dict[str, Any], path: str) -> dict[str, Any] | None:
    content = document["paths"][path]["get"]["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    return schema and {**schema, "components": document["components"]}


def test_every_route_is_described(root: Path) -> None:
    assert openapi.undescribed(routes(root)) == []


def test_parameters_of_a_path_are_described(root: Path) -> None:
    for route in routes(root):
        described = described_by(route.endpoint)
        assert described is not None
        if described.hidden:
            continue
        named = {param.name for param in described.params if param.place == "path"}
        assert named == set(re.findall(r"{(\w+)", route.path)), route.path


def test_examples_and_defaults_are_taken(root: Path) -> None:
    for route in routes(root):
        described = described_by(route.endpoint)
        for param in described.params if described else ():
            for value in (param.example, param.default):
                if value is not None:
                    param.parse(str(value), param.name)
                    jsonschema.validate(value, param.schema)


def test_operations_have_names_of_their_own(root: Path) -> None:
    document = openapi.document(routes(root))
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert operation["summary"]
        assert "``" not in operation["summary"] + operation.get("description", "")


def test_references_and_schemas_are_sound(root: Path) -> None:
    document = openapi.document(routes(root))
    for part in every(document):
        if isinstance(part.get("$ref"), str):
            assert resolved(document, part["$ref"])
        if "schema" in part:
            jsonschema.Draft202012Validator.check_schema(part["schema"])
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def test_answers_are_as_documented(client: aiohttp.ClientSession) -> None:
    async with client.get("/openapi.json") as response:
        document = await response.json()
    assert document["openapi"] == "3.1.0"
    for path in document["paths"]:
        async with client.get(path.format(**VALUES)) as response:
            schema = schema_of(document, path)
            assert str(response.status) in document["paths"][path]["get"]["responses"]
            if schema and response.status == 200:
                jsonschema.validate(await response.json(), schema)


async def test_a_table_of_rows_is_as_documented(client: aiohttp.ClientSession) -> None:
    async with client.get("/openapi.json") as response:
        document = await response.json()
    seen = set()
    for path in document["paths"]:
        if path.startswith("/v1/") and "X-Next-Cursor" in str(document["paths"][path]):
            async with client.get(path, params={"from": "2026-11-01"}) as response:
                content = await response.json()
            jsonschema.validate(content, schema_of(document, path))
            seen |= {path} if content["rows"] else set()
    assert {"/v1/trades", "/v1/quotes", "/v1/bars", "/v1/book_deltas", "/v1/coverage"} <= seen


async def test_the_document_needs_no_key(root: Path) -> None:
    async with serving(root, key="secret") as client, client.get("/openapi.json") as response:
        assert response.status == 200


async def test_a_plain_request_is_told_of_a_websocket(root: Path) -> None:
    async def hello(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json("hello")
        await websocket.close()

    async with serving(root, routes=sockets("/echo", hello)) as client:
        async with client.get("/echo") as response:
            assert response.status == 426
            assert response.headers["Upgrade"] == "websocket"
            assert (await response.json())["error"]["code"] == "needs_upgrade"
        async with client.ws_connect("/echo") as opened:
            assert await opened.receive_json() == "hello"


@pytest.mark.parametrize("query", ["feeds=kalshi", "=", "from", "feed=a&feed=b", "%00=1", "Feed=a"])
async def test_unknown_parameters_are_refused(client: aiohttp.ClientSession, query: str) -> None:
    async with client.get(f"/datasets?{query}") as response:
        assert response.status == (200 if query == "from" else 400)
