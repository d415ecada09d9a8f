"""Running a role: signals, the health server, addresses, waits, a supervisor that dies."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmd import runtime
from ssmd.errors import ConfigError, PortInUse, StorageError
from ssmd.runtime import Role, backoff, parse_address, unless, wait, writable

ROLE = """
import asyncio, sys
from pathlib import Path
from prometheus_client import Counter
from ssmd.runtime import run_role, wait
from ssmd.errors import SsmdError

async def main(role):
    Counter("frames", "Frames", registry=role.registry).inc(3)
    role.health = lambda: (True, {{}})
    print("up", flush=True)
    await role.stop.wait()
    print("draining", flush=True)
    {drain}
    print("drained", flush=True)

try:
    run_role(main, name="trial", health_addr={address!r}, data={data})
except SsmdError as error:
    sys.exit(f"Error: {{error.message}} | {{error.hint}}")
"""


class Process:
    """A role of the test's own in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ends(self) -> int:
        return self.process.wait(60)


@contextlib.contextmanager
def role(
    *,
    drain: str = "pass",
    address: str | None = None,
    data: Path | None = None,
    **variables: str,
) -> Iterator[Process]:
    code = ROLE.format(drain=drain, address=address, data=f"Path({str(data)!r})" if data else None)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.PIPE, text=True, env={**os.environ, **variables},
    ) as process:  # fmt: skip
        try:
            yield Process(process)
        finally:
            process.kill()


# --- signals and the supervisor -----------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_ends_well(number: int) -> None:
    with role(drain="await asyncio.sleep(0.1)") as trial:
        assert trial.says() == "up"
        trial.process.send_signal(number)
        assert [trial.says(), trial.says()] == ["draining", "drained"]
        assert trial.ends() == 0


def test_a_second_signal_ends_at_once() -> None:
    with role(drain="await asyncio.Event().wait()") as trial:
        assert trial.says() == "up"
        trial.process.send_signal(signal.SIGTERM)
        assert trial.says() == "draining"
        trial.process.send_signal(signal.SIGINT)
        assert trial.ends() == 130
        assert trial.says() == ""


def test_a_role_whose_supervisor_dies_drains_and_ends() -> None:
    with role(SSMD_SUPERVISED="1") as trial:
        assert trial.says() == "up"
        assert trial.process.stdin is not None
        trial.process.stdin.write("ignored")
        trial.process.stdin.close()
        assert [trial.says(), trial.says()] == ["draining", "drained"]
        assert trial.ends() == 0


def test_a_role_of_its_own_does_not_care_about_stdin() -> None:
    with role() as trial:
        assert trial.says() == "up"
        assert trial.process.stdin is not None
        trial.process.stdin.close()
        trial.process.send_signal(signal.SIGTERM)
        assert trial.says() == "draining"
        assert trial.ends() == 0


# --- the health server --------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def asking(trial: Process, data: Path) -> AsyncIterator[aiohttp.ClientSession]:
    assert await asyncio.to_thread(trial.says) == "up"
    where = msgspec.json.decode((data / "run" / "trial.json").read_bytes())
    assert where["pid"] == trial.process.pid
    async with aiohttp.ClientSession(where["url"]) as session:
        yield session


async def test_the_health_server_answers(tmp_path: Path) -> None:
    with role(address="127.0.0.1:0", data=tmp_path) as trial:
        async with asking(trial, tmp_path) as session:
            for path in ("/health", "/live", "/ready", "/status"):
                async with session.get(path) as answer:
                    assert answer.status == 200
                    assert answer.content_type == "application/json"
                    assert isinstance(await answer.json(), dict)
            async with session.get("/metrics") as answer:
                assert "frames_total 3.0" in await answer.text()
                assert answer.headers["Content-Type"].startswith("text/plain; version=")
            async with session.get("/nothing") as answer:
                assert answer.status == 404
            async with session.post("/status") as answer:
                assert answer.status == 405
        trial.process.terminate()
        assert await asyncio.to_thread(trial.ends) == 0
    last = msgspec.json.decode((tmp_path / "run" / "trial.json").read_bytes())
    assert last == {"pid": trial.process.pid, "status": {"role": "trial"}}


async def test_a_role_that_has_not_said_that_it_is_well_is_not() -> None:
    """It starts: who asks must not take it for one that captures already."""
    assert Role("trial").health() == (False, {"ill": {"trial": "starting"}})


async def test_what_is_not_well_is_not_ready_but_alive() -> None:
    ill = Role("trial")
    ill.health = lambda: (False, {"ill": {"nats": "not connected"}})
    ill.status = lambda: {"role": "trial", "frames": 7}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    async with (
        runtime._health_server(ill, address, None),
        aiohttp.ClientSession(f"http://{address}") as session,
    ):
        for path in ("/health", "/ready"):
            async with session.get(path) as answer:
                assert answer.status == 503
                assert (await answer.json())["ill"] == {"nats": "not connected"}
        async with session.get("/live") as answer:
            assert answer.status == 200
        async with session.get("/status") as answer:
            assert await answer.json() == {"role": "trial", "frames": 7}


