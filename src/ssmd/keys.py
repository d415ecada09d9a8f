"""Key pairs for the simulated Kalshi: made by the simulator, or by who starts it."""

import os
from pathlib import Path

from ssmd.runtime import writable


def make(folder: Path) -> tuple[Path, Path]:
    """A new RSA pair in the folder: the paths of the private (mode 0600) and the public PEM."""
    # Imported late: only a run of its own makes keys, and the import costs a tenth of a second.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = writable(folder) / "kalshi.pem", folder / "kalshi.pub.pem"
    private.unlink(missing_ok=True)
    fd = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public
