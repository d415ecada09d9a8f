"""Configuration files that say something wrong: one clear error, with file and line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ssmd.config import Feed, find_root, load, read
from ssmd.errors import ConfigError, NotFound

FEED = """\
name: kraken
type: websocket
exchange: kraken
instruments:
  symbols: [BTC/USD]
  refresh_s: 0.5
versions:
  - version: v2
    effective_from: 2026-01-01
    protocol: {transport: wss, message: json}
    endpoint: wss://ws.kraken.com/v2
calendar:
  timezone: UTC
  open_time: "09:30"
"""
ENVIRONMENT = """\
name: demo
feeds: [kraken]
schema: message:v1
keys:
  kraken:
    type: api_key
    fields: [api_key]
    source: env:KRAKEN_API_KEY
rotation:
  flush_s: 0.25
endpoints:
  kraken: {endpoint: "ws://127.0.0.1:8790/kraken/v2"}
"""
SCHEMA = """\
name: message
format: json_schema
schema_file: message.json
versions:
  - {version: v1, effective_from: 2026-01-01, status: active}
  - {version: v2, effective_from: 2026-01-01, status: draft}
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a configuration folder, with one piece of text in the place of another."""

    def write(old: str = "", new: str = "", **more: str) -> Path:
        root = tmp_path / "config"
        files = {"feeds/kraken": FEED, "environments/demo": ENVIRONMENT, "schemas/message": SCHEMA}
        if old:
            assert sum(text.count(old) for text in files.values()) == 1
        for name, text in {**files, **more}.items():
            file = root / f"{name}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace(old, new) if old else text)
        return root

    return write


def test_a_good_folder_is_read_whole(write: Write) -> None:
    config = load("demo", root=write())
    assert config.env.rotation.flush_s == 0.25
    assert config.feeds["kraken"].endpoint == "ws://127.0.0.1:8790/kraken/v2"
    assert config.feeds["kraken"].instruments.refresh_s == 0.5
    assert config.feeds["kraken"].key is not None


BAD = [
    # old, new, file:line, what the text says, what the hint says
    ("    endpoint: wss", "    endpont: wss", "kraken.yaml:11", "'endpont'", "'endpoint'"),
    ("type: websocket", "type: websockt", "kraken.yaml:2", "'websockt'", "'websocket'"),
    ("transport: wss", "transport: wsss", "kraken.yaml:10", "'wsss'", "'wss'"),
    ("2026-01-01\n    protocol", "2026-13-01\n    protocol", "kraken.yaml:9", "date", "correct"),
    ("refresh_s: 0.5", "refresh_s: 0", "kraken.yaml:6", "> 0", "correct"),
    ("refresh_s: 0.5", "limit: many", "kraken.yaml:6", "`int`, got `str`", "correct"),
    ("refresh_s: 0.5", "filter: {closed: false}", "kraken.yaml:6", "filter.closed", "quotes"),
    ("refresh_s: 0.5", "filter: {1: x}", "kraken.yaml:6", "key 1 is not text", "quotes"),
    ("exchange: kraken", "exchange: [kraken]", "kraken.yaml:3", "exchange", "correct"),
    ("wss://ws.kraken.com/v2", "ws.kraken.com", "kraken.yaml:11", "no URL", "correct"),
    ('"09:30"', "9h30", "kraken.yaml:14", "HH:MM", "correct"),
    ("timezone: UTC", "timezone: Amerika/X", "kraken.yaml:13", "'Amerika/X'", "America/New_York"),
    ("open_time", "holidays: [2026-12-25]\n  open_time", "kraken.yaml:14", "of its own", "custom"),
    (
        "open_time",
        "holiday_calendar: custom\n  holidays:\n  - 2026-12-25\n  - 25.12.2026\n  open_time",
        "kraken.yaml:17", "holidays[1]", "correct",
    ),
    (
        "open_time",
        "holiday_calendar: custom\n  holidays:\n  - 2026-12-25\n  - 2026-12-25\n  open_time",
        "kraken.yaml:17", "2026-12-25 is listed twice", "correct",
    ),
    ("name: kraken", "name: krakn", "kraken.yaml:1", "'krakn'", "correct"),
    ("  open_time", "  timezone", "kraken.yaml:14", "twice", "correct"),
    ("[BTC/USD]", "[BTC/USD", "kraken.yaml:6", "expected", "correct"),
    ("[BTC/USD]", "*all", "kraken.yaml:5", "alias", "correct"),
    ("symbols: [BTC/USD]", "symbols: [BTC/USD, '']", "kraken.yaml:5", "symbols[1]", "correct"),
    ("feeds: [kraken]", "feeds: [kraken, krakn]", "demo.yaml:2", "'krakn'", "one of: kraken"),
    ("feeds: [kraken]", "description: x", "demo.yaml:1", "no feed", "feeds"),
    ("message:v1", "message", "demo.yaml:3", "name:version", "message:v1"),
    ("message:v1", "message:v3", "demo.yaml:3", "does not exist", "v1, v2"),
    ("message:v1", "message:v2", "demo.yaml:3", "draft", "v1, v2"),
    ("message:v1", "other:v1", "demo.yaml:3", "'other'", "message"),
    ("  kraken: {end", "  krakn: {end", "demo.yaml:12", "no feed 'krakn'", "kraken"),
    ("    fields", "    feed: kraken-futures\n    fields", "demo.yaml:7", "no feed", "kraken"),
    ("rotation:", "rotatoin:", "demo.yaml:9", "'rotatoin'", "'rotation'"),
    ("  flush_s: 0.25", "  flush_s: fast", "demo.yaml:10", "`float`, got `str`", "correct"),
    ("env:KRAKEN_API_KEY", "env", "demo.yaml:8", "env:", "env:VARIABLE"),
    ("env:KRAKEN_API_KEY", "env:A,B", "demo.yaml:8", "2 places", "env:VARIABLE"),
    ("schema: ", "transport: {url: 'nats://u:pw@h'}\nschema: ", "demo.yaml:3", "password", "SSMD"),
    ("schema: ", "storage: {type: s3}\nschema: ", "demo.yaml:3", "bucket", "correct"),
    ("status: active", "status: activ", "message.yaml:5", "'activ'", "'active'"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "text", "hint"), BAD, ids=[b[1] for b in BAD])
def test_what_is_wrong_is_told_with_its_place(
    write: Write, old: str, new: str, place: str, text: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load("demo", root=write(old, new))
    assert f"{place}:" in caught.value.message
    assert text in caught.value.message
    assert hint in (caught.value.hint or "")
    assert "pw" not in caught.value.message


def test_all_that_is_wrong_with_a_file_is_told_at_once(write: Write) -> None:
    root = write()
    feed = FEED.replace("endpoint:", "endpont:").replace("0.5", "-1").replace("[BTC", "[1, BTC")
    (root / "feeds" / "kraken.yaml").write_text(feed)
    with pytest.raises(ConfigError) as caught:
        load("demo", root=root)
    places = [line.partition("kraken.yaml:")[2][:3] for line in caught.value.message.splitlines()]
    assert places == ["5: ", "6: ", "11:"]
    assert "did you mean 'endpoint'?" in caught.value.message
    assert caught.value.hint == "correct these 3 places"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "kraken",
        "a: &a [*a]",
        "? [a]\n: b",
        "\x00",
        "--- 1\n--- 2",
        "!!python/name:os x",
    ],
)
def test_a_file_that_is_no_mapping_is_one_error(write: Write, text: str) -> None:
    root = write()
    (root / "feeds" / "kraken.yaml").write_text(text)
    with pytest.raises(ConfigError, match="kraken.yaml"):
        load("demo", root=root)


def test_a_file_that_is_not_text_is_one_error(write: Write) -> None:
    root = write()
    (root / "feeds" / "kraken.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="kraken.yaml"):
        load("demo", root=root)


@pytest.mark.parametrize("name", ["../environments/demo", "Kraken", "", ".", "a/b", "kraken\n"])
def test_names_cannot_leave_their_folder(write: Write, name: str) -> None:
    with pytest.raises(NotFound, match="no name"):
        read(write(), "feeds", name, Feed)


def test_unknown_names_say_which_there_are(write: Write) -> None:
    root = write()
    with pytest.raises(NotFound) as caught:
        load("prod", root=root)
    assert "'prod'" in caught.value.message
    assert caught.value.hint == "one of: demo"
    with pytest.raises(NotFound) as caught:
        load("demo", root=root, feeds=["kalshi"])
    assert caught.value.hint == "one of: kraken"


def test_the_folder_is_chosen_by_option_then_variable_then_place(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSMD_CONFIG", raising=False)
    assert find_root() == Path("config")
    monkeypatch.setenv("SSMD_CONFIG", str(root))
    assert find_root() == root
    assert find_root(Path("config")) == Path("config")
    with pytest.raises(ConfigError, match="no folder environments"):
        find_root(tmp_path)


def test_an_empty_folder_gets_the_defaults_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSMD_CONFIG", raising=False)
    (tmp_path / "config" / "environments").mkdir(parents=True)
    (tmp_path / "config" / "environments" / "production.rb").touch()
    assert set(load("demo").feeds) == {"kalshi", "polymarket", "kraken", "kraken-futures"}
