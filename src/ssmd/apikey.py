"""API keys of ``ssmd serve``: how one is made, what is stored of it, and what it allows.

A key is ``ssmd_<id>_<secret>``; the secret has 256 random bits. Only its SHA-256 is stored: what
nobody can guess needs no slow hash, and each request is checked.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final, Literal, get_args

from msgspec import Struct

Scope = Literal["read", "live", "sql", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
_KEY: Final = re.compile(r"ssmd_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)


class ApiKey(Struct, kw_only=True, frozen=True):
    """What is stored of a key. ``feeds`` () is every feed; the days bound the data it may read."""

    id: str
    sha256: str
    name: str
    scopes: Sequence[Scope] = ("read",)
    feeds: Sequence[str] = ()
    from_day: date | None = None
    to_day: date | None = None
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def state(self, now: datetime) -> Literal["valid", "expired", "revoked"]:
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"

    def opens(self, secret: str) -> bool:
        """Whether that is the key's secret, in constant time."""
        return hmac.compare_digest(self.sha256, sha256(secret))


def bucket(env: str) -> str:
    """The key-value bucket that holds the keys of an environment."""
    return f"{env}_apikeys"


def mint() -> tuple[str, str]:
    """A new id, and its secret."""
    return secrets.token_hex(6), secrets.token_urlsafe(32)


def text(id_: str, secret: str) -> str:
    """The key as it is sent."""
    return f"ssmd_{id_}_{secret}"


def parse(key: str) -> tuple[str, str] | None:
    """Id and secret; None where it is no key of this kind."""
    found = _KEY.fullmatch(key)
    return (found[1], found[2]) if found else None


def sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def now() -> datetime:
    return datetime.now(UTC)
