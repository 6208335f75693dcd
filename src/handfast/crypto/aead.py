"""The AEADs that protect records (RFC 9846 section 5.2), and what we keep, as `cryptography` has them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, AESGCMSIV, ChaCha20Poly1305

TAG_LENGTH: Final = 16
SHORT_TAG_LENGTH: Final = 8  # of CCM_8 (RFC 6655 section 4)
NONCE_LENGTH: Final = 12

Buffer = Any  # bytes, bytearray or memoryview; typing has no name for it before Python 3.12

__all__ = [
    "AEAD",
    "AES_CCM",
    "AES_CCM_8",
    "AES_GCM",
    "AES_GCM_SIV",
    "CHACHA20_POLY1305",
    "NONCE_LENGTH",
    "SHORT_TAG_LENGTH",
    "TAG_LENGTH",
    "Buffer",
    "Cipher",
    "InvalidTag",
]


class Cipher(Protocol):
    """An AEAD with its key."""

    def encrypt_into(self, nonce: Buffer, data: Buffer, associated_data: Buffer, buf: Buffer) -> int:
        """Write ciphertext and tag of ``data`` to ``buf``, which is longer by a tag; the two may be one buffer."""

    def decrypt(self, nonce: Buffer, data: Buffer, associated_data: Buffer) -> bytes:
        """The plaintext of ``data``; InvalidTag if it is not authentic."""


AEAD = Callable[[bytes], Cipher]

AES_GCM: Final[AEAD] = AESGCM
AES_CCM: Final[AEAD] = AESCCM
AES_CCM_8: Final[AEAD] = partial(AESCCM, tag_length=SHORT_TAG_LENGTH)
CHACHA20_POLY1305: Final[AEAD] = ChaCha20Poly1305

# For tickets, not for records: random nonces of 96 bits may meet, and here that shows no more than that two plaintexts
# are the same (RFC 8452 section 1).
AES_GCM_SIV: Final = AESGCMSIV
