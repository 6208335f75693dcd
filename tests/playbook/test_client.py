"""Every rule of RFC 9846 that a client holds its server to: class, Reason, and the alert on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handfast import HandshakeCompleted, reasons
from handfast.connection import ClientConnection
from handfast.errors import BadRecord, DecodeError, PeerIncompatible, PeerMisbehaved, TLSError
from handfast.reasons import Reason
from handfast.wire.codepoints import (
    AlertDescription,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    SignatureScheme,
)
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
)
from tests.handshake.parties import client_config, fails, identity
from tests.playbook.peers import RawServer, garbled, message
from tests.playbook.playing import CLIENT_WAITS, SUITES, at_client, check_refused

# --- ServerHello ---------------------------------------------------------------------------------------------------

SERVER_HELLOS = [
    ("legacy_version", {"legacy_version": 0x0304}, PeerMisbehaved, reasons.BAD_LEGACY_VERSION),
    ("session id changed", {"legacy_session_id_echo": bytes(32)}, PeerMisbehaved, reasons.SESSION_ID_NOT_ECHOED),
    ("session id left out", {"legacy_session_id_echo": b""}, PeerMisbehaved, reasons.SESSION_ID_NOT_ECHOED),
    ("compression", {"legacy_compression_method": 1}, PeerMisbehaved, reasons.BAD_COMPRESSION),
    (
        "suite not offered",
        {"cipher_suite": CipherSuite.TLS_CHACHA20_POLY1305_SHA256},
        PeerMisbehaved,
        reasons.SUITE_NOT_OFFERED,
    ),
    ("unknown suite", {"cipher_suite": 0xC02F}, PeerMisbehaved, reasons.SUITE_NOT_OFFERED),
    ("no version", {"selected_version": None, "key_share": None}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("TLS 1.2 selected", {"selected_version": 0x0303}, PeerMisbehaved, reasons.VERSION_NOT_OFFERED),
    ("TLS 1.4 selected", {"selected_version": 0x0305}, PeerMisbehaved, reasons.VERSION_NOT_OFFERED),
    ("no key share", {"key_share": None}, PeerMisbehaved, reasons.MISSING_EXTENSION),
    (
        "share of another group",
        {"key_share": KeyShareEntry(NamedGroup.SECP256R1, b"\4" + bytes(64))},
        PeerMisbehaved,
        reasons.GROUP_NOT_OFFERED,
    ),
    (
        "share of an unknown group",
        {"key_share": KeyShareEntry(0x1234, b"x")},
        PeerMisbehaved,
        reasons.GROUP_NOT_OFFERED,
    ),
    (
        "x25519 of low order",
        {"key_share": KeyShareEntry(NamedGroup.X25519, bytes(32))},
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE,
    ),
    (
        "x25519 too short",
        {"key_share": KeyShareEntry(NamedGroup.X25519, bytes(31))},
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE,
    ),
    (
        "hybrid too short",
        {"key_share": KeyShareEntry(NamedGroup.X25519MLKEM768, bytes(1119))},
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE,
    ),
    (
        "pre_shared_key that was not offered",
        {"other_extensions": {ExtensionType.PRE_SHARED_KEY: b"\0\0"}},
        PeerMisbehaved,
        reasons.UNSOLICITED_EXTENSION,
    ),
    ("unknown extension", {"other_extensions": {0x1234: b""}}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
    (
        "extension of EncryptedExtensions",
        {"other_extensions": {ExtensionType.SERVER_NAME: b""}},
        PeerMisbehaved,
        reasons.EXTENSION_NOT_ALLOWED,
    ),
    ("session id too long", {"legacy_session_id_echo": bytes(33)}, DecodeError, reasons.DECODE_ERROR),
]


@pytest.mark.parametrize(
    ("changes", "kind", "reason"), [row[1:] for row in SERVER_HELLOS], ids=[row[0] for row in SERVER_HELLOS]
)
def test_server_hello(changes: dict[str, Any], kind: type[TLSError], reason: Reason) -> None:
    server = at_client()
    check_refused(server, kind, reason, lambda: server.say(server.hello(**changes)))


def test_a_server_of_tls_1_2_is_named() -> None:
    server = at_client()
    old = ServerHello(bytes(32), b"", 0xC02F, other_extensions={0xFF01: b"\0"})
    error = check_refused(server, PeerIncompatible, reasons.NO_COMMON_VERSION, lambda: server.say(old))
    assert error.evidence == {"peer_speaks": "TLSv1.2", "we_offered": ["TLSv1.3"]}
    assert error.step == "ServerHello"


def test_a_server_of_tls_1_0_without_extensions_is_named() -> None:
    server = at_client()
    body = b"\x03\x01" + bytes(32) + b"\0" + b"\x00\x2f" + b"\0"
    error = check_refused(
        server,
        PeerIncompatible,
        reasons.NO_COMMON_VERSION,
        lambda: server.handshake(message(HandshakeType.SERVER_HELLO, body)),
    )
    assert error.evidence["peer_speaks"] == "TLSv1.0"


def test_what_was_offered_and_what_came_is_in_the_evidence() -> None:
    server = at_client()
    answer = server.hello(cipher_suite=CipherSuite.TLS_CHACHA20_POLY1305_SHA256)
    error = check_refused(server, PeerMisbehaved, reasons.SUITE_NOT_OFFERED, lambda: server.say(answer))
    assert error.evidence == {
        "selected": "TLS_CHACHA20_POLY1305_SHA256",
        "we_offered": ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"],
    }


@pytest.mark.parametrize("group", [NamedGroup.X25519MLKEM768, NamedGroup.X25519])
def test_a_server_may_choose_either_share(group: int) -> None:
    server = at_client()
    server.say(server.hello(group))
    server.use_handshake_keys()
    server.say(EncryptedExtensions(), server.certificate())
    server.say(server.proof())
    server.say(server.finished())
    assert [type(event) for event in server.events] == [HandshakeCompleted]


# --- EncryptedExtensions -------------------------------------------------------------------------------------------

ENCRYPTED_EXTENSIONS = [
    (
        "ALPN that was not offered",
        {},
        {"application_layer_protocol_negotiation": b"h2"},
        PeerMisbehaved,
        reasons.UNSOLICITED_EXTENSION,
    ),
    (
        "protocol that was not offered",
        {"alpn": ["http/1.1"]},
        {"application_layer_protocol_negotiation": b"h2"},
        PeerMisbehaved,
        reasons.ALPN_NOT_OFFERED,
    ),
    ("unknown", {}, {"other_extensions": {0x1234: b""}}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
    (
        "early_data",
        {},
        {"other_extensions": {ExtensionType.EARLY_DATA: b""}},
        PeerMisbehaved,
        reasons.UNSOLICITED_EXTENSION,
    ),
    (
        "key_share",
        {},
        {"other_extensions": {ExtensionType.KEY_SHARE: b""}},
        PeerMisbehaved,
        reasons.EXTENSION_NOT_ALLOWED,
    ),
    (
        "server_name with content",
        {},
        {"other_extensions": {ExtensionType.SERVER_NAME: b"x"}},
        DecodeError,
        reasons.DECODE_ERROR,
    ),
]


@pytest.mark.parametrize(
    ("settings", "extensions", "kind", "reason"),
    [row[1:] for row in ENCRYPTED_EXTENSIONS],
    ids=[row[0] for row in ENCRYPTED_EXTENSIONS],
)
def test_encrypted_extensions(
    settings: dict[str, Any], extensions: dict[str, Any], kind: type[TLSError], reason: Reason
) -> None:
    server = at_client("EncryptedExtensions", **settings)
    error = check_refused(server, kind, reason, lambda: server.say(EncryptedExtensions(**extensions)))
    assert error.step == "EncryptedExtensions"


def test_an_acknowledged_name_that_was_not_sent_is_refused() -> None:
    client = ClientConnection(client_config(cipher_suites=SUITES), server_name="127.0.0.1")
    client.start()
    server = RawServer(client).go_to("EncryptedExtensions")
    assert server.client_hello.server_name is None
    check_refused(
        server,
        PeerMisbehaved,
        reasons.UNSOLICITED_EXTENSION,
        lambda: server.say(EncryptedExtensions(server_name_acknowledged=True)),
    )


def test_two_extensions_of_one_type_are_refused() -> None:
    server = at_client("EncryptedExtensions")
    twice = message(HandshakeType.ENCRYPTED_EXTENSIONS, b"\0\x08" + 2 * b"\0\0\0\0")
    check_refused(server, DecodeError, reasons.DUPLICATE_EXTENSION, lambda: server.handshake(twice))


def test_supported_groups_of_the_server_are_for_later() -> None:
    server = at_client("EncryptedExtensions")
    server.say(EncryptedExtensions(supported_groups=[NamedGroup.SECP384R1]))
    assert server.connection.awaiting == "CertificateRequest or Certificate"


# --- CertificateRequest --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CertificateRequest(b"x", signature_algorithms=[SignatureScheme.ED25519]), reasons.BAD_CERTIFICATE_CONTEXT),
        (CertificateRequest(), reasons.MISSING_EXTENSION),
    ],
    ids=["context", "no signature_algorithms"],
)
def test_certificate_request(request_: CertificateRequest, reason: Reason) -> None:
    server = at_client("CertificateRequest or Certificate")
    check_refused(server, PeerMisbehaved, reason, lambda: server.say(request_))


def test_a_second_certificate_request_is_refused() -> None:
    server = at_client("CertificateRequest or Certificate")
    request = CertificateRequest(signature_algorithms=[SignatureScheme.ED25519])
    server.say(request)
    check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.say(request))


# --- Certificate, CertificateVerify, Finished ----------------------------------------------------------------------

CERTIFICATES = [
    ("context", Certificate([CertificateEntry(b"x")], b"x"), PeerMisbehaved, reasons.BAD_CERTIFICATE_CONTEXT),
    ("empty chain", Certificate([]), PeerMisbehaved, reasons.NO_CERTIFICATE),
    (
        "extension that was not asked for",
        Certificate([CertificateEntry(b"x", {ExtensionType.STATUS_REQUEST: b""})]),
        PeerMisbehaved,
        reasons.UNSOLICITED_EXTENSION,
    ),
    (
        "extension that may not stand there",
        Certificate([CertificateEntry(b"x", {ExtensionType.KEY_SHARE: b""})]),
        PeerMisbehaved,
        reasons.EXTENSION_NOT_ALLOWED,
    ),
    ("empty certificate", Certificate([CertificateEntry(b"")]), DecodeError, reasons.DECODE_ERROR),
    ("too many", Certificate([CertificateEntry(b"x")] * 17), DecodeError, reasons.TOO_MANY_ITEMS),
]


@pytest.mark.parametrize(
    ("certificate", "kind", "reason"), [row[1:] for row in CERTIFICATES], ids=[row[0] for row in CERTIFICATES]
)
def test_certificate(certificate: Certificate, kind: type[TLSError], reason: Reason) -> None:
    server = at_client("CertificateRequest or Certificate")
    check_refused(server, kind, reason, lambda: server.say(certificate))


def test_an_untrusted_certificate_ends_with_the_alert_of_its_cause() -> None:
    from handfast.errors import UnknownIssuer
    from handfast.testing import Authority

    server = at_client("CertificateRequest or Certificate")
    server.who = Authority.create("another root").issue("localhost")
    with pytest.raises(UnknownIssuer) as caught:
        server.say(server.certificate())
    assert server.heard_alert() == (AlertDescription.UNKNOWN_CA, True)
    assert caught.value.step == "Certificate"


PROOFS: list[tuple[str, dict[str, Any], Callable[[RawServer], CertificateVerify], Reason]] = [
    ("of RSA PKCS#1", {}, lambda s: s.proof(SignatureScheme.RSA_PKCS1_SHA256), reasons.SCHEME_NOT_OFFERED),
    ("of SHA-1", {}, lambda s: s.proof(SignatureScheme.ECDSA_SHA1), reasons.SCHEME_NOT_OFFERED),
    (
        "of a scheme that is not offered",
        {"signature_schemes": ["ed25519"]},
        lambda s: s.proof(),
        reasons.SCHEME_NOT_OFFERED,
    ),
    (
        "of another curve",
        {},
        lambda s: s.proof(SignatureScheme.ECDSA_SECP384R1_SHA384),
        reasons.WRONG_SIGNATURE_TYPE,
    ),
    ("of another kind of key", {}, lambda s: s.proof(SignatureScheme.ED25519), reasons.WRONG_SIGNATURE_TYPE),
    (
        "that is wrong",
        {},
        lambda s: garbled(s.proof()),
        reasons.BAD_SIGNATURE,
    ),
    ("that is empty", {}, lambda s: CertificateVerify(s.who.schemes[0], b""), reasons.BAD_SIGNATURE),
]


@pytest.mark.parametrize(("settings", "proof", "reason"), [row[1:] for row in PROOFS], ids=[row[0] for row in PROOFS])
def test_certificate_verify(
    settings: dict[str, Any], proof: Callable[[RawServer], CertificateVerify], reason: Reason
) -> None:
    server = at_client("CertificateVerify", **settings)
    check_refused(server, PeerMisbehaved, reason, lambda: server.say(proof(server)))


def test_a_proof_over_another_transcript_is_refused() -> None:
    server = at_client("CertificateVerify")
    right = server.transcript
    server.transcript += b"x"
    proof = server.proof()
    server.transcript = right
    check_refused(server, PeerMisbehaved, reasons.BAD_SIGNATURE, lambda: server.say(proof))


def test_a_proof_with_another_key_is_refused() -> None:
    server = at_client("CertificateVerify")
    other = identity("p256", "other.example")
    server.who = other
    check_refused(server, PeerMisbehaved, reasons.BAD_SIGNATURE, lambda: server.say(server.proof()))


@pytest.mark.parametrize("data", [bytes(32), b"", bytes(31), bytes(64)], ids=["wrong", "empty", "short", "long"])
def test_finished(data: bytes) -> None:
    server = at_client("Finished")
    error = check_refused(server, PeerMisbehaved, reasons.BAD_FINISHED, lambda: server.say(Finished(data)))
    assert error.evidence == {}  # a failed check of a MAC says no more than that


def test_the_right_finished_with_more_behind_it_is_refused() -> None:
    server = at_client("Finished")
    longer = Finished(server.finished().verify_data + b"\0")
    check_refused(server, PeerMisbehaved, reasons.BAD_FINISHED, lambda: server.say(longer))


# --- order ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("came", sorted({*HandshakeType.names(), 3, 99, 255}))
@pytest.mark.parametrize("awaited", CLIENT_WAITS, ids=lambda name: name or "established")
def test_any_message_at_any_time(awaited: str, came: int) -> None:
    """Only what is awaited is read; the rest is refused before it is parsed: its body would not parse."""
    server = at_client(awaited)
    expected = {HandshakeType.value(_snake(name)) for name in awaited.split(" or ") if name}
    if awaited == "":
        special = {
            HandshakeType.NEW_SESSION_TICKET: (DecodeError, reasons.DECODE_ERROR),
            HandshakeType.KEY_UPDATE: (DecodeError, reasons.DECODE_ERROR),
            HandshakeType.HELLO_REQUEST: (PeerMisbehaved, reasons.RENEGOTIATION),
        }
    else:
        special = dict.fromkeys(
            expected,
            (DecodeError, reasons.DECODE_ERROR) if awaited != "Finished" else (PeerMisbehaved, reasons.BAD_FINISHED),
        )
    kind, reason = special.get(came, (PeerMisbehaved, reasons.UNEXPECTED_MESSAGE))
    error = check_refused(server, kind, reason, lambda: server.handshake(message(came)))
    if reason is reasons.UNEXPECTED_MESSAGE:
        assert error.evidence == {
            "expected": awaited or "nothing but application data",
            "came": HandshakeType.name(came),
        }


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).strip("_")


def test_a_message_is_refused_at_its_first_byte() -> None:
    server = at_client("EncryptedExtensions")
    check_refused(
        server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(bytes((HandshakeType.FINISHED,)))
    )


def test_a_message_that_is_too_large_is_refused_at_its_header() -> None:
    server = at_client("CertificateRequest or Certificate")
    header = bytes((HandshakeType.CERTIFICATE,)) + (1 << 20).to_bytes(3)
    check_refused(server, PeerMisbehaved, reasons.MESSAGE_TOO_LARGE, lambda: server.handshake(header))


# --- changes of keys -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("excess", [b"\x08", message(HandshakeType.ENCRYPTED_EXTENSIONS, b"\0\0")])
def test_nothing_may_stand_behind_server_hello(excess: bytes) -> None:
    """What comes after it has to be encrypted (RFC 9846 section 5.1). Our keys are in force when we say so."""
    server = at_client()
    raw = server.noted(server.hello())
    with fails(PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA) as caught:
        server.handshake(raw, excess)
    assert caught.value.evidence == {"excess_bytes": len(excess)}
    server.use_handshake_keys()
    assert server.heard_alert() == (AlertDescription.UNEXPECTED_MESSAGE, True)


@pytest.mark.parametrize("excess", [b"\x04", message(HandshakeType.NEW_SESSION_TICKET, bytes(14))])
def test_nothing_may_stand_behind_finished(excess: bytes) -> None:
    server = at_client("Finished")
    raw = server.noted(server.finished())
    with fails(PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA):
        server.handshake(raw, excess)
    server.derive_application_secrets()
    heard = server.connection.data_to_send()
    assert heard[-24:-19] == b"\x17\x03\x03\x00\x13"  # the alert, with the application keys


def test_a_server_that_does_not_change_keys_is_not_understood() -> None:
    server = at_client()
    server.say(server.hello())
    with fails(BadRecord, reasons.UNENCRYPTED_RECORD):
        server.handshake(EncryptedExtensions().encode())
    server.use_handshake_keys()
    assert server.heard_alert() == (AlertDescription.UNEXPECTED_MESSAGE, True)
