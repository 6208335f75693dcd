"""Curves that a certificate describes by itself (CVE-2020-0601): a root's public key, and a generator of the forger's choice."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handfast import CertificateError, ChainVerifier, TrustStore
from handfast.errors import UnusableKey
from handfast.testing import Authority
from handfast.testing.chains import SERVER_NAME
from tests.certificates.forging import INTEGER, SEQUENCE, element, forged, with_key
from tests.unit.certificates.made import NOW

OID, OCTETS, BITS = 0x06, 0x04, 0x03
# P-256 (SEC 2 section 2.4.2): the field, a, b and the order.
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
A = P - 3
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


# Its generator, uncompressed.
G = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)


class Forger:
    """Who takes the root's point for the generator, so that the private key of that point is 1."""

    def __init__(self, point: ec.EllipticCurvePublicKey) -> None:
        self.point = point

    def x_of(self, factor: int) -> int:
        """x of so many times the point: what a key exchange with it gives."""
        key = ec.derive_private_key(factor, ec.SECP256R1())
        return int.from_bytes(key.exchange(ec.ECDH(), self.point), "big")

    def sign(self, data: bytes, *_: Any) -> bytes:
        digest, once = int.from_bytes(hashlib.sha256(data).digest(), "big"), 1 + secrets.randbelow(N - 1)
        r = self.x_of(once) % N
        return encode_dss_signature(r, pow(once, -1, N) * (digest + r) % N)

    def has_signed(self, data: bytes, signature: bytes) -> bool:
        """As a verifier finds it that believes in the generator."""
        r, s = decode_dss_signature(signature)
        digest = int.from_bytes(hashlib.sha256(data).digest(), "big")
        return self.x_of((digest + r) * pow(s, -1, N) % N) % N == r

    def info(self) -> bytes:
        """The subjectPublicKeyInfo, with explicit parameters."""
        return explicit(self.point, self.point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def explicit(key: ec.EllipticCurvePublicKey, generator: bytes) -> bytes:
    """The subjectPublicKeyInfo of a key on P-256 with the curve's numbers (RFC 3279 section 2.3.5)."""
    field = element(SEQUENCE, element(OID, bytes.fromhex("2a8648ce3d0101")), _integer(P))
    curve = element(SEQUENCE, element(OCTETS, A.to_bytes(32, "big")), element(OCTETS, B.to_bytes(32, "big")))
    parameters = element(SEQUENCE, _integer(1), field, curve, element(OCTETS, generator), _integer(N), _integer(1))
    algorithm = element(SEQUENCE, element(OID, bytes.fromhex("2a8648ce3d0201")), parameters)
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return element(SEQUENCE, algorithm, element(BITS, b"\0", point))


def _integer(value: int) -> bytes:
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def test_a_curve_of_the_forgers_choice() -> None:
    root = Authority.create()
    forger = Forger(root.key.public_key())
    assert forger.has_signed(b"anything", forger.sign(b"anything"))
    assert not forger.has_signed(b"anything else", forger.sign(b"anything"))
    good = root.issue(SERVER_NAME).chain[0]
    leaf = forged(good, forger, lambda _: None)
    authority = forged(root.der, forger, with_key(forger.info()))
    verifier = ChainVerifier(root.trust)
    assert verifier.verify_server((good,), SERVER_NAME, NOW).verified_by == "chain"
    for chain in ((leaf,), (leaf, authority), (leaf, authority, root.der), (leaf, root.der, authority)):
        with pytest.raises(CertificateError) as caught:
            verifier.verify_server(chain, SERVER_NAME, NOW)
        assert caught.value.reason.name in ("bad_certificate_signature", "unsupported_public_key"), chain


def test_a_curve_without_its_name() -> None:
    """The numbers of P-256 itself: no certificate may have these either (RFC 5480 section 2.1.1)."""
    root = Authority.create()
    authority = root.intermediate()
    leaf = authority.issue(SERVER_NAME).chain[0]
    leaf_key, own_key = x509.load_der_x509_certificate(leaf).public_key(), authority.key.public_key()
    odd_leaf = forged(leaf, authority.key, with_key(explicit(leaf_key, G)))
    odd_authority = forged(authority.der, root.key, with_key(explicit(own_key, G)))
    for chain, position in (((odd_leaf, authority.der), "1 of 2"), ((leaf, odd_authority), "2 of 2")):
        with pytest.raises(UnusableKey, match="with the numbers of a curve in place of its name") as caught:
            ChainVerifier(root.trust).verify_server(chain, SERVER_NAME, NOW)
        assert caught.value.evidence["position"] == f"certificate {position}"
    # A peer's own certificate that is trusted as it is can do no more with it.
    with pytest.raises(UnusableKey):
        ChainVerifier(TrustStore.from_bytes(odd_leaf)).verify_server((odd_leaf,), SERVER_NAME, NOW)
