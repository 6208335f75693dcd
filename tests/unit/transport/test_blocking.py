"""TLS over real sockets: timeouts, partial writes, two threads, every way to end."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from handfast import (
    ASK,
    AlertReceived,
    ConfigurationError,
    ConnectionFailed,
    HandshakeTimeout,
    Identity,
    MisuseError,
    Server,
    TLSError,
    TLSSocket,
    TruncationError,
    connect,
    limits,
    reasons,
    wrap,
)
from handfast.connection import ClientConnection
from handfast.errors import BadRecord, PeerMisbehaved, UnknownIssuer
from handfast.reasons import Reason
from handfast.testing import Authority
from tests.handshake.parties import client_config, fails, identity, server_config
from tests.unit.transport.sockets import Running, quiet, read_all, reset, shaken, tcp_pair

CLIENT_HELLO_RECORD = b"\x16\x03\x01"
ALERT_RECORD = b"\x15\x03\x03\x00\x02"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as each:
        yield each


@pytest.fixture
def server() -> Iterator[Server]:
    def echo(tls: TLSSocket) -> None:
        while data := tls.recv():
            tls.sendall(data)

    with Server(echo, config=server_config(alpn=["echo"])) as running:
        yield running


# --- connecting ----------------------------------------------------------------------------------------------------


def test_connect(server: Server) -> None:
    with connect("127.0.0.1", server.address[1], config=client_config(alpn=["echo"])) as tls:
        assert tls.handshake.version == "TLSv1.3"
        assert tls.handshake.alpn == "echo"
        assert tls.tcp_connect_seconds > 0
        assert tls.gettimeout() is None
        assert tls.getpeername() == server.address
        assert tls.getsockname()[0] == "127.0.0.1"
        assert tls.fileno() >= 0
        assert "TLSSocket <ClientConnection> over" in repr(tls)
        tls.sendall(b"ping")
        assert tls.recv() == b"ping"
    assert tls.fileno() == -1


def test_connect_for_another_name(server: Server) -> None:
    with connect("127.0.0.1", server.address[1], config=client_config(), server_name="localhost") as tls:
        assert tls.handshake.server_name == "localhost"


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_connect_over_ipv6() -> None:
    try:
        server = Server(lambda tls: tls.sendall(b"six"), "::1", config=server_config())
    except ConfigurationError:
        pytest.skip("this machine has no IPv6 loopback")
    with server, connect("::1", server.address[1], config=client_config()) as tls:
        assert read_all(tls) == b"six"


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with fails(ConnectionFailed, reasons.CONNECTION_FAILED) as caught:
            connect("127.0.0.1", port, config=client_config())
    assert caught.value.evidence == {"host": "127.0.0.1", "port": port, "problem": "Connection refused"}


def test_a_host_that_cannot_be_looked_up() -> None:
    with fails(ConnectionFailed, reasons.CONNECTION_FAILED):
        connect("x" * 64 + ".example", 443, config=client_config(), server_name="localhost")


def test_nobody_accepts() -> None:
    with socket.socket() as listener, ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fill the queue: what comes now is dropped
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        with fails(ConnectionFailed, reasons.CONNECT_TIMEOUT) as caught:
            connect("127.0.0.1", listener.getsockname()[1], config=client_config(), timeout=0.2)
        assert caught.value.evidence["seconds"] == 0.2


def test_wrong_settings_come_before_any_connection() -> None:
    with pytest.raises(ConfigurationError):
        connect("not a name", 1, config=client_config())


# --- the handshake fails -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", reasons.PLAINTEXT_HTTP),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", reasons.PLAINTEXT),
        (b"220 mail.example.com ESMTP\r\n", reasons.PLAINTEXT),
        (b"\0\1\2\3\4\5\6\7", reasons.NOT_TLS),
    ],
)
def test_a_client_at_a_port_of_something_else(first: bytes, reason: Reason) -> None:
    here, there = tcp_pair()
    peer = Running(quiet, there, first)
    with fails(PeerMisbehaved, reason) as caught:
        wrap(here, client_config(), server_name="localhost")
    heard = peer.result()
    assert heard.startswith(CLIENT_HELLO_RECORD)
    assert heard.endswith(ALERT_RECORD + b"\2\x0a")
    assert here.fileno() == -1
    assert caught.value.step == "ServerHello"


def test_plain_http_at_a_tls_server() -> None:
    here, there = tcp_pair()
    peer = Running(quiet, there, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with fails(PeerMisbehaved, reasons.PLAINTEXT_HTTP):
        wrap(here, server_config())
    assert peer.result() == ALERT_RECORD + b"\2\x0a"


def test_the_alert_arrives_while_the_peer_is_still_sending() -> None:
    """Closing a socket with unread data resets the connection; the peer has to see the alert, not the reset."""
    here, there = tcp_pair()

    def peer() -> bytes:
        with there:
            for _ in range(20):
                there.sendall(b"GET / HTTP/1.1\r\n" + bytes(10_000))
            return read_all(there)

    running = Running(peer)
    with fails(PeerMisbehaved, reasons.PLAINTEXT_HTTP):
        wrap(here, server_config())
    assert running.result() == ALERT_RECORD + b"\2\x0a"


def test_the_reason_to_refuse_a_certificate_arrives() -> None:
    here, there = tcp_pair()
    serving = Running(lambda: wrap(there, server_config()))
    with pytest.raises(UnknownIssuer):
        wrap(here, client_config(trust=Authority.create("another").trust), server_name="localhost")
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
        serving.result()
    assert caught.value.name == "unknown_ca"


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x03"])
def test_the_peer_closes_early(said: bytes) -> None:
    here, there = tcp_pair()

    def peer() -> None:
        with there:
            there.recv(65_536)
            there.sendall(said)

    running = Running(peer)
    with fails(TruncationError, reasons.CLOSED_DURING_HANDSHAKE) as caught:
        wrap(here, client_config(), server_name="localhost")
    running.result()
    assert caught.value.step == "ServerHello"


def test_a_reset_during_the_handshake() -> None:
    here, there = tcp_pair()
    reset(there)
    with fails(ConnectionFailed, reasons.RESET) as caught:
        wrap(here, client_config(), server_name="localhost")
    assert caught.value.step == "ServerHello"


def test_a_peer_that_never_answers() -> None:
    here, there = tcp_pair()
    peer = Running(quiet, there)
    with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT) as caught:
        wrap(here, client_config(handshake_timeout=0.05), server_name="localhost")
    assert caught.value.step == "ServerHello"
    assert isinstance(caught.value, TimeoutError)
    assert peer.result().endswith(ALERT_RECORD + b"\1\x5a" + ALERT_RECORD + b"\1\0")


def test_who_has_not_said_a_word_is_not_waited_for() -> None:
    """There is nothing to read, so the alert arrives without that. One that has spoken gets the time to be done."""
    here, there = tcp_pair()
    with there:
        started = time.monotonic()
        with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT):
            wrap(here, client_config(handshake_timeout=0.05), server_name="localhost")
        assert time.monotonic() - started < limits.CLOSE_SECONDS
        assert read_all(there).endswith(ALERT_RECORD + b"\1\x5a" + ALERT_RECORD + b"\1\0")


def test_a_peer_that_sends_a_byte_now_and_then() -> None:
    """What counts is the whole handshake, not each byte."""
    here, there = tcp_pair()

    def peer() -> bytes:
        with there:
            there.settimeout(0.01)
            for byte in b"\x16\x03\x01\x10\x00" + bytes(4096):
                there.send(bytes((byte,)))
                with suppress(TimeoutError):
                    return there.recv(100)
        raise AssertionError("the server has no deadline")

    running = Running(peer)
    with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT):
        wrap(here, server_config(handshake_timeout=0.1))
    assert running.result() == ALERT_RECORD + b"\1\x5a" + ALERT_RECORD + b"\1\0"


def test_a_peer_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flight does not fit into the buffers, and nobody takes it."""
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.05)
    here, there = tcp_pair(buffer=1024)
    fillers = [Authority.create(f"filler {number}").der for number in range(12)]
    big = Identity([*identity().chain, *fillers], identity().key)
    client = ClientConnection(client_config(), server_name="localhost")
    client.start()
    with there:
        there.sendall(client.data_to_send())
        with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT):
            wrap(here, server_config(identities=[big], handshake_timeout=0.2))


