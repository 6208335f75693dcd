"""The key schedule of TLS 1.3 (RFC 9846 section 7), one class a stage, so that no stage can be skipped.

::

    EarlySecret --(shared secret of the key exchange)--> HandshakeSecret --> MainSecret

HKDF is made of HMAC alone (RFC 5869): see mac.py. Secrets are the keys of HMACs, and bytes where they are more than that;
they live as long as the frame or object that holds them, and no repr shows them.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from handfast.crypto.aead import NONCE_LENGTH, Cipher
from handfast.crypto.guard import Guarded
from handfast.crypto.mac import Key, keyed, mac, mac_once
from handfast.crypto.suites import Suite


@cache
def _label(label: str, context: bytes, length: int) -> bytes:
    """HkdfLabel (RFC 9846 section 7.1), and the counter byte 1 of HKDF-Expand's only block (RFC 5869 section 2.3)."""
    name = b"tls13 " + label.encode("ascii")
    return b"%b%c%b%c%b\x01" % (length.to_bytes(2), len(name), name, len(context), context)


@cache
def _prefix(label: str, length: int, context_length: int) -> bytes:
    """The part of an HkdfLabel that stands before a context which changes with every handshake."""
    name = b"tls13 " + label.encode("ascii")
    return b"%b%c%b%c" % (length.to_bytes(2), len(name), name, context_length)


@cache
def _empty_hash(hash_name: str) -> bytes:
    return hashlib.new(hash_name).digest()


