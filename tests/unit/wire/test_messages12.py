"""The messages of TLS 1.2 after the hellos (RFC 5246 section 7.4, RFC 8422 section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from handfast.errors import DecodeError, PeerMisbehaved
from handfast.limits import CERTIFICATES_OF_A_CHAIN, CODEPOINTS_OF_A_LIST
from handfast.reasons import BAD_CURVE_TYPE, DECODE_ERROR, TOO_MANY_ITEMS
from handfast.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateVerify12,
    ClientKeyExchange,
    Finished12,
    HelloRequest,
    ServerHelloDone,
    ServerKeyExchange,
)
from tests.unit.wire.build import handshake

# Messages with the bytes that the RFCs' structs make of them.
MESSAGES = [
    (Certificate12([]), "0b 000003 000000"),
    (Certificate12([b"leaf", b"root"]), "0b 000011 00000e 000004 6c656166 000004 726f6f74"),
    (ServerKeyExchange(0x001D, b"\1\2", 0x0403, b"sig"), "0c 00000d 03 001d 02 0102 0403 0003 736967"),
    (ServerKeyExchange(0xFAFA, b"\1", 0xFAFA, b""), "0c 000009 03 fafa 01 01 fafa 0000"),
    (CertificateRequest12(b"\x40", [0x0403]), "0d 000008 01 40 0002 0403 0000"),
    (
        CertificateRequest12(b"\x40\x01\x02", [0x0403, 0xFAFA], [b"0\0", b"1"]),
        "0d 000013 03 400102 0004 0403 fafa 0007 0002 3000 0001 31",
    ),
    (ServerHelloDone(), "0e 000000"),
    (HelloRequest(), "00 000000"),
    (CertificateVerify12(0x0401, b"signature"), "0f 00000d 0401 0009 7369676e6174757265"),
    (ClientKeyExchange(b"\4share"), "10 000007 06 047368617265"),
    (ClientKeyExchange(b"x" * 255), "10 000100 ff " + "78" * 255),
    (Finished12(bytes(12)), "14 00000c " + "00" * 12),
]


def slots(kind: type) -> set[str]:
    return {name for base in kind.__mro__ for name in getattr(base, "__slots__", ())} - {"raw"}


def fields(message: Any) -> dict[str, object]:
    return {name: getattr(message, name) for name in slots(type(message))}


@pytest.mark.parametrize(("message", "hexadecimal"), MESSAGES, ids=lambda value: getattr(value, "NAME", None))
def test_a_message_is_what_the_struct_says(message: Any, hexadecimal: str) -> None:
    raw = bytes.fromhex(hexadecimal)
    assert message.encode() == raw
    assert raw[0] == message.TYPE
    parsed = type(message).parse(raw)
    assert type(parsed) is type(message)
    assert fields(parsed) == fields(message)
    assert parsed.raw == raw
    assert parsed.encode() == raw


def test_names_and_types_of_the_rfc() -> None:
    assert {(type(message).NAME, type(message).TYPE) for message, _ in MESSAGES} == {
        ("HelloRequest", 0),
        ("Certificate", 11),
        ("ServerKeyExchange", 12),
        ("CertificateRequest", 13),
        ("ServerHelloDone", 14),
        ("CertificateVerify", 15),
        ("ClientKeyExchange", 16),
        ("Finished", 20),
    }


@pytest.mark.parametrize(
    ("kind", "body", "field", "offset"),
    [
        (Certificate12, "", "certificate_list", 4),
        (Certificate12, "0000", "certificate_list", 4),
        (Certificate12, "000001", "certificate_list", 4),
        (Certificate12, "000000 00", "Certificate", 7),
        (Certificate12, "000002 0000", "ASN.1Cert", 7),
        (Certificate12, "000003 000000", "ASN.1Cert", 7),
        (Certificate12, "000004 000002 30", "ASN.1Cert", 7),
        (Certificate12, "000005 000001 30 00", "ASN.1Cert", 11),
        (Certificate12, "00 000000", "Certificate", 7),  # as TLS 1.3 has it, with an empty context
        (ServerKeyExchange, "", "curve_type", 4),
        (ServerKeyExchange, "03", "namedcurve", 5),
        (ServerKeyExchange, "03 00", "namedcurve", 5),
        (ServerKeyExchange, "03 001d", "public", 7),
        (ServerKeyExchange, "03 001d 00 0403 0000", "public", 7),
        (ServerKeyExchange, "03 001d 02 aa", "public", 7),
        (ServerKeyExchange, "03 001d 01 aa", "algorithm", 9),
        (ServerKeyExchange, "03 001d 01 aa 04", "algorithm", 9),
        (ServerKeyExchange, "03 001d 01 aa 0403", "signature", 11),
        (ServerKeyExchange, "03 001d 01 aa 0403 0002 aa", "signature", 11),
        (ServerKeyExchange, "03 001d 01 aa 0403 0001 aa 00", "ServerKeyExchange", 14),
        (CertificateRequest12, "", "certificate_types", 4),
        (CertificateRequest12, "00 0002 0403 0000", "certificate_types", 4),
        (CertificateRequest12, "02 40", "certificate_types", 4),
        (CertificateRequest12, "01 40", "supported_signature_algorithms", 6),
        (CertificateRequest12, "01 40 0000 0000", "supported_signature_algorithms", 6),
        (CertificateRequest12, "01 40 0001 04 0000", "supported_signature_algorithms", 6),
        (CertificateRequest12, "01 40 0003 040304 0000", "supported_signature_algorithms", 11),
        (CertificateRequest12, "01 40 0002 0403", "certificate_authorities", 10),
        (CertificateRequest12, "01 40 0002 0403 0001", "certificate_authorities", 10),
        (CertificateRequest12, "01 40 0002 0403 0002 0000", "DistinguishedName", 12),
        (CertificateRequest12, "01 40 0002 0403 0003 0002 30", "DistinguishedName", 12),
        (CertificateRequest12, "01 40 0002 0403 0000 00", "CertificateRequest", 12),
        (ServerHelloDone, "00", "ServerHelloDone", 4),
        (HelloRequest, "00", "HelloRequest", 4),
        (CertificateVerify12, "", "algorithm", 4),
        (CertificateVerify12, "0401 0002 aa", "signature", 6),
        (CertificateVerify12, "0401 0001 aa 00", "CertificateVerify", 9),
        (ClientKeyExchange, "", "public", 4),
        (ClientKeyExchange, "00", "public", 4),
        (ClientKeyExchange, "02 aa", "public", 4),
        (ClientKeyExchange, "01 aa 00", "ClientKeyExchange", 6),
    ],
)
def test_malformed_messages(kind: Any, body: str, field: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        kind.parse(handshake(kind.TYPE, bytes.fromhex(body)))
    assert (caught.value.reason, caught.value.field, caught.value.offset) == (DECODE_ERROR, field, offset)


@pytest.mark.parametrize("curve_type", [0, 1, 2, 4, 255])
def test_a_curve_is_named(curve_type: int) -> None:
    """RFC 8422 section 5.4: a curve of the server's own making could be a weak one."""
    with pytest.raises(PeerMisbehaved) as caught:
        ServerKeyExchange.parse(handshake(12, bytes((curve_type,)) + bytes.fromhex("001d 01 aa 0403 0001 aa")))
    assert caught.value.reason is BAD_CURVE_TYPE
    assert caught.value.evidence == {"curve_type": curve_type}
    assert caught.value.alert == 47  # illegal_parameter


