"""Keys of a connection that is established: changed, exported, and bound to (RFC 9846 sections 4.7.3 and 7.5)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from handfast import ApplicationData, MisuseError, PeerClosed, reasons
from handfast.connection import Connection
from handfast.crypto.schedule12 import Exporter12
from handfast.crypto.schedule13 import Exporter
from handfast.crypto.suites import SUITES, SUITES_12
from handfast.errors import BadRecord, PeerMisbehaved
from handfast.testing import pair, pump
from handfast.wire.codepoints import CipherSuite
from tests.handshake.parties import SUITES as SUITE_NAMES
from tests.handshake.parties import Lines, Recorder, client_config, fails, identity, server_config, started

VERSIONS = ("1.2", "1.3")
each_version = pytest.mark.parametrize("version", VERSIONS)


def shaken(version: str = "1.3", key: str = "p256", **taps: Any) -> tuple[Connection, Connection]:
    return pair(client_config(max_version=version), server_config(key), **taps)


def updates(tap: Recorder) -> list[tuple[bool, bool]]:
    """The KeyUpdates that a tap has seen: whether sent, and whether they ask for an answer."""
    return [(sent, message.update_requested) for sent, message, _ in tap.messages if message.NAME == "KeyUpdate"]


BEFORE: list[tuple[str, Callable[[Connection], Any]]] = [
    ("update_keys", lambda connection: connection.update_keys()),
    ("export_keying_material", lambda connection: connection.export_keying_material("EXPERIMENTAL x", 32)),
    ("channel_binding", lambda connection: connection.channel_binding()),
    ("tls-server-end-point", lambda connection: connection.channel_binding("tls-server-end-point")),
]
each_call = pytest.mark.parametrize("call", [call for _, call in BEFORE], ids=[name for name, _ in BEFORE])


# --- keys that are changed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", ["client", "server"])
def test_keys_can_be_changed_at_any_time(sender: str) -> None:
    here_tap, there_tap = Recorder(), Recorder()
    client, server = shaken(client_tap=here_tap, server_tap=there_tap)
    here, there = (client, server) if sender == "client" else (server, client)
    if sender == "server":
        here_tap, there_tap = there_tap, here_tap
    before = here._layer._sealer
    here.update_keys()
    assert here._layer._sealer is not before
    here.send(b"data")
    events = pump(client, server)
    assert events[1 if sender == "client" else 0] == [ApplicationData(b"data")]
    assert updates(here_tap) == [(True, False)]
    assert updates(there_tap) == [(False, False)]
    there.send(b"answer")
    events = pump(client, server)
    assert events[0 if sender == "client" else 1] == [ApplicationData(b"answer")]
    assert updates(there_tap) == [(False, False)]  # nothing is owed


def test_the_peer_can_be_asked_to_change_its_key_too() -> None:
    here_tap, there_tap = Recorder(), Recorder()
    client, server = shaken(client_tap=here_tap, server_tap=there_tap)
    client.update_keys(request_peer=True)
    client.update_keys(request_peer=True)
    pump(client, server)
    assert not server.has_data_to_send  # it answers before it sends data, and not for nothing
    assert updates(here_tap) == [(True, True), (True, False)]
    server.send(b"data")
    events, _ = pump(client, server)
    assert events == [ApplicationData(b"data")]
    assert updates(there_tap) == [(False, True), (False, False), (True, False)]
    assert [encrypted for _, message, encrypted in there_tap.messages if message.NAME == "KeyUpdate"] == [True] * 3


def test_updates_without_a_tap() -> None:
    client, server = shaken()
    for _ in range(5):
        client.update_keys(request_peer=True)
        server.update_keys(request_peer=True)
        client.send(b"a")
        server.send(b"b")
        assert pump(client, server) == ([ApplicationData(b"b")], [ApplicationData(b"a")])


def test_a_record_of_the_generation_before_is_refused() -> None:
    client, server = shaken()
    client.send(b"before")
    replayed = bytes(client.data_to_send())
    server.receive_data(replayed)
    client.update_keys()
    pump(client, server)
    server.receive_data(replayed)
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        server.next_event()


def test_keys_are_not_changed_after_close() -> None:
    client, server = shaken()
    client.close()
    with fails(MisuseError, reasons.MISUSE) as caught:
        client.update_keys()
    assert caught.value.evidence == {"problem": "the connection is closed"}
    pump(client, server)
    server.update_keys()  # its own direction is open still
    server.send(b"late")
    assert pump(client, server) == ([ApplicationData(b"late")], [])


def test_threads_that_write_while_keys_change() -> None:
    """Four threads send and one changes keys: the KeyUpdates stand where the keys change, whoever sends next."""
    client, server = shaken()
    sent = 200

    def write() -> None:
        for _ in range(sent):
            client.send(b"x")

    def change() -> None:
        for _ in range(20):
            client.update_keys(request_peer=True)

    threads = [threading.Thread(target=work) for work in (write, write, change, write, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _, events = pump(client, server)
    assert [event for event in events if isinstance(event, ApplicationData)] == [ApplicationData(b"x")] * (4 * sent)


def test_tls_1_2_has_no_way_to_change_keys() -> None:
    client, server = shaken("1.2")
    for connection in (client, server):
        with fails(MisuseError, reasons.MISUSE) as caught:
            connection.update_keys()
        assert caught.value.evidence == {"problem": "TLSv1.2 has no KeyUpdate"}
    client.send(b"data")
    assert pump(client, server) == ([], [ApplicationData(b"data")])  # nothing else has happened


# --- keys for other protocols --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITE_NAMES)
def test_both_sides_export_the_same(suite: str) -> None:
    lines = Lines()
    client, server = pair(client_config(cipher_suites=[suite], keylog=lines), server_config())
    number = CipherSuite.value(suite)
    assert number is not None
    exporter = Exporter(SUITES[number], next(secret for label, _, secret in lines.lines if label == "EXPORTER_SECRET"))
    for label, length, context in (("EXPERIMENTAL a", 32, None), ("EXPERIMENTAL b", 1000, b"context"), ("x", 1, b"")):
        exported = client.export_keying_material(label, length, context)
        assert exported == server.export_keying_material(label, length, context)
        assert exported == exporter.export(label.encode(), context or b"", length)
        assert len(exported) == length


def test_no_context_is_an_empty_one() -> None:
    """RFC 9846 section 7.5; it was not so in TLS 1.2."""
    client, _ = shaken()
    assert client.export_keying_material("x", 32) == client.export_keying_material("x", 32, b"")
    assert client.export_keying_material("x", 32) != client.export_keying_material("x", 32, b"\0")


@pytest.mark.parametrize(
    "suite", ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
)
def test_both_sides_export_the_same_in_tls_1_2(suite: str) -> None:
    lines, tap = Lines(), Recorder()
    client, server = pair(
        client_config(cipher_suites=[suite], max_version="1.2", keylog=lines), server_config(), client_tap=tap
    )
    number = CipherSuite.value(suite)
    assert number is not None
    ((label, client_random, secret),) = lines.lines
    assert (label, len(secret)) == ("CLIENT_RANDOM", 48)
    server_random = next(message.random for _, message, _ in tap.messages if message.NAME == "ServerHello")
    exporter = Exporter12(SUITES_12[number], secret, (client_random, server_random))
    for name, length, context in (("EXPERIMENTAL a", 32, None), ("EXPERIMENTAL b", 1000, b"context"), ("x", 1, b"")):
        exported = client.export_keying_material(name, length, context)
        assert exported == server.export_keying_material(name, length, context)
        assert exported == exporter.export(name.encode(), context, length)
        assert len(exported) == length


def test_no_context_is_not_an_empty_one_in_tls_1_2() -> None:
    """RFC 5705 section 4."""
    client, _ = shaken("1.2")
    found = {client.export_keying_material("x", 32, context) for context in (None, b"", b"\0")}
    assert len(found) == 3


@pytest.mark.parametrize(
    "label", ["client finished", "server finished", "master secret", "extended master secret", "key expansion"]
)
def test_labels_that_the_protocol_uses_itself(label: str) -> None:
    """RFC 5705 section 4. TLS 1.3 derives its own keys from other secrets."""
    client, server = shaken("1.2")
    for connection in (client, server):
        with fails(MisuseError, reasons.MISUSE) as caught:
            connection.export_keying_material(label, 32)
        assert caught.value.evidence == {"problem": f"the protocol itself uses the label {label!r}"}
    assert shaken("1.3")[0].export_keying_material(label, 32)


def test_a_context_that_is_too_long() -> None:
    """In TLS 1.2 its length has two bytes (RFC 5705 section 4), in TLS 1.3 it is hashed."""
    client, _ = shaken("1.2")
    assert client.export_keying_material("x", 32, bytes(65_535))
    with fails(MisuseError, reasons.MISUSE):
        client.export_keying_material("x", 32, bytes(65_536))
    assert shaken("1.3")[0].export_keying_material("x", 32, bytes(65_536))


@each_version
@pytest.mark.parametrize("kind", ["tls-exporter", "tls-unique"])
def test_each_connection_exports_something_else(version: str, kind: str) -> None:
    if (version, kind) != ("1.3", "tls-unique"):
        assert len({shaken(version)[0].channel_binding(kind) for _ in range(3)}) == 3


@each_version
def test_what_is_exported_outlives_keys_but_not_both_sides_close(version: str) -> None:
    """In TLS 1.2 an export takes the main secret, which opens the whole connection: it goes as early as it can."""
    client, server = shaken(version)
    before = client.channel_binding()
    if version == "1.3":
        client.update_keys(request_peer=True)
        pump(client, server)
    client.close()
    assert pump(client, server) == ([], [PeerClosed()])
    assert client.channel_binding() == server.channel_binding() == before
    server.close()
    assert pump(client, server) == ([PeerClosed()], [])
    for side in (client, server):
        with pytest.raises(MisuseError, match="the connection is closed"):
            side.export_keying_material("EXPERIMENTAL", 16)
        with pytest.raises(MisuseError, match="the connection is closed"):
            side.channel_binding("tls-server-end-point")


@each_version
def test_the_channel_binding(version: str) -> None:
    """RFC 9266 section 4.2: the exporter with this label, no context, 32 bytes."""
    client, server = shaken(version)
    binding = client.channel_binding()
    assert binding == client.channel_binding("tls-exporter") == server.channel_binding()
    assert binding == client.export_keying_material("EXPORTER-Channel-Binding", 32)
    assert len(binding) == 32


@each_version
@pytest.mark.parametrize("key", ["p256", "ed25519", "rsa2048"])
def test_the_channel_binding_to_the_server_s_certificate(version: str, key: str) -> None:
    """RFC 5929 section 4.1: a hash of the certificate, the same in every connection."""
    client, server = shaken(version, key)
    binding = hashlib.sha256(identity(key).chain[0]).digest()
    assert client.channel_binding("tls-server-end-point") == server.channel_binding("tls-server-end-point") == binding


def test_the_channel_binding_to_the_first_finished() -> None:
    """RFC 5929 section 3.1: of a full handshake in TLS 1.2 that is the client's."""
    tap = Recorder()
    client, server = shaken("1.2", server_tap=tap)
    first = next(message for _, message, _ in tap.messages if message.NAME == "Finished")
    assert client.channel_binding("tls-unique") == server.channel_binding("tls-unique") == first.verify_data
    assert len(first.verify_data) == 12


