"""A server that is treated badly, over real sockets: it says what is wrong, goes on serving, and gives everything back."""

from __future__ import annotations

import gc
import os
import random
import resource
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from handfast import HandshakeTimeout, Server, TLSError, TLSSocket, TruncationError, connect, limits, reasons
from handfast.connection import ClientConnection
from handfast.errors import ConnectionFailed, PeerMisbehaved
from tests.handshake.parties import client_config, server_config

DESCRIPTORS = Path("/proc/self/fd")


class Watched:
    """A server that echoes, and the failures it was told of."""

    def __init__(self, **settings: Any) -> None:
        self.failures: list[Exception] = []
        self._noted = threading.Condition()
        self.server = Server(self._echo, config=server_config(**settings), on_failure=self._note)

    def _echo(self, tls: TLSSocket) -> None:
        while data := tls.recv():
            tls.sendall(data)

    def _note(self, address: Any, error: Exception, tap: Any) -> None:
        with self._noted:
            self.failures.append(error)
            self._noted.notify_all()

    def failed(self, count: int = 1) -> list[Exception]:
        """Wait until so many connections have failed."""
        with self._noted:
            assert self._noted.wait_for(lambda: len(self.failures) >= count, 30), self.failures
            return self.failures

    def dial(self) -> socket.socket:
        return socket.create_connection(self.server.address, 30)

    def check_serving(self) -> None:
        """Somebody who behaves is served as ever."""
        with connect("127.0.0.1", self.server.address[1], config=client_config(groups=["x25519"])) as tls:
            tls.sendall(b"still there?")
            assert tls.recv() == b"still there?"


@pytest.fixture
def watched() -> Iterator[Watched]:
    each = Watched()
    with each.server:
        yield each


def hello() -> bytes:
    client = ClientConnection(client_config(), server_name="localhost")
    client.start()
    return bytes(client.data_to_send())


def answer(sock: socket.socket) -> bytes:
    """All that the server says, until it is done."""
    sock.shutdown(socket.SHUT_WR)
    data = b""
    while piece := sock.recv(65_536):
        data += piece
    return data


# --- nonsense ------------------------------------------------------------------------------------------------------

NONSENSE: list[tuple[str, Callable[[], bytes], reasons.Reason, int]] = [
    ("zeros", lambda: bytes(1000), reasons.NOT_TLS, 10),
    ("noise", lambda: b"\xff" + random.Random(1).randbytes(5000), reasons.NOT_TLS, 10),
    ("HTTP", lambda: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", reasons.PLAINTEXT_HTTP, 10),
    ("HTTP, with a body", lambda: b"POST / HTTP/1.1\r\n\r\n" + bytes(100_000), reasons.PLAINTEXT_HTTP, 10),
    ("SMTP", lambda: b"EHLO localhost\r\n", reasons.PLAINTEXT, 10),
    ("SSL 2.0", lambda: b"\x80\x2e\x01\x03\x01" + bytes(43), reasons.SSLV2, 70),
    ("a record too long", lambda: b"\x16\x03\x01\xff\xff", reasons.RECORD_OVERFLOW, 22),
    ("another message", lambda: b"\x16\x03\x01\x00\x04\x02\0\0\0", reasons.UNEXPECTED_MESSAGE, 10),
    ("an empty record", lambda: b"\x16\x03\x01\x00\x00", reasons.EMPTY_RECORD, 10),
    ("a hello too large", lambda: b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", reasons.MESSAGE_TOO_LARGE, 47),
    ("a hello of nothing", lambda: b"\x16\x03\x01\x00\x04\x01\0\0\0", reasons.DECODE_ERROR, 50),
]


@pytest.mark.parametrize(("data", "reason", "alert"), [row[1:] for row in NONSENSE], ids=[row[0] for row in NONSENSE])
def test_nonsense(watched: Watched, data: Callable[[], bytes], reason: reasons.Reason, alert: int) -> None:
    with watched.dial() as sock:
        sock.sendall(data())
        assert answer(sock) == b"\x15\x03\x03\x00\x02\x02" + bytes((alert,))
    (error,) = watched.failed()
    assert isinstance(error, PeerMisbehaved)
    assert error.reason is reason
    if reason is reasons.PLAINTEXT_HTTP:
        assert "HTTP in plain text" in str(error)
    watched.check_serving()


# --- strange hellos ------------------------------------------------------------------------------------------------


def test_a_hello_a_byte_at_a_time(watched: Watched) -> None:
    with watched.dial() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in hello():
            sock.send(bytes((byte,)))
        assert sock.recv(3) == b"\x16\x03\x03"
    watched.check_serving()


def test_a_hello_in_records_of_a_byte(watched: Watched) -> None:
    message = hello()[5:]
    with watched.dial() as sock:
        sock.sendall(b"".join(b"\x16\x03\x01\x00\x01" + bytes((byte,)) for byte in message))
        assert sock.recv(3) == b"\x16\x03\x03"
    watched.check_serving()


def enlarged(size: int) -> bytes:
    """A ClientHello with so many bytes of padding more, in records."""
    message = hello()[5:]
    at = 4 + 2 + 32 + 1 + 32
    at += 2 + int.from_bytes(message[at : at + 2])
    at += 1 + message[at]
    extensions = message[at + 2 :] + b"\0\x15" + size.to_bytes(2) + bytes(size)
    body = message[4:at] + len(extensions).to_bytes(2) + extensions
    message = b"\x01" + len(body).to_bytes(3) + body
    pieces = (message[start : start + 16_384] for start in range(0, len(message), 16_384))
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2) + piece for piece in pieces)


