"""What an environment of simulated exchanges needs: a port, a key pair, and variables for both."""

import socket
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from ssmd import keys
from ssmd.config import Config, feed_variable
from ssmd.config.secret import split

SIGNED = "kalshi"
"""The exchange whose handshake is signed."""


class Plan(Struct, frozen=True):
    """How to start ``ssmd sim``, and what the roles need to know of it."""

    port: int
    arguments: list[str]
    variables: dict[str, str]


def plan(config: Config, data: Path, rate: str) -> Plan:
    """On the port that the environment names, else on a free one."""
    named = {urlsplit(feed.endpoint).port for feed in config.feeds.values()}
    first = min((port for port in named if port), default=0)
    port = first if first and is_free(first) else free_port()
    variables: dict[str, str] = {} if named == {port} else _moved(config, port)
    arguments = ["sim", "--port", str(port), "--rate", rate, "--data", str(data)]
    exchanges = dict.fromkeys(feed.exchange for feed in config.feeds.values())
    for exchange in exchanges:
        arguments += ["--exchange", exchange]
    if SIGNED in exchanges:
        private, public = keys.make(data / "sim")
        arguments += ["--kalshi-public-key", str(public)]
        variables |= _key_variables(config, private)
    return Plan(port, arguments, variables)


def _key_variables(config: Config, private: Path) -> dict[str, str]:
    """The simulator's key in the place of one that the person's own variables may hold."""
    variables: dict[str, str] = {}
    for feed in config.feeds.values():
        if feed.exchange != SIGNED or feed.key is None:
            continue
        scheme, places = split(feed.key)
        for field, place in zip(feed.key.fields, places, strict=True):
            if scheme == "env" and field == "private_key":
                variables |= {place: "", f"{place}_FILE": str(private)}
            elif scheme == "env":
                variables[place] = "sim"
    return variables


def _moved(config: Config, port: int) -> dict[str, str]:
    """Variables that point the feeds at the simulator's other port."""
    variables = {}
    for feed in config.feeds.values():
        for suffix, url in (("ENDPOINT", feed.endpoint), ("REST_ENDPOINT", feed.rest_endpoint)):
            moved = urlsplit(url)._replace(netloc=f"127.0.0.1:{port}")
            variables[feed_variable(feed.name, suffix)] = urlunsplit(moved)
    return variables


def is_free(port: int) -> bool:
    """Whether something of ours could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
