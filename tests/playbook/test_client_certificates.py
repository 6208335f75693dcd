"""Client certificates, held to their rules on both sides (RFC 9846 sections 4.4.2 and 4.5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handfast import CertificateRefused, HandshakeCompleted, reasons
from handfast.connection import ClientConnection, ServerConnection
from handfast.crypto import signatures
from handfast.errors import (
    CertificateExpired,
    CertificateUnreadable,
    CertificateUsageError,
    DecodeError,
    MissingIntermediate,
    PeerIncompatible,
    PeerMisbehaved,
    TLSError,
)
from handfast.handshake.authenticate import CLIENT_CONTEXT, SERVER_CONTEXT
from handfast.reasons import Reason
from handfast.testing import Authority
from handfast.wire.codepoints import AlertDescription, ContentType, ExtensionType, HandshakeType, SignatureScheme
from handfast.wire.messages13 import (
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    Finished,
)
from tests.handshake.parties import authority, client_config, client_identity, identity, server_config
from tests.playbook.peers import RawClient, RawServer, garbled
from tests.playbook.playing import check_refused

S = SignatureScheme


def asked(awaited: str = "Certificate", authentication: str = "required", **settings: Any) -> RawClient:
    """A raw client, whose server asks who it is and awaits this message."""
    server = ServerConnection(server_config(client_authentication=authentication, **settings))
    server.start()
    return RawClient(server).go_to(awaited)


def asking(**settings: Any) -> RawServer:
    """A raw server, whose client may be asked who it is."""
    client = ClientConnection(client_config(**settings), server_name="localhost")
    client.start()
    return RawServer(client).go_to("CertificateRequest or Certificate")


# --- the client's Certificate --------------------------------------------------------------------------------------

ENTRY = CertificateEntry(b"x")
CERTIFICATES: list[tuple[str, Certificate, type[TLSError], Reason]] = [
    ("context", Certificate([ENTRY], b"x"), PeerMisbehaved, reasons.BAD_CERTIFICATE_CONTEXT),
    ("context of an empty one", Certificate([], b"x"), PeerMisbehaved, reasons.BAD_CERTIFICATE_CONTEXT),
    ("empty", Certificate([]), PeerIncompatible, reasons.CERTIFICATE_REQUIRED),
    (
        "extension that was not asked for",
        Certificate([CertificateEntry(b"x", {ExtensionType.STATUS_REQUEST: b""})]),
        PeerMisbehaved,
        reasons.UNSOLICITED_EXTENSION,
    ),
    (
        "unknown extension, of a later certificate",
        Certificate([ENTRY, CertificateEntry(b"x", {0x1234: b""})]),
        PeerMisbehaved,
        reasons.UNSOLICITED_EXTENSION,
    ),
    (
        "extension of the request that may not stand there",
        Certificate([CertificateEntry(b"x", {ExtensionType.SIGNATURE_ALGORITHMS: b"\0\2\4\3"})]),
        PeerMisbehaved,
        reasons.EXTENSION_NOT_ALLOWED,
    ),
    ("certificate of no bytes", Certificate([CertificateEntry(b"")]), DecodeError, reasons.DECODE_ERROR),
    ("too many", Certificate([ENTRY] * 17), DecodeError, reasons.TOO_MANY_ITEMS),
    ("no certificate in it", Certificate([ENTRY]), CertificateUnreadable, reasons.CERTIFICATE_UNREADABLE),
]


@pytest.mark.parametrize(
    ("certificate", "kind", "reason"), [row[1:] for row in CERTIFICATES], ids=[row[0] for row in CERTIFICATES]
)
def test_the_clients_certificate(certificate: Certificate, kind: type[TLSError], reason: Reason) -> None:
    client = asked()
    error = check_refused(client, kind, reason, lambda: client.say(certificate))
    assert error.step == "Certificate"


def test_a_missing_certificate_has_an_alert_of_its_own() -> None:
    client = asked()
    with pytest.raises(PeerIncompatible):
        client.say(Certificate([]))
    assert client.heard_alert() == (AlertDescription.CERTIFICATE_REQUIRED, True)


CHAINS: list[tuple[str, Callable[[], Any], type[TLSError], Reason]] = [
    (
        "of another root",
        lambda: Authority.create("another root").issue("client.example", usage=("client",)),
        MissingIntermediate,
        reasons.MISSING_INTERMEDIATE,
    ),
    ("of a server", identity, CertificateUsageError, reasons.CERTIFICATE_WRONG_USAGE),
    (
        "of yesterday",
        lambda: authority().issue(
            "client.example",
            usage=("client",),
            not_before=datetime.now(UTC) - timedelta(days=2),
            not_after=datetime.now(UTC) - timedelta(days=1),
        ),
        CertificateExpired,
        reasons.CERTIFICATE_EXPIRED,
    ),
]


@pytest.mark.parametrize("authentication", ["required", "optional"])
@pytest.mark.parametrize(("who", "kind", "reason"), [row[1:] for row in CHAINS], ids=[row[0] for row in CHAINS])
def test_a_chain_that_does_not_verify_is_refused_even_where_none_is_needed(
    who: Callable[[], Any], kind: type[TLSError], reason: Reason, authentication: str
) -> None:
    client = asked(authentication=authentication)
    client.who = who()
    check_refused(client, kind, reason, lambda: client.say(client.certificate()))


def test_a_client_that_is_not_welcome_gets_the_alert_of_choice() -> None:
    def check(peer: Any) -> None:
        raise CertificateRefused(alert="certificate_revoked", problem="on the list")

    client = asked("CertificateVerify", check_peer=check)
    with pytest.raises(CertificateRefused) as caught:
        client.say(client.proof())
    assert caught.value.evidence["problem"] == "on the list"
    assert client.heard_alert() == (AlertDescription.CERTIFICATE_REVOKED, True)


# --- the client's CertificateVerify --------------------------------------------------------------------------------

PROOFS: list[tuple[str, dict[str, Any], Callable[[RawClient], CertificateVerify], Reason]] = [
    (
        "by a scheme that is not offered",
        {"signature_schemes": ["ed25519"]},
        lambda c: c.proof(),
        reasons.SCHEME_NOT_OFFERED,
    ),
    ("by RSA PKCS#1", {}, lambda c: c.proof(S.RSA_PKCS1_SHA256), reasons.SCHEME_NOT_OFFERED),
    ("by SHA-1", {}, lambda c: c.proof(S.ECDSA_SHA1), reasons.SCHEME_NOT_OFFERED),
    ("of another curve", {}, lambda c: c.proof(S.ECDSA_SECP384R1_SHA384), reasons.WRONG_SIGNATURE_TYPE),
    ("of another kind of key", {}, lambda c: c.proof(S.ED25519), reasons.WRONG_SIGNATURE_TYPE),
    ("that is empty", {}, lambda c: CertificateVerify(c.who.schemes[0], b""), reasons.BAD_SIGNATURE),
    (
        "with a bit changed",
        {},
        lambda c: garbled(c.proof()),
        reasons.BAD_SIGNATURE,
    ),
    ("with another key", {}, lambda c: c.signed(identity(), CLIENT_CONTEXT), reasons.BAD_SIGNATURE),
    ("in the name of the server", {}, lambda c: c.signed(c.who, SERVER_CONTEXT), reasons.BAD_SIGNATURE),
    ("without a context", {}, lambda c: c.signed(c.who, b""), reasons.BAD_SIGNATURE),
]


@pytest.mark.parametrize(("settings", "proof", "reason"), [row[1:] for row in PROOFS], ids=[row[0] for row in PROOFS])
def test_the_clients_proof(
    settings: dict[str, Any], proof: Callable[[RawClient], CertificateVerify], reason: Reason
) -> None:
    client = asked("CertificateVerify", **settings)
    error = check_refused(client, PeerMisbehaved, reason, lambda: client.say(proof(client)))
    assert error.step == "CertificateVerify"


def test_a_proof_of_another_handshake_is_refused() -> None:
    """The server's random and share are in what is signed: a signature cannot be carried over."""
    other, client = asked("CertificateVerify"), asked("CertificateVerify")
    stolen = other.proof()
    check_refused(client, PeerMisbehaved, reasons.BAD_SIGNATURE, lambda: client.say(stolen))


