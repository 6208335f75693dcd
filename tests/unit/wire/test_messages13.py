"""The messages of TLS 1.3 after the hellos (RFC 9846 sections 4.4 to 4.7)."""

from __future__ import annotations

from typing import Any

import pytest

from handfast.errors import DecodeError, PeerMisbehaved
from handfast.limits import CERTIFICATES_OF_A_CHAIN
from handfast.reasons import BAD_KEY_UPDATE, DECODE_ERROR, TOO_MANY_ITEMS
from handfast.wire.codepoints import ExtensionType as E
from handfast.wire.messages13 import (
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
    KeyUpdate,
    NewSessionTicket,
)
from tests.unit.wire import build
from tests.unit.wire.build import handshake

# Messages with the bytes that the RFC's structs make of them.
MESSAGES = [
    (EncryptedExtensions(), "08 000002 0000"),
    (EncryptedExtensions(server_name_acknowledged=True), "08 000006 0004 0000 0000"),
    (
        EncryptedExtensions(
            server_name_acknowledged=True,
            supported_groups=[0x001D, 0x0A0A],
            application_layer_protocol_negotiation=b"h2",
            other_extensions={0x2A2A: b"\1"},
        ),
        "08 00001e 001c 0000 0000 000a 0006 0004 001d 0a0a 0010 0005 0003 02 6832 2a2a 0001 01",
    ),
    (CertificateRequest(), "0d 000003 00 0000"),
    (
        CertificateRequest(
            b"\7",
            signature_algorithms=[0x0403],
            signature_algorithms_cert=[0x0804, 0xFAFA],
            certificate_authorities=[b"0"],
            other_extensions={E.OID_FILTERS: b"\0\0"},
        ),
        "0d 000025 01 07 0021 000d 0004 0002 0403 0032 0006 0004 0804 fafa 002f 0005 0003 0001 30 0030 0002 0000",
    ),
    (Certificate([]), "0b 000004 00 000000"),
    (Certificate([], b"\1\2"), "0b 000006 02 0102 000000"),
    (
        Certificate(
            [CertificateEntry(b"leaf", {E.SIGNED_CERTIFICATE_TIMESTAMP: b"sct"}), CertificateEntry(b"root")],
        ),
        "0b 00001d 00 000019 000004 6c656166 0007 0012 0003 736374 000004 726f6f74 0000",
    ),
    (CertificateVerify(0x0804, b"signature"), "0f 00000d 0804 0009 7369676e6174757265"),
    (CertificateVerify(0xFAFA, b""), "0f 000004 fafa 0000"),
    (Finished(bytes(32)), "14 000020 " + "00" * 32),
    (Finished(b""), "14 000000"),
]


def fields(message: Any) -> dict[str, object]:
    return {name: getattr(message, name) for name in type(message).__slots__ if name != "raw"}


@pytest.mark.parametrize(("message", "hexadecimal"), MESSAGES, ids=lambda value: getattr(value, "NAME", None))
def test_a_message_is_what_the_struct_says(message: Any, hexadecimal: str) -> None:
    raw = bytes.fromhex(hexadecimal)
    assert message.encode() == raw
    assert raw[0] == message.TYPE
    parsed = type(message).parse(raw)
    assert fields(parsed) == fields(message)
    assert parsed.raw == raw
    assert parsed.encode() == raw


def test_a_new_session_ticket() -> None:
    raw = bytes.fromhex("04 00001a 00093a80 fedcba98 02 0102 0003 aabbcc 0008 002a 0004 00004000")
    ticket = NewSessionTicket.parse(raw)
    assert (ticket.ticket_lifetime, ticket.ticket_age_add) == (604_800, 0xFEDCBA98)
    assert (ticket.ticket_nonce, ticket.ticket) == (b"\1\2", b"\xaa\xbb\xcc")
    assert ticket.max_early_data_size == 0x4000
    assert ticket.other_extensions == {}
    assert ticket.encode() == raw
    assert ticket.extension_types == [E.EARLY_DATA]
    assert ticket.raw == raw


def test_names_and_types_of_the_rfc() -> None:
    classes = {
        EncryptedExtensions,
        CertificateRequest,
        Certificate,
        CertificateVerify,
        Finished,
        KeyUpdate,
        NewSessionTicket,
    }
    assert {(kind.NAME, kind.TYPE) for kind in classes} == {
        ("EncryptedExtensions", 8),
        ("CertificateRequest", 13),
        ("Certificate", 11),
        ("CertificateVerify", 15),
        ("Finished", 20),
        ("KeyUpdate", 24),
        ("NewSessionTicket", 4),
    }


