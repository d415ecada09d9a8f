"""TLS: the certificate of the server, and that of who may ask. Checked before anything starts."""

import ssl
from pathlib import Path
from typing import NamedTuple

from ssmd.errors import ConfigError


class Tls(NamedTuple):
    """PEM files; with ``client_ca``, clients need a certificate that it signed."""

    cert: Path
    key: Path
    client_ca: Path | None = None


def tls_of(cert: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    """None where no TLS is asked for. Raises ConfigError for files that do not fit."""
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise ConfigError(
            "TLS needs a certificate and its key", hint="give both --tls-cert and --tls-key"
        )
    for file in (cert, key, client_ca):
        _check_readable(file)
    _check_pair(cert, key)
    if client_ca is not None:
        _check_ca(client_ca)
    return Tls(cert, key, client_ca)


def _check_readable(file: Path | None) -> None:
    try:
        if file is not None:
            file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read {file}: {error.strerror}", hint="give a PEM file that ssmd may read"
        ) from error


def _check_pair(cert: Path, key: Path) -> None:
    def no_password() -> str:
        raise ConfigError(
            f"{key} has a password", hint=f"store it without: openssl pkey -in {key} -out new.pem"
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"{key} is not the key of {cert}", hint="give the key that the certificate is for"
            ) from error
        raise ConfigError(
            f"{cert} and {key} are no certificate and key",
            hint="both are PEM; the certificate is the first of its file, then its chain",
        ) from error


def _check_ca(client_ca: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{client_ca} holds no certificate", hint="give the PEM of who signs clients' ones"
        ) from error
