"""Rows: exact decimals, whatever the digits; nothing lost, whatever the message."""

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmd.errors import ContractError
from ssmd.message import BookDelta, InstrumentStatus, Trade
from ssmd.query import engine
from ssmd.query.rows import fitting, message_row, record_row
from ssmd.query.tables import TABLES

FACTS: dict[str, Any] = {"feed": "kalshi", "recv_ns": 1, "conn": "c", "n": 1}
DECIMALS = st.decimals(allow_nan=True, allow_infinity=True) | st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-(10**20), 10**20),
    st.integers(-30, 10),
)


def through(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row as DuckDB holds it, out of a Parquet file."""
    with tempfile.TemporaryDirectory() as name, engine.opened(Path(name)) as connection:
        loader = engine.Loader(connection, Path(name), TABLES)
        loader.add(table, msgspec.json.encode(row))
        loader.finish()
        file = Path(name) / "rows [*?] 'x'.parquet"
        engine.write(connection.table(table), file)
        (values,) = engine.parquet(connection, [file]).fetchall()
    return dict(zip(TABLES[table], values, strict=True))


@settings(max_examples=60)
@given(price=DECIMALS, size=DECIMALS)
def test_a_decimal_is_exact_or_told_as_text(price: Decimal, size: Decimal) -> None:
    trade = Trade(**FACTS, sym="A", price=price, size=size)
    held = through("trades", record_row(trade, 5, 0))
    unfit = msgspec.json.decode(held["unfit"]) if held["unfit"] else {}
    for name, value in (("price", price), ("size", size)):
        if held[name] is None:
            assert Decimal(unfit[name]).compare_total(value) == 0
        else:
            assert name not in unfit
            assert held[name] == value


@given(value=DECIMALS)
def test_what_fits_has_no_exponent_and_is_the_same(value: Decimal) -> None:
    text = fitting(value)
    if text is not None:
        assert "E" not in text
        assert Decimal(text) == value
    elif value.is_finite():
        digits = value.normalize().as_tuple()
        assert isinstance(digits.exponent, int)
        assert value.adjusted() >= 15 or digits.exponent < -18


@pytest.mark.parametrize("text", ["1e999999", "-1e-999999", "0e99999", "NaN", "-Infinity", "1e-7"])
def test_numbers_of_every_kind(text: str) -> None:
    value = Decimal(text)
    found = fitting(value)
    assert found is None or Decimal(found) == value


@settings(max_examples=40)
@given(levels=st.lists(st.tuples(DECIMALS, DECIMALS), max_size=5))
def test_levels_keep_their_order_and_are_exact(levels: list[tuple[Decimal, Decimal]]) -> None:
    delta = BookDelta(**FACTS, sym="A", op="set", bids=levels)
    held = through("book_deltas", record_row(delta, 5, 0))
    if held["unfit"]:
        told = msgspec.json.decode(held["unfit"])["bids"]
        assert [tuple(map(str, level)) for level in levels] == [tuple(level) for level in told]
    else:
        assert [(level["price"], level["size"]) for level in held["bids"]] == levels


SYMBOLS = [
    "", "KX'; DROP TABLE trades; --", 'quo"te', "line\nbreak", "nul\x00byte", "é\u2028😀",
    "../../etc/passwd", "\x1b[31m", "{}", "%s", "a" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_any_symbol_comes_through(symbol: str) -> None:
    status = InstrumentStatus(**FACTS, sym=symbol, status=symbol)
    held = through("instrument_status", record_row(status, 5, 0))
    assert (held["sym"], held["status"]) == (symbol, symbol)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_message_keeps_its_bytes(symbol: str) -> None:
    raw = b'{"a": 1.500, "b":12345678901234567890, "s":' + msgspec.json.encode(symbol) + b"}"
    line = (
        b'{"nats_seq":7,"v":1,"feed":"kalshi","conn":"c","n":3,"recv_ns":9,"mono_ns":1,"type":"t",'
        b'"sym":' + msgspec.json.encode(symbol) + b',"raw":' + raw + b"}"
    )
    held = through("messages", message_row(line))
    assert held["raw"].encode() == raw
    assert (held["sym"], held["nats_seq"], held["message_type"]) == (symbol, 7, "t")


def test_an_integer_that_is_too_long_is_told_as_text() -> None:
    line = b'{"nats_seq":7,"conn":"c","n":3,"recv_ns":9,"type":"t","seq":%d}' % 2**70
    held = through("messages", message_row(line))
    assert held["seq"] is None
    assert msgspec.json.decode(held["unfit"]) == {"seq": str(2**70)}


def test_a_message_with_odd_fields_is_a_row_all_the_same() -> None:
    line = b'{"nats_seq":7,"conn":"c","n":3,"recv_ns":9,"type":"t","seq":"seven","raw":[1]}'
    assert message_row(line)["nats_seq"] == 7


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(ContractError):
        message_row(b'{"hello":1}')


def test_a_long_row_goes_through() -> None:
    line = b'{"nats_seq":7,"conn":"c","n":3,"recv_ns":9,"type":"t","raw":"%b"}' % (
        b"x" * 20_000_000
    )
    assert len(through("messages", message_row(line))["raw"]) == 20_000_002
