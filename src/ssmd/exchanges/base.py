"""What an exchange file tells the rest of ssmd: facts and pure functions, no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from ssmd.instrument import Instrument
from ssmd.message import AnyRecord, BookSnapshot, Header, Level, Message


class Keepalive(Struct, frozen=True):
    """What we send so that the exchange keeps the socket: every ``interval_s`` seconds.

    ``payload`` is sent as a text frame; None means a WebSocket ping control frame.
    """

    interval_s: float
    payload: bytes | None = None


class Subscription(Struct, frozen=True):
    """One command's worth of intent: a channel and the symbols wanted on it.

    No symbols means the whole channel (Kalshi's lifecycle, Kraken's instrument channel).
    ``depth`` is the book depth where the exchange has a choice.
    """

    channel: str
    symbols: tuple[str, ...] = ()
    depth: int | None = None


class Plan(Struct, frozen=True):
    """What one connection subscribes to, in order."""

    subscriptions: tuple[Subscription, ...]


class Command(Struct, frozen=True):
    """A frame to send, what it asks for, and whether the exchange will answer it."""

    frame: bytes
    subscription: Subscription
    acked: bool = True


class Answer(Struct, frozen=True):
    """What an ``ack`` or ``error`` frame says of one of our commands.

    ``request_id`` is the command's own where the exchange repeats it. ``fatal`` means that the
    exchange will refuse the same command again; ``lost`` that the subscription ended and messages
    are missing (Kalshi errors 10 and 25).
    """

    outcome: Literal["ok", "error"]
    request_id: int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] = ()
    grp: str | None = None
    message: str | None = None
    fatal: bool = False
    lost: bool = False


class Request(Struct, frozen=True):
    """A REST call: path below the feed's REST endpoint (or a whole URL), and its query."""

    path: str
    query: Mapping[str, str] = {}
    context: tuple[str, ...] = ()
    """What the exchange's file wants to know again when it reads the answer."""


class Page(Struct, frozen=True):
    """One REST answer, read: the instruments in it and the call for the next page, if any."""

    instruments: Sequence[Instrument]
    next: Request | None = None


class TradesPage(Struct, frozen=True):
    """Trades out of one REST answer, each with its own bytes, and the call for the next page."""

    trades: Sequence[tuple[Header, bytes]]
    next: Request | None = None


class Fault(Struct, frozen=True, gc=False):
    """One thing that a check found wrong with a message, or with what is missing before it."""

    cause: str
    """Stable word: ``sequence``, ``checksum``, ``crossed``, ``negative``, ``top``, ``hash``,
    ``unmatched``, ``unreadable``."""
    sym: str | None = None
    grp: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    """The missing stretch, inclusive, where the cause is ``sequence``."""
    books: tuple[str, ...] = ()
    """Instruments whose books cannot be trusted until their next snapshots."""


class Verdict(Struct, frozen=True, gc=False):
    """What a continuity check found out about one message.

    ``verified``: a sequence, checksum or cross-check exists and holds. ``broken``: one exists and
    fails, and each failure is in ``faults``. ``unverified``: none exists for this message, or the
    state to check against is missing.
    """

    state: Literal["verified", "broken", "unverified"]
    faults: tuple[Fault, ...] = ()
    synced: tuple[str, ...] = ()
    """Instruments whose books begin anew with the snapshot in this message."""
    voided: tuple[str, ...] = ()
    """Instruments whose books are over, by the exchange's rules; it sends new ones unasked."""
    touched: tuple[str, ...] = ()
    """Instruments, as subscriptions name them, that the message is about, where that is not the
    header's ``sym`` alone."""


VERIFIED = Verdict("verified")
UNVERIFIED = Verdict("unverified")


def broken(*faults: Fault) -> Verdict:
    """The verdict that these faults make."""
    return Verdict("broken", faults)


Top = tuple[Level | None, Level | None]
"""Best bid and best ask; None for an empty side."""


class Continuity(Protocol):
    """The checks of one connection, fed with each of its data messages in order."""

    paused: bool
    """The exchange said on this connection that it is closed for now (Kraken's ``status``)."""

    def top(self, sym: str) -> Top | None:
        """The top of the book held for the instrument; None where none is, or not for sure."""
        ...

    def check(self, header: Header, frame: bytes) -> Verdict:
        """``frame`` is the frame or array element that ``header`` was read from."""
        ...


class Exchange(Protocol):
    """A venue and its protocol. An implementation is stateless and performs no I/O."""

    name: str
    endpoint: str
    """Default WebSocket URL."""
    rest_endpoint: str
    keepalive: Keepalive | None
    channels: tuple[str, ...]
    """Every channel this file knows, in the exchange's own words; all are captured by default."""
    book_channel: str
    """The channel that carries the books."""
    key_fields: tuple[str, ...]
    """Names of the secrets that the handshake needs, () where none is."""
    listing_types: frozenset[str]
    """Messages that tell of instruments that are new or gone."""
    max_symbols_per_connection: int
    max_frame_bytes: int

    def handshake_headers(
        self, url: str, secrets: Mapping[str, str], now_ms: int
    ) -> dict[str, str]:
        """HTTP headers of the handshake, signed where the exchange asks for it. Raises KeyFault."""
        ...

    def plan(
        self,
        channels: Sequence[str],
        symbols: Sequence[str],
        *,
        depth: int | None = None,
        per_connection: int | None = None,
    ) -> list[Plan]:
        """Pack the wanted channels and symbols into as few connections as the venue allows."""
        ...

    def subscribe(self, subscription: Subscription, request_id: int) -> list[Command]:
        """Commands that bring the subscription about, within the venue's frame limits.

        Commands get ``request_id``, ``request_id + 1``, ... where the exchange has such a field.
        """
        ...

    def unsubscribe(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        """Commands that end it; ``grp`` is the group (Kalshi's sid) that its ack named."""
        ...

    def repair(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        """Commands that bring new snapshots of the books of these symbols and touch nothing else;
        [] where that takes a ``grp`` and none is known."""
        ...

    def classify(self, frame: bytes) -> Header:
        """Read the header off a frame or array element. Never raises, whatever the bytes."""
        ...

    def answers(self, frame: bytes) -> list[Answer]:
        """What a frame of kind ``ack`` or ``error`` says; [] where it says nothing of ours."""
        ...

    def records(self, message: Message) -> Iterable[AnyRecord]:
        """Normalise one message; nothing for what has no record type. Raises ContractError where
        a message of a known type does not have that type's fields."""
        ...

    def continuity(self) -> Continuity:
        """Fresh checks for one new connection."""
        ...

    def book_request(self, symbol: str) -> Request:
        """The REST call for one book."""
        ...

    def book_answer(self, symbol: str, body: bytes) -> BookSnapshot:
        """Read its answer. Raises ExchangeError where it is not what the venue documents."""
        ...

    def trades_request(self, symbol: str, since_ns: int, until_ns: int) -> Request | None:
        """The REST call for trades of the past; None where the venue has none."""
        ...

    def trades_answer(self, request: Request, body: bytes) -> TradesPage:
        """Read its answer. Raises ExchangeError where it is not what the venue documents."""
        ...

    def quiet(self, now_ns: int) -> bool:
        """Whether the venue's calendar says that no data is to be expected at this time."""
        ...

    def instruments_request(self, filter: Mapping[str, str]) -> Request:
        """The first REST call of instrument discovery; ``filter`` is the feed file's own."""
        ...

    def instruments_page(self, request: Request, body: bytes) -> Page:
        """Read one REST answer. Raises ExchangeError where it is not what the venue documents."""
        ...
