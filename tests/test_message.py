"""The wire contract: byte-exact bodies, subjects that survive any symbol."""

import base64
import hashlib
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmd import message
from ssmd.errors import ContractError
from ssmd.message import Message

FACTS = {"feed": "kalshi", "conn": "c1", "n": 7, "recv_ns": 1, "mono_ns": 2, "type": "trade"}
LEGAL_TOKEN = re.compile(r"[A-Za-z0-9_%\-]+")


def stored(frame: bytes) -> Message:
    """The frame as it comes back from a line of the archive."""
    line = message.encode(Message(**FACTS, **message.body(frame)))
    archived = message.archive_line(42, line)
    assert archived.count(b"\n") == 1
    return message.decode_archived(archived[:-1])


@pytest.mark.parametrize(
    "frame",
    [
        b'{"a":12345678901234567890}',
        b'{"price":0.00100000,"qty":1E-9,"z":-0.0}',
        b'[{"a":1},{"b":[2]}]',
        b'{"a":"\xc3\xa9\\u00e9\\n"}',
        b'{"a" : 1 , "b":[ ]}',
        b"[]",
        b"null",
        b'{"a":1,"a":2}',
    ],
)
def test_json_is_kept_byte_for_byte(frame: bytes) -> None:
    back = stored(frame)
    assert back.payload == frame
    assert bytes(back.raw) == frame


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n", b"\r"])
def test_pretty_printed_json_loses_its_line_breaks_only(line_break: bytes) -> None:
    frame = line_break.join([b"{", b'  "a": "x\\ny",', b'  "b": 1.50', b"}"])
    assert stored(frame).payload == b'{  "a": "x\\ny",  "b": 1.50}'


@pytest.mark.parametrize(
    "frame", [b"PONG", b"", b"two\nlines\r\n", b'{"a":NaN}', b'{"a":1}{"b":2}', "é\u2028".encode()]
)
def test_text_that_is_not_json_is_kept_as_text(frame: bytes) -> None:
    back = stored(frame)
    assert back.raw is msgspec.UNSET
    assert back.payload == frame


def test_bytes_that_are_not_utf8_are_kept_and_marked() -> None:
    frame = b'{"name":"\xff\xfe"}'
    back = stored(frame)
    assert back.b64 == base64.b64encode(frame).decode()
    assert back.payload == frame


def test_deep_nesting_is_kept() -> None:
    frame = b"[" * 100_000 + b"]" * 100_000
    assert stored(frame).payload == frame


@given(st.binary(max_size=300))
def test_any_bytes_survive(frame: bytes) -> None:
    back = stored(frame)
    if back.raw is msgspec.UNSET:
        assert back.payload == frame
    else:
        assert back.payload == re.sub(rb"[\r\n]", b"", frame.strip(b" \t\r\n"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    )
)
def test_any_json_survives_as_raw(value: object) -> None:
    frame = msgspec.json.encode(value)
    assert bytes(stored(frame).raw) == frame


def test_elements_of_an_array_keep_their_bytes() -> None:
    frame = b' [ {"a":1.0}, 12345678901234567890 ,"x"]\n'
    assert message.split_array(frame) == [b'{"a":1.0}', b"12345678901234567890", b'"x"']
    assert message.split_array(b"[]") == []


@pytest.mark.parametrize("frame", [b'{"a":[1]}', b"[1,", b"PONG", b'["\xff"]', b"[" * 5000])
def test_what_is_no_array_is_not_split(frame: bytes) -> None:
    assert message.split_array(frame) is None


@given(
    *[st.text(st.characters(exclude_categories=["Cs"])) for _ in range(3)],
    st.none() | st.text(st.characters(exclude_categories=["Cs"])),
)
def test_subjects_survive_any_symbol(env: str, feed: str, type_: str, sym: str | None) -> None:
    text = message.subject(env, feed, type_, sym)
    assert message.parse_subject(text) == (env, feed, type_, sym)
    assert all(LEGAL_TOKEN.fullmatch(token) for token in text.split("."))


@given(st.text(), st.text())
def test_different_tokens_stay_different(one: str, other: str) -> None:
    assert (message.escape_token(one) == message.escape_token(other)) == (one == other)


def test_a_dotted_ticker_is_one_token() -> None:
    assert message.subject("prod", "kalshi", "trade", "KXBTC-26.T72999.99") == (
        "prod.kalshi.json.trade.KXBTC-26%2ET72999%2E99"
    )


@pytest.mark.parametrize("sign", ["A", "-", ".", " ", "\u20ac", "\ud800"])
@pytest.mark.parametrize("length", [1, 170, 171, 400, 511, 512, 513, 600, 100_000])
def test_a_token_stays_short_enough_for_nats(sign: str, length: int) -> None:
    token = "KX" + sign * length
    escaped = message.escape_token(token)
    assert LEGAL_TOKEN.fullmatch(escaped)
    assert len(escaped) <= message.MAX_TOKEN_BYTES
    assert escaped.startswith("KX")
    if "%-" in escaped:
        head, _, digest = escaped.partition("%-")
        assert token.startswith(message.unescape_token(head))
        assert digest == hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        assert len(escaped) > message.MAX_TOKEN_BYTES - 12
    else:
        assert message.unescape_token(escaped) == token


@given(st.text(min_size=500), st.text(min_size=500))
def test_long_tokens_that_differ_stay_different(one: str, other: str) -> None:
    assert (message.escape_token(one) == message.escape_token(other)) == (one == other)


def test_a_shortened_subject_is_a_subject_still() -> None:
    text = message.subject("demo", "kraken", "t" * 100_000, "s" * 100_000)
    assert len(text) < 2048
    env, feed, type_, sym = message.parse_subject(text)
    assert (env, feed) == ("demo", "kraken")
    assert type_.startswith("ttt")
    assert sym is not None
    assert sym.startswith("sss")


@pytest.mark.parametrize(
    "text", ["a.b.c", "a.b.xml.t.s", "a.b.json.t.s.more", "a.b.json.t.%FF", ""]
)
def test_foreign_subjects_are_refused(text: str) -> None:
    with pytest.raises(ContractError):
        message.parse_subject(text)


@pytest.mark.parametrize("line", [b"", b"{}", b'{"v":2}', b"\xff", b"[" * 5000])
def test_lines_that_are_no_message_are_refused(line: bytes) -> None:
    for decode in (message.decode, message.decode_archived, message.decode_capture):
        with pytest.raises(ContractError):
            decode(line)


def test_absent_facts_are_absent_from_the_line() -> None:
    line = message.encode(Message(**FACTS, raw=msgspec.Raw(b"{}")))
    assert line == (
        b'{"v":1,"feed":"kalshi","conn":"c1","n":7,"recv_ns":1,"mono_ns":2,"type":"trade","raw":{}}'
    )


def test_the_id_is_the_same_with_and_without_a_part() -> None:
    assert Message(**FACTS).id == "c1:7:0"
    assert Message(**FACTS, part=3).id == "c1:7:3"
