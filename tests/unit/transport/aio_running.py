"""Event loops that notice what is left behind, and servers that run in them."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import uvloop

from handfast import TLSError, aio
from tests.handshake.parties import client_config, identity, server_config

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
DESCRIPTORS = Path("/proc/self/fd")

identity()  # made once, and before there are threads that would both make one

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def descriptors() -> int:
    """How many files and sockets are open; 0 where the system does not say."""
    return len(list(DESCRIPTORS.iterdir())) if DESCRIPTORS.exists() else 0


@cache
def _begin(kind: str) -> None:
    """The first loop of a process opens what stays open: uvloop a pipe, for the signals of all its loops."""
    with asyncio.Runner(loop_factory=LOOPS[kind]) as runner:
        runner.run(asyncio.sleep(0))


@dataclass
class Loop:
    """Runs a coroutine, in debug mode. Afterwards no task and no socket is left, and nothing was reported.

    ``kind``     "asyncio" or "uvloop"
    ``reports``  what the loop's exception handler was called with; a test that expects that takes it out
    """

    kind: str
    reports: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, main: Coroutine[Any, Any, Any], *, seconds: float = 60) -> Any:
        _begin(self.kind)
        gc.collect()
        before = descriptors()
        runner = asyncio.Runner(debug=True, loop_factory=LOOPS[self.kind])
        try:
            result = runner.run(self._watched(main, seconds))
        except BaseException:
            with warnings.catch_warnings(action="ignore"):  # as errors, those of what a failure leaves open hang uvloop
                runner.close()
            raise
        runner.close()
        for _ in range(500):  # a server in a thread may close its side a little later, or have done so by now
            gc.collect()
            if descriptors() <= before:
                break
            time.sleep(0.01)
        assert descriptors() <= before
        assert self.reports == [], self.reports
        return result

    async def _watched(self, main: Coroutine[Any, Any, Any], seconds: float) -> Any:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 60.0  # a busy machine is no mistake
        loop.set_exception_handler(lambda _, context: self.reports.append(context))
        open_before = descriptors() + (2 if self.kind == "uvloop" else 0)  # it opens what it needs for threads later
        async with asyncio.timeout(seconds):
            result = await main
        for _ in range(1000):
            gc.collect(0)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not others and descriptors() <= open_before:
                return result
            await asyncio.sleep(0.01)
        raise AssertionError(f"left behind: {others}, {descriptors() - open_before} descriptors")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, until the peer is done."""
    with suppress(TLSError, ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close, and wait until it is; whatever the network has to say about it."""
    writer.close()
    with suppress(TLSError, ConnectionError):
        await writer.wait_closed()


@dataclass
class Served:
    """A server, and the failures it told of."""

    server: asyncio.AbstractServer
    failures: list[tuple[Any, Exception, Any]]
    noted: asyncio.Condition

    @property
    def port(self) -> int:
        port: int = self.server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return port

    async def connect(self, **options: Any) -> Streams:
        """Our own client at it."""
        options.setdefault("config", client_config())
        return await aio.open_connection("127.0.0.1", self.port, **options)

    async def dial(self) -> socket.socket:
        """A plain socket at it, blocking with a timeout: for threads."""
        return await asyncio.to_thread(socket.create_connection, ("127.0.0.1", self.port), 30)

    async def failed(self, count: int = 1) -> list[Exception]:
        """Wait until so many connections have failed."""
        async with self.noted:
            await self.noted.wait_for(lambda: len(self.failures) >= count)
        return [error for _, error, _ in self.failures]

    async def check_serving(self) -> None:
        """Somebody who behaves is served as ever."""
        reader, writer = await self.connect(config=client_config(groups=["x25519"]))
        writer.write(b"still there?")
        assert await reader.readexactly(12) == b"still there?"
        await closed(writer)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


@asynccontextmanager
async def serving(
    handler: Handler = echo, options: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Served]:
    """A server on a port of its own; ``options`` are start_server's, ``settings`` its configuration's."""
    failures: list[tuple[Any, Exception, Any]] = []
    noted = asyncio.Condition()
    waking = set()

    async def wake() -> None:
        async with noted:
            noted.notify_all()

    def note(address: Any, error: Exception, tap: Any) -> None:
        failures.append((address, error, tap))
        task = asyncio.ensure_future(wake())
        waking.add(task)
        task.add_done_callback(waking.discard)

    server = await aio.start_server(
        handler, "127.0.0.1", 0, config=server_config(**settings), on_failure=note, **options or {}
    )
    try:
        yield Served(server, failures, noted)
    finally:
        server.close()
        await server.wait_closed()


async def wait_until(condition: Callable[[], Any]) -> None:
    """Poll, for what tells nobody."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)
