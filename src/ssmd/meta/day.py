"""``ssmd meta day``: what an operator sees of trading days, and asks of them."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from ssmd import show
from ssmd.config import load
from ssmd.errors import DayFault
from ssmd.meta.day_answer import Answer
from ssmd.meta.day_work import Desk, Want, run

F = TypeVar("F", bound=Callable[..., Any])

COLORS = {"ACTIVE": "green", "COMPLETE": "green", "ERROR": "red"}
DATE = click.DateTime(["%Y-%m-%d"])


@click.group()
def day() -> None:
    """Begin, end, roll and look at trading days.

    A day is PENDING, STARTING, ACTIVE, ENDING, then COMPLETE; or in ERROR. The archiver does the
    work: it checks before a day is ACTIVE, and drains, seals, proves and reports it before it is
    COMPLETE. Where the environment's schedule says auto_roll, it also begins and ends days on time.
    Each command can be given again: it asks for no more than is missing.
    """


def _where(command: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
            help="Folder of the embedded NATS server.",
        ),
        click.option(
            "--config", "root", type=click.Path(path_type=Path), help="Configuration folder."
        ),
        click.option("--feed", "feeds", multiple=True, help="Only this feed (repeatable)."),
        click.option("--env", required=True, help="Environment: a file in config/environments."),
    ):  # fmt: skip
        command = option(command)
    return command


def _timeout(default_s: float) -> Callable[[F], F]:
    return click.option(
        "--timeout", "timeout_s", type=click.FloatRange(0, 86_400), default=default_s,
        show_default=True, help="Wait so many seconds for the archiver.",
    )  # fmt: skip


_force = click.option(
    "--force", is_flag=True,
    help="End in spite of failed checks, also without an archiver; that is put on record.",
)  # fmt: skip


def _desk(env: str, feeds: tuple[str, ...], root: Path | None, data: Path) -> Desk:
    return Desk(load(env, root=root, feeds=feeds), data)


def _date(value: datetime | None) -> str | None:
    return value.date().isoformat() if value is not None else None


def _ask(desk: Desk, want: Want, as_json: bool) -> None:
    """Ask, show what came of it, and fail where a feed's day is not where it was to be."""
    answers = run(desk, want)
    if not answers:
        _tell_none(desk, as_json)
    shown = [answer for answer in answers if answer.day is not None]
    if shown:
        _tell(desk, shown, as_json)
    failed = [answer.error for answer in answers if answer.error is not None]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        first = failed[0]
        raise type(first)(f"{first.message}{more}", hint=first.hint)


def _tell_none(desk: Desk, as_json: bool) -> None:
    if as_json:
        show.as_json({"env": desk.env.name, "days": []})
    else:
        show.line(f"{desk.env.name}: nothing to recover", "green")


def _tell(desk: Desk, answers: list[Answer], as_json: bool) -> None:
    if as_json:
        show.as_json({"env": desk.env.name, "days": [answer.facts() for answer in answers]})
        return
    for answer in answers:
        show.line(answer.line(), COLORS.get(answer.state))


def _looked(answers: list[Answer]) -> list[Answer]:
    """Nothing is shown where NATS did not answer for a feed."""
    for answer in answers:
        if answer.error is not None:
            raise answer.error
    return answers


@day.command()
@_where
def status(as_json: bool, **where: Any) -> None:
    """Where the day of each feed is, whether its exchange is open, and whether an archiver is
    there. A day that has not begun is PENDING."""
    desk = _desk(**where)
    rows = _looked(run(desk, Want("status")))
    if as_json:
        show.as_json({"env": desk.env.name, "days": [row.facts() for row in rows]})
        return
    head = ("feed", "date", "state", "since", "exchange", "archiver", "by", "error")
    show.line(f"environment {desk.env.name}")
    show.table(head, [row.cells() for row in rows])


@day.command()
@_where
@click.option("--date", "date_", type=DATE, help="The day of this date, not of this moment.")
@click.option(
    "--mode", type=click.Choice(["live", "replay"]), default="live", show_default=True,
    help="live: with what the exchanges send. replay: not available.",
)  # fmt: skip
@_timeout(90)
def start(as_json: bool, date_: datetime | None, mode: str, timeout_s: float, **where: Any) -> None:
    """Begin a day and wait until it is ACTIVE: its stream is there, a connector captures, the
    archiver archives."""
    if mode == "replay":
        raise DayFault(
            "a day cannot be replayed: nothing captures recorded data as a day",
            hint="`ssmd sim --play` plays a recording to a connector",
        )
    want = Want("start", date=_date(date_), timeout_s=timeout_s)
    _ask(_desk(**where), want, as_json)


@day.command()
@_where
@click.option("--date", "date_", type=DATE, help="The day of this date, not the open one.")
@_force
@_timeout(300)
def end(as_json: bool, date_: datetime | None, force: bool, timeout_s: float, **where: Any) -> None:
    """End a day and wait until it is COMPLETE: all of it archived, sealed, verified and reported.

    The report is day-DATE.json, beside the day's manifest.
    """
    want = Want("end", date=_date(date_), force=force, timeout_s=timeout_s)
    _ask(_desk(**where), want, as_json)


@day.command()
@_where
@_force
@_timeout(300)
def roll(as_json: bool, force: bool, timeout_s: float, **where: Any) -> None:
    """End the open day and start the next one, on which the exchange is open."""
    _ask(_desk(**where), Want("roll", force=force, timeout_s=timeout_s), as_json)


@day.command()
@_where
@_timeout(300)
def recover(as_json: bool, timeout_s: float, **where: Any) -> None:
    """Take up every day that is stuck, and take the step that failed again."""
    _ask(_desk(**where), Want("recover", timeout_s=timeout_s), as_json)


@day.command()
@_where
@click.option(
    "--limit", type=click.IntRange(1), default=10, show_default=True,
    help="At most so many days of each feed, the latest.",
)  # fmt: skip
def history(as_json: bool, limit: int, **where: Any) -> None:
    """The days that were, latest first; with --json each change of their states."""
    desk = _desk(**where)
    days = _looked(run(desk, Want("history", limit=limit)))
    if as_json:
        show.as_json({"env": desk.env.name, "days": [answer.story() for answer in days]})
        return
    head = ("feed", "date", "state", "started", "ended", "messages", "gaps", "report", "error")
    show.line(f"environment {desk.env.name}")
    show.table(head, [answer.row() for answer in days])
