"""The order of TLS 1.2: any message at any time, ChangeCipherSpec, records, renegotiation and alerts, on both sides."""

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
    limits,
    reasons,
)
from handfast.errors import BadRecord, DecodeError, PeerMisbehaved, TLSError
from handfast.wire.codepoints import AlertDescription, ContentType, HandshakeType
from handfast.wire.messages12 import ClientKeyExchange, HelloRequest
from tests.handshake.parties import client_identity, fails, identity
from tests.playbook.peers import CHANGE_CIPHER_SPEC, CLOSE_NOTIFY, USER_CANCELED, message, record
from tests.playbook.playing import CLIENT_WAITS_12, SERVER_WAITS_12, at_client12, at_server12, check_refused

H = HandshakeType
UNRECOGNIZED_NAME = bytes((1, AlertDescription.UNRECOGNIZED_NAME))
AT: dict[str, Callable[..., Any]] = {"client": at_client12, "server": at_server12}
WAITS = [("client", awaited) for awaited in CLIENT_WAITS_12] + [("server", awaited) for awaited in SERVER_WAITS_12]
each_wait = pytest.mark.parametrize(("side", "awaited"), WAITS, ids=[f"{s} {a or 'established'}" for s, a in WAITS])
BOTH = pytest.mark.parametrize("side", AT)
TYPES = {
    "ServerHello": H.SERVER_HELLO,
    "Certificate": H.CERTIFICATE,
    "ServerKeyExchange": H.SERVER_KEY_EXCHANGE,
    "CertificateRequest": H.CERTIFICATE_REQUEST,
    "ServerHelloDone": H.SERVER_HELLO_DONE,
    "Finished": H.FINISHED,
    "ClientHello": H.CLIENT_HELLO,
    "ClientKeyExchange": H.CLIENT_KEY_EXCHANGE,
    "CertificateVerify": H.CERTIFICATE_VERIFY,
}


# --- handshake messages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("came", sorted({*H.names(), 3, 99, 255}))
@each_wait
def test_any_message_at_any_time(side: str, awaited: str, came: int) -> None:
    """Only what is awaited is read; the rest is refused at its header."""
    peer = AT[side](awaited)
    expected = {TYPES[name] for name in awaited.split(" or ") if name in TYPES}
    renegotiation = H.HELLO_REQUEST if side == "client" else H.CLIENT_HELLO
    body = b"" if came != H.SERVER_HELLO_DONE else b"\0"  # empty it would be right
    if came in expected and came == H.FINISHED:
        kind, reason = PeerMisbehaved, reasons.BAD_FINISHED
    elif came in expected:
        kind, reason = DecodeError, reasons.DECODE_ERROR
    elif not awaited and came == renegotiation:
        kind, reason = PeerMisbehaved, reasons.RENEGOTIATION_REFUSED
    else:
        kind, reason = PeerMisbehaved, reasons.UNEXPECTED_MESSAGE
    error = check_refused(peer, kind, reason, lambda: peer.handshake(message(came, body)))
    if reason is reasons.UNEXPECTED_MESSAGE:
        assert error.evidence == {"expected": awaited or "nothing but application data", "came": H.name(came)}


# What a well-behaved peer would say at another time: the name of a raw peer's method.
SKIPPED = [
    ("client", "Certificate", "exchange"),
    ("client", "Certificate", "done"),
    ("client", "ServerKeyExchange", "done"),
    ("client", "ServerKeyExchange", "request"),
    ("client", "ServerHelloDone", "request"),
    ("client", "ChangeCipherSpec", "finished"),
    ("server", "Certificate", "exchange"),
    ("server", "ClientKeyExchange", "certificate"),
    ("server", "CertificateVerify", "finished"),
    ("server", "ChangeCipherSpec", "proof"),
    ("server", "ChangeCipherSpec", "exchange"),
    ("server", "ChangeCipherSpec", "finished"),
]


@pytest.mark.parametrize(("side", "awaited", "says"), SKIPPED)
def test_a_right_message_too_early_or_unasked(side: str, awaited: str, says: str) -> None:
    """SMACK: a state machine that let messages be left out trusted peers that had proven nothing."""
    peer = AT[side](awaited)
    said = getattr(peer, says)()
    check_refused(peer, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: peer.say(said))