def test_no_timeout_at_all(stack: ExitStack) -> None:
    client, server = shaken(stack, {"handshake_timeout": None}, {"handshake_timeout": None})
    client.sendall(b"x")
    assert server.recv() == b"x"


def test_an_interrupt_closes_the_socket() -> None:
    class Interrupting:
        def verify_server(self, *_: Any) -> Any:
            raise KeyboardInterrupt

    here, there = tcp_pair()
    serving = Running(lambda: wrap(there, server_config()))
    with pytest.raises(KeyboardInterrupt):
        wrap(here, client_config(verifier=Interrupting()), server_name="localhost")
    assert here.fileno() == -1
    with pytest.raises(TLSError):
        serving.result()


def test_facts_need_a_handshake() -> None:
    here, there = tcp_pair()
    tls = TLSSocket(here, ClientConnection(client_config(), server_name="localhost"))
    with there, tls, fails(MisuseError, reasons.MISUSE):
        _ = tls.handshake


# --- questions -----------------------------------------------------------------------------------------------------


class SlowSigner:
    """A key behind an event loop."""

    schemes = identity().schemes

    def __init__(self, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.seconds = seconds
        self.error = error

    async def sign(self, scheme: int, content: bytes) -> bytes:
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        signature = identity().signer.sign(scheme, content)
        assert isinstance(signature, bytes)
        return signature


def slow(**settings: Any) -> dict[str, Any]:
    return {"identities": [Identity(identity().chain, SlowSigner(**settings))]}  # type: ignore[arg-type]


def test_an_awaitable_signer_is_waited_for(stack: ExitStack) -> None:
    client, server = shaken(stack, server=slow(seconds=0.01))
    server.sendall(b"signed")
    assert client.recv() == b"signed"
    assert server.handshake.timings.signature > 0.0


def test_an_awaitable_signer_that_fails() -> None:
    here, there = tcp_pair()
    serving = Running(lambda: wrap(there, server_config(**slow(error=ValueError("no token")))))
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as told:
        wrap(here, client_config(), server_name="localhost")
    assert told.value.name == "internal_error"
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        serving.result()
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_awaitable_signer_that_takes_too_long() -> None:
    here, there = tcp_pair()
    serving = Running(lambda: wrap(there, server_config(handshake_timeout=0.05, **slow(seconds=60))))
    with fails(AlertReceived, reasons.CLOSED_DURING_HANDSHAKE):
        wrap(here, client_config(), server_name="localhost")
    with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT):
        serving.result()


