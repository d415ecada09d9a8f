"""What a simulated venue is: markets, a protocol per client, and REST answers. No I/O."""

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from msgspec import Struct

from ssmd.sim.market import Event, Market

Send = Callable[[bytes], None]


class Answer(Struct, frozen=True):
    """A REST answer."""

    status: int
    body: bytes


class Session(ABC):
    """One client of a venue: what it subscribed to, and the frames it gets."""

    def __init__(self, send: Send) -> None:
        self.send = send

    def opened(self) -> None:
        """The socket is open: venues that greet do it here."""

    @abstractmethod
    def received(self, frame: bytes) -> None:
        """A text frame from the client."""

    @abstractmethod
    def happened(self, market: Market, event: Event, ts_ns: int) -> None:
        """Something changed in a market."""

    def listed(self, market: Market, status: str, ts_ns: int) -> None:
        """An instrument's life went on: ``created``, ``activated``, ``determined``, ``settled``."""

    def beat(self) -> None:
        """About once a second."""


class Venue(ABC):
    """A simulated exchange with its markets."""

    name: ClassVar[str]
    ws_path: ClassVar[str]
    rest_path: ClassVar[str]
    ping: ClassVar[bytes | None] = None
    """Body of the control ping that the server sends every 10 s; None where it sends none."""

    def __init__(self, seed: int, count: int) -> None:
        self.rng = random.Random(f"{self.name}:{seed}")  # noqa: S311 - a market, not a secret
        self.markets: dict[str, Market] = {}
        self.born = time.time_ns()
        for market in self.make(count):
            self.markets[market.symbol] = market
        self._active = list(self.markets.values())

    @abstractmethod
    def make(self, count: int) -> list[Market]:
        """The venue's markets at the start."""

    @abstractmethod
    def session(self, send: Send) -> Session: ...

    @abstractmethod
    def rest(self, path: str, query: Mapping[str, str]) -> Answer:
        """Answer ``GET path`` (below ``rest_path``)."""

    def refuse(self, headers: Mapping[str, str], path: str) -> int | None:
        """The HTTP status to refuse a handshake with; None lets it through."""
        return None

    def pick(self) -> Market:
        """The market in which something happens next."""
        return self._active[int(self.rng.random() * len(self._active))]

    def list_new(self) -> Market | None:
        """A new instrument, where the venue opens and settles them."""
        return None

    def settle(self, market: Market) -> None:
        """The market trades no more."""
        if market in self._active and len(self._active) > 1:
            self._active.remove(market)

    def activate(self, market: Market) -> None:
        self.markets[market.symbol] = market
        self._active.append(market)


NOT_FOUND = Answer(404, b'{"error":"not found"}')
