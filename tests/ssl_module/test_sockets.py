"""SSLSocket over real sockets, with either module on either side."""

from __future__ import annotations

import gc
import io
import os
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from handfast.transport import ssl_module
from tests.ssl_module.conftest import MODULES, Make
from tests.ssl_module.memory import failure

EVERY_PAIR = pytest.mark.parametrize(
    ("client", "server"), [("handfast", "handfast"), ("handfast", "ssl"), ("ssl", "handfast")]
)
SECONDS = 20


@contextmanager
def running(work: Callable[[], None]) -> Iterator[None]:
    """Do something in a thread; what it raises is raised here at the end."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(SECONDS)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


@contextmanager
def connected(client: Any, server: Any, name: str = "localhost") -> Iterator[tuple[Any, Any]]:
    """Both sides after the handshake, over a pair of sockets."""
    near, far = _tcp_pair()
    found: list[Any] = []
    with running(lambda: found.append(server.wrap_socket(far, server_side=True))):
        ours = client.wrap_socket(near, server_hostname=name)
    with ours, found[0] as theirs:
        yield ours, theirs


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname(), SECONDS)
        far, _ = listener.accept()
    near.settimeout(SECONDS)
    far.settimeout(SECONDS)
    return near, far


@EVERY_PAIR
def test_listening_accepting_and_all_ways_to_read_and_write(
    client: str, server: str, client_of: Make, server_of: Make, tmp_path: Path
) -> None:
    payload = os.urandom(200_000)
    path = tmp_path / "file"
    path.write_bytes(payload)
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()

    def serve() -> None:
        with server_of(MODULES[server]).wrap_socket(listener, server_side=True) as accepting:
            side, peer = accepting.accept()
            with side:
                assert peer == side.getpeername()
                assert side.server_side
                received = bytearray(200_000)
                view, count = memoryview(received), 0
                while count < len(received):
                    count += side.recv_into(view[count:])
                assert received == payload
                with path.open("rb") as file:
                    assert side.sendfile(file) == len(payload)
                with side.makefile("rwb") as stream:
                    assert stream.readline() == b"a line\n"
                    stream.write(b"another\n")
                    stream.flush()
                assert side.recv(10) == b""

    with running(serve), client_of(MODULES[client]).wrap_socket(socket.socket(), server_hostname="localhost") as side:
        assert side.version() is side.cipher() is side.selected_alpn_protocol() is side.get_channel_binding() is None
        assert side.pending() == 0
        side.settimeout(SECONDS)
        side.connect(address)
        assert isinstance(side, ssl.SSLSocket)
        side.sendall(memoryview(payload))
        assert _read(side, len(payload)) == payload
        assert side.send(b"a line\n") == 7
        assert side.recv(100) == b"another\n"
        assert side.getpeercert()["subjectAltName"]
        with pytest.raises((ssl.SSLError, TimeoutError)):  # the peer's close does not say goodbye, as with ssl
            side.settimeout(0.2)
            side.unwrap()


def _read(side: Any, size: int) -> bytes:
    with io.BytesIO() as found:
        while found.tell() < size:
            data = side.recv(65_536)
            assert data
            found.write(data)
        return found.getvalue()


@EVERY_PAIR
def test_plain_text_goes_on_after_unwrap(client: str, server: str, client_of: Make, server_of: Make) -> None:
    """Nothing that follows close_notify is swallowed, though both are sent at once."""
    with connected(client_of(MODULES[client]), server_of(MODULES[server])) as (near, far):

        def finish() -> None:
            plain = far.unwrap()
            plain.sendall(b"plain from the server")
            assert plain.recv(100) == b"plain from the client"

        with running(finish):
            plain = near.unwrap()
            plain.sendall(b"plain from the client")
            assert plain.recv(100) == b"plain from the server"


@EVERY_PAIR
def test_without_blocking(client: str, server: str, client_of: Make, server_of: Make) -> None:
    near, far = _tcp_pair()
    near.setblocking(False)
    far.setblocking(False)
    sides = [
        client_of(MODULES[client]).wrap_socket(near, server_hostname="localhost", do_handshake_on_connect=False),
        server_of(MODULES[server]).wrap_socket(far, server_side=True, do_handshake_on_connect=False),
    ]
    waiting = list(sides)
    end = time.monotonic() + SECONDS
    while waiting:
        assert time.monotonic() < end
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                select.select([side], [], [], 0.01)
    one, other = sides
    with pytest.raises(ssl.SSLWantReadError):
        other.recv(1)
    data = os.urandom(3_000_000)
    sent, received = 0, bytearray()
    while len(received) < len(data):
        assert time.monotonic() < end
        if sent < len(data):
            with suppress(ssl.SSLWantWriteError):
                sent += one.send(memoryview(data)[sent : sent + 100_000])
        with suppress(ssl.SSLWantReadError):
            received += other.recv(50_000)
    assert received == data
    one.close()
    other.close()


def test_who_gives_up_a_write_loses_nothing(client_of: Make, server_of: Make) -> None:
    """Where something else is sent after SSLWantWriteError, what was sealed before goes first."""
    with connected(client_of(), server_of()) as (near, far):
        near.setblocking(False)
        sent = bytearray()
        piece = os.urandom(16_384)
        while True:
            try:
                sent += piece[: near.send(piece)]
            except ssl.SSLWantWriteError:
                break
        total = len(sent) + len(piece) + 4
        received = bytearray()
        done = False
        while len(received) < total:
            if not done:
                with suppress(ssl.SSLWantWriteError):
                    done = near.send(b"else") == 4
            received += far.recv(65_536)
        assert received == sent + piece + b"else"


def test_timeouts(client_of: Make, server_of: Make) -> None:
    with connected(client_of(), server_of()) as (near, far):
        near.settimeout(0.1)
        with pytest.raises(TimeoutError, match="The read operation timed out"):
            near.recv(1)
        with pytest.raises(TimeoutError, match="The write operation timed out"):
            while True:
                near.sendall(bytes(1_000_000))
        far.sendall(b"still there")
        near.settimeout(SECONDS)
        assert near.recv(100) == b"still there"
    near, far = _tcp_pair()
    near.settimeout(0.1)
    with pytest.raises(TimeoutError, match="The handshake operation timed out"):
        client_of().wrap_socket(near, server_hostname="localhost")
    assert near.fileno() == -1
    far.close()


def test_a_timeout_is_for_the_whole_operation(client_of: Make) -> None:
    """A peer that sends a byte now and then does not prolong it."""
    near, far = _tcp_pair()
    near.settimeout(0.5)
    stop = threading.Event()

    def trickle() -> None:
        far.sendall(b"\x16\x03\x03\x40\x00")
        while not stop.wait(0.05):
            far.sendall(b"\0")

    with running(trickle):
        started = time.monotonic()
        try:
            with pytest.raises(TimeoutError):
                client_of().wrap_socket(near, server_hostname="localhost")
            assert time.monotonic() - started < 5
        finally:
            stop.set()
    far.close()


@pytest.mark.parametrize("suppressed", [True, False])
def test_ends_without_close_notify(suppressed: bool, client_of: Make, server_of: Make) -> None:
    near, far = _tcp_pair()
    found: list[Any] = []
    with running(lambda: found.append(server_of().wrap_socket(far, server_side=True))):
        side = client_of().wrap_socket(near, server_hostname="localhost", suppress_ragged_eofs=suppressed)
    found[0].close()
    with side:
        if suppressed:
            assert side.recv(1) == b""
            assert side.recv_into(bytearray(4)) == 0
        else:
            error = failure(side.recv, 1)
            assert isinstance(error, ssl.SSLEOFError)
            assert error.errno == ssl.SSL_ERROR_EOF


def test_a_reset_is_an_error_of_the_system(client_of: Make, server_of: Make) -> None:
    with connected(client_of(), server_of()) as (near, far):
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()
        with pytest.raises(ConnectionResetError):
            near.recv(1)
        with pytest.raises(OSError):
            near.sendall(b"x")


def test_select_tells_the_truth(client_of: Make, server_of: Make) -> None:
    """Of three records that have arrived, one is read: the others are still in the socket."""
    with connected(client_of(), server_of()) as (near, far):
        for _ in range(3):
            far.send(b"record")
        for _ in range(3):
            assert select.select([near], [], [], SECONDS)[0]
            assert near.recv(100) == b"record"
        assert not select.select([near], [], [], 0)[0]


def test_what_sockets_refuse(client_of: Make, server_of: Make) -> None:
    with connected(client_of(), server_of()) as (near, _):
        for call in (
            lambda: near.recvfrom(1),
            lambda: near.recvfrom_into(bytearray(1)),
            lambda: near.sendto(b"x", ("127.0.0.1", 1)),
            lambda: near.recv(1, socket.MSG_PEEK),
            lambda: near.send(b"x", socket.MSG_OOB),
            lambda: near.connect(("127.0.0.1", 1)),
        ):
            with pytest.raises(ValueError):
                call()
        for refused in (near.dup, near.sendmsg, near.recvmsg, near.recvmsg_into):
            with pytest.raises(NotImplementedError):
                refused()
    with socket.socket() as sock, pytest.raises(ValueError, match="check_hostname requires server_hostname"):
        client_of().wrap_socket(sock)
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(NotImplementedError, match="stream"):
        client_of().wrap_socket(sock, server_hostname="localhost")
    near, far = _tcp_pair()
    near.setblocking(False)
    with pytest.raises(ValueError, match="non-blocking"):
        client_of().wrap_socket(near, server_hostname="localhost")
    far.close()


def test_after_close(client_of: Make, server_of: Make) -> None:
    with connected(client_of(), server_of()) as (near, far):
        assert near.handfast is not None
        assert near.get_unverified_chain()
        assert near.session is not None
        assert not near.session.has_ticket, "nothing was read yet"
        assert near.session_reused is False
        far.sendall(b"x")
        assert near.recv(1) == b"x"  # and with it the tickets: to close before would reset the connection, as with ssl
        assert near.session.has_ticket
        near.close()
        assert near.handfast is near.version() is near.session is None
        assert near.get_verified_chain() == near.get_unverified_chain() == []
        with pytest.raises(OSError):
            near.recv(1)
        far.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ValueError, match="No SSL wrapper"):
            far.unwrap()


def test_one_thread_reads_while_another_writes(client_of: Make, server_of: Make) -> None:
    data = os.urandom(2_000_000)
    with connected(client_of(), server_of()) as (near, far):

        def echo() -> None:
            count = 0
            while count < len(data):
                got = far.recv(65_536)
                far.sendall(got)
                count += len(got)

        with running(echo), running(lambda: near.sendall(data)):
            assert _read(near, len(data)) == data


def test_nothing_holds_a_socket_that_is_forgotten(client_of: Make, server_of: Make) -> None:
    near, far = _tcp_pair()
    side = client_of().wrap_socket(near, server_hostname="localhost", do_handshake_on_connect=False)
    gone = weakref.ref(side)
    engine = side._sslobj
    gc.disable()
    try:
        side.close()
        del side
        assert gone() is None
    finally:
        gc.enable()
    assert "gone" in str(failure(engine.do_handshake))
    far.close()


def test_the_certificate_of_a_server(server_of: Make, files: dict[str, Path]) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()

    def serve() -> None:
        with server_of().wrap_socket(listener, server_side=True) as accepting:
            for _ in range(2):
                accepting.accept()[0].close()

    with running(serve):
        found = ssl_module.get_server_certificate(address)
        assert found == ssl_module.get_server_certificate(address, ca_certs=str(files["ca"]))
    assert found.split() == files["server"].read_text().split()


@pytest.mark.skipif(not hasattr(ssl, "wrap_socket"), reason="gone from Python 3.12 on")
def test_the_function_that_is_deprecated(files: dict[str, Path]) -> None:
    near, far = _tcp_pair()
    found: list[Any] = []

    def serve() -> None:
        found.append(ssl_module.wrap_socket(far, files["server_key"], files["server"], server_side=True))

    with pytest.warns(DeprecationWarning, match="ssl"), running(serve):
        side = ssl_module.wrap_socket(near, ca_certs=files["ca"], cert_reqs=ssl.CERT_REQUIRED, ciphers="ECDHE+AESGCM")
    with side, found[0]:
        assert side.getpeercert()
    with pytest.warns(DeprecationWarning), pytest.raises(ValueError, match="certfile"):  # noqa: PT030
        ssl_module.wrap_socket(near, server_side=True)
