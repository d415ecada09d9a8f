"""Why a connection could not be opened, in one plain line, and whether a retry may help."""

import os
import re
import ssl
from datetime import UTC, datetime
from socket import gaierror

from picows import WSHandshakeError, WSInvalidURL

from ssmd.connect.retry import asked_s
from ssmd.errors import ExchangeError, ExchangeRefused

REFUSALS = frozenset({400, 401, 403, 404, 410})
"""Answers that the same request will get again."""
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})\b")
_SHOWN_CHARS = 200


def explain(url: str, error: Exception) -> ExchangeError:
    """What went wrong at opening, told apart into worth a retry and not."""
    where = url.partition("?")[0]
    if isinstance(error, WSInvalidURL):
        return ExchangeRefused(f"{where} is no WebSocket URL", hint="see the feed's endpoint")
    if isinstance(error, WSHandshakeError):
        return _explain_answer(where, error)
    if isinstance(error, ssl.SSLError):
        return _explain_tls(where, error)
    if isinstance(error, TimeoutError):
        return ExchangeError(f"{where} did not answer in time")
    return ExchangeError(f"cannot reach {where}: {_plainly(error)}")


def hung_up(url: str) -> ExchangeError:
    """The exchange ended the connection in the middle of the handshake."""
    where = url.partition("?")[0]
    return ExchangeError(f"{where} closed the connection before it answered")


def _explain_answer(where: str, error: WSHandshakeError) -> ExchangeError:
    # Off the bytes: picows reads no status that Python has no name for, as Cloudflare's 520s.
    answer = error.raw_header or b""
    status = _STATUS.match(answer)
    if status is None or status[1] == b"101":
        return ExchangeError(
            f"{where} does not speak WebSocket: {shown(str(error))}", hint="see the feed's endpoint"
        )
    after_s = asked_s(_field(answer, b"retry-after"), datetime.now(UTC))
    return explain_status(where, int(status[1]), after_s, _field(answer, b"location"))


def explain_status(where: str, status: int, after_s: float, target: str | None) -> ExchangeError:
    """What an HTTP answer other than the wanted one means."""
    if 300 <= status < 400:
        elsewhere = shown(target or "elsewhere")
        return ExchangeRefused(
            f"{where} redirects to {elsewhere} ({status}), which is not followed",
            hint="put the address it moved to into the feed's endpoint",
            retry_after_s=after_s,
        )
    if status in (401, 403):
        return ExchangeRefused(
            f"{where} refused us ({status})",
            hint="check the key of this feed, and the clock",
            retry_after_s=after_s,
        )
    if status in REFUSALS:
        return ExchangeRefused(
            f"{where} answered {status}", hint="see the feed's endpoint", retry_after_s=after_s
        )
    asks = f" and asks for {after_s:g} s of quiet" if after_s else ""
    return ExchangeError(f"{where} answered {status}{asks}", retry_after_s=after_s)


def _field(head: bytes, name: bytes) -> str | None:
    """A header field of an HTTP answer."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.decode(errors="replace").strip()
    return None


def _explain_tls(where: str, error: ssl.SSLError) -> ExchangeError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ExchangeError(
            f"TLS with {where} failed: {shown(error.verify_message)}",
            hint="SSL_CERT_FILE names a file of authorities to trust",
        )
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return ExchangeError(f"TLS with {where} failed: {shown(reason)}")


def _plainly(error: Exception) -> str:
    # The event loops put their own words into strerror; the resolver's are the better ones.
    if isinstance(error, OSError) and error.errno and not isinstance(error, gaierror):
        return os.strerror(error.errno)
    return shown((isinstance(error, OSError) and error.strerror) or str(error))


def shown(text: str) -> str:
    """Text of others, fit for one line of a log."""
    line = "".join(sign if sign.isprintable() else "?" for sign in text)
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]}…"
