"""The bus on a real nats-server: exactly once through kills, bounded, honest about refusals."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from ssmd import message
from ssmd.bus import Bus, Delivery, EmbeddedServer, connect, stream
from ssmd.config import Transport
from ssmd.errors import BusError, BusRefused, ConfigError

STREAM = "DEMO_KALSHI"


def kill_nats(data: Path) -> None:
    facts = EmbeddedServer(data / "nats").facts
    assert facts is not None
    os.kill(facts.pid, signal.SIGKILL)


async def stored(bus: Bus) -> list[Delivery]:
    return [delivery async for delivery in bus.messages(STREAM, "demo.kalshi.>")]


async def until_acked(bus: Bus, nats_seq: int) -> None:
    """The server takes acks in its own time."""
    while True:
        answer = await stream.request(bus._nc, f"CONSUMER.INFO.{STREAM}.archive")
        if answer["ack_floor"]["stream_seq"] >= nats_seq:
            return
        await asyncio.sleep(0.01)


async def publish(bus: Bus, first: int, count: int) -> None:
    async with bus.publisher(STREAM) as publisher:
        for number in range(first, first + count):
            publisher.put(f"demo.kalshi.json.t.S{number % 7}", f"c:{number}:0", b"%d" % number)
            if publisher.full:
                await publisher.room()
        await publisher.flush(30)


async def test_messages_are_stored_once_and_in_order(bus: Bus, transport: Transport) -> None:
    await bus.ensure_stream("demo", "kalshi", transport)
    await publish(bus, 1, 3000)
    await publish(bus, 2000, 1500)  # the first 1001 again, in another batch
    messages = await stored(bus)
    assert [int(m.payload) for m in messages] == list(range(1, 3500))
    assert [m.nats_seq for m in messages] == list(range(1, 3500))


async def test_a_quiet_feed_is_acked_without_waiting_for_more(
    bus: Bus, transport: Transport
) -> None:
    await bus.ensure_stream("demo", "kalshi", transport)
    async with bus.publisher(STREAM) as publisher:
        for number in range(3):
            publisher.put("demo.kalshi.json.t.S", f"c:{number}:0", b"x")
            await publisher.flush(10)
        assert publisher.acked == 3
        assert publisher.unacked == 0


async def test_kill_9_of_the_server_under_load_loses_and_doubles_nothing(
    bus: Bus, transport: Transport, tmp_path: Path
) -> None:
    await bus.ensure_stream("demo", "kalshi", transport)
    total, kills = 20_000, (3_000, 9_000, 15_000)
    async with bus.publisher(STREAM, window=1000) as publisher:
        for number in range(total):
            publisher.put("demo.kalshi.json.t.S", f"c:{number}:0", b"%d" % number)
            if number in kills:
                kill_nats(tmp_path)
            if publisher.full:
                await publisher.room()
        await publisher.flush(60)
        assert publisher.acked == total
    assert [int(m.payload) for m in await stored(bus)] == list(range(total))


async def test_the_window_bounds_what_waits(bus: Bus, transport: Transport) -> None:
    await bus.ensure_stream("demo", "kalshi", transport)
    async with bus.publisher(STREAM, window=100) as publisher:
        for number in range(100):
            assert not publisher.full
            publisher.put("demo.kalshi.json.t.S", f"c:{number}:0", b"x")
        assert publisher.full
        await publisher.room()
        assert publisher.unacked <= 50


async def test_publishing_into_no_stream_ends_in_a_clear_error(bus: Bus) -> None:
    async with bus.publisher("NOWHERE") as publisher:
        publisher.put("nowhere.at.all", "c:1:0", b"x")
        with pytest.raises(BusError, match="1 messages for NOWHERE are not acked"):
            await publisher.flush(1)


async def test_a_new_reader_gets_all_that_was_not_acked_at_once(
    bus: Bus, transport: Transport
) -> None:
    await bus.ensure_stream("demo", "kalshi", transport)
    await publish(bus, 1, 100)
    async with bus.deliveries(STREAM, consumer="archive", batch=50) as deliveries:
        first: list[Delivery] = []
        while len(first) < 10:
            first += await deliveries.next(5)
        await deliveries.ack(first[9])
        await until_acked(bus, first[9].nats_seq)
    async with bus.deliveries(STREAM, consumer="archive") as deliveries:
        again = await deliveries.next(5)
        assert again[0].nats_seq == first[9].nats_seq + 1
    async with bus.deliveries(STREAM, consumer="archive", after_seq=40) as deliveries:
        assert (await deliveries.next(5))[0].nats_seq == 41
        assert deliveries.pending >= 0


async def test_reading_goes_on_through_a_kill_of_the_server(
    bus: Bus, transport: Transport, tmp_path: Path
) -> None:
    await bus.ensure_stream("demo", "kalshi", transport)
    await publish(bus, 0, 5000)
    seen: list[int] = []
    async with bus.deliveries(STREAM, consumer="archive", after_seq=0, batch=500) as deliveries:
        while len(seen) < 6000:
            batch = await deliveries.next(10)
            seen += [int(delivery.payload) for delivery in batch]
            if batch and len(seen) in (1000, 3000):
                kill_nats(tmp_path)
            if batch:
                await deliveries.ack(batch[-1])
            if len(seen) == 5000:
                await publish(bus, 5000, 1000)
    assert seen == list(range(6000))


async def test_nothing_new_is_an_empty_answer(bus: Bus, transport: Transport) -> None:
    await bus.ensure_stream("demo", "kalshi", transport)
    async with bus.deliveries(STREAM, consumer="archive") as deliveries:
        assert await deliveries.next(0.1) == []


async def test_settings_of_a_stream_are_reconciled(bus: Bus) -> None:
    first = await bus.ensure_stream("demo", "kalshi", Transport(max_bytes=10_000_000))
    await publish(bus, 1, 10)
    second = await bus.ensure_stream("demo", "kalshi", Transport(max_bytes=20_000_000))
    assert first.created == second.created
    assert second.messages == 10


async def test_one_server_is_shared_and_stops_with_its_last_user(tmp_path: Path) -> None:
    servers = [EmbeddedServer(tmp_path / "nats") for _ in range(4)]
    urls = await asyncio.gather(*(server.start() for server in servers))
    assert len(set(urls)) == 1
    for server in servers[:-1]:
        await server.stop()
    facts = servers[-1].facts
    assert facts is not None
    os.kill(facts.pid, 0)
    await servers[-1].stop()
    assert servers[-1].facts is None


async def test_a_stale_record_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "nats") as server:
        before = server.facts
        kill_nats(tmp_path)
        await server.start()
        after = server.facts
        assert before is not None
        assert after is not None
        assert after.pid != before.pid
        assert after.port == before.port


@pytest.mark.parametrize("length", [1, 512, 5_000, 100_000])
async def test_a_long_type_or_symbol_is_stored(bus: Bus, transport: Transport, length: int) -> None:
    await bus.ensure_stream("demo", "kalshi", transport)
    long = "\u20ac." * length
    async with bus.publisher(STREAM) as publisher:
        for number, (type_, sym) in enumerate([("t", long), (long, "S"), (long, long)]):
            publisher.put(
                message.subject("demo", "kalshi", type_, sym), f"c:{number}:0", long.encode()
            )
        await publisher.flush(30)
    assert [delivery.payload for delivery in await stored(bus)] == [long.encode()] * 3
    only = message.subject("demo", "kalshi", "t", long)
    assert [d.nats_seq async for d in bus.messages(STREAM, only)] == [1]


async def test_the_longest_message_is_stored_and_a_longer_one_is_refused(
    bus: Bus, transport: Transport
) -> None:
    await bus.ensure_stream("demo", "kalshi", transport)
    subject, envelope = "demo.kalshi.json.t." + "S" * 512, 2048
    async with bus.publisher(STREAM) as publisher:
        publisher.put(subject, "c:1:0", b"x" * (bus.max_payload - envelope))
        await publisher.flush(30)
        assert publisher.acked == 1
        publisher.put(subject, "c:2:0", b"x" * (33 * 1024 * 1024))
        with pytest.raises(BusRefused, match="longer than the stream takes"):
            await publisher.flush(30)


async def test_a_connection_that_the_server_ends_for_good_is_an_error(tmp_path: Path) -> None:
    async def publish_wrongly() -> None:
        async with (
            connect(Transport(), name="test", data=tmp_path) as bus,
            bus.publisher("DEMO") as publisher,
        ):
            publisher.put("demo." + "x" * 5000, "c:1:0", b"x")
            await asyncio.Event().wait()

    with pytest.raises(BusError, match=r"NATS ended the connection: .*[Mm]aximum [Cc]ontrol"):
        await publish_wrongly()


async def test_no_server_is_a_clear_error() -> None:
    with pytest.raises(BusError, match="cannot connect to NATS at nats://127.0.0.1:9"):
        async with connect(Transport(url="nats://127.0.0.1:9"), name="test"):
            pass


async def test_an_old_server_is_refused() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'INFO {"server_id":"x","version":"2.10.5","max_payload":1048576,"headers":true}\r\n'
        )
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BusRefused, match=r"nats-server 2\.10\.5 is too old"):
            async with connect(Transport(url=f"nats://127.0.0.1:{port}"), name="test"):
                pass


async def test_other_transports_are_refused() -> None:
    with pytest.raises(ConfigError, match="'mqtt' is not supported"):
        async with connect(Transport(type="mqtt", url="mqtt://x"), name="test"):
            pass


async def test_a_server_that_nobody_wrote_down_is_ended_before_another_starts(
    tmp_path: Path,
) -> None:
    """Whoever started it was killed at once: two servers on one store would ruin it."""
    async with EmbeddedServer(tmp_path / "nats") as first:
        facts = first.facts
        assert facts is not None
        (tmp_path / "nats" / "nats.json").unlink()
        async with EmbeddedServer(tmp_path / "nats") as second:
            assert second.facts is not None
            assert second.facts.pid != facts.pid
            # It is our child here: a zombie at most, which only we can reap.
            assert (await asyncio.to_thread(os.waitpid, facts.pid, 0))[0] == facts.pid
