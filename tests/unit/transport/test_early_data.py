"""Early data and sessions over blocking sockets: nothing is lost, nothing is taken by accident."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import handfast
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemoryCache, MemorySessions
from handfast.sessions.session import Session
from handfast.transport.blocking import TLSSocket, wrap
from tests.handshake.parties import client_config, identity, server_config
from tests.unit.transport.sockets import Running, tcp_pair

identity()  # made once, and before there are threads that would both make one


class Guard:
    """Admits each binder once, from the start: the one of a real process is as wary as its neighbours are."""

    def __init__(self, *, admits: bool = True) -> None:
        self._seen: set[bytes] = set()
        self._admits = admits

    def admit(self, binder: bytes, seconds: float) -> bool:
        new = binder not in self._seen
        self._seen.add(binder)
        return new and self._admits


@contextmanager
def server(handler: Callable[[TLSSocket], None], **settings: Any) -> Iterator[tuple[str, int]]:
    """A server with threads; what a handler raises fails the test."""
    options = {"on_early_data": settings.pop("on_early_data", None)}
    failures: list[Exception] = settings.pop("failures", [])
    expected = settings.pop("expected", ())
    settings.setdefault("tickets", TicketKeyRing())
    settings.setdefault("early_data", Guard())
    failed = threading.Event()

    def note(address: Any, error: Exception, tap: Any) -> None:
        failures.append(error)
        failed.set()

    running = handfast.Server(handler, config=server_config(**settings), on_failure=note, **options)
    with running:
        yield running.address
        if expected:
            assert failed.wait(30)
    assert [type(error) for error in failures] == list(expected)


def echo(tls: TLSSocket) -> None:
    """What came early, marked so; then all the rest as it comes."""
    early = tls.early_data()
    if early:
        tls.sendall(b"early:" + early)
    while data := tls.recv(65_536):
        tls.sendall(data)


def read(tls: TLSSocket, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := tls.recv(count - len(data))):
        data += piece
    return data


def first_session(address: tuple[str, int], config: handfast.ClientConfig) -> Session:
    """A full handshake; the newest of the sessions that it brings."""
    found: list[Session] = []
    with handfast.connect(*address, config=config, server_name="localhost", on_session=found.append) as tls:
        tls.sendall(b"hello")
        assert read(tls, 5) == b"hello"
        assert tls.early_data_rejected == b""
    return found[-1]


def test_early_data_has_a_way_of_its_own() -> None:
    config = client_config(sessions=MemorySessions())
    with server(echo) as address:
        first_session(address, config)
        with handfast.connect(*address, config=config, server_name="localhost", early_data=b"GET /") as tls:
            assert tls.handshake.resumed
            assert tls.handshake.early_data == "accepted"
            assert tls.early_data_rejected == b""
            assert read(tls, 11) == b"early:GET /"
            tls.sendall(b"more")
            assert read(tls, 4) == b"more"


def test_a_session_can_be_given() -> None:
    config = client_config(sessions=MemorySessions())
    with server(echo) as address:
        session = first_session(address, config)
        for resumed in (True, True):
            plain = client_config()
            with handfast.connect(*address, config=plain, server_name="localhost", session=session) as tls:
                assert tls.handshake.resumed is resumed


def test_what_a_guard_refuses_comes_back_and_is_not_sent_again() -> None:
    config = client_config(sessions=MemorySessions())
    heard: list[bytes] = []

    def hear(tls: TLSSocket) -> None:
        heard.append(tls.early_data() + read(tls, 5))
        tls.sendall(b"there")

    with server(hear, early_data=Guard(admits=False)) as address:
        for early in (b"", b"GET /"):
            tls = handfast.connect(*address, config=config, server_name="localhost", early_data=early)
            with tls:
                assert tls.handshake.resumed is bool(early)
                assert tls.handshake.early_data == ("rejected" if early else None)
                assert tls.early_data_rejected == early
                tls.sendall(b"hello")
                assert read(tls, 5) == b"there"
    assert heard == [b"hello", b"hello"]


def test_early_data_without_a_session_comes_back() -> None:
    with server(echo) as address:
        tls = handfast.connect(*address, config=client_config(), server_name="localhost", early_data=b"GET /")
        with tls:
            assert tls.handshake.early_data is None
            assert tls.early_data_rejected == b"GET /"
            tls.sendall(tls.early_data_rejected)  # the caller's word
            assert read(tls, 5) == b"GET /"


def test_more_than_the_session_allows_comes_back() -> None:
    config = client_config(sessions=MemorySessions())
    with server(echo, max_early_data=16) as address:
        first_session(address, config)
        data = bytes(17)
        with handfast.connect(*address, config=config, server_name="localhost", early_data=data) as tls:
            assert tls.handshake.resumed
            assert tls.early_data_rejected == data


def test_who_does_not_ask_for_early_data_gets_nothing_else() -> None:
    config = client_config(sessions=MemorySessions())
    taken: list[bytes] = []

    def unaware(tls: TLSSocket) -> None:
        taken.append(tls.recv(100))
        tls.sendall(taken[-1])

    with server(unaware, expected=[handfast.MisuseError]) as address:
        first_session(address, config)
        with handfast.connect(*address, config=config, server_name="localhost", early_data=b"GET /") as tls:
            assert tls.handshake.early_data == "accepted"
            tls.sendall(b"more")
            with pytest.raises((handfast.TLSError, OSError)):
                assert tls.recv(100) == b"", "nothing came of it"
                raise OSError
    assert taken == [b"hello"]


def test_early_data_is_answered_before_the_handshake_is_over() -> None:
    """The server answers the first flight at once; the client reads that as soon as its own handshake is over."""
    config = client_config(sessions=MemorySessions())
    pieces: list[bytes] = []

    def at_once(tls: TLSSocket, data: bytes) -> None:
        assert tls.connection.handshake is None
        with pytest.raises(handfast.MisuseError):
            _ = tls.handshake
        pieces.append(data)
        tls.sendall(b"at once:" + data)

    def rest(tls: TLSSocket) -> None:
        assert tls.early_data() == b""
        tls.sendall(tls.recv(5))

    with server(rest, on_early_data=at_once, max_early_data=100_000) as address:
        first_session(address, config)
        with handfast.connect(*address, config=config, server_name="localhost", early_data=bytes(20_000)) as tls:
            assert tls.handshake.early_data == "accepted"
            assert len(read(tls, 20_000 + 8 * 2)) == 20_000 + 8 * 2
            tls.sendall(b"hello")
            assert read(tls, 5) == b"hello"
    assert [len(piece) for piece in pieces] == [16_384, 3_616]


def test_what_the_taker_of_early_data_raises_ends_the_connection() -> None:
    config = client_config(sessions=MemorySessions())

    def refuse(tls: TLSSocket, data: bytes) -> None:
        raise ValueError("not this")

    with server(echo, on_early_data=refuse, expected=[ValueError]) as address:
        first_session(address, config)
        with (
            pytest.raises((handfast.TLSError, OSError)),
            handfast.connect(*address, config=config, server_name="localhost", early_data=b"GET /") as tls,
        ):
            tls.recv(1)


@pytest.mark.parametrize("settings", [{"tickets": TicketKeyRing()}, {"session_cache": MemoryCache(), "tickets": None}])
def test_sessions_of_tls_12_are_told_when_hands_are_shaken(settings: dict[str, Any]) -> None:
    config = client_config(sessions=MemorySessions(), max_version="1.2")
    told: list[Session] = []
    with server(echo, max_version="1.2", **settings) as address:
        for resumed in (False, True):
            tls = handfast.connect(*address, config=config, server_name="localhost", on_session=told.append)
            with tls:
                assert tls.handshake.resumed is resumed
                assert told
                tls.sendall(b"x")
                assert read(tls, 1) == b"x"


def test_sessions_and_early_data_are_for_clients() -> None:
    here, there = tcp_pair()
    with here, there:
        for options in ({"early_data": b"x"}, {"session": object()}):
            with pytest.raises(handfast.ConfigurationError, match="for clients"):
                wrap(there, server_config(), **options)


def test_wrap_takes_them_too() -> None:
    store = MemorySessions()
    ring, guard = TicketKeyRing(), Guard()
    for early in (b"", b"early"):
        here, there = tcp_pair()
        serving = Running(lambda end=there: wrap(end, server_config(tickets=ring, early_data=guard)))
        tls = wrap(here, client_config(sessions=store), server_name="localhost", early_data=early)
        with tls, serving.result() as other:
            assert other.early_data() == early
            assert other.early_data() == b""
            other.sendall(b"done")
            assert read(tls, 4) == b"done"
