"""What can go wrong at an exchange, on demand: one function per kind, one row in ``FAULTS`` each.

Faults of frames act between a venue's frames and the socket, at one place; what they change is what
the ledger records, because it is what is sent. A fault counts the frames that it matches: market
data of its symbol and type.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from ssmd.errors import ConfigError
from ssmd.exchanges import EXCHANGES
from ssmd.message import Header

if TYPE_CHECKING:
    from ssmd.sim.client import Client
    from ssmd.sim.floor import Floor

Stage = Literal["frame", "connection", "handshake", "rest", "clock"]
_SEQ: Final = re.compile(rb'"seq":(\d+)')
_TRADE_ID: Final = re.compile(rb'"trade_id":(\d+)')
_CHECKSUM: Final = re.compile(rb'"checksum":(\d+)')
_DELTA: Final = re.compile(rb'"delta_fp":"[^"]*"')
_BEST_BID: Final = re.compile(rb'"best_bid":"[^"]*"')
_SNAPSHOTS: Final = frozenset({"orderbook_snapshot", "book_snapshot"})
_MAIN_FIELD: Final = {
    "kalshi": b'"msg"',
    "polymarket": b'"price_changes"',
    "kraken": b'"data"',
    "kraken_futures": b'"product_id"',
}
_TYPE_FIELD: Final = {
    "kalshi": "type",
    "polymarket": "event_type",
    "kraken": "channel",
    "kraken_futures": "feed",
}


class Fault(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One fault: of which exchange, symbol and connection (None: every one), and how often.

    ``after`` matching frames pass before it acts; ``count`` None acts until it is cleared. What
    ``value`` means stands in ``FAULTS``.
    """

    kind: str
    exchange: str
    symbol: str | None = None
    type: str | None = None
    connection: int | None = None
    after: int = 0
    count: int | None = 1
    value: str | None = None

    @property
    def number(self) -> float:
        """``value`` as a number, 1 where there is none. Raises ConfigError."""
        try:
            return float(self.value or 1)
        except ValueError:
            raise ConfigError(f"fault {self.kind}: {self.value!r} is no number") from None


class Active:
    """A fault at work. ``fired`` is set as soon as it acted for the first time."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.fired = asyncio.Event()
        self.passed = 0
        self.acted = 0

    @property
    def over(self) -> bool:
        return self.fault.count is not None and self.acted >= self.fault.count

    def matches(self, frame: bytes, header: Header) -> bool:
        """Whether the fault acts on this frame; counts those that pass before it does."""
        fault = self.fault
        if self.over or header.kind != "data":
            return False
        if fault.type is not None and header.type != fault.type:
            return False
        if fault.symbol is not None and f'"{fault.symbol}"'.encode() not in frame:
            return False
        self.passed += 1
        return self.passed > fault.after

    def act(self) -> None:
        self.acted += 1
        self.fired.set()

    def as_dict(self) -> dict[str, Any]:
        return {**msgspec.to_builtins(self.fault), "acted": self.acted}


class Mangler:
    """The faults of one client's frames."""

    def __init__(self, client: "Client", exchange: str) -> None:
        self.client = client
        self.exchange = exchange
        self.faults: list[Active] = []
        self.held: list[bytes] = []
        self.offsets: dict[str, int] = {}
        """Added to the sequence numbers of a group from here on."""
        self.ended: set[str] = set()
        """Groups that the exchange has ended."""
        self._classify = EXCHANGES[exchange].classify

    def __call__(self, frames: Iterable[bytes]) -> list[bytes]:
        sent: list[bytes] = []
        for frame in frames:
            sent += self._one(frame)
        return sent

    def _one(self, frame: bytes) -> list[bytes]:
        header = self._classify(frame)
        if header.grp in self.ended:
            return []
        found = [frame]
        for active in self.faults:
            if FAULTS[active.fault.kind].stage == "frame" and active.matches(frame, header):
                found = FAULTS[active.fault.kind].frame(self, active, frame, header)
                break
        return [self._renumbered(one, header) for one in found] if self.offsets else found

    def _renumbered(self, frame: bytes, header: Header) -> bytes:
        offset = self.offsets.get(header.grp or header.type, 0)
        if not offset:
            return frame
        field = _SEQ if header.grp is not None else _TRADE_ID
        return field.sub(lambda m: m[0].replace(m[1], b"%d" % (int(m[1]) + offset)), frame)

    def release(self) -> None:
        """What was held back goes out after all."""
        held, self.held = self.held, []
        self.client.push(held)
        self.client.flush()


# --- frames ---------------------------------------------------------------------------------------


