"""An event loop in a thread of its own, so that a notebook, which runs one already, can wait."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from ssmd.client.errors import BadRequest

T = TypeVar("T")


class Loop:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        return self._loop.is_closed()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it; an interrupt ends it too. Raises BadRequest once closed."""
        if self.closed:
            work.close()
            raise BadRequest("the client is closed", hint="make another one")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