def test_a_port_in_use_ends_the_role_with_a_hint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with role(address=f"127.0.0.1:{port}") as trial:
            _, said = trial.process.communicate(timeout=60)
    assert trial.process.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use | choose another with --health-addr" in said


async def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot listen on 192.0.2.1:"):
        async with runtime._health_server(Role("trial"), "192.0.2.1:0", None):
            pass
    with pytest.raises(ConfigError, match="cannot listen on no-such-host.invalid:"):
        async with runtime._health_server(Role("trial"), "no-such-host.invalid:0", None):
            pass


async def test_a_run_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write to"):
        async with runtime._health_server(Role("trial"), "127.0.0.1:0", tmp_path / "file"):
            pass


# --- parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:8081", ("127.0.0.1", 8081)),
        ("localhost:0", ("localhost", 0)),
        (":8081", ("127.0.0.1", 8081)),
        ("[::1]:65535", ("::1", 65535)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
    ],
)
def test_addresses(text: str, found: tuple[str, int]) -> None:
    assert parse_address(text) == found


@pytest.mark.parametrize(
    "text", ["", "8081", "host", "host:", "host:http", "host:-1", "host:65536", "h:1:", "h:²"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no address") as caught:
        parse_address(text)
    assert caught.value.hint == "write it as 127.0.0.1:8081"


@given(st.floats(0.01, 10), st.floats(10, 1000))
def test_backoff_stays_below_its_rising_bound(base_s: float, cap_s: float) -> None:
    limit = base_s
    for delay in islice(backoff(base_s, cap_s), 30):
        assert 0 <= delay <= limit <= cap_s
        limit = min(limit * 2, cap_s)


def test_backoff_jitters() -> None:
    assert len({next(backoff()) for _ in range(20)}) > 10


async def test_wait_tells_whether_the_event_came() -> None:
    event = asyncio.Event()
    assert not await wait(event, 0)
    assert not await wait(event, 0.01)
    event.set()
    assert await wait(event, 60)


async def test_a_cancelled_wait_is_cancelled_even_as_the_event_comes() -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(wait(event, 60))
    await asyncio.sleep(0)
    event.set()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_unless_hands_on_what_the_work_answers_or_raises() -> None:
    stop = asyncio.Event()

    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    async def fail() -> int:
        raise ConfigError("no")

    assert await unless(stop, answer()) == 7
    with pytest.raises(ConfigError, match="no"):
        await unless(stop, fail())


async def test_unless_cancels_the_work_at_the_stop() -> None:
    stop = asyncio.Event()
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def stopping() -> None:
        await begun.wait()
        stop.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stopping())
        assert await unless(stop, hang()) is None
    assert cancelled.is_set()


def test_errors_of_ours_come_out_of_task_groups_and_bugs_stay_whole() -> None:
    async def both(*errors: Exception) -> None:
        async def fail(error: Exception) -> None:
            raise error

        async with asyncio.TaskGroup() as tasks:
            for error in errors:
                tasks.create_task(fail(error))

    with pytest.raises(PortInUse):
        runtime.run(both(PortInUse("taken")))
    with pytest.raises(ExceptionGroup):
        runtime.run(both(PortInUse("taken"), ZeroDivisionError()))


@pytest.mark.parametrize(
    ("level", "found"),
    [
        ("", logging.INFO),
        ("debug", logging.DEBUG),
        ("WARNING", logging.WARNING),
        ("x", logging.INFO),
    ],
)
def test_a_variable_sets_the_level_of_the_log(
    monkeypatch: pytest.MonkeyPatch, level: str, found: int
) -> None:
    monkeypatch.setenv("SSMD_LOG", level)
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    try:
        runtime.set_up_logging("trial")
        assert root.level == found
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]


def test_writable_makes_the_folder_and_leaves_nothing(tmp_path: Path) -> None:
    folder = writable(tmp_path / "a" / "b")
    assert list(folder.iterdir()) == []
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StorageError, match="cannot write to") as caught:
        writable(tmp_path / "file" / "x")
    assert "--data" in (caught.value.hint or "")
    assert (tmp_path / "file").read_text() == "kept"


async def test_work_that_swallows_a_cancellation_is_cancelled_again() -> None:
    """As a request to NATS does whose answer comes at the same moment."""
    swallowed = 0

    async def work() -> None:
        nonlocal swallowed
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed += 1
        await asyncio.Event().wait()

    stop = asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)
    async with asyncio.timeout(60):
        assert await unless(stop, work()) is None
    assert swallowed == 1
