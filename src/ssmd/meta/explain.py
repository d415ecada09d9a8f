"""``ssmd meta env explain``."""

import click

from ssmd import show
from ssmd.config import load
from ssmd.config.explain import explain as explained
from ssmd.meta.options import Desk, command


@click.command()
@click.argument("name")
@command
def explain(desk: Desk, name: str) -> None:
    """Print all that an environment resolves to, and where each value came from."""
    config = load(name, root=desk.root)
    values = [show.facts(value) for value in explained(config)]
    rows = [(one["path"], _text(one["value"]), one["source"]) for one in values]
    facts = {"environment": name, "hash": config.hash, "values": values}
    desk.rows(("NAME", "VALUE", "FROM"), rows, facts)
    desk.say(f"hash: {config.hash}")


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = ", ".join(map(str, value)) or "-" if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