def test_a_hello_of_64_kib(watched: Watched) -> None:
    data = enlarged(63_000)
    assert len(data) > 64_000
    with watched.dial() as sock:
        sock.sendall(data)
        assert sock.recv(3) == b"\x16\x03\x03"
    watched.check_serving()


def test_a_hello_that_is_never_finished() -> None:
    watched = Watched(handshake_timeout=0.1)
    with watched.server:
        with watched.dial() as sock:
            sock.sendall(hello()[:-1])
            data = b""
            while piece := sock.recv(100):
                data += piece
            assert data == b"\x15\x03\x03\x00\x02\x01\x5a" + b"\x15\x03\x03\x00\x02\x01\x00"
        (error,) = watched.failed()
        assert isinstance(error, HandshakeTimeout)


def test_a_hello_that_is_cut_off(watched: Watched) -> None:
    with watched.dial() as sock:
        sock.sendall(hello()[:-1])
        assert answer(sock) == b""
    (error,) = watched.failed()
    assert isinstance(error, TruncationError)
    assert error.reason is reasons.CLOSED_DURING_HANDSHAKE


# --- a thousand connections ----------------------------------------------------------------------------------------


def settled(server: Server) -> None:
    """Wait until the server has nothing open."""
    for _ in range(30_000):
        if not server._connections and all(thread.name != "handfast-connection" for thread in threading.enumerate()):
            return
        time.sleep(0.001)
    raise AssertionError("connections do not end")


def drop(watched: Watched, chance: random.Random, stream: bytes) -> None:
    """One connection that ends at a random point: within the hello, after it, or with data on the way."""
    with watched.dial() as sock:
        with suppress(OSError):
            stop = chance.choice([0, chance.randrange(len(stream)), len(stream)])
            sock.sendall(stream[:stop])
            if stop == len(stream) and chance.random() < 0.5:
                sock.recv(chance.choice([1, 100, 4096]))
                sock.sendall(chance.randbytes(chance.randrange(200)))
        if chance.random() < 0.5:  # by a reset
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def megabytes_in_use() -> float:
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="this system does not list descriptors")
def test_a_thousand_connections_dropped_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    # A failed connection is drained for up to two seconds, so that its alert arrives; these peers never look.
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.2)
    watched = Watched()
    chance = random.Random(20_260_101)
    stream = hello()
    with watched.server:
        watched.check_serving()
        for _ in range(100):
            drop(watched, chance, stream)
        watched.failed(100)
        settled(watched.server)
        gc.collect()
        descriptors, memory, objects = len(list(DESCRIPTORS.iterdir())), megabytes_in_use(), len(gc.get_objects())
        for _ in range(1000):
            drop(watched, chance, stream)
        watched.failed(1100)
        settled(watched.server)
        seen = Counter(type(error) for error in watched.failures)
        watched.failures.clear()
        gc.collect()
        assert len(list(DESCRIPTORS.iterdir())) == descriptors
        assert megabytes_in_use() - memory < 30
        assert len(gc.get_objects()) - objects < 2000
        watched.check_serving()
        settled(watched.server)
    assert all(issubclass(kind, TLSError) for kind in seen), seen
    assert seen[TruncationError] > 0
    assert seen[ConnectionFailed] > 0


def test_many_that_never_speak_do_not_keep_others_out() -> None:
    watched = Watched()
    with watched.server:
        silent = [watched.dial() for _ in range(50)]
        watched.check_serving()
        for sock in silent:
            sock.close()
        watched.failed(50)
        assert {type(error) for error in watched.failures} == {TruncationError}


def test_those_that_never_speak_give_their_places_back() -> None:
    watched = Watched(handshake_timeout=0.1)
    watched.server._handshakes = threading.BoundedSemaphore(4)
    with watched.server:
        silent = [watched.dial() for _ in range(8)]
        for sock in silent:
            answer(sock)
            sock.close()
        watched.failed(8)
        watched.check_serving()
