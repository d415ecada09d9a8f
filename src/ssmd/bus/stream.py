"""Streams: one per environment and feed, made and kept as the environment says."""

from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js.errors import Error as JetStreamError

from ssmd import message
from ssmd.config import Transport
from ssmd.errors import BusError, BusRefused

API_TIMEOUT_S = 10.0
NS = 1_000_000_000

MAX_STORED_BYTES = 32 * 1024 * 1024 - 4096
"""JetStream's file store holds records shorter than 32 MiB, whatever the server's max_payload says
(measured on 2.15.1: 33,554,345 bytes with a subject and headers of 87)."""

NOT_FOUND = frozenset({10059, 10014, 10037})
"""JetStream's codes for: no such stream, no such consumer, no such message."""


class StreamFacts(msgspec.Struct, frozen=True):
    """What the server says of a stream. ``created`` tells a recreated one from its namesake."""

    name: str
    created: str
    first_seq: int
    last_seq: int
    last_time: str
    """RFC 3339: when the latest message was stored; the year 1 where there is none."""
    messages: int
    bytes: int


class ApiError(BusError):
    """An error that JetStream answered; ``err_code`` is its own number."""

    def __init__(self, what: str, error: dict[str, Any]) -> None:
        self.err_code = int(error.get("err_code", 0))
        super().__init__(f"JetStream refused {what}: {error.get('description', error)}")


async def request(nc: Client, what: str, payload: Any = None) -> dict[str, Any]:
    """One call of JetStream's API. Raises ApiError, BusError.

    By hand, because the client's Structs lack fields of newer servers (``allow_batched``).
    """
    body = b"" if payload is None else msgspec.json.encode(payload)
    try:
        reply = await nc.request(f"$JS.API.{what}", body, timeout=API_TIMEOUT_S)
    except NoRespondersError as error:
        raise BusRefused(
            "the NATS server has no JetStream", hint="start it with jetstream enabled (-js)"
        ) from error
    except (NatsError, JetStreamError, OSError) as error:
        raise BusError(f"NATS did not answer {what}: {error}") from error
    answer: dict[str, Any] = msgspec.json.decode(reply.data)
    if "error" in answer:
        raise ApiError(what, answer["error"])
    return answer


def wanted(env: str, feed: str, transport: Transport) -> dict[str, Any]:
    """The stream's settings, as JetStream's API spells them."""
    return {
        "name": message.stream_name(env, feed),
        "subjects": [message.feed_subjects(env, feed)],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "num_replicas": transport.replicas,
        "max_age": int(transport.max_age_s * NS),
        "max_bytes": transport.max_bytes,
        "max_msgs": -1,
        "max_consumers": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "duplicate_window": int(min(transport.duplicate_window_s, transport.max_age_s) * NS),
        "allow_batched": True,
        "allow_direct": True,
    }


async def ensure(nc: Client, env: str, feed: str, transport: Transport) -> StreamFacts:
    """Make the stream, or bring its settings to what the environment says."""
    config = wanted(env, feed, transport)
    name = config["name"]
    try:
        answer = await request(nc, f"STREAM.INFO.{name}")
    except ApiError as error:
        if error.err_code not in NOT_FOUND:
            raise
        return facts_of(await _create(nc, config))
    present = answer["config"]
    if any(present.get(key) != value for key, value in config.items()):
        answer = await request(nc, f"STREAM.UPDATE.{name}", {**present, **config})
    return facts_of(answer)


async def _create(nc: Client, config: dict[str, Any]) -> dict[str, Any]:
    try:
        return await request(nc, f"STREAM.CREATE.{config['name']}", config)
    except ApiError as error:
        raise BusRefused(error.message, hint="see the transport of the environment") from error


async def facts(nc: Client, name: str) -> StreamFacts:
    """Raises ApiError where the stream does not exist."""
    return facts_of(await request(nc, f"STREAM.INFO.{name}"))


def facts_of(answer: dict[str, Any]) -> StreamFacts:
    state = answer["state"]
    return StreamFacts(
        name=answer["config"]["name"],
        created=answer["created"],
        first_seq=state["first_seq"],
        last_seq=state["last_seq"],
        last_time=state["last_ts"],
        messages=state["messages"],
        bytes=state["bytes"],
    )
