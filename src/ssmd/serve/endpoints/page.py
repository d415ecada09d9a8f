"""The page at ``/``: static files from the package; what it shows it asks the API for."""

from functools import cache
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.errors import NotFound
from ssmd.serve.describe import describe

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def _names() -> frozenset[str]:
    """What may be asked for: files of the package, so no path leads out of it."""
    root = files("ssmd.serve").joinpath("page")
    found = {entry.name for entry in root.iterdir() if entry.is_file()}
    for folder in ("views", "vendor"):
        found |= {f"{folder}/{entry.name}" for entry in root.joinpath(folder).iterdir()}
    return frozenset(found)


@describe(open=True, hidden=True)
async def page(request: Request) -> Response:
    """A file of the page; none holds market data."""
    name = request.path_params.get("name", "index.html")
    media_type = _TYPES.get(name.rpartition(".")[2])
    if media_type is None or name not in _names():
        raise NotFound("the page has no such file", hint="it begins at /")
    content = files("ssmd.serve").joinpath("page", *name.split("/")).read_bytes()
    return Response(content, media_type=media_type, headers={"Content-Security-Policy": _POLICY})


routes = [Route("/", page), Route("/page/{name:path}", page)]
