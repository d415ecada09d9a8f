"""``ssmd meta env explain``."""

from pathlib import Path

import click

from ssmd import show
from ssmd.config import load
from ssmd.config.explain import explain as explained
from ssmd.meta import options


@click.command()
@click.argument("name")
@options.config
@options.as_json
def explain(name: str, root: Path | None, as_json: bool) -> None:
    """Print all that an environment resolves to, and where each value came from."""
    config = load(name, root=root)
    values = [show.facts(value) for value in explained(config)]
    if as_json:
        show.as_json({"environment": name, "hash": config.hash, "values": values})
        return
    rows = [(one["path"], _text(one["value"]), one["source"]) for one in values]
    show.table(("NAME", "VALUE", "FROM"), rows)
    click.echo(f"hash: {config.hash}")


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = ", ".join(map(str, value)) or "-" if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
