"""Every rule of TLS 1.2 that a server holds its client to: class, Reason, and the alert on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from handfast import CertificateRefused, HandshakeCompleted, reasons
from handfast.connection import ServerConnection
from handfast.crypto.signatures import SCHEMES_12, verify
from handfast.crypto.suites import SUITES_12
from handfast.errors import (
    CertificateUnreadable,
    CertificateUsageError,
    DecodeError,
    MissingIntermediate,
    PeerIncompatible,
    PeerMisbehaved,
    TLSError,
)
from handfast.reasons import Reason
from handfast.testing import Authority
from handfast.wire.codepoints import (
    AlertDescription,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    SignatureScheme,
)
from handfast.wire.hello import DOWNGRADED_TO_12, ServerHello
from handfast.wire.messages12 import (
    Certificate12,
    CertificateVerify12,
    ClientKeyExchange,
    Finished12,
    ServerKeyExchange,
)
from tests.handshake.parties import authority, client_identity, identity, server_config
from tests.playbook.peers import message
from tests.playbook.peers12 import RawClient12
from tests.playbook.playing import at_server12, check_refused

S = SignatureScheme
X = ExtensionType
FALLBACK = CipherSuite.TLS_FALLBACK_SCSV
ONLY_12 = {"max_version": "1.2"}

# --- ClientHello ---------------------------------------------------------------------------------------------------

CLIENT_HELLOS: list[tuple[str, dict[str, Any], dict[str, Any], type[TLSError], Reason]] = [
    ("TLS 1.1", {}, {"legacy_version": 0x0302}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("TLS 1.0", {}, {"legacy_version": 0x0301}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("SSL 3.0", {}, {"legacy_version": 0x0300}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("SSL 2.0", {}, {"legacy_version": 0x0002}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("TLS 1.2 where only 1.3 is spoken", {"min_version": "1.3"}, {}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    (
        "older versions alone, by the extension",
        {},
        {"supported_versions": [0x0302, 0x0301]},
        PeerIncompatible,
        reasons.NO_COMMON_VERSION,
    ),
    (
        "a fallback",
        {},
        {"cipher_suites": [*SUITES_12, FALLBACK]},
        PeerIncompatible,
        reasons.INAPPROPRIATE_FALLBACK,
    ),
    (
        "a fallback, by the extension",
        {},
        {"cipher_suites": [*SUITES_12, FALLBACK], "supported_versions": [0x0303]},
        PeerIncompatible,
        reasons.INAPPROPRIATE_FALLBACK,
    ),
    ("compression alone", {}, {"legacy_compression_methods": b"\1"}, PeerMisbehaved, reasons.BAD_COMPRESSION),
    ("a renegotiation", {}, {"renegotiation_info": bytes(12)}, PeerMisbehaved, reasons.BAD_RENEGOTIATION_INFO),
    ("no uncompressed points", {}, {"ec_point_formats": b"\1\2"}, PeerMisbehaved, reasons.BAD_POINT_FORMATS),
    (
        "no extended main secret",
        {},
        {"extended_main_secret": None},
        PeerIncompatible,
        reasons.NO_EXTENDED_MAIN_SECRET,
    ),
    ("no group", {}, {"supported_groups": [NamedGroup.SECP256R1, NamedGroup.X448]}, PeerIncompatible, reasons.NO_COMMON_GROUP),
    ("a hybrid alone", {}, {"supported_groups": [NamedGroup.SECP256R1, 0x11EC]}, PeerIncompatible, reasons.NO_COMMON_GROUP),
    ("finite fields alone", {}, {"supported_groups": [NamedGroup.SECP256R1, 0x0100]}, PeerIncompatible, reasons.NO_COMMON_GROUP),
    ("no suite", {}, {"cipher_suites": [0x1301]}, PeerIncompatible, reasons.NO_COMMON_SUITE),
    ("suites with RSA alone", {}, {"cipher_suites": [0xC02F]}, PeerIncompatible, reasons.NO_COMMON_SUITE),
    (
        "export, NULL, RC4, 3DES, RSA and CBC",
        {},
        {"cipher_suites": [0x0003, 0x0001, 0x0005, 0x000A, 0x009C, 0xC009, 0xC023, 0x009E]},
        PeerIncompatible,
        reasons.NO_COMMON_SUITE,
    ),
    (
        "no signature algorithms, which means SHA-1",
        {},
        {"signature_algorithms": None},
        PeerIncompatible,
        reasons.NO_COMMON_SIGNATURE_SCHEME,
    ),
    (
        "SHA-1 and MD5 alone",
        {},
        {"signature_algorithms": [S.ECDSA_SHA1, S.RSA_PKCS1_SHA1, 0x0103, 0x0101]},
        PeerIncompatible,
        reasons.NO_COMMON_SIGNATURE_SCHEME,
    ),
    (
        "a certificate's curve that the client does not know",
        {"groups": ["x25519"]},
        {"supported_groups": [NamedGroup.X25519]},
        PeerIncompatible,
        reasons.NO_COMMON_SIGNATURE_SCHEME,
    ),
    (
        "no protocol",
        {"alpn": ["h2"]},
        {"application_layer_protocol_negotiation": [b"ftp"]},
        PeerIncompatible,
        reasons.NO_COMMON_ALPN,
    ),
    (
        "another name",
        {"unknown_names": "refuse"},
        {"server_name": "other.example"},
        PeerIncompatible,
        reasons.UNRECOGNIZED_NAME,
    ),
    ("a record size that is too small", {}, {"record_size_limit": 63}, PeerMisbehaved, reasons.BAD_RECORD_SIZE_LIMIT),
]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "changes", "kind", "reason"), [row[1:] for row in CLIENT_HELLOS], ids=[row[0] for row in CLIENT_HELLOS]
)
def test_client_hello(settings: dict[str, Any], changes: dict[str, Any], kind: type[TLSError], reason: Reason) -> None:
    if "group" in reason.name:
        settings = {"groups": ["x25519"], "identities": [identity("rsa2048")]}
    client = at_server12(**settings)
    error = check_refused(client, kind, reason, lambda: client.say(client.hello(**changes)))
    assert error.step == "ClientHello"


@pytest.mark.parametrize(
    ("version", "name"), [(0x0302, "TLSv1.1"), (0x0301, "TLSv1.0"), (0x0300, "SSLv3"), (0x0002, "SSLv2")]
)
def test_an_old_client_is_refused_by_name(version: int, name: str) -> None:
    client = at_server12()
    body = version.to_bytes(2) + bytes(32) + b"\0" + b"\0\2\0\x2f" + b"\1\0"
    raw = message(HandshakeType.CLIENT_HELLO, body)
    error = check_refused(client, PeerIncompatible, reasons.NO_COMMON_VERSION, lambda: client.handshake(raw))
    assert error.evidence["peer_speaks"] == name
    assert error.evidence["we_accept"] == ["TLSv1.3", "TLSv1.2"]
    assert client.heard_alert() == (AlertDescription.PROTOCOL_VERSION, False)


def test_a_client_hello_of_ssl_2_is_named() -> None:
    client = at_server12()
    old = b"\x80\x2e\x01\x03\x03" + bytes(43)  # in the old format, for TLS 1.2
    check_refused(client, PeerMisbehaved, reasons.SSLV2, lambda: client.deliver(old))


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({}, {}),
        ({}, {"legacy_version": 0x0304}),
        ({}, {"legacy_version": 0x03FF}),
        ({}, {"supported_versions": [0x0A0A, 0x0303, 0x0302]}),
        ({}, {"supported_versions": [0x0303], "legacy_version": 0x0301}),
        (ONLY_12, {"supported_versions": [0x0304, 0x0303]}),
        (ONLY_12, {"cipher_suites": [*SUITES_12, FALLBACK]}),
        ({}, {"legacy_compression_methods": b"\1\0"}),
        ({}, {"legacy_session_id": bytes(32)}),
        ({}, {"ec_point_formats": None}),
        ({}, {"supported_groups": None}),
        ({}, {"ec_point_formats": b"\1\0\2"}),
        ({}, {"cipher_suites": [0x1A1A, 0x002F, *SUITES_12], "other_extensions": {0x1A1A: b"", 0x0023: b"", 0x0016: b""}}),
    ],
)  # fmt: skip
def test_what_is_fine(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    client = at_server12(**settings).go_to("", **changes)
    assert isinstance(client.events[0], HandshakeCompleted)
    assert client.events[0].handshake.version == "TLSv1.2"
    client.hear()
    assert client.server_hello.legacy_session_id_echo == b""


@pytest.mark.parametrize(
    ("changes", "answered"),
    [
        ({}, b""),
        ({"renegotiation_info": None}, None),
        ({"renegotiation_info": None, "cipher_suites": [*SUITES_12, 0x00FF]}, b""),
    ],
    ids=["extension", "neither", "SCSV"],
)
def test_secure_renegotiation_is_answered_where_it_is_offered(changes: dict[str, Any], answered: bytes | None) -> None:
    """A server that never renegotiates is safe with clients that do not know it (RFC 5746 section 3.6)."""
    client = at_server12().go_to("", **changes)
    assert client.server_hello.renegotiation_info == answered


@pytest.mark.parametrize(("settings", "marked"), [({}, True), (ONLY_12, False)], ids=["1.3 too", "1.2 alone"])
def test_a_server_that_could_do_more_says_so_in_its_random(settings: dict[str, Any], marked: bool) -> None:
    client = at_server12("ClientKeyExchange", **settings)
    assert client.server_hello.random.endswith(DOWNGRADED_TO_12) == marked


def test_an_answer_has_only_what_was_offered() -> None:
    bare = {"ec_point_formats": None, "server_name": None, "renegotiation_info": None}
    client = at_server12(alpn=["h2"], record_size_limit=100).go_to("ClientKeyExchange", **bare)
    assert client.server_hello.extension_types == [X.EXTENDED_MAIN_SECRET]
    full = {"record_size_limit": 100, "application_layer_protocol_negotiation": [b"h2"]}
    client = at_server12(alpn=["h2"], record_size_limit=100).go_to("ClientKeyExchange", **full)
    assert set(client.server_hello.extension_types) == {
        X.RENEGOTIATION_INFO,
        X.SERVER_NAME,
        X.EC_POINT_FORMATS,
        X.EXTENDED_MAIN_SECRET,
        X.APPLICATION_LAYER_PROTOCOL_NEGOTIATION,
        X.RECORD_SIZE_LIMIT,
    }
    assert client.server_hello.legacy_compression_method == 0
    assert isinstance(client.server_hello, ServerHello)


@pytest.mark.parametrize("chosen", ["rsa2048", None])
def test_the_application_may_choose_who_it_is(chosen: str | None) -> None:
    """The suite is then one that goes with the key."""
    client = at_server12("", choose_identity=lambda hello: identity(chosen) if chosen else None)
    assert client.connection.handshake is not None
    assert client.connection.handshake.identity is identity(chosen or "p256")
    assert ("_RSA_" in client.connection.handshake.cipher_suite) == (chosen is not None)


# --- what the server signs -----------------------------------------------------------------------------------------


def test_what_the_server_signs_is_of_this_connection() -> None:
    """Its share, with both randoms: nobody can use it in another connection."""
    first, second = (at_server12("ClientKeyExchange") for _ in range(2))
    key = x509.load_der_x509_certificate(identity().chain[0]).public_key()
    for client in (first, second):
        exchange = client.server_exchange
        content = b"".join(client.randoms) + ServerKeyExchange.params(exchange.group, exchange.public)
        verify(key, exchange.algorithm, exchange.signature, content, SCHEMES_12)
    assert first.server_exchange.public != second.server_exchange.public
    assert first.server_hello.random != second.server_hello.random


# --- ClientKeyExchange ---------------------------------------------------------------------------------------------

SHARES = [
    (NamedGroup.X25519, bytes(32)),
    (NamedGroup.X25519, bytes(31)),
    (NamedGroup.X25519, bytes(33)),
    (NamedGroup.SECP256R1, b"\4" + bytes(64)),
    (NamedGroup.SECP256R1, b"\2" + bytes(32)),
    (NamedGroup.SECP256R1, b"\0"),
]


@pytest.mark.parametrize(("group", "public"), SHARES)
def test_a_share_that_is_no_point(group: int, public: bytes) -> None:
    client = at_server12("ClientKeyExchange", group, groups=[group])
    check_refused(client, PeerMisbehaved, reasons.BAD_KEY_SHARE, lambda: client.say(ClientKeyExchange(public)))


@pytest.mark.parametrize("body", [b"", b"\0", b"\x20" + bytes(31), b"\x20" + bytes(33), bytes(2) + bytes(256)])
def test_a_key_exchange_that_does_not_parse(body: bytes) -> None:
    """The last one is that of an RSA key exchange, as an attack on PKCS#1 padding would send (Bleichenbacher)."""
    client = at_server12("ClientKeyExchange")
    raw = message(HandshakeType.CLIENT_KEY_EXCHANGE, body)
    check_refused(client, DecodeError, reasons.DECODE_ERROR, lambda: client.handshake(raw))


