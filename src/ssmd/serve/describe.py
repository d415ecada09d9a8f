"""What an endpoint takes and answers, said once: it is checked, documented and guarded by that.

To describe an endpoint::

    @describe(FEEDS, FROM, limit(100), answer=list[Trade])
    async def trades(request: Request) -> Response:
        \"\"\"The first line is the summary.

        The rest is the description.
        \"\"\"
        feeds = FEEDS.all_of(request)      # parsed, or refused with 400

    routes = [Route("/v1/trades", trades)]

Parameters come from ``params``; one that is not there yet is a ``Param`` of the endpoint's module.
A query parameter that is not named to ``describe`` is refused, as is one given twice that is not
``many``. ``answer`` is the type of the JSON of status 200 (a msgspec Struct, ``list[Struct]``, or a
function that gives a JSON schema); ``formats`` are its other media types. Errors need no mention:
400, 401, 403, 413, 429 and 503 are documented where they can come, 404 where something is in the
path or ``missing``. ``scope`` is what a key needs, ``cost`` what the request takes of its rate
limit, ``body`` a JSON body (read it with ``await body.of(request)``), ``open`` is for what needs no
key, ``hidden`` for what is no API.

A WebSocket is described the same, and has its routes from ``sockets("/v1/stream", stream)``.
"""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from msgspec import Struct, structs
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import Scope as AsgiScope
from starlette.websockets import WebSocket

from ssmd.apikey import Scope
from ssmd.serve.answers import BadRequest, NeedsUpgrade
from ssmd.serve.body import Body
from ssmd.serve.params import Param

R = TypeVar("R")
C = TypeVar("C", bound=HTTPConnection)

DESCRIBED: Final = "__described__"


class Described(Struct, frozen=True, kw_only=True):
    """See the module's docstring."""

    params: tuple[Param[Any], ...] = ()
    answer: Any = None
    formats: tuple[str, ...] = ()
    also: Mapping[int, Any] = {}
    """Status -> type of its JSON, where it is no error as the others are."""
    headers: Mapping[str, str] = {}
    """Name of a header of the answer -> what it says."""
    summary: str | None = None
    missing: bool = False
    body: Body[Any] | None = None
    scope: Scope = "read"
    cost: int = 1
    open: bool = False
    hidden: bool = False
    socket: bool = False
    any_query: bool = False
    """Parameters that are not named are let through: another's protocol may have its own."""

    def check(self, request: HTTPConnection) -> None:
        """Raises BadRequest for a parameter that is unknown or given too often."""
        if self.hidden or self.any_query:
            return
        known = {param.name: param for param in self.params if param.place == "query"}
        for name in request.query_params:
            if name not in known:
                raise BadRequest(
                    f"unknown parameter {name[:40]!r}",
                    hint=f"one of: {', '.join(known)}" if known else "there are none",
                )
            if not known[name].many and len(request.query_params.getlist(name)) > 1:
                raise BadRequest(f"{name} is given twice", hint="give it once")


def describe(
    *params: Param[Any], **facts: Any
) -> Callable[[Callable[[C], Awaitable[R]]], Callable[[C], Awaitable[R]]]:
    """``facts`` are the fields of ``Described``."""
    described = Described(params=params, **facts)

    def decorate(endpoint: Callable[[C], Awaitable[R]]) -> Callable[[C], Awaitable[R]]:
        @functools.wraps(endpoint)
        async def checked(request: C) -> R:
            described.check(request)
            return await endpoint(request)

        setattr(checked, DESCRIBED, described)
        return checked

    return decorate


def described_by(endpoint: Any) -> Described | None:
    found = getattr(endpoint, DESCRIBED, None)
    assert found is None or isinstance(found, Described)
    return found


_UNKNOWN: Final = Described()


def described_of(scope: AsgiScope) -> Described:
    """Of the endpoint that a request is for; of a common one, where there is none."""
    for route in scope["app"].routes:
        match, child = route.matches(scope)
        if match is not Match.NONE:
            return described_by(child.get("endpoint")) or _UNKNOWN
    return _UNKNOWN


def sockets(path: str, endpoint: Callable[[WebSocket], Awaitable[None]]) -> list[BaseRoute]:
    """The routes of a WebSocket: plain requests are told that it is one."""

    @functools.wraps(endpoint)
    async def upgrade(request: Request) -> Response:
        raise NeedsUpgrade(f"{path} is a WebSocket", hint="connect with ws:// or wss://")

    described = described_by(endpoint) or _UNKNOWN
    setattr(upgrade, DESCRIBED, structs.replace(described, socket=True))
    return [WebSocketRoute(path, endpoint), Route(path, upgrade)]
