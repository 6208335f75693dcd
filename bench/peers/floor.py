"""The floor: those operations of `cryptography` that no implementation on top of it can do without, and nothing else.

No messages, no transcript, no copying, and but for resumption no key schedule: what handfast takes beyond this is its own.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store

from bench.credentials import SERVER_NAME, Credentials
from bench.peers import HYBRID, Task, Unavailable

RECORD = 1 << 14
TAG = 16
HEADER = b"\x17\x03\x03\x40\x11"
SIGNED = bytes(64 + 34 + 48)  # what CertificateVerify signs: spaces, context, transcript hash
FINISHED = bytes(4 + 48 + 1)


def handshake(
    credentials: Credentials, group: str, *, mutual: bool = False, again: bool = False, tls12: bool = False
) -> Task:
    if mutual or tls12:
        raise Unavailable("TLS 1.2 and certificates of clients are not compared with it")
    key, leaf_der = credentials.key, credentials.leaf.public_bytes(Encoding.DER)
    store = Store([credentials.root])
    name = x509.DNSName(SERVER_NAME)
    flight = bytes(4 + 2 + 4 + 8 + len(leaf_der) + 8 + 256 + len(FINISHED))
    nonce = bytes(12)

    def encapsulate() -> None:
        client = mlkem.MLKEM768PrivateKey.generate()
        share = client.public_key().public_bytes_raw()
        _, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(share).encapsulate()
        client.decapsulate(ciphertext)

    def authenticate() -> None:
        leaf = x509.load_der_x509_certificate(leaf_der)
        # The verifier takes the time when it is built, so that each handshake needs a new one.
        verifier = PolicyBuilder().store(store).time(dt.datetime.now(dt.UTC)).build_server_verifier(name)
        verifier.verify(leaf, [])
        public = leaf.public_key()
        if isinstance(key, ec.EllipticCurvePrivateKey):
            assert isinstance(public, ec.EllipticCurvePublicKey)
            signature = key.sign(SIGNED, ec.ECDSA(hashes.SHA256()))
            public.verify(signature, SIGNED, ec.ECDSA(hashes.SHA256()))
        else:
            assert isinstance(public, rsa.RSAPublicKey)
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            signature = key.sign(SIGNED, pss, hashes.SHA256())
            public.verify(signature, SIGNED, pss, hashes.SHA256())

    def protect() -> None:
        for content in (flight, FINISHED):
            sealed = AESGCM(bytes(32)).encrypt(nonce, content, HEADER)
            AESGCM(bytes(32)).decrypt(nonce, sealed, HEADER)

    def run() -> None:
        _agree()
        if group == HYBRID:
            encapsulate()
        authenticate()
        protect()

    return Task(run)


def verification(chains: Sequence[Credentials]) -> Task:
    """The verifier of `cryptography` alone: one certificate is parsed once, many of them each time, as for handfast."""
    builder = PolicyBuilder().store(Store([chains[0].root]))
    name = x509.DNSName(SERVER_NAME)
    ders = [item.leaf.public_bytes(Encoding.DER) for item in chains]
    between = list(chains[0].between)
    known = x509.load_der_x509_certificate(ders[0]) if len(ders) == 1 else None

    def run() -> None:
        now = dt.datetime.now(dt.UTC)
        for der in ders:
            leaf = known or x509.load_der_x509_certificate(der)
            builder.time(now).build_server_verifier(name).verify(leaf, between)

    return Task(run, len(ders))


def _agree() -> None:
    """X25519, both sides."""
    client, server = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    client_share, server_share = client.public_key().public_bytes_raw(), server.public_key().public_bytes_raw()
    server.exchange(x25519.X25519PublicKey.from_public_bytes(client_share))
    client.exchange(x25519.X25519PublicKey.from_public_bytes(server_share))


def resumption(credentials: Credentials, *, tls12: bool = False) -> Task:
    """With a ticket that is opened and another one that is sealed.

    Here the HMACs of the key schedule are counted too: in TLS 1.3 both sides have 25 each to make (RFC 9846 section 7.1),
    and nothing else takes as long but the key exchange; in TLS 1.2 the PRF of RFC 5246 section 5 takes 8.
    """
    del credentials
    secret, info = bytes(48), bytes(70)
    sealing, state, nonce = AESGCMSIV(bytes(32)), bytes(150), bytes(12)
    hmacs, sealed_flights = (16, (bytes(16), bytes(16))) if tls12 else (50, (bytes(60), bytes(53), bytes(240)))

    def run() -> None:
        if not tls12:
            _agree()
        for _ in range(hmacs):
            hmac.digest(secret, info, "sha384")
        sealing.decrypt(nonce, sealing.encrypt(nonce, state, None), None)
        for content in sealed_flights:
            sealed = AESGCM(bytes(32)).encrypt(nonce, content, HEADER)
            AESGCM(bytes(32)).decrypt(nonce, sealed, HEADER)

    return Task(run)


def bulk(credentials: Credentials, total: int, write: int) -> Task:
    del credentials, write
    return _protect(total // RECORD, RECORD, total)


def records(credentials: Credentials, count: int, size: int) -> Task:
    del credentials
    return _protect(count, size, count)


def _protect(count: int, size: int, amount: int) -> Task:
    """Seal and open ``count`` records where they stand, in buffers that are there already."""
    sealing, opening = AESGCM(bytes(32)), AESGCM(bytes(32))
    nonces = [number.to_bytes(12) for number in range(count)]
    inner = bytes(size + 1)
    sealed, opened = bytearray(size + 1 + TAG), bytearray(size + 1)

    def run() -> None:
        for nonce in nonces:
            sealing.encrypt_into(nonce, inner, HEADER, sealed)
            opening.decrypt_into(nonce, sealed, HEADER, opened)

    return Task(run, amount)
