"""The resumed 0-RTT handshake of RFC 8448 section 4: with its session and what both sides drew, we come to the same bytes."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from handfast.clock import Clock
from handfast.config import ClientConfig, ServerConfig
from handfast.connection import ClientConnection, ServerConnection
from handfast.crypto.groups import GROUPS, Share
from handfast.crypto.mac import Key, mac
from handfast.crypto.schedule13 import PskSecret, TrafficSecret, expand_label, resumption_psk
from handfast.crypto.suites import SUITES
from handfast.crypto.transcript import Transcript
from handfast.errors import PeerMisbehaved
from handfast.events import ApplicationData, EarlyData, HandshakeCompleted, PeerClosed
from handfast.handshake.client import send_early_data
from handfast.handshake.client13 import client13
from handfast.handshake.established import Established
from handfast.handshake.flow import Flow, expect
from handfast.handshake.hello import Offer
from handfast.handshake.link import Link
from handfast.handshake.psk import Psk, bind, put_into
from handfast.insecure import NoVerification
from handfast.reasons import BAD_BINDER
from handfast.record.layer import RecordLayer
from handfast.record.protection13 import Opener, Sealer
from handfast.sessions.session import Basis, Session, milliseconds
from handfast.testing import Authority, IssuedIdentity
from handfast.wire.codepoints import NamedGroup, ProtocolVersion
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages13 import EncryptedExtensions, EndOfEarlyData, Finished

HERE = Path(__file__)
TRACE = json.loads(HERE.with_name("rfc8448_resumed_0rtt.json").read_text(encoding="utf-8"))
BEFORE = json.loads(HERE.with_name("rfc8448_simple_1rtt.json").read_text(encoding="utf-8"))

MESSAGES = {name: bytes.fromhex(raw) for name, raw in TRACE["messages"].items()}
HASHES = {name: bytes.fromhex(digest) for name, digest in TRACE["transcript_hashes"].items()}
SECRETS = {name: bytes.fromhex(secret) for name, secret in TRACE["secrets"].items()}
RECORDS = {item["name"]: item for item in TRACE["records"]}
CLASSES: dict[str, Any] = {
    "client_hello": ClientHello,
    "server_hello": ServerHello,
    "encrypted_extensions": EncryptedExtensions,
    "server_finished": Finished,
    "end_of_early_data": EndOfEarlyData,
    "client_finished": Finished,
}
SUITE = SUITES[0x1301]
LARGEST_RECORD = (1 << 14) + 1
EARLY = bytes.fromhex(RECORDS["client_early_data"]["payload"])

# The wall clock of the trace: its ticket is 6 milliseconds old.
ISSUED = datetime(2018, 1, 1, tzinfo=UTC)
NOW = ISSUED + timedelta(milliseconds=6)
CLOCK = Clock(wall=lambda: NOW)
TRUST = ServerConfig(identities=[Authority.create().issue("server")]).trust_id


def wire(*names: str) -> bytes:
    """Records as they crossed the wire."""
    return b"".join(bytes.fromhex(RECORDS[name]["record"]) for name in names)


def share_of(side: str) -> Share:
    """The key share of one side of the trace: one of the usual kind, with the private key of the trace."""
    share: Any = GROUPS[NamedGroup.X25519].new_share()
    share._private = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(TRACE[f"{side}_ephemeral"]["private"]))
    share.public = share._private.public_key().public_bytes_raw()
    assert share.public.hex() == TRACE[f"{side}_ephemeral"]["public"]
    result: Share = share
    return result


def session(**changes: Any) -> Session:
    """What the connection of section 3 left behind, by the ticket that it ended with."""
    ticket = bytes.fromhex(BEFORE["messages"]["new_session_ticket"])
    fields: dict[str, Any] = {
        "version": ProtocolVersion.TLS_1_3,
        "suite_id": SUITE.id,
        "secret": SECRETS["resumption_psk"],
        "issued": milliseconds(ISSUED),
        "basis": Basis(milliseconds(ISSUED)),
        "expires": milliseconds(ISSUED) + 30_000,
        "server_name": "server",
        "protocol": None,
        "group": NamedGroup.X25519,
        "scheme": 0x0804,
        "chain": (bytes.fromhex(BEFORE["server_certificate"]),),
        "verified_by": "nothing",
        "age_add": int.from_bytes(ticket[8:12]),
        "max_early_data": 1024,
        "ticket": bytes.fromhex(TRACE["ticket"]),
    }
    return Session(**{**fields, **changes})


def psk_secret() -> PskSecret:
    return PskSecret(SUITE, SECRETS["resumption_psk"], "res")


def traffic(name: str) -> TrafficSecret:
    """The secret that protects a side's records of an epoch."""
    stage = psk_secret()
    if name == "client_early":
        return stage.client_traffic(HASHES["client_hello"])
    handshake = stage.handshake_secret(bytes.fromhex(TRACE["shared_secret"]))
    side, _, epoch = name.partition("_")
    until = HASHES["client_hello..server_hello" if epoch == "handshake" else "client_hello..server_finished"]
    giver: Any = handshake if epoch == "handshake" else handshake.main_secret()
    secret: TrafficSecret = getattr(giver, f"{side}_traffic")(until)
    return secret


