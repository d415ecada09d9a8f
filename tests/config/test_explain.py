"""Where values come from: the place that is named really holds the value."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ssmd.config import load
from ssmd.config.explain import DEFAULT, Value, explain

SHIPPED = Path(__file__).parents[2] / "config"
PASSWORD = "hunter2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "config"))


def explained(root: Path, env: str = "demo") -> dict[str, Value]:
    return {value.path: value for value in explain(load(env, root=root))}


def holds(line: str, value: Any) -> bool:
    if isinstance(value, list):
        return not value or line.rstrip().endswith(":") or all(str(one) in line for one in value)
    if isinstance(value, bool):
        return str(value).lower() in line
    number = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return number in line


@pytest.mark.parametrize("env", ["demo", "live"])
def test_each_named_line_holds_the_value(root: Path, env: str) -> None:
    values = explained(root, env)
    assert len(values) > 80
    for value in values.values():
        if value.source != DEFAULT:
            file, _, number = value.source.rpartition(":")
            line = Path(file).read_text().splitlines()[int(number) - 1]
            assert re.search(rf"\b{re.escape(value.path.rpartition('.')[2])}:", line), value
            assert holds(line, value.value), (value, line)


def test_what_is_not_written_anywhere_is_a_default(root: Path) -> None:
    values = explained(root)
    assert values["transport.max_age_s"] == Value("transport.max_age_s", 86_400.0, DEFAULT)
    assert values["feeds.kraken.stale_after_s"].source == DEFAULT
    assert values["feeds.kraken.depth"].source.endswith("kraken.yaml:5")


def test_an_environment_stands_over_its_feeds(root: Path) -> None:
    file = root / "environments" / "demo.yaml"
    text = file.read_text() + (
        "capture:\n  kraken:\n    channels: [trade]\n    depth: 25\n    stale_after_s: 5\n"
        "    instruments: {symbols: [SOL/USD]}\n"
    )
    file.write_text(text)
    before = load("demo", root=SHIPPED)
    config = load("demo", root=root)
    feed = config.feeds["kraken"]
    assert (feed.channels, feed.depth, feed.stale_after_s) == (("trade",), 25, 5.0)
    assert feed.instruments.symbols == ["SOL/USD"]
    assert config.feeds["kalshi"] == before.feeds["kalshi"]
    assert config.hash != before.hash
    values = explained(root)
    last = len(text.splitlines())
    assert values["feeds.kraken.depth"].source == f"{file}:{last - 2}"
    assert values["feeds.kraken.channels"].source == f"{file}:{last - 3}"
    assert values["feeds.kraken.instruments.symbols"].source == f"{file}:{last}"
    assert values["feeds.kraken.instruments.limit"].source == DEFAULT


def test_variables_are_named_and_passwords_are_not_shown(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSMD_TRANSPORT_URL", f"nats://user:{PASSWORD}@nats:4222")
    monkeypatch.setenv("SSMD_FEED_KRAKEN_ENDPOINT", "ws://127.0.0.1:1/x")
    values = explained(root)
    assert values["transport.url"] == Value(
        "transport.url", "nats://***@nats:4222", "SSMD_TRANSPORT_URL"
    )
    assert values["feeds.kraken.endpoint"].source == "SSMD_FEED_KRAKEN_ENDPOINT"
    assert PASSWORD not in repr(values)
