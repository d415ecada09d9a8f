"""``Client`` and a line that breaks: what can be had comes whole, the rest is a clear error."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archives import DAY, Capture, archive, trades
from client_stage import Line, Served, free_port, line, served
from ssmd.archive.writer import NS_PER_DAY
from ssmd.client import (
    BadRequest,
    Client,
    KeyFault,
    NotFound,
    Overloaded,
    TooLong,
    TooMany,
    Unauthorized,
    Unreachable,
)
from ssmd.client.patience import retry_after_s

START = DAY * NS_PER_DAY
SPAN = (START, START + NS_PER_DAY)
COUNT = 12_000
IDS = [f"t{n}" for n in range(1, COUNT + 1)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archive")
    archive(root, Capture("kalshi").session(trades(COUNT)), segments=2, member=5_000)
    return root


@pytest.fixture
def server(root: Path) -> Iterator[Served]:
    with served(root) as server:
        yield server


@pytest.fixture
def broken(server: Served) -> Iterator[Line]:
    with line(server) as broken:
        yield broken


def refusal(status: str, code: str, *headers: str) -> bytes:
    body = b'{"error":{"code":"%s","message":"not now","hint":"later"}}' % code.encode()
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def ids(client: Client) -> list[str | None]:
    return [trade.trade_id for trade in client.trades("kalshi", None, *SPAN)]


def test_a_page_that_breaks_off_is_asked_for_again(broken: Line) -> None:
    broken.cuts = [100_000, 50_000, 10]
    with Client(broken.url) as client:
        list(client.feeds())
        assert ids(client) == IDS
    assert broken.cuts == []
    assert broken.cut.is_set()


def test_a_server_that_restarts_in_a_download_is_waited_for(server: Served) -> None:
    with Client(server.url) as client:
        rows = iter(client.trades("kalshi", None, *SPAN))
        found = [next(rows).trade_id]
        server.stop()
        back = threading.Timer(1.0, server.start)
        back.start()
        found += [trade.trade_id for trade in rows]
        back.join()
    assert found == IDS


def test_a_server_that_stays_away_is_an_error(server: Served, tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    out.write_text("as it was")
    with Client(server.url, patience_s=0.5) as client:
        rows = iter(client.trades("kalshi", None, *SPAN))
        next(rows)
        server.stop()
        with pytest.raises(Unreachable, match=re.escape(server.url)) as told:
            list(rows)
        assert told.value.hint == "does ssmd serve run there?"
        with pytest.raises(Unreachable):
            client.trades("kalshi", None, *SPAN).ndjson(out)
    assert out.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [out]


def test_nobody_there_is_told_at_once() -> None:
    before = time.monotonic()
    with (
        Client(f"http://127.0.0.1:{free_port()}", patience_s=3600) as client,
        pytest.raises(Unreachable),
    ):
        list(client.feeds())
    assert time.monotonic() - before < 600  # and not an hour


@pytest.mark.parametrize(
    ("status", "code"), [("429 Too Many Requests", "too_many"), ("503 Unavailable", "overloaded")]
)
def test_a_busy_server_is_waited_for_as_long_as_it_says(
    broken: Line, status: str, code: str
) -> None:
    broken.answers = [refusal(status, code, "Retry-After: 1"), refusal(status, code)]
    before = time.monotonic()
    with Client(broken.url) as client:
        assert [feed.name for feed in client.feeds()] == ["kalshi", "polymarket"]
    assert time.monotonic() - before >= 1
    assert len(broken.requests) == 3


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("429 Too Many Requests", "too_many", TooMany),
        ("503 Unavailable", "overloaded", Overloaded),
    ],
)
def test_a_server_that_is_busy_for_longer_is_an_error(
    broken: Line, status: str, code: str, kind: type[Exception]
) -> None:
    broken.answers = [refusal(status, code, "Retry-After: 600")]
    with Client(broken.url, patience_s=30) as client, pytest.raises(kind, match="not now"):
        list(client.feeds())
    assert len(broken.requests) == 1


def test_what_takes_too_long_is_not_asked_again(broken: Line) -> None:
    broken.answers = [refusal("503 Unavailable", "timeout", "Retry-After: 1")]
    with Client(broken.url) as client, pytest.raises(TooLong) as told:
        list(client.feeds())
    assert told.value.as_dict() == {"code": "timeout", "message": "not now", "hint": "later"}
    assert len(broken.requests) == 1


def test_a_code_that_is_not_known_keeps_its_name(broken: Line) -> None:
    broken.answers = [refusal("418 I'm a teapot", "teapot")]
    with Client(broken.url) as client, pytest.raises(Exception, match="not now") as told:
        list(client.feeds())
    assert getattr(told.value, "code", None) == "teapot"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{\"a\":",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)  # fmt: skip
def test_something_else_that_answers_is_told_from_ssmd(broken: Line, answer: bytes) -> None:
    broken.answers = [answer]
    with Client(broken.url, patience_s=0) as client, pytest.raises(Unreachable):
        list(client.feeds())


def test_the_key_goes_in_its_header_and_nowhere_else(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSMD_API_KEY", raising=False)
    with served(root, key="right", key_required=True) as server:
        with Client(server.url, key="right") as client:
            assert "right" not in repr(client)
            assert len(list(client.feeds())) == 2
        for wrong in ("wrong", None):
            with Client(server.url, key=wrong) as client, pytest.raises(Unauthorized):
                list(client.feeds())
        monkeypatch.setenv("SSMD_API_KEY", "right")
        monkeypatch.setenv("SSMD_URL", server.url)
        with Client() as client:
            assert len(list(client.feeds())) == 2
    with pytest.raises(KeyFault) as told:
        Client(server.url, key="a\nb: c")
    assert "a\nb" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://", "http://:80", "https://host:99999", "http://[::1", "http://h/?key=1", "http://h#x",
        "http://user:secret@host", "http://h\n",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BadRequest) as told:
        Client(url)
    assert "secret" not in str(told.value)


def test_unknown_feeds_are_named_by_both(server: Served, root: Path) -> None:
    said = []
    with Client(server.url) as remote, Client(root) as local:
        for client in (remote, local):
            with pytest.raises(NotFound) as told:
                list(client.trades("nobody", None, *SPAN))
            said.append(told.value.as_dict())
    assert said[0] == said[1]


def test_a_closed_client_says_so(server: Served) -> None:
    client = Client(server.url)
    client.close()
    client.close()
    with pytest.raises(BadRequest, match="closed"):
        list(client.feeds())


def test_a_client_that_is_forgotten_lets_go(server: Served) -> None:
    before = threading.active_count()
    client = Client(server.url)
    list(client.feeds())
    del client
    assert threading.active_count() == before


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after_s("7") == 7
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_s("Fri, 21 Oct 2189 07:28:00 GMT") > 10**9
    assert [retry_after_s(text) for text in (None, "", "soon", "-3", "٣")] == [0] * 5
