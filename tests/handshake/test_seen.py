"""What others see of a handshake: key log, timings, taps; and handshakes repeated byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import Clock, ConfigurationError, MisuseError, reasons
from handfast.config import ASK
from handfast.connection import ClientConnection, ServerConnection
from handfast.testing import EntropyForTests, pair, pump
from tests.handshake.parties import (
    COOKIE_KEY,
    Lines,
    Recorder,
    client_config,
    client_identity,
    fails,
    identity,
    server_config,
    started,
)

LABELS = [
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
    "EXPORTER_SECRET",
]

# --- key log -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suite", "length"), [("TLS_AES_128_GCM_SHA256", 32), ("TLS_AES_256_GCM_SHA384", 48)])
def test_both_sides_log_the_same_secrets(suite: str, length: int) -> None:
    here, there = Lines(), Lines()
    client, server = started({"keylog": here, "cipher_suites": [suite]}, {"keylog": there})
    client_hello = bytes(client.data_to_send())
    server.receive_data(client_hello)
    pump(client, server)
    assert here.lines == there.lines
    assert [label for label, _, _ in here.lines] == LABELS
    assert {client_random for _, client_random, _ in here.lines} == {client_hello[11:43]}
    assert {len(secret) for _, _, secret in here.lines} == {length}
    assert len({secret for _, _, secret in here.lines}) == len(LABELS)


@pytest.mark.parametrize("hash_name", ["SHA256", "SHA384"])
def test_tls_1_2_logs_its_main_secret(hash_name: str) -> None:
    """RFC 9850 section 2.2: one line, from which everything else follows."""
    here, there = Lines(), Lines()
    suite = f"TLS_ECDHE_ECDSA_WITH_AES_{128 if hash_name == 'SHA256' else 256}_GCM_{hash_name}"
    client, server = started({"keylog": here, "cipher_suites": [suite]}, {"keylog": there})
    client_hello = bytes(client.data_to_send())
    server.receive_data(client_hello)
    pump(client, server)
    assert here.lines == there.lines
    ((label, client_random, secret),) = here.lines
    assert (label, client_random, len(secret)) == ("CLIENT_RANDOM", client_hello[11:43], 48)


def test_nothing_is_logged_unless_asked_for() -> None:
    lines = Lines()
    pair(client_config(), server_config(keylog=lines))
    assert len(lines.lines) == len(LABELS)
    pair(client_config(), server_config())
    assert len(lines.lines) == len(LABELS)


# --- timings -------------------------------------------------------------------------------------------------------


def steady(step: float) -> Clock:
    """A clock that goes on by ``step`` at each look."""
    seconds = [0.0]

    def monotonic() -> float:
        seconds[0] += step
        return seconds[0]

    return Clock(monotonic=monotonic)


def test_timings_are_of_the_configured_clock() -> None:
    client, server = pair(client_config(clock=steady(1.0)), server_config(clock=steady(1.0)))
    assert client.handshake is not None
    assert server.handshake is not None
    at_client, at_server = client.handshake.timings, server.handshake.timings
    assert at_client.key_exchange == 2.0  # making the shares, and opening the answer
    assert at_client.certificate_verification == 1.0
    assert at_client.signature == 0.0
    assert at_server.key_exchange == 1.0
    assert at_server.signature == 1.0
    assert at_server.certificate_verification == 0.0
    assert at_client.handshake > at_client.key_exchange + at_client.certificate_verification
    assert at_server.handshake > at_server.key_exchange + at_server.signature


def test_the_time_of_a_client_certificate_is_counted() -> None:
    client, server = pair(
        client_config(clock=steady(1.0), identities=[client_identity()], key_shares=["x25519"]),
        server_config(clock=steady(1.0), groups=["secp256r1"], client_authentication="required"),
    )
    assert client.handshake is not None
    assert server.handshake is not None
    at_client, at_server = client.handshake.timings, server.handshake.timings
    assert at_client.key_exchange == 3.0  # two times shares, and opening the answer
    assert (at_client.certificate_verification, at_client.signature) == (1.0, 1.0)
    assert (at_server.certificate_verification, at_server.signature) == (1.0, 1.0)


def test_timings_of_tls_1_2() -> None:
    client, server = pair(
        client_config(clock=steady(1.0), identities=[client_identity()], max_version="1.2"),
        server_config(clock=steady(1.0), client_authentication="required"),
    )
    assert client.handshake is not None
    assert server.handshake is not None
    at_client, at_server = client.handshake.timings, server.handshake.timings
    assert at_client.key_exchange == 2.0  # no shares before it is known of which group; then both halves in one step
    assert at_server.key_exchange == 2.0  # making the share, and opening the answer
    for timings in (at_client, at_server):
        assert (timings.certificate_verification, timings.signature) == (1.0, 1.0)


def test_a_clock_that_steps_backwards_breaks_nothing() -> None:
    client, server = pair(client_config(clock=steady(-1.0)), server_config(clock=steady(-1.0)))
    client.handle_timeout()
    server.handle_timeout()
    assert not client.failed
    assert not server.failed


def test_a_step_backwards_does_not_end_the_handshake() -> None:
    seconds = [1000.0]
    client, server = started({"clock": Clock(monotonic=lambda: seconds[0]), "handshake_timeout": 10.0})
    seconds[0] = 0.0
    client.handle_timeout()
    pump(client, server)
    assert client.handshake is not None


# --- taps ----------------------------------------------------------------------------------------------------------


def test_a_tap_sees_the_figure() -> None:
    here, there = Recorder(), Recorder()
    client, server = pair(client_config(), server_config(), client_tap=here, server_tap=there)
    assert (client.tap, server.tap) == (here, there)
    client.close()
    pump(client, server)
    assert here.story == [
        ("sent", "ClientHello", False),
        ("received", "ServerHello", False),
        ("sent", "ChangeCipherSpec", False),
        ("received", "ChangeCipherSpec", False),
        ("received", "EncryptedExtensions", True),
        ("received", "Certificate", True),
        ("received", "CertificateVerify", True),
        ("received", "Finished", True),
        ("sent", "Finished", True),
        ("sent", "Alert", True),
    ]
    other = {"sent": "received", "received": "sent"}
    assert [(name, encrypted) for way, name, encrypted in there.story if way == "received"] == [
        ("ClientHello", False),
        ("ChangeCipherSpec", False),
        ("Finished", True),
        ("Alert", True),
    ]
    sent_by_server = [(other[way], name, encrypted) for way, name, encrypted in there.story if way == "sent"]
    seen_by_client = [line for line in here.story if line[0] == "received"]
    assert sent_by_server == seen_by_client


def test_a_tap_sees_a_retry_and_a_client_certificate() -> None:
    """Figure 2 of RFC 9846 section 2.1, with a client that says who it is: one change_cipher_spec each, all the same."""
    here, there = Recorder(), Recorder()
    pair(
        client_config(identities=[client_identity()], key_shares=["x25519"]),
        server_config(groups=["secp256r1"], client_authentication="required"),
        client_tap=here,
        server_tap=there,
    )
    assert there.story == [
        ("received", "ClientHello", False),
        ("sent", "ServerHello", False),  # HelloRetryRequest
        ("sent", "ChangeCipherSpec", False),
        ("received", "ChangeCipherSpec", False),
        ("received", "ClientHello", False),
        ("sent", "ServerHello", False),
        ("sent", "EncryptedExtensions", True),
        ("sent", "CertificateRequest", True),
        ("sent", "Certificate", True),
        ("sent", "CertificateVerify", True),
        ("sent", "Finished", True),
        ("received", "Certificate", True),
        ("received", "CertificateVerify", True),
        ("received", "Finished", True),
    ]
    retries = [message.is_retry_request for _, message, _ in there.messages if message.NAME == "ServerHello"]
    assert retries == [True, False]
    other = {"sent": "received", "received": "sent"}
    assert sorted(here.story) == sorted((other[way], name, encrypted) for way, name, encrypted in there.story)


@pytest.mark.parametrize("asked", [False, True], ids=["no request", "client certificate"])
def test_a_tap_sees_the_figure_of_tls_1_2(asked: bool) -> None:
    """Figure 1 of RFC 5246 section 7.3, where ChangeCipherSpec says where encryption begins."""
    here, there = Recorder(), Recorder()
    client, server = pair(
        client_config(max_version="1.2", identities=[client_identity()]),
        server_config(client_authentication="required" if asked else "none"),
        client_tap=here,
        server_tap=there,
    )
    client.close()
    pump(client, server)
    expected = [
        ("sent", "ClientHello", False),
        ("received", "ServerHello", False),
        ("received", "Certificate", False),
        ("received", "ServerKeyExchange", False),
        *([("received", "CertificateRequest", False)] if asked else []),
        ("received", "ServerHelloDone", False),
        *([("sent", "Certificate", False)] if asked else []),
        ("sent", "ClientKeyExchange", False),
        *([("sent", "CertificateVerify", False)] if asked else []),
        ("sent", "ChangeCipherSpec", False),
        ("sent", "Finished", True),
        ("received", "ChangeCipherSpec", False),
        ("received", "Finished", True),
        ("sent", "Alert", True),
    ]
    other = {"sent": "received", "received": "sent"}
    assert here.story == expected
    assert there.story == [(other[way], name, encrypted) for way, name, encrypted in expected]
    for tap in (here, there):
        changes = [message.changes_keys for _, message, _ in tap.messages if message.NAME == "ChangeCipherSpec"]
        assert changes == [True, True]


def test_a_change_cipher_spec_of_tls_1_3_changes_nothing() -> None:
    here, there = Recorder(), Recorder()
    pair(client_config(), server_config(), client_tap=here, server_tap=there)
    for tap in (here, there):
        changes = [message.changes_keys for _, message, _ in tap.messages if message.NAME == "ChangeCipherSpec"]
        assert changes == [False, False]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_tap_sees_the_same_records_on_both_sides(version: str) -> None:
    here, there = Recorder(), Recorder()
    client, server = pair(client_config(max_version=version), server_config(), client_tap=here, server_tap=there)
    client.send(bytes(20_000))
    server.close()
    pump(client, server)
    assert [line[1:] for line in here.records if line[0]] == [line[1:] for line in there.records if not line[0]]
    assert [line[1:] for line in there.records if line[0]] == [line[1:] for line in here.records if not line[0]]
    overhead = {"1.2": 8 + 16, "1.3": 1 + 16}[version]  # half a nonce, or the content type; and the tag
    assert (True, 23, 16_384 + overhead, True) in here.records


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_message_keeps_its_bytes(version: str) -> None:
    here, there = Recorder(), Recorder()
    pair(client_config(max_version=version), server_config(), client_tap=here, server_tap=there)
    sent = [message.raw for way, message, _ in there.messages if way and hasattr(message, "raw")]
    received = [message.raw for way, message, _ in here.messages if not way and hasattr(message, "raw")]
    assert sent == received
    assert sent.count(b"\1") == 1  # ChangeCipherSpec, which is no handshake message
    assert all(int.from_bytes(raw[1:4]) == len(raw) - 4 for raw in sent if raw != b"\1")


# --- repeated handshakes -------------------------------------------------------------------------------------------


def transcript(seed: object, group: str, key: str = "ed25519", version: str = "1.3") -> tuple[bytes, bytes]:
    """All the bytes of a handshake, some data and the end."""
    entropy = EntropyForTests(f"client {seed}")
    client = ClientConnection(
        client_config(groups=[group], max_version=version, entropy_for_tests=entropy), server_name="localhost"
    )
    server = ServerConnection(server_config(key, entropy_for_tests=EntropyForTests(f"server {seed}")))
    client.start()
    server.start()
    said = [b"", b""]

    def carry() -> None:
        for index, (here, there) in enumerate(((client, server), (server, client))):
            data = bytes(here.data_to_send())
            said[index] += data
            there.receive_data(data)
            list(there.events())

    carry()
    carry()
    client.send(b"ping")
    server.send(b"pong")
    client.close()
    server.close()
    carry()
    return said[0], said[1]


@pytest.mark.parametrize("group", ["x25519", "secp256r1", "secp384r1"])
@pytest.mark.parametrize("key", ["ed25519", "ed448"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_handshake_can_be_repeated_byte_for_byte(group: str, key: str, version: str) -> None:
    first = transcript(1, group, key, version)
    assert transcript(1, group, key, version) == first
    assert transcript(2, group, key, version) != first


def test_a_handshake_with_a_retry_and_a_client_certificate_can_be_repeated() -> None:
    def said(seed: int) -> list[bytes]:
        client, server = started(
            {
                "identities": [client_identity("ed25519")],
                "key_shares": ["x25519"],
                "entropy_for_tests": EntropyForTests(f"client {seed}"),
            },
            {
                "identities": [identity("ed25519")],
                "groups": ["secp256r1"],
                "client_authentication": "required",
                "cookie_key": COOKIE_KEY,
                "entropy_for_tests": EntropyForTests(f"server {seed}"),
            },
        )
        flights = []
        for here, there in ((client, server), (server, client)) * 3:
            flights.append(bytes(here.data_to_send()))
            there.receive_data(flights[-1])
            list(there.events())
        assert client.handshake is not None
        assert server.handshake is not None
        return flights

    first = said(1)
    assert [len(flight) > 0 for flight in first] == [True] * 5 + [False]
    assert said(1) == first
    assert said(2) != first


def test_a_clients_hybrid_share_can_be_repeated() -> None:
    hellos = []
    for _ in range(2):
        client, _ = started({"entropy_for_tests": EntropyForTests(b"seed")})
        hellos.append(bytes(client.data_to_send()))
    assert hellos[0] == hellos[1]


def test_a_repeated_hybrid_share_agrees_with_a_server() -> None:
    entropy = EntropyForTests(3)
    client, _ = pair(client_config(entropy_for_tests=entropy, groups=["X25519MLKEM768"]), server_config())
    assert client.handshake is not None
    assert client.handshake.group == "X25519MLKEM768"
    assert repr(entropy) == "<EntropyForTests: not random>"


def test_a_servers_hybrid_share_cannot_be_repeated() -> None:
    client, server = started(server={"entropy_for_tests": EntropyForTests()})
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        pump(client, server)
    assert caught.value.evidence["setting"] == "entropy_for_tests"


def test_entropy_for_tests_does_not_show_in_a_repr() -> None:
    assert "Entropy" not in repr(client_config(entropy_for_tests=EntropyForTests()))


# --- pairs ---------------------------------------------------------------------------------------------------------


def test_a_pair_with_an_open_question_is_a_misuse() -> None:
    with fails(MisuseError, reasons.MISUSE):
        pair(client_config(verifier=ASK), server_config())


def test_pump_hands_out_open_questions() -> None:
    client, server = started({"verifier": ASK})
    at_client, at_server = pump(client, server)
    assert [type(event).__name__ for event in at_client] == ["VerifyPeer"]
    assert at_server == []


def test_each_connection_chooses_anew() -> None:
    seen: list[Any] = []
    config = server_config(choose_identity=lambda hello: seen.append(hello) or identity())
    pair(client_config(), config)
    pair(client_config(), config)
    assert len(seen) == 2
