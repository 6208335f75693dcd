"""Sessions of TLS 1.3: clients that come back are known, where nothing has changed (RFC 9846 sections 2.2 and 4.7.1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from handfast import CertificateRefused, ConfigurationError, limits, reasons
from handfast.errors import MisuseError, PeerIncompatible, PeerMisbehaved, TLSError
from handfast.events import HandshakeCompleted, SessionReceived
from handfast.handshake.psk import TICKET_TO_OFFER
from handfast.insecure import NoVerification
from handfast.sessions.external import ExternalPsk
from handfast.sessions.session import Session, milliseconds
from handfast.testing import Authority
from tests.handshake.parties import (
    COOKIE_KEY,
    Recorder,
    carry,
    client_config,
    client_identity,
    fails,
    identity,
    server_config,
    started,
    trust,
)
from tests.handshake.returning import Sessions, Tickets, Times, Visit, first_session, visit

P384 = {"groups": ["secp384r1"]}


def both(client: dict[str, Any] | None = None, server: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """Settings of two sides that resume."""
    return {"sessions": Sessions(), **(client or {})}, {"tickets": Tickets(), **(server or {})}


def again(
    client: dict[str, Any],
    server: dict[str, Any],
    changed_client: dict[str, Any] | None = None,
    changed_server: dict[str, Any] | None = None,
    **more: Any,
) -> Visit:
    """A first visit, and a second one after these changes."""
    first_session(client, server)
    return visit({**client, **(changed_client or {})}, {**server, **(changed_server or {})}, **more)


# --- what is the same, and what is not


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
@pytest.mark.parametrize("modes", [["psk_dhe_ke"], ["psk_ke"], ["psk_dhe_ke", "psk_ke"], ["psk_ke", "psk_dhe_ke"]])
@pytest.mark.parametrize("retried", [False, True])
def test_a_client_comes_back(suite: str, modes: list[str], retried: bool) -> None:
    client, server = both({"psk_modes": modes}, {"psk_modes": modes, "cipher_suites": [suite]})
    first_session(client, server)
    back = visit({**client, "key_shares": [] if retried else None}, server).talk()
    facts = back.facts
    assert facts.resumed
    assert facts.cipher_suite == suite
    assert facts.hello_retry_request is (retried and modes[0] == "psk_dhe_ke")  # with the PSK alone no share is missed
    assert (facts.group is None) == (modes[0] == "psk_ke")
    assert facts.signature_scheme == "ecdsa_secp256r1_sha256", "by which the server has proved itself, back then"
    assert facts.peer is not None
    assert facts.peer.der == identity().chain[0]
    assert back.server.handshake is not None
    assert back.server.handshake.identity is None
    third = visit(client, server).talk()
    assert third.resumed, "by the ticket of the second visit"


def test_nobody_shows_a_certificate() -> None:
    client, server = both()
    tap = Recorder()
    first_session(client, server)
    visit(client, server, tap=tap)
    assert [name for way, name, _ in tap.story if way == "received" and name != "ChangeCipherSpec"] == [
        "ServerHello",
        "EncryptedExtensions",
        "Finished",
        "NewSessionTicket",
        "NewSessionTicket",
    ]


def test_both_sides_export_the_same_and_not_what_they_did_before() -> None:
    client, server = both()
    first = visit(client, server)
    second = visit(client, server)
    exported = [
        side.export_keying_material("EXPERIMENTAL x", 32)
        for each in (first, second)
        for side in (each.client, each.server)
    ]
    assert exported[0] == exported[1] != exported[2] == exported[3]


def test_the_server_s_certificate_is_known_to_the_client_alone() -> None:
    client, server = both()
    first = visit(client, server)
    second = visit(client, server)
    assert second.client.channel_binding("tls-server-end-point") == first.client.channel_binding("tls-server-end-point")
    with pytest.raises(MisuseError, match="no certificate"):
        second.server.channel_binding("tls-server-end-point")


@pytest.mark.parametrize(
    ("client", "server"),
    [
        ({"trust": Authority.create().trust, "verifier": NoVerification()}, {}),
        ({"verifier": NoVerification()}, {}),
        ({"cipher_suites": ["TLS_AES_256_GCM_SHA384"]}, {}),
        ({}, {"cipher_suites": ["TLS_AES_256_GCM_SHA384"]}),
        ({"psk_modes": ["psk_ke"]}, {}),
        ({}, {"psk_modes": ["psk_ke"]}),
        ({}, {"tickets": None}),
        ({}, {"tickets": Tickets()}),
        ({}, {"client_authentication": "optional"}),
        ({}, {"client_authentication": "required"}),
        ({"max_version": "1.2"}, {}),
        ({}, {"max_version": "1.2"}),
    ],
    ids=[
        "other trust",
        "no trust",
        "client's suites",
        "server's suites",
        "client's modes",
        "server's modes",
        "no tickets",
        "other tickets",
        "clients asked who they are",
        "clients have to say who they are",
        "client of TLS 1.2",
        "server of TLS 1.2",
    ],
)
def test_what_makes_a_full_handshake(client: dict[str, Any], server: dict[str, Any]) -> None:
    here, there = both({"cipher_suites": None, "identities": [client_identity()]})
    assert not again(here, {**there, "cipher_suites": None}, client, server).talk().resumed


def test_a_session_of_another_name_is_not_offered() -> None:
    both_names = {"identities": [identity("p256", "localhost", "a.example")]}
    client, server = both({}, both_names)
    first_session(client, server)
    tap = Recorder()
    assert not visit(client, server, server_name="a.example", tap=tap).resumed
    assert tap.messages[0][1].pre_shared_key is None


def test_a_ticket_of_another_name_is_not_taken() -> None:
    """A client that offers it all the same gets a full handshake: by name a server decides who it is."""
    server = {"identities": [identity("p256", "localhost", "a.example")], "tickets": Tickets()}
    session = first_session({"sessions": Sessions()}, server)
    session.server_name = "a.example"
    back = visit({"sessions": Sessions(session)}, server, server_name="a.example")
    assert not back.resumed
    assert server["tickets"].opened == [session.ticket]


def test_the_same_hash_is_enough() -> None:
    client, server = both({"cipher_suites": ["TLS_AES_128_GCM_SHA256"]})
    other = {"cipher_suites": ["TLS_CHACHA20_POLY1305_SHA256"]}
    back = again(client, server, other).talk()
    assert (back.facts.resumed, back.facts.cipher_suite) == (True, "TLS_CHACHA20_POLY1305_SHA256")


def test_the_application_protocol_may_be_another() -> None:
    client, server = both({"alpn": ["a"]}, {"alpn": ["a", "b"]})
    back = again(client, server, {"alpn": ["b"]})
    assert (back.facts.resumed, back.facts.alpn) == (True, "b")


def test_a_session_that_is_given_goes_before_that_of_the_store() -> None:
    client, server = both()
    first = visit(client, server).sessions
    store = client["sessions"] = Sessions()
    back = visit(client, server, session=first[0])
    assert back.resumed
    assert store.asked == []
    assert server["tickets"].opened == [first[0].ticket]
    assert visit({"sessions": None}, server, session=first[1]).resumed, "without a store, too"


def test_without_a_store_nothing_is_asked_for() -> None:
    """A client that cannot come back does not say how it would: then a server gives no tickets."""
    tap = Recorder()
    made = visit({}, {"tickets": Tickets()}, tap=tap)
    hello = tap.messages[0][1]
    assert (hello.psk_key_exchange_modes, hello.session_ticket, hello.pre_shared_key) == (None, None, None)
    assert made.sessions == []


@pytest.mark.parametrize("session_version", ["1.2", "1.3"])
def test_a_client_of_tls_1_3_alone_says_nothing_of_tickets_of_tls_1_2(session_version: str) -> None:
    client, server = both()
    session = first_session({**client, "max_version": session_version}, server)
    tap = Recorder()
    visit({"min_version": "1.3"}, server, session=session, tap=tap)
    assert tap.messages[0][1].session_ticket is None


# --- time


def test_a_session_ends() -> None:
    times = Times()
    client, server = both({"clock": times.clock}, {"clock": times.clock, "ticket_lifetime": 100})
    first_session(client, server)
    times.later(seconds=99.9)
    tap = Recorder()
    assert visit(client, server, tap=tap).resumed
    client["sessions"].kept = client["sessions"].kept[:1]
    times.later(seconds=0.2)
    assert not visit(client, server, tap=tap).resumed


def test_a_server_s_own_clock_counts() -> None:
    times = Times()
    client, server = both({"clock": times.clock}, {"clock": times.clock, "ticket_lifetime": 100})
    session = first_session(client, server)
    times.later(seconds=101)
    session.expires += 60_000  # a client that does not give up
    assert not visit({**client, "sessions": Sessions(session)}, server).resumed
    assert server["tickets"].opened == [session.ticket]


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_clock_that_was_set_back(side: str) -> None:
    """Nobody knows then how old a session is."""
    times = {"client": Times(), "server": Times()}
    client, server = both({"clock": times["client"].clock}, {"clock": times["server"].clock})
    first_session(client, server)
    times[side].later(minutes=-1)
    assert not visit(client, server).resumed


def test_a_session_does_not_outlive_the_server_s_certificate() -> None:
    times = Times()
    ends = times.now + timedelta(hours=1)
    short = identity_until(ends)
    client, server = both({"clock": times.clock}, {"clock": times.clock, "identities": [short]})
    session = first_session(client, server)
    assert session.expires == milliseconds(ends.replace(microsecond=0))


def test_a_session_does_not_outlive_the_client_s_certificate() -> None:
    times = Times()
    ends = times.now + timedelta(hours=1)
    mutual = {"clock": times.clock, "client_authentication": "required"}
    client, server = both({"clock": times.clock, "identities": [client_until(ends)]}, mutual)
    first_session(client, server)
    left = (ends.replace(microsecond=0) - times.now).total_seconds()
    assert server["tickets"].seconds == [int(left)] * 2
    times.later(seconds=left - 1)
    assert visit(client, server).resumed
    # Its last ticket has a second left, and a certificate that ends in less than one gets none.
    times.later(seconds=0.5)
    assert visit(client, server).sessions == []


def identity_until(moment: Any) -> Any:
    from tests.handshake.parties import authority

    return authority().issue("localhost", not_after=moment)


def client_until(moment: Any) -> Any:
    from tests.handshake.parties import authority

    return authority().issue("spiffe://test/client", common_name="client", usage=("client",), not_after=moment)


# --- who is who


@pytest.mark.parametrize("asked", ["optional", "required"])
def test_a_client_is_still_known(asked: str) -> None:
    client, server = both({"identities": [client_identity()]}, {"client_authentication": asked})
    back = again(client, server)
    assert back.resumed
    assert back.server.handshake is not None
    assert back.server.handshake.peer is not None
    assert back.server.handshake.peer.der == client_identity().chain[0]
    assert back.server.handshake.client_signature_scheme == "ecdsa_secp256r1_sha256"


def test_a_session_names_the_client_s_identity_from_visit_to_visit() -> None:
    client, server = both({"identities": [client_identity()]}, {"client_authentication": "required"})
    sessions = [visit(client, server).sessions[-1] for _ in range(3)]
    assert {session.identity for session in sessions} == {client_identity().fingerprint}
    without = {**client, "identities": []}
    with fails(PeerIncompatible, reasons.CERTIFICATE_REQUIRED):
        here, there = started(without, server)
        carry(here, there)
        carry(there, here)
        carry(here, there)
    # Who chooses when asked may choose it again.
    assert visit({**without, "choose_identity": lambda request: client_identity()}, server).resumed


def test_a_client_without_certificate_is_not_let_in_by_its_session() -> None:
    client, server = both({"identities": []}, {"client_authentication": "optional"})
    first_session(client, server)
    here, there = started(client, {**server, "client_authentication": "required"})
    carry(here, there)
    carry(there, here)
    with fails(PeerIncompatible, reasons.CERTIFICATE_REQUIRED):
        carry(here, there)


def test_both_sides_ask_again_whether_their_peer_is_welcome() -> None:
    asked: list[str] = []
    client, server = both(
        {"identities": [client_identity()], "check_peer": lambda peer: asked.append("server")},
        {"client_authentication": "required", "check_peer": lambda peer: asked.append("client")},
    )
    assert again(client, server).resumed
    assert asked == ["server", "client", "client", "server"], "a server asks before it takes anything of the client's"


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_peer_that_is_no_longer_welcome(side: str) -> None:
    def refuse(peer: Any) -> None:
        raise CertificateRefused(alert="certificate_revoked", problem="gone")

    client, server = both({"identities": [client_identity()]}, {"client_authentication": "required"})
    first_session(client, server)
    here, there = started(
        {**client, **({"check_peer": refuse} if side == "client" else {})},
        {**server, **({"check_peer": refuse} if side == "server" else {})},
    )
    with pytest.raises(CertificateRefused):
        carry(here, there)
        carry(there, here)
        carry(here, there)


class Nameless:
    """A verifier that cannot say what it trusts: it has no trust_id."""

    def verify_server(self, chain: Any, server_name: Any, now: Any) -> Any:
        return NoVerification().verify_server(chain, server_name, now)

    def verify_client(self, chain: Any, now: Any) -> Any:
        return NoVerification().verify_client(chain, now)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("side", ["client", "server"])
def test_who_cannot_say_what_it_trusts_has_to_verify_each_time(side: str, version: str) -> None:
    client, server = both(
        {"identities": [client_identity()], "max_version": version}, {"client_authentication": "required"}
    )
    if side == "client":
        client["verifier"] = Nameless()
    else:
        server["client_verifier"] = Nameless()
    for _ in range(2):
        made = visit(client, server).talk()
        assert not made.resumed
        assert made.server.handshake is not None
        assert made.server.handshake.peer is not None


# --- HelloRetryRequest


@pytest.mark.parametrize("modes", [["psk_dhe_ke"], ["psk_ke", "psk_dhe_ke"]])
def test_a_ticket_that_is_good_for_once_survives_a_retry(modes: list[str]) -> None:
    """The second hello has the same PSK, and nobody is asked for it again."""
    server = {"tickets": Tickets(once=True), "psk_modes": modes, "cookie_key": COOKIE_KEY, "retry": "always"}
    client: dict[str, Any] = {"sessions": Sessions(), "psk_modes": modes}
    first = first_session(client, server)
    store = Sessions(first)
    back = visit({**client, "sessions": store}, server).talk()
    assert (back.facts.resumed, back.facts.hello_retry_request) == (True, True)
    assert server["tickets"].opened == [first.ticket]
    assert (back.facts.group is None) == (modes[0] == "psk_ke")


def test_a_retry_for_another_group() -> None:
    client, server = both()
    back = again(client, server, {}, P384).talk()
    assert (back.facts.resumed, back.facts.hello_retry_request, back.facts.group) == (True, True, "secp384r1")


def test_a_psk_of_another_hash_is_dropped_after_a_retry() -> None:
    client, server = both()
    first_session(client, server)
    tap = Recorder()
    back = visit(client, {**server, **P384, "cipher_suites": ["TLS_AES_256_GCM_SHA384"]}, tap=tap).talk()
    assert not back.resumed
    hellos = [message for sent, message, _ in tap.messages if sent and message.NAME == "ClientHello"]
    assert [hello.pre_shared_key is None for hello in hellos] == [False, True]
    assert hellos[1].psk_key_exchange_modes == b"\1"


# --- tickets that are none


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
@pytest.mark.parametrize(
    ("length", "offered"), [(TICKET_TO_OFFER, True), (TICKET_TO_OFFER + 1, False), (65_300, False)]
)
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
        assert {session.verified for session in made.sessions} == {first.verified}
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
