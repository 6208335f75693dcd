"""The HelloRetryRequest of RFC 8448 section 5: the transcript's one bend, and the whole handshake behind it.

The server there wants a share of secp256r1 and sends a cookie; the client has sent a share of x25519.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from handfast.config import ClientConfig, ServerConfig
from handfast.connection import ClientConnection, ServerConnection
from handfast.crypto import signatures
from handfast.crypto.groups import GROUPS, Share
from handfast.crypto.mac import Key, mac
from handfast.crypto.schedule13 import EarlySecret, HandshakeSecret
from handfast.crypto.suites import SUITES
from handfast.crypto.transcript import Transcript
from handfast.errors import PeerMisbehaved
from handfast.events import HandshakeCompleted, PeerClosed
from handfast.handshake import authenticate
from handfast.handshake import retry as retry_module
from handfast.handshake.client13 import client13
from handfast.handshake.established import Established
from handfast.handshake.flow import Flow, expect
from handfast.handshake.hello import Offer
from handfast.handshake.link import Link
from handfast.handshake.retry import check_again, check_request, retry
from handfast.insecure import NoVerification
from handfast.reasons import HELLO_CHANGED
from handfast.record.protection13 import Opener, Sealer
from handfast.testing import Authority
from handfast.wire.codepoints import ExtensionType as E
from handfast.wire.codepoints import NamedGroup, SignatureScheme
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages13 import Certificate, CertificateVerify, EncryptedExtensions, Finished

TRACE = json.loads(Path(__file__).with_name("rfc8448_hello_retry.json").read_text(encoding="utf-8"))

MESSAGES = {name: bytes.fromhex(raw) for name, raw in TRACE["messages"].items()}
HASHES = {name: bytes.fromhex(digest) for name, digest in TRACE["transcript_hashes"].items()}
SECRETS = {name: bytes.fromhex(secret) for name, secret in TRACE["secrets"].items()}
RECORDS = {item["name"]: item for item in TRACE["records"]}
COOKIE = bytes.fromhex(TRACE["cookie"])
CLASSES: dict[str, Any] = {
    "client_hello_1": ClientHello,
    "hello_retry_request": ServerHello,
    "client_hello_2": ClientHello,
    "server_hello": ServerHello,
    "encrypted_extensions": EncryptedExtensions,
    "certificate": Certificate,
    "certificate_verify": CertificateVerify,
    "server_finished": Finished,
    "client_finished": Finished,
}
SUITE = SUITES[0x1301]
LARGEST_RECORD = (1 << 14) + 1

TO_HELLO = HASHES["message_hash..server_hello"]
TO_SERVER_FINISHED = HASHES["message_hash..server_finished"]


def wire(name: str) -> bytes:
    """A record as it crossed the wire."""
    return bytes.fromhex(RECORDS[name]["record"])


def handshake_secret() -> HandshakeSecret:
    return EarlySecret(SUITE).handshake_secret(bytes.fromhex(TRACE["shared_secret"]))


TRAFFIC = {
    "client_handshake": lambda: handshake_secret().client_traffic(TO_HELLO),
    "server_handshake": lambda: handshake_secret().server_traffic(TO_HELLO),
    "client_application": lambda: handshake_secret().main_secret().client_traffic(TO_SERVER_FINISHED),
    "server_application": lambda: handshake_secret().main_secret().server_traffic(TO_SERVER_FINISHED),
}


def first_share() -> Share:
    """The client's share of x25519, which comes to nothing."""
    group: Any = GROUPS[NamedGroup.X25519]
    private = bytes.fromhex(TRACE["client_ephemeral_1"]["private"])
    share: Share = group.share_of(x25519.X25519PrivateKey.from_private_bytes(private))
    assert share.public.hex() == TRACE["client_ephemeral_1"]["public"]
    return share


def share_of(side: str) -> Share:
    """The share of secp256r1 that one side of the trace sent."""
    group: Any = GROUPS[NamedGroup.SECP256R1]
    drawn = TRACE[side]
    share: Share = group.share_of(ec.derive_private_key(int(drawn["private"], 16), ec.SECP256R1()))
    assert share.public.hex() == drawn["public"]
    return share


def first_offer() -> Offer:
    config = ClientConfig(verifier=NoVerification(), record_size_limit=LARGEST_RECORD)
    return Offer(ClientHello.parse(MESSAGES["client_hello_1"]), "server", [first_share()], config)


# --- messages


@pytest.mark.parametrize("name", MESSAGES)
def test_each_message_parses_and_encodes_back_to_the_same_bytes(name: str) -> None:
    assert CLASSES[name].parse(MESSAGES[name]).encode() == MESSAGES[name]


