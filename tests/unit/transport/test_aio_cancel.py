"""Cancellation at every point: no socket, task or exception is left behind. Loop looks for these at the end of each test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from handfast import TLSError, aio, limits
from tests.handshake.parties import client_config, identity, server_config
from tests.unit.transport.aio_running import LOOPS, Loop, Served, closed, echo, serving, wait_until
from tests.unit.transport.sockets import Running, quiet, tcp_pair

STEPS = 40  # turns of the loop; a connection over loopback takes fewer


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Loop:
    return Loop(request.param)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.2)


async def cancel_after(steps: int, work: Awaitable[Any]) -> Any:
    """Cancel something after so many turns of the loop. Its result, if it has come to one; else None."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    return None if isinstance(result, BaseException) else result


def test_connecting(run: Loop) -> None:
    async def main() -> None:
        finished = 0
        async with serving() as served:
            for steps in range(STEPS):
                streams = await cancel_after(steps, served.connect(config=client_config(groups=["x25519"])))
                if streams is not None:
                    finished += 1
                    await closed(streams[1])
            await served.check_serving()
        assert finished < STEPS - 3

    run(main())


def test_connecting_by_name(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            for steps in range(STEPS):
                work = aio.open_connection("localhost", served.port, config=client_config(groups=["x25519"]))
                streams = await cancel_after(steps, work)
                if streams is not None:
                    await closed(streams[1])

    run(main())


def test_while_an_answer_is_awaited(run: Loop) -> None:
    class Slow:
        schemes = identity().signer.schemes

        async def sign(self, scheme: int, content: bytes) -> bytes:
            for _ in range(10):
                await asyncio.sleep(0)
            signature = identity().signer.sign(scheme, content)
            assert isinstance(signature, bytes)
            return signature

    class Checking:
        cancelled = 0

        async def __call__(self, peer: Any) -> None:
            try:
                for _ in range(10):
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise

    async def main() -> None:
        from handfast import Identity

        checking = Checking()
        async with serving(identities=[Identity(identity().chain, Slow())]) as served:
            for steps in range(2 * STEPS):
                streams = await cancel_after(steps, served.connect(config=client_config(check_peer=checking)))
                if streams is not None:
                    await closed(streams[1])
        assert checking.cancelled

    run(main())


def test_a_handshake_that_never_ends(run: Loop) -> None:
    """The peer is told: a cancellation is no accident."""

    async def main() -> None:
        here, there = tcp_pair()
        peer = Running(quiet, there)
        work = aio.open_connection(sock=here, config=client_config(), server_name="localhost")
        connecting = asyncio.ensure_future(work)
        await asyncio.sleep(0.1)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        heard = await asyncio.to_thread(peer.result)
        assert heard.endswith(b"\x15\x03\x03\x00\x02\x01\x5a" + b"\x15\x03\x03\x00\x02\x01\x00")

    run(main())


def test_with_a_timeout_around_it(run: Loop) -> None:
    async def main() -> None:
        here, there = tcp_pair()
        peer = Running(quiet, there)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await aio.open_connection(sock=here, config=client_config(), server_name="localhost")
        await asyncio.to_thread(peer.result)

    run(main())


def test_upgrading(run: Loop) -> None:
    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TLSError, ConnectionError):
            await aio.upgrade(reader, writer, server_config(), server_side=True)
        await closed(writer)

    async def main() -> None:
        server = await asyncio.start_server(upgrade, "127.0.0.1", 0)
        async with server:
            for steps in range(STEPS):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
                await cancel_after(steps, aio.upgrade(reader, writer, client_config(), server_name="localhost"))
                await closed(writer)

    run(main())


Life = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]


async def big_write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(5_000_000))
    await writer.drain()
    await writer.drain()


async def half_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"bye")
    writer.write_eof()
    await reader.read()


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(100_000))
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("life", [big_write, half_close, close])
def test_in_the_middle_of_a_life(run: Loop, life: Life) -> None:
    async def main() -> None:
        async with serving() as served:
            for steps in range(0, STEPS, 2):
                reader, writer = await served.connect(config=client_config(groups=["x25519"]))
                await cancel_after(steps, life(reader, writer))
                if steps % 4:
                    writer.transport.abort()  # type: ignore[attr-defined]
                writer.close()  # and no wait_closed: one that was cancelled makes all later ones raise that too

    run(main())


async def holding(served: Served, started: asyncio.Event) -> None:
    reader, writer = await served.connect()
    writer.write(b"x")
    await reader.readexactly(1)
    started.set()
    try:
        await reader.read()
    finally:
        writer.transport.abort()  # type: ignore[attr-defined]


def test_serving_for_ever(run: Loop) -> None:
    """The server ends with its task, and the handlers with theirs."""

    async def main() -> None:
        started = asyncio.Event()
        handlers: list[asyncio.Task[Any]] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            handlers.append(task)
            await echo(reader, writer)

        async with serving(handle) as served:
            forever = asyncio.ensure_future(served.server.serve_forever())
            client = asyncio.ensure_future(holding(served, started))
            await started.wait()
            forever.cancel()
            handlers[0].cancel()
            results = await asyncio.gather(forever, client, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
            assert isinstance(results[1], TLSError)
            await wait_until(handlers[0].done)

    run(main())


def test_a_handler_that_has_not_begun(run: Loop) -> None:
    async def main() -> None:
        begun: list[bool] = []

        def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Awaitable[None]:
            asyncio.get_running_loop().call_soon(cancel)  # which comes before the first step
            return work()

        async def work() -> None:
            begun.append(True)

        def cancel() -> None:
            for task in asyncio.all_tasks() - before:
                task.cancel()

        async with serving(handle) as served:
            reader, writer = await served.connect()
            before = asyncio.all_tasks()
            with pytest.raises(TLSError):
                await reader.read()
            with pytest.raises(TLSError):
                await writer.wait_closed()
        assert not begun

    run(main())


@pytest.mark.parametrize("kind", LOOPS)
def test_the_end_of_asyncio_run(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Tasks that run are cancelled; what they leave open is closed, and nothing is written about it."""

    async def main() -> None:
        started = asyncio.Event()
        server = await aio.start_server(echo, "127.0.0.1", 0, config=server_config())
        served = Served(server, [], asyncio.Condition())
        running.append(asyncio.ensure_future(holding(served, started)))
        running.append(asyncio.ensure_future(server.serve_forever()))
        await started.wait()

    running: list[asyncio.Task[Any]] = []
    with asyncio.Runner(debug=True, loop_factory=LOOPS[kind]) as runner:
        runner.get_loop().slow_callback_duration = 60.0
        runner.run(main())
    assert all(task.cancelled() for task in running)
    assert capfd.readouterr() == ("", "")
