"""Resolution: versions by date, variables over files, one hash; and what the project ships."""

from datetime import date
from pathlib import Path

import pytest

from ssmd.config import Feed, FeedVersion, Protocol, load, names
from ssmd.errors import ConfigError
from ssmd.exchanges import EXCHANGES

ROOT = Path(__file__).parents[2] / "config"


def version(name: str, start: str, end: str | None = None) -> FeedVersion:
    return FeedVersion(
        version=name,
        effective_from=date.fromisoformat(start),
        effective_to=date.fromisoformat(end) if end else None,
        protocol=Protocol(),
        endpoint="wss://example.com",
    )


def test_the_latest_version_in_force_on_a_day_counts() -> None:
    feed = Feed(
        name="f",
        versions=[
            version("v1", "2025-01-01"),
            version("v3", "2026-06-01", "2026-06-30"),
            version("v2", "2026-01-01"),
        ],
    )
    days = {"2025-05-05": "v1", "2026-01-01": "v2", "2026-06-30": "v3", "2026-07-01": "v2"}
    for day, expected in days.items():
        assert feed.version_on(date.fromisoformat(day)).version == expected
    with pytest.raises(ConfigError, match="2024-12-31"):
        feed.version_on(date(2024, 12, 31))


def test_variables_stand_over_files(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load("demo", root=ROOT)
    monkeypatch.setenv("SSMD_FEED_KRAKEN_FUTURES_ENDPOINT", "ws://127.0.0.1:1/x")
    monkeypatch.setenv("SSMD_FEED_KRAKEN_FUTURES_REST_ENDPOINT", "http://127.0.0.1:1/y")
    monkeypatch.setenv("SSMD_TRANSPORT_URL", "nats://user:pass@nats:4222")
    monkeypatch.setenv("SSMD_STORAGE_PATH", "/elsewhere")
    config = load("demo", root=ROOT)
    assert config.feeds["kraken-futures"].endpoint == "ws://127.0.0.1:1/x"
    assert config.feeds["kraken-futures"].rest_endpoint == "http://127.0.0.1:1/y"
    assert config.feeds["kraken"] == before.feeds["kraken"]
    assert config.env.transport.url == "nats://user:pass@nats:4222"
    assert config.env.storage.path == "/elsewhere"
    assert config.hash != before.hash
    monkeypatch.setenv("SSMD_TRANSPORT_URL", "nats://nats:4222")
    assert load("demo", root=ROOT).hash == config.hash  # the password leaves no trace


def test_a_variable_that_is_no_url_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSMD_FEED_KRAKEN_ENDPOINT", "my-secret")
    with pytest.raises(ConfigError, match="SSMD_FEED_KRAKEN_ENDPOINT is no URL") as caught:
        load("demo", root=ROOT)
    assert "my-secret" not in str(caught.value.as_dict())


def test_the_hash_is_of_the_content() -> None:
    assert load("demo", root=ROOT).hash == load("demo", root=ROOT).hash
    assert load("demo", root=ROOT).hash != load("live", root=ROOT).hash
    assert load("demo", root=ROOT).hash.startswith("sha256:")


@pytest.mark.parametrize("env", ["demo", "live"])
def test_what_the_project_ships_is_good(env: str) -> None:
    config = load(env, root=ROOT)
    assert list(config.feeds) == ["kalshi", "polymarket", "kraken", "kraken-futures"]
    for feed in config.feeds.values():
        assert feed.exchange in EXCHANGES
        assert feed.rest_endpoint
        loopback = "127.0.0.1:8790" in feed.endpoint and "127.0.0.1:8790" in feed.rest_endpoint
        assert loopback == (env == "demo") == config.env.simulated


def test_a_disabled_feed_is_left_out_and_refused_by_name(tmp_path: Path) -> None:
    root = tmp_path / "config"
    for folder in ("feeds", "schemas", "environments"):
        (root / folder).mkdir(parents=True)
        for name in names(ROOT, folder):
            text = (ROOT / folder / f"{name}.yaml").read_text()
            if name == "kraken":
                text += "status: disabled\n"
            (root / folder / f"{name}.yaml").write_text(text)
    assert list(load("demo", root=root).feeds) == ["kalshi", "polymarket", "kraken-futures"]
    with pytest.raises(ConfigError, match="kraken is disabled"):
        load("demo", root=root, feeds=["kraken"])
