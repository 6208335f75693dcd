"""Why a client could not come back, or its early data was not taken: both sides say it, as far as they know."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from handfast import CertificateRefused, limits
from handfast.connection import ClientConnection, ServerConnection
from handfast.events import EarlyData
from handfast.insecure import NoVerification
from handfast.sessions.external import ExternalPsk
from handfast.sessions.memory import MemorySessions
from handfast.sessions.session import Basis, Session
from handfast.sessions.verdict import Resumption, WhyNot
from handfast.testing import Authority
from tests.handshake.parties import (
    authority,
    carry,
    client_config,
    client_identity,
    identity,
    server_config,
    started,
    trust,
)
from tests.handshake.returning import Cache, Guard, Sessions, Tickets, Times, Visit, first_session, visit

SHA384 = "TLS_AES_256_GCM_SHA384"
WAYS = {"ticket": {"tickets": Tickets}, "session ID": {"session_cache": Cache}}


def client_says(made: Visit) -> Resumption:
    assert made.client.handshake is not None
    assert made.client.handshake.resumption is not None
    return made.client.handshake.resumption


def server_says(made: Visit) -> Resumption:
    assert made.server.handshake is not None
    assert made.server.handshake.resumption is not None
    return made.server.handshake.resumption


def settings(version: str = "1.3", way: str = "ticket") -> tuple[dict[str, Any], dict[str, Any]]:
    stores = {name: make() for name, make in WAYS[way].items()}
    return {"sessions": Sessions(), "max_version": version}, {"max_version": version, **stores}


VERSIONS = pytest.mark.parametrize(("version", "way"), [("1.3", "ticket"), ("1.2", "ticket"), ("1.2", "session ID")])


def back(
    client: dict[str, Any],
    server: dict[str, Any],
    changed_client: dict[str, Any] | None = None,
    changed_server: dict[str, Any] | None = None,
    **more: Any,
) -> Visit:
    first_session(client, server)
    return visit({**client, **(changed_client or {})}, {**server, **(changed_server or {})}, **more)


# --- what both sides say


def test_who_keeps_nothing_has_nothing_to_say() -> None:
    made = visit()
    assert made.client.handshake is not None
    assert made.server.handshake is not None
    assert (made.client.handshake.resumption, made.server.handshake.resumption) == (None, None)


@VERSIONS
def test_a_first_visit_and_a_second_one(version: str, way: str) -> None:
    times = Times()
    client, server = settings(version, way)
    client, server = {**client, "clock": times.clock}, {**server, "clock": times.clock}
    first = visit(client, server)
    assert client_says(first) == Resumption(why_not=WhyNot.NONE_KEPT)
    times.later(seconds=5)
    second = visit(client, server)
    assert client_says(second) == server_says(second) == Resumption(way, 5.0)  # type: ignore[arg-type]


@VERSIONS
def test_a_server_that_does_not_know_it(version: str, way: str) -> None:
    client, server = settings(version, way)
    made = back(client, server, {}, settings(version, way)[1])
    assert client_says(made).why_not is WhyNot.NOT_TAKEN
    assert server_says(made).why_not is WhyNot.UNKNOWN
    assert server_says(made).by == way


def test_an_id_for_the_sake_of_middleboxes_is_none_that_we_should_know() -> None:
    made = visit({}, {"max_version": "1.2", "session_cache": Cache()})
    assert made.server.handshake is not None
    assert made.server.handshake.resumption is None


@VERSIONS
def test_a_server_that_resumes_nothing(version: str, way: str) -> None:
    client, server = settings(version, way)
    made = back(client, server, {}, {"tickets": None, "session_cache": None})
    assert client_says(made).why_not is WhyNot.NOT_TAKEN
    if way == "ticket":
        assert server_says(made) == Resumption("ticket", why_not=WhyNot.OFF)


@VERSIONS
@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"trust": Authority.create().trust, "verifier": NoVerification()}, WhyNot.OTHER_TRUST),
        ({"signature_schemes": ["ed25519"]}, WhyNot.OTHER_ALGORITHM),
    ],
)
def test_a_client_that_wants_something_else(version: str, way: str, changed: dict[str, Any], why: WhyNot) -> None:
    client, server = settings(version, way)
    ed25519 = authority().issue("localhost", key="ed25519")
    first_session(client, server)
    made = visit({**client, **changed}, {**server, "identities": [identity(), ed25519]})
    found = client_says(made)
    assert (found.by, found.why_not) == (None, why)


def test_an_algorithm_that_the_client_does_not_offer_any_more() -> None:
    client, server = settings("1.2")
    curves = {"groups": ["secp384r1", "secp256r1"]}
    made = back(
        {**client, **curves}, {**server, "groups": ["secp384r1", "x25519"]}, {"groups": ["x25519", "secp256r1"]}
    )
    assert client_says(made).why_not is WhyNot.OTHER_ALGORITHM
    client, server = settings("1.2")
    suite = {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]}
    made = back({**client, **suite}, server, {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]})
    assert (client_says(made).why_not, client_says(made).differs) == (WhyNot.OTHER_SUITE, suite["cipher_suites"][0])
    client, server = settings()
    made = back(
        client,
        {**server, "cipher_suites": ["TLS_AES_128_GCM_SHA256"]},
        {"cipher_suites": [SHA384]},
        {"cipher_suites": [SHA384]},
    )
    assert (client_says(made).why_not, client_says(made).differs) == (WhyNot.OTHER_HASH, "sha256")
    made = back(*settings("1.2"), {"min_version": "1.3", "max_version": "1.3"}, {"max_version": "1.3"})
    assert (client_says(made).why_not, client_says(made).differs) == (WhyNot.OTHER_VERSION, "TLSv1.2")


@pytest.mark.parametrize(("first", "then"), [("1.2", "1.3"), ("1.3", "1.2")])
def test_a_server_that_speaks_another_version_now(first: str, then: str) -> None:
    client, server = settings()
    made = back(client, {**server, "max_version": first}, {}, {"max_version": then})
    assert (client_says(made).why_not, client_says(made).differs) == (WhyNot.OTHER_VERSION, f"TLSv{first}")


def test_a_server_that_prefers_another_hash_now() -> None:
    client, server = settings()
    made = back(client, server, {}, {"cipher_suites": [SHA384]})
    assert (client_says(made).why_not, client_says(made).differs) == (WhyNot.OTHER_HASH, "sha256")
    assert (server_says(made).why_not, server_says(made).differs) == (WhyNot.OTHER_HASH, "sha256")


@VERSIONS
def test_a_server_for_which_it_is_of_another_name_or_too_old(version: str, way: str) -> None:
    client, server = settings(version, way)
    both_names = {"identities": [authority().issue("localhost", "other.test")]}
    session = first_session(client, {**server, **both_names})
    session.server_name = "other.test"
    made = visit({**client, "sessions": Sessions(session)}, {**server, **both_names}, server_name="other.test")
    assert (server_says(made).why_not, server_says(made).differs) == (WhyNot.OTHER_NAME, "localhost")
    times = Times()
    clock = {"clock": times.clock}
    client, server = settings(version, way)
    session = first_session({**client, **clock}, {**server, **clock})
    times.later(hours=3)
    session.expires += 10_800_000
    made = visit({**client, **clock, "sessions": Sessions(session)}, {**server, **clock})
    assert (server_says(made).why_not, server_says(made).age) == (WhyNot.EXPIRED, 10_800.0)


@VERSIONS
def test_a_server_that_trusts_other_clients_now_or_other_algorithms(version: str, way: str) -> None:
    client, server = settings(version, way)
    client["identities"] = [client_identity()]
    asking = {"client_authentication": "required", "client_trust": trust()}
    first_session(client, {**server, **asking})
    other = {"client_authentication": "required", "client_verifier": NoVerification()}
    assert server_says(visit(client, {**server, **other})).why_not is WhyNot.OTHER_TRUST
    client, server = settings(version, way)
    made = back(client, server, {"identities": [client_identity()]}, asking)
    assert server_says(made).why_not is WhyNot.OTHER_TRUST


def test_a_client_that_wants_another_mode() -> None:
    made = back(*settings(), {"psk_modes": ["psk_ke"]})
    assert server_says(made) == Resumption("ticket", why_not=WhyNot.OTHER_MODE)


def test_a_ticket_that_opens_to_something_else() -> None:
    client, server = settings()
    first_session(client, server)
    server["tickets"].kept = dict.fromkeys(server["tickets"].kept, b"of a later version of handfast")
    assert server_says(visit(client, server)).why_not is WhyNot.UNKNOWN


# --- what a session stands on, on the side of the server


@VERSIONS
@pytest.mark.parametrize("chooses", [False, True])
def test_a_server_goes_on_only_with_what_was_made_under_its_own_certificate(
    version: str, way: str, chooses: bool
) -> None:
    """Servers that share the keys of tickets are not the same: a client of one must not find itself at another."""
    client, server = settings(version, way)
    other = authority().issue("localhost")
    who = {"choose_identity": lambda hello: other} if chooses else {"identities": [other]}
    session = first_session(client, server)

    def comes_to(server_settings: dict[str, Any]) -> Visit:
        return visit({**client, "sessions": Sessions(session)}, {**server, **server_settings})

    made = comes_to(who)
    assert not made.resumed
    assert server_says(made).why_not is WhyNot.OTHER_CERTIFICATE
    assert comes_to({"identities": [other, identity()]}).resumed
    assert comes_to({"identities": [other], "choose_identity": lambda hello: identity()}).resumed
    assert comes_to({"identities": [identity()], "choose_identity": lambda hello: None}).resumed


class Lax(NoVerification):
    """It says that it trusts something, so that its sessions count."""

    trust_id = b"anybody"


@VERSIONS
def test_a_server_that_refuses_names_refuses_their_sessions(version: str, way: str) -> None:
    client, server = settings(version, way)
    client["verifier"] = Lax()
    first_session(client, server, server_name="unknown.test")
    here, there = started(client, {**server, "unknown_names": "refuse"}, server_name="unknown.test")
    with pytest.raises(Exception, match="No identity of this server fits"):
        carry(here, there)
    assert visit(client, server, server_name="unknown.test").resumed


# --- early data


def early(client: dict[str, Any], server: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return client, {"early_data": Guard(), **server}


@pytest.mark.parametrize(
    ("changed_client", "changed_server", "ours", "theirs"),
    [
        ({}, {"early_data": None}, WhyNot.NOT_TAKEN, WhyNot.OFF),
        ({}, {"early_data": Guard(admits=False)}, WhyNot.NOT_TAKEN, WhyNot.NOT_ADMITTED),
        ({}, {"tickets": Tickets()}, WhyNot.NOT_RESUMED, WhyNot.NOT_RESUMED),
        ({}, {"cipher_suites": ["TLS_CHACHA20_POLY1305_SHA256"]}, WhyNot.OTHER_SUITE, WhyNot.OTHER_SUITE),
        ({}, {"alpn": ["b"]}, WhyNot.OTHER_PROTOCOL, WhyNot.OTHER_PROTOCOL),
        ({}, {"groups": ["secp384r1"]}, WhyNot.RETRIED, WhyNot.RETRIED),
    ],
)
def test_why_early_data_was_not_taken(
    changed_client: dict[str, Any], changed_server: dict[str, Any], ours: WhyNot, theirs: WhyNot
) -> None:
    protocols = {"alpn": ["a", "b"]}
    client, server = early(*settings())
    client, server = {**client, **protocols}, {**server, **protocols}
    made = back(client, server, changed_client, changed_server, early_data=b"early")
    assert made.facts.early_data == "rejected"
    assert client_says(made).why_not_early is ours
    assert server_says(made).why_not_early is theirs


def test_the_age_of_a_ticket_that_was_held_up() -> None:
    times = Times()
    clock = {"clock": times.clock}
    client, server = early(*settings())
    session = first_session({**client, **clock}, {**server, **clock})
    session.issued -= 10_000
    made = visit({**client, **clock}, {**server, **clock}, session=session, early_data=b"early")
    assert server_says(made).why_not_early is WhyNot.WRONG_AGE


@pytest.mark.parametrize(
    ("changed_client", "changed_server", "size", "why"),
    [
        ({}, {}, 14_337, WhyNot.NOT_ALLOWED),
        ({"record_padding": 14_336}, {}, 1, WhyNot.NOT_ALLOWED),
        ({"cipher_suites": ["TLS_CHACHA20_POLY1305_SHA256"]}, {}, 1, WhyNot.OTHER_SUITE),
        ({"alpn": ["b"]}, {}, 1, WhyNot.OTHER_PROTOCOL),
        ({"groups": ["secp384r1"]}, {}, 1, WhyNot.OTHER_ALGORITHM),
        ({"sessions": Sessions()}, {}, 1, WhyNot.NOT_RESUMED),
    ],
)
def test_why_early_data_was_not_sent(
    changed_client: dict[str, Any], changed_server: dict[str, Any], size: int, why: WhyNot
) -> None:
    client, server = early(*settings())
    client, server = {**client, "alpn": ["a", "b"]}, {**server, "alpn": ["a", "b"]}
    made = back(client, server, changed_client, changed_server, early_data=bytes(size))
    assert (made.facts.early_data, made.rejected) == (None, [bytes(size)])
    assert client_says(made).why_not_early is why


def test_nothing_is_sent_to_a_peer_that_is_no_longer_welcome() -> None:
    def refuse(peer: Any) -> None:
        raise CertificateRefused(alert="certificate_revoked", problem="stolen")

    client, server = early(*settings())
    session = first_session(client, server)
    here = ClientConnection(
        client_config(**{**client, "check_peer": refuse}),
        server_name="localhost",
        session=session,
        early_data=b"a secret",
    )
    there = ServerConnection(server_config(**server))
    there.start()
    with pytest.raises(CertificateRefused):
        here.start()
    there.receive_data(here.data_to_send())
    with pytest.raises(Exception, match="alert"):
        assert not [event for event in there.events() if isinstance(event, EarlyData)]


# --- what a store gets back, and what it loses


def test_a_session_that_may_not_be_offered_goes_back_to_its_store() -> None:
    store = MemorySessions()
    client, server = settings()
    client["sessions"] = store
    visit(client, {**server, "ticket_count": 1})
    assert client_says(visit({**client, "verifier": NoVerification()}, server)).why_not is WhyNot.OTHER_TRUST
    assert visit(client, server).resumed


def test_one_that_has_expired_does_not_go_back() -> None:
    times = Times()
    clock = {"clock": times.clock}
    client, server = settings()
    session = first_session({**client, **clock}, {**server, **clock})
    times.later(days=1)
    store = Sessions(session)
    visit({**client, **clock, "sessions": store}, {**server, **clock, "tickets": None})
    assert store.kept == [session]


@pytest.mark.parametrize("changes", [{"ticket": b""}, {"version": 0x0303, "ticket": b"", "session_id": b""}])
def test_a_session_that_cannot_be_named_is_not_offered(changes: dict[str, Any]) -> None:
    client, server = settings()
    session = first_session(client, server)
    for name, value in changes.items():
        setattr(session, name, value)
    made = visit({**client, "sessions": None}, server, session=session)
    assert client_says(made).why_not is WhyNot.NONE_KEPT


@pytest.mark.parametrize("changes", [{"expires": 0}, {"ticket": bytes(limits.TICKET_OFFERED + 1)}])
def test_a_session_that_is_given_by_hand_is_looked_at_too(changes: dict[str, Any]) -> None:
    client, server = settings()
    session = first_session(client, server)
    for name, value in changes.items():
        setattr(session, name, value)
    made = visit({**client, "sessions": None}, server, session=session)
    assert client_says(made).why_not is (WhyNot.EXPIRED if "expires" in changes else WhyNot.TICKET_TOO_LONG)


@VERSIONS
def test_a_server_that_does_not_accept_the_client_s_algorithm_any_more(version: str, way: str) -> None:
    client, server = settings(version, way)
    client["identities"] = [client_identity()]
    asking = {"client_authentication": "optional", "client_trust": trust()}
    made = back(client, {**server, **asking}, {}, {"signature_schemes": ["rsa_pss_rsae_sha256", "ed25519"]})
    assert server_says(made).why_not is WhyNot.OTHER_ALGORITHM


def test_a_session_of_12_whose_connection_fails_is_not_offered_again() -> None:
    """RFC 5246 section 7.2.2. Else a session that was mixed up would fail each connection until its end."""
    client, server = settings("1.2")
    session = first_session(client, server)
    session.secret = bytes(48)
    here, there = started(client, server)
    carry(here, there)
    with pytest.raises(Exception, match="record"):
        carry(there, here)
    assert client["sessions"].kept == []
    assert not visit(client, server).resumed
    assert visit(client, server).resumed


def test_a_session_of_12_survives_an_end_that_is_no_failure() -> None:
    client, server = settings("1.2")
    first_session(client, server)
    here, there = started(client, server)
    carry(here, there)
    here.receive_eof()
    with pytest.raises(Exception, match="closed"):
        list(here.events())
    assert len(client["sessions"].kept) == 1


def test_a_store_that_cannot_forget_does_not_hide_the_cause() -> None:
    class Broken(Sessions):
        """It must not raise, and does."""

        def forget(self, session: Session) -> None:
            raise OSError("disk full")

    client, server = settings("1.2")
    client["sessions"] = Broken()
    first_session(client, server).secret = bytes(48)
    here, there = started(client, server)
    carry(here, there)
    with pytest.raises(Exception, match="record"):
        carry(there, here)


@VERSIONS
def test_a_client_s_chain_that_is_too_long_is_not_kept(version: str, way: str) -> None:
    """A client may add to its chain what it likes."""
    made = client_identity()
    padded = type(made)(
        [*made.chain, *(authority().issue(f"{number}.test").chain[0] for number in range(20))][:16], made.signer
    )
    client, server = settings(version, way)
    client["identities"] = [padded]
    asking = {"client_authentication": "required", "client_trust": trust()}
    while len(b"".join(padded.chain)) <= limits.STATE:
        names = [f"{'x' * 60}{number}.test" for number in range(100)]
        padded = type(made)([made.chain[0], *[authority().issue(*names).chain[0]] * 4], made.signer)
        client["identities"] = [padded]
    assert visit(client, {**server, **asking}).sessions == [] or way == "session ID"
    assert not visit(client, {**server, **asking}).resumed


def test_a_key_from_outside_and_no_session() -> None:
    ours = ExternalPsk.imported(b"device 7", bytes(range(32)), role="client", context=b"x")
    theirs = ExternalPsk.imported(b"device 7", bytes(range(32)), role="server", context=b"x")
    made = visit({"psks": [ours], "sessions": Sessions()}, {"psks": {theirs.identity: theirs}, "tickets": Tickets()})
    assert client_says(made) == server_says(made) == Resumption("external PSK", identity=b"device 7")
    assert made.sessions[0].basis == Basis(made.sessions[0].issued, made.sessions[0].basis.identity, theirs.identity)
    assert timedelta(milliseconds=made.sessions[0].expires - made.sessions[0].issued) == timedelta(hours=2)
