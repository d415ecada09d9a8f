"""``ssmd meta env``: environments and the references to their keys."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metacli import Run, Said
from ssmd.config import Environment, load, read

Refused = Callable[..., Said]


def env(config: Path, name: str) -> Environment:
    return read(config, "environments", name, Environment)


def test_environments_are_listed_and_shown(meta: Run, config: Path) -> None:
    lines = meta("env", "list").out.splitlines()
    assert lines[0].split() == ["NAME", "FEED", "SCHEMA", "TRANSPORT"]
    assert lines[1].startswith("demo  kalshi, polymarket, kraken, kraken-futures  message:v1  nats")
    assert meta("env", "list", "-q").out == "demo\nlive\n"
    assert "simulated exchanges" in meta("env", "list", "-v").out
    shown = meta("env", "show", "demo").out
    for part in ("Schedule:    UTC", "Transport:   nats embedded", "env:KALSHI_API_KEY", "Cache:"):
        assert part in shown
    facts = meta("env", "show", "live", "--json").json
    assert facts["keys"]["kalshi"]["required"] is False
    assert facts["rotation"]["flush_s"] == 1.0


def test_an_environment_that_is_created_is_run_by_the_roles(meta: Run, config: Path) -> None:
    meta("env", "create", "one", "--feed", "kraken", "--schema", "message:v1")
    assert list(load("one", root=config).feeds) == ["kraken"]
    made = env(config, "one")
    assert (made.feed, made.transport.url, made.storage.type) == ("kraken", "embedded", "local")
    words = ["--feed", "kraken", "--feed", "polymarket", "--schema", "message:v1"]
    more = ["--transport.url", "nats://h:4222", "--storage.type", "s3", "--storage.bucket", "b"]
    day = ["--storage.region", "r", "--schedule.day-start", "00:10"]
    meta("env", "create", "two", *words, *more, *day, "--description", "both: of them")
    made = env(config, "two")
    assert list(made.feeds) == ["kraken", "polymarket"]
    assert (made.storage.type, made.storage.bucket, made.storage.region) == ("s3", "b", "r")
    assert (made.schedule.timezone, made.schedule.day_start) == ("UTC", "00:10")
    assert made.schedule.auto_roll
    assert (made.transport.url, made.description) == ("nats://h:4222", "both: of them")


def test_an_update_keeps_the_rest_and_clears(meta: Run, config: Path) -> None:
    file = config / "environments" / "live.yaml"
    before = file.read_text()
    meta("env", "update", "live", "--storage.path", "/srv/data", "--schedule.timezone", "UTC")
    assert file.read_text() == before.replace(
        "  type: local\n", "  type: local\n  path: /srv/data\nschedule:\n  timezone: UTC\n"
    )
    meta("env", "update", "live", "--clear", "storage.path", "--clear", "schedule")
    assert file.read_text() == before
    meta("env", "update", "live", "--feed", "kraken")
    assert list(env(config, "live").feeds) == ["kraken"]
    meta("env", "update", "live", "--clear", "keys.kalshi")
    assert "keys" not in file.read_text()


KEY = ["env", "add-key", "live", "web-hook", "--type", "webhook", "--fields", "url,token"]


def test_a_key_is_added_and_replaced(meta: Run, config: Path) -> None:
    meta(*KEY, "--source", "env:HOOK_URL,HOOK_TOKEN", "--rotation-days", "90", "--no-required")
    made = env(config, "live").keys["web-hook"]
    assert (list(made.fields), made.source) == (["url", "token"], "env:HOOK_URL,HOOK_TOKEN")
    assert (made.rotation_days, made.required) == (90, False)
    meta(*KEY, "--source", "vault:secret/hook", "--rotated-on", "2026-11-01")
    made = env(config, "live").keys["web-hook"]
    assert (made.source, made.rotation_days, made.required) == ("vault:secret/hook", None, True)
    assert "# The real public exchanges" in (config / "environments" / "live.yaml").read_text()
    assert set(env(config, "live").keys) == {"kalshi", "web-hook"}


CREATE = ["create", "new", "--feed", "kraken", "--schema"]
BAD = [
    (["show", "nope"], "unknown environment 'nope'"),
    (["create", "../x", "--feed", "kraken", "--schema", "message:v1"], "no name"),
    (["create", "demo", "--feed", "kraken", "--schema", "message:v1"], "environment demo exists"),
    (["create", "new", "--feed", "nope", "--schema", "message:v1"], "there is no feed 'nope'"),
    ([*CREATE, "message"], "not of the form name:version"),
    ([*CREATE, "message:v9"], "schema message:v9 does not exist"),
    ([*CREATE, "nope:v1"], "unknown schema 'nope'"),
    ([*CREATE, "../x:v1"], "no name"),
    ([*CREATE, "message:v1", "--transport.type", "pigeon"], "'pigeon' is not possible"),
    ([*CREATE, "message:v1", "--storage.type", "s3"], "needs a bucket"),
    ([*CREATE, "message:v1", "--schedule.day-end", "25:00"], "expected HH:MM"),
    ([*CREATE, "message:v1", "--schedule.timezone", "Mars/X"], "'Mars/X' is unknown"),
    ([*CREATE, "message:v1", "--transport.url", "nats://u:hidden@h"], "a user or a password"),
    (["update", "demo", "--feed", "nope"], "there is no feed 'nope'"),
    (["update", "demo", "--schema", "message:v9"], "demo.yaml:5: schema message:v9"),
    (["update", "demo", "--clear", "schema"], "lacks the key 'schema'"),
    (["update", "demo", "--clear", "storage.path"], "sets no storage.path"),
    (["update", "demo", "--clear", "name.x"], "sets no name.x"),
    (["add-key", "nope", "k", "--type", "tls", "--fields", "a", "--source", "env:A"], "unknown"),
    (["add-key", "demo", "k", "--type", "tls", "--fields", "a", "--source", "hidden"], "begin"),
    (["add-key", "demo", "k", "--type", "tls", "--fields", "a", "--source", "env:A,B"], "2 places"),
    (["add-key", "demo", "k", "--type", "tls", "--fields", ",", "--source", "env:A"], "fields"),
    (
        ["add-key", "demo", "k", "--type", "tls", "--fields", "a", "--source", "env:A",
         "--feed", "nope"], "no feed 'nope'",
    ),
    (
        ["add-key", "demo", "k", "--type", "tls", "--fields", "a", "--source", "env:A",
         "--rotation-days", "0"], ">= 1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("words", "says"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_what_is_wrong_is_refused_and_nothing_written(
    words: list[str], says: str, refused: Refused, config: Path
) -> None:
    said = refused("env", *words)
    assert says in said.err
    assert "hidden" not in said.err
