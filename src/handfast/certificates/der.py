"""The few bytes of a certificate that `cryptography` parses slowly or does not give (RFC 5280 section 4.1)."""

from __future__ import annotations

from typing import NamedTuple


class Raw(NamedTuple):
    """Encoded parts of a certificate, as they stand in it.

    ``signature`` and ``signature_algorithm`` have to be the same: one is signed, the other stands beside (section
    4.1.1.2).
    """

    signature: bytes
    signature_algorithm: bytes
    issuer: bytes
    subject: bytes
    subject_public_key_info: bytes


EMPTY_NAME = b"\x30\x00"


def parts(certificate: bytes) -> Raw:
    """Cut a certificate that has been parsed before, so that its lengths are known to be right."""
    start, _ = _span(certificate, 0)  # Certificate
    at, outside = _span(certificate, start)  # tbsCertificate
    if certificate[at] == 0xA0:  # version, missing in version 1
        _, at = _span(certificate, at)
    _, signature = _span(certificate, at)  # serialNumber
    _, issuer = _span(certificate, signature)
    _, validity = _span(certificate, issuer)
    _, subject = _span(certificate, validity)
    _, key = _span(certificate, subject)
    _, end = _span(certificate, key)
    return Raw(
        signature=certificate[signature:issuer],
        signature_algorithm=certificate[outside : _span(certificate, outside)[1]],
        issuer=certificate[issuer:validity],
        subject=certificate[subject:key],
        subject_public_key_info=certificate[key:end],
    )


# The hash algorithms of NIST (2.16.840.1.101.3.4.2), by the last number of their identifier.
_HASHES = b"\x60\x86\x48\x01\x65\x03\x04\x02"
_BITS = {1: 256, 2: 384, 3: 512}


def pss_hash_bits(subject_public_key_info: bytes) -> int | None:
    """The one hash that an id-RSASSA-PSS key may be used with, in bits (RFC 4055 section 3.1); None if any may.

    0 for SHA-1, which is what parameters mean that do not name a hash.
    """
    start, _ = _span(subject_public_key_info, 0)
    start, end = _span(subject_public_key_info, start)  # algorithm
    _, parameters = _span(subject_public_key_info, start)
    if parameters == end:
        return None
    # The hash comes first; the mask generation function names it again.
    found = subject_public_key_info[parameters:end].partition(_HASHES)[2]
    return _BITS.get(found[0], 0) if found else 0


def _span(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at ``at`` begins, and where it ends."""
    length = data[at + 1]
    start = at + 2
    if length > 0x7F:
        size = length & 0x7F
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    return start, start + length
