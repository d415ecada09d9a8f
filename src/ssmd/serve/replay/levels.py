"""Levels of a book with the digits that the exchange sent."""

from collections.abc import Iterable
from decimal import Decimal


def plain(number: Decimal) -> str:
    """All digits, zeros included, and no exponent."""
    return f"{number:f}"


def pairs(levels: Iterable[tuple[Decimal, Decimal]], form: str) -> str:
    """A JSON list of levels, each written as ``form`` says."""
    return "[" + ",".join(form % (plain(price), plain(size)) for price, size in levels) + "]"
