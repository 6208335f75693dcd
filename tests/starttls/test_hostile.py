"""Servers that mean harm, or are broken, over sockets: both transports, and what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

import handfast
from handfast import ClientConfig, ConnectionFailed, HandshakeTimeout, TLSError
from handfast.errors import PeerIncompatible, PeerMisbehaved
from handfast.reasons import (
    PLAINTEXT,
    STARTTLS_CLOSED,
    STARTTLS_GARBLED,
    STARTTLS_INJECTED,
    STARTTLS_NOT_OFFERED,
    STARTTLS_TIMEOUT,
    STARTTLS_TOO_LONG,
)
from handfast.transport.starttls import Dialogue
from tests.starttls.conversations import CONVERSATIONS, Conversation

EACH = pytest.mark.parametrize("name", CONVERSATIONS)
CONFIG = ClientConfig(handshake_timeout=20.0)
HASTY = ClientConfig(handshake_timeout=0.3)


def blocking(port: int, name: str | Dialogue, config: ClientConfig = CONFIG) -> None:
    handfast.connect("127.0.0.1", port, config=config, server_name="example.com", starttls=name).close()


def on_loop(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> Callable[..., None]:
    def run(port: int, name: str | Dialogue, config: ClientConfig = CONFIG) -> None:
        async def main() -> None:
            _, writer = await handfast.aio.open_connection(
                "127.0.0.1", port, config=config, server_name="example.com", starttls=name
            )
            writer.close()

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    return run


TRANSPORTS = pytest.mark.parametrize(
    "connect",
    [
        pytest.param(blocking, id="blocking"),
        pytest.param(on_loop(asyncio.new_event_loop), id="asyncio"),
        pytest.param(on_loop(uvloop.new_event_loop), id="uvloop"),
    ],
)


class Scripted:
    """A server for one client: a function has the socket. ``rest`` is what the client said after it, up to its end."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._serve = serve
        self.port: int = self._listening.getsockname()[1]
        self.rest = b""
        self.problem: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            client, _ = self._listening.accept()
            client.settimeout(20)
            with client:
                self._serve(client)
                with contextlib.suppress(ConnectionError):
                    while data := client.recv(65_536):
                        self.rest += data
        except Exception as error:
            self.problem = error

    def finish(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive(), "the client has left its connection open"
        if self.problem is not None:
            raise self.problem

    def close(self) -> None:
        self._listening.close()


@contextlib.contextmanager
def scripted(serve: Callable[[socket.socket], None]) -> Iterator[Scripted]:
    server = Scripted(serve)
    try:
        yield server
        server.finish()
    finally:
        server.close()


def turns(conversation: Conversation, *said: bytes) -> Callable[[socket.socket], None]:
    """A server that says these turns, each after the client's."""

    def serve(client: socket.socket) -> None:
        for count, turn in enumerate(said):
            if count or conversation.begins:
                assert client.recv(65_536)
            client.sendall(turn)

    return serve


@EACH
@TRANSPORTS
def test_plain_text_behind_the_go_ahead(name: str, connect: Any) -> None:
    """CVE-2011-0411, CVE-2021-23222: refused, and not a byte of a handshake is sent."""
    conversation = CONVERSATIONS[name]
    *before, last = conversation.turns
    with scripted(turns(conversation, *before, last + b"250 injected\r\n")) as server:
        with pytest.raises(PeerMisbehaved) as caught:
            connect(server.port, name)
        assert caught.value.reason is STARTTLS_INJECTED
    assert server.rest == b""


@TRANSPORTS
@pytest.mark.parametrize("name", ["smtp", "imap", "postgres"])
def test_plain_text_that_comes_later_is_no_tls(name: str, connect: Any) -> None:
    conversation = CONVERSATIONS[name]

    def serve(client: socket.socket) -> None:
        turns(conversation, *conversation.turns)(client)
        assert client.recv(1) == b"\x16"  # the ClientHello is on its way
        client.sendall(b"250 injected\r\n" * 4)

    with scripted(serve) as server, pytest.raises(PeerMisbehaved) as caught:
        connect(server.port, name)
    assert caught.value.reason is PLAINTEXT


@EACH
@TRANSPORTS
def test_a_server_without_tls(name: str, connect: Any) -> None:
    conversation = CONVERSATIONS[name]
    with scripted(turns(conversation, *conversation.without)) as server:
        with pytest.raises(PeerIncompatible) as caught:
            connect(server.port, name)
        assert caught.value.reason is STARTTLS_NOT_OFFERED


@EACH
@TRANSPORTS
def test_a_server_that_falls_silent(name: str, connect: Any) -> None:
    started = time.monotonic()
    conversation = CONVERSATIONS[name]
    with scripted(turns(conversation, *conversation.turns[:-1])) as server:
        with pytest.raises(HandshakeTimeout) as caught:
            connect(server.port, name, HASTY)
        assert caught.value.reason is STARTTLS_TIMEOUT
        assert caught.value.evidence["seconds"] == 0.3
    assert time.monotonic() - started < 20


@TRANSPORTS
def test_a_server_that_drips(connect: Any) -> None:
    """A byte now and then does not stretch the time."""

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client.sendall(b"2")
                time.sleep(0.05)

    with scripted(serve) as server, pytest.raises(HandshakeTimeout):
        connect(server.port, "smtp", HASTY)


@EACH
@TRANSPORTS
def test_a_server_that_closes(name: str, connect: Any) -> None:
    conversation = CONVERSATIONS[name]

    def serve(client: socket.socket) -> None:
        turns(conversation, *conversation.turns[:-1])(client)
        if conversation.begins or len(conversation.turns) > 1:
            client.recv(65_536)
        client.shutdown(socket.SHUT_WR)

    with scripted(serve) as server:
        with pytest.raises(ConnectionFailed) as caught:
            connect(server.port, name)
        assert caught.value.reason is STARTTLS_CLOSED


@TRANSPORTS
def test_a_server_that_resets(connect: Any) -> None:
    def serve(client: socket.socket) -> None:
        client.sendall(b"220 hello\r\n")
        assert client.recv(65_536)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionResetError  # which closes it, and so resets

    server = Scripted(serve)
    with pytest.raises(ConnectionFailed) as caught:
        connect(server.port, "smtp")
    assert caught.value.reason is STARTTLS_CLOSED
    with pytest.raises(ConnectionResetError):
        server.finish()
    server.close()


@EACH
@TRANSPORTS
def test_a_server_that_never_ends(name: str, connect: Any) -> None:
    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client.sendall(b"220-and so on\r\n" * 1_000)

    with scripted(serve) as server:
        with pytest.raises(TLSError) as caught:
            connect(server.port, name)
        assert caught.value.reason in (STARTTLS_TOO_LONG, STARTTLS_GARBLED)


@EACH
@TRANSPORTS
def test_a_server_that_speaks_http(name: str, connect: Any) -> None:
    with scripted(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")) as server:
        with pytest.raises(PeerMisbehaved) as caught:
            connect(server.port, name)
        assert caught.value.reason is STARTTLS_GARBLED


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_whoever_no_longer_waits_leaves_nothing_open(new_loop: Any) -> None:
    async def main(port: int) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await handfast.aio.open_connection("127.0.0.1", port, starttls="smtp")

    with (
        scripted(turns(CONVERSATIONS["smtp"], b"220 hello\r\n")) as server,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        runner.run(main(server.port))
    assert server.rest in (b"EHLO [127.0.0.1]\r\n", b"")


@TRANSPORTS
def test_nobody_listens(connect: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(ConnectionFailed):
        connect(port, "smtp")


@TRANSPORTS
def test_a_dialogue_that_was_used_cannot_be_used_again(connect: Any) -> None:
    dialogue = Dialogue("smtp")
    with scripted(lambda client: client.sendall(b"554 no\r\n")) as server, pytest.raises(PeerIncompatible):
        connect(server.port, dialogue)
    assert [item.text for item in dialogue.said] == ["554 no"]
    with pytest.raises(handfast.MisuseError):
        connect(1, dialogue)