def expand_label(suite: Suite, secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 9846 section 7.1). All lengths of TLS 1.3 fit into one block of HKDF-Expand."""
    assert length <= suite.hash_length, "one block of HKDF-Expand is all that TLS 1.3 needs"
    return mac_once(suite.hash, secret, _label(label, context, length))[:length]


def _derive(suite: Suite, secret: Key, label: str, transcript_hash: bytes) -> bytes:
    """Derive-Secret (RFC 9846 section 7.1) over a transcript."""
    length = suite.hash_length
    return mac(secret, _prefix(label, length, length) + transcript_hash + b"\x01")


def _derived(suite: Suite, secret: Key) -> bytes:
    """``Derive-Secret(., "derived", "")``: the salt of the next stage."""
    return _derive(suite, secret, "derived", _empty_hash(suite.hash))


class TrafficSecret(Guarded):
    """A secret that protects records in one direction: the root of a key and an IV (RFC 9846 section 7.3)."""

    __slots__ = ("_finishes", "_keyed", "secret", "suite")

    def __init__(self, suite: Suite, secret: bytes, *, finishes: bool = False) -> None:
        """``finishes``: whether a Finished is made of it besides, so that its key is worth a KiB for as long as it lives."""
        self.suite = suite
        self.secret = secret
        self._finishes = finishes
        self._keyed: Key | None = None

    def cipher(self) -> tuple[Cipher, int]:
        """The AEAD with its key, and the IV as a number, ready to be XORed with a sequence number (section 5.3)."""
        suite, secret = self.suite, self._key()
        key = mac(secret, _label("key", b"", suite.key_length))[: suite.key_length]
        iv = mac(secret, _label("iv", b"", NONCE_LENGTH))[:NONCE_LENGTH]
        return suite.aead(key), int.from_bytes(iv)

    def next(self) -> TrafficSecret:
        """The secret of the next generation, after a KeyUpdate (RFC 9846 section 7.2)."""
        suite = self.suite
        return TrafficSecret(suite, mac(self._key(), _label("traffic upd", b"", suite.hash_length)))

    def verify_data(self, transcript_hash: bytes) -> bytes:
        """The content of Finished (RFC 9846 section 4.5.3) for the side that this secret belongs to."""
        suite = self.suite
        finished_key = mac(self._key(), _label("finished", b"", suite.hash_length))
        return mac_once(suite.hash, finished_key, transcript_hash)

    def _key(self) -> Key:
        """The secret as a key, made when it is first needed: many a secret protects no record."""
        key = keyed(self.suite.hash, self.secret) if self._keyed is None else self._keyed
        if self._finishes:
            self._keyed = key
        return key


class EarlySecret(Guarded):
    """The first stage. Without a PSK it is the same for all connections of a suite, and worked out once."""

    __slots__ = ("_salt", "suite")

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self._salt = _salt_without_psk(suite)

    def handshake_secret(self, shared_secret: bytes | None) -> HandshakeSecret:
        """Mix in what the key exchange agreed on; None where there was none, with a PSK alone."""
        secret = bytes(self.suite.hash_length) if shared_secret is None else shared_secret
        return HandshakeSecret(self.suite, mac(self._salt, secret))


class PskSecret(EarlySecret):
    """The first stage with a PSK: binders that prove that we have it, and keys for what is sent before an answer.

    ``purpose``  what the PSK is from: "res" a session, "ext" given from outside, "imp" imported (RFC 9258 section 5.2)
    """

    __slots__ = ("_purpose", "_secret")

    def __init__(self, suite: Suite, psk: bytes, purpose: str) -> None:
        self.suite = suite
        self._purpose = purpose
        self._secret = keyed(suite.hash, mac_once(suite.hash, bytes(suite.hash_length), psk))
        self._salt = keyed(suite.hash, _derived(suite, self._secret))

    def for_suite(self, suite: Suite) -> EarlySecret:
        """The same for another suite with the same hash: what follows has its keys."""
        assert suite.hash == self.suite.hash, "a PSK goes with one hash"
        other = EarlySecret(suite)
        other._salt = self._salt
        return other

    def binder(self, transcript_hash: bytes) -> bytes:
        """Over the ClientHello up to its binders, and what was said before it (RFC 9846 section 4.3.11.2)."""
        suite = self.suite
        key = _derive(suite, self._secret, f"{self._purpose} binder", _empty_hash(suite.hash))
        return TrafficSecret(suite, key).verify_data(transcript_hash)

    def client_traffic(self, transcript_hash: bytes) -> TrafficSecret:
        """client_early_traffic_secret, over the ClientHello."""
        return TrafficSecret(self.suite, _derive(self.suite, self._secret, "c e traffic", transcript_hash))

    def exporter(self, transcript_hash: bytes) -> Exporter:
        """early_exporter_secret, over the ClientHello."""
        return Exporter(self.suite, _derive(self.suite, self._secret, "e exp master", transcript_hash))


def resumption_psk(suite: Suite, resumption_secret: bytes, ticket_nonce: bytes) -> bytes:
    """The PSK that belongs to a ticket (RFC 9846 section 4.7.1)."""
    info = _info(b"resumption", ticket_nonce, suite.hash_length)
    return mac_once(suite.hash, resumption_secret, info + b"\x01")


@cache
def _salt_without_psk(suite: Suite) -> Key:
    zeros = bytes(suite.hash_length)
    early = keyed(suite.hash, mac_once(suite.hash, zeros, zeros))
    return keyed(suite.hash, _derived(suite, early))


def imported_psk(target: str, external: bytes, imported_identity: bytes, own: str = "sha256") -> bytes:
    """The PSK that an external one is imported as, for the KDF ``target`` (RFC 9258 section 5.1). ``own``: its own hash."""
    length = hashlib.new(target).digest_size
    extracted = keyed(own, mac_once(own, bytes(hashlib.new(own).digest_size), external))
    info = _info(b"derived psk", hashlib.new(own, imported_identity).digest(), length)
    first = mac(extracted, info + b"\x01")
    second = mac(extracted, first + info + b"\x02") if length > len(first) else b""
    return (first + second)[:length]


class HandshakeSecret(Guarded):
    """The second stage: keys for the handshake itself."""

    __slots__ = ("_secret", "suite")

    def __init__(self, suite: Suite, secret: bytes) -> None:
        self.suite = suite
        self._secret = keyed(suite.hash, secret)

    def client_traffic(self, transcript_hash: bytes) -> TrafficSecret:
        """client_handshake_traffic_secret, over ClientHello...ServerHello."""
        secret = _derive(self.suite, self._secret, "c hs traffic", transcript_hash)
        return TrafficSecret(self.suite, secret, finishes=True)

    def server_traffic(self, transcript_hash: bytes) -> TrafficSecret:
        """server_handshake_traffic_secret, over ClientHello...ServerHello."""
        secret = _derive(self.suite, self._secret, "s hs traffic", transcript_hash)
        return TrafficSecret(self.suite, secret, finishes=True)

    def main_secret(self) -> MainSecret:
        """The next stage."""
        salt = _derived(self.suite, self._secret)
        return MainSecret(self.suite, mac_once(self.suite.hash, salt, bytes(self.suite.hash_length)))


class MainSecret(Guarded):
    """The last stage: keys for the application's data. What people search for as the master secret."""

    __slots__ = ("_secret", "suite")

    def __init__(self, suite: Suite, secret: bytes) -> None:
        self.suite = suite
        self._secret = keyed(suite.hash, secret)

    def client_traffic(self, transcript_hash: bytes) -> TrafficSecret:
        """client_application_traffic_secret_0, over ClientHello...server Finished."""
        return TrafficSecret(self.suite, _derive(self.suite, self._secret, "c ap traffic", transcript_hash))

    def server_traffic(self, transcript_hash: bytes) -> TrafficSecret:
        """server_application_traffic_secret_0, over ClientHello...server Finished."""
        return TrafficSecret(self.suite, _derive(self.suite, self._secret, "s ap traffic", transcript_hash))

    def exporter(self, transcript_hash: bytes) -> Exporter:
        """exporter_secret, over ClientHello...server Finished (RFC 9846 section 7.5)."""
        return Exporter(self.suite, _derive(self.suite, self._secret, "exp master", transcript_hash))

    def resumption(self, transcript_hash: bytes) -> bytes:
        """resumption_secret, over ClientHello...client Finished (RFC 9846 section 4.7.1)."""
        return _derive(self.suite, self._secret, "res master", transcript_hash)