# --- the client's certificate --------------------------------------------------------------------------------------

CERTIFICATES: list[tuple[str, Callable[[], Certificate12], type[TLSError], Reason]] = [
    ("none", lambda: Certificate12([]), PeerIncompatible, reasons.CERTIFICATE_REQUIRED_12),
    ("of no bytes", lambda: Certificate12([b""]), DecodeError, reasons.DECODE_ERROR),
    ("too many", lambda: Certificate12([b"x"] * 17), DecodeError, reasons.TOO_MANY_ITEMS),
]


@pytest.mark.parametrize(
    ("certificate", "kind", "reason"), [row[1:] for row in CERTIFICATES], ids=[row[0] for row in CERTIFICATES]
)
def test_the_clients_certificate(
    certificate: Callable[[], Certificate12], kind: type[TLSError], reason: Reason
) -> None:
    client = at_server12("Certificate")
    check_refused(client, kind, reason, lambda: client.say(certificate()))


def test_a_missing_certificate_has_no_alert_of_its_own_in_tls_1_2() -> None:
    """RFC 5246 section 7.4.6; certificate_required is TLS 1.3's."""
    assert reasons.CERTIFICATE_REQUIRED_12.alert == AlertDescription.HANDSHAKE_FAILURE


CHAINS: list[tuple[str, Callable[[], Certificate12], type[TLSError], Reason]] = [
    ("that is none", lambda: Certificate12([b"x"]), CertificateUnreadable, reasons.CERTIFICATE_UNREADABLE),
    (
        "of a server",
        lambda: Certificate12(list(identity().chain)),
        CertificateUsageError,
        reasons.CERTIFICATE_WRONG_USAGE,
    ),
    (
        "of another root",
        lambda: Certificate12(list(Authority.create("another").issue("client", usage=("client",)).chain)),
        MissingIntermediate,
        reasons.MISSING_INTERMEDIATE,
    ),
]