def _drop(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    active.act()
    return []


def _duplicate(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    active.act()
    return [frame, frame]


def _reorder(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    """The frame comes after the next one that matches."""
    if not mangler.held:
        mangler.held.append(frame)
        return []
    active.act()
    return [frame, mangler.held.pop()]


def _delay(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    active.act()
    asyncio.get_running_loop().call_later(
        active.fault.number, lambda: mangler.client.send_late([frame])
    )
    return []


def _mute(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    """As if the venue had forgotten the subscription: what is not sent is not numbered either. A
    new snapshot ends it."""
    if _is_snapshot(mangler.exchange, frame, header):
        active.acted = active.fault.count or active.acted + 1
        mangler.faults.remove(active)
        return [frame]
    active.fired.set()
    if mangler.exchange == "kalshi" and header.grp is not None and header.seq is not None:
        mangler.offsets[header.grp] = mangler.offsets.get(header.grp, 0) - 1
    return []


def _mute_all(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    active.fired.set()
    return []


def _corrupt(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    """A wrong checksum (Kraken), best bid (Polymarket), or an impossible change (Kalshi)."""
    field, wrong = {
        "kraken": (_CHECKSUM, b'"checksum":1'),
        "polymarket": (_BEST_BID, b'"best_bid":"0.001"'),
        "kalshi": (_DELTA, b'"delta_fp":"-99999999.00"'),
    }[mangler.exchange]
    bad, changed = field.subn(wrong, frame)
    if changed:
        active.act()
    return [bad]


def _sequence(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    """Numbers jump ahead by ``value``."""
    group = header.grp or header.type
    mangler.offsets[group] = mangler.offsets.get(group, 0) + int(active.fault.number)
    active.act()
    return [frame]


def _error(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    """Kalshi ends the subscription of the frame with error ``value`` (10 or 25)."""
    active.act()
    mangler.ended.add(header.grp or "")
    error = {
        "type": "error",
        "sid": int(header.grp or 0),
        "msg": {"code": int(active.fault.number), "msg": "subscription buffer overflow"},
    }
    return [json.dumps(error).encode()]


def _garbage(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    active.act()
    junk = {"text": b"no json at all", "utf8": b'{"a":"\xff\xfe"}', "binary": bytes(range(256))}
    return [junk.get(active.fault.value or "text", b"{"), frame]


def _huge(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    active.act()
    return [b'{"huge":"' + b"x" * int(active.fault.number) + b'"}', frame]


def _schema(mangler: Mangler, active: Active, frame: bytes, header: Header) -> list[bytes]:
    """``value``: ``add`` a field, ``rename`` the main one, or ``type``, one that nobody knows."""
    active.act()
    how = active.fault.value or "add"
    if how == "add":
        return [frame.replace(b"{", b'{"brand_new_field":[1,{"a":null}],', 1)]
    if how == "rename":
        field = _MAIN_FIELD[mangler.exchange]
        return [frame.replace(field, b'"renamed"', 1)]
    name = _TYPE_FIELD[mangler.exchange].encode()
    typed = re.compile(rb'"%b":"[^"]*"' % name)
    return [typed.sub(b'"%b":"mystery"' % name, frame, count=1)]


def _is_snapshot(exchange: str, frame: bytes, header: Header) -> bool:
    if exchange == "kraken":
        return header.type == "book" and b'"type":"snapshot"' in frame
    if exchange == "polymarket":
        return header.type == "book"
    return header.type in _SNAPSHOTS


# --- connections ----------------------------------------------------------------------------------


def _close(client: "Client", fault: Fault) -> None:
    from picows import WSCloseCode

    code, _, reason = (fault.value or "1001").partition(" ")
    client.close(WSCloseCode(int(code)), reason.encode())


def _abort(client: "Client", fault: Fault) -> None:
    client.abort()


def _half_open(client: "Client", fault: Fault) -> None:
    client.deaf = True


def _slow(client: "Client", fault: Fault) -> None:
    client.read_nothing(fault.number)


# --- the table ------------------------------------------------------------------------------------

FrameFault = Callable[[Mangler, Active, bytes, Header], list[bytes]]
ConnectionFault = Callable[["Client", Fault], None]


class Kind(NamedTuple):
    stage: Stage
    what: str
    frame: FrameFault = _drop
    connection: ConnectionFault = _abort
    exchanges: frozenset[str] = frozenset(EXCHANGES)


FAULTS: Final[Mapping[str, Kind]] = {
    "drop": Kind("frame", "is not sent, though numbered", _drop),
    "duplicate": Kind("frame", "is sent twice", _duplicate),
    "reorder": Kind("frame", "comes after the next one", _reorder),
    "delay": Kind("frame", "comes `value` seconds late", _delay),
    "mute": Kind("frame", "nothing for the symbol, until it is subscribed again", _mute),
    "mute_all": Kind("frame", "no data on the connection; pongs and heartbeats go on", _mute_all),
    "corrupt": Kind(
        "frame",
        "a wrong checksum, best bid or change",
        _corrupt,
        exchanges=frozenset({"kalshi", "polymarket", "kraken"}),
    ),
    "sequence": Kind(
        "frame",
        "numbers jump ahead by `value`",
        _sequence,
        exchanges=frozenset({"kalshi", "kraken", "kraken_futures"}),
    ),
    "error": Kind(
        "frame",
        "error `value` (10 or 25) ends the subscription",
        _error,
        exchanges=frozenset({"kalshi"}),
    ),
    "garbage": Kind("frame", "`value` (text, utf8, binary) comes before it", _garbage),
    "huge": Kind("frame", "a frame of `value` bytes comes before it", _huge),
    "schema": Kind("frame", "`value` (add, rename, type) changes its form", _schema),
    "close": Kind("connection", "is closed with code and reason `value`", connection=_close),
    "abort": Kind("connection", "ends without a word", connection=_abort),
    "half_open": Kind(
        "connection", "neither sends nor reads, and stays open", connection=_half_open
    ),
    "slow": Kind("connection", "reads nothing for `value` seconds", connection=_slow),
    "handshake": Kind("handshake", "is answered `value` (401, or 429 with seconds: 429/3)"),
    "rest": Kind("rest", "is answered with status `value`, or `garbage`"),
    "clock": Kind("clock", "the exchange's times jump by `value` seconds"),
}


def parse(text: str) -> Fault:
    """``kraken:drop:symbol=BTC/USD:after=500:count=1`` -> the fault. Raises ConfigError."""
    exchange, _, rest = text.partition(":")
    kind, *settings = rest.split(":")
    fields = dict(setting.partition("=")[::2] for setting in settings)
    try:
        fault = msgspec.convert({**fields, "kind": kind, "exchange": exchange}, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"fault {text!r}: {error}", hint=USAGE) from None
    return check(fault)


USAGE: Final = "write it as EXCHANGE:KIND[:symbol=S][:type=T][:after=N][:count=N][:value=V]"


def check(fault: Fault) -> Fault:
    """The fault, where there is such a kind for that exchange. Raises ConfigError."""
    kind = FAULTS.get(fault.kind)
    if kind is None:
        raise ConfigError(f"no fault {fault.kind!r}", hint=f"one of {', '.join(FAULTS)}")
    if fault.exchange not in EXCHANGES:
        raise ConfigError(f"no exchange {fault.exchange!r}", hint=f"one of {', '.join(EXCHANGES)}")
    if fault.exchange not in kind.exchanges:
        raise ConfigError(f"{fault.exchange} has nothing that could be wrong by {fault.kind!r}")
    if kind.stage == "clock":
        _ = fault.number
    return fault


class Trouble:
    """The faults of one exchange."""

    def __init__(self, floor: "Floor") -> None:
        self.active: list[Active] = []
        self._floor = floor

    def inject(self, fault: Fault) -> Active:
        """Let it happen. Raises ConfigError."""
        active = Active(check(fault))
        self.active.append(active)
        stage = FAULTS[fault.kind].stage
        if stage == "clock":
            self._floor.world.shift(int(fault.number * 1e9))
            active.act()
        for client in tuple(self._floor.clients):
            if stage == "connection" and fault.connection in (None, client.number):
                active.act()
                FAULTS[fault.kind].connection(client, fault)
            elif stage == "frame":
                self._attach(client, active)
        return active

    def join(self, client: "Client") -> None:
        """A new client: faults that name no connection meet it too, ``mute_all`` excepted, which
        is of a connection."""
        for active in self.active:
            kind = active.fault.kind
            if FAULTS[kind].stage == "frame" and not active.over and kind != "mute_all":
                self._attach(client, active)

    def clear(self) -> None:
        """No fault acts any longer; what is broken already stays so."""
        self.active.clear()
        for client in self._floor.clients:
            if client.mangler is not None:
                client.mangler.faults.clear()

    def take(self, stage: Stage) -> Active | None:
        """The fault of that stage that acts now."""
        for active in self.active:
            if FAULTS[active.fault.kind].stage == stage and not active.over:
                active.act()
                return active
        return None

    def _attach(self, client: "Client", active: Active) -> None:
        if active.fault.connection not in (None, client.number):
            return
        if client.mangler is None:
            client.mangler = Mangler(client, self._floor.venue.name)
        client.mangler.faults.append(active)
