"""When what an exchange says is a change, and when it is behind what is known."""

from decimal import Decimal
from typing import Any

import msgspec

from ssmd import message
from ssmd.exchanges.master import Found, Patch
from ssmd.instrument import PriceRange
from ssmd.instruments import decide
from ssmd.instruments.change import Change, Held, decode_held, encode, held
from ssmd.instruments.decide import CACHE_NS
from ssmd.message import Message
from ssmd.security import Fee, Links, Security, difference

S = 1_000_000_000
LISTED = Security(
    exchange="kalshi", sym="A", status="active", active=True, title="T",
    grid=(PriceRange(Decimal("0.00"), Decimal(1), Decimal("0.0100")),),
    fees=(Fee(kind="quadratic", multiplier=Decimal(1)),), links=Links(event="E"),
)  # fmt: skip


def known(at_ns: int = 1000 * S, **more: Any) -> Held:
    made = decide.by_answer(None, Found(LISTED, "h", updated_ns=at_ns), at_ns, at_ns)
    assert isinstance(made, Change)
    return msgspec.structs.replace(held(made), **more)


def answered(old: Held, at_ns: int, updated_ns: int | None = None, **fields: Any) -> Any:
    new = msgspec.structs.replace(LISTED, **fields)
    return decide.by_answer(old, Found(new, "h2", updated_ns), at_ns, at_ns)


def told(old: Held | None, recv_ns: int, patch: Patch) -> Any:
    said = Message(
        feed="f", conn="c", n=1, recv_ns=recv_ns, mono_ns=1, type="t", **message.body(b"{}")
    )
    return decide.by_patch(old, "kalshi", "A", patch, said, 5, recv_ns)


def test_numbers_that_are_equal_are_no_change() -> None:
    same = (PriceRange(Decimal(0), Decimal("1.0000"), Decimal("0.01")),)
    assert answered(known(), 2000 * S, grid=same) == "same"
    assert difference(LISTED, msgspec.structs.replace(LISTED, grid=same)) == {}


def test_a_record_that_was_kept_is_no_change() -> None:
    """Through JSON and back."""
    old = decode_held(encode(known()))
    assert answered(old, 2000 * S) == "same"


def test_what_an_answer_is_silent_about_stays() -> None:
    found = Found(
        msgspec.structs.replace(LISTED, fees=(), title="U"), "h", silent=frozenset({"fees"})
    )
    made = decide.by_answer(known(), found, 2000 * S, 2000 * S)
    assert isinstance(made, Change)
    assert made.instrument.fees == LISTED.fees
    assert made.changed == {"title": ("T", "U")}


def test_fees_of_an_event_stay_when_it_is_listed() -> None:
    own = (Fee(kind="flat"),)
    made = told(known(), 1001 * S, Patch(event="E", fields={"own_fees": own}))
    assert made.changed == {"own_fees": ((), ({"kind": "flat"},))}
    assert answered(held(made), 2000 * S) == "same"


def test_a_cached_answer_does_not_undo_a_message() -> None:
    patch = Patch(sym="A", fields={"status": "determined", "active": False}, at_ns=1100 * S)
    made = told(known(), 1101 * S, patch)
    assert made.instrument.status == "determined"
    assert answered(held(made), 1101 * S + CACHE_NS - 1, updated_ns=1000 * S) == "stale"
    later = answered(held(made), 1101 * S + CACHE_NS, updated_ns=1000 * S)
    assert later.instrument.status == "active"  # for longer than any cache it is no cache
    newer = answered(held(made), 1102 * S, updated_ns=1100 * S, status="finalized", active=False)
    assert newer.instrument.status == "finalized"


def test_a_message_from_before_the_answer_changes_nothing() -> None:
    old = known(learned_ns=2000 * S)
    patch = Patch(sym="A", fields={"status": "inactive", "active": False})
    assert told(old, 2000 * S - CACHE_NS - 1, patch) == "stale"
    assert told(old, 2000 * S - 1, patch).instrument.status == "inactive"  # it may be cached
    assert told(known(valid_ns=3000 * S, learned_ns=3000 * S), 2999 * S, patch) == "stale"


def test_a_message_can_begin_a_record() -> None:
    made = told(None, 5, Patch(sym="A", fields={"title": "N"}, links={"event": "E"}, creates=True))
    assert (made.kind, made.number, made.source, made.source_seq) == ("added", 1, "t", 5)
    assert made.instrument.links.event == "E"
    assert made.instrument.status == "unknown"


def test_gone_once() -> None:
    made = decide.gone(known(), 2000 * S, 2000 * S)
    assert isinstance(made, Change)
    assert (made.instrument.status, made.instrument.active) == ("delisted", False)
    assert decide.gone(held(made), 3000 * S, 3000 * S) == "same"
    assert answered(held(made), 4000 * S).changed == {
        "status": ("delisted", "active"), "active": (False, True),
    }  # fmt: skip
