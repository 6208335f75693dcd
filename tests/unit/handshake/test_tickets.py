"""How many tickets there are, for how long, and what a client makes of one (RFC 9846 section 4.7.1, RFC 9149)."""

from __future__ import annotations

from typing import Any

import pytest

from handfast.config import ServerConfig
from handfast.connection import ClientConnection
from handfast.errors import ConfigurationError
from handfast.events import SessionReceived
from handfast.handshake.tickets import tickets_for
from handfast.limits import SESSION_SECONDS, TICKETS, TICKETS_TAKEN
from handfast.sessions.external import ExternalPsk
from handfast.sessions.session import milliseconds
from handfast.wire.codepoints import ExtensionType
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import NewSessionTicket
from tests.handshake.parties import Recorder, identity, server_config
from tests.handshake.returning import Sessions, Tickets, Times, visit

DAY = 86_400


def hello(request: tuple[int, int] | None) -> ClientHello:
    return ClientHello(bytes(32), b"", [0x1301], ticket_request=request, psk_key_exchange_modes=b"\1")


def giving(**settings: Any) -> ServerConfig:
    return server_config(tickets=Tickets(), **settings)


@pytest.mark.parametrize(
    ("request_", "resumed", "count"),
    [(None, False, 5), (None, True, 1), ((3, 1), False, 3), ((3, 1), True, 1), ((0, 0), False, 0), ((255, 0), True, 0)],
)
def test_how_many(request_: tuple[int, int] | None, resumed: bool, count: int) -> None:
    assert tickets_for(giving(ticket_count=5), hello(request_), resumed) == count


def test_what_a_client_asks_for_has_a_limit() -> None:
    assert tickets_for(giving(), hello((255, 255)), False) == TICKETS
    assert tickets_for(giving(), hello((TICKETS, 255)), True) == TICKETS
    with pytest.raises(ConfigurationError):
        server_config(ticket_count=TICKETS + 1)


@pytest.mark.parametrize("count", [0, 1, 2, 16])
def test_a_server_gives_as_many_as_it_is_set_to(count: int) -> None:
    made = visit({"sessions": Sessions()}, {"tickets": Tickets(), "ticket_count": count})
    assert len(made.sessions) == count
    assert len({session.ticket for session in made.sessions}) == count
    assert len({session.secret for session in made.sessions}) == count, "each has a nonce, so each has a key"
    assert len({session.age_add for session in made.sessions}) == count, "and hides its age by a number of its own"


def test_a_client_says_how_many_it_wants() -> None:
    """RFC 9149: other numbers after a full handshake and after a resumed one; the server says what will come."""
    client = {"sessions": Sessions(), "ticket_request": (3, 1)}
    server = {"tickets": Tickets()}
    for count in (3, 1, 1):
        tap = Recorder()
        made = visit(client, server, tap=tap)
        assert len(made.sessions) == count
        [extensions] = [message for _, message, _ in tap.messages if message.NAME == "EncryptedExtensions"]
        assert extensions.expected_tickets == count
        assert tap.messages[0][1].ticket_request == (3, 1)


def test_a_server_without_tickets_promises_none() -> None:
    tap = Recorder()
    assert visit({"sessions": Sessions(), "ticket_request": (3, 1)}, {}, tap=tap).sessions == []
    [extensions] = [message for _, message, _ in tap.messages if message.NAME == "EncryptedExtensions"]
    assert ExtensionType.TICKET_REQUEST not in extensions.extension_types


def test_no_session_outlives_seven_days() -> None:
    times = Times()
    server = {"tickets": Tickets(), "ticket_lifetime": SESSION_SECONDS, "clock": times.clock}
    session = visit({"sessions": Sessions(), "clock": times.clock}, server).sessions[0]
    assert session.expires == milliseconds(times.now) + 7 * DAY * 1_000
    assert server["tickets"].seconds == [7 * DAY] * 2  # type: ignore[union-attr]
    for lifetime in (0, -1, SESSION_SECONDS + 1):
        with pytest.raises(ConfigurationError, match="7 days"):
            server_config(ticket_lifetime=lifetime)


def said(lifetime: int, ticket: bytes = b"ticket", early: int | None = None, nonce: bytes = b"\0") -> tuple[Any, Any]:
    """A ticket that a server of ours would not send: the client, and its events."""
    made = visit({"sessions": Sessions()}, {"tickets": Tickets(), "ticket_count": 0})
    message = NewSessionTicket(lifetime, 7, nonce, ticket, max_early_data_size=early)
    made.server._layer.write(22, message.encode())
    made.client.receive_data(made.server.data_to_send())
    client: ClientConnection = made.client
    return client, client.events()