@pytest.mark.parametrize(
    ("kind", "body", "field", "offset"),
    [
        (EncryptedExtensions, "", "extensions", 4),
        (EncryptedExtensions, "00", "extensions", 4),
        (EncryptedExtensions, "0004 0000", "extensions", 4),
        (EncryptedExtensions, "0001 00", "extension_type", 6),
        (EncryptedExtensions, "0000 00", "EncryptedExtensions", 6),
        (CertificateRequest, "", "certificate_request_context", 4),
        (CertificateRequest, "02 aa", "certificate_request_context", 4),
        (CertificateRequest, "00", "extensions", 5),
        (CertificateRequest, "00 0003 000d00", "extension_type", 7),
        (CertificateRequest, "00 0000 00", "CertificateRequest", 7),
        (Certificate, "", "certificate_request_context", 4),
        (Certificate, "01", "certificate_request_context", 4),
        (Certificate, "00", "certificate_list", 5),
        (Certificate, "00 000001", "certificate_list", 5),
        (Certificate, "00 000000 00", "Certificate", 8),
        (Certificate, "00 000002 0000", "cert_data", 8),
        (Certificate, "00 000005 000000 0000", "cert_data", 8),
        (Certificate, "00 000006 000002 30 0000", "extensions", 13),  # cert_data took a byte of its extensions
        (Certificate, "00 000005 000003 3000", "cert_data", 8),
        (Certificate, "00 000004 000001 30", "extensions", 12),
        (Certificate, "00 000006 000001 30 0001", "extensions", 12),
        (Certificate, "00 000007 000001 30 0000 00", "cert_data", 14),
        (CertificateVerify, "", "algorithm", 4),
        (CertificateVerify, "08", "algorithm", 4),
        (CertificateVerify, "0804", "signature", 6),
        (CertificateVerify, "0804 0002 aa", "signature", 6),
        (CertificateVerify, "0804 0001 aa 00", "CertificateVerify", 9),
        (KeyUpdate, "", "request_update", 4),
        (KeyUpdate, "00 00", "KeyUpdate", 5),
        (KeyUpdate, "02 00", "KeyUpdate", 5),
        (NewSessionTicket, "", "ticket_lifetime", 4),
        (NewSessionTicket, "00093a", "ticket_lifetime", 4),
        (NewSessionTicket, "00093a80 0000", "ticket_age_add", 8),
        (NewSessionTicket, "00093a80 00000000", "ticket_nonce", 12),
        (NewSessionTicket, "00093a80 00000000 00", "ticket", 13),
        (NewSessionTicket, "00093a80 00000000 00 0000 0000", "ticket", 13),
        (NewSessionTicket, "00093a80 00000000 00 0001 aa", "extensions", 16),
        (NewSessionTicket, "00093a80 00000000 00 0001 aa 0000 00", "NewSessionTicket", 18),
    ],
)
def test_malformed_messages(kind: Any, body: str, field: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        kind.parse(handshake(kind.TYPE, bytes.fromhex(body)))
    assert (caught.value.reason, caught.value.field, caught.value.offset) == (DECODE_ERROR, field, offset)


@pytest.mark.parametrize("requested", [False, True])
def test_a_key_update(requested: bool) -> None:
    raw = b"\x18\0\0\1" + bytes((requested,))
    assert KeyUpdate(requested).encode() == raw
    assert KeyUpdate.parse(raw) == KeyUpdate(requested, raw)


@pytest.mark.parametrize("request_update", [2, 128, 255])
def test_a_key_update_requests_or_does_not(request_update: int) -> None:
    """RFC 9846 section 4.7.3: any other value is an illegal_parameter."""
    with pytest.raises(PeerMisbehaved) as caught:
        KeyUpdate.parse(b"\x18\0\0\1" + bytes((request_update,)))
    assert caught.value.reason is BAD_KEY_UPDATE
    assert caught.value.evidence == {"request_update": request_update}
    assert caught.value.alert == 47


def test_a_chain_has_a_longest_length() -> None:
    longest = Certificate.parse(build.certificate(count=CERTIFICATES_OF_A_CHAIN))
    assert len(longest.certificate_list) == CERTIFICATES_OF_A_CHAIN
    with pytest.raises(DecodeError) as caught:
        Certificate.parse(build.certificate(count=CERTIFICATES_OF_A_CHAIN + 1))
    assert (caught.value.reason, caught.value.field) == (TOO_MANY_ITEMS, "certificate_list")


def test_extensions_belong_to_their_certificate() -> None:
    raw = Certificate(
        [CertificateEntry(b"1", {E.STATUS_REQUEST: b"ocsp"}), CertificateEntry(b"2", {0x1234: b"x"})]
    ).encode()
    first, second = Certificate.parse(raw).certificate_list
    assert (first.cert_data, first.other_extensions) == (b"1", {E.STATUS_REQUEST: b"ocsp"})
    assert (second.cert_data, second.other_extensions) == (b"2", {0x1234: b"x"})
