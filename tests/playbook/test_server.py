"""Every rule of RFC 9846 that a server holds its client to: class, Reason, and the alert on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handfast import (
    AlertReceived,
    ApplicationData,
    HandshakeCompleted,
    MisuseError,
    PeerClosed,
    TruncationError,
    reasons,
)
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
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import Certificate, EncryptedExtensions, Finished
from handfast.wire.psk import OfferedPsks, PskIdentity
from tests.handshake.parties import fails
from tests.playbook.peers import CHANGE_CIPHER_SPEC, CLOSE_NOTIFY, USER_CANCELED, RawClient, message, record
from tests.playbook.playing import SERVER_WAITS, at_server, check_refused

NISTP = KeyShareEntry(NamedGroup.SECP256R1, b"\4" + bytes(64))


# --- ClientHello ---------------------------------------------------------------------------------------------------

CLIENT_HELLOS: list[tuple[str, dict[str, Any], type[TLSError], Reason]] = [
    ("legacy_version", {"legacy_version": 0x0301}, PeerMisbehaved, reasons.BAD_LEGACY_VERSION),
    ("legacy_version of the future", {"legacy_version": 0x0304}, PeerMisbehaved, reasons.BAD_LEGACY_VERSION),
    ("compression", {"legacy_compression_methods": b"\1\0"}, PeerMisbehaved, reasons.BAD_COMPRESSION),
    ("compression alone", {"legacy_compression_methods": b"\1"}, PeerMisbehaved, reasons.BAD_COMPRESSION),
    ("no compression methods", {"legacy_compression_methods": b""}, DecodeError, reasons.DECODE_ERROR),
    ("session id too long", {"legacy_session_id": bytes(33)}, DecodeError, reasons.DECODE_ERROR),
    ("no supported_groups", {"supported_groups": None}, PeerMisbehaved, reasons.MISSING_EXTENSION),
    ("no key_share", {"key_share": None}, PeerMisbehaved, reasons.MISSING_EXTENSION),
    ("no signature_algorithms", {"signature_algorithms": None}, PeerMisbehaved, reasons.MISSING_EXTENSION),
    ("share of a group that is not offered", {"key_share": [NISTP]}, PeerMisbehaved, reasons.BAD_KEY_SHARE_LIST),
    (
        "two shares of one group",
        {"supported_groups": [NamedGroup.SECP256R1], "key_share": [NISTP, NISTP]},
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE_LIST,
    ),
    (
        "shares in another order",
        {
            "supported_groups": [NamedGroup.X25519, NamedGroup.SECP256R1],
            "key_share": [NISTP, KeyShareEntry(NamedGroup.X25519, bytes(32))],
        },
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE_LIST,
    ),
    (
        "x25519 of low order",
        {"key_share": [KeyShareEntry(NamedGroup.X25519, bytes(32))]},
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE,
    ),
    (
        "x25519 too long",
        {"key_share": [KeyShareEntry(NamedGroup.X25519, bytes(33))]},
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE,
    ),
    (
        "point that is not on the curve",
        {"supported_groups": [NamedGroup.SECP256R1], "key_share": [NISTP]},
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE,
    ),
    (
        "compressed point",
        {
            "supported_groups": [NamedGroup.SECP256R1],
            "key_share": [KeyShareEntry(NamedGroup.SECP256R1, b"\2" + bytes(32))],
        },
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE,
    ),
    (
        "hybrid too short",
        {
            "supported_groups": [NamedGroup.X25519MLKEM768],
            "key_share": [KeyShareEntry(NamedGroup.X25519MLKEM768, bytes(1215))],
        },
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE,
    ),
    (
        "hybrid with a bad encapsulation key",
        {
            "supported_groups": [NamedGroup.X25519MLKEM768],
            "key_share": [KeyShareEntry(NamedGroup.X25519MLKEM768, b"\xff" * 1216)],
        },
        PeerMisbehaved,
        reasons.BAD_KEY_SHARE,
    ),
    (
        "no common group",
        {"supported_groups": [NamedGroup.X448], "key_share": [KeyShareEntry(NamedGroup.X448, bytes(56))]},
        PeerIncompatible,
        reasons.NO_COMMON_GROUP,
    ),
    (
        "no common suite",
        {"cipher_suites": [CipherSuite.TLS_AES_128_CCM_SHA256]},
        PeerIncompatible,
        reasons.NO_COMMON_SUITE,
    ),
    ("nothing but GREASE", {"cipher_suites": [0x0A0A]}, PeerIncompatible, reasons.NO_COMMON_SUITE),
    (
        "no common scheme",
        {"signature_algorithms": [SignatureScheme.ED448, SignatureScheme.RSA_PKCS1_SHA256]},
        PeerIncompatible,
        reasons.NO_COMMON_SIGNATURE_SCHEME,
    ),
    ("TLS 1.1", {"supported_versions": [0x0302, 0x0301]}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    (
        "no supported_versions, and an old number",
        {"supported_versions": None, "legacy_version": 0x0302},
        PeerIncompatible,
        reasons.NO_COMMON_VERSION,
    ),
    (
        "pre_shared_key that is not last",
        {
            "pre_shared_key": OfferedPsks([PskIdentity(b"x")], [bytes(32)]),
            "psk_key_exchange_modes": b"\1",
            "extension_types": [ExtensionType.PRE_SHARED_KEY, ExtensionType.SERVER_NAME],
        },
        DecodeError,
        reasons.PSK_NOT_LAST,
    ),
    (
        "oid_filters",
        {"other_extensions": {ExtensionType.OID_FILTERS: b""}},
        PeerMisbehaved,
        reasons.EXTENSION_NOT_ALLOWED,
    ),
]


@pytest.mark.parametrize(
    ("changes", "kind", "reason"), [row[1:] for row in CLIENT_HELLOS], ids=[row[0] for row in CLIENT_HELLOS]
)
def test_client_hello(changes: dict[str, Any], kind: type[TLSError], reason: Reason) -> None:
    client = at_server()
    error = check_refused(client, kind, reason, lambda: client.say(client.hello(**changes)))
    assert error.step == "ClientHello"


@pytest.mark.parametrize(
    "changes",
    [
        {"supported_versions": [0x0303, 0x0302]},
        {"supported_versions": None},
        {"supported_versions": None, "legacy_version": 0x0304},
    ],
    ids=["TLS 1.2", "no supported_versions", "no supported_versions, but the number"],
)
def test_a_server_of_tls_1_3_alone_refuses_older_clients(changes: dict[str, Any]) -> None:
    client = at_server(profile="modern")
    error = check_refused(
        client, PeerIncompatible, reasons.NO_COMMON_VERSION, lambda: client.say(client.hello(**changes))
    )
    assert error.step == "ClientHello"


EVIDENCE: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, object]]] = [
    (
        "version",
        {"profile": "modern"},
        {"supported_versions": [0x0A0A, 0x0303, 0x0301]},
        {
            "peer_speaks": "TLSv1.2",
            "peer_offered": ["GREASE(0x0a0a)", "TLSv1.2", "TLSv1.0"],
            "we_accept": ["TLSv1.3"],
        },
    ),
    (
        "version of a client of TLS 1.3",
        {"max_version": "1.2"},
        {"supported_versions": [0x0304]},
        {"peer_speaks": "TLSv1.3", "peer_offered": ["TLSv1.3"], "we_accept": ["TLSv1.2"]},
    ),
    (
        "version of an old client",
        {},
        {"supported_versions": None, "legacy_version": 0x0300},
        {"peer_speaks": "SSLv3", "peer_offered": ["SSLv3"], "we_accept": ["TLSv1.3", "TLSv1.2"]},
    ),
    (
        "version of nothing but GREASE",
        {},
        {"supported_versions": [0x0A0A]},
        {"peer_speaks": "0x0000", "peer_offered": ["GREASE(0x0a0a)"], "we_accept": ["TLSv1.3", "TLSv1.2"]},
    ),
    (
        "suite",
        {"cipher_suites": ["TLS_AES_256_GCM_SHA384"]},
        {"cipher_suites": [CipherSuite.TLS_AES_128_GCM_SHA256, 0x9999]},
        {"peer_offered": ["TLS_AES_128_GCM_SHA256", "0x9999"], "we_accept": ["TLS_AES_256_GCM_SHA384"]},
    ),
    (
        "group",
        {"groups": ["secp384r1"]},
        {},
        {"peer_offered": ["x25519"], "we_accept": ["secp384r1"]},
    ),
    (
        "scheme",
        {},
        {"signature_algorithms": [SignatureScheme.ED25519]},
        {"peer_offered": ["ed25519"], "we_can_sign_with": ["ecdsa_secp256r1_sha256"]},
    ),
    (
        "alpn",
        {"alpn": ["h2"]},
        {"application_layer_protocol_negotiation": [b"\xff\x1b[31m", b"http/1.1"]},
        {"peer_offered": ["\\xff\x1b[31m", "http/1.1"], "we_accept": ["h2"]},
    ),
    (
        "name",
        {"unknown_names": "refuse"},
        {"server_name": "other.example"},
        {"peer_asked_for": "other.example", "we_are": ["localhost", "127.0.0.1", "::1"]},
    ),
]


@pytest.mark.parametrize(
    ("settings", "changes", "evidence"), [row[1:] for row in EVIDENCE], ids=[row[0] for row in EVIDENCE]
)
def test_with_nothing_in_common_the_evidence_has_both_lists(
    settings: dict[str, Any], changes: dict[str, Any], evidence: dict[str, object]
) -> None:
    client = at_server(**settings)
    with pytest.raises(PeerIncompatible) as caught:
        client.say(client.hello(**changes))
    assert caught.value.evidence == evidence
    assert "\x1b" not in str(caught.value)
    assert client.heard_alert() == (caught.value.reason.alert, False)


def test_unknown_values_and_grease_are_passed_over() -> None:
    """RFC 8701: whoever stumbles over these would stumble over tomorrow's values."""
    client = at_server()
    client.say(
        client.hello(
            cipher_suites=[0x1A1A, 0xC02F, CipherSuite.TLS_AES_128_GCM_SHA256],
            supported_groups=[0x2A2A, NamedGroup.X25519],
            supported_versions=[0x3A3A, 0x0305, 0x0304, 0x0303],
            signature_algorithms=[0x4A4A, SignatureScheme.ECDSA_SECP256R1_SHA256],
            key_share=[KeyShareEntry(0x2A2A, b"\0"), KeyShareEntry(NamedGroup.X25519, client.share.public)],
            other_extensions={0x5A5A: b"", 0x1234: b"x", ExtensionType.SESSION_TICKET: b"", 0x6A6A: b"\0"},
        )
    )
    client.hear()
    client.say(client.finished())
    assert [type(event) for event in client.events] == [HandshakeCompleted]


