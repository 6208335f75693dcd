"""The certificates of the bench: a root and a leaf of each kind of key, made at the start."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

SERVER_NAME = "bench.example"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Credentials:
    """What a server proves itself with, and the root that its clients trust; where the client has to, it does the same.

    ``between``  what the server sends beside its own certificate
    """

    root: x509.Certificate
    leaf: x509.Certificate
    key: Key
    between: tuple[x509.Certificate, ...] = ()

    @property
    def root_pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)

    @property
    def leaf_pem(self) -> bytes:
        return self.leaf.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def p256() -> Credentials:
    """A P-256 leaf signed by a P-256 root."""
    return _credentials(ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()))


def rsa2048() -> Credentials:
    """An RSA-2048 leaf signed by an RSA-2048 root."""
    return _credentials(rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048))


def many(count: int) -> list[Credentials]:
    """So many P-256 leaves of one root, all of the same name."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    first = _credentials(root_key, ec.generate_private_key(ec.SECP256R1()))
    return [first, *(Credentials(first.root, _leaf(root_key, first.key), first.key) for _ in range(count - 1))]


def public(count: int) -> list[Credentials]:
    """So many P-256 leaves as a public authority makes them, below an intermediate of P-256 and a root of P-384."""
    root_key, key, leaf_key = map(ec.generate_private_key, (ec.SECP384R1(), ec.SECP256R1(), ec.SECP256R1()))
    root, name = _root(root_key), _name("bench intermediate")
    between = (
        _builder(name, _ROOT, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA384())
    )
    return [Credentials(root, _public_leaf(key, leaf_key, name), leaf_key, (between,)) for _ in range(count)]


def _public_leaf(key: Key, leaf_key: Key, issuer: x509.Name) -> x509.Certificate:
    addresses = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(f"http://{name}.bench.example/"))
        for method, name in (
            (AuthorityInformationAccessOID.OCSP, "ocsp"),
            (AuthorityInformationAccessOID.CA_ISSUERS, "issuer"),
        )
    ]
    lists = [x509.DistributionPoint([x509.UniformResourceIdentifier("http://c.bench.example/1")], None, None, None)]
    policies = [x509.PolicyInformation(x509.ObjectIdentifier("2.23.140.1.2.1"), None)]
    return (
        _leaf_builder(key, leaf_key, issuer)
        .add_extension(x509.AuthorityInformationAccess(addresses), critical=False)
        .add_extension(x509.CertificatePolicies(policies), critical=False)
        .add_extension(x509.CRLDistributionPoints(lists), critical=False)
        .add_extension(_timestamps(), critical=False)
        .sign(key, hashes.SHA256())
    )


def _timestamps() -> x509.UnrecognizedExtension:
    """Two, as no log has signed them (RFC 6962 section 3.3)."""
    one = b"\0" + secrets.token_bytes(32) + bytes(8) + b"\0\0\4\3\0\x47" + secrets.token_bytes(71)
    both = 2 * (len(one).to_bytes(2, "big") + one)
    value = len(both).to_bytes(2, "big") + both
    return x509.UnrecognizedExtension(_TIMESTAMPS, b"\x04\x81" + bytes([len(value)]) + value)


_TIMESTAMPS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def _credentials(root_key: Key, leaf_key: Key) -> Credentials:
    return Credentials(_root(root_key), _leaf(root_key, leaf_key), leaf_key)


def _root(key: Key) -> x509.Certificate:
    return (
        _builder(_ROOT, _ROOT, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(root_key: Key, leaf_key: Key) -> x509.Certificate:
    return _leaf_builder(root_key, leaf_key, _ROOT).sign(root_key, hashes.SHA256())


def _leaf_builder(issuer_key: Key, leaf_key: Key, issuer: x509.Name) -> x509.CertificateBuilder:
    return (
        _builder(_name(SERVER_NAME), issuer, leaf_key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


_ROOT = _name("bench root")


def _builder(subject: x509.Name, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=30))
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
