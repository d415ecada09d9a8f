"""Kalshi's handshake signature."""

import base64

from ssmd.errors import KeyFault


def signature(pem: str, text: str) -> str:
    """RSA-PSS (SHA-256, salt as long as the digest) or Ed25519, in base64. Raises KeyFault."""
    return base64.b64encode(_sign(pem, text.encode())).decode()


def _sign(pem: str, text: bytes) -> bytes:
    # Imported late: only Kalshi signs, and the import costs a tenth of a second.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not chained: the parser's own message may quote the key.
        raise KeyFault(
            "the Kalshi private key cannot be read", hint="it must be an unencrypted PEM key"
        ) from None
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
        return key.sign(text, pss, hashes.SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(text)
    raise KeyFault("the Kalshi private key is neither RSA nor Ed25519")
