"""Recordings: JSONL, one frame a line, sent with their bytes unchanged."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec import Struct

from ssmd import message as wire
from ssmd.errors import ConfigError, NotFound
from ssmd.exchanges import exchange

_SAMPLE: Final = 2_000
"""How many frames are looked at to learn what a recording holds."""
_EVEN_RATE: Final = 100.0
_LONGEST_WAIT_S: Final = 60.0


class Play(Struct, frozen=True):
    """Which recording an exchange sends, and how.

    ``pace``: 1 is as recorded (by the exchange's time stamps; 100 frames/s where it has none, and
    no pause longer than a minute), N is N times as fast, None is as fast as the client reads.
    ``acks``: whether the simulator answers commands itself; None: only if the recording does not.
    """

    path: Path
    pace: float | None = 1.0
    acks: bool | None = None


class Recording:
    """A file of frames of one exchange."""

    def __init__(self, play: Play, exchange_name: str) -> None:
        self._path = play.path
        self._exchange = exchange(exchange_name)
        self.pace = play.pace
        if not play.path.is_file():
            raise NotFound(f"no recording {play.path}", hint="give a JSONL file, one frame a line")
        self.sample = sample = list(islice(self.frames(), _SAMPLE))
        """Its first frames."""
        if not any(frame.lstrip()[:1] in (b"{", b"[") for frame in sample):
            raise ConfigError(f"{play.path} is no recording", hint="give JSONL, one frame a line")
        kinds = {self._exchange.classify(frame).kind for frame in sample}
        self.answers = not kinds & {"ack", "error"} if play.acks is None else play.acks
        """Whether the simulator has to answer commands itself."""
        self._timed = any(self._ts_ns(frame) is not None for frame in sample)

    def frames(self) -> Iterator[bytes]:
        """Every frame; empty lines are none."""
        with self._path.open("rb") as file:
            for line in file:
                frame = line.removesuffix(b"\n")
                if frame:
                    yield frame

    def timed(self) -> Iterator[tuple[float, bytes]]:
        """Every frame with the seconds after the first at which it is due."""
        due, before = 0.0, None
        pace = self.pace or float("inf")
        for frame in self.frames():
            if not self._timed:
                yield due, frame
                due += 1 / _EVEN_RATE / pace
                continue
            stamp = self._ts_ns(frame)
            if stamp is not None:
                if before is not None and stamp > before:
                    due += min((stamp - before) / 1e9, _LONGEST_WAIT_S) / pace
                before = stamp if before is None else max(before, stamp)
            yield due, frame

    def _ts_ns(self, frame: bytes) -> int | None:
        elements = wire.split_array(frame)
        if elements is not None:
            stamps = [self._exchange.classify(element).ts_ns for element in elements]
            return max((stamp for stamp in stamps if stamp is not None), default=None)
        return self._exchange.classify(frame).ts_ns
