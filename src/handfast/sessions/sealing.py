"""Sealing of what leaves the process, or may: tickets, key rings, session files, states in a shared store."""

from __future__ import annotations

import hmac
from typing import Final

from handfast.crypto.aead import AES_GCM_SIV, NONCE_LENGTH, TAG_LENGTH, InvalidTag
from handfast.crypto.entropy import SYSTEM_ENTROPY, Entropy
from handfast.crypto.guard import Guarded
from handfast.errors import ConfigurationError

KEY: Final = 32  # bytes
OVERHEAD: Final = NONCE_LENGTH + TAG_LENGTH


class SealingKey(Guarded):
    """One key of AES-256-GCM-SIV (RFC 8452), with random nonces.

    Nonces are never counted: a machine that is cloned or set back would use one again. Even then this AEAD would only
    show that two plaintexts are the same.
    """

    __slots__ = ("_aead", "_entropy")

    def __init__(self, key: bytes, entropy: Entropy = SYSTEM_ENTROPY) -> None:
        self._aead = AES_GCM_SIV(key)
        self._entropy = entropy

    @classmethod
    def of_secret(cls, secret: bytes, purpose: str, entropy: Entropy = SYSTEM_ENTROPY) -> SealingKey:
        """A key of its own for each purpose of a secret that a fleet shares: 32 random bytes or more, no password."""
        if len(secret) < KEY:
            raise ConfigurationError(setting="secret", problem=f"has to have {KEY} random bytes or more")
        return cls(hmac.digest(secret, b"handfast " + purpose.encode("ascii"), "sha256"), entropy)

    def seal(self, content: bytes, context: bytes) -> bytes:
        """Nonce, ciphertext and tag: ``OVERHEAD`` bytes more than the content. ``context`` is authenticated too."""
        nonce = self._entropy.random(NONCE_LENGTH)
        return nonce + self._aead.encrypt(nonce, content, context)

    def open(self, sealed: bytes, context: bytes) -> bytes | None:
        """What was sealed in this context; None for anything else. The tag is compared in constant time."""
        if len(sealed) < OVERHEAD:
            return None
        try:
            return self._aead.decrypt(sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:], context)
        except InvalidTag:
            return None
