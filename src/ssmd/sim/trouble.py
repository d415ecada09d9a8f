"""Faults at work: which frames, connections and requests of an exchange they meet."""

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ssmd import message as wire
from ssmd.exchanges import EXCHANGES
from ssmd.message import Header
from ssmd.sim import spoil
from ssmd.sim.client import Text
from ssmd.sim.faults import FAULTS, Fault, Stage, close_code
from ssmd.sim.ledger import Event
from ssmd.sim.venues.kalshi_session import KalshiSession

if TYPE_CHECKING:
    from ssmd.sim.client import Client
    from ssmd.sim.floor import Floor

_SEQ: Final = re.compile(rb'"seq":(\d+)')
_TRADE_ID: Final = re.compile(rb'"trade_id":(\d+)')


class Active:
    """A fault at work. ``fired`` is set as soon as it acted for the first time."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.kind = FAULTS[fault.kind]
        self.fired = asyncio.Event()
        self.passed = 0
        self.acted = 0

    @property
    def over(self) -> bool:
        return self.fault.count is not None and self.acted >= self.fault.count

    def due(self) -> bool:
        """Whether it acts on what it is about and has just come; counts what passes before."""
        self.passed += 1
        return self.passed > self.fault.after and not self.over

    def matches(self, exchange: str, frame: bytes, header: Header) -> bool:
        """Whether the fault is about this frame."""
        fault = self.fault
        if self.kind.stage == "frame" and not (
            header.kind == "data" and self.kind.suits(fault, exchange, header)
        ):
            return False
        if fault.type is not None and header.type != fault.type:
            return False
        return fault.symbol is None or f'"{fault.symbol}"'.encode() in frame

    def act(self) -> None:
        self.acted += 1
        self.fired.set()

    def as_dict(self) -> dict[str, Any]:
        said = {**msgspec.to_builtins(self.fault), "fired": self.fired.is_set()}
        return {**said, "acted": self.acted, "over": self.over}


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
        if header.grp in self._ended or (self.mute_all and header.kind != "idle"):
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

    def meet(self, active: Active) -> None:
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


class Trouble:
    """The faults of one exchange."""

    def __init__(self, floor: "Floor") -> None:
        self.exchange = floor.venue.name
        self.ledger = floor.ledger
        self.active: list[Active] = []
        """Faults of frames and connections that may still act."""
        self.requests: list[Active] = []
        """Faults of handshakes and REST that may still act."""
        self._floor = floor

    def inject(self, active: Active) -> None:
        kind, fault = active.kind, active.fault
        if self.exchange not in kind.exchanges:
            return
        if kind.stage == "clock":
            self._floor.world.shift(int(fault.number * 1e9))
            self._acted(active, None, None)
        elif kind.stage in ("handshake", "rest"):
            self.requests.append(active)
        else:
            self.active.append(active)
            for client in tuple(self._floor.clients):
                self.join(client)
                self._meet_at_once(active, client)

    def join(self, client: "Client") -> None:
        """Every client is under watch while there are faults of frames or connections."""
        if self.active and client.mangler is None:
            client.mangler = Mangler(client, self)

    def _meet_at_once(self, active: Active, client: "Client") -> None:
        """A quiet connection ends, too: it need not wait for a frame."""
        fault = active.fault
        if active.kind.stage != "connection" or fault.symbol or fault.type or fault.after:
            return
        if client.mangler is not None and self._concerns(active, client) and active.due():
            self._acted(active, client, None)
            client.mangler.meet(active)
            client.mangler.settle()

    def meets(self, client: "Client", frame: bytes, header: Header, sent: int) -> Active | None:
        """The fault that acts on this frame; ``sent`` of its turn go before it."""
        found = None
        for active in self.active:
            if not self._concerns(active, client) or not active.matches(
                self.exchange, frame, header
            ):
                continue
            if found is None and active.due():
                found = active
        if found is not None:
            self._acted(found, client, header.sym, sent)
        return found

    def _concerns(self, active: Active, client: "Client") -> bool:
        return not active.over and active.fault.connection in (None, client.number)

    def take(self, stage: Stage) -> Fault | None:
        """The fault of that stage that this request meets."""
        for active in self.requests:
            if active.kind.stage == stage and active.due():
                self._acted(active, None, None)
                return active.fault
        return None

    def _acted(
        self, active: Active, client: "Client | None", sym: str | None, sent: int = 0
    ) -> None:
        active.act()
        self.ledger.happened(
            Event(
                exchange=self.exchange,
                fault=active.fault.kind,
                time_ns=time.time_ns(),
                conn=None if client is None else client.number,
                after_n=None if client is None else client.sent.frames + sent,
                symbol=active.fault.symbol or sym,
                value=active.fault.value,
            )
        )

    def clear(self) -> None:
        """No fault acts any longer, and no one is mute. What is broken already stays so."""
        self.active.clear()
        self.requests.clear()
        for client in self._floor.clients:
            if client.mangler is not None:
                client.mangler.muted.clear()
                client.mangler.mute_all = False

    def settled(self, mangler: Mangler) -> bool:
        """Whether a client needs no watching any more; forgets faults that are over."""
        if any(active.over for active in self.active):
            self.active = [active for active in self.active if not active.over]
        return not self.active and mangler.idle
