"""Keys from outside: given, imported, unknown, wrong, and what a session that stands on one is worth (RFC 9257, RFC 9258)."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from handfast import ConfigurationError, TLSError, reasons
from handfast.connection import ClientConnection
from handfast.errors import MisuseError, PeerIncompatible, PeerMisbehaved
from handfast.sessions.external import ExternalPsk
from handfast.sessions.verdict import WhyNot
from tests.handshake.parties import (
    COOKIE_KEY,
    Recorder,
    carry,
    client_config,
    client_identity,
    fails,
    server_config,
    started,
    trust,
)
from tests.handshake.returning import Sessions, Tickets, first_session, visit

KEY = bytes(range(32))


def pair_of(
    identity: bytes = b"us", key: bytes = KEY, theirs: bytes | None = None, **settings: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of both sides with one key. ``theirs``: the server's, where it has another one."""
    here = ExternalPsk(identity, key, role="client", **settings)
    there = ExternalPsk(identity, theirs or key, role="server", **settings)
    return {"psks": [here]}, {"psks": {identity: there}}


@pytest.mark.parametrize("hash_name", ["sha256", "sha384"])
@pytest.mark.parametrize("modes", [["psk_dhe_ke"], ["psk_ke"]])
@pytest.mark.parametrize("kind", [ExternalPsk, ExternalPsk.imported], ids=["given", "imported"])
@pytest.mark.parametrize("certificates", [True, False])
def test_both_sides_know_it(hash_name: Any, modes: list[str], kind: Any, certificates: bool) -> None:
    """The suite goes with the key's hash, whichever suite the server prefers; no certificate is needed."""
    here = kind(b"us", KEY, role="client", hash_name=hash_name)
    there = kind(b"us", KEY, role="server", hash_name=hash_name)
    server: dict[str, Any] = {"psks": {there.identity: there}, "psk_modes": modes}
    if not certificates:
        server["identities"] = []
    made = visit({"psks": [here], "psk_modes": modes}, server).talk()
    facts = made.facts
    assert (facts.resumed, facts.peer, facts.identity, facts.signature_scheme) == (True, None, None, None)
    assert facts.cipher_suite.lower().endswith(hash_name)
    assert (facts.group is None) == (modes == ["psk_ke"])
    for side in (made.client, made.server):
        with pytest.raises(MisuseError, match="no certificate"):
            side.channel_binding("tls-server-end-point")


def test_a_callback_finds_it() -> None:
    client, server = pair_of()
    keys = server["psks"]
    asked: list[bytes] = []

    def find(identity: bytes) -> ExternalPsk | None:
        asked.append(identity)
        found: ExternalPsk | None = keys.get(identity)
        return found

    assert visit(client, {"psks": find}).talk().resumed
    assert asked == [b"us"]
    assert visit(client, {"psks": find, "retry": "always", "cookie_key": COOKIE_KEY}).talk().resumed
    assert asked == [b"us"] * 2, "once a handshake"


def test_one_of_several() -> None:
    client, server = pair_of(b"third")
    others = [ExternalPsk(name, bytes(32), role="client") for name in (b"first", b"second")]
    tap = Recorder()
    made = visit({"psks": [*others, *client["psks"]]}, server, tap=tap).talk()
    assert made.resumed
    answer = next(message for sent, message, _ in tap.messages if message.NAME == "ServerHello")
    assert answer.selected_identity == 2


def test_it_has_no_age() -> None:
    """RFC 9846 section 4.3.11: a client says 0."""
    tap = Recorder()
    visit(*pair_of(), tap=tap)
    assert [each.obfuscated_ticket_age for each in tap.messages[0][1].pre_shared_key.identities] == [0]


def test_keys_of_another_hash_are_not_offered() -> None:
    client, _ = pair_of(hash_name="sha384")
    tap = Recorder()
    visit({**client, "cipher_suites": ["TLS_AES_128_GCM_SHA256"]}, {}, tap=tap)
    assert tap.messages[0][1].pre_shared_key is None


def test_after_a_retry_those_of_the_suite_are_left() -> None:
    wide = ExternalPsk(b"384", KEY, role="client", hash_name="sha384")
    client, server = pair_of()
    tap = Recorder()
    made = visit({"psks": [wide, *client["psks"]]}, {**server, "groups": ["secp384r1"]}, tap=tap).talk()
    assert (made.facts.resumed, made.facts.hello_retry_request) == (True, True)
    hellos = [message for _, message, _ in tap.messages if message.NAME == "ClientHello"]
    assert [len(hello.pre_shared_key.identities) for hello in hellos] == [2, 1]


# --- where it is not known


def test_an_unknown_identity_is_a_handshake_with_certificates() -> None:
    """It tells whoever looks that the key is not known, and nothing else (RFC 9257 section 6)."""
    client, _ = pair_of()
    made = visit(client, pair_of(b"them")[1]).talk()
    assert not made.resumed
    assert made.facts.peer is not None