def test_what_is_signed_begins_the_message() -> None:
    """ServerECDHParams (RFC 8422 section 5.4): type, curve, point; not the algorithm."""
    message = ServerKeyExchange(0x0017, b"\4point", 0x0403, b"signature")
    params = ServerKeyExchange.params(message.group, message.public)
    assert params == b"\x03\x00\x17\x06\4point"
    assert message.encode()[4:].startswith(params)


def test_a_chain_has_a_longest_length() -> None:
    longest = Certificate12([b"DER"] * CERTIFICATES_OF_A_CHAIN)
    assert Certificate12.parse(longest.encode()).certificate_list == longest.certificate_list
    with pytest.raises(DecodeError) as caught:
        Certificate12.parse(Certificate12([b"DER"] * (CERTIFICATES_OF_A_CHAIN + 1)).encode())
    assert (caught.value.reason, caught.value.field) == (TOO_MANY_ITEMS, "certificate_list")


def test_the_schemes_of_a_request_are_capped() -> None:
    most = CertificateRequest12(b"\1", [0x0401] * CODEPOINTS_OF_A_LIST)
    assert len(CertificateRequest12.parse(most.encode()).signature_algorithms) == CODEPOINTS_OF_A_LIST
    with pytest.raises(DecodeError) as caught:
        CertificateRequest12.parse(CertificateRequest12(b"\1", [0x0401] * (CODEPOINTS_OF_A_LIST + 1)).encode())
    assert caught.value.reason is TOO_MANY_ITEMS
