"""Clients that take their time, over sockets without TLS: the streams are asyncio's either way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from handfast.cli.answer import PIECE, Idle, Peer, respond
from handfast.cli.www import Content, Page

SECONDS = 0.2


def serve(handle: Callable[[Peer], Awaitable[None]], talk: Callable[[socket.socket], Awaitable[None]]) -> str:
    """What ends the connection, in words; "" for nothing."""

    async def run() -> str:
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handle(Peer(reader, writer, SECONDS))
                ended.set_result("")
            except Idle as idle:
                ended.set_result(str(idle))
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.setblocking(False)
            talking = asyncio.ensure_future(talk(client))
            found = await asyncio.wait_for(ended, 30)
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
        server.close()
        return found

    return asyncio.run(run())


async def silence(_: socket.socket) -> None:
    """Neither say nor take anything."""


async def drip(client: socket.socket) -> None:
    """Always on the way to a request, and never there."""
    while True:
        await asyncio.get_running_loop().sock_sendall(client, b"A")
        await asyncio.sleep(SECONDS / 10)


async def ask(client: socket.socket) -> None:
    """Ask, and take nothing of the answer."""
    await asyncio.get_running_loop().sock_sendall(client, b"GET / HTTP/1.1\r\n\r\n")


def answering(content: Content) -> Callable[[Peer], Awaitable[None]]:
    return lambda peer: respond(peer, lambda _: content, [])


async def reading(peer: Peer) -> None:
    await peer.read()


@pytest.mark.parametrize("talk", [silence, drip])
def test_a_request_that_does_not_come_ends_it(talk: Callable[[socket.socket], Awaitable[None]]) -> None:
    assert serve(answering(None), talk) == "no request came for 0.2 seconds"


def test_data_that_does_not_come_ends_it() -> None:
    assert serve(reading, silence) == "nothing came for 0.2 seconds"


def test_an_answer_that_is_not_taken_ends_it() -> None:
    assert serve(answering(Page("a" * (64 << 20))), ask) == "the client took nothing for 0.2 seconds"


def test_a_file_that_gets_shorter_ends_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8 * PIECE))
    taken: list[bytes] = []

    async def take(client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await ask(client)
        taken.append(await loop.sock_recv(client, 12))
        path.write_bytes(b"")
        while data := await loop.sock_recv(client, 1 << 20):
            taken.append(data)

    async def shrinking(peer: Peer) -> None:
        send = peer.send

        async def slowly(data: bytes) -> None:
            await send(data)
            await asyncio.sleep(SECONDS / 4)

        peer.send = slowly  # type: ignore[method-assign]
        await respond(peer, lambda _: path, [])

    assert serve(shrinking, take) == ""
    assert b"".join(taken).startswith(b"HTTP/1.1 200")
    assert len(b"".join(taken)) < 8 * PIECE
