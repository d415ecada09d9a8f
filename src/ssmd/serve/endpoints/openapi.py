"""``/openapi.json``: the API, described by the code that serves it."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.serve import openapi
from ssmd.serve.answers import answer
from ssmd.serve.context import context_of
from ssmd.serve.describe import describe


@describe(answer=dict, open=True)
async def document(request: Request) -> Response:
    """This document."""
    return answer(openapi.document(request.app.routes, keyed=context_of(request).keyed))


routes = [Route("/openapi.json", document)]
