"""`handfast serve` with many clients, slow clients, and clients that send what they should not."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handfast import ClientConfig, connect
from handfast.insecure import NoVerification
from tests.cli.running import SECONDS, Serving, handfast, serving

CLIENTS = 400


def context(server: Serving) -> ssl.SSLContext:
    """The TLS of another house, which trusts the server."""
    return ssl.create_default_context(cafile=str(server.ca))


@contextmanager
def talking(server: Serving) -> Iterator[ssl.SSLSocket]:
    """A client whose bytes are its own business."""
    with (
        socket.create_connection(("127.0.0.1", server.port), SECONDS) as sock,
        context(server).wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        yield tls


def answer(server: Serving, request: bytes) -> bytes:
    """All that the server answers to these bytes, until it closes."""
    with talking(server) as tls:
        tls.sendall(request)
        found = b""
        while data := tls.recv(65_536):
            found += data
        return found


def test_hundreds_of_clients_are_served_at_once() -> None:
    async def run(server: Serving) -> list[bytes]:
        trusting = context(server)

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            async with few:
                return await asyncio.open_connection("localhost", server.port, ssl=trusting, family=socket.AF_INET)

        few = asyncio.Semaphore(50)
        streams = await asyncio.gather(*(connect() for _ in range(CLIENTS)))
        for number, (_, writer) in enumerate(streams):  # all are connected; now each says something
            writer.write(b"%06d" % number)
        echoes = await asyncio.gather(*(reader.readexactly(6) for reader, _ in streams))
        for _, writer in streams:
            writer.transport.abort()
        return echoes

    with serving("--echo") as server:
        echoes = asyncio.run(asyncio.wait_for(run(server), 60))
        lines = [server.line() for _ in range(CLIENTS)]
    assert echoes == [b"%06d" % number for number in range(CLIENTS)]
    assert all("chosen TLSv1.3" in line for line in lines)


def test_a_client_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    size = 64 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    (tmp_path / "small").write_bytes(b"small")
    with serving("--www", tmp_path) as server:
        slow = [talking(server) for _ in range(3)]
        streams = [each.__enter__() for each in slow]
        for tls in streams:
            tls.sendall(b"GET /large HTTP/1.1\r\n\r\n")
            assert tls.recv(12) == b"HTTP/1.1 200"
        assert answer(server, b"GET /small HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nsmall")
        assert "GET /small 200; closed" in server.line()
        # What is not taken is not read either: far less than three large files are in the server's memory.
        status = Path(f"/proc/{server.process.pid}/status")
        if status.exists():
            resident = int(status.read_text().partition("VmRSS:")[2].split()[0])
            assert resident < 3 * size >> 10
        rest = b""
        while not rest.endswith(b"\r\n\r\n"):
            rest += streams[0].recv(1)
        left = size
        while left and (data := streams[0].recv(1 << 20)):
            left -= len(data)
        assert left == 0
        for tls in streams:
            tls.close()


def test_a_connection_serves_one_request_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").write_bytes(b"second")
    with serving("--www", tmp_path) as server:
        said = answer(
            server,
            b"\r\nGET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nGET /b HTTP/1.1\nConnection: close\n\nGET /a HTTP/1.1\r\n\r\n",
        )
        line = server.line()
    assert said.count(b"HTTP/1.1 200 OK") == 3
    assert b"\r\n\r\nfirstHTTP/1.1" in said
    assert said.endswith(b"\r\n\r\nsecond")
    assert "; GET /a 200; HEAD /b 200; GET /b 200; closed" in line


@pytest.mark.parametrize(
    ("request_bytes", "status", "logged"),
    [
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", b"431", "no request 431"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"431", "no request 431"),
        (b"GET / HTTP/1.1\r\n" + (b"A: " + b"a" * 1000 + b"\r\n") * 70, b"431", "no request 431"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431", "GET / 431"),
        (b"nonsense\r\n\r\n", b"400", "no request 400"),
        (b"GET / HTTP/x\r\n\r\n", b"400", "no request 400"),
        (b"BREW / HTTP/1.1\r\n\r\n", b"405", "BREW / 405"),
        (b"POST / HTTP/1.1\r\nContent-Length: 24\r\n\r\nGET /evil HTTP/1.1\r\n\r\n..", b"405", "POST / 405"),
        (b"GET http://[/ HTTP/1.1\r\n\r\n", b"404", "GET http://[/ 404"),
        (b"GET /\x1b[31m HTTP/1.1\r\n\r\n", b"404", "GET /\\x1b[31m 404"),
    ],
    ids=["header", "target", "headers", "count", "words", "version", "method", "body", "url", "escape"],
)
def test_a_request_that_is_none_has_its_answer(
    tmp_path: Path, request_bytes: bytes, status: bytes, logged: str
) -> None:
    with serving("--www", tmp_path) as server:
        said = answer(server, request_bytes)
        line = server.line()
    assert status in said.splitlines()[0]
    assert said.count(b"HTTP/1.1 ") <= 1
    assert f"; {logged}; closed" in line


def test_a_body_is_not_taken_for_a_request(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    for header in (b"Content-Length: 25", b"Transfer-Encoding: chunked"):
        with serving("--www", tmp_path) as server:
            said = answer(server, b"GET /a HTTP/1.1\r\n" + header + b"\r\n\r\nGET /a HTTP/1.1\r\n\r\n....")
            assert "; GET /a 200; closed" in server.line()
        assert said.count(b"HTTP/1.1 200") == 1


def test_bytes_that_end_without_a_goodbye_are_told() -> None:
    with serving("--echo") as server:
        with talking(server) as tls:
            tls.sendall(b"hello")
            assert tls.recv(5) == b"hello"
            tls.shutdown(socket.SHUT_RDWR)  # of the socket below: no close_notify
        line = server.line()
    assert "The connection ended without close_notify" in line or "The connection was reset" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_to_be_stopped_ends_open_connections_with_a_line(number: signal.Signals) -> None:
    with serving("--echo") as server, talking(server) as tls:
        tls.sendall(b"hello")
        assert tls.recv(5) == b"hello"
        server.process.send_signal(number)
        line = server.line()
        assert server.process.wait(20) == 0
    assert "; the server was stopped; " in line
    assert not Path(server.ca).exists()


def test_the_end_of_what_a_client_sends_is_not_the_end_of_what_it_gets() -> None:
    data = bytes(1 << 20)
    with serving("--echo") as server:
        run = handfast("connect", f"localhost:{server.port}", "--ca", server.ca, "--pipe", "-q", stdin=data)
        assert "; closed; " in server.line()
    assert run.stdout == data


def test_to_be_out_of_descriptors_is_a_sentence_and_passes() -> None:
    prlimit = getattr(resource, "prlimit", None)
    if prlimit is None:
        pytest.skip("the limits of another process can be set on Linux only")
    with serving("--echo") as server:
        prlimit(server.process.pid, resource.RLIMIT_NOFILE, (32, 32))
        crowd = [socket.create_connection(("127.0.0.1", server.port), SECONDS) for _ in range(60)]
        assert server.process.stderr is not None
        assert "Too many open files" in server.process.stderr.readline()
        for sock in crowd:
            sock.close()
        with talking(server) as tls:
            tls.sendall(b"hello")
            assert tls.recv(5) == b"hello"


def test_a_client_that_resets_is_one_line_whenever_it_does(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with serving("--www", tmp_path) as server:
        for number in range(20):
            with talking(server) as tls:
                tls.sendall(b"GET /a HTTP/1.0\r\n\r\n" if number % 2 else b"GET /a HTTP/1.1\r\n\r\n")
                said = b""
                while not said.endswith(b"\r\n\r\na"):
                    said += tls.recv(1000)
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        lines = [server.line() for _ in range(20)]
    assert all("; GET /a 200; " in line for line in lines)
    # With HTTP/1.0 the server is closing when the reset comes; with HTTP/1.1 it still waits for a request.
    assert sum("The connection was reset" in line for line in lines) >= 10
    assert all("; closed; " in line or "The connection was reset" in line for line in lines)


def test_a_client_that_offers_a_protocol_does_not_write_the_line(tmp_path: Path) -> None:
    """What it calls a protocol reads like the rest of the line, which says who it is."""
    forged = 'x"; chosen TLSv1.3; the client is CN=admin; closed'
    with serving() as server:
        config = ClientConfig(verifier=NoVerification(), alpn=["http/1.1", forged])
        with connect("localhost", server.port, config=config) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while tls.recv():
                pass
        line = server.line()
    assert r', ALPN http/1.1 "x\"; chosen TLSv1.3; the client is CN=admin; closed"; chosen ' in line
