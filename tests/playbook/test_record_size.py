"""record_size_limit (RFC 8449) and padding (RFC 9846 section 5.4): what is sent, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import ApplicationData, reasons
from handfast.errors import BadRecord, DecodeError, PeerMisbehaved
from handfast.wire.codepoints import ContentType, ExtensionType, HandshakeType
from handfast.wire.messages13 import EncryptedExtensions
from tests.playbook.peers import RawClient, RawPeer, RawServer
from tests.playbook.playing import at_client, at_server, check_refused

DATA = ContentType.APPLICATION_DATA
LARGEST = (1 << 14) + 1  # content, type and padding of a record
LIMITS = (64, 65, 100, 1000, LARGEST - 1, LARGEST)


def limited_client(ours: int | None, theirs: int | None, **settings: Any) -> RawServer:
    """The handshake done, where the client asked for ``ours`` and the server for ``theirs``."""
    server = at_client("ServerHello", record_size_limit=ours, **settings)
    if ours and theirs:
        server.size = ours - 1
    return server.go_to("", EncryptedExtensions(record_size_limit=theirs))


def limited_server(ours: int | None, theirs: int | None, **settings: Any) -> RawClient:
    """The handshake done, where the server asked for ``ours`` and the client for ``theirs``."""
    client = at_server(record_size_limit=ours, **settings)
    if ours and theirs:
        client.size = ours - 1
    return client.go_to("", record_size_limit=theirs)


either_side = pytest.mark.parametrize("limited", [limited_client, limited_server], ids=["client", "server"])


def received(peer: RawPeer) -> bytes:
    return b"".join(event.data for event in peer.events if isinstance(event, ApplicationData))


# --- the extension -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 63])
def test_a_client_refuses_less_than_64_bytes(limit: int) -> None:
    server = at_client("EncryptedExtensions", record_size_limit=4096)
    error = check_refused(
        server,
        PeerMisbehaved,
        reasons.BAD_RECORD_SIZE_LIMIT,
        lambda: server.say(EncryptedExtensions(record_size_limit=limit)),
    )
    assert error.evidence == {"record_size_limit": limit}


@pytest.mark.parametrize("limit", [0, 1, 63])
def test_a_server_refuses_less_than_64_bytes(limit: int) -> None:
    client = at_server()
    check_refused(
        client,
        PeerMisbehaved,
        reasons.BAD_RECORD_SIZE_LIMIT,
        lambda: client.say(client.hello(record_size_limit=limit)),
    )


@pytest.mark.parametrize("data", [b"", b"\x40", b"\0\x40\0"])
def test_it_has_two_bytes(data: bytes) -> None:
    others = {ExtensionType.RECORD_SIZE_LIMIT: data}
    client = at_server()
    check_refused(client, DecodeError, reasons.DECODE_ERROR, lambda: client.say(client.hello(other_extensions=others)))
    server = at_client("EncryptedExtensions", record_size_limit=4096)
    answer = EncryptedExtensions(other_extensions=others)
    check_refused(server, DecodeError, reasons.DECODE_ERROR, lambda: server.say(answer))


def test_a_client_that_did_not_ask_gets_no_answer() -> None:
    server = at_client("EncryptedExtensions")
    assert server.client_hello.record_size_limit is None
    answer = EncryptedExtensions(record_size_limit=4096)
    check_refused(server, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION, lambda: server.say(answer))


@pytest.mark.parametrize("asked", [None, 4096])
@pytest.mark.parametrize("configured", [None, 2048])
def test_a_server_answers_whoever_asks(asked: int | None, configured: int | None) -> None:
    client = at_server(record_size_limit=configured)
    client.say(client.hello(record_size_limit=asked))
    (raw,) = [raw for raw in client.heard_messages() if raw[0] == HandshakeType.ENCRYPTED_EXTENSIONS]
    expected = None if asked is None else configured or LARGEST
    assert EncryptedExtensions.parse(raw).record_size_limit == expected


# --- what is sent --------------------------------------------------------------------------------------------------


@either_side
@pytest.mark.parametrize("limit", LIMITS)
def test_records_keep_to_what_the_peer_asked_for(limited: Any, limit: int) -> None:
    peer = limited(LARGEST, limit)
    data = bytes(range(256)) * 150
    before = len(peer.inners)
    peer.connection.send(data)
    peer.hear()
    inners = peer.inners[before:]
    assert b"".join(inner[:-1] for inner in inners) == data
    assert {len(inner) for inner in inners[:-1]} <= {limit}
    assert len(inners) == -(-len(data) // (limit - 1))


@pytest.mark.parametrize("limit", [64, 100])
def test_a_servers_flight_keeps_to_it_from_the_first_encrypted_record_on(limit: int) -> None:
    client = limited_server(None, limit)
    assert client.inners
    assert max(map(len, client.inners)) == limit


@pytest.mark.parametrize("limit", [LARGEST + 1, 0xFFFF])
@either_side
def test_more_than_there_may_be_is_no_error(limited: Any, limit: int) -> None:
    """A later version of TLS may allow more (RFC 8449 section 4)."""
    peer = limited(LARGEST, limit)
    peer.connection.send(bytes(20_000))
    peer.hear()
    assert [len(inner) for inner in peer.inners[-2:]] == [LARGEST, 20_000 - (1 << 14) + 1]


@either_side
def test_where_one_side_does_not_ask_records_are_as_long_as_ever(limited: Any) -> None:
    peer = limited(None, None)
    peer.connection.send(bytes(20_000))
    peer.hear()
    assert max(map(len, peer.inners)) == LARGEST
    peer.send(DATA, bytes(1 << 14))
    assert received(peer) == bytes(1 << 14)


# --- what is refused -----------------------------------------------------------------------------------------------


@either_side
@pytest.mark.parametrize("limit", LIMITS[:-1])
@pytest.mark.parametrize("padding", [0, 1, 40])
def test_a_record_of_what_we_asked_for_is_read_and_a_longer_one_is_refused(
    limited: Any, limit: int, padding: int
) -> None:
    peer = limited(limit, LARGEST)
    content = bytes(limit - 1 - padding)
    peer.send(DATA, content, padding)
    assert received(peer) == content
    error = check_refused(peer, BadRecord, reasons.RECORD_OVERFLOW, lambda: peer.send(DATA, content, padding + 1))
    assert error.evidence == {"length": limit + 1, "limit": limit}


@either_side
def test_handshake_messages_too(limited: Any) -> None:
    peer = limited(64, LARGEST)
    check_refused(peer, BadRecord, reasons.RECORD_OVERFLOW, lambda: peer.send(ContentType.HANDSHAKE, bytes(64)))


@either_side
def test_the_limit_outlives_a_change_of_keys(limited: Any) -> None:
    peer = limited(100, 64)
    peer.deliver(peer.update(request=True))
    peer.send(DATA, bytes(99))
    before = len(peer.inners)
    peer.connection.send(bytes(630))
    peer.hear()
    assert [len(inner) for inner in peer.inners[before + 1 :]] == [64] * 10
    check_refused(peer, BadRecord, reasons.RECORD_OVERFLOW, lambda: peer.send(DATA, bytes(100)))


def test_a_client_whose_limit_was_not_answered_reads_everything() -> None:
    """The server does not know the extension, and so cannot keep to it."""
    server = limited_client(64, None)
    server.send(DATA, bytes(1 << 14))
    assert received(server) == bytes(1 << 14)


def test_plain_records_have_no_limit() -> None:
    client = at_server(record_size_limit=64)
    client.say(client.hello(record_size_limit=64, padding=9000))
    assert client.connection.awaiting == "Finished"


# --- padding -------------------------------------------------------------------------------------------------------


@either_side
@pytest.mark.parametrize("multiple", [1, 2, 16, 100, 4096, LARGEST])
@pytest.mark.parametrize("length", [1, 15, 16, 99, 100, 5000, 1 << 14, 20_000])
def test_what_we_pad(limited: Any, multiple: int, length: int) -> None:
    peer = limited(LARGEST, LARGEST, record_padding=multiple)
    before = len(peer.inners)
    data = b"x" * length
    peer.connection.send(data)
    peer.hear()
    inners = peer.inners[before:]
    assert b"".join(inner.rstrip(b"\0")[:-1] for inner in inners) == data
    for inner in inners:
        assert len(inner) % multiple == 0 or len(inner) == LARGEST
        assert inner.rstrip(b"\0")[-1] == DATA
    plain = length % (1 << 14) or 1 << 14
    assert len(inners[-1]) - (plain + 1) < multiple


@either_side
def test_padding_keeps_to_the_limit_of_the_peer(limited: Any) -> None:
    peer = limited(LARGEST, 100, record_padding=64)
    before = len(peer.inners)
    peer.connection.send(bytes(170))
    peer.hear()
    assert [len(inner) for inner in peer.inners[before:]] == [100, 100]


@either_side
def test_alerts_and_key_updates_are_padded_too(limited: Any) -> None:
    peer = limited(LARGEST, LARGEST, record_padding=64)
    before = len(peer.inners)
    peer.connection.update_keys()
    peer.connection.close()
    peer.hear()
    assert [len(inner) for inner in peer.inners[before:]] == [64, 64]


@either_side
@pytest.mark.parametrize("length", [0, 1, 16, LARGEST])
def test_nothing_but_padding_is_refused(limited: Any, length: int) -> None:
    peer = limited(None, None)
    assert peer.writing is not None
    check_refused(peer, BadRecord, reasons.NO_CONTENT_TYPE, lambda: peer.deliver(peer.writing.seal(bytes(length))))


@either_side
def test_padding_of_any_length_means_nothing(limited: Any) -> None:
    peer = limited(None, None)
    for padding in (0, 1, 255, 256, (1 << 14) - 4):
        peer.send(DATA, b"data", padding)
    assert received(peer) == b"data" * 5
    check_refused(peer, BadRecord, reasons.RECORD_OVERFLOW, lambda: peer.send(DATA, b"data", (1 << 14) - 3))


@either_side
def test_zeros_at_the_end_of_the_content_are_content(limited: Any) -> None:
    peer = limited(None, None)
    peer.send(DATA, b"data\0\0\0", padding=9)
    assert received(peer) == b"data\0\0\0"
