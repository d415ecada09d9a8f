"""Going on where an answer ended."""

from collections.abc import Sequence

from duckdb import ColumnExpression, ConstantExpression, Expression

from ssmd.query.engine import Relation


def place(rows: Relation, order: Sequence[str], values: Sequence[str | int]) -> Relation:
    """The rows that come after one, in the order of these columns, which hold no NULL."""
    columns = [ColumnExpression(name) for name in order]
    constants = [ConstantExpression(value) for value in values]
    wanted: Expression | None = None
    for depth, (column, constant) in enumerate(zip(columns, constants, strict=True)):
        term = column > constant
        for before, value in zip(columns[:depth], constants, strict=False):
            term = (before == value) & term
        wanted = term if wanted is None else wanted | term
    assert wanted is not None
    return rows.filter(wanted)