class Exporter(Guarded):
    """Keys for other protocols, bound to this connection (RFC 9846 section 7.5, RFC 5705 section 4)."""

    __slots__ = ("secret", "suite")

    def __init__(self, suite: Suite, secret: bytes) -> None:
        self.suite = suite
        self.secret = secret

    @property
    def limit(self) -> int:
        """How many bytes one export may have: HKDF-Expand has no more than 255 blocks (RFC 5869 section 2.3)."""
        return 255 * self.suite.hash_length

    label_minimum: Final = 1  # an HkdfLabel has at least a byte beside "tls13 "
    context_limit: Final = 1 << 64  # it is hashed first
    RESERVED: Final = frozenset[str]()  # labels that the protocol uses itself cannot meet those of an exporter

    def export(self, label: bytes, context: bytes | None, length: int) -> bytes:
        """TLS-Exporter: 1 to :attr:`limit` bytes. The label has at most 249 bytes. No context is an empty one."""
        suite = self.suite
        context = context or b""
        of_label = _info(label, _empty_hash(suite.hash), suite.hash_length) + b"\x01"
        secret = keyed(suite.hash, mac_once(suite.hash, self.secret, of_label))
        info = _info(b"exporter", hashlib.new(suite.hash, context).digest(), length)
        output = block = b""
        counter = 0
        while len(output) < length:  # HKDF-Expand
            counter += 1
            block = mac(secret, b"%b%b%c" % (block, info, counter))
            output += block
        return output[:length]


def _info(label: bytes, context: bytes, length: int) -> bytes:
    """HkdfLabel (RFC 9846 section 7.1). Not remembered: labels and lengths are the caller's."""
    return b"%b%c%b%c%b" % (length.to_bytes(2), len(label) + 6, b"tls13 " + label, len(context), context)
