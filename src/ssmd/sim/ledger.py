"""What was sent: per connection, the SHA-256 of every frame, in order."""

import hashlib
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct

from ssmd.errors import StorageError

_DIGEST_BYTES = 32
_MOST_EVENTS = 10_000


class Event(Struct, frozen=True, omit_defaults=True):
    """A fault acted: on a connection after its frame ``after_n``, or on a request."""

    exchange: str
    fault: str
    time_ns: int
    conn: int | None = None
    after_n: int | None = None
    symbol: str | None = None
    value: str | int | float | None = None


class Sent:
    """The frames of one connection. Text and binary frames count, from 1; control frames do not.

    ``frames`` is how many were handed to the socket. ``sha256`` needs a ledger that keeps digests.
    """

    __slots__ = ("conn", "digests", "exchange", "frames", "peer_port", "withheld")

    def __init__(self, exchange: str, conn: int, peer_port: int) -> None:
        self.exchange = exchange
        self.conn = conn
        self.peer_port = peer_port
        self.frames = 0
        self.digests = bytearray()
        self.withheld: list[tuple[int, str]] = []
        """Frames that a fault kept from being sent: after which frame, and their SHA-256."""

    def sha256(self, n: int) -> str:
        """Hex digest of frame ``n``, counted from 1."""
        if not 1 <= n <= self.frames:
            raise IndexError(f"{self.exchange} connection {self.conn} has no frame {n}")
        return self.digests[(n - 1) * _DIGEST_BYTES : n * _DIGEST_BYTES].hex()

    def __len__(self) -> int:
        return self.frames


class Ledger:
    """All connections of a simulator, in the order in which they were opened.

    With ``path``, every frame is also a line ``{"exchange","conn","peer_port","n","sha256"}`` of
    that file, readable by other processes as soon as the frame was handed to the socket. A frame
    that a fault kept back is a line with ``"dropped":true,"after_n"`` in the place of ``n``, and a
    fault that acted is a line with ``"fault"``. ``keep`` keeps the digests in memory: 32 bytes a
    frame, for as long as the ledger lives.
    """

    def __init__(self, path: Path | None = None, *, keep: bool = True) -> None:
        self.connections: list[Sent] = []
        self.events: deque[Event] = deque(maxlen=_MOST_EVENTS)
        """Which faults acted last, in order."""
        self._keep = keep
        self._file: IO[bytes] | None = None
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("wb")
            except OSError as error:
                raise StorageError(f"cannot write the ledger {path}: {error.strerror}") from error

    def open(self, exchange: str, conn: int, peer_port: int) -> Sent:
        sent = Sent(exchange, conn, peer_port)
        self.connections.append(sent)
        return sent

    def of(self, exchange: str) -> list[Sent]:
        """The connections of one exchange."""
        return [sent for sent in self.connections if sent.exchange == exchange]

    def by_port(self, peer_port: int) -> Sent | None:
        """The latest connection that came from that port of the client."""
        for sent in reversed(self.connections):
            if sent.peer_port == peer_port:
                return sent
        return None

    def record(self, sent: Sent, frames: Sequence[bytes]) -> None:
        first = sent.frames + 1
        sent.frames += len(frames)
        if not self._keep and self._file is None:
            return
        digests = [hashlib.sha256(frame).digest() for frame in frames]
        if self._keep:
            sent.digests += b"".join(digests)
        if self._file is not None:
            head = f'{{"exchange":"{sent.exchange}","conn":{sent.conn},"peer_port":{sent.peer_port}'
            self._file.write(
                "".join(
                    f'{head},"n":{n},"sha256":"{digest.hex()}"}}\n'
                    for n, digest in enumerate(digests, first)
                ).encode()
            )
            self._file.flush()

    def withhold(self, sent: Sent, frame: bytes, after_n: int) -> None:
        """The frame was to come after frame ``after_n``, and is not sent."""
        digest = hashlib.sha256(frame).hexdigest()
        if self._keep:
            sent.withheld.append((after_n, digest))
        self._line(
            {
                "exchange": sent.exchange,
                "conn": sent.conn,
                "peer_port": sent.peer_port,
                "dropped": True,
                "after_n": after_n,
                "sha256": digest,
            }
        )

    def happened(self, event: Event) -> None:
        self.events.append(event)
        self._line(event)

    def _line(self, content: Any) -> None:
        if self._file is not None:
            self._file.write(msgspec.json.encode(content) + b"\n")
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def as_dict(self) -> dict[str, Any]:
        """Frames sent, by exchange and connection."""
        totals: dict[str, Any] = {}
        for sent in self.connections:
            totals.setdefault(sent.exchange, {})[str(sent.conn)] = sent.frames
        return totals
