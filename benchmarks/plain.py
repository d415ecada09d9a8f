"""The pipeline one would write first: aiohttp, ``json``, ``js.publish_async``, ``fetch``, ``gzip``.

``python benchmarks/plain.py connect WS_URL SUBSCRIBE_FRAME NATS_URL STREAM SUBJECT_PREFIX``
captures until SIGTERM; ``... archive NATS_URL STREAM FOLDER COUNT`` archives so many messages.
Each prints one JSON object: ``{"messages": int}``.
"""

import asyncio
import gzip
import json
import os
import signal
import sys
import time
from pathlib import Path

import aiohttp
import nats
import uvloop
from nats.js.api import ConsumerConfig

MAX_PENDING = 4_000


async def connect(url: str, subscribe: str, nats_url: str, stream: str, prefix: str) -> int:
    """Frames of one WebSocket -> JetStream, each decoded once, acked and de-duplicated."""
    client = await nats.connect(nats_url)
    js = client.jetstream(publish_async_max_pending=MAX_PENDING)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    count = 0
    conn = os.urandom(8).hex()
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as ws:
        await ws.send_str(subscribe)
        async for frame in ws:
            if stop.is_set() or frame.type is not aiohttp.WSMsgType.TEXT:
                break
            data = json.loads(frame.data)
            count += 1
            line = json.dumps(
                {
                    "v": 1,
                    "feed": "plain",
                    "conn": conn,
                    "n": count,
                    "recv_ns": time.time_ns(),
                    "mono_ns": time.monotonic_ns(),
                    "type": data.get("feed", "other"),
                    "sym": data.get("product_id"),
                    "raw": data,
                }
            )
            subject = f"{prefix}.json.{data.get('feed', 'other')}.{data.get('product_id', '_')}"
            await js.publish_async(
                subject, line.encode(), stream=stream, headers={"Nats-Msg-Id": f"{conn}:{count}:0"}
            )
    await js.publish_async_completed()
    await client.close()
    return count


async def archive(nats_url: str, stream: str, folder: Path, count: int) -> int:
    """A stream -> one gzip file, flushed and fsynced before each batch is acked."""
    client = await nats.connect(nats_url)
    js = client.jetstream()
    config = ConsumerConfig(max_ack_pending=20_000)
    consumer = await js.pull_subscribe("", durable="plain", stream=stream, config=config)
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    done = 0
    types: set[str] = set()
    with (folder / "plain.jsonl.gz").open("wb") as file, gzip.open(file, "wb") as archive_file:
        while done < count:
            batch = await consumer.fetch(1_000, timeout=5)
            for message in batch:
                data = json.loads(message.data)
                data["nats_seq"] = message.metadata.sequence.stream
                types.add(data["type"])
                archive_file.write(json.dumps(data).encode() + b"\n")
            archive_file.flush()
            os.fsync(file.fileno())
            for message in batch:
                await message.ack()
            done += len(batch)
    await client.close()
    return done


def main(role: str, *arguments: str) -> None:
    if role == "connect":
        url, subscribe, nats_url, stream, prefix = arguments
        messages = uvloop.run(connect(url, subscribe, nats_url, stream, prefix))
    else:
        nats_url, stream, folder, count = arguments
        messages = uvloop.run(archive(nats_url, stream, Path(folder), int(count)))
    sys.stdout.write(json.dumps({"messages": messages}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
