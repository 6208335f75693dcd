"""Sessions of TLS 1.2, by ticket (RFC 5077) and by ID (RFC 5246 section 7.4.1.3), and what they do not outlive."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from handfast import CertificateRefused, reasons
from handfast.errors import PeerIncompatible, TLSError
from handfast.insecure import NoVerification
from handfast.sessions.session import Session, milliseconds
from tests.handshake.parties import Lines, Recorder, authority, carry, client_identity, fails, identity, started
from tests.handshake.returning import Cache, Sessions, Tickets, Times, Visit, first_session, visit

WAYS = {
    "ticket": lambda: {"tickets": Tickets()},
    "ID": lambda: {"session_cache": Cache()},
    "both": lambda: {"tickets": Tickets(), "session_cache": Cache()},
}
by_each_way = pytest.mark.parametrize("way", WAYS)


def both(way: str, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """Settings of two sides that resume in TLS 1.2."""
    return {"sessions": Sessions(), **(client or {})}, {"max_version": "1.2", **WAYS[way](), **(server or {})}


def again(client: Any, server: Any, *changes: dict[str, Any], **more: Any) -> Visit:
    """A first visit, and a second one after these changes."""
    first_session(client, server)
    here, there = (*changes, {}, {})[:2]
    return visit({**client, **here}, {**server, **there}, **more)


# --- what is the same


@by_each_way
@pytest.mark.parametrize("newest", ["1.2", "1.3"])
def test_a_client_comes_back(way: str, newest: str) -> None:
    client, server = both(way, {"max_version": newest})
    back = again(client, server).talk()
    facts = back.facts
    assert (facts.version, facts.resumed, facts.group) == ("TLSv1.2", True, "x25519")
    assert facts.signature_scheme == "ecdsa_secp256r1_sha256"
    assert facts.peer is not None
    assert facts.peer.der == identity().chain[0]
    for _ in range(3):
        assert visit(client, server).talk().resumed


@pytest.mark.parametrize(
    "suite",
    [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ],
)
def test_each_suite(suite: str) -> None:
    client, server = both("ticket", {}, {"cipher_suites": [suite]})
    back = again(client, server).talk()
    assert (back.resumed, back.facts.cipher_suite) == (True, suite)


@pytest.mark.parametrize(("way", "renewed"), [("ticket", True), ("ID", False), ("both", True)])
def test_the_abbreviated_handshake_is_that_of_the_figure(way: str, renewed: bool) -> None:
    """RFC 5077 figure 2: the server's Finished comes first, and nobody shows a certificate."""
    client, server = both(way)
    tap = Recorder()
    made = again(client, server, tap=tap)
    ticket = [("received", "NewSessionTicket", False)] if renewed else []
    assert tap.story == [
        ("sent", "ClientHello", False),
        ("received", "ServerHello", False),
        *ticket,
        ("received", "ChangeCipherSpec", False),
        ("received", "Finished", True),
        ("sent", "ChangeCipherSpec", False),
        ("sent", "Finished", True),
    ]
    assert len(made.sessions) == renewed


def test_a_server_does_not_say_the_name_again() -> None:
    """RFC 6066 section 3: when a session is resumed, ServerHello has no server_name."""
    client, server = both("ticket")
    taps = [Recorder(), Recorder()]
    for tap in taps:
        visit(client, server, tap=tap)
    hellos = [next(message for _, message, _ in tap.messages if message.NAME == "ServerHello") for tap in taps]
    assert [hello.server_name_acknowledged for hello in hellos] == [True, None]
    assert [bool(hello.legacy_session_id_echo) for hello in hellos] == [False, True]


def test_keys_are_new_and_the_main_secret_is_not() -> None:
    lines = Lines()
    client, server = both("ticket", {"keylog": lines})
    first, second = visit(client, server), visit(client, server)
    secrets = [secret for label, _, secret in lines.lines if label == "CLIENT_RANDOM"]
    assert len(secrets) == 2
    assert secrets[0] == secrets[1]
    randoms = {random for _, random, _ in lines.lines}
    assert len(randoms) == 2
    exported = [each.client.export_keying_material("EXPERIMENTAL x", 32) for each in (first, second)]
    assert exported[0] != exported[1]
    assert exported[1] == second.server.export_keying_material("EXPERIMENTAL x", 32)
    assert second.client.channel_binding("tls-unique") == second.server.channel_binding("tls-unique")
    assert second.client.channel_binding("tls-unique") != first.client.channel_binding("tls-unique")


def test_record_sizes_are_agreed_anew() -> None:
    client, server = both("ticket", {"record_size_limit": 100}, {"record_size_limit": 200})
    back = again(client, server)
    back.client.send(bytes(1_000))
    back.server.receive_data(back.client.data_to_send())
    assert [len(event.data) for event in back.server.events()] == [200] * 5


