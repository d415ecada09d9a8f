"""Being the only one: a name that one connection holds, and that is free as soon as it is gone."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from ssmd.errors import BusError, Conflict
from ssmd.message import escape_token

PATIENCE_S: Final = 1.0
"""A holder that is busy answers within so long."""


@contextlib.asynccontextmanager
async def claimed(nc: Client, name: str, *, ask: bool = True) -> AsyncIterator[None]:
    """Of two who come at once, the one with the lower ticket stays. Raises Conflict, BusError.

    Asking takes ``PATIENCE_S``; without ``ask``, the caller knows that nobody is there.
    """
    subject = f"ssmd.claim.{escape_token(name)}"
    ticket = secrets.token_hex(8).encode()
    holds, beaten = False, asyncio.Event()

    async def on_question(msg: Msg) -> None:
        other = msg.data
        if other != ticket and (holds or ticket < other):
            await msg.respond(ticket)
        elif other != ticket:
            # Who came after our own question never heard it.
            beaten.set()

    try:
        subscription = await nc.subscribe(subject, cb=on_question)
        try:
            if ask and await _someone(nc, subject, ticket, beaten):
                raise Conflict(f"{name} is at work already", hint="wait for it, or stop it")
            holds = True
            yield
        finally:
            if not nc.is_closed:
                await subscription.unsubscribe()
    except (NatsError, OSError) as error:
        raise BusError(f"NATS lost the claim of {name}: {error}") from error


async def _someone(nc: Client, subject: str, ticket: bytes, answered: asyncio.Event) -> bool:
    async def on_answer(_: Msg) -> None:
        answered.set()

    inbox = nc.new_inbox()
    subscription = await nc.subscribe(inbox, cb=on_answer)
    try:
        await nc.publish(subject, ticket, reply=inbox)
        async with asyncio.timeout(PATIENCE_S):
            await answered.wait()
        return True
    except TimeoutError:
        return False
    finally:
        await subscription.unsubscribe()
