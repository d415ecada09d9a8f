"""What an earlier process left behind."""

import contextlib
import logging
import time
from typing import Any

import msgspec

from ssmd import message
from ssmd.bus import Bus, StreamFacts
from ssmd.connect.gaps import Gap
from ssmd.connect.shard import Shard
from ssmd.connect.tape import Channel, Tape
from ssmd.errors import ContractError
from ssmd.exchanges.times import rfc3339_ns

log = logging.getLogger(__name__)


async def cut_off(
    bus: Bus, stream: StreamFacts, channel: Channel, control: Tape, shard: Shard
) -> list[Gap]:
    """Name the connections of a process of this shard that was killed: each may lack its last
    frames, and all that came since. The gaps are open: whoever captures again ends them."""
    last_ns = rfc3339_ns(stream.last_time)
    found = []
    for conn, opened_ns in (await _unfinished(bus, stream, channel, shard)).items():
        span: dict[str, Any] = {
            "conn": conn,
            "opened_ns": opened_ns,
            "found_ns": time.time_ns(),
        }
        control.note("_disconnect", {"cause": "killed", "clean": False, **span})
        found.append(channel.gaps.begin(control, "killed", from_ns=last_ns, **span))
        log.warning("%s: connection %s was cut off; noted as a gap", channel.feed, conn)
    return found


async def _unfinished(
    bus: Bus, stream: StreamFacts, channel: Channel, shard: Shard
) -> dict[str, int]:
    """Connections that were opened and never closed, and when they were opened."""
    opened: dict[str, int] = {}
    for type_ in ("_connect", "_disconnect"):
        pattern = message.subject(channel.env, channel.feed, type_, None)
        async for delivery in bus.messages(stream.name, pattern):
            with contextlib.suppress(ContractError):
                entry = message.decode(delivery.payload)
                facts = _facts(entry)
                if type_ == "_disconnect":
                    opened.pop(facts.get("conn", entry.conn), None)
                elif facts.get("shard", str(shard)) == str(shard):
                    opened[entry.conn] = entry.recv_ns
    return opened


def _facts(entry: message.Message) -> dict[str, Any]:
    """What a message of our own says; a ``_disconnect`` of a killed connection names it."""
    facts = msgspec.json.decode(entry.payload)
    return facts if isinstance(facts, dict) else {}
