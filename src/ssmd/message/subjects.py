"""Where messages go on the bus: subjects and streams."""

import hashlib
import re
from typing import Final
from urllib.parse import unquote

from ssmd.errors import ContractError

NO_SYMBOL: Final = "_"
MAX_TOKEN_BYTES: Final = 512
_UNSAFE = re.compile(r"[^A-Za-z0-9_\-]")
_SHORTENED: Final = "%-"
"""No escape looks so."""


def escape_token(token: str) -> str:
    """Any text -> one NATS subject token, reversible by ``unescape_token``.

    Percent-encoding of the UTF-8 of all but ``A-Z a-z 0-9 _ -``; dots, spaces, wildcards and
    control characters cannot come through. Empty text is ``%``; a lone ``_`` is ``%5F``, so that
    it differs from "no symbol". What gets longer than ``MAX_TOKEN_BYTES`` (NATS ends a connection
    over a command line of 4,096) is its beginning, ``%-`` and the SHA-256 of the whole: always the
    same, and different for different texts, but not to be read back. The message has it whole.
    """
    if not token:
        return "%"
    if token == NO_SYMBOL:
        return "%5F"
    escaped = token if token.isascii() and token.isalnum() else _UNSAFE.sub(_percent, token)
    return escaped if len(escaped) <= MAX_TOKEN_BYTES else _shorten(token)


def _shorten(token: str) -> str:
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
    room = MAX_TOKEN_BYTES - len(_SHORTENED) - len(digest)
    start = ""
    for sign in token[:room]:
        piece = _UNSAFE.sub(_percent, sign)
        if len(start) + len(piece) > room:
            break
        start += piece
    return f"{start}{_SHORTENED}{digest}"


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogatepass"))


def unescape_token(token: str) -> str:
    """The text of a subject token; of a shortened one, the text that stands for it."""
    if token == "%":
        return ""
    return unquote(token, errors="surrogatepass")


def subject(env: str, feed: str, type_: str, sym: str | None) -> str:
    """``{env}.{feed}.json.{type}.{symbol}``; the symbol of a message without one is ``_``."""
    symbol = NO_SYMBOL if sym is None else escape_token(sym)
    return f"{escape_token(env)}.{escape_token(feed)}.json.{escape_token(type_)}.{symbol}"


def parse_subject(text: str) -> tuple[str, str, str, str | None]:
    """``(env, feed, type, symbol or None)`` of a subject, except where ``escape_token`` had to
    shorten one; raises ContractError."""
    tokens = text.split(".")
    if len(tokens) != 5 or tokens[2] != "json":
        raise ContractError(f"not a subject of ssmd: {text}")
    try:
        env, feed, type_ = (unescape_token(tokens[i]) for i in (0, 1, 3))
        return env, feed, type_, None if tokens[4] == NO_SYMBOL else unescape_token(tokens[4])
    except UnicodeDecodeError as error:
        raise ContractError(f"not a subject of ssmd: {text}") from error


def stream_name(env: str, feed: str) -> str:
    """``{ENV}_{FEED}``: the JetStream stream that holds one feed of one environment."""
    return f"{escape_token(env)}_{escape_token(feed)}".upper()


def feed_subjects(env: str, feed: str) -> str:
    """The subjects of one feed, as a NATS wildcard."""
    return f"{escape_token(env)}.{escape_token(feed)}.json.>"
