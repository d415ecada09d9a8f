"""What must be so before a day is ACTIVE, read off the bus."""

import time
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from ssmd import message
from ssmd.bus import Bus
from ssmd.errors import BusError, ContractError
from ssmd.message import Message

ARCHIVER: Final = "archive"
"""The archiver's consumer: it reads a stream while the archiver lives."""
LIVE_S: Final = 150.0
"""A connector says a ``_clock`` each minute; one that said none for so long is not there."""


class Opening(Struct):
    """``problems`` keep the day from being ACTIVE; ``facts`` are what it begins with."""

    problems: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


async def look(bus: Bus, env: str, feed: str, config_hash: str) -> Opening:
    """Is the stream there, and is a connector alive; does it run this configuration. Raises
    BusError only where NATS does not answer."""
    found = Opening()
    stream = message.stream_name(env, feed)
    try:
        facts = await bus.stream_facts(stream)
    except BusError as error:
        found.problems.append(f"no stream: {error.message}")
        return found
    found.facts = {"last_seq": facts.last_seq, "config_hash": config_hash}
    clock = await _latest(bus, env, feed, "_clock")
    connect = await _latest(bus, env, feed, "_connect")
    if connect is None:
        found.problems.append("no connector has connected to the exchange")
    age_s = (time.time_ns() - clock.recv_ns) / 1e9 if clock is not None else None
    if age_s is None or age_s > LIVE_S:
        last = "never" if age_s is None else f"{age_s:.0f} s ago"
        found.problems.append(f"no connector is alive: its last sign was {last}")
    if connect is not None:
        _compare(found, connect, config_hash)
    return found


def _compare(found: Opening, connect: Message, config_hash: str) -> None:
    """A connector of some feeds only has another hash: a difference is a fact, and no problem."""
    facts = msgspec.json.decode(connect.payload)
    if isinstance(facts, dict):
        keys = ("ssmd_version", "schema", "config_hash", "host", "pid")
        found.facts["connector"] = {key: facts[key] for key in keys if key in facts}
        found.facts["same_config"] = facts.get("config_hash") == config_hash


async def _latest(bus: Bus, env: str, feed: str, type_: str) -> Message | None:
    subject = message.subject(env, feed, type_, None)
    payload = await bus.latest(message.stream_name(env, feed), subject)
    try:
        return message.decode(payload) if payload is not None else None
    except ContractError:
        return None