@pytest.mark.parametrize("authentication", ["optional", "required"])
@pytest.mark.parametrize(("certificate", "kind", "reason"), [row[1:] for row in CHAINS], ids=[row[0] for row in CHAINS])
def test_a_chain_that_does_not_verify(
    certificate: Callable[[], Certificate12], kind: type[TLSError], reason: Reason, authentication: str
) -> None:
    client = at_server12("Certificate", client_authentication=authentication)

    def act() -> None:
        client.say(certificate())
        client.say_exchange()

    check_refused(client, kind, reason, act)


def test_a_client_may_have_no_certificate_where_it_is_optional() -> None:
    client = at_server12("Certificate", client_authentication="optional")
    client.say(Certificate12([]))
    client.say_exchange()
    client.change_cipher_spec()
    client.say(client.finished())
    assert client.connection.handshake is not None
    assert client.connection.handshake.peer is None


def test_what_a_client_is_asked() -> None:
    client = at_server12("Certificate")
    request = client.request
    assert request is not None
    assert request.certificate_types == b"\x40\1"
    assert S.ECDSA_SHA1 not in request.signature_algorithms
    assert S.RSA_PKCS1_SHA1 not in request.signature_algorithms
    assert request.certificate_authorities == list(authority().trust.subjects())


# --- CertificateVerify ---------------------------------------------------------------------------------------------


