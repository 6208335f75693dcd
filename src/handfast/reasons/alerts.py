"""Alert descriptions that reasons refer to (RFC 9846 section 6); the registry is wire.codepoints.AlertDescription."""

from __future__ import annotations

UNEXPECTED_MESSAGE = 10
BAD_RECORD_MAC = 20
RECORD_OVERFLOW = 22
HANDSHAKE_FAILURE = 40
BAD_CERTIFICATE = 42
UNSUPPORTED_CERTIFICATE = 43
CERTIFICATE_REVOKED = 44
CERTIFICATE_EXPIRED = 45
CERTIFICATE_UNKNOWN = 46
ILLEGAL_PARAMETER = 47
UNKNOWN_CA = 48
ACCESS_DENIED = 49
DECODE_ERROR = 50
DECRYPT_ERROR = 51
PROTOCOL_VERSION = 70
INSUFFICIENT_SECURITY = 71
INTERNAL_ERROR = 80
INAPPROPRIATE_FALLBACK = 86
USER_CANCELED = 90
NO_RENEGOTIATION = 100
MISSING_EXTENSION = 109
UNSUPPORTED_EXTENSION = 110
UNRECOGNIZED_NAME = 112
BAD_CERTIFICATE_STATUS_RESPONSE = 113
UNKNOWN_PSK_IDENTITY = 115
CERTIFICATE_REQUIRED = 116
GENERAL_ERROR = 117
NO_APPLICATION_PROTOCOL = 120


def by_name(name: str) -> int:
    """The number of the alert with the RFC's ``name`` ("certificate_revoked"); KeyError if it is none of these."""
    number = globals().get(name.upper())
    if not isinstance(number, int) or not name.islower():
        raise KeyError(name)
    return number
