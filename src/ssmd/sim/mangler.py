"""Faults of frames and connections: between what the venue says and what one client gets."""

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from ssmd import message as wire
from ssmd.exchanges import EXCHANGES
from ssmd.message import Header
from ssmd.sim import spoil
from ssmd.sim.client import Text
from ssmd.sim.faults import Fault, close_code
from ssmd.sim.venues.kalshi_session import KalshiSession

if TYPE_CHECKING:
    from ssmd.sim.client import Client
    from ssmd.sim.trouble import Active, Trouble

_SEQ: Final = re.compile(rb'"seq":(\d+)')
_TRADE_ID: Final = re.compile(rb'"trade_id":(\d+)')


class Mangler:
    """What is wrong with one client's connection."""

    def __init__(self, client: "Client", trouble: "Trouble") -> None:
        self.client = client
        self.exchange = trouble.exchange
        self.held: dict[tuple[str, str | None], bytes] = {}
        """Frames that wait for the next one of their type and symbol."""
        self.muted: dict[str, int | None] = {}
        """Symbols of which nothing is sent, and of how many frames at most."""
        self.mute_all = False
        self._trouble = trouble
        self._shifts: dict[str, int] = {}
        """Added to the numbers of a group."""
        self._ended: set[str] = set()
        self._sent: list[bytes] = []
        self._then: list[Callable[[], None]] = []
        """What happens once the frames of this turn are sent."""
        self._classify = EXCHANGES[self.exchange].classify

    @property
    def idle(self) -> bool:
        """Whether there is nothing wrong any more."""
        states = (self.held, self.muted, self.mute_all, self._shifts, self._ended)
        return not any(states)

    def __call__(self, frames: Iterable[bytes]) -> list[bytes]:
        """What is sent of these frames. The client calls ``settle`` once it is."""
        self._sent = []
        for frame in frames:
            if self._then:
                self.withhold(frame)
            else:
                self._one(frame)
        return self._sent

    def settle(self) -> None:
        self._sent = []
        then, self._then = self._then, []
        for act in then:
            act()
        if self._trouble.settled(self):
            self.client.mangler = None

    # --- frames ---------------------------------------------------------------------------------

    def _one(self, frame: bytes) -> None:
        header = self._header(frame)
        over = header.grp in self._ended and header.kind == "data"
        if over or (self.mute_all and header.kind != "idle"):
            self.withhold(frame)
            return
        left = self._unmuted(frame, header) if self.muted else frame
        if left is None:
            return
        active = self._trouble.meets(self.client, left, header, len(self._sent))
        if active is None:
            spoiled = [left]
        elif active.kind.frame is not None:
            spoiled = active.kind.frame(self, active, left, header)
        else:
            spoiled = [left]
            self.meet(active)
        self._sent += self._renumbered(spoiled, header)
        if active is None and self.held and (header.type, header.sym) in self.held:
            self._sent.append(self.held.pop((header.type, header.sym)))

    def _header(self, frame: bytes) -> Header:
        elements = wire.split_array(frame)
        return self._classify(elements[0] if elements else frame)

    def _unmuted(self, frame: bytes, header: Header) -> bytes | None:
        """What of the frame a muted symbol leaves. A snapshot ends its silence. What is not sent
        is not numbered either, as if the venue had forgotten the subscription."""
        for sym, most in tuple(self.muted.items()):
            if header.kind != "data" or f'"{sym}"'.encode() not in frame:
                continue
            if spoil.is_snapshot(self.exchange, frame):
                del self.muted[sym]
                continue
            if most is not None and most <= 1:
                del self.muted[sym]
            elif most is not None:
                self.muted[sym] = most - 1
            self.withhold(frame)
            left = spoil.without(frame, sym) if self.exchange == "polymarket" else None
            if left is None:
                if self.exchange == "kalshi" and header.seq is not None:
                    self.shift(header, -1)
                return None
            frame = left
        return frame

    def _renumbered(self, frames: list[bytes], header: Header) -> list[bytes]:
        by = self._shifts.get(_group(header), 0)
        if not by:
            return frames
        field = _TRADE_ID if header.grp is None else _SEQ
        return [_shifted(frame, field, by) for frame in frames]

    # --- what faults do -------------------------------------------------------------------------

    def withhold(self, frame: bytes) -> None:
        """The frame is not sent."""
        sent = self.client.sent
        self._trouble.ledger.withhold(sent, frame, sent.frames + len(self._sent))

    def send_later(self, frame: bytes, seconds: float) -> None:
        (late,) = self._renumbered([frame], self._header(frame))
        asyncio.get_running_loop().call_later(seconds, self.client.send_late, late)

    def shift(self, header: Header, by: int) -> None:
        """The numbers of the frame's group are that much higher, from the frame on."""
        group = _group(header)
        self._shifts[group] = self._shifts.get(group, 0) + by

    def end(self, group: str) -> None:
        """The exchange ends a sid."""
        self._ended.add(group)
        if isinstance(self.client.session, KalshiSession):
            self.client.session.end(int(group))

    def meet(self, active: "Active") -> None:
        """The connection has a fault of its own, after what is sent now."""
        if active.fault.kind == "mute_all":
            self.mute_all = True
        elif active.fault.kind == "slow":
            self.client.read_nothing(active.fault.number)
        elif active.fault.kind == "close":
            self._then.append(lambda: self.client.close(*_close(active.fault)))
        elif active.fault.kind == "abort":
            self._then.append(self.client.abort)
        else:
            self._then.append(self.client.go_deaf)

    def lost(self) -> None:
        """The connection is over, and with it what was held back."""
        for frame in self.held.values():
            self.withhold(frame)


def _group(header: Header) -> str:
    return header.grp or f"{header.sym}:{header.type}"


def _shifted(frame: bytes, field: re.Pattern[bytes], by: int) -> bytes:
    def higher(found: re.Match[bytes]) -> bytes:
        return found[0].replace(found[1], b"%d" % (int(found[1]) + by))

    changed = field.sub(higher, frame)
    return Text(changed) if isinstance(frame, Text) else changed


def _close(fault: Fault) -> tuple[int, bytes]:
    code, reason = close_code(fault)
    return code, reason.encode()
