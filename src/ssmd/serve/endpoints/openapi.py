"""``/openapi.json``: the API, described by the code that serves it; ``/docs``: that, to read."""

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.serve import openapi
from ssmd.serve.answers import answer
from ssmd.serve.context import context_of
from ssmd.serve.describe import describe

FILES: Final = {
    "/docs": ("index.html", "text/html; charset=utf-8"),
    "/docs/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "/docs/docs.css": ("docs.css", "text/css; charset=utf-8"),
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@describe(answer=dict, open=True)
async def document(request: Request) -> Response:
    """This document."""
    keyed = context_of(request).keyed
    return answer(openapi.document(request.app.routes, keyed=keyed))


@describe(open=True, hidden=True)
async def manual(request: Request) -> Response:
    """A file of the page that shows the document."""
    name, media_type = FILES[request.url.path]
    content = files("ssmd.serve").joinpath("manual", name).read_bytes()
    return Response(content, media_type=media_type, headers={"Content-Security-Policy": _POLICY})


routes = [Route("/openapi.json", document), *(Route(path, manual) for path in FILES)]
