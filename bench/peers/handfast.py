"""handfast's connections, as any application that brings its own transport drives them."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding

import handfast
from bench.credentials import SERVER_NAME, Credentials
from bench.peers import X25519, Task
from bench.streams import Library
from handfast import ApplicationData, ClientConfig, ClientConnection, HandshakeCompleted, ServerConfig, ServerConnection
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemorySessions
from handfast.transport import ssl_module

SUITE = "TLS_AES_256_GCM_SHA384"
SUITES_12 = ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")


def handshake(
    credentials: Credentials, group: str, *, mutual: bool = False, again: bool = False, tls12: bool = False
) -> Task:
    configs = _configs(credentials, group, mutual=mutual, again=again, tls12=tls12)
    client, _ = _shake_hands(*configs)
    agreed = client.handshake
    assert agreed is not None
    assert agreed.cipher_suite in (SUITES_12 if tls12 else (SUITE,))
    assert agreed.group.lower() == group.lower()
    assert agreed.peer is not None
    assert agreed.peer.verified_by == "chain"
    assert (agreed.identity is not None) is mutual
    return Task(lambda: _shake_hands(*configs))


def resumption(credentials: Credentials, *, tls12: bool = False) -> Task:
    """With a fresh ticket in each handshake, sealed by a TicketKeyRing; in TLS 1.2 too, which OpenSSL does not."""
    client, server = _configs(credentials, X25519, tls12=tls12)
    configs = (
        replace(client, sessions=MemorySessions(per_server=1)),
        replace(server, tickets=TicketKeyRing(), ticket_count=1),  # as OpenSSL, where a session is resumed
    )
    _come_back(*configs)
    agreed = _come_back(*configs).handshake
    assert agreed is not None
    assert agreed.resumed
    assert agreed.cipher_suite in (SUITES_12 if tls12 else (SUITE,))
    assert agreed.peer is not None
    return Task(lambda: _come_back(*configs))


def verification(chains: Sequence[Credentials]) -> Task:
    """By a verifier that remembers no verdict; what certificates say is remembered, as it is in any process."""
    verifier = ChainVerifier(TrustStore.from_bytes(chains[0].root_pem), remember=0)
    sent = [tuple(each.public_bytes(Encoding.DER) for each in (item.leaf, *item.between)) for item in chains]

    def run() -> None:
        now = datetime.now(UTC)
        for chain in sent:
            verifier.verify_server(chain, SERVER_NAME, now)

    return Task(run, len(sent))


def contexts(credentials: Credentials) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For the client and for the server."""
    client = ssl_module.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and name
    client.load_verify_locations(cadata=credentials.root_pem.decode("ascii"))
    client.handfast = ClientConfig(groups=(X25519,), cipher_suites=(SUITE,))
    server = ssl_module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity = handfast.Identity([credentials.leaf.public_bytes(Encoding.DER)], credentials.key)
    server.handfast = ServerConfig(identities=[identity], groups=(X25519,), cipher_suites=(SUITE,))
    for context in (client, server):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    return client, server


def streams(credentials: Credentials) -> Library:
    client, server = _configs(credentials, X25519, again=True)
    return Library(
        lambda port: handfast.aio.open_connection("127.0.0.1", port, config=client, server_name=SERVER_NAME),
        lambda handler: handfast.aio.start_server(handler, "127.0.0.1", 0, config=server),
    )


def bulk(credentials: Credentials, total: int, write: int) -> Task:
    client, server = _shake_hands(*_configs(credentials, X25519))
    data = bytes(write)
    send, taken = client.send, client.data_to_send
    feed, next_event = server.receive_data, server.next_event

    def run() -> None:
        for _ in range(total // write):
            send(data)
            feed(taken())
            left = write
            while left:
                event = next_event()
                assert isinstance(event, ApplicationData)
                left -= len(event.data)

    return Task(run, total)


def records(credentials: Credentials, count: int, size: int) -> Task:
    task = bulk(credentials, count * size, size)
    return Task(task.run, count)


def _configs(
    credentials: Credentials, group: str, *, mutual: bool = False, again: bool = False, tls12: bool = False
) -> tuple[ClientConfig, ServerConfig]:
    trust = handfast.TrustStore.from_bytes(credentials.root_pem)
    identity = handfast.Identity([credentials.leaf.public_bytes(Encoding.DER)], credentials.key)
    suites = SUITES_12 if tls12 else (SUITE,)
    groups = (group, "secp256r1") if tls12 else (group,)  # in TLS 1.2 it is also the list of the certificates' curves
    verifier = handfast.ChainVerifier(trust) if again else handfast.ChainVerifier(trust, remember=0)
    return (
        ClientConfig(verifier=verifier, groups=groups, cipher_suites=suites, identities=[identity] if mutual else ()),
        ServerConfig(
            identities=[identity],
            groups=groups,
            cipher_suites=suites,
            client_authentication="required" if mutual else "none",
            client_verifier=verifier,
        ),
    )


def _shake_hands(client_config: ClientConfig, server_config: ServerConfig) -> tuple[ClientConnection, ServerConnection]:
    client, server = ClientConnection(client_config, server_name=SERVER_NAME), ServerConnection(server_config)
    client.start()
    server.start()
    server.receive_data(client.data_to_send())
    assert server.next_event() is None
    client.receive_data(server.data_to_send())
    done = client.next_event()
    server.receive_data(client.data_to_send())
    assert isinstance(server.next_event(), HandshakeCompleted)
    if done is None:  # in TLS 1.2 the server finishes last
        client.receive_data(server.data_to_send())
        done = client.next_event()
    assert isinstance(done, HandshakeCompleted)
    return client, server


def _come_back(client_config: ClientConfig, server_config: ServerConfig) -> ClientConnection:
    """Two rounds: the last flight of the server has the ticket, where it has not come before."""
    client, server = ClientConnection(client_config, server_name=SERVER_NAME), ServerConnection(server_config)
    client.start()
    server.start()
    for _ in range(2):
        server.receive_data(client.data_to_send())
        list(server.events())
        client.receive_data(server.data_to_send())
        list(client.events())
    return client
