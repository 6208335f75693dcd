"""Whatever pieces the bytes arrive in, the events are the same; whatever is changed on the way, the end is in order.

Both sides use entropy for tests and a deterministic signer, so one recorded conversation can be played to a fresh client
and a fresh server as often as hypothesis wants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from handfast import ApplicationData, HandshakeCompleted, PeerClosed, TLSError, reasons
from handfast.connection import ClientConnection, Connection, ServerConnection
from handfast.errors import PeerMisbehaved
from handfast.testing import EntropyForTests
from handfast.wire.codepoints import ContentType
from handfast.wire.messages13 import CertificateRequest, EncryptedExtensions, NewSessionTicket
from tests.handshake.parties import client_config, server_config
from tests.playbook.peers import CLOSE_NOTIFY, RawClient, RawServer

EXAMPLES = settings().max_examples  # the profile's; HYPOTHESIS_PROFILE=thorough has more
SETTINGS: dict[str, Any] = {"groups": ["x25519"], "alpn": ["h2", "http/1.1"]}
TO_SERVER = (b"ping" * 10, b"x" * 20_000)
TO_CLIENT = (b"pong" * 10, b"y" * 20_000, b"z")


def new_client() -> ClientConnection:
    config = client_config(entropy_for_tests=EntropyForTests("client"), **SETTINGS)
    client = ClientConnection(config, server_name="localhost")
    client.start()
    return client


def new_server() -> ServerConnection:
    server = ServerConnection(server_config("ed25519", entropy_for_tests=EntropyForTests("server"), **SETTINGS))
    server.start()
    return server


SIDES: dict[str, Callable[[], Connection]] = {"client": new_client, "server": new_server}
each_side = pytest.mark.parametrize("side", SIDES)


@cache
def recorded() -> dict[str, bytes]:
    """All that each side receives: the handshake, some data, close_notify."""
    client, server = new_client(), new_server()
    received = {"client": b"", "server": b""}

    def carry() -> None:
        for source, target, name in ((client, server, "server"), (server, client, "client")):
            data = bytes(source.data_to_send())
            received[name] += data
            target.receive_data(data)
            list(target.events())

    carry()
    carry()
    for data in TO_SERVER:
        client.send(data)
    for data in TO_CLIENT:
        server.send(data)
    client.close()
    server.close()
    carry()
    return received


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
                    seen.append((facts.cipher_suite, facts.group, facts.alpn, facts.server_name))
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
    seen, error = outcome(SIDES[side](), [recorded()[side]])
    assert error is None
    return seen


def test_the_conversation_is_what_it_should_be() -> None:
    agreed = ("TLS_AES_128_GCM_SHA256", "x25519", "h2", "localhost")
    for side, data in (("client", TO_CLIENT), ("server", TO_SERVER)):
        seen = whole(side)
        assert seen[0] == agreed
        assert b"".join(seen[1:-1]) == b"".join(data)
        assert seen[-1] is PeerClosed


# --- any chunking --------------------------------------------------------------------------------------------------


@each_side
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_any_chunking_gives_the_same_events(side: str, data: st.DataObject) -> None:
    stream = recorded()[side]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=40)))
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert outcome(SIDES[side](), pieces) == (whole(side), None)


@each_side
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000])
def test_pieces_of_one_size_give_the_same_events(side: str, size: int) -> None:
    stream = recorded()[side]
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
    stream = bytearray(recorded()[side])
    # The handshake and the heads of records are where the rules are; most of the stream is ciphertext.
    at = data.draw(st.one_of(st.integers(0, 1500), st.integers(0, len(stream) - 1)))
    stream[at] ^= 1 << data.draw(st.integers(0, 7))
    check_in_order(side, *outcome(SIDES[side](), [bytes(stream)]), at)


@each_side
def test_every_byte_of_the_handshake_flipped(side: str) -> None:
    stream = recorded()[side]
    for at in range(min(len(stream), 600)):
        changed = bytearray(stream)
        changed[at] ^= 0x01 if at % 2 else 0x80
        check_in_order(side, *outcome(SIDES[side](), [bytes(changed)]), at)


@each_side
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_any_truncation_is_an_error(side: str, data: st.DataObject) -> None:
    stream = recorded()[side]
    stop = data.draw(st.one_of(st.integers(0, 1500), st.integers(0, len(stream) - 1)))
    seen, error = outcome(SIDES[side](), [stream[:stop]])
    check_in_order(side, seen, error, stop)
    assert error is not None
    assert error.reason in (reasons.CLOSED_DURING_HANDSHAKE, reasons.TRUNCATED)
    assert error.sent_by == "peer"


@each_side
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_anything_cut_out_put_in_or_sent_twice(side: str, data: st.DataObject) -> None:
    stream = recorded()[side]
    start = data.draw(st.integers(0, 2500))
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


def _changed(raw: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[at % len(raw)] ^= 1 << bit
    return bytes(changed)


MESSAGES = ("ServerHello", "EncryptedExtensions", "CertificateRequest", "Certificate", "CertificateVerify", "Finished")


@settings(max_examples=4 * EXAMPLES)
@given(which=st.sampled_from(MESSAGES), at=st.integers(0, 5000), bit=st.integers(0, 7))
def test_a_server_that_garbles_a_message_and_is_honest_otherwise(which: str, at: int, bit: int) -> None:
    """The change is inside of the encryption and of the transcript, so that only parsers and rules can refuse it."""
    server = RawServer(new_client())

    def said(name: str, message: Any) -> bytes:
        raw: bytes = message.encode()
        return _changed(raw, at, bit) if name == which else raw

    def play() -> None:
        server.say(said("ServerHello", server.hello()))
        server.use_handshake_keys()
        extensions = EncryptedExtensions(application_layer_protocol_negotiation=b"h2", server_name_acknowledged=True)
        server.say(said("EncryptedExtensions", extensions))
        server.say(said("CertificateRequest", CertificateRequest(signature_algorithms=[0x0403, 0x0804])))
        server.say(said("Certificate", server.certificate()))
        server.say(said("CertificateVerify", server.proof()))
        server.say(said("Finished", server.finished()))
        server.connection.receive_eof()
        list(server.connection.events())

    error = refusal(play)
    assert error is not None  # at the latest the end, which comes without close_notify
    if server.connection.handshake is not None:
        # What may be changed at will: the server's random, names of schemes that nobody needs.
        assert which in ("ServerHello", "EncryptedExtensions", "CertificateRequest"), (which, at, bit)
        assert error.reason is reasons.TRUNCATED


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
