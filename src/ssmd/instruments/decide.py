"""Whether what an exchange says is a change: pure rules, the same live and in a test."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from ssmd.exchanges.master import Found, Patch
from ssmd.instruments.change import REST, Change, Held
from ssmd.message import Message
from ssmd.security import Security, difference

CACHE_NS: Final = 60_000_000_000
"""REST answers come out of caches (Kalshi's: some 15 s): a message may be newer than an answer that
is received after it, but not for longer than this."""
NEVER_LISTED: Final = frozenset({"own_fees"})
"""What only messages tell."""
DELISTED: Final = "delisted"
"""Our word for what its exchange does not name any more."""

Outcome = Change | Literal["same", "stale"]


def by_answer(old: Held | None, found: Found, learned_ns: int, known_ns: int) -> Outcome:
    """What a REST answer says of one instrument."""
    valid_ns = learned_ns if found.updated_ns is None else found.updated_ns
    new = found.security
    if old is not None:
        if _is_behind(old, found.updated_ns, learned_ns):
            return "stale"
        kept = {name: getattr(old.instrument, name) for name in found.silent | NEVER_LISTED}
        new = msgspec.structs.replace(new, **kept)
    return _change(
        old,
        new,
        known_ns=known_ns,
        learned_ns=learned_ns,
        valid_ns=valid_ns,
        source=REST,
        raw_sha256=found.raw_sha256,
    )


def _is_behind(old: Held, updated_ns: int | None, learned_ns: int) -> bool:
    """A cached answer from before a message that we have."""
    recent = learned_ns < old.learned_ns + CACHE_NS
    return old.source != REST and recent and updated_ns is not None and updated_ns < old.valid_ns


def by_patch(
    old: Held | None, exchange: str, sym: str, patch: Patch, said: Message, seq: int, known_ns: int
) -> Outcome:
    """What a message says of one instrument."""
    learned_ns = said.recv_ns
    valid_ns = learned_ns if patch.at_ns is None else patch.at_ns
    if old is not None and _is_past(old, valid_ns, learned_ns):
        return "stale"
    return _change(
        old,
        _patched(old.instrument if old else None, exchange, sym, patch),
        known_ns=known_ns,
        learned_ns=learned_ns,
        valid_ns=valid_ns,
        source=said.type,
        source_seq=seq,
    )


def _is_past(old: Held, valid_ns: int, learned_ns: int) -> bool:
    """A message from before what we have."""
    if old.source == REST and learned_ns < old.learned_ns - CACHE_NS:
        return True
    return valid_ns < old.valid_ns and learned_ns <= old.learned_ns


def _patched(old: Security | None, exchange: str, sym: str, patch: Patch) -> Security:
    base = old or Security(exchange=exchange, sym=sym, status="unknown", active=False)
    links = msgspec.structs.replace(base.links, **patch.links)
    return msgspec.structs.replace(base, **patch.fields, links=links)


def gone(old: Held, learned_ns: int, known_ns: int) -> Outcome:
    """The exchange names all that exist, and not this one."""
    new = msgspec.structs.replace(old.instrument, status=DELISTED, active=False)
    return _change(
        old, new, known_ns=known_ns, learned_ns=learned_ns, valid_ns=learned_ns, source=REST
    )


def _change(
    old: Held | None,
    new: Security,
    *,
    known_ns: int,
    learned_ns: int,
    valid_ns: int,
    source: str,
    source_seq: int | None = None,
    raw_sha256: str | None = None,
) -> Outcome:
    changed: Mapping[str, tuple[Any, Any]] = {}
    if old is not None:
        changed = difference(old.instrument, new)
        if not changed:
            return "same"
    return Change(
        kind="added" if old is None else "changed",
        number=1 if old is None else old.number + 1,
        known_ns=known_ns,
        learned_ns=learned_ns,
        valid_ns=valid_ns,
        source=source,
        source_seq=source_seq,
        raw_sha256=raw_sha256,
        changed=changed,
        instrument=new,
    )