@pytest.mark.parametrize("client", [pair_of()[0], {}], ids=["another key", "no key"])
def test_without_certificates_there_is_nothing_to_go_on_with(client: dict[str, Any]) -> None:
    here, there = started(client, {**pair_of(b"them")[1], "identities": []})
    with fails(PeerIncompatible, reasons.UNKNOWN_PSK) as caught:
        carry(here, there)
    assert caught.value.alert == 115


def test_a_client_of_tls_1_2_finds_no_certificate() -> None:
    here, there = started({"max_version": "1.2"}, {**pair_of()[1], "identities": []})
    with fails(PeerIncompatible, reasons.NO_COMMON_SUITE):
        carry(here, there)


def test_a_wrong_key_is_refused() -> None:
    client, server = pair_of(theirs=bytes(32))
    here, there = started(client, server)
    with fails(PeerMisbehaved, reasons.BAD_BINDER):
        carry(here, there)


def test_given_and_imported_are_not_the_same() -> None:
    """RFC 9258 section 5.2: their binders have labels of their own, so neither can be taken for the other."""
    imported = ExternalPsk.imported(b"us", KEY, role="server")
    raw = ExternalPsk(imported.identity, imported.key, role="client")
    here, there = started({"psks": [raw]}, {"psks": {imported.identity: imported}})
    with fails(PeerMisbehaved, reasons.BAD_BINDER):
        carry(here, there)


def test_a_context_is_part_of_an_imported_key() -> None:
    here = ExternalPsk.imported(b"us", KEY, role="client", context=b"client is A, server is B")
    there = ExternalPsk.imported(b"us", KEY, role="server", context=b"client is B, server is A")
    assert here.identity != there.identity
    assert here.key != there.key
    assert not visit({"psks": [here]}, {"psks": {there.identity: there}}).resumed


@pytest.mark.parametrize("answer", [b"a key", "us", 7, Tickets()])
def test_what_is_no_key_is_no_answer(answer: Any) -> None:
    client, _ = pair_of()
    here, there = started(client, {"psks": lambda identity: answer})
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        carry(here, there)
    assert caught.value.evidence["question"] == "FindPsk"


def test_a_callback_finds_no_key_of_the_other_role() -> None:
    """Who holds a key as a client takes no hello of it: that could be its own, sent back (Selfie, RFC 9257 section 4.1)."""
    client, _ = pair_of()
    here, there = started(client, {"psks": lambda identity: client["psks"][0]})
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        carry(here, there)
    assert caught.value.evidence == {"question": "FindPsk", "problem": "the key is for a client"}


# --- RFC 9258, by an independent computation