def test_asking_needs_an_application_that_pulls_events() -> None:
    here, there = tcp_pair()
    serving = Running(lambda: wrap(there, server_config()))
    with fails(MisuseError, reasons.MISUSE) as caught:
        wrap(here, client_config(verifier=ASK), server_name="localhost")
    assert "ASK" in str(caught.value)
    with fails(AlertReceived, reasons.ALERT_RECEIVED):
        serving.result()


# --- reading -------------------------------------------------------------------------------------------------------


def test_a_read_that_times_out_loses_nothing(stack: ExitStack) -> None:
    client, server = shaken(stack)
    client.settimeout(0.02)
    assert client.gettimeout() == 0.02
    for _ in range(2):
        with pytest.raises(TimeoutError) as caught:
            client.recv()
        assert not isinstance(caught.value, TLSError)
    server.sendall(b"late")
    client.settimeout(30)
    assert client.recv() == b"late"


def test_reading_in_pieces(stack: ExitStack) -> None:
    client, server = shaken(stack)
    server.sendall(b"0123456789")
    assert client.recv(0) == b""
    assert client.recv(3) == b"012"
    buffer = bytearray(4)
    assert client.recv_into(buffer) == 4
    assert bytes(buffer) == b"3456"
    assert client.recv_into(buffer, 2) == 2
    assert bytes(buffer) == b"7856"
    assert client.recv_into(bytearray(100), 50) == 1
    assert client.recv_into(bytearray()) == 0
    server.close()
    assert client.recv_into(buffer) == 0
    assert client.recv() == b""
    assert client.recv() == b""


