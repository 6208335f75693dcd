"""Words for code points: what a suite, a group, a scheme or an alert is, and what to try when an alert came."""

from __future__ import annotations

from typing import Final

from handfast.wire.codepoints import AlertDescription, CipherSuite, NamedGroup, SignatureScheme

S = CipherSuite
_SUITES: Final = {
    S.TLS_AES_128_GCM_SHA256: "AES-128 in GCM mode seals the records, SHA-256 derives the keys",
    S.TLS_AES_256_GCM_SHA384: "AES-256 in GCM mode seals the records, SHA-384 derives the keys",
    S.TLS_CHACHA20_POLY1305_SHA256: "ChaCha20-Poly1305 seals the records, SHA-256 derives the keys",
    S.TLS_AES_128_CCM_SHA256: "AES-128 in CCM mode seals the records, SHA-256 derives the keys",
    S.TLS_AES_128_CCM_8_SHA256: "AES-128 in CCM mode seals the records, with short tags; SHA-256 derives the keys",
    S.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "fresh keys by elliptic curves, an ECDSA certificate, AES-128 in GCM mode",
    S.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "fresh keys by elliptic curves, an ECDSA certificate, AES-256 in GCM mode",
    S.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "fresh keys by elliptic curves, an ECDSA certificate, ChaCha20-Poly1305",
    S.TLS_ECDHE_ECDSA_WITH_AES_128_CCM: "fresh keys by elliptic curves, an ECDSA certificate, AES-128 in CCM mode",
    S.TLS_ECDHE_ECDSA_WITH_AES_256_CCM: "fresh keys by elliptic curves, an ECDSA certificate, AES-256 in CCM mode",
    S.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8: "fresh keys by elliptic curves, an ECDSA certificate, AES-128 in CCM mode with short tags",
    S.TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8: "fresh keys by elliptic curves, an ECDSA certificate, AES-256 in CCM mode with short tags",
    S.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "fresh keys by elliptic curves, an RSA certificate, AES-128 in GCM mode",
    S.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "fresh keys by elliptic curves, an RSA certificate, AES-256 in GCM mode",
    S.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "fresh keys by elliptic curves, an RSA certificate, ChaCha20-Poly1305",
}

G = NamedGroup
_GROUPS: Final = {
    G.X25519MLKEM768: "X25519 and post-quantum ML-KEM-768 together: one of the two has to hold",
    G.SECP256R1MLKEM768: "P-256 and post-quantum ML-KEM-768 together: one of the two has to hold",
    G.SECP384R1MLKEM1024: "P-384 and post-quantum ML-KEM-1024 together: one of the two has to hold",
    G.MLKEM512: "post-quantum ML-KEM-512",
    G.MLKEM768: "post-quantum ML-KEM-768",
    G.MLKEM1024: "post-quantum ML-KEM-1024",
    G.X25519: "an elliptic curve, fast and hard to get wrong; no match for a quantum computer",
    G.X448: "an elliptic curve, X25519's bigger sister; no match for a quantum computer",
    G.SECP256R1: "NIST's elliptic curve P-256; no match for a quantum computer",
    G.SECP384R1: "NIST's elliptic curve P-384; no match for a quantum computer",
    G.SECP521R1: "NIST's elliptic curve P-521; no match for a quantum computer",
}