def test_what_the_server_asks_for() -> None:
    request = ServerHello.parse(MESSAGES["hello_retry_request"])
    assert request.is_retry_request
    assert (request.cipher_suite, request.version) == (SUITE.id, 0x0304)
    assert (request.selected_group, request.key_share, request.cookie) == (NamedGroup.SECP256R1, None, COOKIE)
    check_request(first_offer(), request)


def test_what_the_client_changes() -> None:
    first, second = (ClientHello.parse(MESSAGES[f"client_hello_{number}"]) for number in (1, 2))
    assert first.random == second.random == bytes.fromhex(TRACE["client_random"])
    assert first.key_share == [KeyShareEntry(NamedGroup.X25519, first_share().public)]
    assert second.key_share == [KeyShareEntry(NamedGroup.SECP256R1, share_of("client_ephemeral_2").public)]
    assert (first.cookie, second.cookie) == (None, COOKIE)
    assert set(second.extension_types) - set(first.extension_types) == {E.COOKIE, E.PADDING}
    assert len(MESSAGES["client_hello_2"]) == 512  # padded (RFC 7685 section 4)
    check_again(first, second)
    second.server_name = "other"
    with pytest.raises(PeerMisbehaved) as caught:
        check_again(first, second)
    assert caught.value.reason is HELLO_CHANGED
    assert caught.value.evidence == {"differing": ["server_name"]}


# --- transcript and schedule


def transcript_until(last: str) -> Transcript:
    transcript = Transcript()
    for name, raw in MESSAGES.items():
        transcript.add(SimpleNamespace(raw=raw))
        if name == "client_hello_1":
            transcript.use(SUITE.hash)  # the suite is known from the HelloRetryRequest
            transcript.fold()
        if name == last:
            break
    return transcript


def test_the_first_hello_becomes_its_hash() -> None:
    """RFC 9846 section 4.1: a message_hash with the first ClientHello's hash stands in its place."""
    folded = bytes.fromhex(TRACE["message_hash"])
    assert folded == b"\xfe\0\0\x20" + hashlib.sha256(MESSAGES["client_hello_1"]).digest()
    assert transcript_until("client_hello_1").digest() == hashlib.sha256(folded).digest()


@pytest.mark.parametrize("name", HASHES)
def test_each_transcript_hash(name: str) -> None:
    assert transcript_until(name.split("..")[1]).digest() == HASHES[name]


def test_both_sides_agree_on_the_shared_secret() -> None:
    client, server = share_of("client_ephemeral_2"), share_of("server_ephemeral")
    assert client.open(server.public).hex() == server.open(client.public).hex() == TRACE["shared_secret"]


def is_key(key: Key, secret: bytes) -> bool:
    """Whether a stage of the schedule has this secret, which it keeps as the key of an HMAC."""
    return mac(key, b"") == hmac.digest(secret, b"", SUITE.hash)


def test_each_secret() -> None:
    assert is_key(handshake_secret()._secret, SECRETS["handshake_secret"])
    assert is_key(handshake_secret().main_secret()._secret, SECRETS["main_secret"])
    for epoch, secret in TRAFFIC.items():
        generation = "_traffic_0" if "application" in epoch else "_traffic"
        assert secret().secret == SECRETS[epoch + generation]


@pytest.mark.parametrize(("side", "until"), [("server", "certificate_verify"), ("client", "server_finished")])
def test_each_finished(side: str, until: str) -> None:
    secret = TRAFFIC[f"{side}_handshake"]()
    digest = HASHES[f"message_hash..{until}"]
    assert secret.verify_data(digest).hex() == TRACE["finished"][side]["verify_data"]
    assert authenticate.check_finished(Finished.parse(MESSAGES[f"{side}_finished"]), secret.verify_data(digest))


def test_the_signature_of_the_server() -> None:
    content = authenticate.SERVER_CONTEXT + HASHES["message_hash..certificate"]
    assert content.hex() == TRACE["certificate_verify_content"]
    chain = [bytes.fromhex(TRACE["server_certificate"])]
    peer = NoVerification().verify_server(chain, "server", ClientConfig().clock.wall())
    proof = CertificateVerify.parse(MESSAGES["certificate_verify"])
    authenticate.check_certificate_verify(proof, peer, [SignatureScheme.RSA_PSS_RSAE_SHA256], content)
    with pytest.raises(PeerMisbehaved):
        signatures.verify(peer.public_key, proof.algorithm, proof.signature, content + b"\0")


@pytest.mark.parametrize("name", [name for name, item in RECORDS.items() if item["epoch"] != "plaintext"])
def test_each_sealed_record(name: str) -> None:
    item = RECORDS[name]
    payload, record = bytes.fromhex(item["payload"]), wire(name)
    secret = TRAFFIC[f"{item['sender']}_{item['epoch']}"]()
    assert Sealer(secret).seal(item["content_type"], memoryview(payload)) == record
    assert Opener(secret).open(record[:5], memoryview(record)[5:]) == (item["content_type"], payload)


