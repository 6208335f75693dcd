"""Nothing in common, and proofs that do not hold."""

from __future__ import annotations

from handfast.reasons import alerts
from handfast.reasons.table import reason

# --- nothing in common -----------------------------------------------------------------------------------------------

NO_COMMON_VERSION = reason(
    "no_common_version",
    alerts.PROTOCOL_VERSION,
    "RFC 9846 section 4.3.1",
    "The peer does not speak a version of TLS that we accept.",
    "Accept the version that the other side has, or update the older side: TLS 1.2 is from 2008.",
)
INAPPROPRIATE_FALLBACK = reason(
    "inappropriate_fallback",
    alerts.INAPPROPRIATE_FALLBACK,
    "RFC 7507 section 3",
    "The client has fallen back to an older version, though this server speaks a newer one.",
    "Something between the two sides may have broken the client's first try.",
)
NO_COMMON_SUITE = reason(
    "no_common_suite",
    alerts.HANDSHAKE_FAILURE,
    "RFC 9846 section 4.2.1",
    "The two sides have no cipher suite in common.",
)
NO_COMMON_GROUP = reason(
    "no_common_group",
    alerts.HANDSHAKE_FAILURE,
    "RFC 9846 section 4.2.1",
    "The two sides have no group for the key exchange in common.",
    "Offer x25519 or secp256r1, which are known nearly everywhere.",
)
NO_COMMON_SIGNATURE_SCHEME = reason(
    "no_common_signature_scheme",
    alerts.HANDSHAKE_FAILURE,
    "RFC 9846 section 4.3.3",
    "None of our identities can sign in a way that the client accepts.",
    "Add an identity with another kind of key.",
)
NO_COMMON_ALPN = reason(
    "no_common_alpn",
    alerts.NO_APPLICATION_PROTOCOL,
    "RFC 7301 section 3.2",
    "The two sides have no application protocol in common.",
)
UNRECOGNIZED_NAME = reason(
    "unrecognized_name",
    alerts.UNRECOGNIZED_NAME,
    "RFC 6066 section 3",
    "No identity of this server fits the name that the client asked for.",
)

# --- proofs ----------------------------------------------------------------------------------------------------------

BAD_SIGNATURE = reason(
    "bad_signature",
    alerts.DECRYPT_ERROR,
    "RFC 9846 section 4.5.2",
    "The signature of the handshake is wrong: the peer did not prove that it holds the certificate's key.",
)
WRONG_SIGNATURE_TYPE = reason(
    "wrong_signature_type",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.5.2",
    "The signature scheme does not fit the key in the peer's certificate.",
)
BAD_FINISHED = reason(
    "bad_finished",
    alerts.DECRYPT_ERROR,
    "RFC 9846 section 4.5.3",
    "Finished does not match: the two sides saw different handshakes.",
)
