"""An asyncio server that is treated badly: it says what is wrong, goes on serving, and gives everything back."""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import socket
import struct
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from handfast import HandshakeTimeout, TLSError, TruncationError, aio, limits, reasons
from handfast.errors import ConnectionFailed, PeerMisbehaved
from tests.handshake.parties import client_config, server_config
from tests.robustness.test_server import NONSENSE, answer, hello, megabytes_in_use
from tests.unit.transport.aio_running import DESCRIPTORS, LOOPS, Loop, Served, closed, descriptors, serving, wait_until

IDLE = 2000
PAIR = 145 * 1024  # bytes that an idle connection may take, both of its ends together; it is about a fifth of that


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Loop:
    return Loop(request.param)


# --- nonsense ------------------------------------------------------------------------------------------------------


def test_nonsense(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            for count, (name, data, reason, alert) in enumerate(NONSENSE, 1):
                sock = await served.dial()
                with sock:
                    await asyncio.to_thread(sock.sendall, data())
                    said = await asyncio.to_thread(answer, sock)
                assert said == b"\x15\x03\x03\x00\x02\x02" + bytes((alert,)), name
                error = (await served.failed(count))[-1]
                assert isinstance(error, PeerMisbehaved), name
                assert error.reason is reason, name
            await served.check_serving()

    run(main())


def test_a_hello_a_byte_at_a_time(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in hello():
                writer.write(bytes((byte,)))
                await asyncio.sleep(0)
            assert await reader.readexactly(3) == b"\x16\x03\x03"
            writer.transport.abort()
            (error,) = await served.failed()
            assert isinstance(error, TLSError)

    run(main())


def test_a_hello_that_is_cut_off(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            sock = await served.dial()
            with sock:
                sock.sendall(hello()[:-1])
                assert await asyncio.to_thread(answer, sock) == b""
            (error,) = await served.failed()
            assert isinstance(error, TruncationError)
            assert error.reason is reasons.CLOSED_DURING_HANDSHAKE
            assert served.failures[0][0][0] == "127.0.0.1"

    run(main())


def test_a_hook_that_raises_does_not_stop_the_server(run: Loop) -> None:
    def fail(*facts: Any) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        server = await aio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0, config=server_config(), on_failure=fail
        )
        async with server:
            served = Served(server, [], asyncio.Condition())
            for _ in range(3):
                sock = await served.dial()
                with sock:
                    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    await asyncio.to_thread(answer, sock)
            await wait_until(lambda: len(run.reports) == 3)
            reader, writer = await served.connect()
            assert await reader.read() == b""
            await closed(writer)
        assert {type(report["exception"]) for report in run.reports} == {ZeroDivisionError}
        run.reports.clear()

    run(main())


# --- many at once --------------------------------------------------------------------------------------------------


def test_handshakes_at_once_are_limited(run: Loop) -> None:
    """Those that come too many wait unread, in order, and get their turn when one ends: well, or badly."""

    async def main() -> None:
        async with serving(options={"max_handshakes": 2}) as served:
            stalled = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(2)]
            await asyncio.sleep(0.1)
            waiting = [asyncio.ensure_future(served.connect()) for _ in range(5)]
            await asyncio.sleep(0.3)
            assert [task for task in waiting if task.done()] == [], served.failures
            stalled[0][1].transport.abort()
            for _, writer in await asyncio.gather(*waiting):
                await closed(writer)
            stalled[1][1].transport.abort()
            assert len(await served.failed(2)) == 2
            for _ in range(3):
                await served.check_serving()

    run(main())


def test_waiting_for_a_turn_counts_as_handshake_time(run: Loop) -> None:
    async def main() -> None:
        async with serving(options={"max_handshakes": 1}, handshake_timeout=0.3) as served:
            streams = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(4)]
            streams[2][1].transport.abort()  # nobody is there to see it, before its time is over
            errors = await served.failed(4)
            assert sum(isinstance(error, HandshakeTimeout) for error in errors) >= 3
            for _, writer in streams:
                writer.transport.abort()
            await served.check_serving()

    run(main())


def test_many_handshakes_at_once(run: Loop) -> None:
    async def main() -> None:
        async with serving(options={"max_handshakes": 4, "backlog": 200}) as served:
            config = client_config(groups=["x25519"])
            everybody = await asyncio.gather(*(served.connect(config=config) for _ in range(100)))
            for number, (_, writer) in enumerate(everybody):
                writer.write(b"%03d" % number)
            for number, (reader, writer) in enumerate(everybody):
                assert await reader.readexactly(3) == b"%03d" % number
                await closed(writer)
            assert not served.failures

    run(main())


