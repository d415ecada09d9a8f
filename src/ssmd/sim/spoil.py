"""What the faults of frames do to a frame: one small function per kind.

Each gets the frame's place (``Mangler``), the fault at work and the frame, and returns what is sent
in its stead.
"""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from ssmd.message import Header
from ssmd.sim.client import Text

if TYPE_CHECKING:
    from ssmd.sim.faults import Fault
    from ssmd.sim.mangler import Mangler
    from ssmd.sim.trouble import Active

Spoil = Callable[["Mangler", "Active", bytes, Header], list[bytes]]
Suits = Callable[["Fault", str, Header], bool]
_CHECKSUM: Final = re.compile(rb'"checksum":(\d+)')
_DELTA: Final = re.compile(rb'"delta_fp":"[^"]*"')
_PRICE: Final = re.compile(rb'"price":[^,}]*')
_QUANTITY: Final = re.compile(rb'"qty":[^,}]*')
_HASH: Final = re.compile(rb'"hash":"[^"]*"')
_DELTAS: Final = {
    "kalshi": "orderbook_delta",
    "polymarket": "price_change",
    "kraken": "book",
    "kraken_futures": "book",
}
_MAIN_FIELD: Final = {
    "kalshi": (b'"msg":',),
    "polymarket": (b'"price_changes":', b'"market":'),
    "kraken": (b'"data":',),
    "kraken_futures": (b'"product_id":',),
}
_TYPE_FIELD: Final = {
    "kalshi": b"type",
    "polymarket": b"event_type",
    "kraken": b"channel",
    "kraken_futures": b"feed",
}
_SNAPSHOTS: Final = {
    "kalshi": re.compile(rb'"type":"orderbook_snapshot"'),
    "polymarket": re.compile(rb'"event_type":"book"'),
    "kraken": re.compile(rb'"channel":"book","type":"snapshot"'),
    "kraken_futures": re.compile(rb'"feed":"book_snapshot"'),
}
_MESSAGES: Final = {10: "Channel error", 25: "Subscription buffer overflow"}
GARBAGE: Final[dict[str, bytes]] = {
    "text": b"no json at all",
    "utf8": Text(b'{"a":"\xff\xfe"}'),
    "binary": bytes(range(256)),
}


def is_snapshot(exchange: str, frame: bytes) -> bool:
    return _SNAPSHOTS[exchange].search(frame) is not None


# --- which frames a kind is about -----------------------------------------------------------------


def any_data(fault: "Fault", exchange: str, header: Header) -> bool:
    return True


def provable(fault: "Fault", exchange: str, header: Header) -> bool:
    """Changes of a book, and for a wrong hash whole books."""
    if fault.value == "hash":
        return (exchange, header.type) == ("polymarket", "book")
    return header.type == _DELTAS[exchange]


def numbered(fault: "Fault", exchange: str, header: Header) -> bool:
    return header.seq is not None or (exchange, header.type) == ("kraken", "trade")


def grouped(fault: "Fault", exchange: str, header: Header) -> bool:
    return header.grp is not None


# --- kinds ----------------------------------------------------------------------------------------


def drop(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    mangler.withhold(frame)
    return []


def duplicate(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    return [frame, frame]


def reorder(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    mangler.held[header.type, header.sym] = frame
    return []


def delay(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    mangler.send_later(frame, active.fault.number)
    return []


def mute(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    sym = active.fault.symbol or header.sym
    if sym is not None:
        most = None if active.fault.value is None else int(active.fault.number)
        mangler.muted[sym] = most
    return [frame]


def corrupt(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    if mangler.exchange == "kalshi":
        return [_DELTA.sub(b'"delta_fp":"-99999999.00"', frame)]
    if mangler.exchange == "kraken":
        return [_CHECKSUM.sub(lambda m: b'"checksum":%d' % (int(m[1]) ^ 1), frame)]
    if mangler.exchange == "kraken_futures":
        price = b"20000.0" if b'"side":"buy"' in frame else b"0.1"
        return [_PRICE.sub(b'"price":' + price, _QUANTITY.sub(b'"qty":1.0000', frame))]
    if active.fault.value == "hash":
        return [_HASH.sub(b'"hash":"%040d"' % 0, frame)]
    return [_other_top(frame, active.fault.symbol)]


def jump(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    mangler.shift(header, int(active.fault.number))
    return [frame]


def error(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    """The frame is the last of its sid."""
    code = int(active.fault.value or 25)
    group = header.grp or ""
    mangler.end(group)
    body = {"type": "error", "sid": int(group), "msg": {"code": code, "msg": _MESSAGES[code]}}
    return [frame, json.dumps(body).encode()]


def garbage(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    return [GARBAGE[active.fault.word or "text"], frame]


def huge(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    size = 1 << 20 if active.fault.value is None else int(active.fault.number)
    head, tail = b'{"huge":"', b'"}'
    return [head + b"x" * (size - len(head) - len(tail)) + tail, frame]


def schema(mangler: "Mangler", active: "Active", frame: bytes, header: Header) -> list[bytes]:
    how: Literal["add", "rename", "type"] = active.fault.word or "add"  # type: ignore[assignment]
    if how == "add":
        return [frame.replace(b"{", b'{"brand_new_field":[1,{"a":null}],', 1)]
    if how == "rename":
        there = [name for name in _MAIN_FIELD[mangler.exchange] if name in frame]
        return [frame.replace(there[0], b'"renamed":', 1) if there else frame]
    name = _TYPE_FIELD[mangler.exchange]
    return [re.sub(rb'"%b":"[^"]*"' % name, b'"%b":"mystery"' % name, frame, count=1)]


def _other_top(frame: bytes, asset: str | None) -> bytes:
    """A price change that claims another best bid, of the asset alone where one is named."""
    event = msgspec.json.decode(frame)
    for change in event["price_changes"]:
        if asset in (None, change["asset_id"], event["market"]):
            change["best_bid"] = "0.001"
    return msgspec.json.encode(event)


def without(frame: bytes, asset: str) -> bytes | None:
    """A Polymarket frame without what it says of an asset; None where nothing is left."""
    if b'"price_changes"' not in frame:
        return None
    event = msgspec.json.decode(frame)
    left = [change for change in event["price_changes"] if change["asset_id"] != asset]
    if not left or event["market"] == asset:
        return None
    return msgspec.json.encode({**event, "price_changes": left})
