"""Kalshi's side of the protocol: the signed handshake, the directory, the routes.

Facts from the AsyncAPI text of docs.kalshi.com (2026-07 to 10) and recordings of 2026-08.
"""

import base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

import msgspec

from ssmd.errors import KeyFault
from ssmd.sim.market import Listing
from ssmd.sim.venues import kalshi_listing, kalshi_rest
from ssmd.sim.venues.base import Keys, Reply
from ssmd.sim.venues.kalshi_session import KalshiSession
from ssmd.sim.world import World

_SKEW_MS: Final = 60_000


class KalshiVenue:
    name = "kalshi"
    ws_path = "/trade-api/ws/v2"
    rest_path = "/trade-api/v2"
    tick_s = 10.0
    ping: bytes | None = b"heartbeat"
    max_markets = 1_000_000
    lists_new = True

    def check(self, headers: Mapping[str, str], path: str, keys: Keys, now_ms: int) -> int:
        """401 unless ``{ms}GET{path}`` is signed by the key. A client may sign the path as it is
        here, or as the exchange has it."""
        stamp = headers.get("KALSHI-ACCESS-TIMESTAMP", "")
        if not headers.get("KALSHI-ACCESS-KEY") or not stamp.isascii():
            return 401
        if not stamp.isdigit() or len(stamp) > 15:
            return 401
        if keys.key_id is not None and headers["KALSHI-ACCESS-KEY"] != keys.key_id:
            return 401
        if keys.public_key is None or abs(int(stamp) - now_ms) > _SKEW_MS:
            return 401
        try:
            signature = base64.b64decode(headers.get("KALSHI-ACCESS-SIGNATURE", ""), validate=True)
        except ValueError:
            return 401
        signed = (f"{stamp}GET{path}".encode(), f"{stamp}GET{self.ws_path}".encode())
        return 101 if any(_verified(keys.public_key, signature, text) for text in signed) else 401

    def listing(self, index: int, seed: int) -> Listing:
        return kalshi_listing.listing(index, seed)

    def find(self, name: str) -> int | None:
        return kalshi_listing.index_of(name)

    def session(self, world: World, number: int) -> KalshiSession:
        return KalshiSession(world)

    def rest(
        self, world: World, path: str, query: Mapping[str, str], posted: bytes | None = None
    ) -> Reply:
        return kalshi_rest.answer(world, path.removeprefix(self.rest_path), query)

    def command(self, frame: bytes) -> Literal["subscribe", "ping", "other"]:
        try:
            command = msgspec.json.decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return "other"
        found = isinstance(command, dict) and command.get("cmd") == "subscribe"
        return "subscribe" if found else "other"


@lru_cache(maxsize=4)
def public_key(pem: bytes) -> object:
    """The RSA or Ed25519 key of a PEM. Raises KeyFault."""
    # Imported late: only Kalshi needs it, and the import costs a tenth of a second.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise KeyFault(
            "the public key for Kalshi is no RSA or Ed25519 key in PEM",
            hint="openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem makes one",
        )
    return key


def _verified(pem: bytes, signature: bytes, text: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

    key = public_key(pem)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            # The salt is as long as the digest, and no other length is accepted.
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
            key.verify(signature, text, pss, hashes.SHA256())
            return True
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, text)
            return True
    except InvalidSignature:
        pass
    return False


KALSHI = KalshiVenue()
