"""Many keys of a bucket in one go: one request reads them, one wait is for all that is written."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from ssmd.errors import BusError

MOST: Final = 1000
"""The server answers for at most 1,024 subjects at once (2.11 to 2.15)."""
PATIENCE_S: Final = 20.0
"""For the next answer."""

Kept = tuple[str, bytes, int]
"""Subject, value, revision."""


@contextlib.asynccontextmanager
async def answers(nc: Client, what: str) -> AsyncIterator[tuple[str, Callable[[], Awaitable[Msg]]]]:
    """An inbox below which answers come, and what waits for the next. Raises BusError."""
    arrived: asyncio.Queue[Msg] = asyncio.Queue()

    async def on_message(msg: Msg) -> None:
        arrived.put_nowait(msg)

    async def following() -> Msg:
        async with asyncio.timeout(PATIENCE_S):
            return await arrived.get()

    inbox = nc.new_inbox()
    try:
        subscription = await nc.subscribe(f"{inbox}.>", cb=on_message)
        try:
            yield inbox, following
        finally:
            if not nc.is_closed:
                await subscription.unsubscribe()
    except (NatsError, OSError, TimeoutError) as error:
        raise BusError(f"NATS did not {what}: {error or 'no answer'}") from error


async def get(nc: Client, stream: str, subjects: Sequence[str]) -> AsyncIterator[Kept]:
    """The latest value under each of these subjects; those without one are left out."""
    request = msgspec.json.encode({"multi_last": list(subjects), "batch": len(subjects)})
    async with answers(nc, f"read {stream}") as (inbox, arrival):
        await nc.publish(f"$JS.API.DIRECT.GET.{stream}", request, reply=f"{inbox}.r")
        while True:
            msg = await arrival()
            headers = msg.headers or {}
            status = headers.get("Status")
            if status in ("204", "404"):  # the end; none of them is there
                return
            if status is not None:
                raise BusError(f"NATS did not read {stream}: {dict(headers)}")
            if "KV-Operation" not in headers:
                yield headers["Nats-Subject"], msg.data, int(headers["Nats-Sequence"])


async def put(nc: Client, stream: str, items: Sequence[tuple[str, bytes]]) -> None:
    """Store each; all are stored when this returns."""
    async with answers(nc, f"store into {stream}") as (inbox, arrival):
        for number, (subject, value) in enumerate(items):
            await nc.publish(subject, value, reply=f"{inbox}.{number}")
        for _ in items:
            msg = await arrival()
            answer = (
                msgspec.json.decode(msg.data) if msg.data else {"error": dict(msg.headers or {})}
            )
            if "error" in answer:
                raise BusError(f"NATS did not store into {stream}: {answer['error']}")
