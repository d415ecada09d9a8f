"""What goes wrong, the same with a server and without: subclasses of SsmdError by code."""

from functools import cache
from typing import Final

from ssmd import errors
from ssmd.errors import SsmdError


class BadRequest(SsmdError):
    """Something that cannot be asked."""

    code = "bad_request"


class Unauthorized(SsmdError):
    """There is no key, or it is wrong."""

    code = "unauthorized"


class Forbidden(SsmdError):
    """The key is not for that."""

    code = "forbidden"


class TooMany(SsmdError):
    """The server's rate limit."""

    code = "too_many"


class Overloaded(SsmdError):
    """The server reads for as many as it can."""

    code = "overloaded"


class TooLong(SsmdError):
    """More than one request may take: ask for less time at once."""

    code = "timeout"


class Unreachable(SsmdError):
    """Nobody answers there, or what answers is not ``ssmd serve``."""

    code = "unreachable"


class NeedsServer(SsmdError):
    """What an archive alone cannot tell."""

    code = "needs_server"


class Missing(SsmdError):
    """A library that the answer was asked in is not installed."""

    code = "missing_library"


class Refused(SsmdError):
    """An error of the server with a code that this client does not know."""

    code = "refused"


class Incomplete(UserWarning):
    """What was asked for could not all be read: ``holes`` of the result names what is missing."""


_KNOWN: Final[dict[str, type[SsmdError]]] = {
    kind.code: kind
    for kind in (
        *(kind for kind in vars(errors).values() if isinstance(kind, type)),
        *(BadRequest, Unauthorized, Forbidden, TooMany, Overloaded, TooLong),
    )
    if issubclass(kind, SsmdError) and kind is not SsmdError
}


def of_code(code: str) -> type[SsmdError]:
    """The class with this code."""
    return _KNOWN.get(code) or _unknown(code)


@cache
def _unknown(code: str) -> type[SsmdError]:
    return type("Refused", (Refused,), {"code": code})
