"""``ssmd meta data``: the group, and the table of what it holds."""

import click

from ssmd.lazy import Entry, LazyGroup

COMMANDS = {
    "list": Entry("ssmd.meta.data.listing:list_", "Datasets: feeds and days."),
    "sample": Entry("ssmd.meta.data.sample:sample", "The first messages of a dataset."),
    "schema": Entry("ssmd.meta.data.schema:schema", "The fields that messages really have."),
    "builders": Entry("ssmd.meta.data.schema:builders", "What folds records into a state."),
    "inventory": Entry("ssmd.meta.data.listing:inventory", "What is archived, and its state."),
    "gaps": Entry("ssmd.meta.data.gaps:gaps", "What is known to be missing, and why."),
    "quality": Entry("ssmd.meta.data.gaps:quality", "How good the data is, by feed and day."),
    "export": Entry("ssmd.meta.data.export:export", "Write a dataset to a file."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def data() -> None:
    """Look at an archive on this machine; no server is needed.

    The archive is that of --path, else of SSMD_DATA_PATH, else of the folder ./data.
    """
