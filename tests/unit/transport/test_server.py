"""The server with a thread for each connection: its limits, its failures, its end."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from handfast import (
    AlertReceived,
    ConfigurationError,
    Server,
    TLSError,
    TLSSocket,
    connect,
    reasons,
    serve,
)
from handfast.errors import PeerMisbehaved
from handfast.transport import server as server_module
from tests.handshake.parties import Recorder, client_config, fails, server_config
from tests.unit.transport.sockets import Running, read_all


def hello(tls: TLSSocket) -> None:
    tls.sendall(b"hello")


def call(server: Server, **settings: Any) -> TLSSocket:
    return connect("127.0.0.1", server.address[1], config=client_config(**settings))


def fetch(server: Server) -> bytes:
    with call(server) as tls:
        return read_all(tls)


def test_connections_one_after_the_other_and_at_once() -> None:
    with Server(hello, config=server_config()) as server:
        together = [call(server) for _ in range(8)]
        for tls in together:
            with tls:
                assert read_all(tls) == b"hello"


def test_who_failed_and_why() -> None:
    failures: list[Any] = []
    failed = threading.Event()

    def note(address: Any, error: Exception, tap: Any) -> None:
        failures.append((address, error, tap))
        failed.set()

    recorders: list[Recorder] = []

    def tap(address: Any) -> Recorder:
        recorders.append(Recorder())
        return recorders[-1]

    with Server(hello, config=server_config(), on_failure=note, tap=tap) as server:
        with socket.create_connection(server.address) as sock:
            mine = sock.getsockname()
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert read_all(sock)[:5] == b"\x15\x03\x03\x00\x02"
        assert failed.wait(30)
    ((address, error, seen),) = failures
    assert address == mine
    assert isinstance(error, PeerMisbehaved)
    assert error.reason is reasons.PLAINTEXT_HTTP
    assert seen is recorders[0]
    assert seen.story == [("sent", "Alert", False)]


@pytest.mark.parametrize("noted", [True, False])
def test_a_handler_that_raises_harms_nobody_else(noted: bool) -> None:
    failures: list[Exception] = []
    failed = threading.Event()

    def broken(tls: TLSSocket) -> None:
        if tls.recv() == b"break":
            raise ValueError("broken")
        tls.sendall(b"fine")

    def note(_: Any, error: Exception, __: Any) -> None:
        failures.append(error)
        failed.set()

    with Server(broken, config=server_config(), **({"on_failure": note} if noted else {})) as server:
        with call(server) as tls:
            tls.sendall(b"break")
            assert read_all(tls) == b""  # the end is in order: close_notify
        with call(server) as tls:
            tls.sendall(b"go on")
            assert read_all(tls) == b"fine"
        assert not noted or failed.wait(30)
    assert [str(error) for error in failures] == (["broken"] if noted else [])


def test_a_tap_that_cannot_be_made_costs_one_connection_and_no_place() -> None:
    failures: list[Exception] = []
    taps: list[Any] = [Recorder(), None, None, None]

    def tap(address: Any) -> Any:
        if len(taps) > 1:
            taps.pop()
            raise ValueError("no tap")
        return taps[0]

    with Server(
        hello,
        config=server_config(),
        tap=tap,
        on_failure=lambda address, error, tap: failures.append(error),
        max_connections=1,
        max_handshakes=1,
    ) as server:
        for _ in range(3):
            with pytest.raises(TLSError):
                call(server)
        with call(server) as tls:
            assert read_all(tls) == b"hello"
    assert [str(error) for error in failures] == ["no tap"] * 3


def test_a_thread_that_cannot_be_started_costs_one_connection_and_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = threading.Thread.start, [2]

    def start(thread: threading.Thread) -> None:
        if thread.name == "handfast-connection" and refused[0]:
            refused[0] -= 1
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with Server(hello, config=server_config(), max_connections=1, max_handshakes=1) as server:
        for _ in range(2):
            with pytest.raises(TLSError):
                call(server)
        with call(server) as tls:
            assert read_all(tls) == b"hello"


def test_no_more_connections_than_allowed() -> None:
    """What is too much waits in the listen queue until there is a place again."""
    going = threading.Event()
    at_once: list[int] = []
    now = [0]
    lock = threading.Lock()

    def wait(tls: TLSSocket) -> None:
        with lock:
            now[0] += 1
            at_once.append(now[0])
        assert going.wait(30)
        with lock:
            now[0] -= 1

    with Server(wait, config=server_config(), max_connections=2) as server:
        waiting = [Running(fetch, server) for _ in range(5)]
        going.set()
        for each in waiting:
            assert each.result() == b""
    assert max(at_once) <= 2


def test_no_more_handshakes_than_allowed() -> None:
    with Server(hello, config=server_config(), max_handshakes=1) as server:
        with socket.create_connection(server.address) as idle:
            waiting = Running(fetch, server)
            assert idle.fileno() >= 0
        assert waiting.result() == b"hello"  # the idle one has gone, and made room


def test_a_connection_that_is_open_does_not_count_as_a_handshake() -> None:
    server = Server(lambda tls: tls.sendall(tls.recv()), config=server_config(), max_handshakes=1)
    with server, call(server) as first, call(server) as second:
        for tls in (second, first):
            tls.sendall(b"x")
            assert tls.recv() == b"x"


def test_closing_ends_open_connections() -> None:
    entered = threading.Event()
    ended: list[BaseException] = []

    def wait(tls: TLSSocket) -> None:
        entered.set()
        tls.recv()

    server = Server(wait, config=server_config(), on_failure=lambda _, error, __: ended.append(error))
    server.start()
    with call(server) as tls:
        assert entered.wait(30)
        server.close()
        with pytest.raises(TLSError):
            tls.recv()
    with pytest.raises(TLSError):
        call(server)
    server.close()


def test_a_connection_that_is_accepted_while_the_server_closes() -> None:
    """close() has looked at the open connections already; this one is ended all the same."""
    server = Server(hello, config=server_config())
    server.start()
    server.close()
    here, there = socket.socketpair()
    server._places.acquire()
    server._handshakes.acquire()
    with there:
        server._serve(here, None)
        assert read_all(there) == b""
    assert here.fileno() == -1


def test_closing_from_the_handler() -> None:
    closed = threading.Event()

    def stop(tls: TLSSocket) -> None:
        server.close()
        closed.set()

    server = Server(stop, config=server_config())
    server.start()
    with pytest.raises(TLSError), call(server) as tls:
        tls.recv()
    assert closed.wait(30)


@pytest.mark.parametrize(
    ("host", "port"), [("192.0.2.1", 0), ("127.0.0.1", -1), ("127.0.0.1", 65_536), ("no host at all", 0)]
)
def test_an_address_that_cannot_be_listened_to(host: str, port: int) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        Server(hello, host, port, config=server_config())
    assert caught.value.evidence["address"] == f"{host} port {port}"


def test_an_address_that_is_taken() -> None:
    with Server(hello, config=server_config()) as server:
        with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
            Server(hello, *server.address, config=server_config())
        assert "Address already in use" in str(caught.value.evidence["problem"])


def test_serving_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Server] = []

    class Known(Server):
        def serve_forever(self) -> None:
            made.append(self)
            ready.set()
            super().serve_forever()

    ready = threading.Event()
    monkeypatch.setattr(server_module, "Server", Known)
    serving = Running(lambda: serve(hello, "127.0.0.1", 0, config=server_config()))
    assert ready.wait(30)
    with call(made[0]) as tls:
        assert read_all(tls) == b"hello"
    made[0].close()
    serving.result()


def test_the_client_learns_why_it_was_refused() -> None:
    with (
        Server(hello, config=server_config(alpn=["h2"])) as server,
        fails(AlertReceived, reasons.ALERT_RECEIVED) as told,
    ):
        call(server, alpn=["http/1.1"])
    assert told.value.name == "no_application_protocol"
