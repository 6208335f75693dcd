"""Records of TLS 1.2 that may not stand where they do, or are not what their tag says, on both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handfast import ApplicationData, limits, reasons
from handfast.errors import BadRecord, PeerMisbehaved, TLSError
from handfast.reasons import Reason
from handfast.wire.codepoints import ContentType
from handfast.wire.messages12 import HelloRequest
from tests.handshake.parties import fails
from tests.playbook.peers import CLOSE_NOTIFY, record
from tests.playbook.playing import CLIENT_WAITS_12, SERVER_WAITS_12, at_client12, at_server12, check_refused

AT: dict[str, Callable[..., Any]] = {"client": at_client12, "server": at_server12}
BOTH = pytest.mark.parametrize("side", AT)

RECORDS: list[tuple[str, str, str, Callable[[Any], bytes], type[TLSError], Reason]] = [
    (
        f"{what}, to a {side} that awaits {awaited or 'nothing'}",
        side,
        awaited,
        make,
        kind,
        reason,
    )
    for what, waits, make, kind, reason in (
        (
            "application data in the clear",
            ("ServerHello", "ClientKeyExchange", "ChangeCipherSpec"),
            lambda p: record(ContentType.APPLICATION_DATA, b"early"),
            BadRecord,
            reasons.UNEXPECTED_RECORD,
        ),
        (
            "application data before Finished",
            ("Finished",),
            lambda p: p.wire(ContentType.APPLICATION_DATA, b"early"),
            PeerMisbehaved,
            reasons.UNEXPECTED_APPLICATION_DATA,
        ),
        (
            "empty application data before Finished",
            ("Finished",),
            lambda p: p.wire(ContentType.APPLICATION_DATA, b""),
            BadRecord,
            reasons.EMPTY_RECORD,
        ),
        (
            "application data in the clear",
            ("Finished", ""),
            lambda p: record(ContentType.APPLICATION_DATA, bytes(64)),
            BadRecord,
            reasons.BAD_RECORD_MAC,
        ),
        (
            "a record that is too short",
            ("Finished", ""),
            lambda p: record(ContentType.APPLICATION_DATA, b"x" * 23),
            BadRecord,
            reasons.BAD_RECORD_MAC,
        ),
        (
            "a handshake message in the clear",
            ("",),
            lambda p: record(ContentType.HANDSHAKE, HelloRequest().encode()),
            BadRecord,
            reasons.BAD_RECORD_MAC,
        ),
        (
            "an alert in the clear",
            ("Finished", ""),
            lambda p: record(ContentType.ALERT, b"\2\x28"),
            BadRecord,
            reasons.BAD_RECORD_MAC,
        ),
        (
            "a close_notify in the clear",
            ("",),
            lambda p: record(ContentType.ALERT, CLOSE_NOTIFY),
            BadRecord,
            reasons.BAD_RECORD_MAC,
        ),
        (
            "an empty handshake record",
            ("ServerHello", "ClientKeyExchange", "Finished", ""),
            lambda p: p.wire(ContentType.HANDSHAKE, b""),
            BadRecord,
            reasons.EMPTY_RECORD,
        ),
        (
            "an alert of three bytes",
            ("ServerHello", "ClientKeyExchange", "Finished", ""),
            lambda p: p.wire(ContentType.ALERT, b"\1\0\0"),
            PeerMisbehaved,
            reasons.BAD_ALERT,
        ),
        (
            "a heartbeat",
            ("Certificate", "ClientKeyExchange", "Finished", ""),
            lambda p: p.wire(24, b"\1\x40\0" + bytes(16)),
            BadRecord,
            reasons.UNEXPECTED_RECORD,
        ),
        (
            "too much content",
            ("",),
            lambda p: p.wire(ContentType.APPLICATION_DATA, bytes((1 << 14) + 1)),
            BadRecord,
            reasons.RECORD_OVERFLOW,
        ),
        (
            "a record that is too long",
            ("ServerHello", "ClientKeyExchange"),
            lambda p: record(ContentType.HANDSHAKE, bytes((1 << 14) + 1)),
            BadRecord,
            reasons.RECORD_OVERFLOW,
        ),
        (
            "empty records for ever",
            ("",),
            lambda p: b"".join(p.wire(ContentType.APPLICATION_DATA, b"") for _ in range(limits.EMPTY_RECORDS_IN_A_ROW + 1)),
            BadRecord,
            reasons.TOO_MANY_EMPTY_RECORDS,
        ),
    )
    for awaited in waits
    for side, known in (("client", CLIENT_WAITS_12), ("server", SERVER_WAITS_12))
    if awaited in known
]  # fmt: skip


@pytest.mark.parametrize(
    ("side", "awaited", "data", "kind", "reason"), [row[1:] for row in RECORDS], ids=[row[0] for row in RECORDS]
)
def test_records(side: str, awaited: str, data: Callable[[Any], bytes], kind: type[TLSError], reason: Reason) -> None:
    peer = AT[side](awaited)
    check_refused(peer, kind, reason, lambda: peer.deliver(data(peer)))


@BOTH
@pytest.mark.parametrize("change", ["type", "sequence", "length"])
def test_what_a_record_is_bound_to(side: str, change: str) -> None:
    """Type, length and number of a record are in what its tag protects (RFC 5246 section 6.2.3.3)."""
    peer = AT[side]("")
    if change == "sequence":
        peer.writing.sequence += 1
    raw = bytearray(peer.wire(ContentType.APPLICATION_DATA, b"GET / HTTP/1.1"))
    if change == "type":
        raw[0] = ContentType.HANDSHAKE
    elif change == "length":
        raw[3:5] = (len(raw) - 6).to_bytes(2)
        raw.pop()
    check_refused(peer, BadRecord, reasons.BAD_RECORD_MAC, lambda: peer.deliver(bytes(raw)))


@BOTH
def test_a_record_that_comes_twice(side: str) -> None:
    peer = AT[side]("")
    raw = peer.wire(ContentType.APPLICATION_DATA, b"pay")
    peer.deliver(raw)
    check_refused(peer, BadRecord, reasons.BAD_RECORD_MAC, lambda: peer.deliver(raw))


@BOTH
def test_a_record_of_our_own_does_not_come_back(side: str) -> None:
    peer = AT[side]("")
    peer.hear()
    peer.connection.send(b"data")
    raw = bytes(peer.connection.data_to_send())
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        peer.deliver(raw)


@BOTH
def test_nonces_do_not_repeat(side: str) -> None:
    """The raw peer refuses a nonce that is not the sequence number (Böck and others, 2016: repeated GCM nonces)."""
    peer = AT[side]("")
    peer.hear()
    for _ in range(5):
        peer.connection.send(b"data")
    assert [content for _, content, _ in peer.hear()] == [b"data"] * 5
    assert peer.reading.sequence == 6  # Finished was the first


@BOTH
def test_the_peer_may_choose_the_half_of_the_nonce_that_it_sends(side: str) -> None:
    """RFC 5288 section 3: other stacks count from a random number."""
    peer = AT[side]("")
    peer.writing.iv ^= 0x1234_5678_9ABC_DEF0
    raw = bytearray(peer.wire(ContentType.APPLICATION_DATA, b"data"))
    raw[5:13] = (0x1234_5678_9ABC_DEF0 ^ 1).to_bytes(8)
    peer.deliver(bytes(raw))
    assert peer.events[-1] == ApplicationData(b"data")
