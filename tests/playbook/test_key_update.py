"""KeyUpdate, held to its rules on both sides (RFC 9846 section 4.7.3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from handfast import ApplicationData, limits, reasons
from handfast.errors import BadRecord, DecodeError, PeerMisbehaved, TLSError
from handfast.reasons import Reason
from handfast.wire.codepoints import AlertDescription, ContentType, HandshakeType
from handfast.wire.messages13 import KeyUpdate
from tests.playbook.peers import CLOSE_NOTIFY, RawPeer, message
from tests.playbook.playing import CLIENT_WAITS, SERVER_WAITS, at_client, at_server, check_refused

UPDATE = KeyUpdate(update_requested=False).encode()
REQUEST = KeyUpdate(update_requested=True).encode()
DATA = ContentType.APPLICATION_DATA

either_side = pytest.mark.parametrize("play", [at_client, at_server], ids=["client", "server"])
Play = Callable[[str], RawPeer]


def heard(peer: RawPeer) -> list[tuple[int, bytes]]:
    return [(kind, content) for kind, content, _ in peer.hear()]


def data_of(peer: RawPeer) -> list[bytes]:
    return [event.data for event in peer.events if isinstance(event, ApplicationData)]


# --- what is refused -----------------------------------------------------------------------------------------------


@either_side
@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"\2", PeerMisbehaved, reasons.BAD_KEY_UPDATE),
        (b"\xff", PeerMisbehaved, reasons.BAD_KEY_UPDATE),
        (b"", DecodeError, reasons.DECODE_ERROR),
        (b"\0\0", DecodeError, reasons.DECODE_ERROR),
        (b"\1" + bytes(100), DecodeError, reasons.DECODE_ERROR),
    ],
    ids=["2", "255", "empty", "two bytes", "many bytes"],
)
def test_its_value(play: Play, body: bytes, kind: type[TLSError], reason: Reason) -> None:
    peer = play("")
    raw = message(HandshakeType.KEY_UPDATE, body)
    check_refused(peer, kind, reason, lambda: peer.handshake(raw))


@either_side
def test_one_that_is_too_large_is_refused_at_its_header(play: Play) -> None:
    peer = play("")
    header = bytes((HandshakeType.KEY_UPDATE,)) + (1 << 20).to_bytes(3)
    check_refused(peer, PeerMisbehaved, reasons.MESSAGE_TOO_LARGE, lambda: peer.handshake(header))


@pytest.mark.parametrize("awaited", CLIENT_WAITS[:-1])
def test_a_client_in_its_handshake(awaited: str) -> None:
    server = at_client(awaited)
    error = check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(UPDATE))
    assert error.evidence == {"expected": awaited, "came": "key_update"}


@pytest.mark.parametrize("awaited", SERVER_WAITS[:-1])
def test_a_server_in_its_handshake(awaited: str) -> None:
    client = at_server(awaited)
    error = check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.handshake(UPDATE))
    assert error.evidence == {"expected": awaited, "came": "key_update"}


@either_side
@pytest.mark.parametrize(
    "excess",
    [b"\x18", UPDATE, REQUEST, message(HandshakeType.NEW_SESSION_TICKET, bytes(14))],
    ids=["a byte", "another one", "another request", "a ticket"],
)
def test_nothing_may_stand_behind_it(play: Play, excess: bytes) -> None:
    """What follows has to be under the next key, so it cannot be in the same record (RFC 9846 section 5.1)."""
    peer = play("")
    error = check_refused(peer, PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA, lambda: peer.handshake(UPDATE, excess))
    assert error.evidence == {"excess_bytes": len(excess)}


@either_side
@pytest.mark.parametrize("content_type", [ContentType.APPLICATION_DATA, ContentType.HANDSHAKE, ContentType.ALERT])
def test_the_old_key_is_of_no_use_afterwards(play: Play, content_type: int) -> None:
    peer = play("")
    peer.handshake(UPDATE)
    error = check_refused(peer, BadRecord, reasons.BAD_RECORD_MAC, lambda: peer.send(content_type, b"\1\0\0\0\0"))
    assert error.evidence == {"record": 0}  # the first one of the new key


@either_side
def test_the_new_key_is_of_no_use_before(play: Play) -> None:
    peer = play("")
    peer.update()
    check_refused(peer, BadRecord, reasons.BAD_RECORD_MAC, lambda: peer.send(DATA, b"too early"))


@either_side
@pytest.mark.parametrize("request_", [True, False])
def test_too_many_without_data(play: Play, request_: bool) -> None:
    peer = play("")
    for _ in range(limits.POST_HANDSHAKE_MESSAGES_WITHOUT_DATA):
        peer.deliver(peer.update(request=request_))
    one_more = peer.update(request=request_)
    error = check_refused(peer, PeerMisbehaved, reasons.TOO_MANY_MESSAGES, lambda: peer.deliver(one_more))
    assert error.evidence == {"limit": limits.POST_HANDSHAKE_MESSAGES_WITHOUT_DATA}


@either_side
@pytest.mark.parametrize(
    ("content_type", "content"),
    [(ContentType.APPLICATION_DATA, b"data"), (ContentType.ALERT, b"\1\x5a")],
    ids=["data", "warning"],
)
def test_nothing_may_come_in_the_middle_of_one(play: Play, content_type: int, content: bytes) -> None:
    peer = play("")
    peer.handshake(UPDATE[:3])
    check_refused(peer, PeerMisbehaved, reasons.INTERLEAVED_RECORD, lambda: peer.send(content_type, content))


# --- what is understood --------------------------------------------------------------------------------------------


@either_side
def test_data_before_and_after(play: Play) -> None:
    peer = play("")
    peer.deliver(
        peer.wire(DATA, b"before")
        + peer.update()
        + peer.wire(DATA, b"after")
        + peer.update()
        + peer.update()
        + peer.wire(DATA, b"long after")
    )
    assert data_of(peer) == [b"before", b"after", b"long after"]


@either_side
def test_data_makes_room_for_more(play: Play) -> None:
    peer = play("")
    for at in range(5 * limits.POST_HANDSHAKE_MESSAGES_WITHOUT_DATA):
        peer.deliver(peer.update())
        if at % limits.POST_HANDSHAKE_MESSAGES_WITHOUT_DATA == 0:
            peer.send(DATA, b"data")
    assert data_of(peer) == [b"data"] * 5


@either_side
@pytest.mark.parametrize("at", range(1, 5))
def test_one_in_two_records(play: Play, at: int) -> None:
    peer = play("")
    peer.handshake(UPDATE[:at])
    peer.handshake(UPDATE[at:])
    assert peer.writing is not None
    peer.writing = peer.writing.next()
    peer.send(DATA, b"data")
    assert data_of(peer) == [b"data"]


@either_side
def test_without_a_request_nothing_is_answered(play: Play) -> None:
    peer = play("")
    peer.deliver(peer.update())
    peer.connection.send(b"data")
    assert heard(peer) == [(DATA, b"data")]


@either_side
def test_a_request_is_answered_before_the_next_data_and_once(play: Play) -> None:
    """Nothing is sent for requests as such: a peer that never reads cannot make us hold more and more."""
    peer = play("")
    for _ in range(20):
        peer.deliver(peer.update(request=True))
    assert not peer.connection.has_data_to_send
    peer.connection.send(b"first")
    peer.connection.send(b"second")
    assert heard(peer) == [(ContentType.HANDSHAKE, UPDATE), (DATA, b"first"), (DATA, b"second")]


@either_side
def test_each_request_after_an_answer_is_answered_anew(play: Play) -> None:
    peer = play("")
    for _ in range(3):
        peer.deliver(peer.update(request=True))
        peer.connection.send(b"data")
        assert heard(peer) == [(ContentType.HANDSHAKE, UPDATE), (DATA, b"data")]


@either_side
def test_an_update_of_our_own_answers_a_request(play: Play) -> None:
    peer = play("")
    peer.deliver(peer.update(request=True))
    peer.connection.update_keys()
    peer.connection.send(b"data")
    assert heard(peer) == [(ContentType.HANDSHAKE, UPDATE), (DATA, b"data")]


@either_side
def test_close_notify_needs_no_answer_before_it(play: Play) -> None:
    peer = play("")
    peer.deliver(peer.update(request=True))
    peer.connection.close()
    assert heard(peer) == [(ContentType.ALERT, CLOSE_NOTIFY)]


# --- our own requests ----------------------------------------------------------------------------------------------


@either_side
def test_no_second_request_before_the_first_is_answered(play: Play) -> None:
    peer = play("")
    for _ in range(3):
        peer.connection.update_keys(request_peer=True)
    assert heard(peer) == [(ContentType.HANDSHAKE, raw) for raw in (REQUEST, UPDATE, UPDATE)]
    peer.deliver(peer.update())
    peer.connection.update_keys(request_peer=True)
    peer.connection.update_keys(request_peer=True)
    assert heard(peer) == [(ContentType.HANDSHAKE, raw) for raw in (REQUEST, UPDATE)]


@either_side
def test_a_peer_that_never_answers_a_request_is_not_wrong(play: Play) -> None:
    peer = play("")
    peer.connection.update_keys(request_peer=True)
    peer.hear()
    for _ in range(100):
        peer.send(DATA, b"data")
    assert len(data_of(peer)) == 100


@either_side
def test_requests_that_cross_are_both_answered(play: Play) -> None:
    peer = play("")
    theirs = peer.update(request=True)
    peer.connection.update_keys(request_peer=True)
    peer.deliver(theirs)
    peer.connection.send(b"data")
    assert heard(peer) == [
        (ContentType.HANDSHAKE, REQUEST),
        (ContentType.HANDSHAKE, UPDATE),
        (DATA, b"data"),
    ]
    peer.deliver(peer.update() + peer.wire(DATA, b"data"))
    assert data_of(peer) == [b"data"]


@either_side
def test_an_alert_after_an_update_has_the_new_key(play: Play) -> None:
    peer = play("")
    peer.connection.update_keys()
    peer.hear()
    check_refused(
        peer, PeerMisbehaved, reasons.BAD_KEY_UPDATE, lambda: peer.handshake(message(HandshakeType.KEY_UPDATE, b"\7"))
    )
    assert peer.heard_alert() == (AlertDescription.ILLEGAL_PARAMETER, True)