def test_a_client_without_a_session_id_gets_no_change_cipher_spec() -> None:
    client = at_server()
    client.say(client.hello(legacy_session_id=b""))
    assert ContentType.CHANGE_CIPHER_SPEC not in [kind for kind, _, _ in client.hear()]


def test_a_name_is_acknowledged_where_the_certificate_is_for_it() -> None:
    for name, acknowledged in (("localhost", True), ("LOCALHOST.", True), ("other.example", None), (None, None)):
        client = at_server()
        client.say(client.hello(server_name=name))
        flight = b"".join(content for kind, content, encrypted in client.hear() if encrypted)
        length = 4 + int.from_bytes(flight[1:4])
        assert EncryptedExtensions.parse(flight[:length]).server_name_acknowledged is acknowledged


# --- Finished, and order -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [bytes(32), b"", bytes(31), bytes(64)], ids=["wrong", "empty", "short", "long"])
def test_finished(data: bytes) -> None:
    client = at_server("Finished")
    error = check_refused(client, PeerMisbehaved, reasons.BAD_FINISHED, lambda: client.say(Finished(data)))
    assert error.evidence == {}


@pytest.mark.parametrize("came", sorted({*HandshakeType.names(), 3, 99, 255}))
@pytest.mark.parametrize("awaited", SERVER_WAITS, ids=lambda name: name or "established")
def test_any_message_at_any_time(awaited: str, came: int) -> None:
    client = at_server(awaited)
    kind, reason = {
        ("ClientHello", HandshakeType.CLIENT_HELLO): (DecodeError, reasons.DECODE_ERROR),
        ("Finished", HandshakeType.FINISHED): (PeerMisbehaved, reasons.BAD_FINISHED),
        ("", HandshakeType.KEY_UPDATE): (DecodeError, reasons.DECODE_ERROR),
        ("", HandshakeType.CLIENT_HELLO): (PeerMisbehaved, reasons.RENEGOTIATION),
    }.get((awaited, came), (PeerMisbehaved, reasons.UNEXPECTED_MESSAGE))
    error = check_refused(client, kind, reason, lambda: client.handshake(message(came)))
    if reason is reasons.UNEXPECTED_MESSAGE:
        assert error.evidence == {
            "expected": awaited or "nothing but application data",
            "came": HandshakeType.name(came),
        }


