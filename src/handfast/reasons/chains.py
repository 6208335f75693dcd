"""Certificates."""

from __future__ import annotations

from handfast.reasons import alerts
from handfast.reasons.table import reason

CERTIFICATE_REFUSED = reason(
    "certificate_refused",
    alerts.CERTIFICATE_UNKNOWN,
    "RFC 9846 section 6.2",
    "The peer's certificate was not accepted.",
    "The problem that is named with it says why; in most cases the peer has to change what it sends.",
)
CERTIFICATE_REQUIRED = reason(
    "certificate_required",
    alerts.CERTIFICATE_REQUIRED,
    "RFC 9846 section 4.5.1.3",
    "The client sent no certificate, and this server requires one.",
    "The client needs a certificate from one of the authorities that the server names in its CertificateRequest.",
)
CERTIFICATE_REQUIRED_12 = reason(
    "certificate_required_12",
    alerts.HANDSHAKE_FAILURE,
    "RFC 5246 section 7.4.6",
    "The client sent no certificate in TLS 1.2, and this server requires one.",
    "The client needs a certificate from one of the authorities that the server names in its CertificateRequest.",
)
CERTIFICATE_UNREADABLE = reason(
    "certificate_unreadable",
    alerts.BAD_CERTIFICATE,
    "RFC 5280 section 4.1",
    "A certificate of the peer's chain cannot be parsed.",
    "Its owner has to install it anew from what the issuer gave out; if that is the same, the issuer has to make it anew.",
)
UNSUPPORTED_PUBLIC_KEY = reason(
    "unsupported_public_key",
    alerts.UNSUPPORTED_CERTIFICATE,
    "RFC 9846 section 4.5.1.2",
    "The certificate's key is of a kind or size that cannot be used here.",
    "Its owner has to make a new key, such as ECDSA with P-256 or RSA of 2048 bits, and have a certificate issued for it.",
)
CERTIFICATE_EXPIRED = reason(
    "certificate_expired",
    alerts.CERTIFICATE_EXPIRED,
    "RFC 5280 section 4.1.2.5",
    "A certificate has expired.",
    "Its owner has to renew it; if the dates look right, check this machine's clock.",
)
CERTIFICATE_NOT_YET_VALID = reason(
    "certificate_not_yet_valid",
    alerts.BAD_CERTIFICATE,
    "RFC 5280 section 4.1.2.5",
    "A certificate is not valid yet.",
    "Check this machine's clock first; if it is right, the certificate was put to use too early.",
)
CERTIFICATE_NAME_MISMATCH = reason(
    "certificate_name_mismatch",
    alerts.BAD_CERTIFICATE,
    "RFC 9525 section 6",
    "The certificate is for other names than the one asked for.",
    "Connect by one of the names in the certificate, or have this name added to it.",
)
CERTIFICATE_WITHOUT_NAMES = reason(
    "certificate_without_names",
    alerts.BAD_CERTIFICATE,
    "RFC 9525 section 2",
    "The certificate has no subjectAltName, so there is no name to compare.",
    "A common name alone is not trusted any more: have the certificate issued with a subjectAltName.",
)
CERTIFICATE_WRONG_USAGE = reason(
    "certificate_wrong_usage",
    alerts.UNSUPPORTED_CERTIFICATE,
    "RFC 5280 section 4.2.1",
    "A certificate is not allowed to be used for this.",
    "Have it issued for this use: extendedKeyUsage serverAuth for a server, clientAuth for a client, and keyUsage digitalSignature.",
)
NOT_A_CA = reason(
    "not_a_ca",
    alerts.BAD_CERTIFICATE,
    "RFC 5280 section 4.2.1.9",
    "A certificate was used to issue another one, but is not a certificate authority's.",
    "Have the one below it issued by an authority. If this is your own, make it anew with CA:TRUE and keyCertSign.",
)
UNKNOWN_ISSUER = reason(
    "unknown_issuer",
    alerts.UNKNOWN_CA,
    "RFC 5280 section 6.1",
    "The chain ends at an issuer that is not trusted here.",
    "If the issuer is your own, give its root certificate as a trust anchor (--ca FILE). If not, the peer may not be who it says.",
)
MISSING_INTERMEDIATE = reason(
    "missing_intermediate",
    alerts.UNKNOWN_CA,
    "RFC 9846 section 4.5.1",
    "The chain does not reach a trusted root: the peer seems to have left out an intermediate certificate.",
    "It has to send the whole chain (fullchain.pem, not cert.pem). If the issuer is a root of your own, trust it (--ca FILE).",
)
SELF_SIGNED_CERTIFICATE = reason(
    "self_signed_certificate",
    alerts.UNKNOWN_CA,
    "RFC 5280 section 6.1",
    "The certificate is signed by its own key, and is not among the trusted ones.",
    "If it is the right one, give it as a trust anchor (--ca FILE).",
)
BAD_CERTIFICATE_SIGNATURE = reason(
    "bad_certificate_signature",
    alerts.BAD_CERTIFICATE,
    "RFC 5280 section 6.1.3",
    "A certificate's signature does not verify with its issuer's key.",
    "Either the certificate was changed, or its issuer has another key under the same name: install it anew, with its whole chain.",
)
WEAK_KEY = reason(
    "weak_key",
    alerts.BAD_CERTIFICATE,
    "RFC 9325 section 4.5",
    "A key in the chain is too weak.",
    "Its owner has to make a new key: RSA of 2048 bits or more, or ECDSA with P-256 or stronger.",
)
WEAK_EXPONENT = reason(
    "weak_exponent",
    alerts.BAD_CERTIFICATE,
    "RFC 8017 section 3.1",
    "An RSA key in the chain has an exponent that is too small, or even.",
    "Its owner has to make a new key, with the usual exponent of 65537.",
)
ROCA_KEY = reason(
    "roca_key",
    alerts.BAD_CERTIFICATE,
    "RFC 9325 section 4.5",
    "An RSA key in the chain can be factored: a chip's faulty library made it (ROCA, CVE-2017-15361).",
    "Its owner has to make a new key elsewhere, and should have this certificate revoked.",
)
DEBIAN_KEY = reason(
    "debian_key",
    alerts.BAD_CERTIFICATE,
    "RFC 5280 section 5.3.1",
    "A key in the chain can be guessed: Debian's OpenSSL of 2006 to 2008 made only some ten thousand of each size (CVE-2008-0166).",
    "Its owner has to make a new key, and should have this certificate revoked.",
)
LEAKED_KEY = reason(
    "leaked_key",
    alerts.BAD_CERTIFICATE,
    "RFC 5280 section 5.3.1",
    "The private key of a certificate in the chain is public.",
    "Its owner has to make a new key that nobody else has, and should have this certificate revoked.",
)
TOO_MANY_COMPARISONS = reason(
    "too_many_comparisons",
    alerts.BAD_CERTIFICATE,
    "RFC 5280 section 4.2.1.10",
    "The chain has so many names and constraints of names that it would take too long to compare them.",
    "No honest chain has so many. Its issuer should make several certificates in place of one, with fewer names each.",
)
PEER_NOT_ALLOWED = reason(
    "peer_not_allowed",
    alerts.ACCESS_DENIED,
    "RFC 9846 section 6.2",
    "The peer is not among those that the rules here allow.",
    "If this peer is to be allowed, add a rule for its id. If its certificate has no id, have it issued with one.",
)
WEAK_SIGNATURE = reason(
    "weak_signature",
    alerts.BAD_CERTIFICATE,
    "RFC 9325 section 4.5",
    "A certificate in the chain is signed with a hash that is broken.",
    "Its issuer has to sign it with SHA-256 or better.",
)
CERTIFICATE_RULE_BROKEN = reason(
    "certificate_rule_broken",
    alerts.BAD_CERTIFICATE,
    "RFC 5280 section 4.2",
    "A certificate breaks a rule of the certificate profile.",
    "Have it issued anew, or relax this one rule with the switch that is named.",
)
