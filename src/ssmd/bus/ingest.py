"""The words of JetStream's fast-ingest batches (ADR-50): reply subjects out, answers in."""

import secrets
from typing import Any, Final, Literal, NamedTuple

import msgspec
from nats.aio.msg import Msg

FLOW: Final = 500
"""Messages per ack that we allow; the server starts a lone publisher at as many."""
START, APPEND, COMMIT = 0, 1, 3
REFUSALS: Final = {
    10205: "batch publishing is switched off on the stream",
    10054: "a message is longer than the stream takes",
    10077: "a message is longer than the stream takes",
}
"""JetStream's codes for what sending again cannot help."""


class Pending(NamedTuple):
    subject: str
    msg_id: str
    payload: bytes


class Reply(NamedTuple):
    """What the server says of a batch.

    ``ack``: all up to message ``number`` are stored. ``end``: the batch is over with so many
    stored. ``lost``: it has to be sent again, for ``why``; ``refused``: that would not help, as
    ``REFUSALS`` says of ``number``. ``missing``: no stream takes the subject.
    """

    kind: Literal["ack", "end", "lost", "refused", "missing"]
    number: int = 0
    why: str = ""


def begin(inbox: str) -> str:
    """A new batch, whose answers come to the inbox."""
    return f"{inbox}.{secrets.token_hex(8)}.{FLOW}.fail"


def step(batch: str, number: int, operation: int) -> str:
    """The reply subject of a message of the batch."""
    return f"{batch}.{number}.{operation}.$FI"


def read(reply: Msg) -> Reply | None:
    """None for what says nothing of ours."""
    if reply.headers and reply.headers.get("Status") == "503":
        return Reply("missing", why="no stream takes the subject")
    answer: dict[str, Any] = msgspec.json.decode(reply.data)
    kind = answer.get("type")
    if kind == "ack":
        return Reply("ack", answer["seq"])
    if kind == "gap":
        missed = f"messages {answer.get('last_seq')} to {answer['seq']}"
        return Reply("lost", why=f"the server missed {missed}")
    if "error" in answer:
        return _refusal(answer["error"])
    return Reply("end", int(answer["count"])) if "batch" in answer else None


def _refusal(error: dict[str, Any]) -> Reply:
    code = error.get("err_code", 0)
    why = str(error.get("description", error))
    return Reply("refused", code, why) if code in REFUSALS else Reply("lost", why=why)
