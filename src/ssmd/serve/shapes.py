"""JSON schemas of the rows of tables, read off their columns."""

from collections.abc import Mapping
from typing import Any, Final

DECIMAL: Final = "DECIMAL(38,18)"
_NULL: Final = {"type": "null"}
_TEXT: Final = {"type": "string"}
_AMOUNT: Final = {"type": "string", "description": "exact, in decimal digits"}
_LEVEL: Final = {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}
_BARS: Final = {
    "feed": "VARCHAR", "sym": "VARCHAR", "start_ns": "BIGINT", "open": DECIMAL, "high": DECIMAL,
    "low": DECIMAL, "close": DECIMAL, "volume": DECIMAL, "vwap": "DOUBLE", "count": "BIGINT",
    "buy_volume": DECIMAL, "sell_volume": DECIMAL,
}  # fmt: skip


def page_schema(table: str) -> dict[str, Any]:
    """A page of a table's rows."""
    # Imported late: it is the only thing here that needs the engine.
    from ssmd.query.tables import FACTS, TABLES

    columns: Mapping[str, str] = {"bars": _BARS, **TABLES, **FACTS}[table]
    return page_of({name: _column(kind) for name, kind in columns.items() if name != "unfit"})


def page_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "rows": {"type": "array", "items": row_of(columns)},
            "next": {"anyOf": [_TEXT, _NULL], "description": "the cursor of what comes after"},
            "holes": {"type": "array", "items": {"type": "object"}},
        },
        "required": ["rows", "next", "holes"],
    }


def row_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(columns), "required": list(columns)}


def _column(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "VARCHAR": _TEXT,
        "BIGINT": {"type": "integer"},
        "DOUBLE": {"type": "number"},
        "BOOLEAN": {"type": "boolean"},
        DECIMAL: _AMOUNT,
    }.get(kind, {"type": "array", "items": _LEVEL})
    return {"anyOf": [found, _NULL]}
