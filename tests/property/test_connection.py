"""Whatever pieces the bytes arrive in, the events are the same; whatever is changed on the way, the end is in order.

Both sides use entropy for tests and a deterministic signer, so one recorded conversation can be played to a fresh client
and a fresh server as often as hypothesis wants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from handfast import ApplicationData, HandshakeCompleted, PeerClosed, TLSError, reasons
from handfast.connection import ClientConnection, Connection, ServerConnection
from handfast.errors import PeerMisbehaved
from handfast.testing import EntropyForTests, pump
from handfast.wire.codepoints import CipherSuite, ContentType, NamedGroup
from handfast.wire.messages13 import CertificateRequest, EncryptedExtensions, KeyUpdate, NewSessionTicket
from tests.handshake.parties import COOKIE_KEY, client_config, client_identity, server_config
from tests.playbook.peers import CLOSE_NOTIFY, RawClient, RawPeer, RawServer

EXAMPLES = settings().max_examples  # the profile's; HYPOTHESIS_PROFILE=thorough has more
ALPN: dict[str, Any] = {"alpn": ["h2", "http/1.1"]}
# Three conversations: the shortest there is; one with a retry, a cookie, certificates on both sides, short and padded
# records, and key updates; and one of TLS 1.2, with certificates on both sides and short records. The settings of the
# client, and those of the server.
CONVERSATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "short": ({"groups": ["x25519"], **ALPN}, {"groups": ["x25519"], **ALPN}),
    "long": (
        {
            "groups": ["x25519", "secp256r1"],
            "identities": [client_identity("ed25519")],
            "record_size_limit": 700,
            "record_padding": 16,
            **ALPN,
        },
        {
            "groups": ["secp256r1"],
            "cookie_key": COOKIE_KEY,
            "client_authentication": "required",
            "record_size_limit": 900,
            "record_padding": 50,
            "cipher_suites": ["TLS_AES_256_GCM_SHA384"],
            **ALPN,
        },
    ),
    "1.2": (
        {"groups": ["x25519"], "identities": [client_identity("ed25519")], "record_size_limit": 700, **ALPN},
        {
            "max_version": "1.2",
            "groups": ["x25519"],
            "client_authentication": "required",
            "record_size_limit": 900,
            "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
            **ALPN,
        },
    ),
}
TO_SERVER = {
    "short": (b"ping" * 10, b"x" * 20_000),
    "long": (b"ping" * 10, b"x" * 2_000, b"last"),
    "1.2": (b"ping" * 10, b"x" * 2_000, b"last"),
}
TO_CLIENT = {
    "short": (b"pong" * 10, b"y" * 20_000, b"z"),
    "long": (b"pong" * 10, b"y" * 2_000, b"z"),
    "1.2": (b"pong" * 10, b"y" * 2_000, b"z"),
}
AGREED = {
    "short": ("TLS_AES_128_GCM_SHA256", "x25519", "h2", "localhost", False, None),
    "long": ("TLS_AES_256_GCM_SHA384", "secp256r1", "h2", "localhost", True, "ed25519"),
    "1.2": ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "x25519", "h2", "localhost", False, "ed25519"),
}


def new_client(conversation: str = "short") -> ClientConnection:
    settings, _ = CONVERSATIONS[conversation]
    config = client_config(entropy_for_tests=EntropyForTests("client"), **settings)
    client = ClientConnection(config, server_name="localhost")
    client.start()
    return client


def new_server(conversation: str = "short") -> ServerConnection:
    _, settings = CONVERSATIONS[conversation]
    server = ServerConnection(server_config("ed25519", entropy_for_tests=EntropyForTests("server"), **settings))
    server.start()
    return server


SIDES: dict[str, Callable[[], Connection]] = {
    f"{conversation} {side}": partial(new, conversation)
    for conversation in CONVERSATIONS
    for side, new in (("client", new_client), ("server", new_server))
}
each_side = pytest.mark.parametrize("side", SIDES)


@cache
def conversed(conversation: str) -> dict[str, bytes]:
    """All that each side receives: the handshake, data (and in the long one key updates), close_notify."""
    client, server = new_client(conversation), new_server(conversation)
    received = {"client": b"", "server": b""}

    def carry() -> None:
        for source, target, name in ((client, server, "server"), (server, client, "client")):
            data = bytes(source.data_to_send())
            received[name] += data
            target.receive_data(data)
            list(target.events())

    for _ in range(3):
        carry()
    for side, all_data in ((client, TO_SERVER), (server, TO_CLIENT)):
        for at, data in enumerate(all_data[conversation]):
            side.send(data)
            if conversation == "long":
                side.update_keys(request_peer=at == 0)
    if conversation == "long":
        carry()
        client.send(b"")
        server.send(b"")
    client.close()
    server.close()
    carry()
    return received


def recorded(side: str) -> bytes:
    """All that this side receives."""
    conversation, role = side.split()
    return conversed(conversation)[role]


def outcome(connection: Connection, pieces: Sequence[bytes]) -> tuple[list[Any], TLSError | None]:
    """What comes out of a connection: events in short, and how it ended. Nothing but a TLSError may."""
    seen: list[Any] = []
    try:
        for piece in pieces:
            connection.receive_data(piece)
            for event in connection.events():
                if isinstance(event, ApplicationData):
                    seen.append(event.data)
                elif isinstance(event, HandshakeCompleted):
                    facts = event.handshake
                    agreed = (facts.cipher_suite, facts.group, facts.alpn, facts.server_name)
                    seen.append((*agreed, facts.hello_retry_request, facts.client_signature_scheme))
                else:
                    seen.append(type(event))
        connection.receive_eof()
        list(connection.events())
    except TLSError as error:
        connection.data_to_send()
        return seen, error
    return seen, None


@cache
def whole(side: str) -> list[Any]:
    """The events of the conversation in one piece."""
    seen, error = outcome(SIDES[side](), [recorded(side)])
    assert error is None
    return seen


@each_side
def test_the_conversation_is_what_it_should_be(side: str) -> None:
    conversation, role = side.split()
    seen = whole(side)
    assert seen[0] == AGREED[conversation]
    assert b"".join(seen[1:-1]) == b"".join((TO_CLIENT if role == "client" else TO_SERVER)[conversation])
    assert seen[-1] is PeerClosed


# --- any chunking --------------------------------------------------------------------------------------------------


@each_side
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_any_chunking_gives_the_same_events(side: str, data: st.DataObject) -> None:
    stream = recorded(side)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=40)))
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert outcome(SIDES[side](), pieces) == (whole(side), None)


@each_side
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000])
def test_pieces_of_one_size_give_the_same_events(side: str, size: int) -> None:
    stream = recorded(side)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert outcome(SIDES[side](), pieces) == (whole(side), None)


# --- any change ----------------------------------------------------------------------------------------------------


def check_in_order(side: str, seen: list[Any], error: TLSError | None, changed: object) -> None:
    """A TLSError that says what happened, after nothing that was not said; or nothing lost at all."""
    expected = whole(side)
    if error is None:
        assert seen == expected, changed
    else:
        assert error.reason is not reasons.INTERNAL_ERROR, (changed, error.__cause__)
        assert seen == expected[: len(seen)], changed


@each_side
@settings(max_examples=4 * EXAMPLES)
@given(data=st.data())
def test_any_flipped_bit_is_an_error_or_changes_nothing(side: str, data: st.DataObject) -> None:
    stream = bytearray(recorded(side))
    # The handshake and the heads of records are where the rules are; most of the stream is ciphertext.
    at = data.draw(st.one_of(st.integers(0, min(3000, len(stream) - 1)), st.integers(0, len(stream) - 1)))
    stream[at] ^= 1 << data.draw(st.integers(0, 7))
    check_in_order(side, *outcome(SIDES[side](), [bytes(stream)]), at)


@each_side
def test_every_byte_of_the_handshake_flipped(side: str) -> None:
    stream = recorded(side)
    for at in range(min(len(stream), 900)):
        changed = bytearray(stream)
        changed[at] ^= 0x01 if at % 2 else 0x80
        check_in_order(side, *outcome(SIDES[side](), [bytes(changed)]), at)


@each_side
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_any_truncation_is_an_error(side: str, data: st.DataObject) -> None:
    stream = recorded(side)
    stop = data.draw(st.one_of(st.integers(0, min(3000, len(stream) - 1)), st.integers(0, len(stream) - 1)))
    seen, error = outcome(SIDES[side](), [stream[:stop]])
    check_in_order(side, seen, error, stop)
    assert error is not None
    assert error.reason in (reasons.CLOSED_DURING_HANDSHAKE, reasons.TRUNCATED)
    assert error.sent_by == "peer"


@each_side
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_anything_cut_out_put_in_or_sent_twice(side: str, data: st.DataObject) -> None:
    stream = recorded(side)
    start = data.draw(st.integers(0, min(4000, len(stream))))
    stop = data.draw(st.integers(start, min(start + 300, len(stream))))
    middle = data.draw(st.one_of(st.just(b""), st.binary(max_size=40), st.just(stream[start:stop] * 2)))
    check_in_order(side, *outcome(SIDES[side](), [stream[:start] + middle + stream[stop:]]), (start, stop, middle))


@each_side
@settings(max_examples=EXAMPLES)
@given(noise=st.binary(max_size=400))
def test_noise(side: str, noise: bytes) -> None:
    seen, error = outcome(SIDES[side](), [noise])
    assert seen == []
    assert error is not None
    assert error.reason is not reasons.INTERNAL_ERROR


# --- any change that a peer seals itself ---------------------------------------------------------------------------


def refusal(act: Callable[[], None]) -> TLSError | None:
    """The TLSError that this ends with, if it does; a bug of ours is none that may."""
    try:
        act()
    except TLSError as error:
        found = error
    else:
        return None
    assert found.reason is not reasons.INTERNAL_ERROR, found.__cause__
    return found


class Waiting(Exception):
    """The connection waits for the rest of a message, whose length was changed: there is no way on."""


def need(answer: object) -> None:
    """What an honest peer has to have heard before it goes on."""
    if answer is None:
        raise Waiting


def _changed(raw: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[at % len(raw)] ^= 1 << bit
    return bytes(changed)


def _to_the_end(peer: RawPeer, play: Callable[[], None]) -> None:
    """Play as far as it goes, then end. With another share than the peer thinks it sent, it cannot read the answer."""
    with suppress(InvalidTag, Waiting):
        play()
    peer.connection.receive_eof()
    list(peer.connection.events())


def changed_in_nothing(peer: Any) -> bool:
    """Whether the certificate came with another encoding of the same content and the same signature.

    The count of unused bits in the signature's BIT STRING is outside of what is signed, and `cryptography` lets it pass
    where those bits are zero.
    """
    assert peer.connection.handshake is not None
    assert peer.connection.handshake.peer is not None
    came, ours = peer.connection.handshake.peer.chain[0], peer.who.chain[0]
    here, there = x509.load_der_x509_certificate(came), x509.load_der_x509_certificate(ours)
    return came != ours and (here.tbs_certificate_bytes, here.signature) == (
        there.tbs_certificate_bytes,
        there.signature,
    )


OF_SERVER = (
    "HelloRetryRequest",
    "ServerHello",
    "EncryptedExtensions",
    "CertificateRequest",
    "Certificate",
    "CertificateVerify",
    "Finished",
    "KeyUpdate",
)
# What may be changed at will, in places: randoms, cookies, names of groups and schemes that nobody needs.
FREE_IN_PLACES = ("HelloRetryRequest", "ServerHello", "EncryptedExtensions", "CertificateRequest", "KeyUpdate")


@settings(max_examples=4 * EXAMPLES)
@given(which=st.sampled_from(OF_SERVER), at=st.integers(0, 5000), bit=st.integers(0, 7))
def test_a_server_that_garbles_a_message_and_is_honest_otherwise(which: str, at: int, bit: int) -> None:
    """The change is inside of the encryption and of the transcript, so that only parsers and rules can refuse it."""
    server = RawServer(new_client("long"))

    def said(name: str, message: Any) -> bytes:
        raw: bytes = message.encode()
        return _changed(raw, at, bit) if name == which else raw

    def play() -> None:
        request = said("HelloRetryRequest", server.retry(NamedGroup.SECP256R1, cookie=b"cookie"))
        server.fold()
        server.say(request)
        server.hear()
        need(server.client_hello.cookie)
        server.say(said("ServerHello", server.hello(NamedGroup.SECP256R1)))
        server.use_handshake_keys()
        extensions = EncryptedExtensions(
            application_layer_protocol_negotiation=b"h2", server_name_acknowledged=True, record_size_limit=2000
        )
        server.size = 600
        server.say(said("EncryptedExtensions", extensions))
        server.say(said("CertificateRequest", CertificateRequest(signature_algorithms=[0x0403, 0x0807])))
        server.say(said("Certificate", server.certificate()))
        server.say(said("CertificateVerify", server.proof()))
        server.say(said("Finished", server.finished()))
        server.use_application_keys()
        server.handshake(said("KeyUpdate", KeyUpdate(update_requested=False)))
        server.connection.send(b"data")

    error = refusal(lambda: _to_the_end(server, play))
    assert error is not None  # at the latest the end, which comes without close_notify
    if server.connection.handshake is not None and not changed_in_nothing(server):
        assert which in FREE_IN_PLACES, (which, at, bit)


@settings(max_examples=4 * EXAMPLES)
@given(at=st.integers(0, 400), bit=st.integers(0, 7))
def test_a_client_that_garbles_its_hello_and_is_honest_otherwise(at: int, bit: int) -> None:
    client = RawClient(new_server())
    hello = client.hello(
        signature_algorithms=[0x0807, 0x0403], application_layer_protocol_negotiation=[b"h2", b"spdy/1"], padding=20
    )

    def play() -> None:
        client.say(_changed(hello.encode(), at, bit))
        # With another share than we think we sent, there are other secrets than we think.
        with suppress(InvalidTag):
            client.hear()
            if client.reading is not None:
                client.say(client.finished())
        client.connection.receive_eof()
        list(client.connection.events())

    error = refusal(play)
    assert error is not None
    assert (client.connection.handshake is None) == (error.reason is not reasons.TRUNCATED)


OF_CLIENT = ("ClientHello", "the second ClientHello", "Certificate", "CertificateVerify", "Finished", "KeyUpdate")


@settings(max_examples=4 * EXAMPLES)
@given(which=st.sampled_from(OF_CLIENT), at=st.integers(0, 5000), bit=st.integers(0, 7))
def test_a_client_that_garbles_a_message_of_the_long_way(which: str, at: int, bit: int) -> None:
    client = RawClient(new_server("long"))
    client.size = 600

    def said(name: str, message: Any) -> bytes:
        raw: bytes = message.encode()
        return _changed(raw, at, bit) if name == which else raw

    def play() -> None:
        hello = client.hello(
            supported_groups=[NamedGroup.X25519, NamedGroup.SECP256R1],
            cipher_suites=[CipherSuite.TLS_AES_256_GCM_SHA384],
            signature_algorithms=[0x0807, 0x0403],
            application_layer_protocol_negotiation=[b"h2", b"spdy/1"],
            record_size_limit=2000,
            padding=20,
        )
        client.say(said("ClientHello", hello))
        client.hear()
        need(client.request)
        client.say(said("the second ClientHello", client.hello_again()))
        client.hear()
        need(client.reading)
        client.say(said("Certificate", client.certificate()))
        client.say(said("CertificateVerify", client.proof()))
        client.say_finished(said("Finished", client.finished()))
        client.handshake(said("KeyUpdate", KeyUpdate(update_requested=False)))
        client.connection.send(b"data")

    error = refusal(lambda: _to_the_end(client, play))
    assert error is not None
    if client.connection.handshake is not None and not changed_in_nothing(client):
        # Padding, and what is said of protocols that nobody speaks; and a KeyUpdate comes after the handshake.
        assert which in ("ClientHello", "the second ClientHello", "KeyUpdate"), (which, at, bit)


@settings(max_examples=EXAMPLES)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["send", "update", "request", "carry"]), st.integers(0, 1), st.integers(0, 3000)),
        max_size=60,
    )
)
def test_any_order_of_data_key_updates_and_deliveries(steps: list[tuple[str, int, int]]) -> None:
    """Two real sides: whatever crosses whatever, all data arrives, in order, and nothing else happens."""
    sides = new_client("long"), new_server("long")
    pump(*sides)
    on_the_way: tuple[bytearray, bytearray] = (bytearray(), bytearray())
    sent, came = [b"", b""], [b"", b""]
    without_data = [0, 0]  # key updates in a row, which have a limit

    def deliver(who: int, length: int) -> None:
        piece = bytes(on_the_way[who][:length])
        del on_the_way[who][:length]
        sides[1 - who].receive_data(piece)
        for event in sides[1 - who].events():
            assert isinstance(event, ApplicationData)
            came[who] += event.data

    for action, who, amount in steps:
        if action == "send":
            data = bytes((amount & 255,)) * amount
            sides[who].send(data)
            sent[who] += data
            without_data[who] = 0 if data else without_data[who]
        elif action == "carry":
            deliver(who, amount)
        elif without_data[who] < 20:
            sides[who].update_keys(request_peer=action == "request")
            without_data[who] += 1
        on_the_way[who].extend(sides[who].data_to_send())
    for who in (0, 1):
        sides[who].send(b"end")
        sent[who] += b"end"
        on_the_way[who].extend(sides[who].data_to_send())
        deliver(who, len(on_the_way[who]))
    assert came == sent


@settings(max_examples=2 * EXAMPLES)
@given(content_type=st.integers(0, 255), content=st.binary(max_size=60), padding=st.integers(0, 9))
def test_any_sealed_record_after_the_handshake(content_type: int, content: bytes, padding: int) -> None:
    server = RawServer(new_client()).go_to("")

    def play() -> None:
        server.send(content_type, content, padding)
        server.send(ContentType.ALERT, CLOSE_NOTIFY)

    if refusal(play) is None:
        assert isinstance(server.events[-1], PeerClosed)


@settings(max_examples=EXAMPLES)
@given(body=st.binary(max_size=80))
def test_any_ticket(body: bytes) -> None:
    server = RawServer(new_client()).go_to("")
    error = refusal(lambda: server.handshake(bytes((NewSessionTicket.TYPE,)) + len(body).to_bytes(3) + body))
    assert error is None or isinstance(error, PeerMisbehaved)