def test_a_proof_without_the_certificate_in_the_transcript_is_refused() -> None:
    client = asked()
    before = client.transcript
    client.say(client.certificate())
    after, client.transcript = client.transcript, before
    proof = client.proof()
    client.transcript = after
    check_refused(client, PeerMisbehaved, reasons.BAD_SIGNATURE, lambda: client.say(proof))


# --- order ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("came", sorted({*HandshakeType.names(), 255} - {HandshakeType.CERTIFICATE}))
def test_nothing_but_certificate_answers_the_request(came: int) -> None:
    client = asked()
    error = check_refused(
        client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.handshake(bytes((came, 0, 0, 0)))
    )
    assert error.evidence == {"expected": "Certificate", "came": HandshakeType.name(came)}


@pytest.mark.parametrize("came", sorted({*HandshakeType.names(), 255} - {HandshakeType.CERTIFICATE_VERIFY}))
def test_a_certificate_needs_its_proof(came: int) -> None:
    """Above all Finished: else a certificate, which everybody has, would be enough."""
    client = asked("CertificateVerify")
    error = check_refused(
        client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.handshake(bytes((came, 0, 0, 0)))
    )
    assert error.evidence == {"expected": "CertificateVerify", "came": HandshakeType.name(came)}


def test_a_right_finished_does_not_replace_the_proof() -> None:
    client = asked("CertificateVerify")
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.say(client.finished()))


