"""One child process: a subcommand of ssmd, started again when it dies."""

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from ssmd.runtime import SUPERVISED, backoff, wait
from ssmd.up.journal import Journal

log = logging.getLogger(__name__)

GOOD_AFTER_S = 10.0
"""A child that lived so long is well: if it dies, it starts again at once."""
MAX_LINE = 64 * 1024
_STAMPED = re.compile(rb"\d{4}-\d\d-\d\d \S+ (\w+) ")


class Child:
    """A role's process.

    ``status`` is what its ``/status`` answered last, ``past`` the last answers of the processes
    before it. ``failures`` counts the starts in a row that ended with an error of its own;
    ``error`` is that error.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        data: Path,
        *,
        variables: Mapping[str, str],
        notice: Callable[[str], None],
        echo: bool,
    ) -> None:
        self.name = name
        self.restarts = 0
        self.status: dict[str, Any] = {}
        self.past: list[dict[str, Any]] = []
        self.failures = 0
        self.error: str | None = None
        self.hint: str | None = None
        self._arguments = arguments
        self._record = data / "run" / f"{name}.json"
        self._journal = Journal(data / "logs" / f"{name}.log")
        self._variables = {**os.environ, **variables, SUPERVISED: "1"}
        self._notice = notice
        self._echo = echo
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._was_well = False

    @property
    def pid(self) -> int | None:
        """None while there is no process."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> None:
        """Until ``stop``: start, wait, start again."""
        delays = backoff(0.2, 5.0)
        while not self._stopping.is_set():
            started = time.monotonic()
            ending = await self._once()
            if self._stopping.is_set():
                return
            self.restarts += 1
            if self.status:
                self.past.append(self.status)
            # Its server answers before it has reached NATS; feeds it names only after.
            self._was_well = self._was_well or "feeds" in self.status
            self.status = {}
            if time.monotonic() - started > GOOD_AFTER_S:
                delays = backoff(0.2, 5.0)
                self._was_well = True
            self.failures = self.failures + 1 if self.error and not self._was_well else 0
            self._notice(f"{self.name} ended ({self.error or ending}); starting it again")
            await wait(self._stopping, next(delays))

    async def _once(self) -> str:
        """One process from start to end; how it ended."""
        self.error = self.hint = None
        try:
            self._record.unlink(missing_ok=True)
            # A session of its own: Ctrl-C reaches the supervisor, which stops its children in
            # order. Stdin is how they notice that the supervisor was killed.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "ssmd",
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=self._variables,
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot start: {error.strerror}"
        self._process = process
        if self._stopping.is_set():
            self._send(signal.SIGTERM)
        assert process.stderr is not None
        await self._follow(process.stderr)
        return _ending(await process.wait())

    async def _follow(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while piece := await stream.read(MAX_LINE):
            self._journal.write(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._line(line)
            if len(rest) > MAX_LINE:
                self._line(rest)
                rest = b""
        if rest:
            self._line(rest)

    def _line(self, line: bytes) -> None:
        stamped = _STAMPED.match(line)
        text = line.decode(errors="replace")
        if self._echo:
            sys.stderr.write(f"{text}\n" if stamped else f"{self.name} | {text}\n")
        elif stamped and stamped[1] not in (b"INFO", b"DEBUG"):
            self._notice(text[stamped.end() :].strip())
        if text.startswith("Error: "):
            self.error = text.removeprefix("Error: ")
        elif text.startswith("Try: "):
            self.hint = text.removeprefix("Try: ")

    async def stop(self, timeout_s: float) -> None:
        """SIGTERM, and SIGKILL after the time-out. Then ``status`` is its last word."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                await process.wait()
        except TimeoutError:
            log.warning("%s did not stop in %g s; killing it", self.name, timeout_s)
            self._send(signal.SIGKILL)
            await process.wait()
        where = self._where()
        if where.get("pid") == process.pid and "status" in where:
            self.status = where["status"]

    def kill(self) -> None:
        """At once, without a word."""
        self._stopping.set()
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.pid is not None and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def poll(self, session: aiohttp.ClientSession) -> None:
        """Ask for its status; keeps the last answer where there is none."""
        where = self._where()
        if where.get("pid") != self.pid or "url" not in where:
            return
        try:
            async with session.get(f"{where['url']}/status") as answer:
                status = msgspec.json.decode(await answer.read())
        except (OSError, aiohttp.ClientError, TimeoutError, msgspec.MsgspecError):
            return
        if where["pid"] == self.pid:
            self.status = status

    def _where(self) -> dict[str, Any]:
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.MsgspecError):
            return {}


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
