"""TLS over what is no socket: TLS of ours, of OpenSSL, an SSH channel, pipes, anything that reads and writes."""

from __future__ import annotations

import gc
import io
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import paramiko
import pytest

from handfast import (
    ConfigurationError,
    ConnectionFailed,
    HandshakeTimeout,
    TLSError,
    TLSSocket,
    TruncationError,
    reasons,
    wrap,
)
from handfast.errors import UnknownIssuer
from handfast.testing import Authority
from tests.handshake.parties import authority, client_config, fails, identity, server_config
from tests.unit.transport.sockets import Running, read_all, tcp_pair

LARGE = bytes(range(256)) * 8_000
Pair = tuple[Any, Any]

identity()  # made once, and before there are threads that would both make one


def both(first: Callable[[], Any], second: Callable[[], Any]) -> Pair:
    """Two sides that need each other."""
    other = Running(second)
    return first(), other.result()


# --- what to stand on: two ends of each kind --------------------------------------------------------------------------


def over_sockets(stack: ExitStack, folder: Path) -> Pair:
    return tcp_pair()


def over_socketpair(stack: ExitStack, folder: Path) -> Pair:
    here, there = socket.socketpair()
    here.settimeout(30)
    return here, there


def over_ours(stack: ExitStack, folder: Path) -> Pair:
    here, there = tcp_pair()
    return both(lambda: wrap(here, client_config(), server_name="localhost"), lambda: wrap(there, server_config()))


def over_ours_twice(stack: ExitStack, folder: Path) -> Pair:
    here, there = over_ours(stack, folder)
    return both(lambda: wrap(here, client_config(), server_name="localhost"), lambda: wrap(there, server_config()))


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client = ssl.create_default_context(cadata=authority().pem.decode())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*identity().write(folder, "openssl"))
    return client, server


def over_openssl(stack: ExitStack, folder: Path) -> Pair:
    here, there = tcp_pair()
    client, server = contexts(folder)
    return both(
        lambda: client.wrap_socket(here, server_hostname="localhost"),
        lambda: server.wrap_socket(there, server_side=True),
    )