def test_a_client_that_leaves_its_proof_out() -> None:
    client = at_server12("CertificateVerify")
    check_refused(client, BadRecord, reasons.BAD_CHANGE_CIPHER_SPEC, client.change_cipher_spec)
    assert client.connection.handshake is None


def test_a_server_that_leaves_its_key_exchange_out() -> None:
    server = at_client12("ServerKeyExchange")
    check_refused(server, BadRecord, reasons.BAD_CHANGE_CIPHER_SPEC, lambda: server.deliver(CHANGE_CIPHER_SPEC))


@BOTH
def test_nothing_may_stand_behind_a_flight(side: str) -> None:
    """Whoever sends before it has heard the answer cannot have seen it."""
    peer = AT[side]("CertificateRequest or ServerHelloDone" if side == "client" else "ClientHello")
    raw = peer.noted(peer.done() if side == "client" else peer.hello())
    excess = message(H.CLIENT_KEY_EXCHANGE, b"\x20" + bytes(32))
    check_refused(peer, PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA, lambda: peer.handshake(raw, excess))


@BOTH
@pytest.mark.parametrize("excess", [b"\0", HelloRequest().encode(), message(H.CLIENT_HELLO)])
def test_nothing_may_stand_behind_finished(side: str, excess: bytes) -> None:
    peer = AT[side]("Finished")
    raw = peer.noted(peer.finished())
    with fails(PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA):
        peer.handshake(raw, excess)
    assert peer.connection.handshake is None


@BOTH
def test_a_handshake_in_records_of_one_byte(side: str) -> None:
    settings = {"identities": [client_identity()]} if side == "client" else {"client_authentication": "required"}
    peer = AT[side]("ServerHello" if side == "client" else "ClientHello", **settings)
    peer.size = 1
    peer.go_to("")
    peer.hear()
    peer.send(ContentType.APPLICATION_DATA, b"data")
    assert peer.events[-1] == ApplicationData(b"data")


# --- ChangeCipherSpec ----------------------------------------------------------------------------------------------

EARLY = [(side, awaited) for side, awaited in WAITS if awaited not in ("ChangeCipherSpec", "Finished", "ServerHello")]


@pytest.mark.parametrize(("side", "awaited"), EARLY)
def test_change_cipher_spec_that_is_not_awaited(side: str, awaited: str) -> None:
    """CCS injection (CVE-2014-0224): before the key exchange it made peers use keys that everybody knows."""
    peer = AT[side](awaited)
    check_refused(peer, BadRecord, reasons.BAD_CHANGE_CIPHER_SPEC, lambda: peer.deliver(CHANGE_CIPHER_SPEC))
    assert peer.heard_alert()[0] == AlertDescription.UNEXPECTED_MESSAGE


@pytest.mark.parametrize(("settings", "passes"), [({}, True), ({"max_version": "1.2"}, False)])
def test_change_cipher_spec_before_server_hello(settings: dict[str, Any], passes: bool) -> None:
    """It means nothing where TLS 1.3 may be agreed (RFC 9846 section 5), and then it changes no keys."""
    server = at_client12(**settings)
    if not passes:
        check_refused(server, BadRecord, reasons.BAD_CHANGE_CIPHER_SPEC, lambda: server.deliver(CHANGE_CIPHER_SPEC))
        return
    server.deliver(CHANGE_CIPHER_SPEC)
    server.go_to("")
    assert isinstance(server.events[-1], HandshakeCompleted)


@BOTH
def test_a_second_change_cipher_spec(side: str) -> None:
    peer = AT[side]("Finished")
    check_refused(peer, BadRecord, reasons.BAD_CHANGE_CIPHER_SPEC, lambda: peer.deliver(CHANGE_CIPHER_SPEC))


@BOTH
def test_a_change_cipher_spec_under_the_new_keys(side: str) -> None:
    peer = AT[side]("Finished")
    with pytest.raises(BadRecord) as caught:
        peer.send(ContentType.CHANGE_CIPHER_SPEC, b"\1")
    assert caught.value.reason is reasons.BAD_CHANGE_CIPHER_SPEC


