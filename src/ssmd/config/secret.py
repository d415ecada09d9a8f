"""Secrets by reference: from variables and files, never out of a configuration file."""

import os
import re
from pathlib import Path

from ssmd.config.model import Key
from ssmd.errors import KeyFault

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PLATFORM = ("sealed-secret", "vault")


def secrets(key: Key) -> dict[str, str]:
    """Field -> secret of a key. Raises KeyFault naming what is missing, never a value.

    ``env:A,B`` reads variables, in the order of the key's fields; where a variable is not set,
    ``A_FILE`` names a file that holds the secret. ``file:A,B`` reads files.
    """
    fault = source_fault(key)
    if fault is not None:
        raise KeyFault(f"the key's source {fault}", hint="write it as env:VARIABLE or file:PATH")
    scheme, places = split(key)
    if scheme in PLATFORM:
        raise KeyFault(
            f"keys from {scheme}: are put into variables or files by the platform",
            hint="use env: or file: for the key's source on this machine",
        )
    read_one = _from_variable if scheme == "env" else _from_file
    return {field: read_one(place) for field, place in zip(key.fields, places, strict=True)}


def split(key: Key) -> tuple[str, list[str]]:
    """The scheme of a key's source, and its places in the order of the key's fields."""
    scheme, _, rest = key.source.partition(":")
    return scheme, [place.strip() for place in rest.split(",")]


def source_fault(key: Key) -> str | None:
    """What is wrong with the way a key's source is written; shows nothing of it, as a secret may
    have been pasted in."""
    scheme, places = split(key)
    if ":" not in key.source or scheme not in ("env", "file", *PLATFORM):
        return "must begin with env:, file:, sealed-secret: or vault:"
    if not all(places):
        return "has an empty place"
    if scheme == "sealed-secret" and not all(places[0].partition("/")[::2]):
        return "must be sealed-secret:namespace/name"
    if scheme in PLATFORM:
        return None
    if len(places) != len(key.fields):
        return f"has {len(places)} places, and the key {len(key.fields)} fields"
    if scheme == "env" and not all(_VARIABLE.fullmatch(place) for place in places):
        return "must list names of variables after env:"
    return None


def _from_variable(name: str) -> str:
    value = os.environ.get(name)
    if value:
        return value
    file = os.environ.get(f"{name}_FILE")
    if file:
        return _read(file, f"the file that {name}_FILE names", f"set {name}_FILE")
    raise KeyFault(f"{name} is not set", hint=f"set {name}, or {name}_FILE to a file that holds it")


def _from_file(name: str) -> str:
    return _read(name, f"the secret in {name}", "point the key's source")


def _read(path: str, what: str, remedy: str) -> str:
    # The path of a variable is not shown: it may be a secret put into the wrong one.
    hint = f"{remedy} to a text file that holds the secret and that you may read"
    try:
        value = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise KeyFault(f"cannot read {what}: {error.strerror}", hint=hint) from None
    except ValueError:
        raise KeyFault(f"cannot read {what}: not text", hint=hint) from None
    if not value:
        raise KeyFault(f"cannot read {what}: it is empty", hint=hint)
    return value