@pytest.mark.parametrize(("version", "kind"), [("1.3", "tls-unique"), *product(VERSIONS, ("", "TLS-UNIQUE", "a\nb"))])
def test_a_channel_binding_that_there_is_not(version: str, kind: str) -> None:
    client, _ = shaken(version)
    with fails(MisuseError, reasons.MISUSE) as caught:
        client.channel_binding(kind)
    assert f"in TLSv{version}" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("label", ["", "x" * 250, "ümlaut", "\u2028"])
def test_a_label_that_cannot_be(label: str) -> None:
    client, _ = shaken()
    with fails(MisuseError, reasons.MISUSE) as caught:
        client.export_keying_material(label, 32)
    assert caught.value.evidence == {"problem": "an exporter's label has 1 to 249 ASCII characters"}
    assert client.export_keying_material("x" * 249, 32)  # as long as it may be


@pytest.mark.parametrize(
    ("suite", "most"),
    [
        ("TLS_AES_128_GCM_SHA256", 255 * 32),
        ("TLS_AES_256_GCM_SHA384", 255 * 48),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 65_536),  # a PRF that never ends: the limit is ours
    ],
)
def test_a_length_that_cannot_be(suite: str, most: int) -> None:
    client, _ = pair(client_config(cipher_suites=[suite]), server_config())
    for length in (0, -1, most + 1):
        with fails(MisuseError, reasons.MISUSE) as caught:
            client.export_keying_material("x", length)
        assert caught.value.evidence == {"problem": f"1 to {most} bytes can be exported"}
    assert len(client.export_keying_material("x", most)) == most


