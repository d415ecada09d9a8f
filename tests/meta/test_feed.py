"""``ssmd meta feed``: every command, with good and bad input."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metacli import Run, Said
from ssmd.config import Feed, read

Refused = Callable[..., Said]


def feed(config: Path, name: str) -> Feed:
    return read(config, "feeds", name, Feed)


def test_feeds_are_listed_by_status(meta: Run, config: Path) -> None:
    meta("feed", "update", "kraken", "--status", "disabled")
    said = meta("feed", "list", "--status", "disabled")
    assert said.out.splitlines() == [
        "NAME    TYPE       STATUS    VERSIONS",
        "kraken  websocket  disabled         1",
    ]
    assert meta("feed", "list", "-q").out.split() == [
        "kalshi", "kraken", "kraken-futures", "polymarket",
    ]  # fmt: skip
    assert [one["status"] for one in meta("feed", "list", "--json").json].count("active") == 3
    assert meta("feed", "list", "--status", "deprecated", "--json").json == []


def test_a_feed_is_shown_as_of_a_day(meta: Run, config: Path) -> None:
    words = ["feed", "add-version", "kraken", "--effective-from", "2026-06-01", "--rate-limit", "5"]
    meta(*words, "--version", "v3")
    assert "v3, from 2026-06-01 (of v2, v3)" in meta("feed", "show", "kraken").out
    early = meta("feed", "show", "kraken", "--as-of", "2026-05-31", "--json").json
    assert early["version"]["version"] == "v2"
    assert early["environments"] == ["demo", "live"]
    late = meta("feed", "show", "kraken", "--as-of", "2026-06-01", "--json").json
    assert (late["version"]["version"], late["version"]["rate_limit_per_second"]) == ("v3", 5)
    assert "v2, from 2026-01-01" in meta("feed", "show", "kraken", "--version", "v2").out


def test_a_feed_that_is_created_is_read_by_the_loader(meta: Run, config: Path) -> None:
    words = ["--type", "websocket", "--display-name", "Two", "--exchange", "kraken"]
    meta("feed", "create", "kraken-two", *words, "--no-supports-trades")
    made = feed(config, "kraken-two")
    assert (made.display_name, made.status, len(made.versions)) == ("Two", "active", 1)
    (version,) = made.versions
    assert version.effective_from == datetime.now(UTC).date()
    assert (version.protocol.transport, version.protocol.message) == ("wss", "json")
    assert version.endpoint == "wss://kraken-two.example.com/api"
    assert version.supports_orderbook
    assert not version.supports_trades


@pytest.mark.parametrize(("kind", "transport"), [("rest", "https"), ("multicast", "multicast")])
def test_the_protocol_is_that_of_the_type(
    meta: Run, config: Path, kind: str, transport: str
) -> None:
    meta("feed", "create", "other", "--type", kind, "--rate-limit", "0.5")
    (version,) = feed(config, "other").versions
    assert (version.protocol.transport, version.rate_limit_per_second) == (transport, 0.5)


def test_an_update_changes_its_lines_alone_and_what_was_set_can_be_cleared(
    meta: Run, config: Path
) -> None:
    file = config / "feeds" / "kraken.yaml"
    file.write_text("# ours\n" + file.read_text() + "# end\n")
    before = file.read_text()
    said = meta("feed", "update", "kraken", "--rate-limit", "2", "--display-name", "K: spot")
    assert said.out.splitlines() == [
        f"{file}: display_name: Kraken spot -> K: spot",
        f"{file}: versions[v2].rate_limit_per_second: 1 -> 2",
    ]
    after = before.replace("limit_per_second: 1", "limit_per_second: 2")
    assert file.read_text() == after.replace("Kraken spot", "'K: spot'")
    meta("feed", "update", "kraken", "--clear", "rate-limit", "--clear", "display_name")
    made = feed(config, "kraken")
    assert (made.display_name, made.versions[0].rate_limit_per_second) == (None, None)
    gone = before.replace("    rate_limit_per_second: 1\n", "").replace(
        "display_name: Kraken spot\n", ""
    )
    assert file.read_text() == gone
    assert meta("feed", "update", "kraken", "--status", "active").out.startswith(f"{file}: +")


def test_an_edit_says_in_json_and_at_length_what_it_changed(meta: Run, config: Path) -> None:
    said = meta("feed", "update", "kraken", "--rate-limit", "3", "--json").json
    field = "versions[v2].rate_limit_per_second"
    assert said["changes"] == [{"field": field, "old": 1, "new": 3}]
    said = meta("feed", "update", "kraken", "--rate-limit", "4", "-v")
    assert "-    rate_limit_per_second: 3" in said.out.splitlines()
    assert meta("feed", "update", "kraken", "--rate-limit", "5", "-q").out == ""
    assert "nothing to change" in meta("feed", "update", "kraken", "--rate-limit", "5").out


def test_a_version_takes_the_settings_of_another(meta: Run, config: Path) -> None:
    words = ["feed", "add-version", "kraken", "--effective-from"]
    meta(*words, "2026-07-01", "--endpoint", "wss://new.kraken.com/v3")
    meta(*words, "2026-09-01", "--copy-from", "v2", "--effective-to", "2026-12-31")
    v2, second, third = feed(config, "kraken").versions
    assert (v2.version, second.version, third.version) == ("v2", "v3", "v4")
    assert second.endpoint == "wss://new.kraken.com/v3"
    assert third.endpoint == v2.endpoint
    assert third.rest_endpoint == v2.rest_endpoint
    assert str(third.effective_to) == "2026-12-31"


def test_locations_are_added_once(meta: Run, refused: Refused, config: Path) -> None:
    where = ["feed", "add-location", "kraken"]
    meta(*where, "--site", "nyc", "--type", "colo", "--provider", "e", "--region", "us")
    meta(*where, "--datacenter", "ldn", "--type", "cloud", "--clock", "ptp")
    sites = [(one.site, one.type, one.clock) for one in feed(config, "kraken").capture_locations]
    assert sites == [("nyc", "colo", None), ("ldn", "cloud", "ptp")]
    assert "nyc already" in refused(*where, "--site", "nyc", "--type", "cloud").err
    assert "nyc (colo, e, us); ldn (cloud, ptp)" in meta("feed", "show", "kraken").out


BAD = [
    (["create", "../x", "--type", "rest"], "'../x' is no name"),
    (["create", "Kraken", "--type", "rest"], "'Kraken' is no name"),
    (["create", "a/b", "--type", "rest"], "'a/b' is no name"),
    (["create", "", "--type", "rest"], "'' is no name"),
    (["create", "kraken", "--type", "rest"], "feed kraken exists"),
    (["create", "x", "--type", "rest", "--endpoint", "nowhere"], "endpoint is no URL"),
    (["create", "x", "--type", "rest", "--endpoint", "wss://u:pw9@h"], "a user or a password"),
    (["create", "x", "--type", "rest", "--rate-limit", "nan"], "rate_limit_per_second"),
    (["show", "nope"], "unknown feed 'nope'"),
    (["show", "../environments/demo"], "is no name"),
    (["show", "kraken", "--version", "v9"], "no version 'v9'"),
    (["show", "kraken", "--as-of", "2001-01-01"], "no version in force on 2001-01-01"),
    (["update", "kraken", "--version", "v9", "--rate-limit", "1"], "no version 'v9'"),
    (["update", "kraken", "--endpoint", "nowhere"], "kraken.yaml:22: endpoint is no URL"),
    (["update", "kraken", "--effective-to", "2020-01-01"], "before it begins"),
    (["update", "kraken", "--clear", "nonsense"], "sets no nonsense"),
    (["update", "kraken", "--clear", "endpoint"], "lacks the key 'endpoint'"),
    (["update", "kraken", "--clear", "versions"], "lacks the key 'versions'"),
    (["update", "kraken", "--clear", "name"], "lacks the key 'name'"),
    (["add-version", "kraken", "--effective-from", "2026-01-01"], "two versions begin on"),
    (["add-version", "kraken", "--effective-from", "2026-05-01", "--version", "v2"], "named 'v2'"),
    (
        ["add-version", "kraken", "--effective-from", "2026-05-01", "--effective-to", "2026-04-01"],
        "before it begins",
    ),
    (["add-version", "kraken", "--effective-from", "2026-05-01", "--copy-from", "v9"], "'v9'"),
]


@pytest.mark.parametrize(("words", "says"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_what_is_wrong_is_refused_and_nothing_written(
    words: list[str], says: str, refused: Refused, config: Path
) -> None:
    said = refused("feed", *words)
    assert says in said.err
    assert "pw9" not in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["create", "x", "--type", "rest", "--rate-limit", "-1"],
        ["create", "x", "--type", "rest", "--rate-limit", "inf"],
        ["create", "x"], ["create", "x", "--type", "carrier-pigeon"], ["create", "--type", "rest"],
        ["add-version", "kraken"], ["add-version", "kraken", "--effective-from", "2026-13-01"],
        ["add-location", "kraken", "--site", "x"], ["list", "--status", "gone"],
        ["show", "kraken", "--version", "v2", "--as-of", "2026-01-01"],
    ],
)  # fmt: skip
def test_a_wrong_call_is_a_usage_error(words: list[str], refused: Refused, config: Path) -> None:
    refused("feed", *words, code=2)


def test_versions_may_not_overlap(meta: Run, refused: Refused, config: Path) -> None:
    meta("feed", "update", "kraken", "--effective-to", "2026-06-30")
    words = ["feed", "add-version", "kraken", "--effective-from"]
    said = refused(*words, "2026-06-30")
    assert "begins on 2026-06-30, when v2 (to 2026-06-30) is in force" in said.err
    meta(*words, "2026-07-01")
    assert "in force" in refused("feed", "update", "kraken", "--version", "v2",
                                 "--effective-to", "2026-08-01").err  # fmt: skip
