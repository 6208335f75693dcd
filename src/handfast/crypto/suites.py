"""Cipher suites: an AEAD for the records and a hash for everything else (RFC 9846 appendix B.4).

Those of TLS 1.2 name besides how the keys are agreed and with which kind of key the server signs; of these there are only
the ones with ephemeral elliptic curves and an AEAD (RFC 9325 section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from handfast.crypto.aead import (
    AEAD,
    AES_CCM,
    AES_CCM_8,
    AES_GCM,
    CHACHA20_POLY1305,
    NONCE_LENGTH,
    SHORT_TAG_LENGTH,
    TAG_LENGTH,
)
from handfast.limits import RECORDS_OF_A_KEY
from handfast.wire.codepoints import CipherSuite as C


@dataclass(frozen=True, slots=True, eq=False)  # there is one object a suite, and its identity is hashed quickly
class Suite:
    """One cipher suite.

    ``hash``         its name, as hashlib has it
    ``hash_length``  bytes of a digest, which is the length of every secret too
    ``key_length``   bytes of the AEAD's key
    ``records``      how many records one key may protect, before it has to be updated (RFC 9846 section 5.5)
    ``tag_length``   bytes that the AEAD adds
    ``signed_by``    in TLS 1.2: the kind of certificate, "ECDSA" or "RSA"; Ed25519 and Ed448 count as ECDSA (RFC 8422)
    ``explicit_nonce``  in TLS 1.2: bytes of the nonce that each record carries (RFC 5288 section 3)
    """

    id: int
    aead: AEAD
    hash: str
    hash_length: int
    key_length: int
    records: int
    tag_length: int = TAG_LENGTH
    signed_by: str = ""
    explicit_nonce: int = 0

    @property
    def iv_length(self) -> int:
        """Bytes of the nonce that the key schedule gives."""
        return NONCE_LENGTH - self.explicit_nonce

    @property
    def name(self) -> str:
        """The RFC's name."""
        return C.name(self.id)


# RFC 9846 section 5.5 says nothing of CCM. With 2^23 records it is as safe as GCM with 2^24.5 (RFC 9147 section 4.5.3 and
# appendix B). The short tag of CCM_8 changes nothing in that: it is forgery that it makes easier.
_RECORDS_OF_CCM: Final = 1 << 23
# With ChaCha20-Poly1305 the sequence number would wrap before there is a danger.
_RECORDS_OF_CHACHA20: Final = 1 << 62

# In our order of preference. Those with CCM are for small devices, and no default. A record of CCM_8 can be forged by
# guessing 64 bits; the IANA registry does not recommend it.
SUITES: Final = {
    suite.id: suite
    for suite in (
        Suite(C.TLS_AES_128_GCM_SHA256, AES_GCM, "sha256", 32, 16, RECORDS_OF_A_KEY),
        Suite(C.TLS_AES_256_GCM_SHA384, AES_GCM, "sha384", 48, 32, RECORDS_OF_A_KEY),
        Suite(C.TLS_CHACHA20_POLY1305_SHA256, CHACHA20_POLY1305, "sha256", 32, 32, _RECORDS_OF_CHACHA20),
        Suite(C.TLS_AES_128_CCM_SHA256, AES_CCM, "sha256", 32, 16, _RECORDS_OF_CCM),
        Suite(C.TLS_AES_128_CCM_8_SHA256, AES_CCM_8, "sha256", 32, 16, _RECORDS_OF_CCM, SHORT_TAG_LENGTH),
    )
}

_EXPLICIT: Final = 8  # bytes of the nonce that a record of TLS 1.2 carries, but for ChaCha20


def _gcm(code: int, hash_name: str, signed_by: str) -> Suite:
    """A suite of RFC 5289: the larger hash goes with the longer key."""
    hash_length, key_length = (48, 32) if hash_name == "sha384" else (32, 16)
    return Suite(code, AES_GCM, hash_name, hash_length, key_length, RECORDS_OF_A_KEY, TAG_LENGTH, signed_by, _EXPLICIT)


def _chacha20(code: int, signed_by: str) -> Suite:
    """A suite of RFC 7905."""
    return Suite(code, CHACHA20_POLY1305, "sha256", 32, 32, _RECORDS_OF_CHACHA20, TAG_LENGTH, signed_by)


def _ccm(code: int, aead: AEAD, key_length: int, tag_length: int) -> Suite:
    """A suite of RFC 7251."""
    return Suite(code, aead, "sha256", 32, key_length, _RECORDS_OF_CCM, tag_length, "ECDSA", _EXPLICIT)


# Those of TLS 1.2, likewise.
SUITES_12: Final = {
    suite.id: suite
    for suite in (
        _gcm(C.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "sha256", "ECDSA"),
        _gcm(C.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "sha256", "RSA"),
        _gcm(C.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "sha384", "ECDSA"),
        _gcm(C.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "sha384", "RSA"),
        _chacha20(C.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDSA"),
        _chacha20(C.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "RSA"),
        _ccm(C.TLS_ECDHE_ECDSA_WITH_AES_128_CCM, AES_CCM, 16, TAG_LENGTH),
        _ccm(C.TLS_ECDHE_ECDSA_WITH_AES_256_CCM, AES_CCM, 32, TAG_LENGTH),
        _ccm(C.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, AES_CCM_8, 16, SHORT_TAG_LENGTH),
        _ccm(C.TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8, AES_CCM_8, 32, SHORT_TAG_LENGTH),
    )
}
