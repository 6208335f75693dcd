"""Keys for other protocols: the same on both sides of a connection, and on no other (RFC 9846 section 7.5)."""

from __future__ import annotations

import hashlib
from itertools import product
from typing import Any

import pytest

from handfast import reasons
from handfast.errors import MisuseError
from handfast.testing import pair, pump
from tests.handshake.parties import (
    ALL_SUITES,
    COOKIE_KEY,
    client_config,
    client_identity,
    fails,
    server_config,
    started,
)

LABEL = "EXPERIMENTAL test"


def connected(server: dict[str, Any] | None = None, **both: Any) -> Any:
    client = client_config(identities=[client_identity()], **both)
    return pair(client, server_config(**server or {}, **both))


@pytest.mark.parametrize("suite", ALL_SUITES)
def test_both_sides_have_the_same(suite: str) -> None:
    client, server = connected(cipher_suites=[suite])
    for length, context in product((1, 16, 32, 48, 49, 255 * 32), (None, b"", b"context", bytes(70_000))):
        exported = client.export_keying_material(LABEL, length, context)
        assert len(exported) == length
        assert exported == server.export_keying_material(LABEL, length, context)
        assert exported == client.export_keying_material(LABEL, length, context)


def test_anything_else_is_another_key() -> None:
    client, server = connected()
    other_client, _ = connected()
    found = [
        client.export_keying_material(LABEL, 32),
        client.export_keying_material(LABEL + "s", 32),
        client.export_keying_material(LABEL, 32, b"a"),
        client.export_keying_material(LABEL, 32, b"b"),
        client.export_keying_material(LABEL, 33)[:32],  # the length is in the label
        client.channel_binding(),
        other_client.export_keying_material(LABEL, 32),
    ]
    assert len(set(found)) == len(found)
    assert client.export_keying_material(LABEL, 32, b"") == found[0]
    assert server.channel_binding() == client.channel_binding()


@pytest.mark.parametrize("suite", ALL_SUITES)
@pytest.mark.parametrize("retry", [{}, {"retry": "always", "cookie_key": COOKIE_KEY}], ids=["no retry", "retry"])
@pytest.mark.parametrize("asked", ["none", "required"])
def test_after_any_handshake(suite: str, retry: dict[str, Any], asked: str) -> None:
    client, server = connected({"client_authentication": asked, **retry}, cipher_suites=[suite])
    assert client.export_keying_material(LABEL, 32) == server.export_keying_material(LABEL, 32)


def test_the_channel_binding_is_the_exporter_of_rfc_9266() -> None:
    client, server = connected()
    binding = client.channel_binding()
    assert len(binding) == 32
    assert binding == server.export_keying_material("EXPORTER-Channel-Binding", 32, b"")
    assert binding == server.channel_binding("tls-exporter")


@pytest.mark.parametrize("kind", ["tls-unique", "", "TLS-EXPORTER"])
def test_there_is_no_other_channel_binding(kind: str) -> None:
    client, _ = connected()
    with fails(MisuseError, reasons.MISUSE):
        client.channel_binding(kind)


def test_a_key_update_changes_nothing() -> None:
    client, server = connected()
    before = client.export_keying_material(LABEL, 32)
    client.update_keys(request_peer=True)
    server.send(b"data")
    pump(client, server)
    assert client.export_keying_material(LABEL, 32) == server.export_keying_material(LABEL, 32) == before


def test_after_the_end_of_what_is_sent() -> None:
    client, server = connected()
    client.close()
    pump(client, server)
    assert client.channel_binding() == server.channel_binding()


def test_not_before_the_handshake_is_complete() -> None:
    """A server has the secret early, when it does not know yet who listens."""
    client, server = started()
    for side in (client, server):
        with fails(MisuseError, reasons.MISUSE):
            side.export_keying_material(LABEL, 32)
    server.receive_data(client.data_to_send())
    list(server.events())
    with fails(MisuseError, reasons.MISUSE):
        server.channel_binding()
    assert not server.failed
    pump(client, server)
    assert client.channel_binding() == server.channel_binding()


@pytest.mark.parametrize(
    ("label", "length"),
    [("", 32), ("x" * 250, 32), ("\xe4", 32), (LABEL, 0), (LABEL, -1), (LABEL, 255 * 32 + 1)],
)
def test_what_cannot_be_exported(label: str, length: int) -> None:
    client, _ = connected()
    with fails(MisuseError, reasons.MISUSE):
        client.export_keying_material(label, length)
    assert not client.failed


def test_the_longest_label() -> None:
    client, server = connected()
    assert client.export_keying_material("x" * 249, 1) == server.export_keying_material("x" * 249, 1)


# --- TLS 1.2 (RFC 5705) --------------------------------------------------------------------------------------------

ONLY_12: dict[str, Any] = {"max_version": "1.2"}


@pytest.mark.parametrize(
    "suite", ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
)
@pytest.mark.parametrize("asked", ["none", "required"])
def test_in_tls_1_2_both_sides_have_the_same(suite: str, asked: str) -> None:
    client, server = connected({"client_authentication": asked}, cipher_suites=[suite])
    for length, context in product((1, 32, 49, 1 << 16), (None, b"", b"context", bytes(65_535))):
        exported = client.export_keying_material(LABEL, length, context)
        assert len(exported) == length
        assert exported == server.export_keying_material(LABEL, length, context)


def test_in_tls_1_2_no_context_is_not_an_empty_one() -> None:
    client, _ = connected(**ONLY_12)
    found = [client.export_keying_material(LABEL, 32, context) for context in (None, b"", b"\0", b"\0\0")]
    assert len(set(found)) == len(found)
    other, _ = connected(**ONLY_12)
    assert other.export_keying_material(LABEL, 32) != found[0]
    assert client.export_keying_material(LABEL, 48)[:32] == found[0]  # the PRF is a stream


@pytest.mark.parametrize(
    "label", ["client finished", "server finished", "master secret", "extended master secret", "key expansion"]
)
def test_in_tls_1_2_the_protocol_s_own_labels_export_nothing(label: str) -> None:
    client, _ = connected(**ONLY_12)
    with fails(MisuseError, reasons.MISUSE):
        client.export_keying_material(label, 32)


def test_in_tls_1_2_a_context_has_two_bytes_of_length() -> None:
    client, _ = connected(**ONLY_12)
    with fails(MisuseError, reasons.MISUSE):
        client.export_keying_material(LABEL, 32, bytes(65_536))
    assert not client.failed


@pytest.mark.parametrize(("kind", "length"), [("tls-unique", 12), ("tls-exporter", 32), ("tls-server-end-point", 32)])
def test_channel_bindings_of_tls_1_2(kind: str, length: int) -> None:
    client, server = connected({"client_authentication": "required"}, **ONLY_12)
    assert client.channel_binding(kind) == server.channel_binding(kind)
    assert len(client.channel_binding(kind)) == length
    other, _ = connected(**ONLY_12)
    assert (other.channel_binding(kind) == client.channel_binding(kind)) == (kind == "tls-server-end-point")


def test_the_end_point_is_a_hash_of_the_server_s_certificate_in_both_versions() -> None:
    for settings in ({}, ONLY_12):
        client, server = connected(**settings)
        digest = hashlib.sha256(client.handshake.peer.chain[0]).digest()
        assert (
            client.channel_binding("tls-server-end-point") == server.channel_binding("tls-server-end-point") == digest
        )
