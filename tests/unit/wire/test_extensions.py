"""The extension block: what may stand where, and how each extension is read (RFC 9846 section 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handfast.errors import DecodeError, PeerMisbehaved
from handfast.limits import CODEPOINTS_OF_A_LIST, EXTENSIONS_OF_A_MESSAGE, KEY_SHARES, RECORD_SIZE_LIMIT
from handfast.reasons import (
    BAD_RECORD_SIZE_LIMIT,
    DECODE_ERROR,
    DUPLICATE_EXTENSION,
    EXTENSION_NOT_ALLOWED,
    TOO_MANY_ITEMS,
)
from handfast.wire import extensions
from handfast.wire.codepoints import ExtensionType
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages13 import Certificate, CertificateRequest, EncryptedExtensions, NewSessionTicket
from tests.unit.wire import build
from tests.unit.wire.build import (
    AFTER_VERSION,
    CLIENT_BLOCK,
    CLIENT_DATA,
    ENCRYPTED_DATA,
    REQUEST_DATA,
    VERSION_13,
    vector16,
)

E = ExtensionType

# The table of RFC 9846 section 4.3 as it is printed there, and those rows of RFC 8446 that are not "Recommended" and
# so were left out of it (max_fragment_length, signed_certificate_timestamp).
RFC_TABLE = """
    server_name                               CH, EE, CR
    max_fragment_length                       CH, EE
    status_request                            CH, CR, CT
    supported_groups                          CH, EE
    signature_algorithms                      CH, CR
    use_srtp                                  CH, EE
    heartbeat                                 CH, EE
    application_layer_protocol_negotiation    CH, EE
    signed_certificate_timestamp              CH, CR, CT
    client_certificate_type                   CH, EE
    server_certificate_type                   CH, EE
    padding                                   CH
    compress_certificate                      CH, CR
    record_size_limit                         CH, EE
    delegated_credential                      CH, CR, CT
    pre_shared_key                            CH, SH
    early_data                                CH, EE, NST
    supported_versions                        CH, SH, HRR
    cookie                                    CH, HRR
    psk_key_exchange_modes                    CH
    certificate_authorities                   CH, CR
    oid_filters                               CR
    post_handshake_auth                       CH
    signature_algorithms_cert                 CH, CR
    key_share                                 CH, SH, HRR
    transparency_info                         CH, CR, CT
    quic_transport_parameters                 CH, EE
    ticket_request                            CH, EE
    ech_outer_extensions                      CH
    encrypted_client_hello                    CH, HRR, EE
