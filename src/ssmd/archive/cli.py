"""``ssmd archive``: the role, and what proves and mends what it wrote."""

from pathlib import Path

import click

from ssmd.archive import commands
from ssmd.archive.retain_cmd import retain
from ssmd.config import Config, load
from ssmd.errors import ConfigError
from ssmd.runtime import run_role


@click.group(invoke_without_command=True)
@click.option("--env", help="Environment: a file in config/environments.")
@click.option("--feed", "feeds", multiple=True, help="Only this feed (may be given again).")
@click.option("--config", "root", type=click.Path(path_type=Path), help="Configuration folder.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
    help="Folder of the archive and of the embedded NATS server.",
)  # fmt: skip
@click.option("--health-addr", help="Serve /health /live /ready /metrics /status on host:port.")
@click.pass_context
def archive(
    context: click.Context,
    env: str | None,
    feeds: tuple[str, ...],
    root: Path | None,
    data: Path,
    health_addr: str | None,
) -> None:
    """Archive messages from NATS as JSONL.gz segments with manifests.

    Without a command: run the archiver of an environment. The commands work on the folder alone.
    """
    if context.invoked_subcommand is not None:
        context.obj = {"env": env, "feeds": feeds, "root": root, "data": data}
        return
    if env is None:
        raise click.UsageError("Missing option '--env'.")
    from ssmd.archive.role import run_feeds

    config = load(env, root=root, feeds=feeds)
    folder = archive_root(config, data)
    run_role(
        lambda role: run_feeds(config, data, folder, role),
        name="archive",
        health_addr=health_addr,
        data=data,
    )


def archive_root(config: Config, data: Path) -> Path:
    """Where the archive is: the environment's storage path, else ``{data}/archive``."""
    storage = config.env.storage
    if storage.type != "local":
        raise ConfigError(
            f"storage type {storage.type!r} is not supported", hint="use storage.type: local"
        )
    return Path(storage.path) if storage.path else data / "archive"


for command in (
    commands.verify, commands.repair, commands.list_, commands.report, commands.compact, retain
):  # fmt: skip
    archive.add_command(command)
