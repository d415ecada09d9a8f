"""How much a caller may ask for: ``600/min``."""

import re
from typing import Final, NamedTuple

from ssmd.errors import ConfigError

_SECONDS: Final = {"s": 1, "min": 60, "h": 3600}


class Rate(NamedTuple):
    """``quota`` is what may be asked for at once; it grows back within ``window_s``."""

    quota: int
    window_s: int


def rate_of(text: str) -> Rate | None:
    """None for 0: no limit. Raises ConfigError."""
    if text == "0":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,8})/(s|min|h)", text, re.ASCII)
    if found is None:
        raise ConfigError(
            f"{text!r} is no rate limit", hint="such as 100/s, 6000/min or 50000/h; 0 is none"
        )
    return Rate(int(found[1]), _SECONDS[found[2]])