def test_no_proof_may_follow_an_empty_certificate() -> None:
    client = asked(authentication="optional")
    client.say(Certificate([]))
    error = check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.say(client.proof()))
    assert error.evidence == {"expected": "Finished", "came": "certificate_verify"}


def test_an_empty_certificate_is_enough_where_none_is_needed() -> None:
    client = asked(authentication="optional")
    client.say(Certificate([]))
    client.say_finished()
    (completed,) = client.events
    assert isinstance(completed, HandshakeCompleted)
    assert completed.handshake.peer is None
    assert completed.handshake.client_signature_scheme is None


def test_a_certificate_with_its_proof() -> None:
    client = asked("")
    (completed,) = client.events
    assert isinstance(completed, HandshakeCompleted)
    assert completed.handshake.peer is not None
    assert completed.handshake.peer.chain == client.who.chain
    assert completed.handshake.client_signature_scheme == "ecdsa_secp256r1_sha256"


def test_finished_counts_the_certificate() -> None:
    client = asked("Finished")
    whole = client.transcript
    client.transcript = whole[: whole.rindex(client.certificate().encode())]
    check_refused(client, PeerMisbehaved, reasons.BAD_FINISHED, lambda: client.say(client.finished()))


def test_what_the_server_asks_for() -> None:
    settings = {"signature_schemes": ["ed25519", "ecdsa_secp256r1_sha256"]}
    server = ServerConnection(server_config(client_authentication="optional", **settings))
    server.start()
    client = RawClient(server)
    client.say(client.hello())
    (raw,) = [raw for raw in client.heard_messages() if raw[0] == HandshakeType.CERTIFICATE_REQUEST]
    request = CertificateRequest.parse(raw)
    assert request.certificate_request_context == b""
    assert request.signature_algorithms == [S.ED25519, S.ECDSA_SECP256R1_SHA256]
    assert request.certificate_authorities == [authority().certificate.subject.public_bytes()]


# --- the server's CertificateRequest -------------------------------------------------------------------------------

P256 = [S.ECDSA_SECP256R1_SHA256]
REQUESTS: list[tuple[str, CertificateRequest, type[TLSError], Reason]] = [
    (
        "context",
        CertificateRequest(b"x", signature_algorithms=P256),
        PeerMisbehaved,
        reasons.BAD_CERTIFICATE_CONTEXT,
    ),
    ("no signature_algorithms", CertificateRequest(), PeerMisbehaved, reasons.MISSING_EXTENSION),
    (
        "signature_algorithms of nothing",
        CertificateRequest(signature_algorithms=[]),
        DecodeError,
        reasons.DECODE_ERROR,
    ),
    (
        "extension of a hello",
        CertificateRequest(signature_algorithms=P256, other_extensions={ExtensionType.KEY_SHARE: b""}),
        PeerMisbehaved,
        reasons.EXTENSION_NOT_ALLOWED,
    ),
    (
        "authority of no bytes",
        CertificateRequest(signature_algorithms=P256, certificate_authorities=[b""]),
        DecodeError,
        reasons.DECODE_ERROR,
    ),
]


@pytest.mark.parametrize(
    ("request_", "kind", "reason"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS]
)
@pytest.mark.parametrize("has_identity", [True, False])
def test_the_request(request_: CertificateRequest, kind: type[TLSError], reason: Reason, has_identity: bool) -> None:
    server = asking(identities=[client_identity()] if has_identity else [])
    check_refused(server, kind, reason, lambda: server.say(request_))


