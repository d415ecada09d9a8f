"""Rows of a query as plain values, for JSON and CSV."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from ssmd.query.engine import Connection, Relation

AT_ONCE: Final = 5_000
"""Rows that are held in Python."""


def rows(connection: Connection, found: Relation) -> Iterator[dict[str, Any]]:
    """With decimals as text, those that fit no column among them."""
    found.create_view("exported")
    result = connection.execute("SELECT * FROM exported")
    names = [column[0] for column in result.description]
    while some := result.fetchmany(AT_ONCE):
        for values in some:
            row = {name: _text(value) for name, value in zip(names, values, strict=True)}
            unfit = row.pop("unfit", None)
            if unfit:
                row |= msgspec.json.decode(unfit)
            yield row


def _text(value: Any) -> Any:
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").removesuffix(".") if "." in text else text
    if isinstance(value, list):
        return [[_text(level["price"]), _text(level["size"])] for level in value]
    return value
