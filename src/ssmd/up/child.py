"""One child process: a subcommand of ssmd, started again when it dies."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from ssmd.runtime import backoff, wait

log = logging.getLogger(__name__)

GOOD_AFTER_S = 10.0
"""A child that lived so long starts again at once."""
LAST_LINES = 5


class Child:
    """A role's process. ``status`` is what its ``/status`` answered last."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        data: Path,
        *,
        environment: Mapping[str, str] | None = None,
        echo: bool = False,
    ) -> None:
        self.name = name
        self.restarts = 0
        self.status: dict[str, Any] = {}
        self.failed: str | None = None
        self.pid: int | None = None
        self._arguments = arguments
        self._data = data
        self._environment = {**os.environ, **(environment or {})}
        self._echo = echo
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._tail: list[str] = []

    @property
    def log_path(self) -> Path:
        return self._data / "logs" / f"{self.name}.log"

    async def run(self) -> None:
        """Until ``stop``: start, wait, start again. Sets ``failed`` where it never comes up."""
        delays = backoff(0.2, 5.0)
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._once()
            if self._stopping.is_set():
                return
            self.restarts += 1
            self.failed = self._tail[0] if self._tail else f"exit status {code}"
            log.warning("%s ended (%s); starting it again", self.name, _ending(code))
            if time.monotonic() - started > GOOD_AFTER_S:
                delays = backoff(0.2, 5.0)
            await wait(self._stopping, next(delays))

    async def _once(self) -> int:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        (self._data / "run" / f"{self.name}.json").unlink(missing_ok=True)
        # A session of its own: Ctrl-C reaches the supervisor, which stops its children in order.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ssmd",
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env=self._environment,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._tail = []
        assert self._process.stderr is not None
        with self.log_path.open("ab", buffering=0) as file:
            async for line in self._process.stderr:
                file.write(line)
                if self._echo:
                    sys.stderr.write(line.decode(errors="replace"))
                text = line.decode(errors="replace").strip()
                if text.startswith(("Error:", "Try:")):
                    self._tail = [*self._tail, text][-LAST_LINES:]
        return await self._process.wait()

    async def stop(self, timeout_s: float) -> None:
        """SIGTERM, and SIGKILL after the time-out."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                await process.wait()
        except TimeoutError:
            log.warning("%s did not stop in %g s; killing it", self.name, timeout_s)
            self.kill()
            await process.wait()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def poll(self, session: aiohttp.ClientSession) -> None:
        """Ask for its status; keeps the last answer where there is none."""
        try:
            where = msgspec.json.decode((self._data / "run" / f"{self.name}.json").read_bytes())
            async with session.get(f"{where['url']}/status") as answer:
                self.status = msgspec.json.decode(await answer.read())
                self.failed = None
        except (OSError, aiohttp.ClientError, TimeoutError, msgspec.MsgspecError, KeyError):
            return


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
