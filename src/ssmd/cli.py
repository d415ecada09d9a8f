"""``ssmd``: the root command. A subcommand is imported when it is called: help is instant."""

import sys
from collections.abc import Sequence

import click

from ssmd.errors import SsmdError
from ssmd.lazy import Entry, LazyGroup

COMMANDS = {
    "up": Entry("ssmd.up.cli:up", "Run everything on this machine: capture, archive and serve."),
    "connect": Entry("ssmd.connect.cli:connect", "Capture market data from exchanges onto NATS."),
    "archive": Entry("ssmd.archive.cli:archive", "Archive messages from NATS as JSONL.gz."),
    "serve": Entry("ssmd.serve.cli:serve", "Serve the archive over HTTP."),
    "meta": Entry("ssmd.meta.cli:meta", "Configuration in Git, keys, instruments, trading days."),
    "sim": Entry("ssmd.sim.cli:sim", "Run simulated exchanges."),
}

EPILOG = """\b
Shell completion (bash; zsh and fish likewise):
  eval "$(_SSMD_COMPLETE=bash_source ssmd)"
"""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="ssmd", prog_name="ssmd")
def root() -> None:
    """Stupid Simple Market Data: capture, stream, archive and serve, provably."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, and end every error of ours in two lines on stderr and exit status 1."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        root.main(args=words, prog_name="ssmd")
    except SsmdError as error:
        called = " ".join(["ssmd", *(word for word in words[:1] if word in COMMANDS)])
        sys.stderr.write(f"Error: {error.message}\nTry: {error.hint or f'{called} --help'}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