"""
# Extensions of TLS 1.2: a client that speaks both versions sends them in its ClientHello; nobody answers in TLS 1.3.
ONLY_TLS12 = ("ec_point_formats", "encrypt_then_mac", "extended_main_secret", "session_ticket", "renegotiation_info")

PLACES_OF = {name: {place.strip(",") for place in rest} for name, *rest in map(str.split, RFC_TABLE.split("\n")[1:-1])}
PLACES_OF |= {name: {"CH"} for name in ONLY_TLS12}
# What a server of TLS 1.2 may answer, by the RFC of each: supported_groups (RFC 8422 has it in the ClientHello alone)
# is what some old ones send all the same.
IN_SERVER_HELLO_12 = (
    *ONLY_TLS12, "server_name", "max_fragment_length", "status_request", "supported_groups", "use_srtp", "heartbeat",
    "application_layer_protocol_negotiation", "signed_certificate_timestamp", "client_certificate_type",
    "server_certificate_type", "record_size_limit",
)  # fmt: skip
for _name in IN_SERVER_HELLO_12:
    PLACES_OF[_name].add("SH12")

# How a message of each kind is made from extensions, and parsed.
MESSAGES: dict[str, tuple[Callable[..., bytes], Callable[[bytes], Any]]] = {
    "CH": (build.client_hello, ClientHello.parse),
    "SH12": (build.server_hello, ServerHello.parse),
    "SH": (lambda *more: build.server_hello(VERSION_13, *more), ServerHello.parse),
    "HRR": (lambda *more: build.retry_request(VERSION_13, *more), ServerHello.parse),
    "EE": (build.encrypted_extensions, EncryptedExtensions.parse),
    "CR": (build.certificate_request, CertificateRequest.parse),
    "CT": (build.certificate, lambda raw: Certificate.parse(raw).certificate_list[0]),
    "NST": (build.new_session_ticket, NewSessionTicket.parse),
}

# Something that parses, for the extensions that are read; the same bytes do for all messages but these.
CONTENT = {
    "server_name": "0006 00 0003 616263",
    "supported_groups": "0002 001d",
    "application_layer_protocol_negotiation": "0003 02 6832",
    "signature_algorithms": "0002 0403",
    "signature_algorithms_cert": "0002 0403",
    "certificate_authorities": "0003 0001 30",
    "supported_versions": "02 0304",
    "cookie": "0001 aa",
    "key_share": "0005 001d 0001 aa",
    "ec_point_formats": "01 00",
    "extended_main_secret": "",
    "renegotiation_info": "00",
    "psk_key_exchange_modes": "01 01",
    "pre_shared_key": "0007 0001 aa 00000000 0021 20 " + "00" * 32,
    "early_data": "",
}
CONTENT_IN = {
    ("server_name", "SH12"): "",
    ("session_ticket", "SH12"): "",
    ("application_layer_protocol_negotiation", "SH12"): "0003 02 6832",
    ("server_name", "EE"): "",
    ("key_share", "SH"): "001d 0001 aa",
    ("key_share", "HRR"): "001d",
    ("pre_shared_key", "SH"): "0000",
    ("early_data", "NST"): "00004000",
    ("ticket_request", "EE"): "02",
}


def content_of(name: str, place: str) -> bytes:
    """The data of an extension that stands in a message."""
    return bytes.fromhex(CONTENT_IN.get((name, place), CONTENT.get(name, "beef")))


def number_of(name: str) -> int:
    value = ExtensionType.value(name)
    assert value is not None
    return value


CELLS = [
    (name, place)
    for name in PLACES_OF
    for place in MESSAGES
    # supported_versions is what makes a ServerHello one of TLS 1.3; it stands in SH and HRR of each test below
    if name != "supported_versions" or place not in ("SH", "SH12", "HRR")
]


def test_the_table_has_every_extension_we_know() -> None:
    assert {number_of(name): places for name, places in PLACES_OF.items()} == extensions.ALLOWED
    assert set(extensions.ALLOWED) == set(ExtensionType.names())


@pytest.mark.parametrize(("name", "place"), [cell for cell in CELLS if cell[1] in PLACES_OF[cell[0]]])
def test_an_extension_may_stand_where_the_rfc_allows_it(name: str, place: str) -> None:
    make, parse = MESSAGES[place]
    message = parse(make((number_of(name), content_of(name, place))))
    assert message.extension_types[-1] == number_of(name)
    read = {
        codec.type
        for table in {
            "CH": [extensions.CLIENT_HELLO],
            "SH12": [extensions.SERVER_HELLO_12],
            "SH": [extensions.SERVER_HELLO],
            "HRR": [extensions.HELLO_RETRY_REQUEST],
            "EE": [extensions.ENCRYPTED_EXTENSIONS],
            "CR": [extensions.CERTIFICATE_REQUEST],
            "NST": [extensions.NEW_SESSION_TICKET],
        }.get(place, [])
        for codec in table.values()
    }
    if number_of(name) in read:
        assert number_of(name) not in message.other_extensions
    else:
        assert message.other_extensions[number_of(name)] == content_of(name, place)


@pytest.mark.parametrize(("name", "place"), [cell for cell in CELLS if cell[1] not in PLACES_OF[cell[0]]])
def test_a_stray_extension_is_refused(name: str, place: str) -> None:
    make, parse = MESSAGES[place]
    with pytest.raises(PeerMisbehaved) as caught:
        parse(make((number_of(name), content_of(name, "CH"))))
    assert caught.value.reason is EXTENSION_NOT_ALLOWED
    assert caught.value.evidence == {"extension": name, "message": place}
    assert caught.value.alert == 47  # illegal_parameter


@pytest.mark.parametrize("table", ["CLIENT_HELLO", "SERVER_HELLO", "HELLO_RETRY_REQUEST", "ENCRYPTED_EXTENSIONS"])
def test_nothing_is_read_that_may_not_stand_there(table: str) -> None:
    place = {"CLIENT_HELLO": "CH", "SERVER_HELLO": "SH", "HELLO_RETRY_REQUEST": "HRR", "ENCRYPTED_EXTENSIONS": "EE"}
    for number in getattr(extensions, table):
        assert place[table] in extensions.ALLOWED[number]


@pytest.mark.parametrize("place", MESSAGES)
@pytest.mark.parametrize("number", [0x0A0A, 0xFAFA, 0x1234, 0xFFFF], ids=hex)
def test_unknown_extensions_and_grease_survive_everywhere(place: str, number: int) -> None:
    make, parse = MESSAGES[place]
    message = parse(make((number, b"any bytes"), (0x3A3A, b"")))
    assert message.other_extensions == {number: b"any bytes", 0x3A3A: b""}
    assert message.extension_types[-2:] == [number, 0x3A3A]


@pytest.mark.parametrize("place", MESSAGES)
def test_an_extension_may_not_stand_twice(place: str) -> None:
    make, parse = MESSAGES[place]
    raw = make((0x1234, b""), (0x1234, b""))
    with pytest.raises(DecodeError) as caught:
        parse(raw)
    assert (caught.value.reason, caught.value.field) == (DUPLICATE_EXTENSION, "extensions")
    assert caught.value.evidence["extension"] == "0x1234"
    assert caught.value.offset == raw.rindex(b"\x12\x34") + 4  # the data of the second one
    assert caught.value.alert == 47


def test_a_known_extension_may_not_stand_twice_either() -> None:
    names = (number_of("server_name"), bytes.fromhex(CONTENT["server_name"]))
    with pytest.raises(DecodeError) as caught:
        ClientHello.parse(build.client_hello(names, (E.PADDING, b""), names))
    assert caught.value.evidence["extension"] == "server_name"
    assert caught.value.reason is DUPLICATE_EXTENSION


@pytest.mark.parametrize("place", MESSAGES)
def test_the_number_of_extensions_is_capped(place: str) -> None:
    make, parse = MESSAGES[place]
    before = 1 if place in ("SH", "HRR") else 0
    many = [(0x4000 + number, b"") for number in range(EXTENSIONS_OF_A_MESSAGE - before)]
    assert len(parse(make(*many)).extension_types) == EXTENSIONS_OF_A_MESSAGE
    with pytest.raises(DecodeError) as caught:
        parse(make(*many, (0x5000, b"")))
    assert (caught.value.reason, caught.value.field) == (TOO_MANY_ITEMS, "extensions")


@pytest.mark.parametrize(
    ("bytes_of_block", "field", "offset"),
    [
        ("", None, None),  # no block at all: a client before TLS 1.3
        ("00", "extensions", 0),
        ("0001", "extensions", 0),
        ("0001 00", "extension_type", 2),
        ("0003 123400", "extension_type", 2),
        ("0004 12340001", "extension_data", 2),
        ("0005 12340002 aa", "extension_data", 2),
        ("0008 12340000 43210001", "extension_data", 6),
        ("0000 aa", "ClientHello", 2),
        ("0004 12340000 aabb", "ClientHello", 6),
    ],
)
def test_a_block_that_does_not_parse(bytes_of_block: str, field: str | None, offset: int | None) -> None:
    start = build.client_hello()[4:-2]
    raw = build.handshake(1, start + bytes.fromhex(bytes_of_block))
    if field is None:
        assert ClientHello.parse(raw).extension_types == []
        return
    with pytest.raises(DecodeError) as caught:
        ClientHello.parse(raw)
    assert (caught.value.reason, caught.value.field) == (DECODE_ERROR, field)
    assert caught.value.offset == CLIENT_BLOCK + (offset or 0)


# --- what each extension means


@pytest.mark.parametrize(
    ("name", "data", "field", "value"),
    [
        ("server_name", "0006 00 0003 612e62", "server_name", "a.b"),
        ("supported_groups", "0006 001d 0a0a 7777", "supported_groups", [0x1D, 0x0A0A, 0x7777]),
        ("application_layer_protocol_negotiation", "0006 02 6832 02 0aff", None, [b"h2", b"\x0a\xff"]),
        ("signature_algorithms", "0004 0403 fafa", "signature_algorithms", [0x0403, 0xFAFA]),
        ("signature_algorithms_cert", "0002 0401", "signature_algorithms_cert", [0x0401]),
        ("certificate_authorities", "0007 0002 3000 0001 31", "certificate_authorities", [b"0\0", b"1"]),
        ("supported_versions", "06 2a2a 0304 0303", "supported_versions", [0x2A2A, 0x0304, 0x0303]),
        ("cookie", "0003 010203", "cookie", b"\1\2\3"),
        ("key_share", "0000", "key_share", []),
        (
            "key_share",
            "000b 2a2a 0001 00 001d 0002 aabb",
            "key_share",
            [KeyShareEntry(0x2A2A, b"\0"), KeyShareEntry(0x1D, b"\xaa\xbb")],
        ),
        ("padding", "", "padding", 0),
        ("padding", "000000", "padding", 3),
        ("ec_point_formats", "03 01 00 ff", "ec_point_formats", b"\1\0\xff"),
        ("extended_main_secret", "", "extended_main_secret", True),
        ("renegotiation_info", "00", "renegotiation_info", b""),
        ("renegotiation_info", "02 aabb", "renegotiation_info", b"\xaa\xbb"),
    ],
)
def test_extensions_of_a_client_hello(name: str, data: str, field: str | None, value: object) -> None:
    raw = build.client_hello((number_of(name), bytes.fromhex(data)))
    hello = ClientHello.parse(raw)
    assert getattr(hello, field or name) == value
    assert hello.other_extensions == {}
    assert hello.encode() == raw


# Those that both hellos of TLS 1.2 have.
OF_TLS12 = [
    ("ec_point_formats", "", "ec_point_format_list", 0),
    ("ec_point_formats", "00", "ec_point_format_list", 0),
    ("ec_point_formats", "02 00", "ec_point_format_list", 0),
    ("ec_point_formats", "01 00 00", "ec_point_formats", 2),
    ("extended_main_secret", "00", "extended_main_secret", 0),
    ("renegotiation_info", "", "renegotiated_connection", 0),
    ("renegotiation_info", "01", "renegotiated_connection", 0),
    ("renegotiation_info", "00 00", "renegotiation_info", 1),
]


@pytest.mark.parametrize(
    ("name", "data", "field", "offset"),
    [
        *OF_TLS12,
        ("server_name", "00", "server_name", 0),
        ("application_layer_protocol_negotiation", "0000", "protocol_name_list", 0),
        ("application_layer_protocol_negotiation", "0004 0161 0162", "protocol_name_list", 6),
        ("record_size_limit", "40", "RecordSizeLimit", 0),
        ("record_size_limit", "004000", "record_size_limit", 2),
    ],
)
def test_malformed_extensions_of_a_server_hello_of_tls_1_2(name: str, data: str, field: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        ServerHello.parse(build.server_hello((number_of(name), bytes.fromhex(data))))
    assert (caught.value.reason, caught.value.field) == (DECODE_ERROR, field)
    assert caught.value.offset == build.SERVER_DATA + offset


@pytest.mark.parametrize("name", ["server_name", "ec_point_formats", "extended_main_secret", "renegotiation_info"])
def test_what_tls_1_2_answers_has_no_place_in_a_retry_request(name: str) -> None:
    with pytest.raises(PeerMisbehaved) as caught:
        ServerHello.parse(build.retry_request(VERSION_13, (number_of(name), content_of(name, "CH"))))
    assert caught.value.reason is EXTENSION_NOT_ALLOWED


@pytest.mark.parametrize(
    ("name", "data", "field", "offset"),
    [
        ("server_name", "", "server_name_list", 0),
        ("server_name", "0000", "server_name_list", 0),
        ("server_name", "0001 00", "host_name", 3),
        ("server_name", "0001 01", "name_type", 3),
        ("server_name", "0004 01 0001 61", "name_type", 3),
        ("server_name", "0003 00 0000", "host_name", 3),
        ("server_name", "0004 00 0002 61", "host_name", 3),
        ("server_name", "0008 00 0001 61 00 0001 62", "server_name_list", 6),
        ("server_name", "0004 00 0001 61 ff", "server_name", 6),
        ("server_name", "0005 00 0002 c3a9", "host_name", 7),
        ("server_name", "0006 00 0003 610062", "host_name", 8),
        ("supported_groups", "", "named_group_list", 0),
        ("supported_groups", "0000", "named_group_list", 0),
        ("supported_groups", "0003 001d 00", "named_group_list", 5),
        ("supported_groups", "0004 001d", "named_group_list", 0),
        ("supported_groups", "0002 001d 00", "supported_groups", 4),
        ("application_layer_protocol_negotiation", "0000", "protocol_name_list", 0),
        ("application_layer_protocol_negotiation", "0001 00", "protocol_name_list", 0),
        ("application_layer_protocol_negotiation", "0003 00 0161", "ProtocolName", 2),
        ("application_layer_protocol_negotiation", "0003 03 6832", "ProtocolName", 2),
        ("application_layer_protocol_negotiation", "0003 02 6832 00", "application_layer_protocol_negotiation", 5),
        ("signature_algorithms", "0000", "supported_signature_algorithms", 0),
        ("signature_algorithms", "0001 04", "supported_signature_algorithms", 0),
        ("signature_algorithms", "0003 040305", "supported_signature_algorithms", 5),
        ("signature_algorithms_cert", "0000", "supported_signature_algorithms", 0),
        ("signature_algorithms_cert", "0002 0403 00", "signature_algorithms_cert", 4),
        ("certificate_authorities", "0000", "authorities", 0),
        ("certificate_authorities", "0002 0000", "authorities", 0),
        ("certificate_authorities", "0003 0000 30", "DistinguishedName", 2),
        ("certificate_authorities", "0003 0002 30", "DistinguishedName", 2),
        ("certificate_authorities", "0003 0001 30 00", "certificate_authorities", 5),
        ("supported_versions", "", "versions", 0),
        ("supported_versions", "00", "versions", 0),
        ("supported_versions", "01 03", "versions", 0),
        ("supported_versions", "03 030403", "versions", 4),
        ("supported_versions", "0304", "versions", 0),  # what a server writes
        ("supported_versions", "02 0304 00", "supported_versions", 3),
        ("cookie", "", "cookie", 0),
        ("cookie", "0000", "cookie", 0),
        ("cookie", "0001 aa bb", "cookie", 3),
        ("key_share", "", "client_shares", 0),
        ("key_share", "0001 00", "group", 2),
        ("key_share", "0003 001d 00", "key_exchange", 4),
        ("key_share", "0004 001d 0000", "key_exchange", 4),
        ("key_share", "0005 001d 0002 aa", "key_exchange", 4),
        ("key_share", "0005 001d 0001 aa 00", "key_share", 7),
        *OF_TLS12,
    ],
)
def test_malformed_extensions_of_a_client_hello(name: str, data: str, field: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        ClientHello.parse(build.client_hello((number_of(name), bytes.fromhex(data)), (0x1234, b"more")))
    assert (caught.value.reason, caught.value.field) == (DECODE_ERROR, field)
    assert caught.value.offset == CLIENT_DATA + offset


@pytest.mark.parametrize("length", [1, 255])
def test_a_server_name_may_be_as_long_as_a_name_of_the_dns(length: int) -> None:
    name = b"a" * length
    raw = build.client_hello((E.SERVER_NAME, vector16(b"\0" + vector16(name))))
    assert ClientHello.parse(raw).server_name == name.decode()


def test_a_server_name_that_is_longer_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        ClientHello.parse(build.client_hello((E.SERVER_NAME, vector16(b"\0" + vector16(b"a" * 256)))))
    assert (caught.value.reason, caught.value.field) == (DECODE_ERROR, "host_name")


@pytest.mark.parametrize(
    ("name", "field", "one", "most"),
    [
        ("supported_groups", "named_group_list", b"\x00\x1d", CODEPOINTS_OF_A_LIST),
        ("signature_algorithms", "supported_signature_algorithms", b"\x04\x03", CODEPOINTS_OF_A_LIST),
        ("signature_algorithms_cert", "supported_signature_algorithms", b"\x04\x03", CODEPOINTS_OF_A_LIST),
        ("key_share", "client_shares", b"\x00\x1d\x00\x01\xaa", KEY_SHARES),
    ],
)
def test_lists_are_capped(name: str, field: str, one: bytes, most: int) -> None:
    hello = ClientHello.parse(build.client_hello((number_of(name), vector16(one * most))))
    assert len(getattr(hello, name)) == most
    with pytest.raises(DecodeError) as caught:
        ClientHello.parse(build.client_hello((number_of(name), vector16(one * (most + 1)))))
    assert (caught.value.reason, caught.value.field) == (TOO_MANY_ITEMS, field)


@pytest.mark.parametrize(
    ("name", "data", "field", "offset"),
    [
        ("key_share", "", "group", 0),
        ("key_share", "001d", "key_exchange", 2),
        ("key_share", "001d 0000", "key_exchange", 2),
        ("key_share", "001d 0001 aa 00", "key_share", 5),
        ("key_share", "0005 001d 0001 aa", "key_exchange", 2),  # what a client writes
    ],
)
def test_malformed_extensions_of_a_server_hello(name: str, data: str, field: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        ServerHello.parse(build.server_hello(VERSION_13, (number_of(name), bytes.fromhex(data))))
    assert (caught.value.reason, caught.value.field) == (DECODE_ERROR, field)
    assert caught.value.offset == AFTER_VERSION + offset


@pytest.mark.parametrize("data", ["", "03", "030400", "02 0304"])
def test_a_selected_version_is_two_bytes(data: str) -> None:
    with pytest.raises(DecodeError) as caught:
        ServerHello.parse(build.server_hello((E.SUPPORTED_VERSIONS, bytes.fromhex(data))))
    short = len(bytes.fromhex(data)) < 2
    assert caught.value.field == ("selected_version" if short else "supported_versions")
    assert caught.value.offset == build.SERVER_DATA + (0 if short else 2)


@pytest.mark.parametrize(
    ("name", "data", "field", "offset"),
    [
        ("key_share", "00", "selected_group", 0),
        ("key_share", "001d 00", "key_share", 2),
        ("key_share", "001d 0001 aa", "key_share", 2),  # what a ServerHello has
        ("cookie", "0000", "cookie", 0),
        ("cookie", "0002 aa", "cookie", 0),
    ],
)
def test_malformed_extensions_of_a_retry_request(name: str, data: str, field: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        ServerHello.parse(build.retry_request(VERSION_13, (number_of(name), bytes.fromhex(data))))
    assert (caught.value.reason, caught.value.field) == (DECODE_ERROR, field)
    assert caught.value.offset == AFTER_VERSION + offset


@pytest.mark.parametrize(
    ("name", "data", "field", "offset"),
    [
        ("server_name", "00", "server_name", 0),  # the acknowledgement is empty (RFC 6066 section 3)
        ("supported_groups", "0000", "named_group_list", 0),
        ("application_layer_protocol_negotiation", "0000", "protocol_name_list", 0),
        ("application_layer_protocol_negotiation", "0004 0161 0162", "protocol_name_list", 6),
        ("application_layer_protocol_negotiation", "0002 0161 00", "application_layer_protocol_negotiation", 4),
    ],
)
def test_malformed_encrypted_extensions(name: str, data: str, field: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        EncryptedExtensions.parse(build.encrypted_extensions((number_of(name), bytes.fromhex(data))))
    assert (caught.value.reason, caught.value.field) == (DECODE_ERROR, field)
    assert caught.value.offset == ENCRYPTED_DATA + offset


@pytest.mark.parametrize(
    ("name", "data", "field", "offset"),
    [
        ("signature_algorithms", "0000", "supported_signature_algorithms", 0),
        ("signature_algorithms_cert", "0003 040300", "supported_signature_algorithms", 5),
        ("certificate_authorities", "0003 0000 30", "DistinguishedName", 2),
    ],
)
def test_malformed_extensions_of_a_certificate_request(name: str, data: str, field: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        CertificateRequest.parse(build.certificate_request((number_of(name), bytes.fromhex(data))))
    assert (caught.value.reason, caught.value.field) == (DECODE_ERROR, field)
    assert caught.value.offset == REQUEST_DATA + offset


@pytest.mark.parametrize("place", ["CH", "EE"])
def test_a_record_size_limit_has_a_least_value(place: str) -> None:
    """RFC 8449 section 4. What is larger than any record may come from a later version, and is no error."""
    build_it, parse = MESSAGES[place]
    for limit in (RECORD_SIZE_LIMIT, 16_385, 16_386, 65_535):
        message = parse(build_it((E.RECORD_SIZE_LIMIT, limit.to_bytes(2))))
        assert message.record_size_limit == limit
        assert message.encode() == message.raw
    for limit in (0, RECORD_SIZE_LIMIT - 1):
        with pytest.raises(PeerMisbehaved) as caught:
            parse(build_it((E.RECORD_SIZE_LIMIT, limit.to_bytes(2))))
        assert (caught.value.reason, caught.value.alert) == (BAD_RECORD_SIZE_LIMIT, 47)
        assert caught.value.evidence == {"record_size_limit": limit}


@pytest.mark.parametrize("place", ["CH", "EE"])
@pytest.mark.parametrize("data", [b"", b"\x40", b"\x40\x01\x00"])
def test_a_record_size_limit_is_two_bytes(place: str, data: bytes) -> None:
    build_it, parse = MESSAGES[place]
    with pytest.raises(DecodeError) as caught:
        parse(build_it((E.RECORD_SIZE_LIMIT, data)))
    assert caught.value.reason is DECODE_ERROR
