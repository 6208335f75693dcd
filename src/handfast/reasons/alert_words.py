"""What the sender of an alert says by it, and what whoever gets it can try (RFC 9846 section 6.2).

The one table of these words: of errors (AlertReceived.meaning and .hint) as of the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from handfast.reasons import alerts as A  # noqa: N812 - a name a line below

# Those that no error of ours sends.
_CLOSE_NOTIFY: Final = 0
_DECRYPTION_FAILED: Final = 21
_DECOMPRESSION_FAILURE: Final = 30
_NO_CERTIFICATE: Final = 41
_EXPORT_RESTRICTION: Final = 60
_CERTIFICATE_UNOBTAINABLE: Final = 111
_BAD_CERTIFICATE_HASH_VALUE: Final = 114
_ECH_REQUIRED: Final = 121

_NOT_OURS: Final = "It may be a bug on either side: the peer's log says what it did not like."
_ALERTS: Final[Mapping[int, tuple[str, str]]] = {
    _CLOSE_NOTIFY: ("nothing more will be sent, and nothing was cut off", ""),
    A.UNEXPECTED_MESSAGE: ("a message came that may not come there", _NOT_OURS),
    A.BAD_RECORD_MAC: (
        "a record could not be decrypted",
        "The two sides hold different keys, or bytes were changed on the way: look for a box in between.",
    ),
    A.RECORD_OVERFLOW: ("a record is too long", _NOT_OURS),
    A.HANDSHAKE_FAILURE: (
        "nothing in common: no suite, group or signature scheme that both sides accept",
        "Compare what was offered with what the peer is set up for; some servers send this for a name they do not know.",
    ),
    A.BAD_CERTIFICATE: (
        "something is wrong with the certificate",
        "Look at the certificate that was sent to the peer: its names, its dates, its chain.",
    ),
    A.UNSUPPORTED_CERTIFICATE: (
        "the certificate is of a kind, or for a use, that is not accepted",
        "Use a certificate of another kind (ECDSA P-256 is understood everywhere), for the role of its owner (server or client authentication).",
    ),
    A.CERTIFICATE_REVOKED: ("the certificate has been revoked", "A new certificate is needed."),
    A.CERTIFICATE_EXPIRED: (
        "the certificate has expired, or is not valid yet",
        "Renew the certificate; if its dates look right, the peer's clock may be wrong.",
    ),
    A.CERTIFICATE_UNKNOWN: (
        "the certificate is not accepted, for a reason of the peer's own",
        "The peer's log says why; browsers send this when their user clicks the warning away.",
    ),
    A.ILLEGAL_PARAMETER: ("a field has a value that it may not have", _NOT_OURS),
    A.UNKNOWN_CA: (
        "the issuer of the certificate is not trusted there",
        "Send the whole chain (fullchain.pem), or let the peer trust the root of it.",
    ),
    A.ACCESS_DENIED: (
        "the certificate is good, and not allowed in",
        "The peer's access list does not have it: ask its operator.",
    ),
    A.DECODE_ERROR: ("a message does not parse", _NOT_OURS),
    A.DECRYPT_ERROR: (
        "a signature or a Finished is wrong",
        "The key may not belong to the certificate, or something in between changes messages.",
    ),
    A.PROTOCOL_VERSION: (
        "no version of TLS in common",
        "Offer another version, or update the older side: TLS 1.2 is from 2008, TLS 1.3 from 2018.",
    ),
    A.INSUFFICIENT_SECURITY: (
        "what was offered is too weak for the peer",
        "Offer stronger suites and groups, if any were left out.",
    ),
    A.INTERNAL_ERROR: (
        "something that has nothing to do with the protocol went wrong there",
        "Try again; then the peer's log. Some servers send this for a name they do not know.",
    ),
    A.INAPPROPRIATE_FALLBACK: (
        "a retry with an older version, which was not needed",
        "Connect with the newest version.",
    ),
    A.USER_CANCELED: ("given up, for a reason outside of the protocol", ""),
    A.MISSING_EXTENSION: ("an extension is missing that has to be there", _NOT_OURS),
    A.UNSUPPORTED_EXTENSION: ("an answer to something that was never asked", _NOT_OURS),
    A.UNRECOGNIZED_NAME: (
        "no server of that name is here",
        "Ask for a name that the server has (server_name, SNI).",
    ),
    A.BAD_CERTIFICATE_STATUS_RESPONSE: ("the revocation status is not accepted", "The OCSP staple has to be renewed."),
    A.UNKNOWN_PSK_IDENTITY: ("the session, or the shared key, is not known there", "Start with a full handshake."),
    A.CERTIFICATE_REQUIRED: (
        "a client certificate is needed, and none came",
        "A certificate is needed from one of the authorities that the server names in its CertificateRequest.",
    ),
    A.GENERAL_ERROR: ("something went wrong there, and no other alert fits", "The peer's log says what."),
    A.NO_APPLICATION_PROTOCOL: (
        "no application protocol (ALPN) in common",
        "Offer one that the server speaks, such as h2 or http/1.1, or none.",
    ),
    _ECH_REQUIRED: ("the server needs Encrypted Client Hello", "handfast has no ECH yet."),
    # Of TLS 1.2, and of what was before it.
    _DECRYPTION_FAILED: ("a record could not be decrypted, as it was said before TLS 1.1", _NOT_OURS),
    _DECOMPRESSION_FAILURE: ("a record could not be decompressed", _NOT_OURS),
    _NO_CERTIFICATE: ("no certificate to show, as it was said in SSL 3.0", ""),
    _EXPORT_RESTRICTION: ("keys that were once forbidden to be exported", _NOT_OURS),
    A.NO_RENEGOTIATION: ("no second handshake in this connection", "Open a new connection instead."),
    _CERTIFICATE_UNOBTAINABLE: ("the certificate could not be fetched from where it should be", _NOT_OURS),
    _BAD_CERTIFICATE_HASH_VALUE: ("a certificate that was fetched is another one", _NOT_OURS),
}


def meaning(description: int) -> str:
    """What the sender of an alert says by it."""
    return _ALERTS.get(description, ("an alert that has no name in TLS", ""))[0]


def hint(description: int) -> str:
    """What to try after such an alert; "" where there is nothing to do."""
    return _ALERTS.get(description, ("", _NOT_OURS))[1]
