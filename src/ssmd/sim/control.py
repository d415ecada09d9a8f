"""``/_sim/faults``: what goes wrong, over HTTP."""

from typing import TYPE_CHECKING

import msgspec

from ssmd.errors import ConfigError, SsmdError
from ssmd.sim.faults import USAGE, from_fields, parse
from ssmd.sim.line import Ask
from ssmd.sim.venues.base import Reply

if TYPE_CHECKING:
    from ssmd.sim.server import Simulator


def control(simulator: "Simulator", ask: Ask, below: str) -> Reply:
    """``GET``: the faults and what they did; ``POST``: one more or a list of them, as objects or
    as ``--fault`` takes them; ``DELETE``: none."""
    if below != "/faults":
        return Reply(404, b'{"error":"not found"}')
    try:
        if ask.method == "POST":
            _inject(simulator, ask.body)
        elif ask.method == "DELETE":
            simulator.clear()
        elif ask.method != "GET":
            return Reply(405, b'{"error":"method not allowed"}')
    except SsmdError as error:
        return Reply(400, msgspec.json.encode({"error": error.as_dict()}))
    content = {
        "faults": [active.as_dict() for active in simulator.faults],
        "events": list(simulator.ledger.events),
    }
    return Reply(200, msgspec.json.encode(content))


def _inject(simulator: "Simulator", body: bytes) -> None:
    """All or none. Raises ConfigError and NotFound."""
    try:
        asked = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ConfigError("the faults are not JSON", hint=f"send one or a list; {USAGE}") from None
    some = asked if type(asked) is list else [asked]
    faults = [parse(one) if type(one) is str else from_fields(one) for one in some]
    for fault in faults:
        simulator.concerned(fault)
    for fault in faults:
        simulator.inject(fault)
