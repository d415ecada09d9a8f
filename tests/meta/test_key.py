"""``ssmd meta key``: whether secrets are there, without ever showing one."""

import datetime
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from metacli import Run, Said, git
from ssmd import keys

Refused = Callable[..., Said]
ADD = ["env", "add-key", "live", "k", "--type", "api_key"]


def check(meta: Run, source: str, *, field: str = "token", code: int = 0) -> Said:
    meta(*ADD, "--fields", field, "--source", source)
    return meta("key", "check", "live", "k", code=code)


def test_variables_are_there_or_not(
    meta: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "x k.token: TOKEN is not set" in check(meta, "env:TOKEN", code=1).out
    monkeypatch.setenv("TOKEN", "")
    assert "TOKEN is empty" in check(meta, "env:TOKEN", code=1).out
    monkeypatch.setenv("TOKEN", "s3cr3t")
    assert "+ k.token: TOKEN is set" in check(meta, "env:TOKEN").out
    monkeypatch.setenv("TOKEN", "s3cr3t no pem")
    said = check(meta, "env:TOKEN", field="private_key", code=1)
    assert "TOKEN is no private key in PEM" in said.out


def test_files_are_there_safe_and_sound(meta: Run, config: Path, here: Path) -> None:
    private, public = keys.make(here / "made")
    source = f"file:{private}"
    assert check(meta, source, field="private_key").out.startswith("+ k.private_key: ")
    private.chmod(0o644)
    assert "can be read by every user" in check(meta, source, field="private_key", code=1).out
    public.chmod(0o600)
    said = check(meta, f"file:{public}", field="private_key", code=1).out
    assert "is a public key, where a private key belongs" in said
    broken = here / "broken"
    for content, says in (
        (b"", "is empty"),
        (b"\xff\xfe\x00", "is not text"),
        (b"-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----\n", "is no private key"),
    ):
        broken.write_bytes(content)
        broken.chmod(0o600)
        assert says in check(meta, f"file:{broken}", code=1).out
    assert "does not exist" in check(meta, "file:nowhere", code=1).out
    assert "is no file" in check(meta, f"file:{here}", code=1).out


def test_a_variable_may_name_a_file_whose_path_is_not_shown(
    meta: Run, config: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_FILE", "s3cr3t")
    said = check(meta, "env:TOKEN", code=1)
    assert "the file that TOKEN_FILE names does not exist" in said.out
    assert "s3cr3t" not in said.out
    file = here / "token"
    file.write_text("s3cr3t")
    file.chmod(0o600)
    monkeypatch.setenv("TOKEN_FILE", str(file))
    check(meta, "env:TOKEN")


@pytest.mark.parametrize("source", ["vault:secret/k", "sealed-secret:ns/name"])
def test_what_belongs_to_the_platform_is_said_to_be_unverified(
    meta: Run, config: Path, source: str
) -> None:
    assert "? k.token: not verifiable here" in check(meta, source, code=3).out
    assert "not verifiable here" in meta("key", "verify", "live", code=3).out
    found = meta("key", "verify", "live", "--json", code=3).json
    assert found["status"] == 3
    assert {one["name"]: one["state"] for one in found["keys"]}["k"] == "unverifiable"


def test_verify_judges_what_is_required(
    meta: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = meta("key", "verify", "live")
    assert "KALSHI_API_KEY is not set (optional: a warning)" in said.out
    assert "KALSHI_API_KEY is not set" in meta("key", "verify", "demo", code=1).out
    meta("key", "check", "live", "kalshi", code=1)
    said = meta("validate", "--check-keys", code=1)
    assert "demo.yaml:7: error: key kalshi, api_key: KALSHI_API_KEY is not set" in said.out
    assert "live.yaml:7: warning: key kalshi, api_key: KALSHI_API_KEY is not set" in said.out
    meta("env", "update", "demo", "--clear", "keys")
    assert meta("key", "verify", "demo").out == "no keys\n"


def test_keys_are_listed_and_shown(meta: Run, config: Path) -> None:
    lines = meta("key", "list", "demo").out.splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "REQUIRED", "SOURCE"]
    assert lines[1].split() == ["kalshi", "api_key", "yes", "env:KALSHI_API_KEY,KALSHI_PRIVATE_KEY"]
    meta(*ADD, "--fields", "a", "--source", "file:" + "x" * 60)
    assert "file:" + "x" * 32 + "..." in meta("key", "list", "live").out
    assert "x kalshi" not in meta("key", "show", "demo", "kalshi").out
    assert "x api_key: KALSHI_API_KEY is not set" in meta("key", "show", "demo", "kalshi").out
    assert meta("key", "list", "demo", "--json").json[0]["state"] == "missing"


def test_what_is_not_there_is_named(refused: Refused, config: Path) -> None:
    assert "no key 'nope'" in refused("key", "check", "demo", "nope").err
    assert "unknown environment" in refused("key", "verify", "nope").err


# --- age ----------------------------------------------------------------------------------------


def test_a_file_that_is_too_old_is_warned_about(meta: Run, config: Path, here: Path) -> None:
    file = here / "token"
    file.write_text("s3cr3t")
    file.chmod(0o600)
    meta(*ADD, "--fields", "token", "--source", f"file:{file}", "--rotation-days", "30")
    assert "days old" not in meta("key", "check", "live", "k").out
    then = datetime.datetime.now(datetime.UTC).timestamp() - 31 * 86_400
    os.utime(file, (then, then))
    assert "! k: 31 days old (file of " in meta("key", "check", "live", "k").out
    assert "31 days old" in meta("validate", "--check-keys", code=1).out
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    words = ["--fields", "token", "--source", f"file:{file}", "--rotation-days", "30"]
    meta(*ADD, *words, "--rotated-on", today)
    assert "days old" not in meta("key", "check", "live", "k").out


def test_the_age_of_an_entry_is_that_of_its_commit(
    meta: Run, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t")
    words = ["--fields", "token", "--source", "env:TOKEN", "--rotation-days", "30"]
    meta(*ADD, *words)
    assert "its age is not known" in meta("key", "check", "live", "k").out
    long_ago = "2026-01-01T12:00:00Z"
    monkeypatch.setenv("GIT_COMMITTER_DATE", long_ago)
    meta("commit", "-m", "a key")
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    meta("env", "update", "live", "--description", "other")  # not the key's entry
    meta("commit", "-m", "not the key")
    assert "(entry committed 2026-01-01)" in meta("key", "check", "live", "k").out
    meta(*ADD, *words, "--description", "made anew")
    meta("commit", "-m", "rotated")
    assert "days old" not in meta("key", "check", "live", "k").out
    assert git("status", "--porcelain") == ""


# --- nothing is shown ---------------------------------------------------------------------------


def test_no_command_shows_a_planted_secret(
    meta: Run, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In variables, in files, and pasted where it does not belong."""
    secret = "s3cr3t-planted"
    monkeypatch.setenv("TOKEN", secret)
    file = repository.parent / "file"
    file.write_text(secret)
    file.chmod(0o600)
    meta(*ADD, "--fields", "a", "--source", "env:TOKEN")
    meta(*[*ADD[:3], "f", *ADD[4:]], "--fields", "b", "--source", f"file:{file}")
    said = [
        meta(*words, *flags, code=None)
        for words in [
            ["env", "show", "live"], ["env", "list"], ["key", "list", "live"], ["diff"],
            ["key", "show", "live", "k"], ["key", "show", "live", "f"], ["key", "verify", "live"],
            ["key", "check", "live", "k"], ["validate", "--check-keys"], ["validate"],
            [*ADD, "--fields", "a", "--source", secret],
            [*ADD, "--fields", "a,b", "--source", f"env:{secret}"],
            [*ADD, "--fields", "private_key", "--source", "env:TOKEN"],
            ["key", "check", "live", "k"], ["commit", "-m", "keys"],
        ]
        for flags in ([], ["--json"], ["-v"], ["-q"])
    ]  # fmt: skip
    text = (repository / "config/environments/live.yaml").read_text()
    for pasted in (
        text.replace("env:TOKEN", secret), text.replace("type: api_key", f"type: {secret}"),
        text.replace("required: false", f"required: {secret}"),
        text.replace("required: false", f"value: {secret}"),
        text.replace("url: embedded", f"url: nats://{secret}@h"),
        text.replace("url: embedded", f"url: nats://u:{secret}@h"),
        text.replace("fields: [api_key", f"fields: [{secret}\n  [api_key"),
    ):  # fmt: skip
        assert secret in pasted
        (repository / "config/environments/live.yaml").write_text(pasted)
        said += [
            meta(*words, *flags, code=None)
            for words in [
                ["validate"], ["diff"], ["diff", "-v"], ["env", "show", "live"], ["env", "list"],
                ["key", "verify", "live"], ["key", "list", "live"], ["commit", "-m", "x"],
                ["env", "update", "live", "--description", "x"],
                ["env", "update", "live", "--clear", "keys"],
            ]
            for flags in ([], ["--json"], ["-v"])
        ]  # fmt: skip
    assert [one for one in said if secret in one.out + one.err] == []
