"""``ssmd sim``."""

import sys
from pathlib import Path

import click
import msgspec

from ssmd.errors import ConfigError, KeyFault
from ssmd.runtime import Role, run_role, wait


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8790, show_default=True, type=click.IntRange(0, 65535),
    help="Port to listen on; 0 is any.",
)  # fmt: skip
@click.option("--exchange", "exchanges", multiple=True, help="Only this one (may be given again).")
@click.option("--seed", default=1, show_default=True, help="The same seed is the same market.")
@click.option("--rate", default="100", show_default=True, help="Frames/s and exchange, or max.")
@click.option(
    "--markets", default=40, show_default=True, type=click.IntRange(min=1),
    help="Instruments of each exchange.",
)  # fmt: skip
@click.option(
    "--play", type=click.Path(path_type=Path), help="Send this recording: JSONL, a frame a line."
)
@click.option("--pace", default="1", show_default=True, help="Of the recording: 1, N times or max.")
@click.option("--ledger", type=click.Path(path_type=Path), help="Write what was sent, as JSONL.")
@click.option("--kalshi-public-key", type=click.Path(path_type=Path), help="PEM to verify with.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
    help="Folder for the Kalshi key pair that is made where none is given.",
)  # fmt: skip
@click.option(
    "--fault", "faults", multiple=True, metavar="FAULT",
    help="Let this go wrong: [EXCHANGE:]KIND[:symbol=S][:after=N]... (may be given again).",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the URLs as one JSON object.")
def sim(
    host: str,
    port: int,
    exchanges: tuple[str, ...],
    seed: int,
    rate: str,
    markets: int,
    play: Path | None,
    pace: str,
    ledger: Path | None,
    kalshi_public_key: Path | None,
    data: Path,
    faults: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run simulated exchanges: their protocols over real sockets."""
    from ssmd import keys
    from ssmd.sim.faults import parse
    from ssmd.sim.play import Play
    from ssmd.sim.server import SimOptions, Simulator

    if play is not None and len(exchanges) != 1:
        raise ConfigError("a recording is of one exchange", hint="name it with --exchange")
    private: Path | None = None
    if kalshi_public_key is None:
        private, kalshi_public_key = keys.make(data / "sim")
    options = SimOptions(
        host=host,
        port=port,
        seed=seed,
        exchanges=exchanges,
        rate=_number(rate, "--rate"),
        markets=markets,
        plays={exchanges[0]: Play(play, _number(pace, "--pace"))} if play else {},
        ledger=ledger,
        keep_ledger=False,
        kalshi_public_key=_read(kalshi_public_key),
        faults=tuple(parse(text) for text in faults),
    )

    async def main(role: Role) -> None:
        async with Simulator(options) as simulator:
            urls = {
                name: {"ws": simulator.ws_url(name), "rest": simulator.rest_url(name)}
                for name in simulator.floors
            }
            if as_json:
                sys.stdout.write(msgspec.json.encode(urls).decode() + "\n")
                sys.stdout.flush()
            for name, url in urls.items():
                click.echo(f"{name}: {url['ws']}  {url['rest']}", err=True)
            if private is not None:
                click.echo("export KALSHI_API_KEY=sim", err=True)
                click.echo(f"export KALSHI_PRIVATE_KEY_FILE={private}", err=True)
            while not await wait(role.stop, 3600):
                pass

    run_role(main, name="sim")


def _number(text: str, option: str) -> float | None:
    """A positive number; None for ``max``. Raises ConfigError."""
    if text == "max":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ConfigError(
            f"{option} {text!r} is neither a number above 0 nor max", hint=f"{option} 10"
        )
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFault(
            f"cannot read the public key {path}: {error.strerror}",
            hint="without --kalshi-public-key a key pair is made",
        ) from None
