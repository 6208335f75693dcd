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

# --- the talk before TLS (STARTTLS) ----------------------------------------------------------------------------------
# No alert is sent for any of these: there is no TLS yet.

STARTTLS_NOT_OFFERED = reason(
    "starttls_not_offered",
    None,
    "RFC 3207 section 6",
    "The server does not offer TLS here.",
    "It may have a port of its own for TLS, or it lacks a certificate. An attacker on the way may hide the offer, too.",
)
STARTTLS_REFUSED = reason(
    "starttls_refused",
    None,
    "RFC 3207 section 4",
    "The server refuses to begin TLS.",
    "Its answer says why, as far as it does; its log may say more.",
)
STARTTLS_GARBLED = reason(
    "starttls_garbled",
    None,
    "RFC 5321 section 4.2",
    "What the server says before TLS does not belong to this protocol.",
    "The port may belong to another service, or to TLS from the first byte on.",
)
STARTTLS_TOO_LONG = reason(
    "starttls_too_long",
    None,
    "RFC 5321 section 4.5.3.1",
    "The server says more before TLS than anybody should have to hold.",
)
STARTTLS_CLOSED = reason(
    "starttls_closed",
    None,
    "RFC 3207 section 4",
    "The server closed the connection before TLS could begin.",
    "It may not want to talk to us, or speak another protocol; its log may say more.",
)
STARTTLS_TIMEOUT = reason(
    "starttls_timeout",
    None,
    "RFC 5321 section 4.5.3.2",
    "TLS could not begin within the time allowed: the server did not say what was waited for.",
    "The port may belong to another protocol, in which the client speaks first, or to TLS from the first byte on.",
)
STARTTLS_INJECTED = reason(
    "starttls_injected",
    None,
    "RFC 3207 section 6",
    "Plain text came that nobody had asked for: somebody on the way may have put it there.",
    "What comes before TLS must not be taken for what is said under its protection (CVE-2011-0411, CVE-2021-23222).",
)