class _Anybody(paramiko.ServerInterface):
    def check_auth_none(self, username: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "none"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


def over_ssh(stack: ExitStack, folder: Path) -> Pair:
    here, there = socket.socketpair()
    server, client = paramiko.Transport(there), paramiko.Transport(here)
    for transport in (server, client):
        stack.callback(transport.join, 30)  # or its thread would close the socket when other tests count theirs
        stack.callback(transport.close)
    server.add_server_key(paramiko.RSAKey.generate(2048))
    server.start_server(event=threading.Event(), server=_Anybody())
    client.start_client(timeout=30)
    client.auth_none("anybody")
    channel = client.open_session(timeout=30)
    return channel, server.accept(30)


class Pipes:
    """A pair of unbuffered files, with the least that a stream may have."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes = os.fdopen(reads, "rb", 0), os.fdopen(writes, "wb", 0)

    def read(self, size: int) -> bytes:
        return self._reads.read(size)

    def write(self, data: bytes) -> int:
        return self._writes.write(data)

    def close(self) -> None:
        self._reads.close()
        with suppress(BrokenPipeError):
            self._writes.close()


def over_pipes(stack: ExitStack, folder: Path) -> Pair:
    (to_here, from_there), (to_there, from_here) = os.pipe(), os.pipe()
    return Pipes(to_here, from_here), Pipes(to_there, from_there)


def over_buffered_files(stack: ExitStack, folder: Path) -> Pair:
    (to_here, from_there), (to_there, from_here) = os.pipe(), os.pipe()

    def pair(reads: int, writes: int) -> io.BufferedRWPair:
        return io.BufferedRWPair(io.FileIO(reads, "rb"), io.FileIO(writes, "wb"))

    return pair(to_here, from_here), pair(to_there, from_there)


TIMED = [over_sockets, over_socketpair, over_ours, over_ours_twice, over_openssl, over_ssh]
EVERY = [*TIMED, over_pipes, over_buffered_files]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as each:
        yield each
    gc.collect()


@pytest.fixture(params=EVERY, ids=lambda kind: kind.__name__)
def ends(request: pytest.FixtureRequest, stack: ExitStack, tmp_path: Path) -> Pair:
    return made(request.param, stack, tmp_path)


@pytest.fixture(params=TIMED, ids=lambda kind: kind.__name__)
def timed_ends(request: pytest.FixtureRequest, stack: ExitStack, tmp_path: Path) -> Pair:
    return made(request.param, stack, tmp_path)


def made(kind: Callable[[ExitStack, Path], Pair], stack: ExitStack, folder: Path) -> Pair:
    pair = kind(stack, folder)
    for end in pair:
        stack.callback(closed, end)
    return pair


def closed(end: Any) -> None:
    with suppress(OSError, ValueError, TLSError):
        end.close()


def shaken(ends: Pair, stack: ExitStack, **settings: Any) -> tuple[TLSSocket, TLSSocket]:
    here, there = ends
    client, server = both(
        lambda: wrap(here, client_config(), server_name="localhost"), lambda: wrap(there, server_config(**settings))
    )
    stack.enter_context(client)
    stack.enter_context(server)
    return client, server


# --- the same over each -----------------------------------------------------------------------------------------------


def test_a_conversation_and_its_end(ends: Pair, stack: ExitStack) -> None:
    client, server = shaken(ends, stack)
    assert client.handshake.version == "TLSv1.3"
    assert "TLSSocket <ClientConnection> over" in repr(client)
    client.sendall(b"ping")
    assert server.recv() == b"ping"
    server.sendall(b"pong")
    assert client.recv() == b"pong"
    client.close()
    assert server.recv() == b""
    server.close()
    with pytest.raises(TLSError):
        client.sendall(b"more")


def test_much_in_both_directions_at_once(ends: Pair, stack: ExitStack) -> None:
    """Two threads a side, one that reads and one that writes."""
    client, server = shaken(ends, stack)

    def read(tls: TLSSocket) -> bytes:
        got = bytearray()
        while len(got) < len(LARGE):
            got += tls.recv()
        return bytes(got)

    reading = [Running(read, client), Running(read, server)]
    writing = [Running(client.sendall, LARGE), Running(server.sendall, LARGE)]
    assert [each.result() for each in writing] == [None, None]
    assert [each.result() == LARGE for each in reading] == [True, True]


def test_a_refused_handshake_reaches_the_peer(ends: Pair, stack: ExitStack) -> None:
    here, there = ends
    serving = Running(lambda: wrap(there, server_config()))
    with fails(UnknownIssuer, reasons.UNKNOWN_ISSUER):
        wrap(here, client_config(trust=Authority.create().trust), server_name="localhost")
    with pytest.raises(TLSError) as caught, serving.result() as tls:
        tls.recv()
    assert caught.value.sent_by == "peer"


def test_timeouts_lose_nothing(timed_ends: Pair, stack: ExitStack) -> None:
    client, server = shaken(timed_ends, stack)
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv()
    server.sendall(b"late")
    client.settimeout(20)
    assert client.recv() == b"late"
    server.settimeout(0.3)
    taken = 0
    with pytest.raises(TimeoutError):
        while True:  # nobody reads, so at some time nothing more fits
            server.sendall(LARGE)
            taken += 1
    server.settimeout(20)
    want = LARGE * (taken + 1)  # what was sealed goes out with the next write, but the call says not how much that is
    reading = Running(lambda: read_all(client))
    server.sendall(b"the end")
    server.shutdown_write()
    got = reading.result()
    assert got.endswith(b"the end")
    assert want.startswith(got[: -len(b"the end")])
    assert len(got) > len(LARGE) * taken


def test_one_thread_waits_for_long_and_the_other_does_not(timed_ends: Pair, stack: ExitStack) -> None:
    """Times belong to calls: a write without a limit does not let a read overrun, nor is it cut by the read's."""
    client, server = shaken(timed_ends, stack)
    client.settimeout(0.5)

    def wait() -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            client.recv()
        return time.monotonic() - began

    waiting = Running(wait)
    time.sleep(0.1)
    client.settimeout(None)
    writing = Running(client.sendall, LARGE * 3)
    assert 0.4 < waiting.result() < 15
    got = 0
    while got < len(LARGE) * 3:
        got += len(server.recv())
    assert writing.result() is None


def test_the_handshakes_time(timed_ends: Pair, stack: ExitStack) -> None:
    here, there = timed_ends
    with pytest.raises(HandshakeTimeout):
        wrap(here, client_config(handshake_timeout=0.3), server_name="localhost")
    with suppress(OSError, TLSError):
        there.close()


def test_a_stream_that_breaks_off(timed_ends: Pair, stack: ExitStack) -> None:
    client, server = shaken(timed_ends, stack)
    below = server.below.stream
    while isinstance(below, TLSSocket):
        below = below.below.stream
    Running(lambda: time.sleep(0.2) or below.shutdown(socket.SHUT_RDWR))
    with pytest.raises((TruncationError, ConnectionFailed)):
        while client.recv():
            pass


# --- TLS inside TLS, of two kinds ------------------------------------------------------------------------------------


def test_both_layers_are_closed_in_order(stack: ExitStack, tmp_path: Path) -> None:
    """The outer connection ends with close_notify, which OpenSSL takes for a clean end: no truncation."""
    outer_here, outer_there = over_openssl(stack, tmp_path)
    outer_there.suppress_ragged_eofs = False  # or it would take anything for that
    serving = Running(lambda: outer_there.recv(1000))
    wrapped = TLSSocket(outer_here, _never())
    wrapped.below.close()
    assert serving.result() == b""
    outer_there.close()
    here, there = over_ours(stack, tmp_path)
    inner, other = both(
        lambda: wrap(here, client_config(), server_name="localhost"), lambda: wrap(there, server_config())
    )
    inner.close()
    assert other.recv() == b""
    assert there.recv() == b""  # a TruncationError otherwise
    other.close()


def _never() -> Any:
    from handfast import ClientConnection

    return ClientConnection(client_config(), server_name="localhost")


def test_openssl_inside_ours(stack: ExitStack, tmp_path: Path) -> None:
    here, there = over_ours(stack, tmp_path)
    client, server = contexts(tmp_path)

    def talk(context: ssl.SSLContext, stream: TLSSocket, say: bytes, **side: Any) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, **side)

        def run(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    stream.sendall(outgoing.read())
                    incoming.write(stream.recv())
                finally:
                    stream.sendall(outgoing.read())

        run(tls.do_handshake)
        run(lambda: tls.write(say))
        return run(lambda: tls.read(100))  # type: ignore[no-any-return]

    serving = Running(lambda: talk(server, there, b"from the server", server_side=True))
    assert talk(client, here, b"from the client", server_hostname="localhost") == b"from the server"
    assert serving.result() == b"from the client"
    here.close()
    there.close()


def test_ours_inside_openssls_program(stack: ExitStack, tmp_path: Path) -> None:
    """A process between two pipes, as one uses a ProxyCommand of SSH."""
    code = "import os\nwhile data := os.read(0, 9999): os.write(1, data)"
    process = stack.enter_context(
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    )
    assert process.stdin is not None
    assert process.stdout is not None
    # What we say comes back: a mirror is no server, and that is found out at once.
    stream = io.BufferedRWPair(process.stdout.raw, process.stdin.raw)  # type: ignore[attr-defined]
    with pytest.raises(TLSError):
        wrap(stream, client_config(), server_name="localhost")


# --- what is no stream, and streams that fail -------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [object(), None, "a string", 7])
def test_what_is_no_stream(thing: object) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
        wrap(thing, client_config(), server_name="localhost")


class Broken:
    """A stream that fails in its own way."""

    def __init__(self, error: BaseException | None, answer: Any = None) -> None:
        self._error, self._answer, self.closed = error, answer, 0

    def recv(self, size: int) -> Any:
        if self._error is not None:
            raise self._error
        return self._answer

    def sendall(self, data: bytes) -> None:
        """Anything goes."""

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (OSError("gone"), None),
        (EOFError(), None),
        (RuntimeError("the library's own"), None),
        (None, None),
        (BlockingIOError(), None),
    ],
)
def test_streams_that_fail_in_their_own_way(error: BaseException | None, answer: Any) -> None:
    stream = Broken(error, answer)
    with fails(ConnectionFailed, reasons.RESET) as caught:
        wrap(stream, client_config(), server_name="localhost")
    assert stream.closed == 1
    if isinstance(error, RuntimeError):
        assert caught.value.evidence["problem"] == "the library's own"


@contextmanager
def _interrupted() -> Iterator[None]:
    with pytest.raises(KeyboardInterrupt):
        yield


def test_ctrl_c_closes_the_stream() -> None:
    stream = Broken(KeyboardInterrupt())
    with _interrupted():
        wrap(stream, client_config(), server_name="localhost")
    assert stream.closed == 1


def test_a_write_that_was_cut_is_the_end() -> None:
    """sendall does not say how much it has sent, so nothing can be sent after its timeout."""

    class Slow(Broken):
        def settimeout(self, seconds: float | None) -> None:
            """Taken note of by nobody."""

        def sendall(self, data: bytes) -> None:
            raise TimeoutError

    with fails(ConnectionFailed, reasons.RESET) as caught:
        wrap(Slow(None, b""), client_config(), server_name="localhost")
    assert caught.value.evidence["problem"] == "a write was cut by its timeout"
