"""Hypercorn, on a socket that is bound already."""

import asyncio
import logging
import socket
import ssl
from typing import Final, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from starlette.types import ASGIApp

from ssmd.serve.hardened import harden
from ssmd.serve.tls import Tls

log = logging.getLogger(__name__)

IDLE_S: Final = 15.0
"""How long a connection may be without a whole request: idle, or one that comes in drips."""
GRACE_S: Final = 5.0
"""How long running requests get when the role stops."""
MAX_HEAD_BYTES: Final = 32 * 1024


async def serve_on(
    listener: socket.socket, app: ASGIApp, stop: asyncio.Event, tls: Tls | None = None
) -> None:
    """Serve until ``stop``; then running requests are finished, within ``GRACE_S``. Takes the
    listener over."""
    harden()
    host, port = listener.getsockname()[:2]
    settings = Config()
    settings.bind = [f"fd://{listener.detach()}"]
    settings.accesslog = None
    settings.errorlog = logging.getLogger("hypercorn.error")
    settings.keep_alive_timeout = IDLE_S
    settings.graceful_timeout = GRACE_S
    settings.h11_max_incomplete_size = MAX_HEAD_BYTES
    settings.h2_max_header_list_size = MAX_HEAD_BYTES
    settings.websocket_max_message_size = MAX_HEAD_BYTES
    settings.include_server_header = False
    if tls is not None:
        _use(tls, settings)
    scheme = "http" if tls is None else "https"
    log.info("%s://%s:%d", scheme, f"[{host}]" if ":" in host else host, port)
    await serve(cast(ASGIFramework, app), settings, shutdown_trigger=stop.wait, mode="asgi")
    log.info("stopped")


def _use(tls: Tls, settings: Config) -> None:
    settings.certfile, settings.keyfile = str(tls.cert), str(tls.key)
    settings.ssl_handshake_timeout = IDLE_S
    if tls.client_ca is not None:
        settings.ca_certs = str(tls.client_ca)
        settings.verify_mode = ssl.CERT_REQUIRED
