"""Every rule of RFC 9846 that a client holds its server to: class, Reason, and the alert on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handfast import AlertReceived, ApplicationData, HandshakeCompleted, PeerClosed, TruncationError, reasons
from handfast.connection import ClientConnection
from handfast.errors import BadRecord, DecodeError, PeerIncompatible, PeerMisbehaved, TLSError
from handfast.reasons import Reason
from handfast.wire.codepoints import (
    AlertDescription,
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    SignatureScheme,
)
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import HELLO_RETRY_RANDOM, ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
)
from tests.handshake.parties import client_config, fails, identity
from tests.playbook.peers import CHANGE_CIPHER_SPEC, CLOSE_NOTIFY, USER_CANCELED, RawServer, _Direction, message, record

SETTINGS: dict[str, Any] = {"cipher_suites": ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]}
WAITS = ("ServerHello", "EncryptedExtensions", "CertificateRequest or Certificate", "CertificateVerify", "Finished", "")


def playing(awaited: str = "ServerHello", **settings: Any) -> RawServer:
    """A raw server whose client awaits this message."""
    client = ClientConnection(client_config(**{**SETTINGS, **settings}), server_name="localhost")
    client.start()
    return RawServer(client).go_to(awaited)


def check_refused(server: RawServer, kind: type[TLSError], reason: Reason, act: Callable[[], object]) -> TLSError:
    """``act`` makes the client refuse, and tell the server why: before ServerHello in plain text, then encrypted."""
    encrypted = server.reading is not None
    with fails(kind, reason) as caught:
        act()
    assert server.heard_alert() == (reason.alert, encrypted)
    with fails(kind, reason):
        server.connection.next_event()
    return caught.value


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
    (
        "HelloRetryRequest",
        {
            "random": HELLO_RETRY_RANDOM,
            "key_share": None,
            "selected_group": NamedGroup.SECP384R1,
        },
        PeerIncompatible,
        reasons.HELLO_RETRY_UNSUPPORTED,
    ),
    (
        "HelloRetryRequest without a group",
        {"random": HELLO_RETRY_RANDOM, "key_share": None, "cookie": b"cookie"},
        PeerIncompatible,
        reasons.HELLO_RETRY_UNSUPPORTED,
    ),
]


@pytest.mark.parametrize(
    ("changes", "kind", "reason"), [row[1:] for row in SERVER_HELLOS], ids=[row[0] for row in SERVER_HELLOS]
)
def test_server_hello(changes: dict[str, Any], kind: type[TLSError], reason: Reason) -> None:
    server = playing()
    check_refused(server, kind, reason, lambda: server.say(server.hello(**changes)))


def test_a_server_of_tls_1_2_is_named() -> None:
    server = playing()
    old = ServerHello(bytes(32), b"", 0xC02F, other_extensions={0xFF01: b"\0"})
    error = check_refused(server, PeerIncompatible, reasons.NO_COMMON_VERSION, lambda: server.say(old))
    assert error.evidence == {"peer_speaks": "TLSv1.2", "we_offered": ["TLSv1.3"]}
    assert error.step == "ServerHello"


def test_a_server_of_tls_1_0_without_extensions_is_named() -> None:
    server = playing()
    body = b"\x03\x01" + bytes(32) + b"\0" + b"\x00\x2f" + b"\0"
    error = check_refused(
        server,
        PeerIncompatible,
        reasons.NO_COMMON_VERSION,
        lambda: server.handshake(message(HandshakeType.SERVER_HELLO, body)),
    )
    assert error.evidence["peer_speaks"] == "TLSv1.0"


def test_a_retry_request_names_the_group() -> None:
    server = playing()
    retry = server.hello(random=HELLO_RETRY_RANDOM, key_share=None, selected_group=NamedGroup.SECP384R1)
    error = check_refused(server, PeerIncompatible, reasons.HELLO_RETRY_UNSUPPORTED, lambda: server.say(retry))
    assert error.evidence == {
        "server_asks_for": "secp384r1",
        "we_sent_shares_of": ["X25519MLKEM768", "x25519"],
    }


def test_what_was_offered_and_what_came_is_in_the_evidence() -> None:
    server = playing()
    answer = server.hello(cipher_suite=CipherSuite.TLS_CHACHA20_POLY1305_SHA256)
    error = check_refused(server, PeerMisbehaved, reasons.SUITE_NOT_OFFERED, lambda: server.say(answer))
    assert error.evidence == {
        "selected": "TLS_CHACHA20_POLY1305_SHA256",
        "we_offered": ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"],
    }


@pytest.mark.parametrize("group", [NamedGroup.X25519MLKEM768, NamedGroup.X25519])
def test_a_server_may_choose_either_share(group: int) -> None:
    server = playing()
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
    server = playing("EncryptedExtensions", **settings)
    error = check_refused(server, kind, reason, lambda: server.say(EncryptedExtensions(**extensions)))
    assert error.step == "EncryptedExtensions"


def test_an_acknowledged_name_that_was_not_sent_is_refused() -> None:
    client = ClientConnection(client_config(**SETTINGS), server_name="127.0.0.1")
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
    server = playing("EncryptedExtensions")
    twice = message(HandshakeType.ENCRYPTED_EXTENSIONS, b"\0\x08" + 2 * b"\0\0\0\0")
    check_refused(server, DecodeError, reasons.DUPLICATE_EXTENSION, lambda: server.handshake(twice))


def test_supported_groups_of_the_server_are_for_later() -> None:
    server = playing("EncryptedExtensions")
    server.say(EncryptedExtensions(supported_groups=[NamedGroup.SECP384R1]))
    assert server.connection.awaiting == "CertificateRequest or Certificate"


# --- CertificateRequest --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [b""])
def test_a_request_is_answered_by_an_empty_certificate(context: bytes) -> None:
    """RFC 9846 section 4.5.1.2: a client without a certificate says so, and the server decides."""
    server = playing("CertificateRequest or Certificate")
    server.say(CertificateRequest(context, signature_algorithms=[SignatureScheme.ED25519]))
    assert server.connection.awaiting == "Certificate"
    server.say(server.certificate())
    server.say(server.proof())
    server.say(server.finished())
    assert [type(event) for event in server.events] == [HandshakeCompleted]
    heard = b"".join(content for kind, content, _ in server.hear() if kind == ContentType.HANDSHAKE)
    assert heard[:8] == message(HandshakeType.CERTIFICATE, b"\0\0\0\0")
    server.transcript += heard[:8]
    assert heard[8:] == Finished(server.client_handshake.verify_data(server.digest())).encode()


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CertificateRequest(b"x", signature_algorithms=[SignatureScheme.ED25519]), reasons.BAD_CERTIFICATE_CONTEXT),
        (CertificateRequest(), reasons.MISSING_EXTENSION),
    ],
    ids=["context", "no signature_algorithms"],
)
def test_certificate_request(request_: CertificateRequest, reason: Reason) -> None:
    server = playing("CertificateRequest or Certificate")
    check_refused(server, PeerMisbehaved, reason, lambda: server.say(request_))


def test_a_second_certificate_request_is_refused() -> None:
    server = playing("CertificateRequest or Certificate")
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
    server = playing("CertificateRequest or Certificate")
    check_refused(server, kind, reason, lambda: server.say(certificate))


def test_an_untrusted_certificate_ends_with_the_alert_of_its_cause() -> None:
    from handfast.errors import UnknownIssuer
    from handfast.testing import Authority

    server = playing("CertificateRequest or Certificate")
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
        lambda s: CertificateVerify(s.who.schemes[0], s.proof().signature[:-1] + b"\0"),
        reasons.BAD_SIGNATURE,
    ),
    ("that is empty", {}, lambda s: CertificateVerify(s.who.schemes[0], b""), reasons.BAD_SIGNATURE),
]


@pytest.mark.parametrize(("settings", "proof", "reason"), [row[1:] for row in PROOFS], ids=[row[0] for row in PROOFS])
def test_certificate_verify(
    settings: dict[str, Any], proof: Callable[[RawServer], CertificateVerify], reason: Reason
) -> None:
    server = playing("CertificateVerify", **settings)
    check_refused(server, PeerMisbehaved, reason, lambda: server.say(proof(server)))


def test_a_proof_over_another_transcript_is_refused() -> None:
    server = playing("CertificateVerify")
    right = server.transcript
    server.transcript += b"x"
    proof = server.proof()
    server.transcript = right
    check_refused(server, PeerMisbehaved, reasons.BAD_SIGNATURE, lambda: server.say(proof))


def test_a_proof_with_another_key_is_refused() -> None:
    server = playing("CertificateVerify")
    other = identity("p256", "other.example")
    server.who = other
    check_refused(server, PeerMisbehaved, reasons.BAD_SIGNATURE, lambda: server.say(server.proof()))


@pytest.mark.parametrize("data", [bytes(32), b"", bytes(31), bytes(64)], ids=["wrong", "empty", "short", "long"])
def test_finished(data: bytes) -> None:
    server = playing("Finished")
    error = check_refused(server, PeerMisbehaved, reasons.BAD_FINISHED, lambda: server.say(Finished(data)))
    assert error.evidence == {}  # a failed check of a MAC says no more than that


def test_the_right_finished_with_more_behind_it_is_refused() -> None:
    server = playing("Finished")
    longer = Finished(server.finished().verify_data + b"\0")
    check_refused(server, PeerMisbehaved, reasons.BAD_FINISHED, lambda: server.say(longer))


# --- order ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("came", sorted({*HandshakeType.names(), 3, 99, 255}))
@pytest.mark.parametrize("awaited", WAITS, ids=lambda name: name or "established")
def test_any_message_at_any_time(awaited: str, came: int) -> None:
    """Only what is awaited is read; the rest is refused before it is parsed: its body would not parse."""
    server = playing(awaited)
    expected = {HandshakeType.value(_snake(name)) for name in awaited.split(" or ") if name}
    if awaited == "":
        special = {
            HandshakeType.NEW_SESSION_TICKET: (DecodeError, reasons.DECODE_ERROR),
            HandshakeType.KEY_UPDATE: (PeerMisbehaved, reasons.KEY_UPDATE_UNSUPPORTED),
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
    server = playing("EncryptedExtensions")
    check_refused(
        server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(bytes((HandshakeType.FINISHED,)))
    )


def test_a_message_that_is_too_large_is_refused_at_its_header() -> None:
    server = playing("CertificateRequest or Certificate")
    header = bytes((HandshakeType.CERTIFICATE,)) + (1 << 20).to_bytes(3)
    check_refused(server, PeerMisbehaved, reasons.MESSAGE_TOO_LARGE, lambda: server.handshake(header))


# --- changes of keys -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("excess", [b"\x08", message(HandshakeType.ENCRYPTED_EXTENSIONS, b"\0\0")])
def test_nothing_may_stand_behind_server_hello(excess: bytes) -> None:
    """What comes after it has to be encrypted (RFC 9846 section 5.1). Our keys are in force when we say so."""
    server = playing()
    raw = server.noted(server.hello())
    with fails(PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA) as caught:
        server.handshake(raw, excess)
    assert caught.value.evidence == {"excess_bytes": len(excess)}
    server.use_handshake_keys()
    assert server.heard_alert() == (AlertDescription.UNEXPECTED_MESSAGE, True)


@pytest.mark.parametrize("excess", [b"\x04", message(HandshakeType.NEW_SESSION_TICKET, bytes(14))])
def test_nothing_may_stand_behind_finished(excess: bytes) -> None:
    server = playing("Finished")
    raw = server.noted(server.finished())
    with fails(PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA):
        server.handshake(raw, excess)
    server.derive_application_secrets()
    heard = server.connection.data_to_send()
    assert heard[-24:-19] == b"\x17\x03\x03\x00\x13"  # the alert, with the application keys


def test_a_server_that_does_not_change_keys_is_not_understood() -> None:
    server = playing()
    server.say(server.hello())
    with fails(BadRecord, reasons.UNENCRYPTED_RECORD):
        server.handshake(EncryptedExtensions().encode())
    server.use_handshake_keys()
    assert server.heard_alert() == (AlertDescription.UNEXPECTED_MESSAGE, True)


# --- records -------------------------------------------------------------------------------------------------------

RECORDS: list[tuple[str, str, Callable[[RawServer], bytes], type[TLSError], Reason]] = [
    (
        "unencrypted handshake record",
        "EncryptedExtensions",
        lambda s: record(ContentType.HANDSHAKE, EncryptedExtensions().encode()),
        BadRecord,
        reasons.UNENCRYPTED_RECORD,
    ),
    (
        "unencrypted alert",
        "EncryptedExtensions",
        lambda s: record(ContentType.ALERT, b"\2\x28"),
        BadRecord,
        reasons.UNENCRYPTED_RECORD,
    ),
    (
        "garbled",
        "EncryptedExtensions",
        lambda s: record(ContentType.APPLICATION_DATA, bytes(40)),
        BadRecord,
        reasons.BAD_RECORD_MAC,
    ),
    (
        "shorter than a tag",
        "EncryptedExtensions",
        lambda s: record(ContentType.APPLICATION_DATA, bytes(15)),
        BadRecord,
        reasons.BAD_RECORD_MAC,
    ),
    ("nothing but padding", "", lambda s: s.writing.seal(bytes(9)), BadRecord, reasons.NO_CONTENT_TYPE),
    ("no content at all", "", lambda s: s.writing.seal(b""), BadRecord, reasons.NO_CONTENT_TYPE),
    (
        "empty handshake record",
        "EncryptedExtensions",
        lambda s: s.wire(ContentType.HANDSHAKE, b""),
        BadRecord,
        reasons.EMPTY_RECORD,
    ),
    (
        "empty plain handshake record",
        "ServerHello",
        lambda s: record(ContentType.HANDSHAKE, b""),
        BadRecord,
        reasons.EMPTY_RECORD,
    ),
    ("empty alert", "", lambda s: s.wire(ContentType.ALERT, b""), BadRecord, reasons.EMPTY_RECORD),
    ("alert of three bytes", "", lambda s: s.wire(ContentType.ALERT, b"\1\0\0"), PeerMisbehaved, reasons.BAD_ALERT),
    ("alert of one byte", "", lambda s: s.wire(ContentType.ALERT, b"\1"), PeerMisbehaved, reasons.BAD_ALERT),
    ("two alerts", "", lambda s: s.wire(ContentType.ALERT, CLOSE_NOTIFY * 2), PeerMisbehaved, reasons.BAD_ALERT),
    ("encrypted of unknown type", "", lambda s: s.wire(99, b"x"), BadRecord, reasons.UNEXPECTED_RECORD),
    (
        "encrypted change_cipher_spec",
        "EncryptedExtensions",
        lambda s: s.wire(ContentType.CHANGE_CIPHER_SPEC, b"\1"),
        BadRecord,
        reasons.UNEXPECTED_RECORD,
    ),
    (
        "application data in plain text",
        "ServerHello",
        lambda s: record(ContentType.APPLICATION_DATA, b"x"),
        BadRecord,
        reasons.UNEXPECTED_RECORD,
    ),
    (
        "unknown type after the first record",
        "EncryptedExtensions",
        lambda s: record(24, b"x"),
        BadRecord,
        reasons.UNEXPECTED_RECORD,
    ),
    (
        "ciphertext too long",
        "",
        lambda s: b"\x17\x03\x03" + ((1 << 14) + 257).to_bytes(2),
        BadRecord,
        reasons.RECORD_OVERFLOW,
    ),
    (
        "content too long",
        "",
        lambda s: s.writing.seal(bytes((1 << 14) + 1) + b"\x17"),
        BadRecord,
        reasons.RECORD_OVERFLOW,
    ),
    (
        "plaintext too long",
        "ServerHello",
        lambda s: b"\x16\x03\x03" + ((1 << 14) + 1).to_bytes(2),
        BadRecord,
        reasons.RECORD_OVERFLOW,
    ),
    (
        "change_cipher_spec after the handshake",
        "",
        lambda s: CHANGE_CIPHER_SPEC,
        BadRecord,
        reasons.BAD_CHANGE_CIPHER_SPEC,
    ),
    (
        "change_cipher_spec of two bytes",
        "ServerHello",
        lambda s: record(ContentType.CHANGE_CIPHER_SPEC, b"\1\1"),
        BadRecord,
        reasons.BAD_CHANGE_CIPHER_SPEC,
    ),
    (
        "change_cipher_spec of another value",
        "EncryptedExtensions",
        lambda s: record(ContentType.CHANGE_CIPHER_SPEC, b"\2"),
        BadRecord,
        reasons.BAD_CHANGE_CIPHER_SPEC,
    ),
    (
        "five change_cipher_specs",
        "ServerHello",
        lambda s: 5 * CHANGE_CIPHER_SPEC,
        BadRecord,
        reasons.TOO_MANY_CHANGE_CIPHER_SPECS,
    ),
    (
        "empty records for ever",
        "",
        lambda s: b"".join(s.wire(ContentType.APPLICATION_DATA, b"") for _ in range(33)),
        BadRecord,
        reasons.TOO_MANY_EMPTY_RECORDS,
    ),
    (
        "change_cipher_spec within a message",
        "ServerHello",
        lambda s: record(ContentType.HANDSHAKE, s.hello().encode()[:9]) + CHANGE_CIPHER_SPEC,
        PeerMisbehaved,
        reasons.INTERLEAVED_RECORD,
    ),
    (
        "application data within a ticket",
        "",
        lambda s: s.wire(ContentType.HANDSHAKE, b"\x04\0") + s.wire(ContentType.APPLICATION_DATA, b"x"),
        PeerMisbehaved,
        reasons.INTERLEAVED_RECORD,
    ),
    (
        "warning within a message",
        "EncryptedExtensions",
        lambda s: s.wire(ContentType.HANDSHAKE, b"\x08\0") + s.wire(ContentType.ALERT, USER_CANCELED),
        PeerMisbehaved,
        reasons.INTERLEAVED_RECORD,
    ),
    (
        "application data before Finished",
        "Finished",
        lambda s: s.wire(ContentType.APPLICATION_DATA, b"early"),
        PeerMisbehaved,
        reasons.UNEXPECTED_APPLICATION_DATA,
    ),
    (
        "five warnings",
        "EncryptedExtensions",
        lambda s: b"".join(s.wire(ContentType.ALERT, USER_CANCELED) for _ in range(5)),
        PeerMisbehaved,
        reasons.TOO_MANY_WARNINGS,
    ),
    (
        "tickets for ever",
        "",
        lambda s: b"".join(s.wire(ContentType.HANDSHAKE, TICKET) for _ in range(33)),
        PeerMisbehaved,
        reasons.TOO_MANY_MESSAGES,
    ),
]

TICKET = message(HandshakeType.NEW_SESSION_TICKET, bytes(8) + b"\1n" + b"\0\6ticket" + b"\0\0")


@pytest.mark.parametrize(
    ("awaited", "data", "kind", "reason"), [row[1:] for row in RECORDS], ids=[row[0] for row in RECORDS]
)
def test_records(awaited: str, data: Callable[[RawServer], bytes], kind: type[TLSError], reason: Reason) -> None:
    server = playing(awaited)
    check_refused(server, kind, reason, lambda: server.deliver(data(server)))


def test_messages_may_be_split_and_joined_at_will() -> None:
    server = playing("EncryptedExtensions")
    flight = server.noted(EncryptedExtensions()) + server.noted(server.certificate())
    flight += server.noted(server.proof())
    flight += server.noted(server.finished())
    for at in range(0, len(flight), 7):
        server.send(ContentType.HANDSHAKE, flight[at : at + 7], padding=at % 5)
    assert [type(event) for event in server.events] == [HandshakeCompleted]


def test_change_cipher_specs_mean_nothing() -> None:
    server = playing()
    server.deliver(CHANGE_CIPHER_SPEC)
    server.go_to("EncryptedExtensions")
    server.deliver(CHANGE_CIPHER_SPEC)
    server.say(EncryptedExtensions(), server.certificate())
    server.say(server.proof())
    server.deliver(CHANGE_CIPHER_SPEC)
    server.say(server.finished())
    assert server.connection.handshake is not None


def test_padding_and_empty_records_mean_nothing() -> None:
    server = playing("")
    server.send(ContentType.APPLICATION_DATA, b"", padding=100)
    server.send(ContentType.APPLICATION_DATA, b"data", padding=1000)
    server.send(ContentType.APPLICATION_DATA, b"", padding=0)
    server.send(ContentType.APPLICATION_DATA, bytes(1 << 14))
    data = [event.data for event in server.events if isinstance(event, ApplicationData)]
    assert data == [b"data", bytes(1 << 14)]


def test_the_record_version_does_not_matter() -> None:
    server = playing()
    server.deliver(record(ContentType.HANDSHAKE, server.noted(server.hello()), version=0x0301))
    assert server.connection.awaiting == "EncryptedExtensions"


# --- after the handshake, and the end ------------------------------------------------------------------------------


def test_tickets_are_ignored() -> None:
    server = playing("")
    server.handshake(TICKET, TICKET)
    server.send(ContentType.APPLICATION_DATA, b"data")
    assert server.events[1:] == [ApplicationData(b"data")]


def test_data_makes_room_for_more_tickets() -> None:
    server = playing("")
    for _ in range(3):
        server.handshake(*[TICKET] * 32)
        server.send(ContentType.APPLICATION_DATA, b"data")
    assert not server.connection.failed


def test_a_ticket_that_does_not_parse_is_refused() -> None:
    server = playing("")
    bad = message(HandshakeType.NEW_SESSION_TICKET, bytes(8) + b"\0" + b"\0\0" + b"\0\0")
    check_refused(server, DecodeError, reasons.DECODE_ERROR, lambda: server.handshake(bad))


def test_a_later_certificate_request_is_refused() -> None:
    """Post-handshake authentication was not offered (RFC 9846 section 4.7.2)."""
    server = playing("")
    request = CertificateRequest(b"x", signature_algorithms=[SignatureScheme.ED25519]).encode()
    check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(request))


@pytest.mark.parametrize("awaited", WAITS[1:-1])
@pytest.mark.parametrize("description", sorted(AlertDescription.names() - {AlertDescription.USER_CANCELED: 0}.keys()))
def test_alerts_during_the_handshake(awaited: str, description: int) -> None:
    server = playing(awaited)
    server.hear()
    with pytest.raises(AlertReceived) as caught:
        server.alert(description, level=1)  # the level means nothing in TLS 1.3 (RFC 9846 section 6)
    closed = description == AlertDescription.CLOSE_NOTIFY
    assert caught.value.reason is (reasons.CLOSED_DURING_HANDSHAKE if closed else reasons.ALERT_RECEIVED)
    assert (caught.value.description, caught.value.sent_by) == (description, "peer")
    assert caught.value.name == AlertDescription.name(description)
    assert caught.value.step == awaited
    assert not server.connection.has_data_to_send  # an alert is not answered by an alert


def test_a_plain_alert_in_place_of_server_hello() -> None:
    server = playing()
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
        server.alert(AlertDescription.HANDSHAKE_FAILURE)
    assert caught.value.name == "handshake_failure"
    assert caught.value.step == "ServerHello"


def test_an_alert_after_the_handshake() -> None:
    server = playing("")
    server.send(ContentType.APPLICATION_DATA, b"data")
    with fails(AlertReceived, reasons.ALERT_RECEIVED):
        server.alert(AlertDescription.INTERNAL_ERROR)
    assert server.events[1:] == [ApplicationData(b"data")]
    assert not server.connection.has_data_to_send


def test_an_unknown_alert_is_shown_as_a_number() -> None:
    server = playing("")
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
        server.alert(234)
    assert caught.value.name == "0xea"


def test_user_canceled_is_followed_by_close_notify() -> None:
    server = playing("EncryptedExtensions")
    server.send(ContentType.ALERT, USER_CANCELED)
    assert not server.connection.failed
    with fails(AlertReceived, reasons.CLOSED_DURING_HANDSHAKE):
        server.send(ContentType.ALERT, CLOSE_NOTIFY)


def test_close_notify_ends_what_is_read_and_not_what_is_written() -> None:
    server = playing("")
    server.deliver(server.wire(ContentType.ALERT, CLOSE_NOTIFY) + server.wire(ContentType.APPLICATION_DATA, b"late"))
    assert server.events[1:] == [PeerClosed()]
    server.deliver(b"garbage")
    server.connection.receive_eof()
    assert server.connection.next_event() is None
    server.connection.send(b"still here")
    server.connection.close()
    assert [(kind, content) for kind, content, _ in server.hear()] == [
        (ContentType.APPLICATION_DATA, b"still here"),
        (ContentType.ALERT, CLOSE_NOTIFY),
    ]


@pytest.mark.parametrize("awaited", WAITS, ids=lambda name: name or "established")
@pytest.mark.parametrize("rest", [b"", b"\x17\x03\x03\x00"], ids=["between records", "within a record"])
def test_truncation(awaited: str, rest: bytes) -> None:
    server = playing(awaited)
    server.hear()
    server.deliver(rest)
    server.connection.receive_eof()
    reason = reasons.CLOSED_DURING_HANDSHAKE if awaited else reasons.TRUNCATED
    with fails(TruncationError, reason) as caught:
        server.connection.next_event()
    assert caught.value.step == awaited
    assert caught.value.sent_by == "peer"
    assert not server.connection.has_data_to_send


def test_what_came_before_the_truncation_is_handed_out() -> None:
    server = playing("")
    server.connection.receive_data(server.wire(ContentType.APPLICATION_DATA, b"data"))
    server.connection.receive_eof()
    assert server.connection.next_event() == ApplicationData(b"data")
    with fails(TruncationError, reasons.TRUNCATED):
        server.connection.next_event()


@pytest.mark.parametrize(
    ("first", "kind", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", PeerMisbehaved, reasons.PLAINTEXT_HTTP),
        (b"220 mail.example ESMTP\r\n", PeerMisbehaved, reasons.PLAINTEXT),
        (b"SSH-2.0-OpenSSH_9.2\r\n", PeerMisbehaved, reasons.PLAINTEXT),
        (bytes(16), PeerMisbehaved, reasons.NOT_TLS),
        (b"\xff" * 16, PeerMisbehaved, reasons.NOT_TLS),
        (b"\x16\x20\x20\xff\xff", PeerMisbehaved, reasons.NOT_TLS),
    ],
)
def test_what_is_not_tls(first: bytes, kind: type[TLSError], reason: Reason) -> None:
    server = playing()
    check_refused(server, kind, reason, lambda: server.deliver(first))


def test_the_peers_keys_are_the_ones_of_the_figure() -> None:
    """A whole handshake with this raw server, and data both ways: the peer of these tests is itself right."""
    server = playing("")
    server.connection.send(b"ping")
    assert server.hear()[-1] == (ContentType.APPLICATION_DATA, b"ping", True)
    server.send(ContentType.APPLICATION_DATA, b"pong")
    assert server.events[-1] == ApplicationData(b"pong")
    assert isinstance(server.writing, _Direction)
