"""Cipher suites of TLS 1.3 (RFC 9846 appendix B.4): an AEAD for the records and a hash for everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from handfast.crypto.aead import AEAD, AES_GCM, CHACHA20_POLY1305
from handfast.limits import RECORDS_OF_A_KEY
from handfast.wire.codepoints import CipherSuite as C


@dataclass(frozen=True, slots=True, eq=False)  # there is one object a suite, and its identity is hashed quickly
class Suite:
    """One cipher suite.

    ``hash``         its name, as hashlib has it
    ``hash_length``  bytes of a digest, which is the length of every secret too
    ``key_length``   bytes of the AEAD's key
    ``records``      how many records one key may protect (RFC 9846 section 5.5)
    """

    id: int
    aead: AEAD
    hash: str
    hash_length: int
    key_length: int
    records: int

    @property
    def name(self) -> str:
        """The RFC's name."""
        return C.name(self.id)


SUITES: Final = {
    suite.id: suite
    for suite in (
        Suite(C.TLS_AES_128_GCM_SHA256, AES_GCM, "sha256", 32, 16, RECORDS_OF_A_KEY),
        Suite(C.TLS_AES_256_GCM_SHA384, AES_GCM, "sha384", 48, 32, RECORDS_OF_A_KEY),
        Suite(C.TLS_CHACHA20_POLY1305_SHA256, CHACHA20_POLY1305, "sha256", 32, 32, 1 << 62),
    )
}
