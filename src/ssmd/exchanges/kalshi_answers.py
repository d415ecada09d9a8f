"""Kalshi: what the exchange answers to commands."""

from typing import Final

import msgspec
from msgspec import Struct

from ssmd.exchanges.base import Answer

ACKS: Final = frozenset({"subscribed", "unsubscribed", "ok"})
LOST: Final = frozenset({10, 25})
"""Channel error and subscription buffer overflow: the subscription is over, messages are lost."""
FATAL: Final = frozenset({2, 3, 5, 8, 9, 11, 14})
"""The same command will be refused again."""


class AckMsg(Struct, gc=False):
    channel: str | None = None
    sid: int | None = None
    code: int | None = None
    msg: str | None = None
    market_ticker: str | None = None
    market_tickers: list[str] | None = None


class Ack(Struct, gc=False):
    type: str | None = None
    id: int | None = None
    sid: int | None = None
    msg: AckMsg | None = None

    @property
    def grp(self) -> str | None:
        """The sid; the frame ``subscribed`` names it further in."""
        sid = self.sid if self.sid is not None or self.msg is None else self.msg.sid
        return None if sid is None else str(sid)

    @property
    def ends(self) -> bool:
        """The sid that it names is over."""
        lost = self.type == "error" and self.msg is not None and self.msg.code in LOST
        return lost or self.type == "unsubscribed"


_ack = msgspec.json.Decoder(Ack).decode


def decode_ack(frame: bytes) -> Ack | None:
    """The answer in a frame; None where the frame is none."""
    try:
        ack = _ack(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return ack if ack.type in ACKS or ack.type == "error" else None


def answers(frame: bytes) -> list[Answer]:
    ack = decode_ack(frame)
    if ack is None:
        return []
    msg = ack.msg or AckMsg()
    failed = ack.type == "error"
    # An ``ok`` lists all markets that the sid has by then, not those of the command.
    return [
        Answer(
            outcome="error" if failed else "ok",
            request_id=ack.id,
            channel=msg.channel,
            symbols=(msg.market_ticker,) if msg.market_ticker else (),
            grp=ack.grp,
            message=f"{msg.code}: {msg.msg}" if failed else None,
            fatal=failed and msg.code in FATAL,
            lost=failed and msg.code in LOST,
        )
    ]
