"""Secrets come by reference, and no error shows one."""

from pathlib import Path

import pytest

from ssmd.config import Key, secrets
from ssmd.errors import KeyFault

SECRET = "-----BEGIN PRIVATE KEY----- s3cr3t"


def key(source: str, *fields: str) -> Key:
    return Key(type="api_key", fields=fields or ("api_key", "private_key"), source=source)


def test_variables_in_the_order_of_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "one")
    monkeypatch.setenv("B", SECRET)
    assert secrets(key("env:A, B")) == {"api_key": "one", "private_key": SECRET}


def test_a_variable_may_name_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").write_text(SECRET + "\n")
    monkeypatch.setenv("A", "one")
    monkeypatch.setenv("B", "")
    monkeypatch.setenv("B_FILE", str(tmp_path / "b"))
    assert secrets(key("env:A,B"))["private_key"] == SECRET


def test_files(tmp_path: Path) -> None:
    (tmp_path / "b").write_text(SECRET)
    assert secrets(key(f"file:{tmp_path / 'b'}", "private_key")) == {"private_key": SECRET}


@pytest.mark.parametrize(
    "source",
    [
        "env:A,B", "env:A", "env:A,", f"env:A,{SECRET}", "file:/nowhere/a,/nowhere/b", SECRET,
        "sealed-secret:ns/name", "vault:path", "sealed-secret:name", "vault:", "",
    ],
)  # fmt: skip
def test_what_is_missing_is_named_and_no_value_shown(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A", SECRET)
    monkeypatch.setenv("B_FILE", SECRET)  # the secret itself, where a path belongs
    with pytest.raises(KeyFault) as caught:
        secrets(key(source))
    assert caught.value.hint or "B_FILE" in caught.value.message or "/nowhere" in str(caught.value)
    assert "s3cr3t" not in str(caught.value.as_dict())
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b" \n"])
def test_a_file_without_text_is_no_secret(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").write_bytes(content)
    monkeypatch.setenv("B_FILE", str(tmp_path / "b"))
    with pytest.raises(KeyFault, match="B_FILE"):
        secrets(key("env:B", "private_key"))