# --- before the handshake, and after a failure ---------------------------------------------------------------------


@each_call
def test_not_before_the_handshake_is_complete(call: Callable[[Connection], Any]) -> None:
    client, server = started()
    for connection in (client, server):
        with fails(MisuseError, reasons.MISUSE) as caught:
            call(connection)
        assert caught.value.evidence == {"problem": "the handshake is not complete"}
    server.receive_data(client.data_to_send())
    assert server.next_event() is None
    with fails(MisuseError, reasons.MISUSE):  # it has keys to send with already, and knows nothing of the client
        call(server)
    pump(client, server)
    call(client)
    call(server)


@each_call
def test_not_after_a_failure(call: Callable[[Connection], Any]) -> None:
    client, server = shaken()
    server._layer.write(22, b"\x02\0\0\0")  # a ServerHello after the handshake
    with pytest.raises(PeerMisbehaved):
        pump(client, server)
    with fails(PeerMisbehaved, reasons.UNEXPECTED_MESSAGE):
        call(client)
    assert client._established is None  # what nobody can export from any more is let go


@each_call
def test_not_from_a_connection_that_was_closed_before(call: Callable[[Connection], Any]) -> None:
    client, _ = started()
    client.close()
    with fails(MisuseError, reasons.MISUSE):
        call(client)
