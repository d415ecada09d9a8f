"""The exported schemas: what they accept, and that the registered ones are these."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from ssmd import message
from ssmd.config import Schema, read
from ssmd.exchanges import EXCHANGES
from ssmd.meta.compat import compatibility
from ssmd.meta.export import EXPORTED, schema_text

ROOT = Path(__file__).parents[2] / "config"
FRAMES = {
    "kraken": b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy",'
    b'"price":7.1,"qty":1.0,"ord_type":"market","trade_id":1,'
    b'"timestamp":"2026-11-23T12:00:00.000001Z"}]}',
    "kraken_futures": b'{"feed":"trade","product_id":"PF_XBTUSD","uid":"a","side":"sell",'
    b'"type":"fill","seq":1,"time":1763899200000,"qty":1.5,"price":90000}',
}


@pytest.mark.parametrize("name", EXPORTED)
def test_the_registered_schema_is_the_exported_one(name: str) -> None:
    """Where this fails, the contract has changed: add a version of the schema (`ssmd meta schema
    add-version`), and let the environments name it."""
    schema = read(ROOT, "schemas", name, Schema)
    latest = max(schema.versions, key=lambda version: version.effective_from)
    file = ROOT / "schemas" / (latest.schema_file or schema.schema_file)
    text = file.read_text(encoding="utf-8")
    found = compatibility(json.loads(text), json.loads(schema_text(name)))
    assert found.changes == ()
    assert text == schema_text(name)
    assert latest.hash == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", EXPORTED)
def test_it_is_a_valid_schema_of_its_dialect(name: str) -> None:
    Draft202012Validator.check_schema(json.loads(schema_text(name)))


@pytest.mark.parametrize("exchange", FRAMES)
def test_messages_and_records_are_what_the_schemas_describe(exchange: str) -> None:
    frame = FRAMES[exchange]
    header = EXCHANGES[exchange].classify(frame)
    entry = message.Message(
        feed="f", conn="c", n=1, recv_ns=1, mono_ns=1, type=header.type, sym=header.sym or "S",
        raw=msgspec.Raw(frame),
    )  # fmt: skip
    line = message.encode(entry)
    _valid("message", json.loads(line))
    records = list(EXCHANGES[exchange].records(message.decode(line)))
    assert records
    for record in records:
        _valid("record", json.loads(msgspec.json.encode(record)))


def _valid(name: str, document: Any) -> None:
    Draft202012Validator(json.loads(schema_text(name))).validate(document)
