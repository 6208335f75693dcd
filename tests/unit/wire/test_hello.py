"""ClientHello, ServerHello and HelloRetryRequest (RFC 9846 sections 4.2.2 to 4.2.4)."""

from __future__ import annotations

import hashlib

import pytest

from handfast.errors import DecodeError, PeerMisbehaved
from handfast.limits import CODEPOINTS_OF_A_LIST
from handfast.reasons import DECODE_ERROR, EXTENSION_NOT_ALLOWED, PSK_NOT_LAST, TOO_MANY_ITEMS
from handfast.wire.codepoints import ExtensionType as E
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import HELLO_RETRY_RANDOM, ClientHello, ServerHello
from handfast.wire.psk import OfferedPsks, PskIdentity
from tests.unit.wire import build
from tests.unit.wire.build import CLIENT_BLOCK, RANDOM, SERVER_BLOCK, VERSION_13, handshake

FULL_CLIENT_HELLO = ClientHello(
    random=RANDOM,
    legacy_session_id=b"\x55" * 32,
    cipher_suites=[0x2A2A, 0x1301, 0x1302, 0x00FF],
    server_name="example.com",
    extended_main_secret=True,
    renegotiation_info=b"",
    supported_groups=[0x0A0A, 0x001D],
    ec_point_formats=b"\0\1\2",
    application_layer_protocol_negotiation=[b"h2", b"http/1.1"],
    signature_algorithms=[0x0403, 0x0804],
    signature_algorithms_cert=[0x0401],
    certificate_authorities=[b"0\0", b"0\1\1"],
    supported_versions=[0x3A3A, 0x0304, 0x0303],
    cookie=b"cookie",
    key_share=[KeyShareEntry(0x0A0A, b"\0"), KeyShareEntry(0x001D, bytes(32))],
    psk_key_exchange_modes=b"\1\0",
    ticket_request=(3, 1),
    session_ticket=b"ticket",
    early_data=True,
    padding=7,
    pre_shared_key=OfferedPsks([PskIdentity(b"one", 7), PskIdentity(b"two")], [b"1" * 32, b"2" * 48]),
    other_extensions={0xBABA: b""},
)


def rebuilt(message: ClientHello | ServerHello) -> dict[str, object]:
    """The fields of a message but for the bytes it came from."""
    return {name: getattr(message, name) for name in type(message).__slots__ if name != "raw"}


# --- ClientHello


def test_a_client_hello_is_parsed_and_encoded_back() -> None:
    raw = FULL_CLIENT_HELLO.encode()
    hello = ClientHello.parse(raw)
    assert rebuilt(hello) == rebuilt(FULL_CLIENT_HELLO)
    assert hello.raw == raw
    assert hello.encode() == raw
    assert raw[:4] == b"\x01" + (len(raw) - 4).to_bytes(3)


def test_extensions_are_written_in_the_order_in_which_they_came() -> None:
    raw = build.client_hello((0x1234, b"x"), (E.PADDING, b"\0"), (E.COOKIE, b"\0\1c"), (0x0A0A, b""))
    hello = ClientHello.parse(raw)
    assert hello.extension_types == [0x1234, E.PADDING, E.COOKIE, 0x0A0A]
    assert hello.encode() == raw


def test_our_own_extensions_stand_in_the_order_of_the_table_and_padding_is_last() -> None:
    hello = ClientHello(RANDOM, b"", [0x1301], padding=1, cookie=b"c", server_name="a", supported_versions=[0x0304])
    hello.encode()
    assert hello.extension_types == [E.SERVER_NAME, E.SUPPORTED_VERSIONS, E.COOKIE, E.PADDING]


def test_a_client_hello_by_hand() -> None:
    hello = ClientHello.parse(build.client_hello())
    assert (hello.legacy_version, hello.random, hello.legacy_session_id) == (0x0303, RANDOM, b"")
    assert (hello.cipher_suites, hello.legacy_compression_methods) == ([0x1301], b"\0")
    assert (hello.extension_types, hello.other_extensions) == ([], {})
    unset = ("server_name", "supported_groups", "supported_versions", "key_share", "cookie", "padding")
    assert all(getattr(hello, name) is None for name in unset)


