"""``ssmd up``."""

import re
from pathlib import Path

import click

from ssmd.config import load
from ssmd.runtime import run, set_up_logging


class Duration(click.ParamType[float]):
    """``30``, ``30s``, ``5m``, ``2h``: seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value))
        if match is None:
            self.fail(f"{value!r} is no duration; write it as 30s, 5m or 2h", param, ctx)
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


class Rate(click.ParamType[str]):
    """A number above 0, or ``max``."""

    name = "rate"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if text != "max" and not (re.fullmatch(r"\d+(\.\d+)?", text) and float(text) > 0):
            self.fail(f"{value!r} is neither a number above 0 nor max", param, ctx)
        return text


@click.command()
@click.option("--env", default="demo", show_default=True, help="Environment to run.")
@click.option("--feed", "feeds", multiple=True, help="Only this feed (may be given again).")
@click.option("--config", "root", type=click.Path(path_type=Path), help="Configuration folder.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
    help="Folder for everything that is written.",
)  # fmt: skip
@click.option("--for", "for_s", type=Duration(), help="Stop by itself after so long (30s, 5m).")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True,
    help="Port of the API; 0 is any.",
)  # fmt: skip
@click.option("--plain", is_flag=True, help="Lines instead of the dashboard.")
@click.option(
    "--rate", type=Rate(), default="50", show_default=True,
    help="Simulated messages per second and exchange, or max.",
)  # fmt: skip
def up(
    env: str,
    feeds: tuple[str, ...],
    root: Path | None,
    data: Path,
    for_s: float | None,
    port: int,
    plain: bool,
    rate: str,
) -> None:
    """Run everything on this machine: capture, archive and serve. Ctrl-C stops it cleanly.

    The environment demo brings its own simulated exchanges; live captures the real ones. Logs are
    in DATA/logs, segments in DATA/archive.
    """
    from ssmd.up.supervisor import Options, Supervisor

    set_up_logging("up")
    config = load(env, root=root, feeds=feeds)
    options = Options(
        feeds=feeds, root=root, data=data, port=port, for_s=for_s, plain=plain, rate=rate
    )

    async def main() -> None:
        await Supervisor(config, options).run()

    run(main())