def garbled(proof: CertificateVerify12) -> CertificateVerify12:
    """The same with one bit of the signature changed."""
    return CertificateVerify12(proof.algorithm, proof.signature[:-1] + bytes((proof.signature[-1] ^ 1,)))


def over(client: RawClient12, content: bytes) -> CertificateVerify12:
    """A signature over something else than the messages so far."""
    right, client.transcript = client.transcript, content
    proof = client.proof()
    client.transcript = right
    return proof


PROOFS: list[tuple[str, dict[str, Any], Callable[[RawClient12], CertificateVerify12], Reason]] = [
    ("SHA-1", {}, lambda c: c.proof(S.ECDSA_SHA1), reasons.SCHEME_NOT_OFFERED),
    ("MD5", {}, lambda c: c.proof(0x0101), reasons.SCHEME_NOT_OFFERED),
    ("not offered", {"signature_schemes": ["ed25519"]}, lambda c: c.proof(), reasons.SCHEME_NOT_OFFERED),
    ("of another key", {}, lambda c: c.proof(S.RSA_PKCS1_SHA256), reasons.WRONG_SIGNATURE_TYPE),
    ("another hash", {}, lambda c: c.proof(S.ECDSA_SECP384R1_SHA384), reasons.BAD_SIGNATURE),
    ("wrong", {}, lambda c: garbled(c.proof()), reasons.BAD_SIGNATURE),
    ("empty", {}, lambda c: CertificateVerify12(S.ECDSA_SECP256R1_SHA256, b""), reasons.BAD_SIGNATURE),
    ("over another handshake", {}, lambda c: over(c, c.transcript + b"\0"), reasons.BAD_SIGNATURE),
    ("over the hash of it", {}, lambda c: over(c, c.digest()), reasons.BAD_SIGNATURE),
]


