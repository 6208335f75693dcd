"""Handshake messages out of records (RFC 9846 section 5.1)."""

from __future__ import annotations

import pytest

from handfast import limits
from handfast.errors import PeerMisbehaved
from handfast.reasons import MESSAGE_TOO_LARGE
from handfast.record.reassembly import Reassembly
from handfast.wire.codepoints import HandshakeType as H


def message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + len(body).to_bytes(3) + body


MESSAGES = [message(8, b"extensions"), message(11, bytes(20_000)), message(20, b""), message(15, b"x")]


def complete(messages: Reassembly) -> list[bytes]:
    found = []
    while (raw := messages.next()) is not None:
        found.append(raw)
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 17, 16_384, 100_000])
def test_messages_may_be_split_and_may_share_records(size: int) -> None:
    stream = b"".join(MESSAGES)
    messages = Reassembly()
    found = []
    for at in range(0, len(stream), size):
        messages.feed(memoryview(stream)[at : at + size])
        found += complete(messages)
    assert found == MESSAGES
    assert len(messages) == 0
    assert all(type(raw) is bytes for raw in found)


def test_what_waits_for_its_rest_is_counted() -> None:
    messages = Reassembly()
    assert (len(messages), messages.type(), messages.next()) == (0, None, None)
    messages.feed(b"\x0b")
    assert (len(messages), messages.type(), messages.next()) == (1, 11, None)
    messages.feed(b"\x00\x00")
    assert (len(messages), messages.type(), messages.next()) == (3, 11, None)
    messages.feed(b"\x02a")
    assert (len(messages), messages.next()) == (5, None)
    messages.feed(b"b\x14")
    assert messages.next() == b"\x0b\0\0\x02ab"
    assert (len(messages), messages.type(), messages.next()) == (1, 20, None)


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        (H.CLIENT_HELLO, limits.CLIENT_HELLO),
        (H.SERVER_HELLO, limits.SERVER_HELLO),
        (H.ENCRYPTED_EXTENSIONS, limits.ENCRYPTED_EXTENSIONS),
        (H.CERTIFICATE, limits.CERTIFICATE),
        (H.CERTIFICATE_REQUEST, limits.CERTIFICATE_REQUEST),
        (H.CERTIFICATE_VERIFY, limits.CERTIFICATE_VERIFY),
        (H.NEW_SESSION_TICKET, limits.NEW_SESSION_TICKET),
        (H.FINISHED, limits.MESSAGE),
        (H.KEY_UPDATE, limits.MESSAGE),
        (0x77, limits.MESSAGE),
    ],
    ids=lambda value: H.name(value) if value < 256 else None,
)
def test_each_type_has_its_largest_message(kind: int, limit: int) -> None:
    largest = message(kind, bytes(limit - 4))
    messages = Reassembly()
    messages.feed(largest)
    assert messages.next() == largest

    messages.feed(bytes((kind,)) + (limit - 3).to_bytes(3))  # the header is enough: the body is never waited for
    with pytest.raises(PeerMisbehaved) as caught:
        messages.next()
    assert caught.value.reason is MESSAGE_TOO_LARGE
    assert caught.value.evidence == {"message": H.name(kind), "length": limit + 1, "limit": limit}
    assert caught.value.alert == 47


def test_a_message_of_16_mib_is_refused_by_its_header() -> None:
    messages = Reassembly()
    messages.feed(b"\x0b\xff\xff\xff")
    with pytest.raises(PeerMisbehaved, match="16777219"):
        messages.next()