def test_a_session_of_a_ticket() -> None:
    _, events = said(100, early=5_000, nonce=b"")
    [received] = events
    assert isinstance(received, SessionReceived)
    session = received.session
    assert (session.ticket, session.age_add, session.max_early_data) == (b"ticket", 7, 5_000)
    assert session.expires - session.issued == 100_000
    assert (session.server_name, session.group != 0) == ("localhost", True)


def test_a_ticket_without_lifetime_is_thrown_away() -> None:
    """RFC 9846 section 4.7.1."""
    client, events = said(0)
    assert list(events) == []
    assert not client.failed


@pytest.mark.parametrize("lifetime", [SESSION_SECONDS, SESSION_SECONDS + 1, (1 << 32) - 1])
def test_no_ticket_is_kept_for_more_than_seven_days_whatever_the_server_says(lifetime: int) -> None:
    """RFC 9846 section 4.7.1."""
    client, events = said(lifetime)
    [received] = events
    assert received.session.expires - received.session.issued == 1_000 * SESSION_SECONDS
    assert not client.failed


def test_a_ticket_after_the_end_is_nothing() -> None:
    made = visit({"sessions": Sessions()}, {"tickets": Tickets(), "ticket_count": 0})
    made.client.close()
    made.server._layer.write(22, NewSessionTicket(100, 7, b"", b"ticket").encode())
    made.client.receive_data(made.server.data_to_send())
    assert len(list(made.client.events())) == 1, "we have said that we send no more; the peer may go on"


def test_a_ticket_of_a_connection_whose_secrets_are_gone() -> None:
    """Closed in another thread, between the record and the session."""
    made = visit({"sessions": Sessions()}, {"tickets": Tickets(), "ticket_count": 0})
    made.client._established = None
    made.server._layer.write(22, NewSessionTicket(100, 7, b"", b"ticket").encode())
    made.client.receive_data(made.server.data_to_send())
    assert list(made.client.events()) == []


@pytest.mark.parametrize("modes", [["psk_ke"], ["psk_dhe_ke"]])
def test_a_client_that_could_not_use_a_ticket_gets_none(modes: list[str]) -> None:
    other = [mode for mode in ("psk_ke", "psk_dhe_ke") if mode not in modes]
    tickets = Tickets()
    tap = Recorder()
    client = {"sessions": Sessions(), "psk_modes": modes, "ticket_request": (3, 1)}
    made = visit(client, {"tickets": tickets, "psk_modes": other}, tap=tap)
    assert (made.sessions, tickets.seconds) == ([], [])
    [extensions] = [message for _, message, _ in tap.messages if message.NAME == "EncryptedExtensions"]
    assert extensions.expected_tickets == 0


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"max_early_data": -1}, "max_early_data"),
        ({"max_early_data": 1 << 32}, "max_early_data"),
        ({"psk_modes": []}, "psk_modes"),
        ({"psk_modes": "psk_ke"}, "psk_modes"),
        ({"psk_modes": ["dhe"]}, "psk_modes"),
        ({"ticket_count": -1}, "ticket_count"),
    ],
)
def test_what_cannot_be_set(settings: dict[str, Any], setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ServerConfig(identities=[identity()], **settings)
    assert caught.value.evidence["setting"] == setting


def test_a_key_from_outside_is_no_ticket() -> None:
    """RFC 9149 section 3: the second number is for those who come back by a ticket."""
    ours = ExternalPsk(b"us", bytes(range(32)), role="client")
    theirs = ExternalPsk(b"us", bytes(range(32)), role="server")
    tap = Recorder()
    client = {"sessions": Sessions(), "ticket_request": (3, 0), "psks": [ours]}
    made = visit(client, {"tickets": Tickets(), "psks": {b"us": theirs}}, tap=tap)
    assert (made.resumed, len(made.sessions)) == (True, 3)
    [extensions] = [message for _, message, _ in tap.messages if message.NAME == "EncryptedExtensions"]
    assert extensions.expected_tickets == 3


def test_of_many_tickets_some_are_kept_and_the_others_do_no_harm() -> None:
    """A store may write a file for each, and what it has is pushed out by what comes."""
    store = Sessions()
    made = visit({"sessions": store}, {"tickets": Tickets(), "ticket_count": 0})
    for number in range(2 * TICKETS_TAKEN):
        made.server._layer.write(22, NewSessionTicket(100, 7, bytes((number,)), b"ticket %d" % number).encode())
        made.server.send(b"data in between")
    made.run().talk()
    assert [session.ticket for session in store.kept] == [b"ticket %d" % number for number in range(TICKETS_TAKEN)]
    assert made.sessions == store.kept