def test_a_client_of_old_sends_no_extensions() -> None:
    body = b"\x03\x01" + RANDOM + b"\x00" + b"\x00\x04\x00\x2f\x00\xff" + b"\x02\x01\x00"
    hello = ClientHello.parse(handshake(1, body))
    assert (hello.legacy_version, hello.cipher_suites) == (0x0301, [0x002F, 0x00FF])
    assert hello.legacy_compression_methods == b"\1\0"
    assert hello.supported_versions is None


@pytest.mark.parametrize(
    ("body", "field", "offset"),
    [
        ("", "legacy_version", 4),
        ("03", "legacy_version", 4),
        ("0303", "random", 6),
        ("0303 {r31}", "random", 6),
        ("0303 {r}", "legacy_session_id", 38),
        ("0303 {r} 05 00", "legacy_session_id", 38),
        ("0303 {r} 21 {r} 00 0002 1301 01 00", "legacy_session_id", 72),
        ("0303 {r} 00", "cipher_suites", 39),
        ("0303 {r} 00 00", "cipher_suites", 39),
        ("0303 {r} 00 0000 01 00", "cipher_suites", 39),
        ("0303 {r} 00 0001 13", "cipher_suites", 39),
        ("0303 {r} 00 0003 130113 01 00", "cipher_suites", 44),
        ("0303 {r} 00 0004 1301", "cipher_suites", 39),
        ("0303 {r} 00 0002 1301", "legacy_compression_methods", 43),
        ("0303 {r} 00 0002 1301 00", "legacy_compression_methods", 43),
        ("0303 {r} 00 0002 1301 02 00", "legacy_compression_methods", 43),
        ("0303 {r} 00 0002 1301 01 00 00", "extensions", 45),
        ("0303 {r} 00 0002 1301 01 00 0000 00", "ClientHello", 47),
    ],
)
def test_a_malformed_client_hello(body: str, field: str, offset: int) -> None:
    raw = handshake(1, bytes.fromhex(body.format(r=RANDOM.hex(), r31=RANDOM[:31].hex())))
    with pytest.raises(DecodeError) as caught:
        ClientHello.parse(raw)
    assert (caught.value.reason, caught.value.field, caught.value.offset) == (DECODE_ERROR, field, offset)
    assert caught.value.alert == 50  # decode_error


@pytest.mark.parametrize("length", [0, 1, 32])
def test_session_ids_of_all_lengths_that_are_allowed(length: int) -> None:
    hello = ClientHello(RANDOM, bytes(length), [0x1301])
    assert ClientHello.parse(hello.encode()).legacy_session_id == bytes(length)


def test_the_number_of_cipher_suites_is_capped() -> None:
    # The list's two length bytes allow no more than 32,767 suites, so that is what the cap comes to.
    most = 32 * CODEPOINTS_OF_A_LIST - 1
    assert len(ClientHello.parse(ClientHello(RANDOM, b"", [0x1301] * most).encode()).cipher_suites) == most


def test_every_code_point_list_but_the_suites_has_the_smaller_cap() -> None:
    hello = ClientHello(RANDOM, b"", [0x1301], supported_groups=[0x001D] * (CODEPOINTS_OF_A_LIST + 1))
    with pytest.raises(DecodeError) as caught:
        ClientHello.parse(hello.encode())
    assert (caught.value.reason, caught.value.field) == (TOO_MANY_ITEMS, "named_group_list")


PSK = bytes.fromhex("0007 0001 78 00000000 0021 20") + bytes(32)


def test_pre_shared_key_may_be_last() -> None:
    hello = ClientHello.parse(build.client_hello((E.PADDING, b""), (E.PRE_SHARED_KEY, PSK)))
    assert hello.pre_shared_key == OfferedPsks([PskIdentity(b"x")], [bytes(32)])


