"""When a message of the past is due: against one clock, so that waits do not add up to a drift."""

from collections.abc import Callable
from typing import Final

NS_PER_S: Final = 1_000_000_000


class Pace:
    """``speed`` 1 is as it was, N is N times as fast, 0 is as fast as the reader reads. The first
    message is due at once."""

    def __init__(self, speed: float, now: Callable[[], float]) -> None:
        self._now = now
        self._speed = speed
        self._anchor_ns: int | None = None
        self._anchor_s = 0.0
        self._reached_ns = 0
        self._paused = False

    @property
    def speed(self) -> float:
        return self._speed

    @property
    def began(self) -> bool:
        return self._anchor_ns is not None

    @property
    def paused(self) -> bool:
        return self._paused

    def due(self, data_ns: int) -> float:
        """The moment of the clock at which it is due."""
        if self._anchor_ns is None:
            self._anchor_ns, self._anchor_s = data_ns, self._now()
        if not self._speed:
            return self._anchor_s
        return self._anchor_s + (data_ns - self._anchor_ns) / NS_PER_S / self._speed

    def sent(self, data_ns: int) -> float:
        """It goes out: by how many seconds it is late. Without a speed nothing is."""
        self._reached_ns = data_ns
        return max(0.0, self._now() - self.due(data_ns)) if self._speed else 0.0

    def position_ns(self) -> int | None:
        """How far the replay is; None before the first message."""
        if self._anchor_ns is None:
            return None
        if self._paused or not self._speed:
            return max(self._anchor_ns, self._reached_ns)
        passed_s = (self._now() - self._anchor_s) * self._speed
        return max(self._anchor_ns + int(passed_s * NS_PER_S), self._reached_ns)

    def set_speed(self, speed: float) -> None:
        self._rebase()
        self._speed = speed

    def pause(self) -> None:
        if not self._paused:
            self._rebase()
            self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._anchor_s = self._now()

    def seek(self) -> None:
        """The next message, whatever its time, is due at once."""
        self._anchor_ns = None
        self._reached_ns = 0

    def _rebase(self) -> None:
        """Count from here on."""
        position = self.position_ns()
        if position is not None:
            self._anchor_ns, self._anchor_s = position, self._now()
