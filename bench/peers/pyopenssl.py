"""pyOpenSSL, over the OpenSSL 4 that comes with `cryptography`: Connection with its memory BIOs.

It has no call for two things, which are set in OpenSSL through its binding: the group, and the name to verify.
The number of tickets cannot be set at all: the server makes two. With OP_NO_TICKET they are only identifiers, which
costs `ssl`, where it can be measured, 3 % of a handshake. They are not carried to the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from bench.credentials import SERVER_NAME, Credentials
from bench.peers import X25519, Task, Unavailable

SUITE = "TLS_AES_256_GCM_SHA384"
SUITES_12 = b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
RECORD = 1 << 14
FLIGHT = 1 << 16

_binding: Any = SSL._lib  # type: ignore[attr-defined]


def handshake(
    credentials: Credentials, group: str, *, mutual: bool = False, again: bool = False, tls12: bool = False
) -> Task:
    contexts = _contexts(credentials, group, mutual=mutual, tls12=tls12)
    client, _ = _shake_hands(*contexts, tls12=tls12)
    assert client.get_cipher_name() == SUITE or (tls12 and (client.get_cipher_name() or "") in SUITES_12.decode())
    assert (client.get_group_name() or "").lower() == group.lower()
    return Task(lambda: _shake_hands(*contexts, tls12=tls12))


def bulk(credentials: Credentials, total: int, write: int) -> Task:
    client, server = _shake_hands(*_contexts(credentials, X25519))
    data = bytes(write)
    wire = write + (write // RECORD + 1) * 22  # header, content type and tag of each record
    send, taken = client.sendall, client.bio_read
    feed, read = server.bio_write, server.recv

    def run() -> None:
        for _ in range(total // write):
            send(data)
            feed(taken(wire))
            left = write
            while left:
                left -= len(read(RECORD))

    return Task(run, total)


def records(credentials: Credentials, count: int, size: int) -> Task:
    task = bulk(credentials, count * size, size)
    return Task(task.run, count)


def verification(chains: Sequence[Credentials]) -> Task:
    """X509StoreContext. It compares no name: its binding has no call for that outside of a connection."""
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(chains[0].root))
    ders = [item.leaf.public_bytes(Encoding.DER) for item in chains]
    between = [crypto.X509.from_cryptography(item) for item in chains[0].between]
    known = _loaded(ders[0]) if len(ders) == 1 else None

    def run() -> None:
        for der in ders:
            crypto.X509StoreContext(store, known or _loaded(der), between).verify_certificate()

    return Task(run, len(ders))


def _loaded(der: bytes) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, der)


def _contexts(
    credentials: Credentials, group: str, *, mutual: bool = False, tls12: bool = False
) -> tuple[SSL.Context, SSL.Context]:
    client, server = SSL.Context(SSL.TLS_CLIENT_METHOD), SSL.Context(SSL.TLS_SERVER_METHOD)
    client.set_verify(SSL.VERIFY_PEER)
    store = client.get_cert_store()
    assert store is not None
    store.add_cert(_x509(credentials.root))
    server.use_certificate(credentials.leaf)
    server.use_privatekey(credentials.key)
    if mutual:
        client.use_certificate(credentials.leaf)
        client.use_privatekey(credentials.key)
        server.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        trusted = server.get_cert_store()
        assert trusted is not None
        trusted.add_cert(_x509(credentials.root))
    server.set_options(SSL.OP_NO_TICKET)
    for context in (client, server):
        context.set_min_proto_version(SSL.TLS1_2_VERSION if tls12 else SSL.TLS1_3_VERSION)
        if tls12:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
            context.set_cipher_list(SUITES_12)
            group = f"{group}:P-256"  # in TLS 1.2 it is also the list of the certificates' curves
        context.set_tls13_ciphersuites(SUITE.encode("ascii"))
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        if _binding.SSL_CTX_set1_curves_list(context._context, group.encode("ascii")) != 1:
            raise Unavailable(f"its OpenSSL has no {group}")
    return client, server


def _x509(certificate: Any) -> Any:
    from OpenSSL import crypto

    return crypto.X509.from_cryptography(certificate)


def _shake_hands(
    client_context: SSL.Context, server_context: SSL.Context, *, tls12: bool = False
) -> tuple[SSL.Connection, SSL.Connection]:
    client, server = SSL.Connection(client_context, None), SSL.Connection(server_context, None)
    name = SERVER_NAME.encode("ascii")
    client.set_tlsext_host_name(name)
    _binding.X509_VERIFY_PARAM_set1_host(_binding.SSL_get0_param(client._ssl), name, len(name))
    client.set_connect_state()
    server.set_accept_state()
    _step(client)
    server.bio_write(client.bio_read(FLIGHT))
    _step(server)
    client.bio_write(server.bio_read(FLIGHT))
    _step(client)
    server.bio_write(client.bio_read(FLIGHT))
    server.do_handshake()
    if tls12:  # the server finishes last
        client.bio_write(server.bio_read(FLIGHT))
    client.do_handshake()
    return client, server


def _step(connection: SSL.Connection) -> None:
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return