@pytest.mark.parametrize("behind", [(E.PADDING, b""), (0x0A0A, b"")], ids=["padding", "GREASE"])
def test_pre_shared_key_may_not_stand_before_anything(behind: tuple[int, bytes]) -> None:
    raw = build.client_hello((E.PRE_SHARED_KEY, PSK), behind)
    with pytest.raises(DecodeError) as caught:
        ClientHello.parse(raw)
    assert (caught.value.reason, caught.value.field) == (PSK_NOT_LAST, "extensions")
    assert (caught.value.offset, caught.value.alert) == (len(raw), 47)


# --- ServerHello


def test_a_server_hello_is_parsed_and_encoded_back() -> None:
    share = KeyShareEntry(0x001D, bytes(range(32)))
    sent = ServerHello(RANDOM, b"\x55" * 32, 0x1301, selected_version=0x0304, key_share=share)
    raw = sent.encode()
    hello = ServerHello.parse(raw)
    assert rebuilt(hello) == rebuilt(sent)
    assert hello.raw == raw
    assert hello.encode() == raw
    assert (hello.version, hello.is_retry_request) == (0x0304, False)
    assert hello.extension_types == [E.SUPPORTED_VERSIONS, E.KEY_SHARE]


def test_hellos_of_our_own_are_the_ones_made_by_hand() -> None:
    client = ClientHello(RANDOM, b"", [0x1301], cookie=b"c")
    assert client.encode() == build.client_hello((E.COOKIE, b"\0\1c"))
    server = ServerHello(RANDOM, b"", 0x1301, selected_version=0x0304)
    assert server.encode() == build.server_hello(VERSION_13)


def test_a_selected_pre_shared_key_survives() -> None:
    raw = build.server_hello((E.PRE_SHARED_KEY, b"\0\0"), VERSION_13)
    hello = ServerHello.parse(raw)
    assert hello.selected_identity == 0
    assert hello.encode() == raw


def test_a_server_of_tls_1_2_has_extensions_of_its_own() -> None:
    block = (
        (E.RENEGOTIATION_INFO, b"\0"),
        (E.EC_POINT_FORMATS, b"\1\0"),
        (E.SERVER_NAME, b""),
        (E.EXTENDED_MAIN_SECRET, b""),
        (E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, b"\0\3\2h2"),
        (E.RECORD_SIZE_LIMIT, b"\4\0"),
        (E.SESSION_TICKET, b""),
    )
    others = ((E.SUPPORTED_GROUPS, b"as some do"), (0x1234, b"x"))
    raw = build.server_hello(*block, *others)
    hello = ServerHello.parse(raw)
    assert (hello.version, hello.selected_version, hello.key_share) == (0x0303, None, None)
    assert (hello.renegotiation_info, hello.ec_point_formats, hello.record_size_limit) == (b"", b"\0", 1024)
    assert (hello.server_name_acknowledged, hello.extended_main_secret) == (True, True)
    assert hello.application_layer_protocol_negotiation == b"h2"
    assert hello.session_ticket_promised
    assert hello.other_extensions == dict(others)  # whether they were offered is for others to say
    assert hello.extension_types == [kind for kind, _ in (*block, *others)]
    assert hello.encode() == raw


def test_a_server_hello_of_tls_1_2_is_encoded_in_our_order() -> None:
    sent = ServerHello(
        RANDOM, b"", 0xC02B, renegotiation_info=b"", extended_main_secret=True, ec_point_formats=b"\0",
        server_name_acknowledged=True, application_layer_protocol_negotiation=b"h2", record_size_limit=64,
    )  # fmt: skip
    hello = ServerHello.parse(sent.encode())
    assert rebuilt(hello) == rebuilt(sent)
    assert hello.extension_types == [
        E.RENEGOTIATION_INFO,
        E.SERVER_NAME,
        E.EC_POINT_FORMATS,
        E.EXTENDED_MAIN_SECRET,
        E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION,
        E.RECORD_SIZE_LIMIT,
    ]


