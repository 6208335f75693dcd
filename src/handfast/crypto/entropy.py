"""Where randomness comes from. It can be replaced for tests alone, so that a handshake can be replayed byte for byte."""

from __future__ import annotations

import os
from typing import Protocol

from handfast.crypto.groups import GROUPS, Share, new_shares


class Entropy(Protocol):
    """All that is random in a handshake, but for signatures (a test's signer can be deterministic by itself)."""

    def random(self, length: int) -> bytes:
        """``length`` unpredictable bytes."""

    def new_shares(self, groups: tuple[int, ...]) -> list[Share]:
        """A fresh key share for each group."""

    def encapsulate(self, group: int, public: bytes) -> tuple[bytes, bytes]:
        """Our share and the shared secret, in answer to the peer's share."""


class SystemEntropy:
    """The operating system's randomness (RFC 9846 appendix C.1), and fresh keys made with it."""

    def random(self, length: int) -> bytes:
        """``length`` unpredictable bytes."""
        return os.urandom(length)

    def new_shares(self, groups: tuple[int, ...]) -> list[Share]:
        """A fresh key share for each group."""
        return new_shares(groups)

    def encapsulate(self, group: int, public: bytes) -> tuple[bytes, bytes]:
        """Our share and the shared secret, in answer to the peer's share."""
        return GROUPS[group].encapsulate(public)


SYSTEM_ENTROPY = SystemEntropy()
