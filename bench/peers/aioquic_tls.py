"""aioquic's TLS, as QUIC uses it: messages without records, so that it neither seals nor opens them.

Only the handshake can be compared. It also lets OpenSSL verify the chain, and builds its store of roots in each
handshake, since there is no way to hand in one that is ready. Without a callback for sessions it makes no tickets.
"""

from __future__ import annotations

from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.tls import CipherSuite, Context, Epoch, Group, State

from bench.credentials import SERVER_NAME, Credentials
from bench.peers import X25519, Task, Unavailable

EPOCHS = (Epoch.INITIAL, Epoch.HANDSHAKE, Epoch.ONE_RTT)


def handshake(
    credentials: Credentials, group: str, *, mutual: bool = False, again: bool = False, tls12: bool = False
) -> Task:
    if mutual or tls12:
        raise Unavailable("TLS 1.2 and certificates of clients are not compared with it")
    if group != X25519:
        raise Unavailable(f"it has no {group}")
    roots = credentials.root_pem

    def run() -> tuple[Context, Context]:
        client = Context(
            is_client=True, cadata=roots, cipher_suites=[CipherSuite.AES_256_GCM_SHA384], server_name=SERVER_NAME
        )
        # By default it makes a share for each of four groups, and there is no other way to say which ones.
        client._supported_groups = [Group.X25519]
        server = Context(is_client=False, cipher_suites=[CipherSuite.AES_256_GCM_SHA384])
        server.certificate = credentials.leaf
        server.certificate_private_key = credentials.key
        flight = _step(client, b"")
        flight = _step(server, flight)
        flight = _step(client, flight)
        _step(server, flight)
        return client, server

    client, server = run()
    assert client.state == State.CLIENT_POST_HANDSHAKE
    assert server.state == State.SERVER_POST_HANDSHAKE
    return Task(run)


def bulk(credentials: Credentials, total: int, write: int) -> Task:
    del credentials, total, write
    raise Unavailable("QUIC has no TLS records")


def records(credentials: Credentials, count: int, size: int) -> Task:
    del credentials, count, size
    raise Unavailable("QUIC has no TLS records")


def _step(side: Context, flight: bytes) -> bytes:
    output = {epoch: Buffer(capacity=4096) for epoch in EPOCHS}
    side.handle_message(flight, output)
    return b"".join(buffer.data for buffer in output.values())
