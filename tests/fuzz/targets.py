"""What must hold for any bytes at all."""

import contextlib
import tempfile
from pathlib import Path

from ssmd import message as wire
from ssmd.connect import tape
from ssmd.errors import ContractError
from ssmd.exchanges import EXCHANGES
from ssmd.message import Message
from ssmd.store.tally import recover

CHECKS = {name: exchange.continuity() for name, exchange in EXCHANGES.items()}


def frame(payload: bytes) -> None:
    """A frame is classified, kept byte for byte, checked and read without anything else than the
    errors that say what is wrong with it."""
    for element in wire.split_array(payload) or [payload]:
        for name, exchange in EXCHANGES.items():
            header = exchange.classify(element)
            kept = Message(
                feed=name, conn="c", n=1, recv_ns=1, mono_ns=1, type=header.type,
                **wire.body(element),
            )  # fmt: skip
            stored = wire.decode(wire.encode(kept))
            assert stored.payload == bytes(wire.one_line(element)) or stored.payload == element
            exchange.answers(element)
            with contextlib.suppress(ContractError):
                list(exchange.records(stored))
            with contextlib.suppress(*tape.UNREADABLE):
                CHECKS[name].check(header, element)


def segment(content: bytes) -> None:
    """Any file as a segment: what is whole in it is read, and nothing else happens."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "000000-000000000001.jsonl.gz"
        path.write_bytes(content)
        tally, end = recover(path)
        assert end <= len(content)
        assert tally.records >= len(tally.blocks)
