"""``ssmd serve``."""

import errno
import logging
import os
import socket
from pathlib import Path
from typing import Final

import click

from ssmd.config import Config, load
from ssmd.dataset import Archive
from ssmd.errors import ConfigError, PortInUse
from ssmd.runtime import Role, run_role
from ssmd.serve.rate import rate_of
from ssmd.serve.reach import check_origins, check_reach, is_loopback
from ssmd.serve.tls import tls_of

log = logging.getLogger(__name__)

CLEAR: Final = "without TLS, keys can be read on their way: use --tls-cert, or a proxy that has TLS"


@click.command()
@click.option("--env", required=True, help="Environment: a file in config/environments.")
@click.option("--config", "root", type=click.Path(path_type=Path), help="Configuration folder.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
    help="Folder of the archive.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True,
    help="Port to listen on; 0 is any.",
)  # fmt: skip
@click.option(
    "--require-key", is_flag=True, help="Ask for a key also where SSMD_API_KEY is not set."
)
@click.option(
    "--rate-limit", default="6000/min", show_default=True,
    help="What each key may ask for, per s, min or h; 0 is no limit. Queries count as several.",
)  # fmt: skip
@click.option(
    "--cors-origin", "origins", multiple=True,
    help="Origin whose pages may ask, such as https://charts.example; several times for more.",
)  # fmt: skip
@click.option(
    "--tls-cert", type=click.Path(path_type=Path), help="Certificate (PEM, with its chain): HTTPS."
)
@click.option("--tls-key", type=click.Path(path_type=Path), help="Key of the certificate (PEM).")
@click.option(
    "--tls-client-ca", type=click.Path(path_type=Path),
    help="Ask clients for a certificate that this one signed (PEM).",
)  # fmt: skip
def serve(
    env: str, root: Path | None, data: Path, host: str, port: int, require_key: bool,
    rate_limit: str, origins: tuple[str, ...],
    tls_cert: Path | None, tls_key: Path | None, tls_client_ca: Path | None,
) -> None:  # fmt: skip
    """Serve the archive over HTTP.

    With SSMD_API_KEY set, or with --require-key, requests need a key in the header X-API-Key: that
    one, or one that `ssmd meta apikey` made. Without, only this machine is served.
    """
    config = load(env, root=root)
    key = os.environ.get("SSMD_API_KEY", "").strip() or None
    check_reach(host, keyed=key is not None or require_key)
    check_origins(origins)
    rate = rate_of(rate_limit)
    tls = tls_of(tls_cert, tls_key, tls_client_ca)
    folder = _archive_root(config, data)
    listener = _listen(host, port)

    async def main(role: Role) -> None:
        # Imported late: `ssmd serve --help` needs no web server.
        from ssmd.serve.app import create_app
        from ssmd.serve.roles import Roles
        from ssmd.serve.server import serve_on
        from ssmd.serve.tail import Tail

        app = create_app(
            Archive(folder, config.env.name),
            config.feeds,
            key=key,
            tail=Tail(config.env.name, config.env.transport, data),
            roles=Roles(data),
            key_required=require_key,
            origins=origins,
            rate=rate,
            stopping=role.stop,
        )
        if tls is None and not is_loopback(host):
            log.warning(CLEAR)
        await serve_on(listener, app, role.stop, tls)

    run_role(main, name="serve")


def _archive_root(config: Config, data: Path) -> Path:
    storage = config.env.storage
    if storage.type != "local":
        raise ConfigError(
            f"storage type {storage.type!r} is not supported", hint="use storage.type: local"
        )
    return Path(storage.path) if storage.path else data / "archive"


def _listen(host: str, port: int) -> socket.socket:
    """Bound before anything else starts, so that a taken port is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} on {host} is in use", hint=f"choose another: --port {port + 1}"
            ) from error
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
