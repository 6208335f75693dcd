"""The transcript hash (RFC 9846 section 4.1): everything that both sides said, in one running hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

from handfast.wire.codepoints import HandshakeType

# Constructors, so that no name is looked up for each handshake.
HASHES: Final[dict[str, Callable[[bytes], hashlib._Hash]]] = {
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
}


class Message(Protocol):
    """What is added: a message that keeps its bytes."""

    raw: bytes


class Transcript:
    """The handshake messages so far.

    Until the suite is known its hash is not, so the first messages are kept as bytes (RFC 9846 section 4.1).
    """

    __slots__ = ("_buffer", "_hash", "_kept")

    def __init__(self) -> None:
        self._buffer = b""
        self._hash: hashlib._Hash | None = None
        self._kept: bytearray | None = None

    def add(self, message: Message) -> None:
        """Add a message, as it was sent or received."""
        if self._hash is None:
            self._buffer += message.raw
        else:
            self._hash.update(message.raw)
            if self._kept is not None:
                self._kept += message.raw

    def use(self, hash_name: str) -> None:
        """Fix the hash, once the cipher suite is agreed. After a HelloRetryRequest it is fixed already."""
        if self._hash is None:
            self._hash = HASHES[hash_name](self._buffer)
            self._buffer = b""

    def use_and_keep(self, hash_name: str) -> None:
        """The same, and keep the bytes: a CertificateVerify of TLS 1.2 has a hash of its own (RFC 5246 section 7.4.8)."""
        self._kept = bytearray(self._buffer)
        self.use(hash_name)

    def take_kept(self) -> bytes:
        """All messages so far as bytes, which are no longer kept."""
        assert self._kept is not None, "they are kept until they are taken"
        kept, self._kept = bytes(self._kept), None
        return kept

    def drop_kept(self) -> None:
        """Keep the bytes no longer: nothing will be signed over them."""
        self._kept = None

    def fold(self) -> None:
        """Replace the first ClientHello by its hash: a HelloRetryRequest is next (RFC 9846 section 4.1).

        Like this a server that keeps nothing between the two hellos can have the hash come back in a cookie.
        """
        assert self._hash is not None, "the suite's hash is fixed before anything is hashed"
        digest = self._hash.digest()
        self._hash = HASHES[self._hash.name](b"%c\0\0%c%b" % (HandshakeType.MESSAGE_HASH, len(digest), digest))

    def digest_with(self, hash_name: str, partial: bytes) -> bytes:
        """Transcript-Hash of the messages so far and part of the next one: what a binder is over.

        Before the suite is known it is the hash of the PSK, and nothing has been said yet.
        """
        running = HASHES[hash_name](self._buffer) if self._hash is None else self._hash.copy()
        running.update(partial)
        return running.digest()

    def digest(self) -> bytes:
        """Transcript-Hash of all messages so far."""
        assert self._hash is not None, "the suite's hash is fixed before anything is hashed"
        return self._hash.digest()