@pytest.mark.parametrize(("settings", "proof", "reason"), [row[1:] for row in PROOFS], ids=[row[0] for row in PROOFS])
def test_certificate_verify(
    settings: dict[str, Any], proof: Callable[[RawClient12], CertificateVerify12], reason: Reason
) -> None:
    client = at_server12("CertificateVerify", **settings)
    check_refused(client, PeerMisbehaved, reason, lambda: client.say(proof(client)))


def test_a_proof_with_another_key() -> None:
    client = at_server12("CertificateVerify")
    client.who = authority().issue("other.example", usage=("client",))
    check_refused(client, PeerMisbehaved, reasons.BAD_SIGNATURE, lambda: client.say(client.proof()))


def test_a_client_that_is_not_welcome() -> None:
    def check(peer: Any) -> None:
        raise CertificateRefused(alert="access_denied")

    client = at_server12("CertificateVerify", check_peer=check)
    with pytest.raises(CertificateRefused):
        client.say(client.proof())
    assert client.heard_alert() == (AlertDescription.ACCESS_DENIED, False)


@pytest.mark.parametrize("key", ["p256", "p384", "p521", "rsa2048", "rsapss2048", "ed25519", "ed448"])
def test_every_kind_of_key_may_sign(key: str) -> None:
    server = ServerConnection(server_config(client_authentication="required"))
    server.start()
    client = RawClient12(server, who=client_identity(key)).go_to("")
    assert client.connection.handshake is not None
    assert client.connection.handshake.client_signature_scheme is not None


# --- Finished ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [bytes(12), b"", bytes(11), bytes(32)], ids=["wrong", "empty", "short", "long"])
def test_finished(data: bytes) -> None:
    client = at_server12("Finished")
    error = check_refused(client, PeerMisbehaved, reasons.BAD_FINISHED, lambda: client.say(Finished12(data)))
    assert error.evidence == {}


def test_finished_with_more_behind_it() -> None:
    client = at_server12("Finished")
    longer = Finished12(client.finished().verify_data + b"\0")
    check_refused(client, PeerMisbehaved, reasons.BAD_FINISHED, lambda: client.say(longer))


def test_a_changed_transcript_shows_in_the_keys() -> None:
    """A suite or a version that was taken out of the ClientHello on the way (Logjam, FREAK)."""
    client = at_server12("ClientKeyExchange")
    offered = CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384.to_bytes(2)
    client.transcript = client.transcript.replace(offered, b"\x1a\x1a", 1)
    client.say_exchange()
    client.change_cipher_spec()
    with pytest.raises(TLSError) as caught:
        client.say(client.finished())
    assert caught.value.reason is reasons.BAD_RECORD_MAC
    assert client.heard_alert() == (AlertDescription.BAD_RECORD_MAC, False)