# --- messages and schedule


@pytest.mark.parametrize("name", MESSAGES)
def test_each_message_parses_and_encodes_back_to_the_same_bytes(name: str) -> None:
    assert CLASSES[name].parse(MESSAGES[name]).encode() == MESSAGES[name]


def test_the_client_hello() -> None:
    hello = ClientHello.parse(MESSAGES["client_hello"])
    assert hello.pre_shared_key is not None
    [identity] = hello.pre_shared_key.identities
    assert identity.identity.hex() == TRACE["ticket"]
    assert identity.obfuscated_ticket_age.to_bytes(4).hex() == TRACE["obfuscated_ticket_age"]
    assert hello.pre_shared_key.binders == [SECRETS["binder"]]
    assert (hello.early_data, hello.psk_key_exchange_modes) == (True, b"\1")
    assert ServerHello.parse(MESSAGES["server_hello"]).selected_identity == 0
    assert EncryptedExtensions.parse(MESSAGES["encrypted_extensions"]).early_data


def is_key(key: Key, secret: bytes) -> bool:
    """Whether a stage of the schedule has this secret, which it keeps as the key of an HMAC."""
    return mac(key, b"") == hmac.digest(secret, b"", SUITE.hash)


def test_the_psk_is_that_of_the_ticket() -> None:
    ours = resumption_psk(SUITE, bytes.fromhex(BEFORE["secrets"]["resumption_main"]), b"\0\0")
    assert ours == SECRETS["resumption_psk"]
    assert is_key(psk_secret()._secret, SECRETS["early_secret"])
    assert is_key(psk_secret()._salt, SECRETS["derived_from_early"])


def test_the_binder() -> None:
    hello = ClientHello.parse(MESSAGES["client_hello"])
    digest = Transcript().digest_with("sha256", hello.without_binders)
    assert digest == HASHES["client_hello up to its binders"]
    assert psk_secret().binder(digest) == SECRETS["binder"]
    label = expand_label(SUITE, SECRETS["early_secret"], "res binder", hashlib.sha256().digest(), 32)
    assert label == SECRETS["binder_key"]


def test_our_client_puts_the_same_identity_and_binder_into_the_same_hello() -> None:
    hello = ClientHello.parse(MESSAGES["client_hello"])
    link = Link(RecordLayer(), ClientConfig(verifier=NoVerification(), clock=CLOCK))
    psks = [Psk.of(session())]
    put_into(link, hello, psks)
    assert hello.pre_shared_key is not None
    assert hello.pre_shared_key.binders == [bytes(32)]
    hello.raw = hello.encode()
    bind(link, hello, psks)
    assert hello.raw == MESSAGES["client_hello"]


@pytest.mark.parametrize("name", TRACE["traffic_keys"])
def test_each_traffic_secret_with_its_key_and_iv(name: str) -> None:
    printed = {"early": "early_traffic", "handshake": "handshake_traffic", "application": "application_traffic_0"}
    side, _, epoch = name.partition("_")
    secret, keys = traffic(name), TRACE["traffic_keys"][name]
    assert secret.secret == SECRETS[f"{side}_{printed[epoch]}"]
    assert expand_label(SUITE, secret.secret, "key", b"", SUITE.key_length).hex() == keys["key"]
    assert secret.cipher()[1].to_bytes(12).hex() == keys["iv"]


def test_exporters_and_resumption() -> None:
    assert psk_secret().exporter(HASHES["client_hello"]).secret == SECRETS["early_exporter_main"]
    main = psk_secret().handshake_secret(bytes.fromhex(TRACE["shared_secret"])).main_secret()
    assert main.exporter(HASHES["client_hello..server_finished"]).secret == SECRETS["exporter_main"]
    assert main.resumption(HASHES["client_hello..client_finished"]) == SECRETS["resumption_main"]


@pytest.mark.parametrize("name", [name for name, item in RECORDS.items() if item["epoch"] != "plaintext"])
def test_each_sealed_record(name: str) -> None:
    item = RECORDS[name]
    payload, record = bytes.fromhex(item["payload"]), wire(name)
    secret = traffic(f"{item['sender']}_{item['epoch']}")
    sealer, opener = Sealer(secret), Opener(secret)
    sealer.sequence = opener.sequence = item["sequence"]
    assert sealer.seal(item["content_type"], memoryview(payload)) == record
    assert opener.open(record[:5], memoryview(record)[5:]) == (item["content_type"], payload)


# --- the whole handshake, through our own connections