def test_a_certificate_that_was_not_asked_for_is_refused() -> None:
    client = at_server("Finished")
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.say(Certificate([])))


@pytest.mark.parametrize("excess", [b"\1", message(HandshakeType.FINISHED, bytes(32))])
def test_nothing_may_stand_behind_client_hello(excess: bytes) -> None:
    client = at_server()
    raw = client.noted(client.hello())
    with fails(PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA):
        client.handshake(raw, excess)
    assert client.heard_alert() == (AlertDescription.UNEXPECTED_MESSAGE, True)


@pytest.mark.parametrize("excess", [b"\x18", message(HandshakeType.KEY_UPDATE, b"\0")])
def test_nothing_may_stand_behind_finished(excess: bytes) -> None:
    client = at_server("Finished")
    raw = client.noted(client.finished())
    check_refused(client, PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA, lambda: client.handshake(raw, excess))


# --- records -------------------------------------------------------------------------------------------------------

RECORDS: list[tuple[str, str, Callable[[RawClient], bytes], type[TLSError], Reason]] = [
    (
        "change_cipher_spec before ClientHello",
        "ClientHello",
        lambda c: CHANGE_CIPHER_SPEC,
        BadRecord,
        reasons.BAD_CHANGE_CIPHER_SPEC,
    ),
    (
        "application data before ClientHello",
        "ClientHello",
        lambda c: record(ContentType.APPLICATION_DATA, b"x"),
        BadRecord,
        reasons.UNEXPECTED_RECORD,
    ),
    (
        "empty record",
        "ClientHello",
        lambda c: record(ContentType.HANDSHAKE, b""),
        BadRecord,
        reasons.EMPTY_RECORD,
    ),
    (
        "early data",
        "Finished",
        lambda c: c.wire(ContentType.APPLICATION_DATA, b"early"),
        PeerMisbehaved,
        reasons.UNEXPECTED_APPLICATION_DATA,
    ),
    (
        "early data with other keys",
        "Finished",
        lambda c: record(ContentType.APPLICATION_DATA, bytes(64)),
        BadRecord,
        reasons.BAD_RECORD_MAC,
    ),
    (
        "unencrypted Finished",
        "Finished",
        lambda c: record(ContentType.HANDSHAKE, c.finished().encode()),
        BadRecord,
        reasons.UNENCRYPTED_RECORD,
    ),
    (
        "plain alert of three bytes",
        "Finished",
        lambda c: record(ContentType.ALERT, b"\2\x28\0"),
        BadRecord,
        reasons.UNENCRYPTED_RECORD,
    ),
    (
        "plain alert after an encrypted record",
        "Finished",
        lambda c: c.wire(ContentType.ALERT, USER_CANCELED) + record(ContentType.ALERT, b"\2\x28"),
        BadRecord,
        reasons.UNENCRYPTED_RECORD,
    ),
    (
        "plain alert after the handshake",
        "",
        lambda c: record(ContentType.ALERT, b"\2\x28"),
        BadRecord,
        reasons.UNENCRYPTED_RECORD,
    ),
    (
        "change_cipher_spec after the handshake",
        "",
        lambda c: CHANGE_CIPHER_SPEC,
        BadRecord,
        reasons.BAD_CHANGE_CIPHER_SPEC,
    ),
    (
        "five change_cipher_specs",
        "Finished",
        lambda c: 5 * CHANGE_CIPHER_SPEC,
        BadRecord,
        reasons.TOO_MANY_CHANGE_CIPHER_SPECS,
    ),
    (
        "change_cipher_spec within Finished",
        "Finished",
        lambda c: c.wire(ContentType.HANDSHAKE, c.finished().encode()[:9]) + CHANGE_CIPHER_SPEC,
        PeerMisbehaved,
        reasons.INTERLEAVED_RECORD,
    ),
    (
        "warnings for ever",
        "ClientHello",
        lambda c: 5 * record(ContentType.ALERT, USER_CANCELED),
        PeerMisbehaved,
        reasons.TOO_MANY_WARNINGS,
    ),
    (
        "ClientHello too large",
        "ClientHello",
        lambda c: record(ContentType.HANDSHAKE, b"\1\xff\xff\xff"),
        PeerMisbehaved,
        reasons.MESSAGE_TOO_LARGE,
    ),
    ("SSL 2.0", "ClientHello", lambda c: b"\x80\x2e\x01\x00\x02" + bytes(43), PeerMisbehaved, reasons.SSLV2),
    (
        "HTTP",
        "ClientHello",
        lambda c: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        PeerMisbehaved,
        reasons.PLAINTEXT_HTTP,
    ),
    ("SMTP", "ClientHello", lambda c: b"EHLO localhost\r\n", PeerMisbehaved, reasons.PLAINTEXT),
    ("nothing known", "ClientHello", lambda c: b"\0\1\2\3\4\5", PeerMisbehaved, reasons.NOT_TLS),
]


