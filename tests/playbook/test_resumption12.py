"""Peers that break the rules of resumption in TLS 1.2 (RFC 5246 section 7.3, RFC 5077, RFC 7627 section 5.3)."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from handfast import TLSError, reasons
from handfast.connection import ClientConnection, ServerConnection
from handfast.errors import BadRecord, PeerIncompatible, PeerMisbehaved
from handfast.sessions.session import Session
from handfast.wire.codepoints import CipherSuite, ContentType
from handfast.wire.messages12 import Finished12, NewSessionTicket12
from tests.handshake.parties import client_config, fails, server_config
from tests.handshake.returning import Cache, Sessions, Tickets, first_session
from tests.playbook.peers import CHANGE_CIPHER_SPEC
from tests.playbook.peers12 import RawClient12, RawServer12
from tests.playbook.playing import check_refused

TICKETS, CACHE = Tickets(), Cache()
WAYS = pytest.mark.parametrize("way", ["ticket", "ID"])
OTHER_SUITE = CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384


def stores(way: str) -> dict[str, Any]:
    return {"tickets": TICKETS} if way == "ticket" else {"session_cache": CACHE}


@cache
def session(way: str) -> Session:
    """Of one visit; it can be used again and again."""
    return first_session({"sessions": Sessions(), "max_version": "1.2"}, stores(way))


# --- a client, and servers that break rules


def at_client(way: str) -> RawServer12:
    """A raw server, whose client wants to resume."""
    config = client_config(max_version="1.2", sessions=Sessions(session(way)))
    client = ClientConnection(config, server_name="localhost")
    client.start()
    return RawServer12(client)


def resumed(way: str, **changes: Any) -> RawServer12:
    """It takes up the session; ChangeCipherSpec is next."""
    server = at_client(way)
    server.say(server.hello(legacy_session_id_echo=server.client_hello.legacy_session_id, **changes))
    server.resume(session(way))
    return server


@WAYS
def test_a_server_that_keeps_the_rules(way: str) -> None:
    server = resumed(way)
    server.change_cipher_spec()
    server.say(server.finished())
    server.hear()
    [completed] = server.events
    assert completed.handshake.resumed
    kinds = [kind for kind, _, _ in server.heard[-2:]]
    assert kinds == [ContentType.CHANGE_CIPHER_SPEC, ContentType.HANDSHAKE]
    assert Finished12.parse(server.heard[-1][1]).verify_data


def test_what_a_client_shows() -> None:
    ticket, by_id = at_client("ticket").client_hello, at_client("ID").client_hello
    assert ticket.session_ticket == session("ticket").ticket
    assert len(ticket.legacy_session_id) == 32, "by its echo the client knows that it is resumed (RFC 5077 section 3.4)"
    assert (by_id.session_ticket, by_id.legacy_session_id) == (b"", session("ID").session_id)


@WAYS
def test_another_suite(way: str) -> None:
    """RFC 5246 section 7.4.1.3: it is that of the session."""
    server = at_client(way)
    echo = server.client_hello.legacy_session_id
    answer = server.hello(legacy_session_id_echo=echo, cipher_suite=OTHER_SUITE)
    error = check_refused(server, PeerMisbehaved, reasons.SESSION_CHANGED, lambda: server.say(answer))
    assert error.evidence["came"] == "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"


@WAYS
@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"extended_main_secret": None}, PeerIncompatible, reasons.NO_EXTENDED_MAIN_SECRET),
        ({"renegotiation_info": None}, PeerIncompatible, reasons.NO_SECURE_RENEGOTIATION),
        ({"renegotiation_info": b"x"}, PeerMisbehaved, reasons.BAD_RENEGOTIATION_INFO),
    ],
)
def test_what_a_resumed_handshake_needs_as_well(way: str, changes: dict[str, Any], kind: Any, reason: Any) -> None:
    """RFC 7627 section 5.3: a session with the extended main secret is not resumed without."""
    server = at_client(way)
    answer = server.hello(legacy_session_id_echo=server.client_hello.legacy_session_id, **changes)
    check_refused(server, kind, reason, lambda: server.say(answer))


@WAYS
def test_an_echo_of_something_else_is_a_new_session(way: str) -> None:
    server = at_client(way)
    server.say(server.hello(legacy_session_id_echo=b"a new one"))
    assert server.connection.awaiting == "Certificate"


@WAYS
def test_a_certificate_where_there_is_none(way: str) -> None:
    server = resumed(way)
    raw = server.certificate().encode()
    check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(raw))


def test_a_ticket_that_was_promised() -> None:
    server = resumed("ticket", session_ticket_promised=True)
    server.say(NewSessionTicket12(100, b"renewed"))
    server.change_cipher_spec()
    server.say(server.finished())
    _, received = server.events
    assert received.session.ticket == b"renewed"
    assert received.session.secret == session("ticket").secret
    assert received.session.expires - received.session.issued == 100_000


def test_a_ticket_that_was_promised_and_does_not_come() -> None:
    server = resumed("ticket", session_ticket_promised=True)
    with pytest.raises(TLSError):
        server.change_cipher_spec()


@WAYS
def test_a_ticket_that_was_not_promised(way: str) -> None:
    server = resumed(way)
    raw = NewSessionTicket12(100, b"x").encode()
    check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(raw))


def test_a_ticket_within_a_full_handshake_comes_before_the_change_of_keys() -> None:
    client = ClientConnection(client_config(max_version="1.2", sessions=Sessions()), server_name="localhost")
    client.start()
    server = RawServer12(client)
    server.say(server.hello(session_ticket_promised=True))
    server.say(server.certificate())
    server.say(server.exchange(), server.done())
    server.hear()
    server.say(NewSessionTicket12(0, b"no lifetime said"))
    server.change_cipher_spec()
    server.say(server.finished())
    _, received = server.events
    assert received.session.ticket == b"no lifetime said"
    assert received.session.expires - received.session.issued == 86_400_000, "RFC 5246 appendix F.1.4"


@WAYS
def test_a_wrong_secret_cannot_finish(way: str) -> None:
    server = resumed(way)
    other = first_session({"sessions": Sessions(), "max_version": "1.2"}, stores(way))
    server.resume(other)
    server.change_cipher_spec()
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        server.say(server.finished())


@WAYS
def test_a_wrong_finished(way: str) -> None:
    server = resumed(way)
    server.change_cipher_spec()
    act = lambda: server.say(Finished12(bytes(12)))  # noqa: E731
    check = pytest.raises(PeerMisbehaved)
    with check as caught:
        act()
    assert caught.value.reason is reasons.BAD_FINISHED


@WAYS
def test_a_finished_in_the_clear(way: str) -> None:
    server = resumed(way)
    raw = server.finished().encode()
    check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(raw))


# --- a server, and clients that break rules


def at_server(way: str) -> RawClient12:
    known = session(way)
    server = ServerConnection(server_config(max_version="1.2", **stores(way)))
    server.start()
    client = RawClient12(server)
    client.known = known
    return client


def shown(way: str) -> dict[str, Any]:
    """What the ClientHello has of the session."""
    known = session(way)
    suites = {"cipher_suites": [known.suite_id, OTHER_SUITE]}
    if way == "ticket":
        return {"session_ticket": known.ticket, "legacy_session_id": b"ours", **suites}
    return {"legacy_session_id": known.session_id, **suites}


@WAYS
def test_a_client_that_keeps_the_rules(way: str) -> None:
    client = at_server(way)
    client.say_hello(**shown(way))
    assert client.server_hello.legacy_session_id_echo == shown(way)["legacy_session_id"]
    client.change_cipher_spec()
    client.say(client.finished())
    [completed] = client.events
    assert completed.handshake.resumed


def test_a_client_with_a_ticket_and_without_an_id() -> None:
    """RFC 5077 section 3.4: it sees by what comes next that it is resumed."""
    client = at_server("ticket")
    client.say(client.hello(**{**shown("ticket"), "legacy_session_id": b""}))
    assert client.connection.awaiting == "ChangeCipherSpec"


@WAYS
def test_a_client_that_does_not_offer_the_session_s_suite(way: str) -> None:
    """Then it is a full handshake, with one that it offers."""
    client = at_server(way)
    client.say_hello(**{**shown(way), "cipher_suites": [OTHER_SUITE]})
    assert client.connection.awaiting == "ClientKeyExchange"
    assert client.server_hello.cipher_suite == OTHER_SUITE


@WAYS
def test_a_client_without_the_extended_main_secret(way: str) -> None:
    """RFC 7627 section 5.3: the server must abort."""
    client = at_server(way)
    hello = client.hello(**shown(way), extended_main_secret=None)
    check_refused(client, PeerIncompatible, reasons.NO_EXTENDED_MAIN_SECRET, lambda: client.say(hello))


@WAYS
def test_a_client_without_the_secret(way: str) -> None:
    client = at_server(way)
    client.say_hello(**shown(way))
    client.resume(first_session({"sessions": Sessions(), "max_version": "1.2"}, stores(way)))
    client.change_cipher_spec()
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        client.say(client.finished())


@WAYS
def test_a_client_that_goes_on_as_in_a_full_handshake(way: str) -> None:
    client = at_server(way)
    client.say_hello(**shown(way))
    raw = client.certificate().encode()
    with fails(PeerMisbehaved, reasons.UNEXPECTED_MESSAGE):
        client.handshake(raw)


@WAYS
def test_data_before_finished(way: str) -> None:
    client = at_server(way)
    client.say_hello(**shown(way))
    client.change_cipher_spec()
    with fails(PeerMisbehaved, reasons.UNEXPECTED_APPLICATION_DATA):
        client.send(ContentType.APPLICATION_DATA, b"too soon")


@WAYS
def test_a_second_change_cipher_spec(way: str) -> None:
    client = at_server(way)
    client.say_hello(**shown(way))
    client.change_cipher_spec()
    with fails(BadRecord, reasons.BAD_CHANGE_CIPHER_SPEC):
        client.deliver(CHANGE_CIPHER_SPEC)


@pytest.mark.parametrize("session_id", [bytes(32), b"x"])
def test_an_id_that_nobody_knows(session_id: bytes) -> None:
    client = at_server("ID")
    client.say_hello(legacy_session_id=session_id)
    assert client.connection.awaiting == "ClientKeyExchange"
    assert client.server_hello.legacy_session_id_echo != session_id
    assert len(client.server_hello.legacy_session_id_echo) == 32


def test_beside_a_ticket_an_id_means_nothing() -> None:
    """RFC 5077 section 3.4: where a ticket is shown, the server must not look for the ID, not even if the ticket is foreign."""
    known = session("ID")
    server = ServerConnection(server_config(max_version="1.2", tickets=Tickets(), session_cache=CACHE))
    server.start()
    client = RawClient12(server)
    client.say_hello(session_ticket=b"foreign", legacy_session_id=known.session_id, cipher_suites=[known.suite_id])
    assert client.connection.awaiting == "ClientKeyExchange"
    assert client.server_hello.legacy_session_id_echo != known.session_id


def test_beside_an_empty_ticket_it_does() -> None:
    """That is how a client says that it would take one (RFC 5077 section 3.1); it gets one, too."""
    known = session("ID")
    server = ServerConnection(server_config(max_version="1.2", tickets=Tickets(), session_cache=CACHE))
    server.start()
    client = RawClient12(server)
    client.known = known
    client.say_hello(session_ticket=b"", legacy_session_id=known.session_id, cipher_suites=[known.suite_id])
    assert client.server_hello.legacy_session_id_echo == known.session_id
    assert client.server_hello.session_ticket_promised
    client.change_cipher_spec()
    client.say(client.finished())
    assert client.events[0].handshake.resumed


@pytest.mark.parametrize(
    ("asks", "promised", "named"), [({}, None, True), ({"session_ticket": b""}, True, False)], ids=["ID", "ticket"]
)
def test_a_client_is_given_one_way_to_come_back(asks: dict[str, Any], promised: bool | None, named: bool) -> None:
    """RFC 5077 sections 3.2 and 3.4: a ticket for those who ask for it, with an empty ID, which would be another way."""
    server = ServerConnection(server_config(max_version="1.2", tickets=Tickets(), session_cache=Cache()))
    server.start()
    client = RawClient12(server)
    client.say_hello(**asks)
    assert client.server_hello.session_ticket_promised is promised
    assert bool(client.server_hello.legacy_session_id_echo) is named


@WAYS
def test_a_client_that_keeps_to_no_record_size(way: str) -> None:
    """RFC 8449 section 4: the limit is agreed anew when a session is resumed."""
    known = session(way)
    server = ServerConnection(server_config(max_version="1.2", record_size_limit=100, **stores(way)))
    server.start()
    client = RawClient12(server)
    client.known = known
    client.say_hello(**shown(way), record_size_limit=16_384)
    assert client.server_hello.record_size_limit == 100
    client.change_cipher_spec()
    client.say(client.finished())
    client.send(ContentType.APPLICATION_DATA, bytes(100))
    with fails(BadRecord, reasons.RECORD_OVERFLOW):
        client.send(ContentType.APPLICATION_DATA, bytes(101))


@pytest.mark.parametrize("session_id", [b"", b"x"])
def test_no_echo_where_none_was_sent_is_no_resumption(session_id: bytes) -> None:
    """RFC 5246 section 7.4.1.3: an empty session ID says that this session is not kept."""
    server = at_client("ticket")
    server.say(server.hello(legacy_session_id_echo=session_id))
    assert server.connection.awaiting == "Certificate"


def test_a_session_is_kept_once_the_server_has_proved_itself() -> None:
    """RFC 5077 section 3.3: its Finished comes before the ticket is good for anything."""
    store = Sessions()
    client = ClientConnection(client_config(max_version="1.2", sessions=store), server_name="localhost")
    client.start()
    server = RawServer12(client)
    server.say(server.hello(session_ticket_promised=True, legacy_session_id_echo=b"kept"))
    server.say(server.certificate())
    server.say(server.exchange(), server.done())
    server.hear()
    server.say(NewSessionTicket12(100, b"ticket"))
    server.change_cipher_spec()
    with pytest.raises(PeerMisbehaved) as caught:
        server.say(Finished12(bytes(12)))
    assert caught.value.reason is reasons.BAD_FINISHED
    assert (store.kept, server.events) == ([], [])


def test_beside_a_ticket_an_id_means_nothing_to_who_has_no_tickets_either() -> None:
    """RFC 5077 section 3.4: the ID is one that the client has made up for the ticket."""
    known = session("ID")
    server = ServerConnection(server_config(max_version="1.2", session_cache=CACHE))
    server.start()
    client = RawClient12(server)
    client.say_hello(session_ticket=b"a ticket", legacy_session_id=known.session_id, cipher_suites=[known.suite_id])
    assert client.connection.awaiting == "ClientKeyExchange"
