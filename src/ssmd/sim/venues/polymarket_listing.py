"""Which markets the simulated Polymarket lists, by number, and what it calls them."""

import re
from typing import Final

TICK: Final = "0.01"
_TOKENS: Final = 10**60
_CONDITION: Final = re.compile(r"0x[0-9a-f]{64}")
_ASSET: Final = re.compile(r"[0-9]{61,78}")


def index_of(name: str) -> int | None:
    """The market that a condition or asset id means; None where no market can be called so."""
    if _CONDITION.fullmatch(name):
        return int(name, 16) - 1
    asset = int(name) if _ASSET.fullmatch(name) else 0
    return (asset - _TOKENS) // 2 if asset >= _TOKENS else None


def token(index: int, side: int) -> str:
    """The asset id of an outcome: 0 is Yes."""
    return str(_TOKENS + 2 * index + side)


def outcome(asset: str) -> int:
    return int(asset) % 2


def condition(index: int) -> str:
    return f"0x{index + 1:064x}"


def question(index: int) -> str:
    return f"Simulated question {index}?"