def test_protocols_are_agreed_anew() -> None:
    client, server = both("ticket", {"alpn": ["a"]}, {"alpn": ["a", "b"]})
    back = again(client, server, {"alpn": ["b"]})
    assert (back.resumed, back.facts.alpn) == (True, "b")


# --- what is not


@by_each_way
@pytest.mark.parametrize(
    ("client", "server"),
    [
        ({"verifier": NoVerification()}, {}),
        ({"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]}, {}),
        ({}, {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]}),
        ({}, {"tickets": None, "session_cache": None}),
        ({}, {"tickets": Tickets(), "session_cache": Cache()}),
        ({}, {"client_authentication": "optional"}),
        ({}, {"max_version": "1.3"}),
    ],
    ids=["trust", "client's suites", "server's suites", "no stores", "other stores", "clients asked", "TLS 1.3"],
)
def test_what_makes_a_full_handshake(way: str, client: dict[str, Any], server: dict[str, Any]) -> None:
    assert not again(*both(way), client, server).talk().resumed


@by_each_way
def test_a_session_of_another_name(way: str) -> None:
    client, server = both(way, {}, {"identities": [identity("p256", "localhost", "a.example")]})
    session = first_session(client, server)
    assert not visit(client, server, server_name="a.example").resumed
    session.server_name = "a.example"  # a client that offers it all the same
    assert not visit({"sessions": Sessions(session)}, server, server_name="a.example").talk().resumed


@by_each_way
def test_a_session_ends(way: str) -> None:
    times = Times()
    client, server = both(way, {"clock": times.clock}, {"clock": times.clock, "ticket_lifetime": 100})
    session = first_session(client, server)
    times.later(seconds=60)
    assert visit(client, server).resumed
    times.later(seconds=41)
    # A ticket that was renewed lives no longer for it.
    assert not visit({**client, "sessions": Sessions(*client["sessions"].kept)}, server).resumed
    session.expires += 60_000
    assert not visit({**client, "sessions": Sessions(session)}, server).resumed


def test_however_often_its_ticket_is_renewed_a_session_has_one_beginning() -> None:
    """A server can say any lifetime; seven days after it has proved itself a client wants to see its certificate."""

    class Generous(Tickets):
        """Each of its tickets opens to a session that has just been made."""

        def open(self, ticket: bytes) -> bytes | None:
            state = super().open(ticket)
            session = None if state is None else Session.decode(state)
            assert session is not None
            session.expires = session.basis.verified + 604_800_000
            return session.encode()

    times = Times()
    client, server = both("ticket", {"clock": times.clock}, {"clock": times.clock, "tickets": Generous()})
    server["ticket_lifetime"] = 604_800
    first = first_session(client, server)
    for _ in range(6):
        times.later(days=1)
        [renewed] = visit(client, server).sessions
        assert renewed.basis.verified == first.basis.verified
        assert renewed.expires <= first.basis.verified + 604_800_000
    times.later(days=1, seconds=1)
    assert not visit(client, server).resumed


def test_no_session_where_no_second_is_left() -> None:
    times = Times()
    ends = times.now + timedelta(seconds=30)
    who = authority().issue("spiffe://test/client", common_name="client", usage=("client",), not_after=ends)
    for way in WAYS:
        client, server = both(
            way,
            {"clock": times.clock, "identities": [who]},
            {"clock": times.clock, "client_authentication": "required"},
        )
        assert len(visit(client, server).sessions) == 1
        late = Times()
        late.now = ends.replace(microsecond=0) - timedelta(milliseconds=1)
        client, server = both(
            way,
            {"clock": late.clock, "identities": [who]},
            {"clock": late.clock, "client_authentication": "required"},
        )
        stored = server.get("session_cache")
        made = visit(client, server)
        assert made.sessions == [] or made.sessions[0].ticket == b""
        assert stored is None or stored.kept == {}


def test_a_session_does_not_outlive_the_server_s_certificate() -> None:
    times = Times()
    ends = times.now + timedelta(hours=1)
    short = authority().issue("localhost", not_after=ends)
    client, server = both("ID", {"clock": times.clock}, {"clock": times.clock, "identities": [short]})
    assert first_session(client, server).expires == milliseconds(ends.replace(microsecond=0))


# --- who is who


@by_each_way
def test_a_client_is_still_known(way: str) -> None:
    asked: list[str] = []
    client, server = both(
        way,
        {"identities": [client_identity()], "check_peer": lambda peer: asked.append("server")},
        {"client_authentication": "required", "check_peer": lambda peer: asked.append("client")},
    )
    back = again(client, server)
    assert back.resumed
    assert back.server.handshake is not None
    assert back.server.handshake.peer is not None
    assert back.server.handshake.peer.der == client_identity().chain[0]
    assert back.server.handshake.client_signature_scheme == "ecdsa_secp256r1_sha256"
    assert sorted(asked) == ["client", "client", "server", "server"]
    assert {session.basis.identity for session in client["sessions"].kept} == {client_identity().fingerprint}


@by_each_way
def test_a_session_of_an_identity_that_is_gone(way: str) -> None:
    client, server = both(way, {"identities": [client_identity()]}, {"client_authentication": "required"})
    first_session(client, server)
    here, there = started({**client, "identities": []}, server)
    carry(here, there)
    carry(there, here)
    with fails(PeerIncompatible, reasons.CERTIFICATE_REQUIRED_12):
        carry(here, there)


@by_each_way
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_peer_that_is_no_longer_welcome(way: str, side: str) -> None:
    def refuse(peer: Any) -> None:
        raise CertificateRefused(alert="certificate_revoked", problem="gone")

    client, server = both(way, {"identities": [client_identity()]}, {"client_authentication": "required"})
    first_session(client, server)
    here, there = started(
        {**client, **({"check_peer": refuse} if side == "client" else {})},
        {**server, **({"check_peer": refuse} if side == "server" else {})},
    )
    with pytest.raises(CertificateRefused):
        carry(here, there)
        carry(there, here)
        carry(here, there)


# --- stores


class Silent:
    """Has nothing, and gives nothing."""

    def seal(self, state: bytes, seconds: int) -> None:
        """None."""

    def open(self, ticket: bytes) -> None:
        """None."""


def test_a_ticket_that_was_promised_and_is_none() -> None:
    """RFC 5077 section 3.3: it is empty then, and the client keeps nothing."""
    tap = Recorder()
    made = visit({"sessions": Sessions()}, {"max_version": "1.2", "tickets": Silent()}, tap=tap).talk()
    [ticket] = [message for _, message, _ in tap.messages if message.NAME == "NewSessionTicket"]
    assert (ticket.ticket, ticket.ticket_lifetime_hint) == (b"", 0)
    assert made.sessions == []


def test_a_ticket_that_is_not_renewed() -> None:
    """The old one goes on: an empty NewSessionTicket is no session."""

    class Once(Tickets):
        """Seals one ticket."""

        def seal(self, state: bytes, seconds: int) -> bytes | None:
            return None if self.kept else super().seal(state, seconds)

    client, server = both("ticket", {}, {"tickets": Once()})
    first = first_session(client, server)
    back = visit(client, server)
    assert (back.resumed, back.sessions) == (True, [])
    assert client["sessions"].kept == [first]
    assert visit(client, server).resumed


@pytest.mark.parametrize("answer", [b"", b"x", bytes(500)])
@pytest.mark.parametrize("way", ["ticket", "ID"])
def test_what_a_store_has_may_be_anything(way: str, answer: bytes) -> None:
    client, server = both(way)
    first_session(client, server)
    store = server.get("tickets") or server["session_cache"]
    store.kept = dict.fromkeys(store.kept, answer)
    assert not visit(client, server).talk().resumed


def test_a_session_of_tls_1_3_is_none_of_tls_1_2() -> None:
    tickets = Tickets()
    client: dict[str, Any] = {"sessions": Sessions()}
    first_session(client, {"tickets": tickets})
    state = next(iter(tickets.kept.values()))
    session = first_session({"sessions": Sessions(), "max_version": "1.2"}, {"tickets": tickets})
    tickets.kept[session.ticket] = state
    made = visit({"sessions": Sessions(session), "max_version": "1.2"}, {"tickets": tickets}).talk()
    assert not made.resumed


@pytest.mark.parametrize(
    ("way", "method", "question"),
    [
        ("ticket", "seal", "SealTicket"),
        ("ticket", "open", "OpenTicket"),
        ("ID", "store", "StoreState"),
        ("ID", "load", "LoadState"),
    ],
)
def test_a_store_that_raises(way: str, method: str, question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("disk full")

    client, server = both(way)
    session: Session = first_session(client, server)
    monkeypatch.setattr(Tickets if way == "ticket" else Cache, method, broken)
    if method in ("seal", "store"):
        client = {"sessions": Sessions()}
    here, there = started(client, server)
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        for _ in range(2):
            carry(here, there)
            carry(there, here)
    assert caught.value.evidence == {"question": question, "exception": "RuntimeError: disk full"}
    assert session.secret.hex() not in str(caught.value)


def test_a_wrong_main_secret() -> None:
    """What was kept under the ID is another session."""
    client, server = both("ID")
    session = first_session(client, server)
    session.secret = bytes(48)
    here, there = started(client, server)
    carry(here, there)
    with pytest.raises(TLSError) as caught:
        carry(there, here)
    assert caught.value.reason in (reasons.BAD_RECORD_MAC, reasons.BAD_FINISHED)
