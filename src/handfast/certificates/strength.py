"""Keys and signatures that are too weak to prove anything (RFC 9325 section 4.5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import gcd, isqrt, prod
from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import UnsupportedAlgorithm

from handfast import reasons
from handfast.certificates.der import names_its_curve, rsa_numbers
from handfast.certificates.kinds import hash_called
from handfast.crypto.signatures import SCHEMES
from handfast.limits import RSA_BITS_MOST, RSA_EXPONENT_BITS_MOST

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from handfast.certificates.parsed import Parsed
    from handfast.crypto.signatures import PublicKey
    from handfast.reasons import Reason

RSA_BITS: Final = 2048
RSA_EXPONENT: Final = 65_537  # the CA/Browser Forum's baseline requirements, section 6.1.6
EC_BITS: Final = 256
_TLS_KINDS: Final = frozenset(scheme.key for scheme in SCHEMES.values())
_BROKEN_HASHES: Final = frozenset(("md5", "sha1"))


@dataclass(frozen=True, slots=True)
class Weakness:
    """Why a key is too weak.

    ``tolerable``  in a trusted root, which signs a few certificates of authorities and nothing else: roots of the
                   nineties have the exponent 3
    """

    reason: Reason
    sentence: str
    tolerable: bool = False


def weak_key(certificate: Parsed) -> Weakness | None:
    """Why the certificate's key is too weak; None if it is not.

    EC curves are measured; the ones that TLS does not know are the matter of :func:`unusable_key`.
    """
    return weakness(certificate.kind, certificate.key, certificate.raw.subject_public_key_info)


def weakness(kind: str, key: PublicKey | None, encoded: bytes) -> Weakness | None:
    """The same of a key by itself. ``encoded``: as it stands in a certificate or a request (subjectPublicKeyInfo)."""
    if kind.startswith("rsa"):
        numbers = cast("rsa.RSAPublicKey", key).public_numbers()
        return _weak_rsa(numbers.n, numbers.e)
    if key is None:
        # `cryptography` makes no key of an exponent that cannot be one. It can be named all the same.
        found = rsa_numbers(encoded)
        return None if found is None else _weak_rsa(*found)
    if kind in _TLS_KINDS:
        return None
    if kind.startswith("DSA"):
        return Weakness(reasons.WEAK_KEY, "DSA, which is no longer used")
    bits = getattr(getattr(key, "curve", None), "key_size", EC_BITS)
    if bits >= EC_BITS:
        return None
    return Weakness(reasons.WEAK_KEY, f"{kind} of {bits} bits, at least {EC_BITS} are needed")


def _weak_rsa(modulus: int, exponent: int) -> Weakness | None:
    bits = modulus.bit_length()
    if bits < RSA_BITS:
        return Weakness(reasons.WEAK_KEY, f"RSA of {bits} bits, at least {RSA_BITS} are needed")
    if exponent % 2 == 0:
        return Weakness(
            reasons.WEAK_EXPONENT, f"RSA with the exponent {_number(exponent)}, and an even one has no inverse"
        )
    if exponent < RSA_EXPONENT:
        sentence = f"RSA with the exponent {exponent}, at least {RSA_EXPONENT} is needed"
        return Weakness(reasons.WEAK_EXPONENT, sentence, tolerable=exponent > 1)
    if modulus % 2 == 0:
        return Weakness(reasons.WEAK_KEY, "RSA with an even modulus, so that one of its factors is 2")
    if has_roca(modulus):
        return Weakness(reasons.ROCA_KEY, f"RSA of {bits} bits, made by Infineon's library")
    factor = small_factor(modulus)
    if factor is not None:
        return Weakness(reasons.WEAK_KEY, f"RSA with a modulus that can be divided by {factor}")
    if bits <= RSA_BITS_MOST and has_close_factors(modulus):
        return Weakness(reasons.WEAK_KEY, "RSA with factors so close to each other that they are easily found")
    return None


def _number(value: int) -> str:
    return str(value) if value.bit_length() <= 64 else f"of {value.bit_length()} bits"


def _primes(most: int) -> tuple[int, ...]:
    """The odd primes up to ``most``."""
    return tuple(p for p in range(3, most + 1, 2) if all(p % q for q in range(3, isqrt(p) + 1, 2)))


# The primes up to 167: the library takes its own from the powers of 65537 modulo the product of the first 39 primes and
# more (Nemec, Sys, Svenda, Klinec, Matyas: The Return of Coppersmith's Attack, ACM CCS 2017, section 2). Modulo each
# small prime the modulus is then a power of 65537 as well, which by chance all of them are once in 2^150 keys.
_SMALL_PRIMES: Final = _primes(167)


@cache
def _powers() -> tuple[int, tuple[tuple[int, frozenset[int]], ...]]:
    """The product of the small primes, and for each the residues that powers of 65537 have."""
    return prod(_SMALL_PRIMES), tuple(
        (p, frozenset(pow(RSA_EXPONENT, power, p) for power in range(p - 1))) for p in _SMALL_PRIMES
    )


def has_roca(modulus: int) -> bool:
    """Whether an RSA modulus has the fingerprint of CVE-2017-15361 (ROCA): such a key can be factored."""
    product, residues = _powers()
    rest = modulus % product
    return all(rest % prime in powers for prime, powers in residues)


@cache
def _tried() -> tuple[tuple[int, ...], int]:
    """The odd primes that a modulus is divided by, up to 751 as NIST SP 800-89 section 5.3.3 has them; their product."""
    primes = _primes(751)
    return primes, prod(primes)


def small_factor(modulus: int) -> int | None:
    """The smallest odd prime up to 751 that divides an RSA modulus; None for one that is made as it should be."""
    primes, product = _tried()
    if gcd(modulus, product) == 1:
        return None
    return next(prime for prime in primes if modulus % prime == 0)


_ROUNDS: Final = 100  # as CA/B Forum's Baseline Requirements section 6.1.1.3 has it
_SQUARES: Final = frozenset(number * number & 63 for number in range(64))  # what a square can end with
_MORE_SQUARES: Final = frozenset(number * number % 715 for number in range(715))  # 5 * 11 * 13


def has_close_factors(modulus: int) -> bool:
    """Whether Fermat's method factors an odd RSA modulus in some rounds (CVE-2022-26320).

    If modulus = (a - b)(a + b) with a small b, then a is not far above the root of the modulus, and a^2 - modulus is a
    square.
    """
    a = isqrt(modulus - 1) + 1
    rest = a * a - modulus
    for _ in range(_ROUNDS):
        # A few numbers in a hundred look like squares by their residues; only of these the root is drawn.
        if rest & 63 in _SQUARES and rest % 715 in _MORE_SQUARES and isqrt(rest) ** 2 == rest:
            return True
        rest += 2 * a + 1
        a += 1
    return False


def unusable_key(certificate: Parsed) -> str | None:
    """The kind of a key for which TLS 1.3 has no signature scheme (RFC 9846 section 4.3.3), in words; None for others."""
    if certificate.pss is not None and certificate.pss.hash_bits == 0:
        return "RSASSA-PSS, with parameters that no scheme of TLS 1.3 has"
    if hasattr(certificate.key, "curve") and not names_its_curve(certificate.raw.subject_public_key_info):
        return "ECDSA, with the numbers of a curve in place of its name, which no certificate may have"
    return None if certificate.kind in _TLS_KINDS else f"{certificate.kind}, with which TLS cannot sign"


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
    return hash_called(algorithm.name) if algorithm is not None and algorithm.name in _BROKEN_HASHES else None