@pytest.mark.parametrize(
    ("awaited", "data", "kind", "reason"), [row[1:] for row in RECORDS], ids=[row[0] for row in RECORDS]
)
def test_records(awaited: str, data: Callable[[RawClient], bytes], kind: type[TLSError], reason: Reason) -> None:
    client = at_server(awaited)
    check_refused(client, kind, reason, lambda: client.deliver(data(client)))


def test_a_plain_alert_of_a_client_that_gave_up_at_server_hello_is_understood() -> None:
    """It has no keys yet, while the server has (RFC 9846 section 6)."""
    client = at_server("Finished")
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
        client.deliver(record(ContentType.ALERT, bytes((2, AlertDescription.ILLEGAL_PARAMETER))))
    assert caught.value.name == "illegal_parameter"
    assert caught.value.step == "Finished"
    assert not client.connection.has_data_to_send


def test_a_client_that_gives_up_in_plain_text_without_an_error() -> None:
    client = at_server("Finished")
    client.deliver(record(ContentType.ALERT, USER_CANCELED))
    with fails(AlertReceived, reasons.CLOSED_DURING_HANDSHAKE):
        client.deliver(record(ContentType.ALERT, CLOSE_NOTIFY))


def test_a_hello_in_many_records() -> None:
    client = at_server()
    raw = client.noted(client.hello())
    for at in range(0, len(raw), 16):
        client.deliver(record(ContentType.HANDSHAKE, raw[at : at + 16]))
    client.hear()
    client.deliver(CHANGE_CIPHER_SPEC)
    client.say(client.finished())
    assert client.connection.handshake is not None