def test_a_clean_end_and_a_truncation(stack: ExitStack) -> None:
    client, server = shaken(stack)
    server.sendall(b"all")
    server.close()
    assert read_all(client) == b"all"

    client, server = shaken(stack)
    server.sendall(b"not all")
    server.abort()
    assert client.recv() == b"not all"
    for _ in range(2):
        with fails(TruncationError, reasons.TRUNCATED):
            client.recv()


def test_a_reset_while_reading(stack: ExitStack) -> None:
    here, there = tcp_pair()
    client, server = shaken(stack, sockets=(here, there))
    reset(there)
    with fails(ConnectionFailed, reasons.RESET):
        client.recv()
    assert server.fileno() == -1


def test_a_garbled_record(stack: ExitStack) -> None:
    here, there = tcp_pair()
    client, server = shaken(stack, sockets=(here, there))
    there.setblocking(True)
    there.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    reading = Running(server.recv)
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        client.recv()
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
        reading.result()
    assert caught.value.name == "bad_record_mac"
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        client.sendall(b"x")


# --- writing -------------------------------------------------------------------------------------------------------

LARGE = os.urandom(1 << 20)


def test_large_transfers_both_ways_at_once_through_tiny_buffers(stack: ExitStack) -> None:
    client, server = shaken(stack, sockets=tcp_pair(buffer=2048))

    def write(tls: TLSSocket) -> None:
        tls.sendall(LARGE)
        tls.shutdown_write()

    writers = [Running(write, tls) for tls in (client, server)]
    readers = [Running(read_all, tls) for tls in (client, server)]
    for reader in readers:
        assert reader.result() == LARGE
    for writer in writers:
        writer.result()


def test_a_write_that_times_out_leaves_the_stream_whole(stack: ExitStack) -> None:
    client, server = shaken(stack, sockets=tcp_pair(buffer=2048))
    client.settimeout(0.05)
    with pytest.raises(TimeoutError) as caught:
        client.sendall(LARGE)
    assert not isinstance(caught.value, TLSError)
    reading = Running(read_all, server)
    client.settimeout(30)
    client.sendall(b"and the end")
    client.shutdown_write()
    heard = reading.result()
    assert heard.endswith(b"and the end")
    assert LARGE.startswith(heard.removesuffix(b"and the end"))


def test_send_says_how_much_it_took(stack: ExitStack) -> None:
    client, server = shaken(stack)
    reading = Running(read_all, server)
    left = memoryview(LARGE)
    while left:
        taken = client.send(left)
        assert 0 < taken <= len(left)
        left = left[taken:]
    assert client.send(b"") == 0
    client.close()
    assert reading.result() == LARGE


def test_sending_into_a_broken_connection(stack: ExitStack) -> None:
    here, there = tcp_pair()
    client, _ = shaken(stack, sockets=(here, there))
    reset(there)
    with fails(ConnectionFailed, reasons.RESET):
        for _ in range(10):
            client.sendall(LARGE)


def test_sending_after_close(stack: ExitStack) -> None:
    client, _ = shaken(stack)
    client.close()
    with fails(MisuseError, reasons.MISUSE):
        client.sendall(b"x")
    client.close()
    client.abort()


# --- the end -------------------------------------------------------------------------------------------------------


def test_one_direction_may_end_before_the_other(stack: ExitStack) -> None:
    client, server = shaken(stack)
    client.sendall(b"question")
    client.shutdown_write()
    assert read_all(server) == b"question"
    server.sendall(b"answer")
    server.close()
    assert read_all(client) == b"answer"


def test_abort_wakes_a_reader(stack: ExitStack) -> None:
    client, _ = shaken(stack)
    reading = Running(client.recv)
    client.abort()
    with pytest.raises(TLSError):
        reading.result()


def test_close_wakes_a_reader(stack: ExitStack) -> None:
    """Though the peer stays: a socket that is closed while a thread polls it is open until that thread returns."""
    client, server = shaken(stack)
    reading = Running(client.recv)
    server.sendall(b"x")
    assert reading.result() == b"x"
    reading = Running(client.recv)
    client.close()
    with pytest.raises(TLSError):
        reading.result()
    assert read_all(server) == b""