@BOTH
@pytest.mark.parametrize("content", [b"", b"\0", b"\2", b"\1\1"])
def test_a_change_cipher_spec_with_other_content(side: str, content: bytes) -> None:
    peer = AT[side]("ChangeCipherSpec")
    raw = record(ContentType.CHANGE_CIPHER_SPEC, content)
    check_refused(peer, BadRecord, reasons.BAD_CHANGE_CIPHER_SPEC, lambda: peer.deliver(raw))


@BOTH
def test_a_change_cipher_spec_within_a_message(side: str) -> None:
    """The start of a message under no keys, its end under others: keys change between messages alone."""
    peer = AT[side]("ChangeCipherSpec")
    raw = peer.finished().encode()
    with pytest.raises(PeerMisbehaved) as caught:
        peer.deliver(record(ContentType.HANDSHAKE, raw[:1]) + CHANGE_CIPHER_SPEC)
    assert caught.value.reason in (reasons.INTERLEAVED_RECORD, reasons.UNEXPECTED_MESSAGE)
    assert peer.heard_alert()[0] == AlertDescription.UNEXPECTED_MESSAGE


def test_a_change_cipher_spec_within_a_server_s_certificate() -> None:
    server = at_client12("Certificate")
    raw = record(ContentType.HANDSHAKE, server.certificate().encode()[:50]) + CHANGE_CIPHER_SPEC
    with pytest.raises(TLSError) as caught:
        server.deliver(raw)
    assert caught.value.reason in (reasons.INTERLEAVED_RECORD, reasons.BAD_CHANGE_CIPHER_SPEC)


@BOTH
def test_finished_without_change_cipher_spec(side: str) -> None:
    """Under the new keys, which the other side does not use yet: what it reads is no message."""
    peer = AT[side]("ChangeCipherSpec")
    peer.use_keys()
    with pytest.raises(PeerMisbehaved) as caught:
        peer.say(peer.finished())
    assert caught.value.reason is reasons.UNEXPECTED_MESSAGE


@BOTH
def test_finished_in_the_clear(side: str) -> None:
    peer = AT[side]("ChangeCipherSpec")
    peer.deliver(CHANGE_CIPHER_SPEC)
    check_refused(peer, BadRecord, reasons.BAD_RECORD_MAC, lambda: peer.say(peer.finished()))


def test_keys_that_everybody_knows_open_nothing() -> None:
    """The rest of CCS injection: a main secret made of nothing."""
    client = at_server12("ChangeCipherSpec")
    client.agree(b"")
    client.change_cipher_spec()
    check_refused(client, BadRecord, reasons.BAD_RECORD_MAC, lambda: client.say(client.finished()))


# --- renegotiation -------------------------------------------------------------------------------------------------


def test_a_client_does_not_renegotiate() -> None:
    server = at_client12("")
    raw = HelloRequest().encode()
    check_refused(server, PeerMisbehaved, reasons.RENEGOTIATION_REFUSED, lambda: server.handshake(raw))
    assert server.heard_alert() == (AlertDescription.NO_RENEGOTIATION, True)


def test_a_server_does_not_renegotiate() -> None:
    client = at_server12("")
    hello = client.hello(renegotiation_info=client.connection.channel_binding("tls-unique"))
    check_refused(client, PeerMisbehaved, reasons.RENEGOTIATION_REFUSED, lambda: client.say(hello))
    assert client.heard_alert() == (AlertDescription.NO_RENEGOTIATION, True)


def test_a_request_to_renegotiate_during_the_handshake() -> None:
    server = at_client12("Certificate")
    raw = HelloRequest().encode()
    check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(raw))


@pytest.mark.parametrize("kind", [H.KEY_UPDATE, H.NEW_SESSION_TICKET])
@BOTH
def test_what_tls_1_3_says_after_a_handshake_means_nothing_in_tls_1_2(side: str, kind: int) -> None:
    peer = AT[side]("")
    raw = message(kind, b"\0" if kind == H.KEY_UPDATE else bytes(14))
    check_refused(peer, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: peer.handshake(raw))


