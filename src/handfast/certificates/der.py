"""The few bytes of a certificate that `cryptography` parses slowly or does not give (RFC 5280 section 4.1)."""

from __future__ import annotations

from typing import NamedTuple


class Raw(NamedTuple):
    """Encoded parts of a TBSCertificate, as they stand in it."""

    issuer: bytes
    subject: bytes
    subject_public_key_info: bytes


EMPTY_NAME = b"\x30\x00"


def parts(certificate: bytes) -> Raw:
    """Cut a certificate that has been parsed before, so that its lengths are known to be right."""
    start, _ = _span(certificate, 0)  # Certificate
    at, _ = _span(certificate, start)  # tbsCertificate
    if certificate[at] == 0xA0:  # version, missing in version 1
        _, at = _span(certificate, at)
    _, at = _span(certificate, at)  # serialNumber
    _, issuer = _span(certificate, at)  # signature
    _, validity = _span(certificate, issuer)
    _, subject = _span(certificate, validity)
    _, key = _span(certificate, subject)
    _, end = _span(certificate, key)
    return Raw(certificate[issuer:validity], certificate[subject:key], certificate[key:end])


def _span(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at ``at`` begins, and where it ends."""
    length = data[at + 1]
    start = at + 2
    if length > 0x7F:
        size = length & 0x7F
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    return start, start + length
