"""The OpenAPI 3.1 document, made of what ``describe`` was told of each route."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.routing import BaseRoute, Route, WebSocketRoute

from ssmd import __version__
from ssmd.errors import NotFound, SsmdError
from ssmd.serve.answers import (
    JSON,
    STATUS,
    BadRequest,
    Forbidden,
    NeedsUpgrade,
    Overloaded,
    SlowBody,
    TooLarge,
    TooMany,
    Unauthorized,
    UnknownMedia,
)
from ssmd.serve.describe import Described, described_by

Json = dict[str, Any]
_REF: Final = "#/components/schemas/{name}"
_SAID: Final[Mapping[int, str]] = {
    400: "A parameter that cannot be used.",
    401: "The key is missing, wrong, expired or revoked.",
    403: "The key, or the origin of the page, does not allow it.",
    404: "There is none of that name.",
    408: "The body took too long to come.",
    413: "A body where none is taken, or one that is too long.",
    415: "A body that is compressed.",
    426: "This is a WebSocket.",
    429: "The rate limit is reached; Retry-After says for how long.",
    503: "Storage, the bus or a free place is missing now; Retry-After says when to try again.",
}


class Fault(Struct, frozen=True):
    """What went wrong, and what to try."""

    code: str
    message: str
    hint: str | None


class Error(Struct, frozen=True):
    """The one form of every error."""

    error: Fault


def document(routes: Iterable[BaseRoute], *, keyed: bool = True) -> Json:
    """Of every route that is described and not hidden. ``keyed``: a key is asked for."""
    shown = list(_shown(routes))
    types = {id(one): one for _, described in shown for one in _types(described)}
    schemas, components = _schemas([Error, *types.values()])
    schema_of = {
        id(one): schema for one, schema in zip([Error, *types.values()], schemas, strict=True)
    }
    paths: Json = {}
    for route, described in shown:
        operations = paths.setdefault(route.path, {})
        for method in sorted(_methods(route) - {"HEAD"}):
            operations[method.lower()] = _operation(route, described, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ssmd",
            "version": __version__,
            "summary": "Recorded and live market data",
            "description": _ABOUT,
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}] if keyed else [],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": {
                f"error_{status}": {
                    "description": text,
                    "content": {JSON: {"schema": schema_of[id(Error)]}},
                }
                for status, text in _SAID.items()
            },
            "securitySchemes": {
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "Where a key is asked for. A browser's WebSocket offers the "
                    "subprotocols `ssmd` and `key.` followed by the key as base64url.",
                }
            },
        },
    }


_ABOUT: Final = (
    "Times are RFC 3339 or nanoseconds since 1970, UTC; prices and sizes are exact, as text. "
    "Errors have one form, and a hint that says what to try."
)


def undescribed(routes: Iterable[BaseRoute]) -> list[str]:
    """Paths that no one described: there should be none."""
    ours = (route for route in routes if isinstance(route, Route | WebSocketRoute))
    return sorted(route.path for route in ours if described_by(route.endpoint) is None)


def _shown(routes: Iterable[BaseRoute]) -> Iterator[tuple[Route, Described]]:
    for route in routes:
        described = described_by(route.endpoint) if isinstance(route, Route) else None
        if isinstance(route, Route) and described is not None and not described.hidden:
            yield route, described


def _methods(route: Route) -> set[str]:
    return set(route.methods or ())


def _types(described: Described) -> Iterator[Any]:
    for one in (described.answer, *described.also.values()):
        if one is not None and not inspect.isfunction(one):
            yield one
    if described.body is not None:
        yield described.body.type


def _schemas(types: list[Any]) -> tuple[list[Json], Json]:
    found, components = msgspec.json.schema_components(types, ref_template=_REF)
    return list(found), dict(components)


def _operation(route: Route, described: Described, schema_of: Mapping[int, Json]) -> Json:
    text = inspect.cleandoc(route.endpoint.__doc__ or "").replace("``", "`")
    summary, _, rest = text.partition("\n")
    operation: Json = {
        "operationId": _id(route),
        "tags": [route.endpoint.__module__.rpartition(".")[2]],
        "summary": described.summary or summary.rstrip("."),
        "parameters": [param.document() for param in described.params],
        "responses": _responses(route, described, schema_of),
    }
    if rest.strip():
        operation["description"] = rest.strip()
    if described.open:
        operation["security"] = []
    if described.body is not None:
        operation["requestBody"] = {
            "description": described.body.text,
            "required": True,
            "content": {JSON: _media(schema_of[id(described.body.type)], described.body.example)},
        }
    return operation


def _id(route: Route) -> str:
    return "_".join(part.strip("{}") for part in route.path.split("/") if part) or "root"


def _media(schema: Json, example: Any) -> Json:
    return {"schema": schema} | ({"example": example} if example is not None else {})


def _schema(kind: Any, schema_of: Mapping[int, Json]) -> Json:
    found: Json = kind() if inspect.isfunction(kind) else schema_of[id(kind)]
    return found


def _responses(route: Route, described: Described, schema_of: Mapping[int, Json]) -> Json:
    found: Json = {}
    if described.socket:
        found["101"] = {"description": "The WebSocket is open."}
    else:
        content: Json = {media: {} for media in described.formats}
        if described.answer is not None:
            content = {JSON: {"schema": _schema(described.answer, schema_of)}} | content
        found["200"] = {"description": "What was asked for.", "content": content}
        if described.headers:
            found["200"]["headers"] = {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in described.headers.items()
            }
    for status in sorted({STATUS[kind] for kind in _faults(route, described)}):
        found[str(status)] = {"$ref": f"#/components/responses/error_{status}"}
    for status, kind in described.also.items():
        content = {JSON: {"schema": _schema(kind, schema_of)}}
        found[str(status)] = {"description": "The same, of what is not well.", "content": content}
    return found


def _faults(route: Route, described: Described) -> Iterator[type[SsmdError]]:
    yield from (BadRequest, Forbidden, TooLarge)
    if not described.open:
        yield from (Unauthorized, TooMany, Overloaded)
    if route.param_convertors or described.missing:
        yield NotFound
    if described.body is not None:
        yield from (SlowBody, UnknownMedia)
    if described.socket:
        yield NeedsUpgrade
