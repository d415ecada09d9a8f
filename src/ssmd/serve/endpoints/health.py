"""``/health``, ``/ready``, ``/metrics`` and the page at ``/``: all without a key."""

import os
from html import escape

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ssmd import __version__
from ssmd.dataset import Archive
from ssmd.serve.answers import answer, archive_of


def _trouble(archive: Archive) -> str | None:
    """Why the archive cannot be read; None where it can."""
    if not archive.folder.exists():
        return "nothing is archived yet"
    if not os.access(archive.folder, os.R_OK | os.X_OK):
        return f"{archive.folder} cannot be read"
    return None


async def health(request: Request) -> Response:
    """The process answers; what it serves may still be missing."""
    trouble = await run_in_threadpool(_trouble, archive_of(request))
    ill = trouble is not None and "cannot be read" in trouble
    return answer({"status": "unhealthy" if ill else "ok", "detail": trouble}, 503 if ill else 200)


async def ready(request: Request) -> Response:
    """There is something to serve."""
    trouble = await run_in_threadpool(_trouble, archive_of(request))
    status = "ready" if trouble is None else "not_ready"
    return answer({"status": status, "detail": trouble}, 200 if trouble is None else 503)


async def metrics(request: Request) -> Response:
    body = generate_latest(request.app.state.registry)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ssmd</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #8884; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
.gap {{ color: #c60; }} code {{ font-size: .9em; }}
</style>
<h1>ssmd</h1>
<p>Version {version}. {intro}</p>
{table}
<h2>Endpoints</h2>
<p><code>/datasets</code> · <code>/datasets/FEED/DATE/sample?ticker=&amp;type=&amp;limit=</code> ·
<code>/schema/FEED/TYPE</code> · <code>/builders</code> · <a href="/health">/health</a> ·
<a href="/ready">/ready</a> · <a href="/metrics">/metrics</a></p>
</html>
"""


async def page(request: Request) -> Response:
    archive = archive_of(request)
    if request.app.state.key is not None:
        intro, table = "Datasets are shown to requests with a key in <code>X-API-Key</code>.", ""
    else:
        rows = await run_in_threadpool(_rows, archive)
        intro = "What is archived:" if rows else "Nothing is archived yet."
        head = "<tr><th>Feed<th>Day<th>Messages<th>Instruments<th>MiB<th>Gaps"
        table = f"<table>{head}{rows}</table>" if rows else ""
    return HTMLResponse(PAGE.format(version=escape(__version__), intro=intro, table=table))


def _rows(archive: Archive) -> str:
    rows = []
    for feed in archive.feeds():
        for day in archive.days(feed):
            found = archive.day(feed, day).summary()
            link = f"/datasets/{escape(feed)}/{day}/sample"
            gaps = '<span class="gap">yes</span>' if found.has_gaps else "none"
            rows.append(
                f'<tr><td>{escape(feed)}<td><a href="{link}">{day}</a>'
                f'<td class="n">{found.records:,}<td class="n">{found.tickers:,}'
                f'<td class="n">{found.size_mb:,.1f}<td>{gaps}'
            )
    return "".join(rows)


OPEN = ("/", "/health", "/ready", "/metrics")
"""Paths that need no key."""

routes = [
    Route("/", page),
    Route("/health", health),
    Route("/ready", ready),
    Route("/metrics", metrics),
]
