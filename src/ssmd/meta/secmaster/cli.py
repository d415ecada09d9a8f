"""``ssmd meta secmaster``: the group, and the table of what it holds."""

import click

from ssmd.lazy import Entry, LazyGroup

_HERE = "ssmd.meta.secmaster"
COMMANDS: dict[str, Entry] = {
    "sync": Entry(f"{_HERE}.sync:sync", "Read what the exchanges list, and follow what changes."),
    "run": Entry(f"{_HERE}.role:run_", "Keep the instruments, as a role of its own."),
    "list": Entry(f"{_HERE}.look:list_", "Instruments, one a line."),
    "show": Entry(f"{_HERE}.look:show_", "All that is known of one instrument."),
    "search": Entry(f"{_HERE}.look:search", "Find instruments by title, symbol or other names."),
    "export": Entry(f"{_HERE}.look:export_", "All records as CSV, JSON, NDJSON or Parquet."),
    "history": Entry(f"{_HERE}.look:history_", "Every change of one instrument."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def secmaster() -> None:
    """Instruments: what can be traded, and what was known of it when.

    Records are kept in NATS, the latest of each instrument; every change is a message on the
    feed's stream, and archived with it.
    """