def _expand_label(algorithm: Any, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label of RFC 9846 section 7.1, by the primitive of ``cryptography``."""
    name = b"tls13 " + label
    info = length.to_bytes(2) + bytes((len(name),)) + name + bytes((len(context),)) + context
    return HKDFExpand(algorithm, length, info).derive(secret)


@pytest.mark.parametrize(("hash_name", "kdf", "algorithm"), [("sha256", 1, SHA256()), ("sha384", 2, SHA384())])
def test_an_imported_key_is_that_of_the_rfc(hash_name: Any, kdf: int, algorithm: Any) -> None:
    """RFC 9258 section 5.1: epskx = HKDF-Extract(0, epsk), ipskx = HKDF-Expand-Label(epskx, "derived psk", ...)."""
    context = b"who is who"
    key = ExternalPsk.imported(b"external identity", KEY, role="client", context=context, hash_name=hash_name)
    # struct { opaque external_identity<1..2^16-1>; opaque context<0..2^16-1>; uint16 target_protocol; uint16 target_kdf; }
    identity = b"\0\x11external identity" + b"\0\x0awho is who" + b"\x03\x04" + kdf.to_bytes(2)
    assert key.identity == identity
    extracted = hmac.digest(bytes(32), KEY, "sha256")
    length = hashlib.new(hash_name).digest_size
    # The hash of the external key, SHA-256 where nothing else is said, is that of all steps (section 5.1).
    assert key.key == _expand_label(SHA256(), extracted, b"derived psk", hashlib.sha256(identity).digest(), length)
    assert algorithm.name == hash_name


@pytest.mark.parametrize(
    ("hash_name", "algorithm", "purpose"),
    [
        ("sha256", SHA256(), "ext"),
        ("sha384", SHA384(), "ext"),
        ("sha256", SHA256(), "imp"),
        ("sha384", SHA384(), "imp"),
    ],
)
def test_its_binder_is_that_of_the_rfc(hash_name: Any, algorithm: Any, purpose: str) -> None:
    make = ExternalPsk if purpose == "ext" else ExternalPsk.imported
    key = make(b"us", KEY, role="client", hash_name=hash_name)
    client = ClientConnection(client_config(psks=[key]), server_name="localhost")
    client.start()
    hello = bytes(client.data_to_send())[5:]
    length = hashlib.new(hash_name).digest_size

    def digest(data: bytes) -> bytes:
        return hashlib.new(hash_name, data).digest()

    early = hmac.digest(bytes(length), key.key, hash_name)
    binder_key = _expand_label(algorithm, early, f"{purpose} binder".encode(), digest(b""), length)
    finished = _expand_label(algorithm, binder_key, b"finished", b"", length)
    binder = hmac.digest(finished, digest(hello[: -3 - length]), hash_name)
    assert hello[-3 - length :] == (length + 1).to_bytes(2) + bytes((length,)) + binder


# --- what a session is worth that stands on a key


def resuming(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of two sides with a key, that resume."""
    client, server = pair_of()
    return {**client, "sessions": Sessions(), **changes}, {**server, "tickets": Tickets()}


def session_of_key(client: dict[str, Any], server: dict[str, Any]) -> Any:
    made = visit(client, server).talk()
    assert made.resumed
    return made.sessions[0]


def test_a_session_may_stand_on_a_key() -> None:
    client, server = resuming()
    session = session_of_key(client, server)
    assert (session.chain, len(session.basis.identity)) == ((), 32)
    for _ in range(3):
        made = visit(client, server).talk()
        assert (made.resumed, made.facts.peer, made.facts.resumption.by) == (True, None, "ticket")
    assert {each.basis.identity for each in client["sessions"].kept} == {session.basis.identity}


@pytest.mark.parametrize(
    "psks",
    [[], [ExternalPsk(b"us", bytes(32), role="client")], [ExternalPsk(b"them", KEY, role="client")]],
    ids=["no key", "other key", "other identity"],
)
def test_a_client_that_has_lost_the_key_wants_a_certificate(psks: list[ExternalPsk]) -> None:
    """The session proves no more than the key did: without it a server has to say who it is."""
    client, server = resuming()
    session = session_of_key(client, server)
    made = visit({"psks": psks, "sessions": Sessions(session)}, {"tickets": server["tickets"]}).talk()
    assert not made.resumed
    assert made.facts.peer is not None
    assert session.ticket not in server["tickets"].opened


def test_a_server_that_has_no_keys_any_more() -> None:
    client, server = resuming()
    session_of_key(client, server)
    assert not visit(client, {"tickets": server["tickets"]}).talk().resumed
    assert len(server["tickets"].opened) > 0


def test_a_ticket_of_a_server_for_all_opens_none_that_asks_for_a_key() -> None:
    """Two servers of one name with the same ticket keys: where a key is all that proves who a client is, it counts."""
    client, server = resuming()
    session = first_session({"sessions": Sessions()}, {"tickets": server["tickets"]})
    here, there = started({"sessions": Sessions(session)}, {**server, "identities": []})
    with fails(PeerIncompatible, reasons.UNKNOWN_PSK):
        carry(here, there)
    assert server["tickets"].opened == [session.ticket]
    assert visit({**client, "sessions": None}, {**server, "identities": []}).resumed


@pytest.mark.parametrize(
    "psks",
    [{}, {b"them": ExternalPsk(b"them", KEY, role="server")}],
    ids=["no key", "other identity"],
)
@pytest.mark.parametrize("asked", [False, True])
def test_a_key_that_was_withdrawn_opens_nothing_any_more(psks: dict[bytes, ExternalPsk], asked: bool) -> None:
    """Nor does the key of another tenant: a session goes on for as long as the key that it stands on is there."""
    client, server = resuming()
    session = session_of_key(client, server)
    gone = {**server, "psks": psks.get if asked else psks}
    made = visit({**client, "psks": client["psks"], "sessions": Sessions(session)}, gone)
    assert not made.resumed
    assert made.server.handshake is not None
    assert made.server.handshake.resumption is not None
    assert made.server.handshake.resumption.why_not is WhyNot.OTHER_IDENTITY


def test_a_key_that_was_changed_opens_nothing_any_more() -> None:
    """So it comes to the key itself, which is offered next to the ticket, and is another one."""
    client, server = resuming()
    session_of_key(client, server)
    here, there = started(client, {**server, "psks": {b"us": ExternalPsk(b"us", bytes(32), role="server")}})
    with fails(PeerMisbehaved, reasons.BAD_BINDER):
        carry(here, there)


def test_who_has_a_key_shows_no_certificate_so_none_can_be_required() -> None:
    with pytest.raises(ConfigurationError, match="shows no certificate"):
        server_config(**pair_of()[1], client_authentication="required", client_trust=trust())


def test_both_sides_can_tell_which_key_it_was() -> None:
    made = visit(*pair_of())
    for side in (made.client, made.server):
        assert side.handshake is not None
        assert side.handshake.resumption is not None
        assert (side.handshake.resumption.by, side.handshake.resumption.identity) == ("external PSK", b"us")


def test_a_session_of_a_key_is_no_client_certificate() -> None:
    client, server = resuming(identities=[client_identity()])
    session = session_of_key(client, server)
    asking = {**server, "psks": None, "client_authentication": "required"}
    made = visit({**client, "sessions": Sessions(session)}, asking).talk()
    assert not made.resumed
    assert made.server.handshake is not None
    assert made.server.handshake.peer is not None


def test_no_key_and_no_fingerprint_is_shown() -> None:
    key = ExternalPsk(b"us", KEY, role="client")
    assert repr(key) == "<ExternalPsk>"
    made = visit(*resuming())
    assert KEY.hex() not in repr([made.here, made.there, made.client, made.server])