def test_data_right_behind_finished() -> None:
    client = at_server("Finished")
    finished = client.wire(ContentType.HANDSHAKE, client.noted(client.finished()))
    client.writing = type(client.reading)(client.client_application)  # type: ignore[misc]
    client.deliver(finished + client.wire(ContentType.APPLICATION_DATA, b"data"))
    assert [type(event) for event in client.events] == [HandshakeCompleted, ApplicationData]


def test_the_server_may_send_before_the_clients_finished_only_what_is_its_flight() -> None:
    client = at_server("Finished")
    assert client.connection.handshake is None
    with fails(MisuseError, reasons.MISUSE):
        client.connection.send(b"0.5-RTT")
    assert not client.connection.failed


@pytest.mark.parametrize("awaited", SERVER_WAITS, ids=lambda name: name or "established")
def test_truncation(awaited: str) -> None:
    client = at_server(awaited)
    client.hear()
    client.connection.receive_eof()
    with fails(TruncationError, reasons.TRUNCATED if awaited == "" else reasons.CLOSED_DURING_HANDSHAKE) as caught:
        client.connection.next_event()
    assert caught.value.step == awaited
    assert not client.connection.has_data_to_send


def test_close_notify() -> None:
    client = at_server("")
    client.send(ContentType.APPLICATION_DATA, b"last")
    client.send(ContentType.ALERT, CLOSE_NOTIFY)
    assert client.events[1:] == [ApplicationData(b"last"), PeerClosed()]
    client.connection.send(b"answer")
    assert client.hear()[-1] == (ContentType.APPLICATION_DATA, b"answer", True)


def test_too_many_messages_after_the_handshake() -> None:
    """No client message may come now at all, so one is too many."""
    client = at_server("")
    check_refused(
        client,
        PeerMisbehaved,
        reasons.UNEXPECTED_MESSAGE,
        lambda: client.handshake(message(HandshakeType.NEW_SESSION_TICKET, bytes(14))),
    )


def test_a_hello_that_ends_in_the_middle_of_an_extension_says_where() -> None:
    client = at_server()
    raw = bytearray(client.hello().encode())
    raw[-40:] = b""
    raw[1:4] = (len(raw) - 4).to_bytes(3)
    with fails(DecodeError, reasons.DECODE_ERROR) as caught:
        client.handshake(bytes(raw))
    assert isinstance(caught.value, DecodeError)
    assert caught.value.field == "extensions"
    assert 0 < caught.value.offset < len(raw)


def test_a_hello_without_extensions_is_an_old_client() -> None:
    client = at_server()
    body = b"\x03\x01" + bytes(32) + b"\0" + b"\0\2\0\x2f" + b"\1\0"
    with fails(PeerIncompatible, reasons.NO_COMMON_VERSION) as caught:
        client.handshake(message(HandshakeType.CLIENT_HELLO, body))
    assert caught.value.evidence["peer_speaks"] == "TLSv1.0"
    assert client.heard_alert() == (AlertDescription.PROTOCOL_VERSION, False)


def test_hello_of_every_length_with_padding() -> None:
    client = at_server()
    hello: ClientHello = client.hello(padding=400)
    client.say(hello)
    assert client.connection.awaiting == "Finished"
