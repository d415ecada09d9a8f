"""One replay: what comes next, when it is due, and what the reader asks for in between."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.concurrency import run_in_threadpool

from ssmd.dataset import Archive
from ssmd.errors import SsmdError
from ssmd.serve.answers import BadRequest, time_of
from ssmd.serve.replay.asked import Asked
from ssmd.serve.replay.holes import Holes, recorded
from ssmd.serve.replay.pace import Pace
from ssmd.serve.replay.parameters import moment_of, speed_of
from ssmd.serve.replay.stock import Item, Picked, Stock, stock_of
from ssmd.span import Window

MOST_AT_ONCE: Final = 64
MOST_ANSWERS: Final = 100
QUIET_S: Final = 15.0
PAUSED_S: Final = 3600.0
"""A replay that stands still for so long is given up."""


class Abandoned(Exception):
    """The reader paused and never came back, or asks without reading."""


class _Command(Struct):
    cmd: str
    to: str | int | None = None
    speed: str | float | int | None = None


class Frame(Struct, frozen=True):
    """What the reader gets: its kind, its text, and where to go on after it."""

    type: str
    text: bytes
    cursor: str | None = None


class Player:
    """``frames`` is to be read by one reader; commands may come at any time."""

    def __init__(self, archive: Archive, asked: Asked) -> None:
        self._archive = archive
        self._asked = asked
        self._pace = Pace(asked.speed, time.monotonic)
        self._changed = asyncio.Event()
        self._holes = Holes()
        self._counts: Counter[str] = Counter()
        self._records = 0
        self._unreadable = 0
        self._latest_s = 0.0
        self._rested_s = 0.0
        self._stopped = False
        self._answers: list[Frame] = []
        self._open(asked.window)

    def _open(self, window: Window) -> None:
        self._stock: Stock[Item]
        self._picked: Picked
        self._stock, self._picked = stock_of(self._archive, self._asked, window)

    # --- what the reader asks for -----------------------------------------------------------------

    def command(self, text: str) -> None:
        """Obey; the answer comes among the frames. Raises Abandoned."""
        if len(self._answers) >= MOST_ANSWERS:
            raise Abandoned
        try:
            self._obey(_decoded(text))
        except BadRequest as error:
            self._answer("error", error=error.as_dict())
        self._changed.set()

    def stop(self) -> None:
        """End the frames, without an ``end``."""
        self._stopped = True
        self._changed.set()

    def _obey(self, command: _Command) -> None:
        if command.cmd == "pause":
            self._pace.pause()
            self._rested_s = 0.0
        elif command.cmd == "resume":
            self._pace.resume()
        elif command.cmd == "speed":
            self._pace.set_speed(speed_of(str(command.speed)))
        elif command.cmd == "seek":
            self._seek(moment_of(str(command.to), "to"))
        else:
            raise BadRequest(
                f"cmd {command.cmd[:40]!r} is none", hint="pause, resume, seek or speed"
            )
        at = self._pace.position_ns()
        self._answer(
            "state",
            paused=self._pace.paused,
            speed=self._pace.speed,
            at=None if at is None else time_of(at),
        )

    def _seek(self, to_ns: int) -> None:
        window = self._asked.window
        if not window.start_ns <= to_ns < window.end_ns:
            raise BadRequest(
                f"{time_of(to_ns)} is not in the replay",
                hint=f"it is from {time_of(window.start_ns)} to {time_of(window.end_ns)}",
            )
        self._unreadable += self._picked.unreadable
        self._asked = msgspec.structs.replace(self._asked, after={})
        self._open(Window(to_ns, window.end_ns))
        self._pace.seek()

    def _answer(self, kind: str, **facts: Any) -> None:
        self._answers.append(_frame(kind, **facts))

    # --- what the reader gets ---------------------------------------------------------------------

    async def frames(self) -> AsyncIterator[list[Frame]]:
        """Those that are due, some at a time, and none after a while in which none was; the last
        is ``end``. Raises Abandoned."""
        while True:
            self._changed.clear()
            if self._stopped:
                return
            if self._answers:
                answers, self._answers = self._answers, []
                yield answers
            elif self._pace.paused:
                await self._rest()
                yield []
            elif await self._read():
                if not self._stock.ready:
                    yield [await self._end()]
                    return
                if await self._wait(self._due(self._stock.ready[0])):
                    yield self._take()

    async def _read(self) -> bool:
        """Until it is known what comes next; False where the reader asks for something before."""
        stock = self._stock
        while not stock.ready and not stock.over:
            await stock.more()
            if self._changed.is_set():
                return False
        return True

    async def _rest(self) -> None:
        self._rested_s = self._rested_s or time.monotonic()
        if time.monotonic() - self._rested_s > PAUSED_S:
            raise Abandoned
        await self._wait(time.monotonic() + QUIET_S)

    async def _wait(self, due: float) -> bool:
        """Whether it is due now, or has not been for long; False where the reader asks for
        something before."""
        left = min(due - time.monotonic(), QUIET_S)
        try:
            async with asyncio.timeout(max(0.0, left)):
                await self._changed.wait()
        except TimeoutError:
            return True
        return False

    def _due(self, item: Item) -> float:
        return self._pace.due(item.due_ns) if item.hole is None else 0.0

    def _take(self) -> list[Frame]:
        """Everything that is due, to a limit."""
        frames: list[Frame] = []
        ready, now = self._stock.ready, time.monotonic()
        while ready and len(frames) < MOST_AT_ONCE and self._due(ready[0]) <= now:
            frames.append(self._sent(ready.popleft()))
        return frames

    def _sent(self, item: Item) -> Frame:
        if item.hole is not None:
            self._holes.add(item.hole)
            return _frame("hole", hole=item.hole)
        late_s = self._pace.sent(item.due_ns)
        self._latest_s = max(self._latest_s, late_s)
        self._counts[item.feed] += 1
        self._records += item.records
        kind = "records" if item.records else "message"
        head = f'{{"type":"{kind}","cursor":"{item.cursor}","late_ms":{int(late_s * 1000)},'
        return Frame(kind, head.encode() + item.body + b"}", item.cursor)

    async def _end(self) -> Frame:
        for hole in await run_in_threadpool(
            lambda: list(recorded(self._archive, self._asked.feeds, self._asked.window))
        ):
            self._holes.add(hole)
        return _frame(
            "end",
            messages={feed: self._counts[feed] for feed in self._asked.feeds},
            records=self._records,
            unreadable=self._unreadable + self._picked.unreadable,
            latest_ms=int(self._latest_s * 1000),
            holes=self._holes.named,
            more_holes=self._holes.unnamed,
        )


def _frame(kind: str, **facts: Any) -> Frame:
    return Frame(kind, msgspec.json.encode({"type": kind, **facts}))


def failed(error: SsmdError) -> Frame:
    """The last frame of a replay that cannot go on."""
    return _frame("error", error=error.as_dict())


def _decoded(text: str) -> _Command:
    try:
        return msgspec.json.decode(text, type=_Command)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        raise BadRequest(
            "the frame is no command", hint='such as {"cmd":"seek","to":"2026-11-23T12:00:00Z"}'
        ) from None
