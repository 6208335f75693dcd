"""Keys and signatures that prove too little."""

from __future__ import annotations

from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from handfast.certificates.leaked import KeyList, fingerprint
from handfast.certificates.policy import Policy
from handfast.testing import Authority
from handfast.testing.chains import SERVER_NAME
from handfast.testing.keys import new_key
from tests.certificates.forging import (
    PUBLISHED_KEY,
    SEQUENCE,
    element,
    forged,
    info,
    modulus,
    roca_modulus,
    rsa_info,
    rsa_key,
    signed_anew,
    with_key,
    without_null,
)
from tests.certificates.making import (
    DEBIAN,
    EXPONENT,
    LEAKED,
    ROCA,
    RULE,
    UNUSABLE,
    WEAK_KEY,
    WEAK_SIGNATURE,
    Group,
    Made,
    keyed,
    leaf,
    presented,
    root,
    shared,
)

GROUP = Group("Strength")
case = GROUP.case


def _new(kind: str) -> Any:
    return new_key(kind).public_key()


@cache
def _rsa_root() -> Authority:
    return Authority.create("handfast test root (RSA)", key="rsa2048")


def _sha1_intermediate() -> Made:
    authority = _rsa_root().intermediate()
    sha256, sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    signed = x509.load_der_x509_certificate(authority.der).tbs_certificate_bytes.replace(sha256, sha1)
    signature = _rsa_root().key.sign(signed, padding.PKCS1v15(), hashes.SHA1())
    der = element(SEQUENCE, signed, element(SEQUENCE, element(0x06, sha1), b"\5\0"), element(0x03, b"\0", signature))
    return presented((authority.issue(SERVER_NAME).chain[0], der), _rsa_root())


def _says_md5() -> Made:
    """It names MD5, and nobody gets as far as to compute with it."""
    der = _rsa_root().issue(SERVER_NAME).chain[0]
    return presented(
        (der.replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010104")),), _rsa_root()
    )


case("RSA of 1024 bits", shared("weak_key"), WEAK_KEY, "RSA of 1024 bits")
case("RSA of 2047 bits", lambda: keyed(rsa_info(modulus(2047), 65537)), WEAK_KEY, "RSA of 2047 bits")
case("RSA of 2050 bits", lambda: keyed(rsa_info(modulus(2050), 65537)), RULE, "odd-key-size")
case("RSA of 8192 bits", lambda: keyed(rsa_info(modulus(8192), 65537)), badssl="rsa8192")
case("RSA of 16384 bits", lambda: keyed(rsa_info(modulus(16384), 65537)), UNUSABLE, "take too long to verify")
case("RSA with the exponent 3", lambda: keyed(info(rsa_key(modulus(2048), 3))), EXPONENT, "the exponent 3")
case("RSA with the exponent 1", lambda: keyed(rsa_info(modulus(2048), 1)), EXPONENT, "the exponent 1")
case("RSA with an even exponent", lambda: keyed(rsa_info(modulus(2048), 65538)), EXPONENT, "an even one has no inverse")
case("RSA with a huge exponent", lambda: keyed(rsa_info(modulus(2048), modulus(64))), UNUSABLE, "take too long")
case("RSA by Infineon's library (ROCA)", lambda: keyed(rsa_info(roca_modulus(), 65537)), ROCA, "Infineon's library")


def _debian() -> Made:
    number = modulus(2048)
    known = KeyList.of("debian", "Debian's OpenSSL, RSA of 2048 bits", [fingerprint(rsa_key(number))])
    return presented(keyed(rsa_info(number, 65537)), policy=Policy(known_keys=known))


case("a key of Debian's broken generator", _debian, DEBIAN, "Debian's OpenSSL, RSA of 2048 bits")
case("a published key", lambda: keyed(info(PUBLISHED_KEY.public_key())), LEAKED, "RFC 9500")


def _published_authority() -> Made:
    authority = Authority.create("a published root")
    der = forged(authority.der, PUBLISHED_KEY, with_key(info(PUBLISHED_KEY.public_key())))
    published = Authority((der,), PUBLISHED_KEY)
    return presented(published.issue(SERVER_NAME), published)


case("a trusted root whose key is public", _published_authority, LEAKED, "trusted root", "superfish, edellroot")
case("secp224r1", shared("weak_curve"), WEAK_KEY, "secp224r1 of 224 bits")
case("secp256k1", lambda: keyed(info(_new("secp256k1"))), UNUSABLE, "secp256k1")
case("brainpoolP256r1", shared("unusable_curve"), UNUSABLE, "brainpoolP256r1")
case("DSA", shared("dsa"), WEAK_KEY, "DSA, which is no longer used")
case("an intermediate with RSA of 1024 bits", shared("weak_intermediate"), WEAK_KEY, "certificate 2 of 2")
case("signed with SHA-1", shared("weak_signature"), WEAK_SIGNATURE, "SHA-1")
case("an intermediate signed with SHA-1", _sha1_intermediate, WEAK_SIGNATURE, "SHA-1", "sha1-intermediate")
case("a signature that says MD5", _says_md5, WEAK_SIGNATURE, "MD5")


def _signed(by: Authority, algorithm: Any, salt: int | None = None) -> Made:
    """A leaf that is signed in another way; by RSASSA-PSS with a ``salt``."""
    return presented((signed_anew(by.issue(SERVER_NAME).chain[0], by.key, algorithm, salt),), by)


case("signed with SHA-224", lambda: _signed(root(), hashes.SHA224()), RULE, "it is signed with SHA-224")
case("signed with SHA3-256", lambda: _signed(root(), hashes.SHA3_256()), RULE, "it is signed with SHA3-256")
case(
    "an RSA signature without its parameters",
    lambda: presented((without_null(_rsa_root().issue(SERVER_NAME).chain[0], _rsa_root().key),), _rsa_root()),
    RULE,
    "has no parameters where a NULL belongs",
)
case("signed with RSASSA-PSS", lambda: _signed(_rsa_root(), hashes.SHA256(), 32))
case(
    "signed with RSASSA-PSS, with a salt of 20 bytes",
    lambda: _signed(_rsa_root(), hashes.SHA256(), 20),
    RULE,
    "such as another length of the salt",
)
case("P-384", lambda: leaf(key="p384"), badssl="ecc384")
case("an Ed25519 authority", shared("ed25519_authority"))
case("an ML-DSA authority", shared("mldsa_authority"))
