"""From where an address can be reached."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from ssmd.errors import ConfigError

_ORIGIN: Final = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether an address or name can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_of(header: str) -> str:
    """The host of a ``Host`` header, without port and brackets."""
    host = header.rpartition(":")[0] if not header.endswith("]") and ":" in header else header
    return host.removeprefix("[").removesuffix("]")


def check_reach(host: str, *, keyed: bool) -> None:
    """Raises ConfigError where others could read without a key."""
    if not keyed and not is_loopback(host):
        raise ConfigError(
            f"serving on {host or 'every address'} needs a key",
            hint="set SSMD_API_KEY, use --require-key, or serve on 127.0.0.1",
        )


def check_origins(origins: Iterable[str]) -> None:
    """Raises ConfigError for what no browser sends as ``Origin``."""
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"{origin!r} is no origin",
                hint="name each page's scheme, host and port: https://charts.example",
            )


def same_place(origin: str, host: str) -> bool:
    """Whether an ``Origin`` and a ``Host`` header name one server."""
    try:
        named, here = urlsplit(origin), urlsplit(f"//{host}")
        usual = {"http": 80, "https": 443}[named.scheme]
        return (
            bool(named.hostname)
            and named.hostname == here.hostname
            and (named.port or usual) == (here.port or usual)
        )
    except (KeyError, ValueError):
        return False
