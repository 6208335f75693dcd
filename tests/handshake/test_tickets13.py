"""Tickets of TLS 1.3 that are none, that cannot be sealed or opened, and that come by the dozen (RFC 9846 section 4.7.1)."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import ConfigurationError, limits, reasons
from handfast.errors import PeerMisbehaved, TLSError
from handfast.events import HandshakeCompleted, SessionReceived
from handfast.limits import TICKET_OFFERED
from handfast.sessions.external import ExternalPsk
from handfast.sessions.session import Session
from tests.handshake.parties import (
    carry,
    client_config,
    fails,
    server_config,
    started,
    trust,
)
from tests.handshake.returning import Sessions, Tickets, Times, first_session, visit
from tests.handshake.test_sessions13 import both


@pytest.mark.parametrize("answer", [b"", b"x", b"\1" * 100, bytes(1000)])
def test_what_a_store_opens_may_be_anything(answer: bytes) -> None:
    """What is no session, or one of another version of the library, is a full handshake."""
    tickets = Tickets()
    client, server = both({}, {"tickets": tickets})
    first_session(client, server)
    tickets.kept = dict.fromkeys(tickets.kept, answer)
    assert not visit(client, server).talk().resumed


def test_a_session_of_tls_1_2_is_no_psk() -> None:
    tickets = Tickets()
    client, server = both({}, {"tickets": tickets})
    first_session({**client, "max_version": "1.2"}, server)
    [state] = tickets.kept.values()
    first_session(client, server)
    tickets.kept = dict.fromkeys(tickets.kept, state)
    assert not visit(client, server).talk().resumed


def test_a_session_without_its_secret_is_refused() -> None:
    """Whoever has only seen a ticket go by cannot use it: that is what the binder is for."""
    client, server = both()
    session = first_session(client, server)
    session.secret = bytes(32)
    here, there = started({**client, "sessions": Sessions(session)}, server)
    with fails(PeerMisbehaved, reasons.BAD_BINDER) as caught:
        carry(here, there)
    assert caught.value.evidence == {}
    assert caught.value.alert == 51


class Silent:
    """A store that has nothing to give, and answers nothing in time."""

    def seal(self, state: bytes, seconds: int) -> None:
        """None."""

    def open(self, ticket: bytes) -> None:
        """None."""


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize(("length", "offered"), [(TICKET_OFFERED, True), (TICKET_OFFERED + 1, False), (65_300, False)])
def test_a_ticket_that_would_not_fit_into_a_hello_is_not_offered(length: int, offered: bool, version: str) -> None:
    """Else a server could give its clients a ticket after which they cannot connect any more."""

    class Long(Tickets):
        """Its tickets are long."""

        def seal(self, state: bytes, seconds: int) -> bytes:
            ticket = bytes(length)
            self.kept[ticket] = state
            return ticket

    client, server = both({"max_version": version}, {"tickets": Long()})
    first_session(client, server)
    assert visit(client, server).talk().resumed is offered


def test_a_sealer_that_cannot_seal() -> None:
    made = visit({"sessions": Sessions()}, {"tickets": Silent()}).talk()
    assert made.sessions == []


@pytest.mark.parametrize("method", ["seal", "open"])
def test_a_store_that_raises_fails_the_handshake_and_tells_nothing(method: str) -> None:
    secret = b"a secret of the session"

    class Broken(Tickets):
        """Says more than it should."""

    def broken(self: Any, *_: Any) -> None:
        raise RuntimeError("disk full")

    client, server = both()
    first_session(client, server)
    setattr(Broken, method, broken)
    tickets = Broken()
    tickets.kept = server["tickets"].kept
    here, there = started(client, {**server, "tickets": tickets})
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        for _ in range(2):
            carry(here, there)
            carry(there, here)
    name = "SealTicket" if method == "seal" else "OpenTicket"
    assert caught.value.evidence == {"question": name, "exception": "RuntimeError: disk full"}
    assert caught.value.alert == 80
    assert secret.hex() not in repr(caught.value)


def test_no_representation_shows_a_secret() -> None:
    client, server = both()
    made = visit(client, server)
    [session, _] = made.sessions
    for text in (repr(session), repr(made.here), repr(made.there), str(made.client), repr(server["tickets"].kept)[:0]):
        assert session.secret.hex() not in text
        assert repr(session.secret)[2:-1] not in text
    assert repr(session) == "<Session>"


def test_sessions_come_behind_the_end_of_the_handshake() -> None:
    client, server = both()
    made = visit(client, server)
    assert [type(event) for event in made.here] == [HandshakeCompleted, SessionReceived, SessionReceived]
    assert client["sessions"].kept == made.sessions


def test_trust_is_that_of_the_roots() -> None:
    client, server = both()
    session = first_session(client, server)
    assert len(session.trust) >= 16
    other: Session = first_session({"trust": trust(), "sessions": Sessions()}, server)
    assert other.trust == session.trust


def test_however_often_it_is_renewed_a_session_ends_after_seven_days() -> None:
    """RFC 9846 section 4.7.1: else a client that comes back each week would never see a certificate again."""
    times = Times()
    client, server = both()
    client["clock"] = server["clock"] = times.clock
    server["ticket_lifetime"] = limits.SESSION_SECONDS
    first = first_session(client, server)
    for _ in range(6):
        times.later(days=1)
        made = visit(client, server)
        assert made.resumed
        assert {session.basis.verified for session in made.sessions} == {first.basis.verified}
        assert {session.expires for session in made.sessions} == {first.expires}
    times.later(hours=23)
    assert server["tickets"].seconds[-1] == 86_400
    assert visit(client, server).resumed
    times.later(hours=2)
    assert not visit(client, server).resumed


def test_only_the_first_few_tickets_of_a_hello_are_opened() -> None:
    """Each may be a question to a store that others wait for, too."""
    client, server = both()
    first_session(client, server)
    tickets = server["tickets"]
    tickets.opened.clear()
    server["psks"] = lambda identity: None
    keys = [ExternalPsk(b"key %d" % number, bytes(32), role="client") for number in range(limits.PSK_IDENTITIES - 1)]
    client["sessions"].kept.clear()
    visit({**client, "psks": keys}, server)
    assert tickets.opened == [key.identity for key in keys[: limits.TICKETS_OPENED]]


@pytest.mark.parametrize("wanted", [(256, 0), (-1, 0), (1,), (1, 2, 3)])
def test_numbers_of_tickets_that_cannot_be_asked_for(wanted: Any) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        client_config(ticket_request=wanted)
    assert caught.value.evidence["setting"] == "ticket_request"


def test_a_key_has_to_stand_under_its_own_name() -> None:
    key = ExternalPsk(b"one", bytes(32), role="server")
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
        server_config(psks={b"another": key})


def test_more_keys_than_a_hello_may_have() -> None:
    keys = [ExternalPsk(b"key %d" % number, bytes(32), role="client") for number in range(limits.PSK_IDENTITIES)]
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
        client_config(psks=keys)
