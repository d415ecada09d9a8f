"""From where an address can be reached."""

import ipaddress

from ssmd.errors import ConfigError


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
