"""Rows -> Arrow, exactly: a decimal that the column cannot hold is NULL and stands in ``unfit``, as
in the tables of the archive. Imported late."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
from msgspec import Raw

from ssmd.query.tables import DECIMAL, DIGITS_AFTER, DIGITS_BEFORE, LEVELS

Row = dict[str, Any]

_DECIMAL: Final = pa.decimal128(38, 18)
_LEVELS: Final = pa.list_(pa.struct([("price", _DECIMAL), ("size", _DECIMAL)]))
_TYPES: Final = {
    "VARCHAR": pa.string(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(),
    DECIMAL: _DECIMAL, LEVELS: _LEVELS, "VARCHAR[]": pa.list_(pa.string()),
}  # fmt: skip
_FITS: Final = re.compile(rf"-?\d{{1,{DIGITS_BEFORE}}}(?:\.\d{{1,{DIGITS_AFTER}}})?").fullmatch


def schema(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])


def batch(rows: Sequence[Raw], columns: Mapping[str, str]) -> pa.RecordBatch:
    """Rows as JSON -> one batch of these columns."""
    found = msgspec.json.decode(b"[" + b",".join(rows) + b"]", type=list[Row])
    unfit: list[Row] = [{} for _ in found]
    arrays = [_array(name, kind, found, unfit) for name, kind in columns.items() if name != "unfit"]
    if "unfit" in columns:
        texts = [msgspec.json.encode(one).decode() if one else None for one in unfit]
        arrays.append(pa.array(texts, pa.string()))
    return pa.record_batch(arrays, schema=schema(columns))


def _array(name: str, kind: str, rows: list[Row], unfit: list[Row]) -> pa.Array:
    values = [row.get(name) for row in rows]
    if kind == DECIMAL:
        return _decimals(_fitting(name, values, unfit, _fits))
    if kind == "BIGINT":
        return pa.array(_fitting(name, values, unfit, _is_int), pa.int64())
    if kind == LEVELS:
        return _levels(name, values, unfit)
    return pa.array(values, _TYPES[kind])


def _fits(value: Any) -> bool:
    return isinstance(value, str) and _FITS(value) is not None


def _is_int(value: Any) -> bool:
    return isinstance(value, int)


def _fitting(name: str, values: list[Any], unfit: list[Row], fits: Any) -> list[Any]:
    """Those that fit; the others as None, and among what does not fit."""
    for at, value in enumerate(values):
        if value is not None and not fits(value):
            unfit[at][name] = value
            values[at] = None
    return values


def _decimals(texts: list[str | None]) -> pa.Array:
    return pa.array(texts, pa.string()).cast(_DECIMAL)


def _levels(name: str, books: list[Any], unfit: list[Row]) -> pa.Array:
    prices: list[str | None] = []
    sizes: list[str | None] = []
    ends: list[int | None] = [0]
    for at, levels in enumerate(books):
        if levels is None:
            ends[-1:] = [None, len(prices)]
            continue
        if not all(_fits(text) for level in levels for text in level):
            unfit[at][name] = levels
        prices += [price if _fits(price) else None for price, _ in levels]
        sizes += [size if _fits(size) else None for _, size in levels]
        ends.append(len(prices))
    flat = pa.StructArray.from_arrays([_decimals(prices), _decimals(sizes)], ["price", "size"])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat).cast(_LEVELS)


def shaped(table: pa.Table, *, floats: bool, times: bool) -> pa.Table:
    """``floats``: decimals as doubles. ``times``: each column ``x_ns`` as ``x``, in UTC."""
    for at, field in enumerate(table.schema):
        column = table.column(at)
        if floats and field.type == _DECIMAL:
            table = table.set_column(at, field.name, column.cast(pa.float64()))
        elif floats and field.type == _LEVELS:
            doubles = pa.list_(pa.struct([("price", pa.float64()), ("size", pa.float64())]))
            table = table.set_column(at, field.name, column.cast(doubles))
        elif times and field.name.endswith("_ns"):
            stamps = column.cast(pa.timestamp("ns", "UTC"))
            table = table.set_column(at, field.name.removesuffix("_ns"), stamps)
    return table


def to_pandas(table: pa.Table) -> Any:
    """As a data frame of pandas, with no integer made a double on the way."""
    import pandas as pd

    def kind(type_: pa.DataType) -> Any:
        if pa.types.is_int64(type_):
            return pd.Int64Dtype()
        if pa.types.is_boolean(type_):
            return pd.BooleanDtype()
        if pa.types.is_decimal(type_) or pa.types.is_list(type_):
            return pd.ArrowDtype(type_)
        return None

    return table.to_pandas(types_mapper=kind)
