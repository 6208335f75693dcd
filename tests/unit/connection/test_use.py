"""How a connection is used: in order, wrongly, from two threads, and to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from handfast import ASK, AlertReceived, ApplicationData, HandshakeCompleted, MisuseError, PeerClosed, TLSError, reasons
from handfast.connection import ClientConnection, Connection, ServerConnection
from handfast.insecure import NoVerification
from handfast.testing import pair, pump
from tests.handshake.parties import Ticking, carry, client_config, fails, identity, server_config, started


def fresh(side: str) -> Connection:
    if side == "client":
        return ClientConnection(client_config(), server_name="localhost")
    return ServerConnection(server_config())


both_sides = pytest.mark.parametrize("side", ["client", "server"])


# --- misuse --------------------------------------------------------------------------------------------------------

MISUSES: list[tuple[str, Callable[[Connection], Any]]] = [
    ("data before start", lambda c: c.receive_data(b"x")),
    ("send before start", lambda c: c.send(b"x")),
    ("start twice", lambda c: (c.start(), c.start())),
    ("send before the handshake is complete", lambda c: (c.start(), c.send(b"x"))),
    ("send after close", lambda c: (c.start(), c.close(), c.send(b"x"))),
    ("start after close", lambda c: (c.close(), c.start())),
]


@both_sides
@pytest.mark.parametrize("use", [use for _, use in MISUSES], ids=[name for name, _ in MISUSES])
def test_misuse(side: str, use: Callable[[Connection], Any]) -> None:
    connection = fresh(side)
    with fails(MisuseError, reasons.MISUSE) as caught:
        use(connection)
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.sent_by == "nobody"
    assert not connection.failed  # a mistake of the caller is not the end


@both_sides
def test_nothing_to_do_before_the_start(side: str) -> None:
    connection = fresh(side)
    assert connection.next_event() is None
    assert connection.awaiting == ""
    assert connection.deadline is None
    assert connection.data_to_send() == b""
    connection.handle_timeout()
    assert not connection.failed


@both_sides
def test_closing_what_never_started(side: str) -> None:
    connection = fresh(side)
    connection.close()
    connection.close()
    assert connection.data_to_send() == b""
    assert connection.next_event() is None


def test_sending_after_close() -> None:
    client, server = pair(client_config(), server_config())
    client.close()
    with fails(MisuseError, reasons.MISUSE) as caught:
        client.send(b"x")
    assert caught.value.evidence == {"problem": "the connection is closed"}
    server.send(b"still going")
    at_client, at_server = pump(client, server)
    assert at_client == [ApplicationData(b"still going")]
    assert at_server == [PeerClosed()]


# --- the end -------------------------------------------------------------------------------------------------------


def test_close_is_said_once() -> None:
    client, server = pair(client_config(), server_config())
    client.close()
    client.close()
    assert len(client.data_to_send()) == 5 + 2 + 1 + 16
    assert server.handshake is not None


@pytest.mark.parametrize("progress", [0, 1])
def test_closing_during_the_handshake_gives_up(progress: int) -> None:
    """user_canceled, then close_notify (RFC 9846 section 6.1)."""
    client, server = started()
    for _ in range(progress):
        carry(client, server)
        server.close()
    client.close()
    data = client.data_to_send()
    assert data[-14:] == b"\x15\x03\x03\x00\x02\x01\x5a" + b"\x15\x03\x03\x00\x02\x01\x00"
    server.receive_data(data)
    if progress == 0:
        with fails(AlertReceived, reasons.CLOSED_DURING_HANDSHAKE):
            list(server.events())
    assert client.next_event() is None
    client.receive_data(b"whatever comes now is ignored")
    assert client.next_event() is None
    assert client.handshake is None


def test_a_server_that_gives_up_says_so_with_its_keys() -> None:
    client, server = started({"verifier": ASK})
    carry(client, server)
    server.close()
    (question,), _ = pump(client, server)
    question.answer(NoVerification().verify_server(question.chain, question.server_name, question.now))
    # The server's flight was complete: for the client the handshake is, too, and the close is a close.
    at_client, _ = pump(client, server)
    assert [type(event) for event in at_client] == [HandshakeCompleted, PeerClosed]


def test_both_may_close() -> None:
    client, server = pair(client_config(), server_config())
    client.close()
    server.close()
    assert pump(client, server) == ([PeerClosed()], [PeerClosed()])
    client.receive_eof()
    server.receive_eof()
    assert pump(client, server) == ([], [])


def test_the_deadline_is_over_with_the_handshake() -> None:
    clock = Ticking()
    client, server = started({"clock": clock.clock}, {"handshake_timeout": None})
    assert client.deadline == clock.now + 30.0
    assert server.deadline is None
    pump(client, server)
    assert client.deadline is None
    clock.now += 1e9
    client.handle_timeout()
    server.handle_timeout()
    assert not client.failed


def test_where_a_handshake_stands() -> None:
    client, server = started()
    assert (client.awaiting, server.awaiting) == ("ServerHello", "ClientHello")
    carry(client, server)
    assert server.awaiting == "Finished"
    carry(server, client)
    assert client.awaiting == ""
    assert client.handshake is not None
    assert server.handshake is None


def test_any_buffer_can_be_sent_and_received() -> None:
    client, server = pair(client_config(), server_config())
    for data in (b"bytes", bytearray(b"bytearray"), memoryview(b"memoryview")):
        client.send(data)
        received = bytearray(client.data_to_send())
        server.receive_data(memoryview(received))
        received[:] = bytes(len(received))  # the caller may reuse its buffer at once
        (event,) = list(server.events())
        assert event == ApplicationData(bytes(data))


def test_events_are_handed_out_one_by_one() -> None:
    client, server = pair(client_config(), server_config())
    for number in range(3):
        client.send(bytes((number,)))
    client.close()
    server.receive_data(client.data_to_send())
    assert [server.next_event() for _ in range(5)] == [
        ApplicationData(b"\0"),
        ApplicationData(b"\1"),
        ApplicationData(b"\2"),
        PeerClosed(),
        None,
    ]


# --- threads -------------------------------------------------------------------------------------------------------


def test_one_thread_reads_and_one_writes() -> None:
    """The order on the wire is the order of sequence numbers, else nothing decrypts."""
    client, server = pair(client_config(), server_config())
    failures: list[BaseException] = []
    rounds = 300

    def write(connection: Connection, output: list[bytes]) -> None:
        try:
            for number in range(rounds):
                connection.send(number.to_bytes(2) * 100)
                output.append(bytes(connection.data_to_send()))
        except BaseException as error:
            failures.append(error)

    received: dict[Connection, list[int]] = {client: [], server: []}

    def read(connection: Connection, source: list[bytes]) -> None:
        try:
            while len(received[connection]) < rounds:
                while source:
                    connection.receive_data(source.pop(0))
                for event in connection.events():
                    assert isinstance(event, ApplicationData)
                    received[connection].append(int.from_bytes(event.data[:2]))
        except BaseException as error:
            failures.append(error)

    to_server: list[bytes] = []
    to_client: list[bytes] = []
    threads = [
        threading.Thread(target=write, args=(client, to_server)),
        threading.Thread(target=write, args=(server, to_client)),
        threading.Thread(target=read, args=(client, to_client)),
        threading.Thread(target=read, args=(server, to_server)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert received == {client: list(range(rounds)), server: list(range(rounds))}


def test_many_threads_may_write() -> None:
    client, server = pair(client_config(), server_config())
    threads = [threading.Thread(target=lambda: [client.send(b"x" * 100) for _ in range(100)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _, events = pump(client, server)
    assert len(events) == 800


def test_another_thread_may_close_while_the_script_runs() -> None:
    client, server = started()
    entered, closed = threading.Event(), threading.Event()

    class Slow:
        def verify_server(self, *_: Any) -> Any:
            entered.set()
            assert closed.wait(30)
            raise TLSError(reasons.CERTIFICATE_REFUSED)

    client, server = started({"verifier": Slow()})
    carry(client, server)
    client.receive_data(server.data_to_send())
    errors: list[BaseException] = []

    def read() -> None:
        try:
            client.next_event()
        except TLSError as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert entered.wait(30)
    client.close()
    closed.set()
    reader.join()
    assert [error.reason for error in errors if isinstance(error, TLSError)] == [reasons.CERTIFICATE_REFUSED]
    assert client.handshake is None


def test_a_close_that_comes_before_the_answer_of_the_script() -> None:
    """Closed by another thread, between the verdict and what follows: nothing more is done."""
    mine: list[ClientConnection] = []

    class Closing:
        def verify_server(self, *values: Any) -> Any:
            mine[0].close()
            return NoVerification().verify_server(*values)

    client, server = started({"verifier": Closing()})
    mine.append(client)
    carry(client, server)
    client.receive_data(server.data_to_send())
    assert client.next_event() is None
    assert client.handshake is None


@pytest.mark.parametrize("asks", [True, False], ids=["ASK", "inline"])
def test_nothing_is_sent_after_a_close_within_a_callback(asks: bool) -> None:
    mine: list[ServerConnection] = []

    def choose(_: Any) -> Any:
        mine[0].close()
        return ASK if asks else identity()

    client, server = started(server={"choose_identity": choose})
    mine.append(server)
    assert carry(client, server) == []
    assert server.data_to_send() == b"\x15\x03\x03\x00\x02\x01\x5a" + b"\x15\x03\x03\x00\x02\x01\x00"
