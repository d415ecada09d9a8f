"""Endpoints that are not there, or are no exchange: one clear line, and capture when they come."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connect.harness import Capturing, lines, until
from connect.venue import Peer, Venue, steady, venue


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of 127.0.0.1, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "venue")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "venue.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_a_port_where_nobody_listens_is_tried_until_somebody_does(
    capturing: Capturing, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    server = Venue(steady)
    async with capturing(f"ws://127.0.0.1:{port}/feed") as captured:
        await captured.reaches("backoff")
        await until(lambda: captured.status()["reconnects"] >= 2)
        await server.start(port)
        try:
            await captured.reaches("live")
            assert len(await captured.framed(1)) == 1
        finally:
            captured.stop()
            await server.stop()
    (line,) = lines(caplog)
    assert line == f"kraken: cannot reach ws://127.0.0.1:{port}/feed: Connection refused"


async def test_a_name_that_is_none_is_said_once(
    capturing: Capturing, caplog: pytest.LogCaptureFixture
) -> None:
    async with capturing("ws://no-such-exchange.invalid/feed") as captured:
        await until(lambda: captured.status()["reconnects"] >= 2)
        assert captured.status()["state"] == "backoff"
    (line,) = lines(caplog)
    assert "cannot reach ws://no-such-exchange.invalid/feed: " in line
    assert "resolution" in line or "not known" in line


async def hang_up(peer: Peer) -> None:
    pass


async def hang_up_late(peer: Peer) -> None:
    await peer.request()


async def begin(peer: Peer) -> None:
    await peer.request()
    await peer.write(b"HTTP/1.1 101 Switching Pro")


async def babble(peer: Peer) -> None:
    await peer.request()
    await peer.write(b"\x00\xff\x1b[31m\r\nssh-2.0\r\n\r\n")


async def babble_on(peer: Peer) -> None:
    await peer.request()
    while True:
        await peer.write(bytes(range(14, 256)) * 100)


async def greet(peer: Peer) -> None:
    await peer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    await peer.gone()


async def wrong_key(peer: Peer) -> None:
    await peer.request()
    await peer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAA\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (hang_up, "closed the connection before it answered"),
        (hang_up_late, "closed the connection before it answered"),
        (begin, "closed the connection before it answered"),
        (babble, "does not speak WebSocket"),
        (babble_on, "does not speak WebSocket"),
        (wrong_key, "does not speak WebSocket"),
        (greet, "did not answer in time"),
    ],
)
async def test_garbage_for_a_handshake_is_said_in_one_line(
    capturing: Capturing,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    script: object,
    says: str,
) -> None:
    monkeypatch.setattr("ssmd.connect.socket.HANDSHAKE_TIMEOUT_S", 0.5)
    async with venue(script, script, steady) as server, capturing(server.url) as captured:
        await captured.reaches("live")
        assert server.met == 3
    (line,) = lines(caplog)
    assert says in line
    assert line.isprintable()
    assert len(line) < 400


async def test_a_server_that_is_not_trusted_is_said_and_tried_again(
    capturing: Capturing,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
) -> None:
    async with (
        venue(steady, tls=tls(certificate)) as server,
        capturing(server.url) as captured,
    ):
        await until(lambda: captured.status()["reconnects"] >= 2)
        assert captured.status()["state"] == "backoff"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await captured.reaches("live")
    (line,) = lines(caplog)
    assert f"TLS with {server.url} failed: self-signed certificate" in line
    assert "SSL_CERT_FILE" in line


async def test_tls_to_a_plain_port_is_said_in_one_line(
    capturing: Capturing, caplog: pytest.LogCaptureFixture
) -> None:
    async def plain(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.gone()

    async with venue(plain) as server, capturing(server.url.replace("ws:", "wss:")) as captured:
        await until(lambda: captured.status()["reconnects"] >= 2)
    (line,) = lines(caplog)
    assert "TLS with wss://127.0.0.1" in line
    assert "wrong version number" in line or "record layer failure" in line


async def test_a_plain_handshake_to_a_tls_port_is_said_in_one_line(
    capturing: Capturing, caplog: pytest.LogCaptureFixture, certificate: Path
) -> None:
    async with (
        venue(steady, tls=tls(certificate)) as server,
        capturing(server.url.replace("wss:", "ws:")) as captured,
    ):
        await until(lambda: captured.status()["reconnects"] >= 2)
    (line,) = lines(caplog)
    assert "closed the connection before it answered" in line


async def test_a_host_that_drops_every_packet_is_given_up_in_time(
    capturing: Capturing, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssmd.connect.socket.HANDSHAKE_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as stack:
        for _ in range(8):  # with its queue full, the kernel answers no one
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        async with capturing(f"ws://127.0.0.1:{deaf.getsockname()[1]}") as captured:
            await until(lambda: captured.status()["reconnects"] >= 2)
    (line,) = lines(caplog)
    assert "did not answer in time" in line


async def test_tls_that_is_never_answered_is_given_up_in_time(
    capturing: Capturing, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssmd.connect.socket.HANDSHAKE_TIMEOUT_S", 0.5)
    async with (
        venue(Peer.gone) as server,
        capturing(server.url.replace("ws:", "wss:")) as captured,
    ):
        await until(lambda: captured.status()["reconnects"] >= 2)
    (line,) = lines(caplog)
    assert "did not answer in time" in line
