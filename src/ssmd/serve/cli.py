"""``ssmd serve``."""

import errno
import os
import socket
from pathlib import Path

import click

from ssmd.config import Config, load
from ssmd.dataset import Archive
from ssmd.errors import ConfigError, PortInUse
from ssmd.runtime import Role, run_role
from ssmd.serve.reach import check_reach


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
def serve(env: str, root: Path | None, data: Path, host: str, port: int) -> None:
    """Serve the archive over HTTP.

    With SSMD_API_KEY set, requests need it in the header X-API-Key; without, only this machine is
    served.
    """
    config = load(env, root=root)
    key = os.environ.get("SSMD_API_KEY", "").strip() or None
    check_reach(host, key)
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
        )
        await serve_on(listener, app, role.stop)

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
