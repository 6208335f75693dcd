"""What certificates come in: PEM, DER, PKCS#7 (certs-only) and PKCS#12, told apart by looking."""

from __future__ import annotations

import base64
from typing import Final

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import InvalidVersion

from handfast.certificates import pem
from handfast.certificates.loading import pkcs12_content
from handfast.certificates.parsed import parsed
from handfast.errors import CertificateError, ConfigurationError
from handfast.reasons import NOT_A_CERTIFICATE

_SEQUENCE: Final = b"0"
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")  # the content type of PKCS#7 (RFC 2315 section 14)
_PKCS7_LABELS: Final = ("PKCS7", "CMS")
# What `cryptography` raises for broken contents; of these a bad version is no ValueError.
_BROKEN: Final = (ValueError, TypeError, UnsupportedAlgorithm, InternalError, InvalidVersion)
_HEADER: Final = 8  # bytes at most before the content type: a sequence and its length, also of indefinite form


def certificates(data: bytes) -> list[bytes]:
    """The DER of the certificates in PEM, DER or PKCS#7 ``data``; each can be parsed.

    Keys and whatever else stands between PEM blocks is passed over. Raises CertificateError (NOT_A_CERTIFICATE or
    CertificateUnreadable) where there is none, or one that cannot be read.
    """
    found = _any(data)
    if not found:
        raise CertificateError(NOT_A_CERTIFICATE, problem="it has none")
    for der in found:
        parsed(der)
    return found


def of_pkcs12(data: bytes, password: str | None, source: str) -> list[bytes]:
    """The certificates in a PKCS#12 file, that of its key first. The key is not looked at.

    Raises ConfigurationError: KEY_ENCRYPTED where the password is wrong, NOT_A_CERTIFICATE where there is none, PASSWORD_TOO_SLOW.
    """
    _, found = pkcs12_content(data, (password,), source, NOT_A_CERTIFICATE)
    if not found:
        raise ConfigurationError(NOT_A_CERTIFICATE, file=source, problem="it has none")
    return found


def _any(data: bytes) -> list[bytes]:
    if pem.is_pem(data):
        bundles = [_of_pkcs7(item.body, encoded=True) for item in pem.blocks(data, *_PKCS7_LABELS)]
        return [*pem.certificates(data), *(der for bundle in bundles for der in bundle)]
    if data[:1] != _SEQUENCE:
        return []
    if 0 < data[: _HEADER + len(_SIGNED_DATA)].find(_SIGNED_DATA) <= _HEADER:
        return _of_pkcs7(data)
    return pem.certificates(data)


def _of_pkcs7(data: bytes, *, encoded: bool = False) -> list[bytes]:
    try:
        found = pkcs7.load_der_pkcs7_certificates(base64.b64decode(data) if encoded else data)
    except _BROKEN as error:
        raise CertificateError(NOT_A_CERTIFICATE, problem=f"the PKCS#7 is broken: {error}") from None
    return [item.public_bytes(Encoding.DER) for item in found]
