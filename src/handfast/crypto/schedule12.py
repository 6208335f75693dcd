"""The key schedule of TLS 1.2 (RFC 5246 sections 5, 6.3 and 8.1), with the extended main secret (RFC 7627) alone.

The main secret is bound to the whole handshake up to the key exchange, not only to the two randoms: without that, one
connection could be given the keys of another one (the triple handshake).
"""

from __future__ import annotations

from typing import Final, Self

from handfast.crypto.aead import NONCE_LENGTH, Cipher
from handfast.crypto.guard import Guarded
from handfast.crypto.mac import Key, keyed, mac
from handfast.crypto.suites import Suite

MAIN_SECRET_LENGTH: Final = 48
VERIFY_DATA_LENGTH: Final = 12


def prf(secret: Key, label: bytes, seed: bytes, length: int) -> bytes:
    """The pseudorandom function (RFC 5246 section 5), with the hash of the key: ``length`` bytes."""
    seed = label + seed
    output = b""
    a = seed
    while len(output) < length:
        a = mac(secret, a)
        output += mac(secret, a + seed)
    return output[:length]


class RecordKey(Guarded):
    """What protects records in one direction: the AEAD's key, and the fixed part of its nonces."""

    __slots__ = ("_iv", "_key", "suite")

    def __init__(self, suite: Suite, key: bytes, iv: bytes) -> None:
        self.suite = suite
        self._key = key
        self._iv = iv

    def cipher(self) -> tuple[Cipher, int]:
        """The AEAD with its key, and what a sequence number is XORed with to give the nonce.

        A nonce of GCM and CCM is the fixed part and then eight bytes that the record carries (RFC 5288 section 3), which
        are the sequence number here: so both kinds of nonce come from one number.
        """
        return self.suite.aead(self._key), int.from_bytes(self._iv.ljust(NONCE_LENGTH, b"\0"))


class MainSecret(Guarded):
    """The main secret of a connection, which people search for as the master secret."""

    __slots__ = ("_key", "_randoms", "_secret", "suite")

    def __init__(self, suite: Suite, shared_secret: bytes, session_hash: bytes, randoms: tuple[bytes, bytes]) -> None:
        """``session_hash``: over the messages up to ClientKeyExchange (RFC 7627 section 4). ``randoms``: client, server."""
        shared = keyed(suite.hash, shared_secret)
        self._keep(suite, prf(shared, b"extended master secret", session_hash, MAIN_SECRET_LENGTH), randoms)

    @classmethod
    def resumed(cls, suite: Suite, secret: bytes, randoms: tuple[bytes, bytes]) -> Self:
        """That of a session, with the randoms of the connection that resumes it."""
        main = cls.__new__(cls)
        main._keep(suite, secret, randoms)
        return main

    def _keep(self, suite: Suite, secret: bytes, randoms: tuple[bytes, bytes]) -> None:
        self.suite = suite
        self._secret = secret
        self._key = keyed(suite.hash, secret)
        self._randoms = randoms

    @property
    def secret(self) -> bytes:
        """For the key log, and to resume."""
        return self._secret

    def record_keys(self) -> tuple[RecordKey, RecordKey]:
        """What the client and what the server seal with (RFC 5246 section 6.3)."""
        suite = self.suite
        key, iv = suite.key_length, suite.iv_length
        client_random, server_random = self._randoms
        block = prf(self._key, b"key expansion", server_random + client_random, 2 * (key + iv))
        ivs = block[2 * key :]
        return RecordKey(suite, block[:key], ivs[:iv]), RecordKey(suite, block[key : 2 * key], ivs[iv:])

    def client_finished(self, transcript_hash: bytes) -> bytes:
        """verify_data of the client's Finished (RFC 5246 section 7.4.9)."""
        return prf(self._key, b"client finished", transcript_hash, VERIFY_DATA_LENGTH)

    def server_finished(self, transcript_hash: bytes) -> bytes:
        """verify_data of the server's Finished."""
        return prf(self._key, b"server finished", transcript_hash, VERIFY_DATA_LENGTH)

    def exporter(self) -> Exporter12:
        """Keys for other protocols (RFC 5705)."""
        return Exporter12(self.suite, self._secret, self._randoms)


class Exporter12(Guarded):
    """Keys for other protocols, bound to this connection (RFC 5705 section 4)."""

    __slots__ = ("_randoms", "_secret", "suite")

    # What the protocol itself derives by labels of its own (RFC 5705 section 4).
    RESERVED: Final = frozenset(
        {"client finished", "server finished", "master secret", "extended master secret", "key expansion"}
    )
    limit: Final = 1 << 16
    label_minimum: Final = 0
    context_limit: Final = (1 << 16) - 1  # its length has two bytes

    def __init__(self, suite: Suite, secret: bytes, randoms: tuple[bytes, bytes]) -> None:
        self.suite = suite
        self._secret = secret
        self._randoms = randoms

    def export(self, label: bytes, context: bytes | None, length: int) -> bytes:
        """1 to :attr:`limit` bytes. No context is another thing than an empty one."""
        seed = b"".join(self._randoms)
        if context is not None:
            seed += len(context).to_bytes(2) + context
        return prf(keyed(self.suite.hash, self._secret), label, seed, length)
