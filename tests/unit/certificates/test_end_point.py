"""tls-server-end-point (RFC 5929 section 4.1): the hash of a certificate, by the hash of its signature."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from handfast.certificates.parsed import end_point
from tests.handshake.parties import identity

PKCS1 = bytes.fromhex("06092a864886f70d0101")  # the algorithms of PKCS#1 differ in what follows
MD5, SHA1, SHA256, UNKNOWN = b"\x04", b"\x05", b"\x0b", b"\x7f"


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def signed_with(algorithm: hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    made = x509.CertificateBuilder(name, name, key().public_key(), 1).not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
    return made.not_valid_after(datetime(2035, 1, 1, tzinfo=UTC)).sign(key(), algorithm).public_bytes(Encoding.DER)


def called(algorithm: bytes) -> bytes:
    """A certificate that says to be signed by another algorithm of PKCS#1; nobody verifies it here."""
    der = signed_with(hashes.SHA256())
    assert der.count(PKCS1 + SHA256) == 2
    return der.replace(PKCS1 + SHA256, PKCS1 + algorithm)


@pytest.mark.parametrize("algorithm", [hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_the_hash_of_the_signature_is_used(
    algorithm: hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512,
) -> None:
    der = signed_with(algorithm)
    assert end_point(der) == hashlib.new(algorithm.name, der).digest()


@pytest.mark.parametrize("kind", ["ed25519", "mldsa65"])
def test_where_it_has_none_it_is_sha_256(kind: str) -> None:
    der = identity(kind).chain[0]
    assert end_point(der) == hashlib.sha256(der).digest()


@pytest.mark.parametrize("algorithm", [MD5, SHA1], ids=["MD5", "SHA-1"])
def test_what_is_broken_is_replaced_by_sha_256(algorithm: bytes) -> None:
    der = called(algorithm)
    assert end_point(der) == hashlib.sha256(der).digest()


def test_a_signature_that_nobody_knows_has_no_other_hash() -> None:
    """A verifier of one's own may accept such a certificate."""
    der = called(UNKNOWN)
    assert end_point(der) == hashlib.sha256(der).digest()
