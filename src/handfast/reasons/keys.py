"""Our own certificates and keys: what was found when they were loaded, and keys that are kept elsewhere."""

from __future__ import annotations

from handfast.reasons import alerts
from handfast.reasons.table import reason

# --- notes on a chain of ours: no errors

CHAIN_REORDERED = reason(
    "chain_reordered",
    None,
    "RFC 9846 section 4.5.1",
    "The certificates were not in the order in which they are sent, and have been put into it.",
    "Our own comes first, then the one that issued it, and so on: so every program can use the file.",
)
ROOT_LEFT_OUT = reason(
    "root_left_out",
    None,
    "RFC 9846 section 4.5.1",
    "A root is among the certificates, and is not sent: whoever trusts it has it.",
)
DUPLICATE_LEFT_OUT = reason(
    "duplicate_left_out",
    None,
    "RFC 9846 section 4.5.1",
    "A certificate is there more than once, and is sent once.",
)
STRAY_LEFT_OUT = reason(
    "stray_left_out",
    None,
    "RFC 9846 section 4.5.1",
    "A certificate has nothing to do with our own, and is not sent.",
)
CHAIN_CUT = reason(
    "chain_cut",
    None,
    "RFC 7468 section 2",
    "The file is cut: its last certificate begins and does not end, and is left out.",
    "Copy the file anew, or peers may not find a way to a root.",
)
OWN_CERTIFICATE_EXPIRED = reason(
    "own_certificate_expired",
    None,
    "RFC 5280 section 4.1.2.5",
    "A certificate of our own chain has expired, so peers will refuse it.",
    "Renew it; if the dates look right, check this machine's clock.",
)
OWN_CERTIFICATE_NOT_YET_VALID = reason(
    "own_certificate_not_yet_valid",
    None,
    "RFC 5280 section 4.1.2.5",
    "A certificate of our own chain is not valid yet, so peers will refuse it.",
    "Check this machine's clock first.",
)
OWN_CERTIFICATE_WRONG_USAGE = reason(
    "own_certificate_wrong_usage",
    None,
    "RFC 5280 section 4.2.1.12",
    "Our own certificate is not for this use, so most peers will refuse it.",
    "Have it issued for it: serverAuth for a server, clientAuth for a client, and digitalSignature for both.",
)
OWN_CERTIFICATE_WITHOUT_NAMES = reason(
    "own_certificate_without_names",
    None,
    "RFC 9525 section 4",
    "Our own certificate has no DNS name and no address, so clients will refuse the server.",
    "Have it issued with a subjectAltName: a common name alone is not looked at any more.",
)
OWN_INTERMEDIATE_MISSING = reason(
    "own_intermediate_missing",
    None,
    "RFC 9846 section 4.5.1.2",
    "Our own certificate stands alone, and says where its issuer's can be had: an intermediate seems to be missing.",
    "Give the whole chain (fullchain.pem, not cert.pem), or peers may not find a way to a root.",
)

# --- keys in files

PASSWORD_TOO_SLOW = reason(
    "password_too_slow",
    None,
    "RFC 8018 section 4.2",
    "To open this file with its password would take too long: it asks for too many rounds.",
    "Where it is yours, write it anew with fewer: openssl pkcs8 -topk8 -iter 600000, or openssl pkcs12 -export -iter 600000.",
)

# --- keys kept elsewhere

KEY_NOT_FOUND = reason(
    "key_not_found",
    None,
    "RFC 7512 section 2.3",
    "No private key answers to this description.",
    "Compare token, label (object) and id with what is there: pkcs11-tool --module LIBRARY --login --list-objects.",
)
KEY_AMBIGUOUS = reason(
    "key_ambiguous",
    None,
    "RFC 7512 section 2.3",
    "More than one private key, or token, answers to this description.",
    "Describe it by more: token, serial, object (the label), id.",
)
BAD_KEY_URI = reason(
    "bad_key_uri",
    None,
    "RFC 7512 section 2.3",
    "This is no pkcs11 URI that can be used.",
    "It is like this one: pkcs11:token=NAME;object=LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so (the library).",
)
PIN_REFUSED = reason(
    "pin_refused",
    alerts.INTERNAL_ERROR,
    "RFC 9846 section 4.5.2",
    "The token does not accept the PIN.",
    "It is not tried again: a token locks itself after a few wrong ones.",
)
PIN_MISSING = reason(
    "pin_missing",
    alerts.INTERNAL_ERROR,
    "RFC 7512 section 2.4",
    "The token wants a PIN, and none is given.",
    "Name a file that has it, in the URI: pin-source=file:/path. Where there is a terminal, a command asks for it.",
)
KEY_UNAVAILABLE = reason(
    "key_unavailable",
    alerts.INTERNAL_ERROR,
    "RFC 9846 section 4.5.2",
    "The private key is kept elsewhere, and cannot be reached now.",
    "See whether the token is there and its service runs; the next handshake tries again.",
)
SIGNING_FAILED = reason(
    "signing_failed",
    alerts.INTERNAL_ERROR,
    "RFC 9846 section 4.5.2",
    "The private key is kept elsewhere, and did not sign.",
    "The key may not be allowed to sign (CKA_SIGN), or not in this way.",
)