C = SignatureScheme
_SCHEMES: Final = {
    C.ECDSA_SECP256R1_SHA256: "ECDSA on P-256 with SHA-256",
    C.ECDSA_SECP384R1_SHA384: "ECDSA on P-384 with SHA-384",
    C.ECDSA_SECP521R1_SHA512: "ECDSA on P-521 with SHA-512",
    C.ED25519: "EdDSA on Curve25519",
    C.ED448: "EdDSA on Curve448",
    C.RSA_PSS_RSAE_SHA256: "RSA-PSS with SHA-256, by an ordinary RSA key",
    C.RSA_PSS_RSAE_SHA384: "RSA-PSS with SHA-384, by an ordinary RSA key",
    C.RSA_PSS_RSAE_SHA512: "RSA-PSS with SHA-512, by an ordinary RSA key",
    C.RSA_PSS_PSS_SHA256: "RSA-PSS with SHA-256, by a key for PSS alone",
    C.RSA_PSS_PSS_SHA384: "RSA-PSS with SHA-384, by a key for PSS alone",
    C.RSA_PSS_PSS_SHA512: "RSA-PSS with SHA-512, by a key for PSS alone",
    C.RSA_PKCS1_SHA256: "RSA PKCS#1 with SHA-256",
    C.RSA_PKCS1_SHA384: "RSA PKCS#1 with SHA-384",
    C.RSA_PKCS1_SHA512: "RSA PKCS#1 with SHA-512",
    C.RSA_PKCS1_SHA1: "RSA PKCS#1 with SHA-1, which is broken",
    C.ECDSA_SHA1: "ECDSA with SHA-1, which is broken",
    C.MLDSA44: "post-quantum ML-DSA-44",
    C.MLDSA65: "post-quantum ML-DSA-65",
    C.MLDSA87: "post-quantum ML-DSA-87",
}
_SCHEMES_12: Final = {
    C.ECDSA_SECP256R1_SHA256: "ECDSA with SHA-256",
    C.ECDSA_SECP384R1_SHA384: "ECDSA with SHA-384",
    C.ECDSA_SECP521R1_SHA512: "ECDSA with SHA-512",
}

# What the sender of an alert says by it; and what whoever gets it can try.
A = AlertDescription
_NOT_OURS: Final = "It may be a bug on either side: the peer's log says what it did not like."
_ALERTS: Final = {
    A.CLOSE_NOTIFY: ("nothing more will be sent, and nothing was cut off", ""),
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
        "Ask for a name that the server has: --servername NAME.",
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
        "Offer one that the server speaks, such as --alpn h2,http/1.1, or none.",
    ),
    A.ECH_REQUIRED: ("the server needs Encrypted Client Hello", "handfast has no ECH yet."),
    # Of TLS 1.2, and of what was before it.
    A.DECRYPTION_FAILED: ("a record could not be decrypted, as it was said before TLS 1.1", _NOT_OURS),
    A.DECOMPRESSION_FAILURE: ("a record could not be decompressed", _NOT_OURS),
    A.NO_CERTIFICATE: ("no certificate to show, as it was said in SSL 3.0", ""),
    A.EXPORT_RESTRICTION: ("keys that were once forbidden to be exported", _NOT_OURS),
    A.NO_RENEGOTIATION: ("no second handshake in this connection", "Open a new connection instead."),
    A.CERTIFICATE_UNOBTAINABLE: ("the certificate could not be fetched from where it should be", _NOT_OURS),
    A.BAD_CERTIFICATE_HASH_VALUE: ("a certificate that was fetched is another one", _NOT_OURS),
}


def suite(value: int) -> str:
    """What a cipher suite is for; "" for one that has no words."""
    return _SUITES.get(value, "")


def group(value: int) -> str:
    """What kind of key exchange a group is."""
    return _GROUPS.get(value, "")


def scheme(value: int) -> str:
    """What kind of signature a scheme is."""
    return _SCHEMES.get(value, "")


def scheme_12(value: int) -> str:
    """The same in TLS 1.2, where a scheme of ECDSA names the hash alone, and any curve goes (RFC 5246 section 7.4.1.4.1)."""
    return _SCHEMES_12.get(value) or scheme(value)


def alert(description: int) -> str:
    """What the sender of an alert says by it."""
    return _ALERTS.get(description, ("an alert that has no name in TLS", ""))[0]


def alert_hint(description: int) -> str:
    """What to try after such an alert; "" where there is nothing to do."""
    return _ALERTS.get(description, ("", _NOT_OURS))[1]
