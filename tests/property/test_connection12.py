"""Peers of TLS 1.2 that change any message, and are honest otherwise: what is changed is noticed, or means nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from handfast import PeerClosed, TLSError
from handfast.connection import ClientConnection, ServerConnection
from handfast.wire.codepoints import ContentType, SignatureScheme
from tests.handshake.parties import client_config, client_identity, identity, server_config
from tests.playbook.peers import CHANGE_CIPHER_SPEC, CLOSE_NOTIFY
from tests.playbook.peers12 import RawClient12, RawPeer12, RawServer12
from tests.property.test_connection import changed_in_nothing, refusal

EXAMPLES = settings().max_examples  # the profile's; HYPOTHESIS_PROFILE=thorough has more
OF_SERVER = ("ServerHello", "Certificate", "ServerKeyExchange", "CertificateRequest", "ServerHelloDone", "Finished")
OF_CLIENT = ("ClientHello", "Certificate", "ClientKeyExchange", "CertificateVerify", "Finished")
# What may be changed at will, in places: randoms and session ids, and kinds, schemes and authorities that nobody needs.
FREE_IN_PLACES = ("ServerHello", "CertificateRequest", "ClientHello")
ED25519 = {"signature_algorithms": [SignatureScheme.ED25519]}


def new_server() -> RawClient12:
    server = ServerConnection(server_config("ed25519", client_authentication="required"))
    server.start()
    return RawClient12(server, who=client_identity("ed25519"))


def new_client() -> RawServer12:
    client = ClientConnection(client_config(identities=[client_identity("ed25519")]), server_name="localhost")
    client.start()
    return RawServer12(client, who=identity("ed25519"))


class Garbling:
    """Says messages, one of them with a bit changed. What is changed enters the transcript as it was sent."""

    def __init__(self, peer: RawPeer12, which: str, at: int, bit: int) -> None:
        self.peer = peer
        self.change = (which, at, bit)

    def say(self, message: Any) -> None:
        raw: bytes = message.encode()
        which, at, bit = self.change
        if which == message.NAME:
            changed = bytearray(raw)
            changed[at % len(raw)] ^= 1 << bit
            raw = bytes(changed)
        self.peer.say(raw)


def ended(peer: RawPeer12, play: Callable[[], None]) -> TLSError | None:
    """How it ended; a bug of ours is no way to. Where the change made a message longer, the peer waits for ever."""
    with suppress(InvalidTag):  # other keys than we think
        found = refusal(play)
        if found is not None:
            return found
    return refusal(lambda: _end(peer))


def _end(peer: RawPeer12) -> None:
    peer.connection.receive_eof()
    list(peer.connection.events())


def server_s_part(server: RawServer12, said: Garbling) -> None:
    """The whole handshake of a server, as far as the client goes along."""
    for make in (server.hello, server.certificate, server.exchange):
        said.say(make())
    said.say(server.request(**ED25519))
    said.say(server.done())
    server.hear()
    if server.main is not None:
        server.change_cipher_spec()
        said.say(server.finished())


def client_s_part(client: RawClient12, said: Garbling) -> None:
    """The same of a client."""
    said.say(client.hello(**ED25519))
    client.hear()
    if client.request is None:
        return
    said.say(client.certificate())
    said.say(client.exchange())
    client.agree(client.shared)
    said.say(client.proof())
    client.change_cipher_spec()
    said.say(client.finished())


def test_without_a_change_both_come_to_an_end() -> None:
    server, client = new_client(), new_server()
    server_s_part(server, Garbling(server, "", 0, 0))
    client_s_part(client, Garbling(client, "", 0, 0))
    for peer in (server, client):
        assert peer.connection.handshake is not None


@settings(max_examples=4 * EXAMPLES)
@given(which=st.sampled_from(OF_SERVER), at=st.integers(0, 2000), bit=st.integers(0, 7))
def test_a_server_that_garbles_a_message_and_is_honest_otherwise(which: str, at: int, bit: int) -> None:
    server = new_client()
    said = Garbling(server, which, at, bit)

    ended(server, lambda: server_s_part(server, said))
    if server.connection.handshake is not None and not changed_in_nothing(server):
        assert which in FREE_IN_PLACES, (which, at, bit)


@settings(max_examples=4 * EXAMPLES)
@given(which=st.sampled_from(OF_CLIENT), at=st.integers(0, 2000), bit=st.integers(0, 7))
def test_a_client_that_garbles_a_message_and_is_honest_otherwise(which: str, at: int, bit: int) -> None:
    client = new_server()
    said = Garbling(client, which, at, bit)

    ended(client, lambda: client_s_part(client, said))
    if which == "ClientKeyExchange" and (at % 37, bit) == (36, 7):
        return  # the highest bit of an X25519 share means nothing (RFC 7748 section 5)
    if client.connection.handshake is not None and not changed_in_nothing(client):
        assert which in FREE_IN_PLACES, (which, at, bit)


@settings(max_examples=2 * EXAMPLES)
@given(content_type=st.integers(0, 255), content=st.binary(max_size=60), as_server=st.booleans())
def test_any_sealed_record_after_the_handshake(content_type: int, content: bytes, as_server: bool) -> None:
    peer: Any = new_client().go_to("") if as_server else new_server().go_to("", **ED25519)

    def play() -> None:
        peer.send(content_type, content)
        peer.send(ContentType.ALERT, CLOSE_NOTIFY)

    if ended(peer, play) is None:
        assert isinstance(peer.events[-1], PeerClosed)


@settings(max_examples=2 * EXAMPLES)
@given(
    awaited=st.sampled_from(["ServerHello", "Certificate", "ServerKeyExchange", "ChangeCipherSpec", "Finished"]),
    noise=st.binary(max_size=60),
    content_type=st.integers(20, 23),
)
def test_noise_at_any_point_completes_no_handshake(awaited: str, noise: bytes, content_type: int) -> None:
    server = new_client().go_to(awaited)

    def play() -> None:
        server.send(content_type, noise)
        server.deliver(CHANGE_CIPHER_SPEC)

    ended(server, play)
    assert server.connection.handshake is None
