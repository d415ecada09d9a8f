"""``ssmd serve``."""

import errno
import ipaddress
import logging
import os
import socket
from pathlib import Path

import click

from ssmd.config import Config, load
from ssmd.dataset import Archive
from ssmd.errors import ConfigError, PortInUse
from ssmd.runtime import Role, run_role

log = logging.getLogger(__name__)


@click.command()
@click.option("--env", required=True, help="Environment: a file in config/environments.")
@click.option("--config", "root", type=click.Path(path_type=Path), help="Configuration folder.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
    help="Folder of the archive.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, help="Port to listen on; 0 is any.")
def serve(env: str, root: Path | None, data: Path, host: str, port: int) -> None:
    """Serve the archive over HTTP.

    With SSMD_API_KEY set, requests need it in the header X-API-Key; without, only this machine is
    served.
    """
    config = load(env, root=root)
    key = os.environ.get("SSMD_API_KEY") or None
    if key is None and not _is_loopback(host):
        raise ConfigError(
            f"serving on {host} needs a key", hint="set SSMD_API_KEY, or serve on 127.0.0.1"
        )
    listener = _listen(host, port)

    async def main(role: Role) -> None:
        await run(config, data, listener, key, role)

    run_role(main, name="serve")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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


async def run(
    config: Config, data: Path, listener: socket.socket, key: str | None, role: Role
) -> None:
    """Serve until ``role.stop``."""
    # Imported late: `ssmd serve --help` needs no web server.
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config as HypercornConfig

    from ssmd.serve.app import create_app

    storage = config.env.storage
    root = Path(storage.path) if storage.path else data / "archive"
    app = create_app(Archive(root, config.env.name), config.feeds, key=key)
    settings = HypercornConfig()
    settings.bind = [f"fd://{listener.fileno()}"]
    settings.accesslog = None
    settings.errorlog = "-"
    settings.loglevel = "WARNING"
    settings.keep_alive_timeout = 30
    settings.h11_max_incomplete_size = 64 * 1024
    settings.graceful_timeout = 5
    settings.include_server_header = False
    host, port = listener.getsockname()[:2]
    log.info("http://%s:%d", host, port)
    await hypercorn_serve(app, settings, shutdown_trigger=role.stop.wait, mode="asgi")  # type: ignore[arg-type]
