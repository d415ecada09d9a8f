"""Faults at work: which frames, connections and requests of an exchange they meet."""

import asyncio
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec

from ssmd.message import Header
from ssmd.sim.faults import FAULTS, Fault, Stage
from ssmd.sim.ledger import Event
from ssmd.sim.mangler import Mangler

if TYPE_CHECKING:
    from ssmd.sim.client import Client
    from ssmd.sim.floor import Floor


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
        """Whether the fault is about this frame: market data, or what has the type it names."""
        fault = self.fault
        if header.kind != "data" if fault.type is None else header.type != fault.type:
            return False
        if self.kind.stage == "frame" and not self.kind.suits(fault, exchange, header):
            return False
        return fault.symbol is None or f'"{fault.symbol}"'.encode() in frame

    def act(self) -> None:
        self.acted += 1
        self.fired.set()

    def as_dict(self) -> dict[str, Any]:
        said = {**msgspec.to_builtins(self.fault), "fired": self.fired.is_set()}
        return {**said, "acted": self.acted, "over": self.over}


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

    def take(self, stage: Stage, path: str) -> Fault | None:
        """The fault of that stage that a request of this path, below the exchange's, meets."""
        for active in self.requests:
            wanted = active.fault.path or "*"
            if active.kind.stage == stage and fnmatchcase(path, wanted) and active.due():
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