# --- the whole handshake, through our own connections


class TracedClient(ClientConnection):
    """Our client with the first ClientHello of the trace in place of its own, which offers other things."""

    def _script(self) -> Flow[Established]:
        link = self._link
        sent = first_offer()
        link.layer.initial_version = 0x0301
        link.send(sent.message)
        link.flush()
        link.layer.initial_version = 0x0303
        link.transcript.add(sent.message)
        request = yield from expect(ServerHello)
        again, answer = yield from retry(link, sent, request)
        return (yield from client13(link, again, answer, retried=True))


def traced_again(link: Link, sent: Offer, request: ServerHello) -> Offer:
    """The second offer of the trace; ours has its extensions in another order."""
    assert request.selected_group == NamedGroup.SECP256R1
    hello = ClientHello.parse(MESSAGES["client_hello_2"])
    return Offer(hello, sent.server_name, [share_of("client_ephemeral_2")], sent.config)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_our_client_sends_and_reads_every_byte_of_the_trace(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_module, "offer_again", traced_again)
    client = TracedClient(first_offer().config, server_name="server")
    client.start()

    def receive(name: str) -> list[Any]:
        record = wire(name)
        events = []
        for at in range(0, len(record), size):
            client.receive_data(record[at : at + size])
            events += list(client.events())
        return events

    assert client.data_to_send() == wire("client_hello_1")
    assert receive("hello_retry_request") == []
    assert client.data_to_send() == wire("client_hello_2")
    assert receive("server_hello") == []
    (completed,) = receive("server_flight")
    assert isinstance(completed, HandshakeCompleted)
    assert client.data_to_send() == wire("client_finished")

    facts = completed.handshake
    assert facts.hello_retry_request
    assert (facts.group, facts.signature_scheme) == (TRACE["group"], TRACE["signature_scheme"])
    client.close()
    assert client.data_to_send() == wire("client_close_notify")
    assert receive("server_close_notify") == [PeerClosed()]


class ServerEntropy:
    """What the server of the trace drew."""

    def random(self, length: int) -> bytes:
        value = bytes.fromhex(TRACE["server_random"])
        assert length == len(value)
        return value

    def new_shares(self, groups: tuple[int, ...]) -> list[Share]:
        raise AssertionError("a server makes no shares of its own accord")

    def encapsulate(self, group: int, public: bytes) -> tuple[bytes, bytes]:
        assert group == NamedGroup.SECP256R1
        share = share_of("server_ephemeral")
        return share.public, share.open(public)


def answered(server: ServerConnection, name: str) -> bytes:
    """What our server says to a record of the trace's client."""
    server.receive_data(wire(name))
    assert list(server.events()) == []
    return bytes(server.data_to_send())


def test_our_server_asks_and_answers_the_trace_s_client_like_the_trace_s_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the same randomness and cookie its messages say the same; extensions stand in an order of its own."""
    monkeypatch.setattr(retry_module, "_cookie", lambda *_: COOKIE)
    config = ServerConfig(
        identities=[Authority.create().issue("server")],
        groups=["secp256r1"],
        cookie_key=bytes(32),
        entropy_for_tests=ServerEntropy(),
    )
    server = ServerConnection(config)
    server.start()
    request = ServerHello.parse(answered(server, "client_hello_1")[5:])
    theirs = ServerHello.parse(MESSAGES["hello_retry_request"])
    assert sorted(request.extension_types) == sorted(theirs.extension_types)
    for name in ("random", "legacy_session_id_echo", "cipher_suite", "version", "selected_group", "cookie"):
        assert getattr(request, name) == getattr(theirs, name)

    said = answered(server, "client_hello_2")
    length = int.from_bytes(said[3:5])
    answer, theirs = ServerHello.parse(said[5 : 5 + length]), ServerHello.parse(MESSAGES["server_hello"])
    for name in ("random", "legacy_session_id_echo", "cipher_suite", "version", "key_share"):
        assert getattr(answer, name) == getattr(theirs, name)

    # Its own bytes make keys of its own, but by the same hash of the first ClientHello, and from the same secret.
    folded = bytes.fromhex(TRACE["message_hash"])
    digest = hashlib.sha256(folded + request.raw + MESSAGES["client_hello_2"] + answer.raw).digest()
    flight = said[5 + length :]
    content_type, content = Opener(handshake_secret().server_traffic(digest)).open(flight[:5], memoryview(flight)[5:])
    assert content_type == 22
    assert EncryptedExtensions.parse(content[: 4 + int.from_bytes(content[1:4])]).server_name_acknowledged
