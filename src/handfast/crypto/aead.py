"""The AEADs that protect records (RFC 9846 section 5.2), as `cryptography` has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

TAG_LENGTH: Final = 16
NONCE_LENGTH: Final = 12

Buffer = Any  # bytes, bytearray or memoryview; typing has no name for it before Python 3.12

__all__ = ["AEAD", "AES_GCM", "CHACHA20_POLY1305", "NONCE_LENGTH", "TAG_LENGTH", "Buffer", "Cipher", "InvalidTag"]


class Cipher(Protocol):
    """An AEAD with its key."""

    def encrypt_into(self, nonce: Buffer, data: Buffer, associated_data: Buffer, buf: Buffer) -> int:
        """Write ciphertext and tag of ``data`` to ``buf``, which has 16 bytes more; the two may be one buffer."""

    def decrypt(self, nonce: Buffer, data: Buffer, associated_data: Buffer) -> bytes:
        """The plaintext of ``data``; InvalidTag if it is not authentic."""


AEAD = Callable[[bytes], Cipher]

AES_GCM: Final[AEAD] = AESGCM
CHACHA20_POLY1305: Final[AEAD] = ChaCha20Poly1305
