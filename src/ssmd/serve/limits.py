"""Rate limits: what each caller may still ask for, in a table that does not grow."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from starlette.types import Message, Send

from ssmd.serve.answers import TooMany
from ssmd.serve.rate import Rate

CALLERS: Final = 10_000
"""The one that asked longest ago is forgotten first: that can only give, never take."""


class Left(NamedTuple):
    """What a caller has left, and when all of it is back."""

    rate: Rate
    remaining: int
    reset_s: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Of the IETF's draft, and the three of its earlier ones, which clients know."""
        quota, window_s = self.rate
        named = {
            "ratelimit-policy": f'"default";q={quota};w={window_s}',
            "ratelimit": f'"default";r={self.remaining};t={self.reset_s}',
            "ratelimit-limit": str(quota),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": str(self.reset_s),
        }
        return [(name.encode(), value.encode()) for name, value in named.items()]


class Limits:
    """One generic cell rate a caller: its quota at once, and then as fast as it grows back."""

    def __init__(self, rate: Rate | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """Caller -> when it has its whole quota again."""

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, caller: str, cost: int) -> Left | None:
        """What is left after it; None where nothing is limited. Raises TooMany."""
        if self._rate is None:
            return None
        quota, window_s = self._rate
        now, each_s = self._clock(), window_s / quota
        full_at = max(self._full_at.get(caller, now), now) + min(cost, quota) * each_s
        wait_s = full_at - now - window_s
        if wait_s > 1e-9:
            raise TooMany(
                f"more than {quota} in {window_s} s",
                hint="ask less often",
                after_s=math.ceil(wait_s),
            )
        self._full_at[caller] = full_at
        self._full_at.move_to_end(caller)
        if len(self._full_at) > CALLERS:
            self._full_at.popitem(last=False)
        remaining = int((window_s - (full_at - now)) / each_s + 1e-6)
        return Left(self._rate, remaining, math.ceil(full_at - now))


def place_of(client: tuple[str, int] | None) -> str:
    """Who asks, where no key tells: the address; of IPv6 its network, which is one household."""
    if client is None:
        return "nowhere"
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return "nowhere"
    if address.version == 6 and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(
        address if address.version == 4 else ipaddress.ip_network((address, 64), strict=False)
    )


def telling(send: Send, left: Left) -> Send:
    """A ``send`` that adds the headers."""

    async def told(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            message["headers"] = [*message.get("headers", ()), *left.headers()]
        await send(message)

    return told