def allow(files: int) -> None:
    """Raise the limit of open files, if we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        if hard != resource.RLIM_INFINITY and hard < files:
            pytest.skip(f"no more than {hard} files may be open here, and {files} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


@pytest.mark.timeout(240)
def test_two_thousand_idle_connections() -> None:
    """They all work, cost little memory, and leave nothing behind."""
    allow(2 * IDLE + 500)
    run = Loop("asyncio")

    async def main() -> None:
        async with serving(options={"backlog": 500}) as served:
            config = client_config(groups=["x25519"])
            everybody = [await served.connect(config=config) for _ in range(100)]
            gc.collect()
            before = megabytes_in_use()
            while len(everybody) < IDLE:
                everybody += await asyncio.gather(*(served.connect(config=config) for _ in range(100)))
            gc.collect()
            assert (megabytes_in_use() - before) * 1e6 / (IDLE - 100) < PAIR
            for number, (reader, writer) in enumerate(everybody[::10]):
                writer.write(b"%04d" % number)
                assert await reader.readexactly(4) == b"%04d" % number
            for _, writer in everybody:
                writer.close()
            for _, writer in everybody:
                await closed(writer)
            assert not served.failures

    run(main(), seconds=200)


# --- a thousand connections ----------------------------------------------------------------------------------------


def drop(port: int, chance: random.Random, stream: bytes) -> None:
    """One connection that ends at a random point: within the hello, after it, or with data on the way."""
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        with suppress(OSError):
            stop = chance.choice([0, chance.randrange(len(stream)), len(stream)])
            sock.sendall(stream[:stop])
            if stop == len(stream) and chance.random() < 0.5:
                sock.recv(chance.choice([1, 100, 4096]))
                sock.sendall(chance.randbytes(chance.randrange(200)))
        if chance.random() < 0.5:  # by a reset
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="this system does not list descriptors")
def test_a_thousand_connections_dropped_at_random(run: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    # A failed connection is drained for up to two seconds, so that its alert arrives; these peers never look.
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.2)
    chance = random.Random(20_260_202)
    stream = hello()

    async def main() -> None:
        async with serving() as served:
            await served.check_serving()
            for _ in range(100):
                await asyncio.to_thread(drop, served.port, chance, stream)
            await served.failed(100)
            await asyncio.sleep(0.5)
            gc.collect()
            open_before, memory, objects = descriptors(), megabytes_in_use(), len(gc.get_objects())
            for _ in range(1000):
                await asyncio.to_thread(drop, served.port, chance, stream)
            await served.failed(1100)
            await wait_until(lambda: descriptors() <= open_before)
            seen = Counter(type(error) for _, error, _ in served.failures)
            served.failures.clear()
            gc.collect()
            assert megabytes_in_use() - memory < 30
            assert len(gc.get_objects()) - objects < 2000
            await served.check_serving()
        assert {TruncationError, ConnectionFailed, PeerMisbehaved} & set(seen)
        assert seen[TruncationError] > 100
        assert all(issubclass(kind, TLSError) for kind in seen)

    run(main(), seconds=100)


# --- nothing is kept -----------------------------------------------------------------------------------------------


def test_a_connection_that_is_over_is_freed_without_the_collector(run: Loop) -> None:
    """Keys are gone with the last reference, not at some time later."""

    async def main() -> None:
        async with serving() as served:
            await served.check_serving()
            await asyncio.sleep(0.1)
            gc.collect()
            gc.disable()
            try:
                before = [thing for thing in gc.get_objects() if type(thing).__name__ == "RecordLayer"]
                for _ in range(5):
                    reader, writer = await served.connect()
                    writer.write(b"x")
                    assert await reader.readexactly(1) == b"x"
                    await closed(writer)
                    del reader, writer
                    with pytest.raises(TLSError):
                        await served.connect(server_name="other.example")
                await served.failed(5)
                await asyncio.sleep(0.3)
                after = [thing for thing in gc.get_objects() if type(thing).__name__ == "RecordLayer"]
                assert len(after) == len(before)
            finally:
                gc.enable()

    run(main())