@BOTH
def test_there_is_no_key_update(side: str) -> None:
    peer = AT[side]("")
    with fails(MisuseError, reasons.MISUSE):
        peer.connection.update_keys()
    assert not peer.connection.failed


# --- alerts and ends -----------------------------------------------------------------------------------------------


@each_wait
def test_warnings_pass_up_to_a_limit(side: str, awaited: str) -> None:
    """A server warns of a name that it does not know, and goes on (RFC 6066 section 3)."""
    peer = AT[side](awaited)
    for _ in range(limits.WARNING_ALERTS):
        peer.send(ContentType.ALERT, UNRECOGNIZED_NAME)
    assert peer.connection.awaiting == awaited
    check_refused(
        peer, PeerMisbehaved, reasons.TOO_MANY_WARNINGS, lambda: peer.send(ContentType.ALERT, UNRECOGNIZED_NAME)
    )


@BOTH
def test_a_warning_within_a_message(side: str) -> None:
    peer = AT[side]("Certificate")
    peer.deliver(record(ContentType.HANDSHAKE, peer.certificate().encode()[:50]))
    check_refused(
        peer, PeerMisbehaved, reasons.INTERLEAVED_RECORD, lambda: peer.send(ContentType.ALERT, UNRECOGNIZED_NAME)
    )


@BOTH
def test_a_handshake_with_warnings_in_between(side: str) -> None:
    peer = AT[side]("ServerHello" if side == "client" else "ClientHello")
    peer.send(ContentType.ALERT, UNRECOGNIZED_NAME)
    peer.go_to("Finished")
    peer.send(ContentType.ALERT, USER_CANCELED)
    peer.say(peer.finished())
    assert isinstance(peer.events[-1], HandshakeCompleted)


@each_wait
def test_a_fatal_alert_is_the_end(side: str, awaited: str) -> None:
    peer = AT[side](awaited)
    peer.hear()
    with pytest.raises(AlertReceived) as caught:
        peer.alert(AlertDescription.DECRYPT_ERROR)
    assert caught.value.name == "decrypt_error"
    assert not peer.connection.has_data_to_send


@each_wait
def test_truncation(side: str, awaited: str) -> None:
    peer = AT[side](awaited)
    peer.hear()
    peer.connection.receive_eof()
    with fails(TruncationError, reasons.CLOSED_DURING_HANDSHAKE if awaited else reasons.TRUNCATED) as caught:
        peer.connection.next_event()
    assert caught.value.step == awaited


@BOTH
def test_close_notify(side: str) -> None:
    peer = AT[side]("")
    peer.hear()
    peer.send(ContentType.APPLICATION_DATA, b"last")
    peer.send(ContentType.ALERT, CLOSE_NOTIFY)
    assert peer.events[-2:] == [ApplicationData(b"last"), PeerClosed()]
    peer.connection.close()
    assert peer.hear() == [(ContentType.ALERT, CLOSE_NOTIFY, True)]


def test_a_server_sends_nothing_before_the_client_has_finished() -> None:
    client = at_server12("Finished")
    with fails(MisuseError, reasons.MISUSE):
        client.connection.send(b"early")
    client.say(client.finished())
    client.connection.send(b"data")
    assert [(kind, encrypted) for kind, _, encrypted in client.hear()] == [
        (ContentType.CHANGE_CIPHER_SPEC, False),
        (ContentType.HANDSHAKE, True),
        (ContentType.APPLICATION_DATA, True),
    ]


def test_certificates_are_in_the_clear() -> None:
    """As RFC 5246 has it, and unlike TLS 1.3: who connects to whom can be seen, the client too."""
    client = at_server12("", client_authentication="required")
    plain = b"".join(content for _, content, encrypted in client.heard if not encrypted)
    assert identity().chain[0] in plain
    assert client.wire(ContentType.APPLICATION_DATA, b"data")[-4:] != b"data"


def test_a_client_key_exchange_comes_once() -> None:
    client = at_server12("ChangeCipherSpec")
    again = ClientKeyExchange(bytes(32)).encode()
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.handshake(again))
