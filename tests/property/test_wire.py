"""Whatever the bytes: a parser gives a message or one of two errors, and what it gives encodes to what came."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handfast.errors import DecodeError, PeerMisbehaved
from handfast.reasons import (
    BAD_ALERT,
    BAD_CURVE_TYPE,
    BAD_KEY_UPDATE,
    BAD_RECORD_SIZE_LIMIT,
    DECODE_ERROR,
    EXTENSION_NOT_ALLOWED,
)
from handfast.wire.alert import Alert
from handfast.wire.codepoints import ExtensionType
from handfast.wire.cursor import Reader
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import HELLO_RETRY_RANDOM, ClientHello, ServerHello
from handfast.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateVerify12,
    ClientKeyExchange,
    Finished12,
    HelloRequest,
    NewSessionTicket12,
    ServerHelloDone,
    ServerKeyExchange,
)
from handfast.wire.messages13 import (
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
    KeyUpdate,
    NewSessionTicket,
)
from handfast.wire.psk import OfferedPsks, PskIdentity
from tests.unit.wire import build

# --- messages that are right

code_point = st.integers(0, 0xFFFF)
code_points = st.lists(code_point, min_size=1, max_size=20)
some_bytes = st.binary(min_size=1, max_size=40)
known = st.sampled_from(sorted(ExtensionType.names()))
unknown = code_point.filter(lambda number: number not in ExtensionType.names())
others = st.dictionaries(unknown, st.binary(max_size=40), max_size=4)
host_name = st.text(st.characters(min_codepoint=1, max_codepoint=127), min_size=1, max_size=255)
protocols = st.lists(st.binary(min_size=1, max_size=255), min_size=1, max_size=4)
share = st.builds(KeyShareEntry, code_point, some_bytes)
random = st.binary(min_size=32, max_size=32)
session_id = st.binary(max_size=32)
size_limit = st.integers(64, 0xFFFF)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


flag = maybe(st.just(True))
point_formats = st.binary(min_size=1, max_size=255)
psk = st.tuples(st.builds(PskIdentity, some_bytes, st.integers(0, 0xFFFFFFFF)), st.binary(min_size=32, max_size=64))
psks = st.lists(psk, min_size=1, max_size=4).map(
    lambda pairs: OfferedPsks([identity for identity, _ in pairs], [binder for _, binder in pairs])
)
client_hellos = st.builds(
    ClientHello,
    random=random,
    legacy_session_id=session_id,
    cipher_suites=code_points,
    legacy_version=code_point,
    legacy_compression_methods=st.binary(min_size=1, max_size=3),
    server_name=maybe(host_name),
    extended_main_secret=flag,
    renegotiation_info=maybe(st.binary(max_size=255)),
    supported_groups=maybe(code_points),
    ec_point_formats=maybe(point_formats),
    application_layer_protocol_negotiation=maybe(protocols),
    signature_algorithms=maybe(code_points),
    signature_algorithms_cert=maybe(code_points),
    certificate_authorities=maybe(st.lists(some_bytes, min_size=1, max_size=4)),
    record_size_limit=maybe(size_limit),
    supported_versions=maybe(code_points),
    cookie=maybe(some_bytes),
    key_share=maybe(st.lists(share, max_size=4)),
    psk_key_exchange_modes=maybe(st.binary(min_size=1, max_size=5)),
    ticket_request=maybe(st.tuples(st.integers(0, 255), st.integers(0, 255))),
    session_ticket=maybe(st.binary(max_size=40)),
    early_data=flag,
    padding=maybe(st.integers(0, 600)),
    pre_shared_key=maybe(psks),
    other_extensions=others,
)
server_hellos = st.builds(
    ServerHello,
    random=random,
    legacy_session_id_echo=session_id,
    cipher_suite=code_point,
    legacy_version=code_point,
    legacy_compression_method=st.integers(0, 255),
    selected_version=code_point,
    key_share=maybe(share),
    selected_identity=maybe(code_point),
    other_extensions=others,
)
old_server_hellos = st.builds(
    ServerHello,
    random=random,
    legacy_session_id_echo=session_id,
    cipher_suite=code_point,
    renegotiation_info=maybe(st.binary(max_size=255)),
    server_name_acknowledged=flag,
    ec_point_formats=maybe(point_formats),
    extended_main_secret=flag,
    session_ticket_promised=flag,
    application_layer_protocol_negotiation=maybe(st.binary(min_size=1, max_size=255)),
    record_size_limit=maybe(size_limit),
    other_extensions=others,
)
retry_requests = st.builds(
    ServerHello,
    random=st.just(HELLO_RETRY_RANDOM),
    legacy_session_id_echo=session_id,
    cipher_suite=code_point,
    selected_version=code_point,
    selected_group=maybe(code_point),
    cookie=maybe(some_bytes),
    other_extensions=others,
)
encrypted_extensions = st.builds(
    EncryptedExtensions,
    server_name_acknowledged=maybe(st.just(True)),
    supported_groups=maybe(code_points),
    application_layer_protocol_negotiation=maybe(st.binary(min_size=1, max_size=255)),
    record_size_limit=maybe(size_limit),
    expected_tickets=maybe(st.integers(0, 255)),
    early_data=flag,
    other_extensions=others,
)
certificate_requests = st.builds(
    CertificateRequest,
    certificate_request_context=st.binary(max_size=255),
    signature_algorithms=maybe(code_points),
    signature_algorithms_cert=maybe(code_points),
    certificate_authorities=maybe(st.lists(some_bytes, min_size=1, max_size=4)),
    other_extensions=others,
)
certificates = st.builds(
    Certificate,
    st.lists(st.builds(CertificateEntry, some_bytes, others), max_size=4),
    st.binary(max_size=255),
)
certificate_verifies = st.builds(CertificateVerify, code_point, st.binary(max_size=200))
finisheds = st.builds(Finished, st.binary(max_size=64))
key_updates = st.builds(KeyUpdate, st.booleans())
uint32 = st.integers(0, 0xFFFFFFFF)
tickets = st.builds(
    NewSessionTicket,
    uint32,
    uint32,
    st.binary(max_size=255),
    some_bytes,
    max_early_data_size=maybe(uint32),
    other_extensions=others,
)

# Those of TLS 1.2.
certificates_12 = st.builds(Certificate12, st.lists(some_bytes, max_size=4))
server_key_exchanges = st.builds(
    ServerKeyExchange, code_point, st.binary(min_size=1, max_size=255), code_point, st.binary(max_size=200)
)
certificate_requests_12 = st.builds(
    CertificateRequest12, st.binary(min_size=1, max_size=255), code_points, st.lists(some_bytes, max_size=4)
)
client_key_exchanges = st.builds(ClientKeyExchange, st.binary(min_size=1, max_size=255))

MESSAGES = {
    "ClientHello": client_hellos,
    "ServerHello": server_hellos,
    "ServerHello of TLS 1.2": old_server_hellos,
    "HelloRetryRequest": retry_requests,
    "EncryptedExtensions": encrypted_extensions,
    "CertificateRequest": certificate_requests,
    "Certificate": certificates,
    "CertificateVerify": certificate_verifies,
    "Finished": finisheds,
    "KeyUpdate": key_updates,
    "NewSessionTicket": tickets,
    "EndOfEarlyData": st.builds(EndOfEarlyData),
    "NewSessionTicket of TLS 1.2": st.builds(NewSessionTicket12, uint32, st.binary(max_size=200)),
    "Certificate of TLS 1.2": certificates_12,
    "ServerKeyExchange": server_key_exchanges,
    "CertificateRequest of TLS 1.2": certificate_requests_12,
    "ServerHelloDone": st.builds(ServerHelloDone),
    "HelloRequest": st.builds(HelloRequest),
    "ClientKeyExchange": client_key_exchanges,
    "CertificateVerify of TLS 1.2": st.builds(CertificateVerify12, code_point, st.binary(max_size=200)),
    "Finished of TLS 1.2": st.builds(Finished12, st.binary(max_size=12)),
}
# A Finished is as long as it is: that its length is right shows with its value.
OF_ANY_LENGTH = ("Finished", "Finished of TLS 1.2")
EMPTY = ("ServerHelloDone", "HelloRequest", "EndOfEarlyData")  # there is nothing to cut
PARSERS = [
    ClientHello,
    ServerHello,
    EncryptedExtensions,
    CertificateRequest,
    Certificate,
    CertificateVerify,
    Finished,
    KeyUpdate,
    NewSessionTicket,
    EndOfEarlyData,
    NewSessionTicket12,
    Certificate12,
    ServerKeyExchange,
    CertificateRequest12,
    ServerHelloDone,
    HelloRequest,
    ClientKeyExchange,
    CertificateVerify12,
    Finished12,
]
each_parser = pytest.mark.parametrize("kind", PARSERS, ids=lambda kind: kind.__name__)


def fields(message: Any) -> dict[str, Any]:
    """All fields of a message but the bytes it came from."""
    return {name: getattr(message, name) for name in type(message).__slots__ if name != "raw"}


def attempt(read: Callable[[], Any]) -> Any:
    """What is read, or the error that it is refused with; any other exception fails the test."""
    try:
        return read()
    except PeerMisbehaved as error:
        return error


def parsed(kind: Any, raw: bytes) -> Any | None:
    """The message; None where it is refused in one of the ways in which a parser may refuse."""
    outcome = attempt(lambda: kind.parse(raw))
    if isinstance(outcome, DecodeError):
        assert 4 <= outcome.offset <= len(raw)
        assert outcome.field
        assert outcome.alert in (47, 50)  # illegal_parameter, decode_error
    elif isinstance(outcome, PeerMisbehaved):
        assert outcome.reason in (EXTENSION_NOT_ALLOWED, BAD_RECORD_SIZE_LIMIT, BAD_KEY_UPDATE, BAD_CURVE_TYPE)
    else:
        assert outcome.raw == raw
        return outcome
    return None


def check(kind: Any, raw: bytes) -> None:
    """A parser gives a message that encodes to what came, or refuses."""
    message = parsed(kind, raw)
    if message is None:
        return
    encoded = message.encode()
    again = kind.parse(encoded)
    assert fields(again) == fields(message)
    # Two things are not kept, since nobody needs them: whether an empty block of a hello was there at all, and what
    # padding was filled with.
    if getattr(message, "padding", None) is None and len(encoded) == len(raw):
        assert encoded == raw
    elif len(encoded) != len(raw):
        assert isinstance(message, ClientHello | ServerHello)
        assert encoded[4:] == raw[4:] + b"\0\0"


# --- any bytes


@each_parser
@given(body=st.binary(max_size=400))
def test_any_bytes_are_a_message_or_refused(kind: Any, body: bytes) -> None:
    check(kind, build.handshake(kind.TYPE, body))


def of_extensions(make: Any) -> st.SearchStrategy[bytes]:
    """Messages whose extensions are known by type, with any data: random bytes would hardly ever get that far."""
    extension = st.tuples(known | code_point, st.binary(max_size=40) | blocks)
    return st.lists(extension, max_size=5).map(lambda extensions: make(*extensions))


# Data that begins as most extensions do: a length that is right, of one or two bytes.
blocks = st.binary(max_size=40).map(build.vector16) | st.binary(max_size=40).map(
    lambda data: bytes((len(data),)) + data
)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (ClientHello, build.client_hello),
        (ServerHello, build.server_hello),
        (ServerHello, lambda *more: build.server_hello(build.VERSION_13, *more)),
        (ServerHello, lambda *more: build.retry_request(build.VERSION_13, *more)),
        (EncryptedExtensions, build.encrypted_extensions),
        (CertificateRequest, build.certificate_request),
        (Certificate, build.certificate),
        (NewSessionTicket, build.new_session_ticket),
    ],
    ids=["CH", "SH of 1.2", "SH", "HRR", "EE", "CR", "CT", "NST"],
)
@given(data=st.data())
def test_any_extensions_are_read_or_refused(kind: Any, make: Any, data: st.DataObject) -> None:
    check(kind, data.draw(of_extensions(make)))


# --- messages that are right, and what comes of changing them


@pytest.mark.parametrize("name", MESSAGES)
@given(data=st.data())
def test_what_is_encoded_parses_to_the_same(name: str, data: st.DataObject) -> None:
    message = data.draw(MESSAGES[name])
    raw = message.encode()
    again = type(message).parse(raw)
    assert fields(again) == fields(message)
    assert again.encode() == raw


@pytest.mark.parametrize("name", MESSAGES)
@given(data=st.data())
def test_a_changed_message_is_a_message_or_refused(name: str, data: st.DataObject) -> None:
    message = data.draw(MESSAGES[name])
    raw = bytearray(message.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        if len(raw) > 4:
            raw[data.draw(st.integers(4, len(raw) - 1))] = data.draw(st.integers(0, 255))
    check(type(message), bytes(raw))


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in (*OF_ANY_LENGTH, *EMPTY)])
@given(data=st.data())
def test_a_message_cut_short_is_refused(name: str, data: st.DataObject) -> None:
    message = data.draw(MESSAGES[name])
    body = message.encode()[4:]
    shorter = body[: data.draw(st.integers(0, len(body) - 1))]
    cut = build.handshake(message.TYPE, shorter)
    if parsed(type(message), cut) is not None:  # a hello without its block is a hello of old
        assert isinstance(message, ClientHello | ServerHello)
        assert type(message).parse(cut).extension_types == []


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in OF_ANY_LENGTH])
@given(data=st.data(), more=st.binary(min_size=1, max_size=5))
def test_a_message_with_something_behind_it_is_refused(name: str, data: st.DataObject, more: bytes) -> None:
    message = data.draw(MESSAGES[name])
    with pytest.raises(DecodeError) as caught:
        type(message).parse(build.handshake(message.TYPE, message.encode()[4:] + more))
    assert caught.value.reason is DECODE_ERROR


# --- the rest


@given(content=st.binary(max_size=5))
@example(content=b"\2\x28")
def test_an_alert_is_two_bytes_or_refused(content: bytes) -> None:
    if len(content) == 2:
        assert Alert.parse(content).encode() == content
    else:
        with pytest.raises(PeerMisbehaved) as caught:
            Alert.parse(content)
        assert caught.value.reason is BAD_ALERT


READS = ["uint8", "uint16", "uint32", "vector8", "vector16", "vector24", "nested16", "nested24", "uint16s", "uint16s8"]


@given(data=st.binary(max_size=60), methods=st.lists(st.sampled_from(READS), max_size=12), start=st.integers(0, 5))
def test_a_reader_never_leaves_its_bytes(data: bytes, methods: list[str], start: int) -> None:
    start = min(start, len(data))
    reader = Reader(data, start, max(start, len(data) - 3))
    for method in methods:
        before = reader.position
        value = attempt(functools.partial(getattr(reader, method), "field"))
        assert before <= reader.position <= reader.end
        if isinstance(value, PeerMisbehaved):
            assert isinstance(value, DecodeError)
            assert start <= value.offset <= reader.end
        elif isinstance(value, Reader):
            assert before <= value.position <= value.end <= reader.position
