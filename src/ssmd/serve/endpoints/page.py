"""The page at ``/``: static files from the package; what it shows it asks the API for."""

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.serve.describe import describe

FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/feeds.js": ("feeds.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@describe(open=True, hidden=True)
async def page(request: Request) -> Response:
    """A file of the page."""
    name, media_type = FILES[request.url.path]
    content = files("ssmd.serve").joinpath("page", name).read_bytes()
    return Response(content, media_type=media_type, headers={"Content-Security-Policy": _POLICY})


routes = [Route(path, page) for path in FILES]
