"""The proof: what the simulator's ledger says was sent, against what the archive holds."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from ssmd.dataset import Archive
from ssmd.message import Archived, decode_archived, decode_capture
from ssmd.sim.ledger import Ledger, Sent

LIMIT = 10_000
"""How many messages one request is answered with at most."""


class Kept:
    """What the archive holds of one feed: the exchange's frames by connection, and our notes."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        messages = [decode_archived(line) for line in lines]
        assert len({(m.conn, m.n, m.part or 0) for m in messages}) == len(messages)
        assert [m.nats_seq for m in messages] == sorted({m.nats_seq for m in messages})
        self.messages = messages
        self.notes = [m for m in messages if (m.part or 0) < 0]
        self.frames: dict[str, list[bytes]] = {}
        """By connection, put together again from their elements, in order; none is missing
        between two others."""
        by_conn = defaultdict(list)
        for entry in messages:
            if (entry.part or 0) >= 0:
                by_conn[entry.conn].append(entry)
        for conn, entries in by_conn.items():
            assert sorted({m.n for m in entries}) == list(range(1, entries[-1].n + 1))
            self.frames[conn] = list(_frames(entries))

    def of_type(self, type_: str) -> list[tuple[str, Any]]:
        """Notes of a type: the connection that they are about, and their facts."""
        facts = [(m.conn, msgspec.json.decode(m.payload)) for m in self.notes if m.type == type_]
        return [(fact.get("conn", conn), fact) for conn, fact in facts]

    def conn_of(self, sent: Sent) -> str | None:
        """The connection that was opened from a port; None where no ``_connect`` came through.
        A port may be used again: then the frames decide."""
        found = [
            conn
            for conn, facts in self.of_type("_connect")
            if facts["local"].endswith(f":{sent.peer_port}")
        ]
        if len(found) > 1:
            found = [conn for conn in found if self._holds(conn, sent)]
        return max(found, key=lambda conn: len(self.frames.get(conn, ())), default=None)

    def _holds(self, conn: str, sent: Sent) -> bool:
        """Whether what is kept of a connection are the first frames of what was sent."""
        frames = self.frames.get(conn, [])
        return len(frames) <= len(sent) and all(
            sha256(frame) == sent.sha256(n) for n, frame in enumerate(frames, 1)
        )


def _frames(entries: Sequence[Archived]) -> Iterator[bytes]:
    for _, group in groupby(entries, key=lambda m: m.n):
        parts = list(group)
        if parts[0].parts:
            assert [part.part or 0 for part in parts] == list(range(parts[0].parts))
            yield b"[" + b",".join(part.payload for part in parts) + b"]"
        else:
            (part,) = parts
            yield part.payload


def lines(archive: Archive, feed: str) -> list[bytes]:
    """Every archived line of a feed."""
    return [line for day in archive.days(feed) for line in archive.day(feed, day).lines()]


def frames_read(archive: Archive, feed: str) -> int:
    """How many frames of the exchange are archived by now."""
    captures = map(decode_capture, lines(archive, feed))
    return len({(c.conn, c.n) for c in captures if c.part >= 0})


def sha256(frame: bytes) -> str:
    return hashlib.sha256(frame).hexdigest()


def flat(frame: bytes) -> bytes:
    """A JSON object as a line of the archive holds it: its bytes without line breaks."""
    return re.sub(rb"[\r\n]", b"", frame.strip())


def assert_prefix(kept: Sequence[bytes], sent: Sent, changed: Mapping[str, str]) -> int:
    """The frames are the first that were sent, each once, in order; how many are missing.

    ``changed`` holds digests of frames with line breaks, as sent -> as kept.
    """
    digests = [sent.sha256(n) for n in range(1, len(sent) + 1)]
    wanted = [changed.get(digest, digest) for digest in digests]
    assert [sha256(frame) for frame in kept] == wanted[: len(kept)]
    return len(digests) - len(kept)


def assert_all_kept(
    kept: Kept, ledger: Ledger, exchange: str, changed: Mapping[str, str] | None = None
) -> int:
    """Nothing at all is missing; how many frames there are."""
    total = 0
    for sent in ledger.of(exchange):
        conn = kept.conn_of(sent)
        assert conn is not None
        assert assert_prefix(kept.frames.get(conn, []), sent, changed or {}) == 0
        total += len(sent)
    return total


async def assert_served(client: aiohttp.ClientSession, archive: Archive, feed: str) -> int:
    """The API answers with the archive's own lines, by day and by type; how many differ."""
    served = set[bytes]()
    async with client.get("/v1/feeds") as answer:
        (facts,) = [entry for entry in await answer.json() if entry["name"] == feed]
    for day in archive.days(feed):
        for type_ in (None, *facts["message_types"]):
            stored = list(archive.day(feed, day).lines(type=type_))[:LIMIT]
            query = {"limit": str(LIMIT), **({"type": type_} if type_ else {})}
            async with client.get(f"/datasets/{feed}/{day}/sample", params=query) as answer:
                assert answer.status == 200
                body = await answer.read()
            assert body == b"[" + b",\n".join(stored) + b"]", (feed, day, type_)
            served.update(stored)
    return len(served)


def archive_of(data: Path, env: str) -> Archive:
    return Archive(data / "archive", env)
