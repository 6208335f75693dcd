"""Keys and signatures that are too weak to prove anything (RFC 9325 section 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm

from handfast.crypto.signatures import SCHEMES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from handfast.certificates.parsed import Parsed

RSA_BITS: Final = 2048
RSA_BITS_MOST: Final = 8192
RSA_EXPONENT_BITS_MOST: Final = 33
EC_BITS: Final = 256
_TLS_KINDS: Final = frozenset(scheme.key for scheme in SCHEMES.values())
_BROKEN_HASHES: Final = frozenset(("md5", "sha1"))


def weak_key(certificate: Parsed) -> str | None:
    """Why the certificate's key is too weak; None if it is not.

    EC curves are measured; the ones that TLS does not know are the matter of :func:`unusable_key`.
    """
    if certificate.kind.startswith("rsa"):
        bits = certificate.key.key_size  # type: ignore[union-attr]
        return None if bits >= RSA_BITS else f"RSA of {bits} bits, at least {RSA_BITS} are needed"
    if certificate.kind in _TLS_KINDS:
        return None
    if certificate.kind.startswith("DSA"):
        return "DSA, which is no longer used"
    bits = getattr(getattr(certificate.key, "curve", None), "key_size", EC_BITS)
    return None if bits >= EC_BITS else f"{certificate.kind} of {bits} bits, at least {EC_BITS} are needed"


def unusable_key(certificate: Parsed) -> str | None:
    """The kind of the certificate's key, where TLS 1.3 has no signature scheme for it (RFC 9846 section 4.3.3)."""
    if certificate.pss is not None and certificate.pss.hash_bits == 0:
        return "RSASSA-PSS, with parameters that no scheme of TLS 1.3 has"
    return None if certificate.kind in _TLS_KINDS else certificate.kind


def excessive_key(certificate: Parsed) -> str | None:
    """Why a signature by the certificate's key would take too long to verify; None if it would not.

    Time grows with the square of the modulus and with the length of the exponent, and the peer chooses both. The limits
    are those of other implementations: 8192 bits as in Go, an exponent of 33 as in BoringSSL and ring.
    """
    if not certificate.kind.startswith("rsa"):
        return None
    if "excessive" not in certificate.notes:
        key: rsa.RSAPublicKey = certificate.key  # type: ignore[assignment]
        bits, exponent = key.key_size, key.public_numbers().e.bit_length()
        problem = None
        if bits > RSA_BITS_MOST:
            problem = f"RSA of {bits} bits, of which more than {RSA_BITS_MOST} take too long to verify"
        elif exponent > RSA_EXPONENT_BITS_MOST:
            problem = (
                f"RSA with an exponent of {exponent} bits, of which more than {RSA_EXPONENT_BITS_MOST} take too long"
            )
        certificate.notes["excessive"] = problem
    found: str | None = certificate.notes["excessive"]
    return found


def weak_signature(certificate: Parsed) -> str | None:
    """Why the issuer's signature proves nothing; None if it does. A trusted root's is not looked at: nobody needs it."""
    try:
        algorithm = certificate.signature_hash
    except (UnsupportedAlgorithm, ValueError):
        return "the hash of the signature is not known here"  # MD2 and older
    return algorithm.name.upper() if algorithm is not None and algorithm.name in _BROKEN_HASHES else None
