"""What is distrusted, whoever vouches for it: certificates and public keys, by their SHA-256."""

from __future__ import annotations

import hashlib
import string

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from handfast.certificates import pem
from handfast.certificates.der import parts
from handfast.errors import ConfigurationError
from handfast.reasons import NOT_A_CERTIFICATE

Root = x509.Certificate | bytes | str


def fingerprints_of(given: Root, *, keys: bool) -> list[bytes]:
    """What stands for a certificate, or for each one of PEM or DER, in what a store refuses."""
    if isinstance(given, str):
        digits = given.replace(":", "").replace(" ", "")
        if len(digits) != 64 or not set(digits) <= set(string.hexdigits):
            problem = "the SHA-256 of a certificate or of a key has 64 hexadecimal digits"
            raise ConfigurationError(setting="without", value=given, problem=problem)
        if keys:
            problem = "a hash does not tell the key: give the certificate, or the SHA-256 of the key without keys=True"
            raise ConfigurationError(setting="without", value=given, problem=problem)
        return [bytes.fromhex(digits)]
    ders = [given.public_bytes(Encoding.DER)] if isinstance(given, x509.Certificate) else pem.certificates(given)
    if not ders:
        raise ConfigurationError(NOT_A_CERTIFICATE, file="what is to be distrusted", problem="it has none")
    for der in ders:
        try:
            x509.load_der_x509_certificate(der)
        except (ValueError, x509.InvalidVersion) as error:  # else it would distrust nobody, and say nothing
            problem = str(error)
            raise ConfigurationError(NOT_A_CERTIFICATE, file="what is to be distrusted", problem=problem) from None
    return [digest for der in ders for digest in digests(der)[: 1 + keys]]


def digests(der: bytes) -> tuple[bytes, bytes]:
    """The SHA-256 of a certificate and of its public key."""
    return hashlib.sha256(der).digest(), hashlib.sha256(parts(der).subject_public_key_info).digest()
