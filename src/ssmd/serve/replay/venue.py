"""What an exchange's file gives to native replay: its protocol, server side, over the archive.

A venue hears every archived frame of its feed in order, also those before the replay's start, and
so knows each book at any moment. It answers commands and passes frames on as they were; only what
belongs to the recorder's own subscriptions (acks, sids, other symbols) is its own making.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple, Protocol

from ssmd.message import Header


class Heard(NamedTuple):
    """A frame of the exchange, or an element of an array frame."""

    conn: str
    header: Header
    payload: bytes
    spoilt: frozenset[str]
    """Books that, by the exchange's own checks, cannot be trusted from here on."""
    repeated: bool
    """The exchange's sequence says that it came before."""
    part: int = 0
    parts: int = 0
    """0: it was no array."""


class Venue(Protocol):
    """One client's connection."""

    started: bool
    """The client has subscribed to something: the replay can begin."""

    def greet(self) -> Iterable[bytes]:
        """What is sent as soon as the connection is open."""
        ...

    def obey(self, text: str) -> Iterable[bytes]:
        """The answers to a command, snapshots included."""
        ...

    def hear(self, heard: Heard) -> Iterable[bytes]:
        """What of it the client gets."""
        ...

    def gone(self, conn: str) -> None:
        """The recorder's connection is over, or lacks messages: its books are void."""
        ...

    def tick(self) -> Iterable[bytes]:
        """A second has passed."""
        ...


Open = Callable[[frozenset[str]], Venue]
"""Opens a connection; gets the symbols that the archive names."""


class Homes:
    """Which of the recorder's connections speaks for what, where several carried the same: the
    newest. Their ids sort by the time of opening."""

    def __init__(self) -> None:
        self._homes: dict[tuple[str, ...], str] = {}

    def owns(self, conn: str, *key: str) -> bool:
        home = self._homes.get(key)
        if home is None or conn > home:
            self._homes[key] = home = conn
        return conn == home

    def gone(self, conn: str) -> None:
        self._homes = {key: home for key, home in self._homes.items() if home != conn}


NOTHING: Final[Collection[bytes]] = ()
