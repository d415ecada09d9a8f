"""What a client of Kalshi asks for, and with which error code it is refused."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

LIFECYCLE: Final = "market_lifecycle_v2"
MARKET_CHANNELS: Final = frozenset({"ticker", "trade", "orderbook_delta"})
_QUIET_CHANNELS: Final = frozenset(
    [
        "multivariate_market_lifecycle",
        "fill",
        "market_positions",
        "user_orders",
        "order_group_updates",
        "communications",
        "cfbenchmarks_value",
        "cfbenchmarks_value_5hz",
        "pyth_value",
    ]
)
CHANNELS: Final = MARKET_CHANNELS | _QUIET_CHANNELS | {LIFECYCLE}
ERRORS: Final = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    26: "Market limit exceeded",
}
Params = Mapping[str, Any]


class Refusal(Exception):
    """A command that cannot be obeyed: the venue's code, the sid it concerns, more facts."""

    def __init__(self, code: int, sid: int | None = None, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.sid = sid
        self.more = more

    def frame(self, request: int) -> bytes:
        sid = {} if self.sid is None else {"sid": self.sid}
        msg = {"code": self.code, "msg": ERRORS[self.code], **self.more}
        return msgspec.json.encode(with_id({"type": "error", **sid, "msg": msg}, request))


def with_id(body: dict[str, Any], request: int) -> dict[str, Any]:
    """The body under the command's id; id 0 is none."""
    return {"id": request, **body} if request else body


def command(frame: bytes) -> Params:
    try:
        found = msgspec.json.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refusal(1) from None
    if not isinstance(found, dict):
        raise Refusal(1)
    return found


def channels(params: Params) -> list[str]:
    named = params.get("channels")
    if not isinstance(named, list) or not named:
        raise Refusal(3)
    if not all(isinstance(channel, str) and channel in CHANNELS for channel in named):
        raise Refusal(8)
    return named


def tickers(params: Params) -> list[str]:
    """``market_ticker`` or ``market_tickers``, not both; each once."""
    one, many = params.get("market_ticker"), params.get("market_tickers")
    if one is not None and many is not None:
        raise Refusal(11)
    named = [one] if one is not None else many or []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise Refusal(11)
    return list(dict.fromkeys(named))


def sids(params: Params) -> list[int]:
    """``sid`` or ``sids``; what is no number is -1, which no subscription has."""
    one, many = params.get("sid"), params.get("sids")
    named = [one] if one is not None else many
    if not isinstance(named, list) or not named:
        raise Refusal(4)
    return list(dict.fromkeys(sid if type(sid) is int else -1 for sid in named))
