"""Connections over TCP with asyncio's streams, client and server in one process: handfast beside `ssl`.

Both sides of both libraries have the same certificate, suite and group, and do the same with the connection; what differs
is who carries the bytes between the socket and the stream. Each has its defaults: handfast's client remembers that it has
accepted the chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.peers import Task

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

AT_ONCE = 10  # connections that are being made at the same time
BATCH = 50


@dataclass(frozen=True)
class Library:
    """How one library connects and serves; ``serve`` takes a handler and gives a server on a port of its choice."""

    connect: Callable[[int], Awaitable[Streams]]
    serve: Callable[[Handler], Awaitable[asyncio.Server]]


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, until nothing more comes."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    await end(writer)


async def end(writer: asyncio.StreamWriter) -> None:
    """Close, and wait until it is closed."""
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        return  # `ssl` may find the other side gone first


def stop(loop: asyncio.AbstractEventLoop, server: asyncio.Server) -> None:
    """Stop serving, and let what is still at work come to its end."""

    async def rest() -> None:
        server.close()
        await server.wait_closed()
        await asyncio.wait_for(asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()})), timeout=10)

    loop.run_until_complete(rest())
    loop.close()


def connections(library: Library) -> Task:
    """New connections: TCP, handshake, one byte there and back, close."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(library.serve(echo))

    async def one() -> None:
        reader, writer = await library.connect(port_of(server))
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await end(writer)

    async def several() -> None:
        for _ in range(BATCH // AT_ONCE):
            await asyncio.gather(*(one() for _ in range(AT_ONCE)))

    return Task(lambda: loop.run_until_complete(several()), BATCH, lambda: stop(loop, server))


def bulk_echo(library: Library, total: int, write: int) -> Task:
    """``total`` bytes to an echo server and back, over one connection."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(library.serve(echo))
    reader, writer = loop.run_until_complete(library.connect(port_of(server)))
    data = bytes(write)

    async def send() -> None:
        for _ in range(total // write):
            writer.write(data)
            await writer.drain()

    async def receive() -> None:
        left = total
        while left:
            left -= len(await reader.read(1 << 16))

    async def both() -> None:
        await asyncio.gather(send(), receive())

    def close() -> None:
        loop.run_until_complete(end(writer))
        stop(loop, server)

    return Task(lambda: loop.run_until_complete(both()), total, close)
