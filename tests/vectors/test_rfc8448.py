"""The simple 1-RTT handshake of RFC 8448 section 3: with what both sides drew there, we come to the same bytes."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from handfast.config import ClientConfig, ServerConfig
from handfast.connection import ClientConnection, ServerConnection
from handfast.crypto import signatures
from handfast.crypto.groups import GROUPS, Share
from handfast.crypto.mac import Key, mac
from handfast.crypto.schedule13 import EarlySecret, Exporter, HandshakeSecret, MainSecret, expand_label
from handfast.crypto.suites import SUITES
from handfast.crypto.transcript import Transcript
from handfast.errors import PeerMisbehaved
from handfast.events import ApplicationData, HandshakeCompleted, PeerClosed, SessionReceived
from handfast.handshake import authenticate
from handfast.handshake.client13 import client13
from handfast.handshake.established import Established
from handfast.handshake.flow import Flow, expect
from handfast.handshake.hello import Offer
from handfast.insecure import NoVerification
from handfast.reasons import BAD_FINISHED, UNSOLICITED_EXTENSION
from handfast.record.layer import RecordLayer
from handfast.record.protection13 import Opener, Sealer
from handfast.testing import Authority
from handfast.wire.codepoints import ExtensionType as E
from handfast.wire.codepoints import NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
    NewSessionTicket,
)

TRACE = json.loads(Path(__file__).with_name("rfc8448_simple_1rtt.json").read_text(encoding="utf-8"))

MESSAGES = {name: bytes.fromhex(raw) for name, raw in TRACE["messages"].items()}
HASHES = {name: bytes.fromhex(digest) for name, digest in TRACE["transcript_hashes"].items()}
SECRETS = {name: bytes.fromhex(secret) for name, secret in TRACE["secrets"].items()}
RECORDS = {item["name"]: item for item in TRACE["records"]}
ORDER = [
    "client_hello",
    "server_hello",
    "encrypted_extensions",
    "certificate",
    "certificate_verify",
    "server_finished",
    "client_finished",
]
CLASSES: dict[str, Any] = {
    "client_hello": ClientHello,
    "server_hello": ServerHello,
    "encrypted_extensions": EncryptedExtensions,
    "certificate": Certificate,
    "certificate_verify": CertificateVerify,
    "server_finished": Finished,
    "client_finished": Finished,
    "new_session_ticket": NewSessionTicket,
}
SUITE = SUITES[0x1301]
LARGEST_RECORD = (1 << 14) + 1  # both sides of the trace say that records may be as long as ever (RFC 8449 section 4)

TO_HELLO = HASHES["client_hello..server_hello"]
TO_SERVER_FINISHED = HASHES["client_hello..server_finished"]
TO_CLIENT_FINISHED = HASHES["client_hello..client_finished"]


def wire(name: str) -> bytes:
    """A record as it crossed the wire."""
    return bytes.fromhex(RECORDS[name]["record"])


def handshake_secret() -> HandshakeSecret:
    return EarlySecret(SUITE).handshake_secret(bytes.fromhex(TRACE["shared_secret"]))


def main_secret() -> MainSecret:
    return handshake_secret().main_secret()


TRAFFIC = {
    "client_handshake": lambda: handshake_secret().client_traffic(TO_HELLO),
    "server_handshake": lambda: handshake_secret().server_traffic(TO_HELLO),
    "client_application": lambda: main_secret().client_traffic(TO_SERVER_FINISHED),
    "server_application": lambda: main_secret().server_traffic(TO_SERVER_FINISHED),
}


def share_of(side: str) -> Share:
    """The key share of one side of the trace: one of the usual kind, with the private key of the trace."""
    share: Any = GROUPS[NamedGroup.X25519].new_share()
    share._private = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(TRACE[f"{side}_ephemeral"]["private"]))
    share.public = share._private.public_key().public_bytes_raw()
    assert share.public.hex() == TRACE[f"{side}_ephemeral"]["public"]
    result: Share = share
    return result


# --- messages


@pytest.mark.parametrize("name", [name for name in MESSAGES if name != "new_session_ticket"])
def test_each_message_parses_and_encodes_back_to_the_same_bytes(name: str) -> None:
    assert CLASSES[name].parse(MESSAGES[name]).encode() == MESSAGES[name]


def test_the_client_hello() -> None:
    hello = ClientHello.parse(MESSAGES["client_hello"])
    assert hello.random.hex() == TRACE["client_random"]
    assert (hello.server_name, hello.legacy_session_id, hello.supported_versions) == ("server", b"", [0x0304])
    assert hello.key_share == [KeyShareEntry(NamedGroup.X25519, share_of("client").public)]
    assert hello.cipher_suites == [0x1301, 0x1303, 0x1302]
    assert hello.record_size_limit == LARGEST_RECORD
    assert (hello.session_ticket, hello.psk_key_exchange_modes) == (b"", b"\1")
    assert hello.other_extensions == {}
    assert hello.renegotiation_info == b""


def test_the_server_hello() -> None:
    hello = ServerHello.parse(MESSAGES["server_hello"])
    assert hello.random.hex() == TRACE["server_random"]
    assert (hello.cipher_suite, hello.version, hello.is_retry_request) == (SUITE.id, 0x0304, False)
    assert hello.key_share == KeyShareEntry(NamedGroup.X25519, share_of("server").public)


def test_the_messages_of_the_server_s_flight() -> None:
    extensions = EncryptedExtensions.parse(MESSAGES["encrypted_extensions"])
    assert extensions.server_name_acknowledged
    assert extensions.supported_groups is not None
    assert extensions.record_size_limit == LARGEST_RECORD
    assert extensions.other_extensions == {}
    certificate = Certificate.parse(MESSAGES["certificate"])
    assert [entry.cert_data.hex() for entry in certificate.certificate_list] == [TRACE["server_certificate"]]
    proof = CertificateVerify.parse(MESSAGES["certificate_verify"])
    assert SignatureScheme.name(proof.algorithm) == TRACE["signature_scheme"]


def test_the_ticket() -> None:
    ticket = NewSessionTicket.parse(MESSAGES["new_session_ticket"])
    assert (ticket.ticket_lifetime, ticket.ticket_nonce) == (30, b"\0\0")
    assert ticket.max_early_data_size == 1024


# --- key exchange, transcript and schedule


def test_both_sides_agree_on_the_shared_secret() -> None:
    client, server = share_of("client"), share_of("server")
    assert client.open(server.public).hex() == server.open(client.public).hex() == TRACE["shared_secret"]


@pytest.mark.parametrize("name", [name for name in HASHES if name != "empty"])
def test_each_transcript_hash(name: str) -> None:
    last = name.split("..")[1]
    transcript = Transcript()
    for message in ORDER[: ORDER.index(last) + 1]:
        transcript.add(SimpleNamespace(raw=MESSAGES[message]))
        if message == "server_hello":
            transcript.use(SUITE.hash)
    assert transcript.digest() == HASHES[name]


def test_the_hash_of_nothing() -> None:
    assert hashlib.new(SUITE.hash).digest() == HASHES["empty"]


def is_key(key: Key, secret: bytes) -> bool:
    """Whether a stage of the schedule has this secret, which it keeps as the key of an HMAC."""
    return mac(key, b"") == hmac.digest(secret, b"", SUITE.hash)


def test_each_stage_of_the_schedule() -> None:
    assert is_key(EarlySecret(SUITE)._salt, SECRETS["derived_from_early"])
    assert is_key(handshake_secret()._secret, SECRETS["handshake_secret"])
    assert is_key(main_secret()._secret, SECRETS["main_secret"])


def test_each_traffic_secret() -> None:
    assert TRAFFIC["client_handshake"]().secret == SECRETS["client_handshake_traffic"]
    assert TRAFFIC["server_handshake"]().secret == SECRETS["server_handshake_traffic"]
    assert TRAFFIC["client_application"]().secret == SECRETS["client_application_traffic_0"]
    assert TRAFFIC["server_application"]().secret == SECRETS["server_application_traffic_0"]


def test_exporter_and_resumption() -> None:
    assert main_secret().exporter(TO_SERVER_FINISHED).secret == SECRETS["exporter_main"]
    assert main_secret().resumption(TO_CLIENT_FINISHED) == SECRETS["resumption_main"]


@pytest.mark.parametrize(
    ("label", "secret", "context", "length", "output"),
    [
        ("derived", "early_secret", HASHES["empty"], 32, SECRETS["derived_from_early"]),
        ("derived", "handshake_secret", HASHES["empty"], 32, SECRETS["derived_from_handshake"]),
        ("c hs traffic", "handshake_secret", TO_HELLO, 32, SECRETS["client_handshake_traffic"]),
        ("s ap traffic", "main_secret", TO_SERVER_FINISHED, 32, SECRETS["server_application_traffic_0"]),
        ("resumption", "resumption_main", b"\0\0", 32, SECRETS["resumption_psk"]),
        ("finished", "server_handshake_traffic", b"", 32, bytes.fromhex(TRACE["finished"]["server"]["key"])),
        ("finished", "client_handshake_traffic", b"", 32, bytes.fromhex(TRACE["finished"]["client"]["key"])),
    ],
    ids=["derived early", "derived handshake", "c hs", "s ap", "resumption", "server finished", "client finished"],
)
def test_expand_label(label: str, secret: str, context: bytes, length: int, output: bytes) -> None:
    assert expand_label(SUITE, SECRETS[secret], label, context, length) == output


@pytest.mark.parametrize("epoch", TRAFFIC)
def test_each_key_and_iv(epoch: str) -> None:
    secret = TRAFFIC[epoch]()
    expected = {name: bytes.fromhex(value) for name, value in TRACE["traffic_keys"][epoch].items()}
    assert expand_label(SUITE, secret.secret, "key", b"", SUITE.key_length) == expected["key"]
    cipher, iv = secret.cipher()
    assert iv.to_bytes(12) == expected["iv"]
    sealed = bytearray(16 + 7)
    cipher.encrypt_into(expected["iv"], b"content", b"header", sealed)
    assert SUITE.aead(expected["key"]).decrypt(expected["iv"], bytes(sealed), b"header") == b"content"


# --- proofs


@pytest.mark.parametrize(
    ("side", "until"),
    [("server", HASHES["client_hello..certificate_verify"]), ("client", TO_SERVER_FINISHED)],
    ids=["server", "client"],
)
def test_each_finished(side: str, until: bytes) -> None:
    secret = TRAFFIC[f"{side}_handshake"]()
    assert secret.verify_data(until).hex() == TRACE["finished"][side]["verify_data"]
    finished = Finished.parse(MESSAGES[f"{side}_finished"])
    assert authenticate.check_finished(finished, secret.verify_data(until))
    with pytest.raises(PeerMisbehaved) as caught:
        authenticate.check_finished(finished, secret.verify_data(TO_CLIENT_FINISHED))
    assert caught.value.reason is BAD_FINISHED


def test_the_signature_of_the_server() -> None:
    content = authenticate.SERVER_CONTEXT + HASHES["client_hello..certificate"]
    assert content.hex() == TRACE["certificate_verify_content"]
    peer = NoVerification().verify_server(
        [bytes.fromhex(TRACE["server_certificate"])], "server", ClientConfig().clock.wall()
    )
    assert peer.public_key.public_numbers().n == int(TRACE["server_rsa_key"]["modulus"], 16)
    proof = CertificateVerify.parse(MESSAGES["certificate_verify"])
    authenticate.check_certificate_verify(proof, peer, [SignatureScheme.RSA_PSS_RSAE_SHA256], content)
    with pytest.raises(PeerMisbehaved):
        signatures.verify(peer.public_key, proof.algorithm, proof.signature, content + b"\0")


# --- records


@pytest.mark.parametrize("name", [name for name, item in RECORDS.items() if item["epoch"] != "plaintext"])
def test_each_sealed_record(name: str) -> None:
    item = RECORDS[name]
    payload, record = bytes.fromhex(item["payload"]), wire(name)
    secret = TRAFFIC[f"{item['sender']}_{item['epoch']}"]()
    sealer, opener = Sealer(secret), Opener(secret)
    sealer.sequence = opener.sequence = item["sequence"]
    assert sealer.seal(item["content_type"], memoryview(payload)) == record
    assert opener.open(record[:5], memoryview(record)[5:]) == (item["content_type"], payload)


@pytest.mark.parametrize("sender", ["client", "server"])
def test_all_that_one_side_writes_and_the_other_reads(sender: str) -> None:
    writer, reader = RecordLayer(), RecordLayer()
    epoch = "plaintext"
    sent = [item for item in TRACE["records"] if item["sender"] == sender]
    for item in sent:
        if item["epoch"] != epoch:
            epoch = item["epoch"]
            writer.install_write(TRAFFIC[f"{sender}_{epoch}"]())
            reader.install_read(TRAFFIC[f"{sender}_{epoch}"]())
        writer.initial_version = 0x0301 if item["name"] == "client_hello" else 0x0303
        writer.write(item["content_type"], bytes.fromhex(item["payload"]))
        written = bytes(writer.take())
        assert written == wire(item["name"])
        reader.feed(written)
        read = reader.read()
        assert read is not None
        assert (read[0], bytes(read[1]).hex(), read[2]) == (
            item["content_type"],
            item["payload"],
            epoch != "plaintext",
        )


# --- the whole handshake, through our own connections


class Secrets:
    """A key log that keeps the secrets."""

    def __init__(self) -> None:
        self.seen: dict[str, bytes] = {}

    def secret(self, label: str, client_random: bytes, secret: bytes) -> None:
        assert client_random.hex() == TRACE["client_random"]
        self.seen[label] = secret


LOGGED = {
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET": SECRETS["client_handshake_traffic"],
    "SERVER_HANDSHAKE_TRAFFIC_SECRET": SECRETS["server_handshake_traffic"],
    "CLIENT_TRAFFIC_SECRET_0": SECRETS["client_application_traffic_0"],
    "SERVER_TRAFFIC_SECRET_0": SECRETS["server_application_traffic_0"],
    "EXPORTER_SECRET": SECRETS["exporter_main"],
}


class TracedClient(ClientConnection):
    """Our client with the ClientHello of the trace in place of its own, which offers other things."""

    def _script(self) -> Flow[Established]:
        link = self._link
        hello = ClientHello.parse(MESSAGES["client_hello"])
        offer = Offer(hello, "server", [share_of("client")], self._client_config)
        link.layer.initial_version = 0x0301
        link.send(hello)
        link.flush()
        link.layer.initial_version = 0x0303
        link.transcript.add(hello)
        answer = yield from expect(ServerHello)
        link.version = ProtocolVersion.TLS_1_3
        return (yield from client13(link, offer, answer, retried=False))


def traced_client(keylog: Secrets | None = None) -> TracedClient:
    config = ClientConfig(verifier=NoVerification(), keylog=keylog, record_size_limit=LARGEST_RECORD)
    client = TracedClient(config, server_name="server")
    client.start()
    return client


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_our_client_sends_and_reads_every_byte_of_the_trace(size: int) -> None:
    def receive(name: str) -> list[Any]:
        record = wire(name)
        events = []
        for at in range(0, len(record), size):
            client.receive_data(record[at : at + size])
            events += list(client.events())
        return events

    keylog = Secrets()
    client = traced_client(keylog)
    assert client.data_to_send() == wire("client_hello")
    assert receive("server_hello") == []
    (completed,) = receive("server_flight")
    assert isinstance(completed, HandshakeCompleted)
    assert client.data_to_send() == wire("client_finished")
    assert keylog.seen == LOGGED

    facts = completed.handshake
    assert (facts.version, facts.cipher_suite) == ("TLSv1.3", TRACE["cipher_suite"])
    assert (facts.group, facts.signature_scheme) == (TRACE["group"], TRACE["signature_scheme"])
    assert facts.server_name == TRACE["server_name"]
    assert facts.peer is not None
    assert [der.hex() for der in facts.peer.chain] == [TRACE["server_certificate"]]

    exported = client.export_keying_material("EXPERIMENTAL trace", 16, b"context")
    assert exported == Exporter(SUITE, SECRETS["exporter_main"]).export(b"EXPERIMENTAL trace", b"context", 16)

    (received,) = receive("new_session_ticket")
    assert isinstance(received, SessionReceived)
    assert received.session.secret == SECRETS["resumption_psk"]
    client.send(bytes.fromhex(RECORDS["client_application_data"]["payload"]))
    assert client.data_to_send() == wire("client_application_data")
    (data,) = receive("server_application_data")
    assert isinstance(data, ApplicationData)
    assert data.data.hex() == RECORDS["server_application_data"]["payload"]
    client.close()
    assert client.data_to_send() == wire("client_close_notify")
    assert [type(event) for event in receive("server_close_notify")] == [PeerClosed]


@pytest.mark.parametrize("bit", [0, 40, 500, 2000, 4000, -1])
def test_our_client_refuses_the_trace_with_one_bit_changed(bit: int) -> None:
    client = traced_client()
    client.receive_data(wire("server_hello"))
    assert list(client.events()) == []
    flight = bytearray(wire("server_flight")[5:])
    bit %= 8 * len(flight)
    flight[bit // 8] ^= 1 << bit % 8
    client.receive_data(wire("server_flight")[:5] + flight)
    with pytest.raises(PeerMisbehaved, match="could not be decrypted"):
        client.next_event()


def test_an_answer_that_was_not_offered_is_refused() -> None:
    """The server of the trace answers record_size_limit, which our own ClientHello has only where that is set."""
    extensions = EncryptedExtensions.parse(MESSAGES["encrypted_extensions"])
    offered = [
        kind for kind in ClientHello.parse(MESSAGES["client_hello"]).extension_types if kind != E.RECORD_SIZE_LIMIT
    ]
    with pytest.raises(PeerMisbehaved) as caught:
        authenticate.check_solicited(offered, extensions.extension_types)
    assert caught.value.reason is UNSOLICITED_EXTENSION
    assert caught.value.evidence == {"extension": "record_size_limit"}


class ServerEntropy:
    """What the server of the trace drew."""

    def random(self, length: int) -> bytes:
        value = bytes.fromhex(TRACE["server_random"])
        assert length == len(value)
        return value

    def new_shares(self, groups: tuple[int, ...]) -> list[Share]:
        raise AssertionError("a server makes no shares of its own accord")

    def encapsulate(self, group: int, public: bytes) -> tuple[bytes, bytes]:
        assert group == NamedGroup.X25519
        share = share_of("server")
        return share.public, share.open(public)


def test_our_server_answers_the_trace_s_client_like_the_trace_s_server() -> None:
    """With the same randomness its ServerHello says the same; extensions stand in an order of its own."""
    config = ServerConfig(identities=[Authority.create().issue("server")], entropy_for_tests=ServerEntropy())
    server = ServerConnection(config)
    server.start()
    server.receive_data(wire("client_hello"))
    assert list(server.events()) == []
    answered = bytes(server.data_to_send())
    length = int.from_bytes(answered[3:5])
    ours, theirs = ServerHello.parse(answered[5 : 5 + length]), ServerHello.parse(MESSAGES["server_hello"])
    assert sorted(ours.extension_types) == sorted(theirs.extension_types)
    for name in ("random", "legacy_session_id_echo", "cipher_suite", "legacy_version", "version", "key_share"):
        assert getattr(ours, name) == getattr(theirs, name)

    # From there on its own transcript makes keys of its own, but from the same shared secret.
    digest = hashlib.sha256(MESSAGES["client_hello"] + ours.raw).digest()
    opener = Opener(handshake_secret().server_traffic(digest))
    flight = answered[5 + length :]
    content_type, content = opener.open(flight[:5], memoryview(flight)[5:])
    assert content_type == 22
    extensions = EncryptedExtensions.parse(content[: 4 + int.from_bytes(content[1:4])])
    assert (extensions.server_name_acknowledged, extensions.record_size_limit) == (True, LARGEST_RECORD)
