"""What a request that meets a fault gets in place of its answer."""

from typing import Final

import msgspec

from ssmd.sim.faults import Fault, over_s, status
from ssmd.sim.venues.base import Reply

_NO_JSON: Final = Reply(200, b"<html><body>Just a moment...</body></html>")


def failing(fault: Fault, answer: Reply) -> Reply | None:
    """What comes of a REST call; None: nothing, ever."""
    if fault.word == "hang":
        return None
    if fault.word == "garbage":
        return _NO_JSON
    if fault.word == "truncated":
        return msgspec.structs.replace(answer, truncated=True)
    slow_s = over_s(fault)
    if slow_s is not None:
        return msgspec.structs.replace(answer, over_s=slow_s)
    return refusal(fault, "503")


def refusal(fault: Fault, usual: str) -> Reply:
    """The answer with the status that a fault says."""
    code, after = status(fault, usual)
    headers = {} if after is None else {"Retry-After": after}
    return Reply(code, b'{"error":"out of order"}', headers)
