"""tlslite-ng in pure Python, without the compiled helpers that it can use where they are installed.

It verifies no chain: the client compares the certificate's fingerprint with one that it knows, and so is spared work
that the others do. Its AES is slow enough that a whole bulk transfer would take minutes; less data is carried, and the
rate is what is reported.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes
from tlslite.api import Checker, HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey

from bench.credentials import SERVER_NAME, Credentials
from bench.peers import X25519, Task, Unavailable

MOST_BYTES = 16_384
MOST_RECORDS = 20


class Pipe:
    """One end of a connection in memory, with those calls of a socket that tlslite-ng makes."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.other = self

    def send(self, data: bytes) -> int:
        self.other.incoming += data
        return len(data)

    def sendall(self, data: bytes) -> None:
        self.other.incoming += data

    def recv(self, size: int) -> bytes:
        if not self.incoming:
            raise OSError(errno.EWOULDBLOCK, "nothing there yet")
        data = bytes(self.incoming[:size])
        del self.incoming[:size]
        return data


def handshake(
    credentials: Credentials, group: str, *, mutual: bool = False, again: bool = False, tls12: bool = False
) -> Task:
    if mutual or tls12:
        raise Unavailable("TLS 1.2 and certificates of clients are not compared with it")
    if group != X25519:
        raise Unavailable(f"without further packages it has no {group}")
    pair = NewPair(credentials)
    client, _ = pair()
    assert client.version == (3, 4)
    assert client.getCipherName() == "aes256gcm"
    return Task(pair)


def bulk(credentials: Credentials, total: int, write: int) -> Task:
    client, server = NewPair(credentials)()
    size = min(write, total, MOST_BYTES)
    data = bytes(size)

    def run() -> None:
        client.write(data)
        server.read(max=size, min=size)

    return Task(run, size)


def records(credentials: Credentials, count: int, size: int) -> Task:
    client, server = NewPair(credentials)()
    count = min(count, MOST_RECORDS)
    data = bytes(size)

    def run() -> None:
        for _ in range(count):
            client.write(data)
            server.read(max=size, min=size)

    return Task(run, count)


class NewPair:
    """Each call makes a client and a server, and lets them shake hands."""

    def __init__(self, credentials: Credentials) -> None:
        self.chain = X509CertChain()
        self.chain.parsePemList(credentials.leaf_pem.decode("ascii"))
        self.key = parsePEMKey(credentials.key_pem.decode("ascii"), private=True)
        self.checker = Checker(x509Fingerprint=credentials.leaf.fingerprint(hashes.SHA1()).hex())
        self.settings = HandshakeSettings()
        self.settings.minVersion = self.settings.maxVersion = (3, 4)
        self.settings.cipherNames = ["aes256gcm"]
        self.settings.eccCurves = ["x25519"]
        self.settings.keyShares = ["x25519"]
        self.settings.dhGroups = []
        self.settings.ticket_count = 0
        self.settings.usePaddingExtension = False

    def __call__(self) -> tuple[TLSConnection, TLSConnection]:
        client_pipe, server_pipe = Pipe(), Pipe()
        client_pipe.other, server_pipe.other = server_pipe, client_pipe
        client, server = TLSConnection(client_pipe), TLSConnection(server_pipe)
        sides: list[Iterable[int]] = [
            client.handshakeClientCert(
                serverName=SERVER_NAME, settings=self.settings, checker=self.checker, async_=True
            ),
            server.handshakeServerAsync(certChain=self.chain, privateKey=self.key, settings=self.settings),
        ]
        running = [iter(side) for side in sides]
        while running:
            running = [side for side in running if next(side, None) is not None]
        return client, server
