"""The standard library's `ssl`: SSLObject and MemoryBIO, so that no socket is in the way on either side."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from pathlib import Path

from bench.credentials import SERVER_NAME, Credentials
from bench.peers import HYBRID, X25519, Task, Unavailable
from bench.streams import Library

SUITE = "TLS_AES_256_GCM_SHA384"
SUITES_12 = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
RECORD = 1 << 14
# How the extension key_share of a ServerHello begins: type, length, group, length of the share.
KEY_SHARES = {X25519: bytes.fromhex("0033 0024 001d 0020"), HYBRID: bytes.fromhex("0033 0464 11ec 0460")}

Pair = tuple["Side", "Side"]


class Side:
    """An SSLObject with its two buffers."""

    __slots__ = ("incoming", "outgoing", "tls")

    def __init__(self, context: ssl.SSLContext, *, server: bool, session: ssl.SSLSession | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server else SERVER_NAME
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_side=server, server_hostname=name, session=session
        )

    def step(self) -> None:
        """Go on with the handshake as far as the bytes that came reach."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return


def handshake(
    credentials: Credentials, group: str, *, mutual: bool = False, again: bool = False, tls12: bool = False
) -> Task:
    contexts = _contexts(credentials, group, mutual=mutual, tls12=tls12)
    if tls12:
        assert (_shake_hands(*contexts)[0].tls.cipher() or [""])[0] in SUITES_12.split(":")
    else:
        _check(*contexts, group)
    assert (_shake_hands(*contexts)[1].tls.getpeercert() is not None) is mutual
    return Task(lambda: _shake_hands(*contexts))


def resumption(credentials: Credentials, *, tls12: bool = False) -> Task:
    """OpenSSL gives a fresh ticket in TLS 1.3, and keeps the one of the session in TLS 1.2."""
    client_context, server_context = _contexts(credentials, X25519, tls12=tls12)
    server_context.num_tickets = 2
    for context in (client_context, server_context):
        context.options &= ~ssl.OP_NO_TICKET
    newest: ssl.SSLSession | None = None

    def run() -> None:
        nonlocal newest
        client, _ = _shake_hands(client_context, server_context, newest)
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.read()  # takes in the ticket
        newest = client.tls.session

    run()
    assert _shake_hands(client_context, server_context, newest)[0].tls.session_reused
    newest = None
    run()
    return Task(run)


def contexts(credentials: Credentials) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For the client and for the server."""
    return _contexts(credentials, X25519)


def streams(credentials: Credentials) -> Library:
    client, server = _contexts(credentials, X25519)
    return Library(
        lambda port: asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=SERVER_NAME),
        lambda handler: asyncio.start_server(handler, "127.0.0.1", 0, ssl=server),
    )


def bulk(credentials: Credentials, total: int, write: int) -> Task:
    client, server = _shake_hands(*_contexts(credentials, X25519))
    data = bytes(write)
    send, taken = client.tls.write, client.outgoing.read
    feed, read = server.incoming.write, server.tls.read

    def run() -> None:
        for _ in range(total // write):
            send(data)
            feed(taken())
            left = write
            while left:
                left -= len(read(RECORD))

    return Task(run, total)


def records(credentials: Credentials, count: int, size: int) -> Task:
    task = bulk(credentials, count * size, size)
    return Task(task.run, count)


def _contexts(
    credentials: Credentials, group: str, *, mutual: bool = False, tls12: bool = False
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and name
    client.load_verify_locations(cadata=credentials.root_pem.decode("ascii"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.num_tickets = 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "server.pem")
        file.write_bytes(credentials.leaf_pem + credentials.key_pem)
        server.load_cert_chain(file)
        if mutual:
            client.load_cert_chain(file)
            server.load_verify_locations(cadata=credentials.root_pem.decode("ascii"))
            server.verify_mode = ssl.CERT_REQUIRED
    for context in (client, server):
        if tls12:
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.options |= ssl.OP_NO_TICKET
            context.set_ciphers(SUITES_12)  # the group is X25519 by itself
            continue
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        _set_group(context, group)
        # Before Python 3.15 the suites of TLS 1.3 cannot be set; OpenSSL prefers AES-256-GCM by itself.
        if hasattr(context, "set_ciphersuites"):
            context.set_ciphersuites(SUITE)
    return client, server


def _set_group(context: ssl.SSLContext, group: str) -> None:
    if hasattr(context, "set_groups"):  # Python 3.15
        try:
            context.set_groups(group)
        except ssl.SSLError:
            raise Unavailable(f"{ssl.OPENSSL_VERSION} has no {group}") from None
    elif group == HYBRID:
        if ssl.OPENSSL_VERSION_INFO < (3, 5):
            raise Unavailable(f"{ssl.OPENSSL_VERSION} has no {group}")
        # set_ecdh_curve knows curves only, but from 3.5 on the hybrid comes first by itself.
    else:
        try:
            context.set_ecdh_curve(group)
        except ssl.SSLError:
            # Before Python 3.11.3 it knows the NIST curves only, but before OpenSSL 3.5 X25519 comes first by itself.
            if ssl.OPENSSL_VERSION_INFO >= (3, 5):
                raise Unavailable(f"this Python cannot set {group}") from None


def _shake_hands(
    client_context: ssl.SSLContext, server_context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> Pair:
    client, server = Side(client_context, server=False, session=session), Side(server_context, server=True)
    client.step()
    server.incoming.write(client.outgoing.read())
    server.step()
    client.incoming.write(server.outgoing.read())
    client.step()
    server.incoming.write(client.outgoing.read())
    server.tls.do_handshake()
    client.incoming.write(server.outgoing.read())
    client.tls.do_handshake()  # in TLS 1.2 the server finishes last
    return client, server


def _check(client_context: ssl.SSLContext, server_context: ssl.SSLContext, group: str) -> None:
    """Raise an AssertionError unless suite and group are those that are asked for."""
    client, server = Side(client_context, server=False), Side(server_context, server=True)
    client.step()
    server.incoming.write(client.outgoing.read())
    server.step()
    assert KEY_SHARES[group] in server.outgoing.read()  # before Python 3.15 nothing else tells the group
    client, server = _shake_hands(client_context, server_context)
    assert (client.tls.cipher() or [""])[0] == SUITE
