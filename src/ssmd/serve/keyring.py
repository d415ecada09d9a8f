"""The keys that are known: one from ``SSMD_API_KEY``, and those that ``ssmd meta apikey`` made."""

import asyncio
import hmac
import logging
import time
from typing import Final, Literal

import msgspec

from ssmd import apikey
from ssmd.apikey import ApiKey
from ssmd.errors import BusError
from ssmd.serve.answers import Unauthorized
from ssmd.serve.tail import Tail

log = logging.getLogger(__name__)

REFRESH_S: Final = 2.0
TRUSTED_S: Final = 10.0
"""Keys that were not read for so long are refused: one of them may be revoked."""


BusState = Literal["up", "away", "unknown", "none"]
"""Whether NATS answers; not known yet just after the start, and none where only an archive is
served."""


class Keyring:
    """``master`` may do everything. Without it and without a bus no key is known."""

    def __init__(self, env: str, master: str | None, tail: Tail | None) -> None:
        self.has_master = master is not None
        self._master = (master or "").encode()
        self._bucket = apikey.bucket(env)
        self._tail = tail
        self._keys: dict[str, ApiKey] = {}
        self._read = 0.0
        self._away = False
        self.bus: BusState = "none" if tail is None else "unknown"

    @property
    def detail(self) -> str | None:
        """Why keys cannot be checked now; None where they can."""
        if self._tail is not None and self._keys and not self._fresh:
            return "NATS is away: API keys cannot be checked, and are refused"
        return None

    def check(self, sent: str) -> ApiKey | None:
        """What a key allows; None is everything. Raises Unauthorized, BusError."""
        if self.has_master and hmac.compare_digest(sent.encode("latin-1"), self._master):
            return None
        parsed = apikey.parse(sent)
        if parsed is None:
            raise Unauthorized("the key is missing or wrong", hint="send it as X-API-Key")
        if not self._fresh:
            raise BusError("API keys cannot be checked now", hint="NATS is away; try again")
        id_, secret = parsed
        key = self._keys.get(id_)
        if key is None or not key.opens(secret):
            raise Unauthorized("the key is missing or wrong", hint="send it as X-API-Key")
        state = key.state(apikey.now())
        if state != "valid":
            raise Unauthorized(f"the key is {state}", hint="ask for a new one")
        return key

    async def run(self) -> None:
        """Read the keys again and again; until cancelled."""
        while self._tail is not None:
            await self._refresh(self._tail)
            await asyncio.sleep(REFRESH_S)

    async def _refresh(self, tail: Tail) -> None:
        try:
            bus = await tail.connection()
            bucket = await bus.bucket(self._bucket)
            entries = [entry async for entry in bucket.entries()]
            self._keys = {
                entry.key: msgspec.json.decode(entry.value, type=ApiKey) for entry in entries
            }
            self._read, self._away, self.bus = time.monotonic(), False, "up"
        except (BusError, msgspec.MsgspecError) as error:
            if not self._away and self._keys:
                log.warning("API keys cannot be read: %s", error)
            self._away = True
            self.bus = "away" if isinstance(error, BusError) else "up"

    @property
    def _fresh(self) -> bool:
        return time.monotonic() - self._read <= TRUSTED_S
