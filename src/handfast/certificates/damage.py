"""What is wrong with bytes that are no certificate, in words: parsers say it in terms of their own."""

from __future__ import annotations

import re
from typing import Final

from cryptography import x509

_SEQUENCE: Final = 0x30
_LARGEST: Final = 1 << 24  # bytes of a certificate (RFC 9846 section 4.5.1)
_LONG: Final = 0x80  # of a length that has more bytes than one (X.690 section 8.1.3.5)

# The fields of a certificate (RFC 5280 section 4.1), by the names that `cryptography` has for them where it says at which it
# stopped. That is for people alone: where it says nothing that is known here, the place is left out.
_FIELD: Final = re.compile(r'"(?:Certificate::|TbsCertificate::)?(\w+)"')
_FIELDS: Final = {
    "version": "version",
    "serial": "serial number",
    "signature_alg": "signature algorithm",
    "issuer": "issuer",
    "validity": "dates",
    "subject": "subject",
    "spki": "public key",
    "raw_extensions": "extensions",
    "subject_alternative_name": "subjectAltName",
    "signature": "signature",
}


def damage(der: bytes, error: Exception) -> str:
    """Of bytes that should be a certificate, and the error that reading them raised."""
    if isinstance(error, x509.InvalidVersion):
        return f"it is of version {error.parsed_version + 1}, and certificates are of version 3 or 1"
    if isinstance(error, x509.DuplicateExtension):
        return f"it has the extension {error.oid._name} ({error.oid.dotted_string}) twice (RFC 5280 section 4.2)"
    if der.startswith(b"-----BEGIN"):
        return "it is text (PEM), and belongs here in its binary form (DER)"
    if not der or der[0] != _SEQUENCE:
        return "it does not begin as a certificate does"
    announced = _announced(der)
    if announced > _LARGEST:
        return "it does not begin as a certificate does"
    if announced > len(der):
        return f"it is cut: of {announced} bytes {len(der)} are there"
    if announced < len(der):
        return f"after its {announced} bytes {len(der) - announced} more follow"
    return f"it is not built as a certificate is{_place(str(error))}"


def _place(said: str) -> str:
    if "ParseError" not in said:
        return f": {said}"
    found = [_FIELDS[name] for name in _FIELD.findall(said) if name in _FIELDS]
    return f", in its {found[-1]}" if found else ""


def _announced(der: bytes) -> int:
    """How many bytes there should be, by the length in front."""
    if len(der) < 2 or der[1] < _LONG:
        return 2 + (der[1] if len(der) > 1 else 0)
    size = der[1] - _LONG
    return 2 + size + int.from_bytes(der[2 : 2 + size])