def test_what_tls_1_2_answers_may_not_stand_beside_version_1_3() -> None:
    with pytest.raises(PeerMisbehaved) as caught:
        ServerHello.parse(build.server_hello(VERSION_13, (E.RENEGOTIATION_INFO, b"\0")))
    assert caught.value.reason is EXTENSION_NOT_ALLOWED


def test_a_server_of_tls_1_0_sends_no_block_at_all() -> None:
    hello = ServerHello.parse(handshake(2, b"\x03\x01" + RANDOM + b"\x00" + b"\x00\x2f" + b"\x00"))
    assert (hello.version, hello.cipher_suite, hello.extension_types) == (0x0301, 0x002F, [])


def test_a_version_that_nobody_offered_is_read_all_the_same() -> None:
    assert ServerHello.parse(build.server_hello((E.SUPPORTED_VERSIONS, b"\x7f\x1c"))).version == 0x7F1C


def test_a_duplicate_is_refused_in_tls_1_2_too() -> None:
    with pytest.raises(DecodeError, match="twice"):
        ServerHello.parse(build.server_hello((E.SERVER_NAME, b""), (E.SERVER_NAME, b"")))


@pytest.mark.parametrize(
    ("body", "field", "offset"),
    [
        ("", "legacy_version", 4),
        ("0303", "random", 6),
        ("0303 {r31}", "random", 6),
        ("0303 {r}", "legacy_session_id_echo", 38),
        ("0303 {r} 02 00", "legacy_session_id_echo", 38),
        ("0303 {r} 21 {r} 00 1301 00", "legacy_session_id_echo", 72),
        ("0303 {r} 00", "cipher_suite", 39),
        ("0303 {r} 00 13", "cipher_suite", 39),
        ("0303 {r} 00 1301", "legacy_compression_method", 41),
        ("0303 {r} 00 1301 00 00", "extensions", 42),
        ("0303 {r} 00 1301 00 0001", "extensions", 42),
        ("0303 {r} 00 1301 00 0001 00", "extension_type", 44),
        ("0303 {r} 00 1301 00 0000 00", "ServerHello", 44),
        ("0303 {r} 00 1301 00 0006 002b 0002 0304 00", "ServerHello", 50),
    ],
)
def test_a_malformed_server_hello(body: str, field: str, offset: int) -> None:
    raw = handshake(2, bytes.fromhex(body.format(r=RANDOM.hex(), r31=RANDOM[:31].hex())))
    with pytest.raises(DecodeError) as caught:
        ServerHello.parse(raw)
    assert (caught.value.reason, caught.value.field, caught.value.offset) == (DECODE_ERROR, field, offset)


# --- HelloRetryRequest


def test_the_random_of_a_retry_request_is_a_hash() -> None:
    assert hashlib.sha256(b"HelloRetryRequest").digest() == HELLO_RETRY_RANDOM


def test_a_retry_request_is_parsed_and_encoded_back() -> None:
    sent = ServerHello(HELLO_RETRY_RANDOM, b"", 0x1302, selected_version=0x0304, selected_group=0x0018, cookie=b"c")
    raw = sent.encode()
    request = ServerHello.parse(raw)
    assert request.is_retry_request
    assert (request.selected_group, request.cookie, request.key_share) == (0x0018, b"c", None)
    assert rebuilt(request) == rebuilt(sent)
    assert request.encode() == raw
    by_hand = build.retry_request(VERSION_13, (E.KEY_SHARE, b"\x00\x18"), (E.COOKIE, b"\0\1c"))
    assert raw[SERVER_BLOCK:] == by_hand[SERVER_BLOCK:]


def test_the_same_bytes_with_another_random_are_no_retry_request() -> None:
    raw = build.server_hello(VERSION_13, (E.KEY_SHARE, b"\x00\x18"))
    with pytest.raises(DecodeError) as caught:
        ServerHello.parse(raw)
    assert caught.value.field == "key_exchange"


def test_the_blocks_start_where_the_tests_think() -> None:
    assert build.client_hello()[CLIENT_BLOCK:] == b"\0\0"
    assert build.server_hello()[SERVER_BLOCK:] == b"\0\0"
