"""Both sides in memory: every suite with every group and every kind of key, and data both ways."""

from __future__ import annotations

import pytest

from handfast import ApplicationData, PeerClosed
from handfast.insecure import NoVerification
from handfast.testing import pair, pump
from tests.handshake.parties import ALL_GROUPS as GROUPS, SUITES, authority, client_config, identity, server_config

KEYS = {
    "p256": "ecdsa_secp256r1_sha256",
    "p384": "ecdsa_secp384r1_sha384",
    "p521": "ecdsa_secp521r1_sha512",
    "rsa2048": "rsa_pss_rsae_sha256",
    "ed25519": "ed25519",
    "ed448": "ed448",
    "mldsa65": "mldsa65",
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_with_every_group_and_key(suite: str, group: str, key: str) -> None:
    settings = {"cipher_suites": [suite], "groups": [group]}
    client, server = pair(
        client_config(verifier=NoVerification(), **settings), server_config(key, alpn=["h2", "http/1.1"], **settings)
    )
    assert client.handshake is not None
    assert server.handshake is not None
    for facts in (client.handshake, server.handshake):
        assert facts.version == "TLSv1.3"
        assert facts.cipher_suite == suite
        assert facts.group == group
        assert facts.signature_scheme == KEYS[key]
        assert facts.server_name == "localhost"
        assert facts.alpn is None  # the client offers none
        assert facts.resumed is False
    assert client.handshake.peer is not None
    assert client.handshake.peer.chain == identity(key).chain
    assert client.handshake.identity is None
    assert server.handshake.identity is identity(key)
    assert server.handshake.peer is None

    client.send(b"ping")
    server.send(b"pong")
    assert pump(client, server) == ([ApplicationData(b"pong")], [ApplicationData(b"ping")])
    client.close()
    server.close()
    assert pump(client, server) == ([PeerClosed()], [PeerClosed()])


@pytest.mark.parametrize("key", KEYS)
def test_every_kind_of_key_is_verified(key: str) -> None:
    client, _ = pair(client_config(), server_config(key))
    assert client.handshake is not None
    peer = client.handshake.peer
    assert peer is not None
    assert peer.verified_by == "chain"
    assert peer.server_name == "localhost"
    assert peer.path[0] == identity(key).chain[0]


@pytest.mark.parametrize("scheme", ["rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512"])
def test_rsa_signs_with_what_the_client_takes(scheme: str) -> None:
    client, server = pair(client_config(signature_schemes=[scheme]), server_config("rsa2048"))
    assert client.handshake is not None
    assert server.handshake is not None
    assert client.handshake.signature_scheme == server.handshake.signature_scheme == scheme


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "[::1]", "LocalHost."])
def test_names_that_a_user_may_write(name: str) -> None:
    client, server = pair(client_config(), server_config(), server_name=name)
    assert client.handshake is not None
    assert server.handshake is not None
    sent = "localhost" if name[0] in "lL" else None  # an address is no name (RFC 6066 section 3)
    assert server.handshake.server_name == sent
    assert client.handshake.server_name == (sent or name.strip("[]"))


def test_a_chain_with_an_intermediate() -> None:

    below = authority().intermediate()
    who = below.issue("localhost")
    assert len(who.chain) == 2
    client, _ = pair(client_config(), server_config(identities=[who]))
    assert client.handshake is not None
    assert client.handshake.peer is not None
    assert len(client.handshake.peer.path) == 3


def test_data_of_many_records_both_ways() -> None:
    client, server = pair(client_config(), server_config())
    data = bytes(range(256)) * 1000
    client.send(data)
    server.send(memoryview(data))
    client.send(b"")
    at_client, at_server = pump(client, server)
    for events in (at_client, at_server):
        assert b"".join(event.data for event in events if isinstance(event, ApplicationData)) == data
        assert [len(event.data) for event in events if isinstance(event, ApplicationData)][:-1] == [1 << 14] * 15