def test_close_wakes_a_writer(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.05)
    client, _ = shaken(stack, sockets=tcp_pair(buffer=2048))
    writing = Running(client.sendall, LARGE)
    while not client._write_lock.locked():
        pass
    client.close()
    with pytest.raises(TLSError):
        writing.result()


def test_a_socket_that_another_thread_closed_between_reading_and_waiting(stack: ExitStack) -> None:
    client, _ = shaken(stack)
    client.close()
    with fails(ConnectionFailed, reasons.RESET):
        client.below._wait(1, None)
    with fails(ConnectionFailed, reasons.RESET):
        client.recv()


def test_close_does_not_mind_a_peer_that_is_gone(stack: ExitStack) -> None:
    here, there = tcp_pair()
    client, _ = shaken(stack, sockets=(here, there))
    reset(there)
    client.close()
    assert client.fileno() == -1


def test_a_failure_while_a_writer_hangs_wakes_it(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.05)
    here, there = tcp_pair(buffer=2048)
    client, _ = shaken(stack, sockets=(here, there))
    writing = Running(client.sendall, LARGE)
    there.setblocking(True)
    there.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        client.recv()
    with pytest.raises((TLSError, OSError)):
        writing.result()


# --- files ---------------------------------------------------------------------------------------------------------


def test_files(stack: ExitStack) -> None:
    client, server = shaken(stack)
    with client.makefile("wb") as writer:
        assert isinstance(writer, io.BufferedWriter)
        writer.write(b"first line\nsecond line\n")
        writer.writelines([b"third", b" line\n"])
    assert client.fileno() >= 0  # closing the file leaves the connection open
    reader = server.makefile("rb")
    assert reader.readline() == b"first line\n"
    assert reader.read(6) == b"second"
    client.sendall(LARGE)
    client.close()
    assert reader.read() == b" line\nthird line\n" + LARGE
    reader.close()


@pytest.mark.parametrize("mode", ["r", "w", "rwb", ""])
def test_files_are_binary(stack: ExitStack, mode: str) -> None:
    client, _ = shaken(stack)
    with fails(MisuseError, reasons.MISUSE):
        client.makefile(mode)


# --- other kinds of sockets ----------------------------------------------------------------------------------------


def test_a_socket_that_is_no_tcp(stack: ExitStack) -> None:
    client, server = shaken(stack, sockets=socket.socketpair())
    client.sendall(b"x")
    assert server.recv() == b"x"
    assert client.gettimeout() is None


def test_the_timeout_of_the_socket_is_kept(stack: ExitStack) -> None:
    here, there = tcp_pair()
    here.settimeout(12.5)
    client, _ = shaken(stack, sockets=(here, there))
    assert client.gettimeout() == 12.5


# --- what is sealed and not sent when a read begins ----------------------------------------------------------------


def test_a_read_sends_what_is_sealed(stack: ExitStack) -> None:
    client, server = shaken(stack)
    echoing = Running(lambda: server.sendall(server.recv()))
    client.connection.send(b"ping")
    assert client.recv() == b"ping"
    echoing.result()


def test_a_read_does_not_wait_for_what_cannot_be_sent(stack: ExitStack) -> None:
    """Two peers that both wait until the other one reads would wait for ever."""
    client, server = shaken(stack, sockets=tcp_pair(buffer=2048))
    client.connection.send(LARGE)
    server.sendall(b"x")
    assert client.recv() == b"x"
    reading = Running(read_all, server)
    client.close()
    assert reading.result() == LARGE


def test_a_read_leaves_sending_to_the_thread_that_writes(stack: ExitStack) -> None:
    client, server = shaken(stack, sockets=tcp_pair(buffer=2048))
    writing = Running(client.sendall, LARGE)
    server.sendall(b"x")
    assert client.recv() == b"x"
    reading = Running(read_all, server)
    writing.result()
    client.close()
    assert reading.result() == LARGE


def test_a_reset_that_sending_meets_first_is_a_reset(stack: ExitStack) -> None:
    here, there = tcp_pair()
    client, _ = shaken(stack, sockets=(here, there))
    client.connection.send(b"x")
    reset(there)
    with fails(ConnectionFailed, reasons.RESET):
        client.recv()
