"""What a venue's file gives to the simulated exchange: its protocol, and nothing of its I/O.

A ``Venue`` is one constant per exchange and stateless; a ``Session`` is the state machine of one
client connection. The server calls a session in the order in which things happen and sends the
frames that each call returns, in that order, before it makes the next call on that session.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from ssmd.sim.market import Change, Life, Listing, Trade
from ssmd.sim.world import World


class Keys(Struct, frozen=True):
    """Which handshakes are accepted: the public key as PEM, and its id (None: any)."""

    public_key: bytes | None = None
    key_id: str | None = None


class Reply(Struct, frozen=True):
    """The answer to a REST call; the body is JSON."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}
    over_s: float = 0.0
    """How long the body takes on its way."""
    truncated: bool = False
    """The connection ends in the middle of the body."""


class Session(Protocol):
    """The protocol with one client. All frames are text frames, given as bytes.

    A session asks for what happens on a market by ``world.watch(self, market)`` and ends that by
    ``world.unwatch(self, market)``. It is forgotten by the world when the client goes.
    """

    def greet(self) -> Iterable[bytes]:
        """Frames sent as soon as the connection is open."""
        ...

    def on_frame(self, frame: bytes) -> Iterable[bytes]:
        """Obey a command: its acks, errors and snapshots. May be lazy: nothing else happens on
        any market of the exchange until the last frame has been taken."""
        ...

    def acks(self, frame: bytes) -> Iterable[bytes]:
        """Only the acks of a command, without snapshots and without starting anything: what a
        client gets beside a recording that holds no acks."""
        ...

    def rehearse(self, recorded: Sequence[bytes]) -> None:
        """A recording is to be played to this client; these are its first frames."""
        ...

    def on_change(self, change: Change) -> Sequence[bytes]:
        """The book of a watched market changed, and it was no trade."""
        ...

    def on_trade(self, trade: Trade) -> Sequence[bytes]:
        """A watched market traded: the frames of the trade and of ``trade.change``."""
        ...

    def on_life(self, life: Life) -> Sequence[bytes]:
        """Any market of the exchange was created, opened, closed or settled."""
        ...

    def on_tick(self) -> Sequence[bytes]:
        """``Venue.tick_s`` have passed (heartbeats, throttled tickers)."""
        ...


class Venue(Protocol):
    """An exchange as its clients see it. Paths are below ``/{name}`` of the simulator's URL."""

    name: str
    ws_path: str
    """The path of the WebSocket: ``/trade-api/ws/v2``."""
    rest_path: str
    """What the REST endpoint that clients are given ends in: ``/trade-api/v2``."""
    tick_s: float
    """How often ``Session.on_tick`` is called."""
    ping: bytes | None
    """Body of a WebSocket ping sent at every tick; None: no pings."""
    max_markets: int
    """How many instruments can be listed."""
    lists_new: bool
    """Whether instruments are created and settled while the simulation runs."""

    def check(self, headers: Mapping[str, str], path: str, keys: Keys, now_ms: int) -> int:
        """HTTP status of the handshake, 101 to accept it. ``path`` is as the client asked for it,
        with ``/{name}`` and without query; header names are looked up in any case."""
        ...

    def listing(self, index: int, seed: int) -> Listing:
        """The instrument of that number: always the same for the same seed."""
        ...

    def find(self, name: str) -> int | None:
        """The number of the instrument that has this symbol (for Polymarket: condition id or
        asset id), whether it is listed or not; None where no instrument can be called so."""
        ...

    def session(self, world: World, number: int) -> Session:
        """The protocol of a new connection, the ``number``th of the exchange, from 1."""
        ...

    def rest(
        self, world: World, path: str, query: Mapping[str, str], posted: bytes | None = None
    ) -> Reply:
        """Answer ``GET {path}`` below ``/{name}``, or a POST of ``posted`` where it is not None;
        404 where there is no such route."""
        ...

    def command(self, frame: bytes) -> Literal["subscribe", "ping", "other"]:
        """What a client's frame asks for: a recording starts at the first ``subscribe``, and a
        ``ping`` is answered (by ``on_frame``) even while one plays."""
        ...
