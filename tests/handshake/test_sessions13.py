"""Sessions of TLS 1.3: clients that come back are known, where nothing has changed (RFC 9846 sections 2.2 and 4.7.1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from handfast import CertificateRefused, reasons
from handfast.connection import ClientConnection, ServerConnection
from handfast.errors import MisuseError, PeerIncompatible
from handfast.insecure import NoVerification
from handfast.sessions.external import ExternalPsk
from handfast.sessions.memory import MemorySessions
from handfast.sessions.session import milliseconds
from handfast.sessions.verdict import WhyNot
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
        "NewSessionTicket",  # for the one that is used up
    ]


def test_a_server_does_not_say_the_name_again() -> None:
    """RFC 6066 section 3: not when a session is resumed."""
    client, server = both()
    taps = [Recorder(), Recorder()]
    assert [visit(client, server, tap=tap).facts.server_name for tap in taps] == ["localhost"] * 2
    answers = [message for tap in taps for _, message, _ in tap.messages if message.NAME == "EncryptedExtensions"]
    assert [answer.server_name_acknowledged for answer in answers] == [True, None]


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


@pytest.mark.parametrize(
    ("version", "changes", "why"),
    [
        ("1.3", {"max_version": "1.2"}, WhyNot.OTHER_VERSION),
        ("1.2", {"min_version": "1.3"}, WhyNot.OTHER_VERSION),
        ("1.3", {"cipher_suites": ["TLS_AES_256_GCM_SHA384"]}, WhyNot.OTHER_HASH),
        ("1.2", {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"]}, WhyNot.OTHER_SUITE),
    ],
)
def test_what_is_not_even_offered(version: str, changes: dict[str, Any], why: WhyNot) -> None:
    """A hello has suites that go with its session (RFC 9846 section 4.2.2, RFC 5246 section 7.4.1.2)."""
    client, server = both()
    first_session({**client, "max_version": version}, server)
    tap = Recorder()
    made = visit({**client, **changes}, server, tap=tap)
    hello = tap.messages[0][1]
    assert hello.pre_shared_key is None
    assert not hello.session_ticket
    assert not made.resumed
    assert made.facts.resumption is not None
    assert made.facts.resumption.why_not is why


def test_a_ticket_that_was_not_offered_is_not_lost() -> None:
    """Another configuration with the same store can use it; one that was offered is gone (RFC 9846 appendix C.4)."""
    client, server = both({"sessions": MemorySessions()}, {"ticket_count": 1})
    first_session(client, server)
    assert not visit({**client, "cipher_suites": ["TLS_AES_256_GCM_SHA384"]}, {}).resumed
    assert not visit(client, {}).resumed, "that server does not know it"
    assert not visit(client, server).resumed


def test_a_ticket_that_was_not_offered_is_still_good() -> None:
    client, server = both({"sessions": MemorySessions()}, {"ticket_count": 1})
    first_session(client, server)
    assert not visit({**client, "cipher_suites": ["TLS_AES_256_GCM_SHA384"]}, {}).resumed
    assert visit(client, server).resumed


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


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_session_does_not_outlive_any_certificate_of_the_path(version: str) -> None:
    times = Times()
    ends = (times.now + timedelta(minutes=30)).replace(microsecond=0)
    root = Authority.create()
    middle = root.intermediate("short", not_after=ends)
    server = {"identities": [middle.issue("localhost")], "tickets": Tickets(), "clock": times.clock}
    client = {"trust": root.trust, "sessions": Sessions(), "clock": times.clock, "max_version": version}
    assert first_session(client, server).expires == milliseconds(ends)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_nor_a_certificate_that_was_not_verified(version: str) -> None:
    times = Times()
    ends = (times.now + timedelta(minutes=30)).replace(microsecond=0)
    server = {"identities": [identity_until(ends)], "tickets": Tickets(), "clock": times.clock}
    client = {"verifier": NoVerification(), "sessions": Sessions(), "clock": times.clock, "max_version": version}
    assert first_session(client, server).expires == milliseconds(ends)


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
    assert {session.basis.identity for session in sessions} == {client_identity().fingerprint}
    without = {**client, "identities": []}
    with fails(PeerIncompatible, reasons.CERTIFICATE_REQUIRED):
        here, there = started(without, server)
        carry(here, there)
        carry(there, here)
        carry(here, there)
    # Whom a chooser would choose is not known before it is asked: what it may choose is to be among the identities too.
    chooser = {"choose_identity": lambda request: client_identity()}
    assert not visit({**without, **chooser}, server).resumed
    assert visit({**client, **chooser}, server).resumed


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
    assert asked == ["server", "client", "server", "client"], "once it is proven, again"


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


def test_after_a_retry_the_ticket_is_as_old_as_it_is_then() -> None:
    """RFC 9846 section 4.2.2: the age is worked out anew, and the binder with it."""
    times = Times()
    client, server = both({"clock": times.clock}, {"clock": times.clock})
    first_session(client, server)
    tap = Recorder()
    here = ClientConnection(client_config(**client), server_name="localhost", tap=tap)
    there = ServerConnection(server_config(**{**server, **P384}))
    here.start()
    there.start()
    times.later(seconds=5)
    made = Visit(here, there).run()
    assert (made.resumed, made.facts.hello_retry_request) == (True, True)
    hellos = [message for _, message, _ in tap.messages if message.NAME == "ClientHello"]
    first, second = (hello.pre_shared_key.identities[0] for hello in hellos)
    assert second.identity == first.identity
    assert (second.obfuscated_ticket_age - first.obfuscated_ticket_age) % (1 << 32) == 5_000


def test_each_binder_has_the_hash_of_its_key() -> None:
    """RFC 9846 section 4.3.11.2: nobody knows yet which suite it will be."""
    client, server = both()
    first_session(client, server)
    key = {
        role: ExternalPsk(b"384", bytes(range(32)), role=role, hash_name="sha384")  # type: ignore[arg-type]
        for role in ("client", "server")
    }
    made = visit({**client, "psks": [key["client"]]}, {"psks": {b"384": key["server"]}, "tickets": Tickets()}).talk()
    assert (made.resumed, made.facts.cipher_suite) == (True, "TLS_AES_256_GCM_SHA384")
