"""Reading all files of a kind, where some cannot be read."""

from pathlib import Path
from typing import NamedTuple, TypeVar

from ssmd.config import Environment, Feed, Schema, names, read
from ssmd.errors import ConfigError, SsmdError

T = TypeVar("T", Feed, Schema, Environment)


class Unreadable(NamedTuple):
    """The faults of the files that could not be read."""

    faults: list[SsmdError]

    def tell(self) -> None:
        """After the others are listed. Raises ConfigError where there are any."""
        if len(self.faults) == 1:
            raise self.faults[0]
        if self.faults:
            text = "\n".join(fault.message for fault in self.faults)
            raise ConfigError(text, hint=f"correct these {len(self.faults)} files")


def readable(root: Path, folder: str, kind: type[T]) -> tuple[list[T], Unreadable]:
    """All files of a folder that can be read, by name."""
    found: list[T] = []
    faults: list[SsmdError] = []
    for name in names(root, folder):
        try:
            found.append(read(root, folder, name, kind))
        except SsmdError as error:
            faults.append(error)
    return found, Unreadable(faults)
