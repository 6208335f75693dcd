"""What a certificate is for by its extendedKeyUsage (RFC 5280 section 4.2.1.12), and what people call that: as the RFC does."""

from __future__ import annotations

from typing import Final, Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

Purpose = Literal["server", "client"]  # whose certificate it is

WANTED: Final[dict[Purpose, x509.ObjectIdentifier]] = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}
_NAMES: Final = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}


def called(usage: x509.ObjectIdentifier) -> str:
    """The name of a usage: "serverAuth"; the number of one that has no name here."""
    return _NAMES.get(usage, usage.dotted_string)
