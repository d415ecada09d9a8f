"""What can be known of a key without showing it: is each part there, safe, sound, and how old?"""

import os
import stat
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ssmd.config import Key
from ssmd.config.secret import PLATFORM, split

State = Literal["ok", "missing", "faulty", "unverifiable"]
_PEM = b"-----BEGIN"


class Part(Struct, frozen=True):
    """One field of a key. ``text`` never holds its value."""

    field: str
    place: str
    state: State
    text: str


class Status(Struct, frozen=True):
    name: str
    type: str
    required: bool
    source: str
    parts: list[Part]
    warnings: list[str]

    @property
    def state(self) -> State:
        """The worst of its parts."""
        order: tuple[State, ...] = ("missing", "faulty", "unverifiable")
        states = {part.state for part in self.parts}
        return next((state for state in order if state in states), "ok")


def status(name: str, key: Key, committed: date | None = None) -> Status:
    """``committed``: when the key's entry last changed in Git."""
    scheme, places = split(key)
    if scheme in PLATFORM:
        text = f"not verifiable here: {scheme} belongs to the platform"
        parts = [Part(field, places[0], "unverifiable", text) for field in key.fields]
    else:
        prove = _variable if scheme == "env" else _file
        pairs = zip(key.fields, places, strict=True)
        parts = [Part(field, place, *prove(field, place)) for field, place in pairs]
    return Status(
        name, key.type, key.required, key.source, parts, _age(key, scheme, places, committed)
    )


def _variable(field: str, name: str) -> tuple[State, str]:
    value = os.environ.get(name)
    if value:
        fault = _content_fault(field, value.encode(errors="surrogateescape"))
        return ("faulty", f"{name} {fault}") if fault else ("ok", f"{name} is set")
    file = os.environ.get(f"{name}_FILE")
    if file:
        # The path is not shown: it may be the secret, put into the wrong variable.
        return _named_file(field, file, f"the file that {name}_FILE names")
    return "missing", f"{name} is not set" if value is None else f"{name} is empty"


def _file(field: str, path: str) -> tuple[State, str]:
    return _named_file(field, path, path)


def _named_file(field: str, path: str, what: str) -> tuple[State, str]:
    try:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            return "faulty", f"{what} is no file"
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return "missing", f"{what} does not exist"
    except (OSError, ValueError) as error:
        return "faulty", f"cannot read {what}: {getattr(error, 'strerror', None) or 'no path'}"
    if found.st_mode & stat.S_IROTH:
        return "faulty", f"{what} can be read by every user (chmod o= it)"
    fault = _content_fault(field, content)
    return ("faulty", f"{what} {fault}") if fault else ("ok", f"{what} is there")


def _content_fault(field: str, content: bytes) -> str | None:
    if not content.strip():
        return "is empty"
    try:
        content.decode("utf-8")
    except ValueError:
        return "is not text"
    if "private_key" in field or content.lstrip().startswith(_PEM):
        return _pem_fault(content.strip())
    return None


def _pem_fault(content: bytes) -> str | None:
    # Imported late: a tenth of a second that other commands need not wait for.
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    if b"CERTIFICATE-----" in content.partition(b"\n")[0]:
        try:
            x509.load_pem_x509_certificate(content)
        except ValueError:
            return "is no certificate in PEM"
        return None
    if b"PUBLIC KEY-----" in content.partition(b"\n")[0]:
        return "is a public key, where a private key belongs"
    try:
        serialization.load_pem_private_key(content, password=None)
    except TypeError:
        return "is a private key with a password, which ssmd cannot open"
    except Exception:
        # The library's texts may quote what was given.
        return "is no private key in PEM"
    return None


# --- age ----------------------------------------------------------------------------------------


def _age(key: Key, scheme: str, places: list[str], committed: date | None) -> list[str]:
    if key.rotation_days is None:
        return []
    made, how = _made(key, scheme, places, committed)
    if made is None:
        return [f"its age is not known (rotation every {key.rotation_days} days): set rotated_on"]
    days = (datetime.now(UTC).date() - made).days
    if days <= key.rotation_days:
        return []
    return [f"{days} days old {how}; to be rotated every {key.rotation_days} days"]


def _made(
    key: Key, scheme: str, places: list[str], committed: date | None
) -> tuple[date | None, str]:
    """When the secret was made, as far as that is known, and how."""
    if key.rotated_on is not None:
        return key.rotated_on, f"(rotated_on {key.rotated_on})"
    times = [_modified(place) for place in places] if scheme == "file" else []
    known = [moment for moment in times if moment is not None]
    if known:
        oldest = datetime.fromtimestamp(min(known), UTC).date()
        return oldest, f"(file of {oldest})"
    return committed, f"(entry committed {committed})"


def _modified(path: str) -> float | None:
    try:
        return Path(path).stat().st_mtime
    except (OSError, ValueError):
        return None
