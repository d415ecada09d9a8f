"""How many messages are stored, and waiting for more of them."""

import asyncio


class Acks:
    """Counts what JetStream has stored, until publishing fails for good."""

    def __init__(self) -> None:
        self.count = 0
        self._more = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, count: int) -> None:
        self.count += count
        self._more.set()

    def fail(self, error: Exception) -> None:
        """Whoever waits gets it; the first counts."""
        if not self._failure.done():
            self._failure.set_exception(error)
            self._more.set()

    async def next(self) -> None:
        """Return after one more; raises the failure."""
        if self._failure.done():
            await self._failure
        self._more.clear()
        await self._more.wait()

    async def failed(self) -> None:
        """Wait for the failure; raises it."""
        await asyncio.shield(self._failure)

    def close(self) -> None:
        """Nobody waits any more."""
        if self._failure.done():
            self._failure.exception()
