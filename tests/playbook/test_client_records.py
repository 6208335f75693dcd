"""What a client makes of the records and alerts of its server, and of the end of the connection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from handfast import AlertReceived, ApplicationData, HandshakeCompleted, PeerClosed, TruncationError, reasons
from handfast.errors import BadRecord, DecodeError, PeerMisbehaved, TLSError
from handfast.reasons import Reason
from handfast.wire.codepoints import AlertDescription, ContentType, HandshakeType, SignatureScheme
from handfast.wire.messages13 import CertificateRequest, EncryptedExtensions
from tests.handshake.parties import fails
from tests.playbook.peers import CHANGE_CIPHER_SPEC, CLOSE_NOTIFY, USER_CANCELED, RawServer, _Direction, message, record
from tests.playbook.playing import CLIENT_WAITS, at_client, check_refused

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
    server = at_client(awaited)
    check_refused(server, kind, reason, lambda: server.deliver(data(server)))


def test_messages_may_be_split_and_joined_at_will() -> None:
    server = at_client("EncryptedExtensions")
    flight = server.noted(EncryptedExtensions()) + server.noted(server.certificate())
    flight += server.noted(server.proof())
    flight += server.noted(server.finished())
    for at in range(0, len(flight), 7):
        server.send(ContentType.HANDSHAKE, flight[at : at + 7], padding=at % 5)
    assert [type(event) for event in server.events] == [HandshakeCompleted]


def test_change_cipher_specs_mean_nothing() -> None:
    server = at_client()
    server.deliver(CHANGE_CIPHER_SPEC)
    server.go_to("EncryptedExtensions")
    server.deliver(CHANGE_CIPHER_SPEC)
    server.say(EncryptedExtensions(), server.certificate())
    server.say(server.proof())
    server.deliver(CHANGE_CIPHER_SPEC)
    server.say(server.finished())
    assert server.connection.handshake is not None


def test_padding_and_empty_records_mean_nothing() -> None:
    server = at_client("")
    server.send(ContentType.APPLICATION_DATA, b"", padding=100)
    server.send(ContentType.APPLICATION_DATA, b"data", padding=1000)
    server.send(ContentType.APPLICATION_DATA, b"", padding=0)
    server.send(ContentType.APPLICATION_DATA, bytes(1 << 14))
    data = [event.data for event in server.events if isinstance(event, ApplicationData)]
    assert data == [b"data", bytes(1 << 14)]


def test_the_record_version_does_not_matter() -> None:
    server = at_client()
    server.deliver(record(ContentType.HANDSHAKE, server.noted(server.hello()), version=0x0301))
    assert server.connection.awaiting == "EncryptedExtensions"


# --- after the handshake, and the end ------------------------------------------------------------------------------


def test_tickets_are_ignored() -> None:
    server = at_client("")
    server.handshake(TICKET, TICKET)
    server.send(ContentType.APPLICATION_DATA, b"data")
    assert server.events[1:] == [ApplicationData(b"data")]


def test_data_makes_room_for_more_tickets() -> None:
    server = at_client("")
    for _ in range(3):
        server.handshake(*[TICKET] * 32)
        server.send(ContentType.APPLICATION_DATA, b"data")
    assert not server.connection.failed


def test_a_ticket_that_does_not_parse_is_refused() -> None:
    server = at_client("")
    bad = message(HandshakeType.NEW_SESSION_TICKET, bytes(8) + b"\0" + b"\0\0" + b"\0\0")
    check_refused(server, DecodeError, reasons.DECODE_ERROR, lambda: server.handshake(bad))


def test_a_later_certificate_request_is_refused() -> None:
    """Post-handshake authentication was not offered (RFC 9846 section 4.7.2)."""
    server = at_client("")
    request = CertificateRequest(b"x", signature_algorithms=[SignatureScheme.ED25519]).encode()
    check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(request))


@pytest.mark.parametrize("awaited", CLIENT_WAITS[1:-1])
@pytest.mark.parametrize("description", sorted(AlertDescription.names() - {AlertDescription.USER_CANCELED: 0}.keys()))
def test_alerts_during_the_handshake(awaited: str, description: int) -> None:
    server = at_client(awaited)
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
    server = at_client()
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
        server.alert(AlertDescription.HANDSHAKE_FAILURE)
    assert caught.value.name == "handshake_failure"
    assert caught.value.step == "ServerHello"


def test_an_alert_after_the_handshake() -> None:
    server = at_client("")
    server.send(ContentType.APPLICATION_DATA, b"data")
    with fails(AlertReceived, reasons.ALERT_RECEIVED):
        server.alert(AlertDescription.INTERNAL_ERROR)
    assert server.events[1:] == [ApplicationData(b"data")]
    assert not server.connection.has_data_to_send


def test_an_unknown_alert_is_shown_as_a_number() -> None:
    server = at_client("")
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
        server.alert(234)
    assert caught.value.name == "0xea"


def test_user_canceled_is_followed_by_close_notify() -> None:
    server = at_client("EncryptedExtensions")
    server.send(ContentType.ALERT, USER_CANCELED)
    assert not server.connection.failed
    with fails(AlertReceived, reasons.CLOSED_DURING_HANDSHAKE):
        server.send(ContentType.ALERT, CLOSE_NOTIFY)


def test_close_notify_ends_what_is_read_and_not_what_is_written() -> None:
    server = at_client("")
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


@pytest.mark.parametrize("awaited", CLIENT_WAITS, ids=lambda name: name or "established")
@pytest.mark.parametrize("rest", [b"", b"\x17\x03\x03\x00"], ids=["between records", "within a record"])
def test_truncation(awaited: str, rest: bytes) -> None:
    server = at_client(awaited)
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
    server = at_client("")
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
    server = at_client()
    check_refused(server, kind, reason, lambda: server.deliver(first))


def test_the_peers_keys_are_the_ones_of_the_figure() -> None:
    """A whole handshake with this raw server, and data both ways: the peer of these tests is itself right."""
    server = at_client("")
    server.connection.send(b"ping")
    assert server.hear()[-1] == (ContentType.APPLICATION_DATA, b"ping", True)
    server.send(ContentType.APPLICATION_DATA, b"pong")
    assert server.events[-1] == ApplicationData(b"pong")
    assert isinstance(server.writing, _Direction)
