"""Clients that come back, cut into any pieces and changed in any bit: nobody takes what was not meant."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from handfast import TLSError
from handfast.connection import ClientConnection, ServerConnection
from handfast.events import EarlyData
from handfast.handshake.flow import Question
from tests.handshake.parties import client_config, server_config
from tests.handshake.returning import Cache, Guard, Sessions, Tickets, first_session

EARLY = bytes(range(256)) * 8
TICKETS, CACHE = Tickets(), Cache()


@cache
def flight(version: str) -> bytes:
    """What a client says first that comes back, with early data in TLS 1.3."""
    server = {"tickets": TICKETS, "max_version": version, "early_data": Guard()}
    session = first_session({"sessions": Sessions(), "max_version": version}, server)
    config = client_config(sessions=Sessions(session), max_version=version)
    client = ClientConnection(config, server_name="localhost", early_data=EARLY if version == "1.3" else b"")
    client.start()
    return bytes(client.data_to_send())


def server_of(version: str) -> ServerConnection:
    server = ServerConnection(server_config(tickets=TICKETS, max_version=version, early_data=Guard()))
    server.start()
    return server


def taken(server: ServerConnection, data: bytes) -> bytes:
    """The early data of these bytes; TLSError where they are refused."""
    server.receive_data(data)
    found = b""
    for event in server.events():
        assert isinstance(event, EarlyData)
        found += event.data
    return found


@given(st.lists(st.integers(1, 600), min_size=1, max_size=40), st.sampled_from(["1.2", "1.3"]))
def test_any_pieces_of_a_first_flight_say_the_same(sizes: list[int], version: str) -> None:
    server, data = server_of(version), flight(version)
    found, at = b"", 0
    for size in sizes:
        found += taken(server, data[at : at + size])
        at += size
    found += taken(server, data[at:])
    assert found == (EARLY if version == "1.3" else b"")
    assert server.awaiting == ("EndOfEarlyData" if version == "1.3" else "ChangeCipherSpec")


@given(st.data())
def test_a_flipped_bit_of_a_first_flight_is_never_early_data(data: st.DataObject) -> None:
    """The hello is covered by the binder, and each record by its tag; what was whole before the change may count."""
    original = bytearray(flight("1.3"))
    length = 5 + int.from_bytes(original[3:5])
    at = data.draw(st.integers(5, len(original) - 1))
    original[at] ^= 1 << data.draw(st.integers(0, 7))
    server = server_of("1.3")
    try:
        found = taken(server, bytes(original))
    except TLSError:
        found = b""
    assert EARLY.startswith(found)
    if at < length:
        assert found == b"", "a changed hello is no proof"
    else:
        assert found != EARLY


@given(st.data())
def test_a_changed_hello_of_tls_1_2_is_refused_or_a_full_handshake_or_cannot_finish(data: st.DataObject) -> None:
    """There the Finished is the proof, in which each side has its own view of the hello."""
    original = bytearray(flight("1.2"))
    at = data.draw(st.integers(5, len(original) - 1))
    original[at] ^= 1 << data.draw(st.integers(0, 7))
    server = server_of("1.2")
    try:
        assert taken(server, bytes(original)) == b""
    except TLSError:
        return
    assert server.handshake is None
    assert server.awaiting in ("ChangeCipherSpec", "ClientKeyExchange", "ClientHello")


@given(st.data())
def test_a_flight_cut_short_is_a_prefix(data: st.DataObject) -> None:
    whole = flight("1.3")
    cut = data.draw(st.integers(0, len(whole)))
    server = server_of("1.3")
    found = taken(server, whole[:cut])
    server.receive_eof()
    assert EARLY.startswith(found)
    try:
        server.next_event()
    except TLSError:
        return
    raise AssertionError("an end in the middle of a handshake is an error")


@given(st.binary(max_size=400) | st.none())
def test_whatever_a_store_opens(answer: bytes | None) -> None:
    """Any bytes are a session or none; never an error, and never a proof without the binder."""

    class Opens:
        """A TicketSealer that finds this in every ticket."""

        def seal(self, state: bytes, seconds: int) -> None:
            """None."""

        def open(self, ticket: bytes) -> bytes | None:
            return answer

    for version in ("1.2", "1.3"):
        server = ServerConnection(server_config(tickets=Opens(), max_version=version, early_data=Guard()))
        server.start()
        assert taken(server, flight(version)) == b""
        assert server.awaiting == ("Finished" if version == "1.3" else "ClientKeyExchange")


class Later:
    """Answers nothing now."""

    def __await__(self) -> Any:
        raise AssertionError("nobody awaits it here")


@given(st.integers(0, 3000), st.booleans())
def test_early_data_waits_for_a_slow_guard(cut: int, admits: bool) -> None:
    class Slow:
        """A ReplayGuard that takes its time."""

        def admit(self, binder: bytes, seconds: float) -> Any:
            return Later()

    server = ServerConnection(server_config(tickets=TICKETS, early_data=Slow()))
    server.start()
    whole = flight("1.3")
    hello = 5 + int.from_bytes(whole[3:5])
    server.receive_data(whole[: hello + cut])
    question = server.next_event()
    assert isinstance(question, Question)
    assert server.next_event() is None
    server.receive_data(whole[hello + cut :])
    question.answer(admits)
    assert taken(server, b"") == (EARLY if admits else b"")