class TracedClient(ClientConnection):
    """Our client with the ClientHello of the trace in place of its own, which offers other things."""

    def _script(self) -> Flow[Established]:
        link = self._link
        hello = ClientHello.parse(MESSAGES["client_hello"])
        resumed = session()
        offer = Offer(hello, "server", [share_of("client")], self._client_config, resumed, [Psk.of(resumed)])
        link.layer.initial_version = 0x0301
        link.send(hello)
        link.flush()
        link.layer.initial_version = 0x0303
        link.transcript.add(hello)
        send_early_data(link, offer, EARLY)
        answer = yield from expect(ServerHello)
        link.version = ProtocolVersion.TLS_1_3
        return (yield from client13(link, offer, answer, retried=False, early_was_sent=True))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_our_client_sends_and_reads_every_byte_of_the_trace(size: int) -> None:
    def receive(name: str) -> list[Any]:
        record = wire(name)
        events = []
        for at in range(0, len(record), size):
            client.receive_data(record[at : at + size])
            events += list(client.events())
        return events

    client = TracedClient(
        ClientConfig(verifier=NoVerification(), record_size_limit=LARGEST_RECORD, clock=CLOCK), server_name="server"
    )
    client.start()
    assert client.data_to_send() == wire("client_hello", "client_early_data")
    assert receive("server_hello") == []
    (completed,) = receive("server_flight")
    assert isinstance(completed, HandshakeCompleted)
    assert client.data_to_send() == wire("end_of_early_data", "client_finished")

    facts = completed.handshake
    assert (facts.version, facts.cipher_suite, facts.group) == ("TLSv1.3", TRACE["cipher_suite"], TRACE["group"])
    assert (facts.resumed, facts.early_data, facts.hello_retry_request) == (True, "accepted", False)
    assert facts.peer is not None
    assert [der.hex() for der in facts.peer.chain] == [BEFORE["server_certificate"]]

    client.send(bytes.fromhex(RECORDS["client_application_data"]["payload"]))
    assert client.data_to_send() == wire("client_application_data")
    assert receive("server_application_data") == [
        ApplicationData(bytes.fromhex(RECORDS["server_application_data"]["payload"]))
    ]
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
        assert group == NamedGroup.X25519
        share = share_of("server")
        return share.public, share.open(public)


class Tickets:
    """The server's tickets: that of the trace."""

    def seal(self, state: bytes, seconds: int) -> None:
        """No more of them."""

    def open(self, ticket: bytes) -> bytes:
        assert ticket.hex() == TRACE["ticket"]
        basis = Basis(milliseconds(ISSUED), shown=server_identity().fingerprint)
        return session(chain=(), ticket=b"", trust=TRUST, basis=basis).encode()


class Guard:
    """Lets everything pass, and remembers what."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def admit(self, binder: bytes, seconds: float) -> bool:
        self.seen.append(binder)
        return True


@cache
def server_identity() -> IssuedIdentity:
    """Any one will do: nobody is shown a certificate."""
    return Authority.create().issue("server")


def traced_server(guard: Guard) -> ServerConnection:
    config = ServerConfig(
        identities=[server_identity()],
        tickets=Tickets(),
        early_data=guard,
        clock=CLOCK,
        entropy_for_tests=ServerEntropy(),
    )
    server = ServerConnection(config)
    server.start()
    return server


def test_our_server_takes_the_session_and_the_early_data_of_the_trace() -> None:
    """With the same randomness its ServerHello says the same; extensions stand in an order of its own."""
    guard = Guard()
    server = traced_server(guard)
    server.receive_data(wire("client_hello", "client_early_data"))
    assert list(server.events()) == [EarlyData(EARLY)]
    assert guard.seen == [SECRETS["binder"]]

    answered = bytes(server.data_to_send())
    length = int.from_bytes(answered[3:5])
    ours, theirs = ServerHello.parse(answered[5 : 5 + length]), ServerHello.parse(MESSAGES["server_hello"])
    assert sorted(ours.extension_types) == sorted(theirs.extension_types)
    for name in ("random", "legacy_session_id_echo", "cipher_suite", "version", "key_share", "selected_identity"):
        assert getattr(ours, name) == getattr(theirs, name)

    # From there on its own transcript makes keys of its own, but from the same secrets.
    digest = hashlib.sha256(MESSAGES["client_hello"] + ours.raw).digest()
    handshake = psk_secret().handshake_secret(bytes.fromhex(TRACE["shared_secret"]))
    flight = answered[5 + length :]
    content_type, content = Opener(handshake.server_traffic(digest)).open(flight[:5], memoryview(flight)[5:])
    assert content_type == 22
    extensions = EncryptedExtensions.parse(content[: 4 + int.from_bytes(content[1:4])])
    assert extensions.early_data
    rest = content[len(extensions.raw) :]
    assert Finished.parse(rest).raw == rest, "with a PSK nobody shows a certificate"

    # The end of the trace's early data has the key of the trace still.
    server.receive_data(wire("end_of_early_data"))
    assert list(server.events()) == []
    assert server.awaiting == "Finished"


@pytest.mark.parametrize("bit", [0, 100, 255])
def test_a_binder_with_one_bit_changed_is_refused(bit: int) -> None:
    hello = bytearray(wire("client_hello"))
    hello[-32 + bit // 8] ^= 1 << bit % 8
    server = traced_server(Guard())
    server.receive_data(hello)
    with pytest.raises(PeerMisbehaved) as caught:
        server.next_event()
    assert caught.value.reason is BAD_BINDER