def answer_to(server: RawServer, request: CertificateRequest) -> list[bytes]:
    """The client's last flight, as messages; the server goes on well after its request."""
    server.say(request)
    server.say(server.certificate())
    server.say(server.proof())
    server.say(server.finished())
    assert [type(event) for event in server.events] == [HandshakeCompleted]
    return server.heard_messages()


def check_finished(server: RawServer, raw: bytes) -> None:
    assert raw == Finished(server.client_handshake.verify_data(server.digest())).encode()


def test_the_answer_with_a_certificate() -> None:
    server = asking(identities=[client_identity()])
    certificate, proof, finished = answer_to(server, CertificateRequest(signature_algorithms=P256))
    sent = Certificate.parse(certificate)
    assert sent.certificate_request_context == b""
    assert tuple(entry.cert_data for entry in sent.certificate_list) == client_identity().chain
    server.transcript += certificate
    verify = CertificateVerify.parse(proof)
    key = client_identity().key.public_key()
    signatures.verify(key, verify.algorithm, verify.signature, CLIENT_CONTEXT + server.digest())
    server.transcript += proof
    check_finished(server, finished)


def _subject(who: Authority) -> bytes:
    return bytes(who.certificate.subject.public_bytes())


# Whether an identity with a P-256 key, of our root, is given for a request.
FITTING: list[tuple[str, Callable[[], dict[str, Any]], bool]] = [
    ("its scheme", lambda: {"signature_algorithms": P256}, True),
    ("its scheme among unknown ones", lambda: {"signature_algorithms": [0x0A0A, 0x9999, *P256]}, True),
    ("other schemes", lambda: {"signature_algorithms": [S.ED25519, S.ECDSA_SECP384R1_SHA384]}, False),
    ("unknown schemes alone", lambda: {"signature_algorithms": [0x9999]}, False),
    (
        "its root",
        lambda: {"signature_algorithms": P256, "certificate_authorities": [b"x", _subject(authority())]},
        True,
    ),
    ("other roots", lambda: {"signature_algorithms": P256, "certificate_authorities": [b"x", b"y"]}, False),
    (
        "filters it does not know",
        lambda: {"signature_algorithms": P256, "other_extensions": {ExtensionType.OID_FILTERS: b"\0\0", 0x1234: b""}},
        True,
    ),
]


@pytest.mark.parametrize(("request_", "given"), [row[1:] for row in FITTING], ids=[row[0] for row in FITTING])
def test_an_identity_is_given_only_where_it_fits(request_: Callable[[], dict[str, Any]], given: bool) -> None:
    server = asking(identities=[client_identity()])
    messages = answer_to(server, CertificateRequest(**request_()))
    kinds = [raw[0] for raw in messages]
    if given:
        assert kinds == [HandshakeType.CERTIFICATE, HandshakeType.CERTIFICATE_VERIFY, HandshakeType.FINISHED]
    else:
        assert kinds == [HandshakeType.CERTIFICATE, HandshakeType.FINISHED]
        assert messages[0] == Certificate([]).encode()
        server.transcript += messages[0]
        check_finished(server, messages[1])


def test_without_an_identity_an_empty_certificate() -> None:
    server = asking()
    empty, finished = answer_to(server, CertificateRequest(signature_algorithms=[S.ED25519]))
    assert empty == Certificate([]).encode()
    server.transcript += empty
    check_finished(server, finished)


def test_without_a_request_no_certificate() -> None:
    server = asking(identities=[client_identity()])
    server.say(server.certificate())
    server.say(server.proof())
    server.say(server.finished())
    (finished,) = server.heard_messages()
    check_finished(server, finished)


def test_who_we_are_is_said_only_after_the_server_has_proved_itself() -> None:
    server = asking(identities=[client_identity()])
    server.say(CertificateRequest(signature_algorithms=P256))
    server.say(server.certificate())
    server.say(server.proof())
    assert server.heard_messages() == []
    check_refused(server, PeerMisbehaved, reasons.BAD_FINISHED, lambda: server.say(Finished(bytes(32))))
    assert ContentType.HANDSHAKE not in [kind for kind, _, encrypted in server.heard if encrypted]


def test_a_second_request_is_refused() -> None:
    server = asking()
    request = CertificateRequest(signature_algorithms=P256)
    server.say(request)
    error = check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.say(request))
    assert error.evidence["expected"] == "Certificate"


def test_a_request_after_the_certificate_is_refused() -> None:
    server = asking()
    server.say(server.certificate())
    request = CertificateRequest(signature_algorithms=P256)
    check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.say(request))
