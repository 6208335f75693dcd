"""Words for code points: what a suite, a group or a scheme is. Those of alerts are in handfast.reasons.alert_words."""

from __future__ import annotations

from typing import Final

from handfast.wire.codepoints import CipherSuite, NamedGroup, SignatureScheme

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
