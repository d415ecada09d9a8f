"""The wall clock that messages are stamped with: its steps, and how far NTP thinks it is off."""

import ctypes
import time
from typing import Any, Final

STEP_NS: Final = 50_000_000
"""A wall clock that moved so much against the monotonic one was set; less is slewing."""
_STA_NANO: Final = 0x2000
_TIME_ERROR: Final = 5


class _Timex(ctypes.Structure):
    """The head of ``struct timex`` of adjtimex(2); the kernel writes past it into the padding."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("padding", ctypes.c_byte * 512),
    )


class WallClock:
    """Looked at from time to time."""

    def __init__(self) -> None:
        self._ahead_ns = time.time_ns() - time.monotonic_ns()

    def step_ns(self) -> int:
        """By how much the wall clock was set since the last look; 0 where it was not."""
        ahead_ns = time.time_ns() - time.monotonic_ns()
        moved, self._ahead_ns = ahead_ns - self._ahead_ns, ahead_ns
        return moved if abs(moved) >= STEP_NS else 0


def ntp() -> dict[str, Any]:
    """What the kernel knows from NTP: whether the clock is synchronised, the offset still to be
    corrected and the greatest error, in ns; {} where the system does not tell."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return {}
    content = _Timex()
    state = adjtimex(ctypes.byref(content))
    if state < 0:
        return {}
    unit = 1 if content.status & _STA_NANO else 1000
    return {
        "synchronised": state != _TIME_ERROR,
        "offset_ns": content.offset * unit,
        "max_error_ns": content.maxerror * 1000,
    }
