"""Keys, certificates, time and randomness that are the same in every run, so that an input means the same for ever.

Nothing here is secret: the keys are made of their names.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_network
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from handfast.certificates.identity import Identity
from handfast.certificates.store import TrustStore
from handfast.certificates.strength import small_factor
from handfast.clock import Clock
from handfast.testing.authority import alternative_names, key_usage, subject_of

SERVER_NAME = "server.example"
NOW = datetime(2035, 1, 1, tzinfo=UTC)
CLOCK = Clock(wall=lambda: NOW, monotonic=lambda: 0.0)
_VALIDITY = datetime(2030, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)


def _number(name: str) -> bytes:
    return hashlib.sha256(name.encode("ascii")).digest()


@cache
def authority_key(name: str) -> ec.EllipticCurvePrivateKey:
    """The key of an authority, on P-256."""
    return ec.derive_private_key(int.from_bytes(_number(name)[:31]), ec.SECP256R1())


@cache
def leaf_key(name: str) -> ed25519.Ed25519PrivateKey:
    """The key of a server or client: Ed25519, whose signatures are always the same."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(_number(name))


def _certify(name: str, issuer: str, public_key: Any, extensions: list[tuple[x509.ExtensionType, bool]]) -> bytes:
    """A certificate (DER). An issuer whose name begins with "ed25519" signs with such a key."""
    issuer_key = leaf_key(issuer) if issuer.startswith("ed25519") else authority_key(issuer)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_of(name))
        .issuer_name(subject_of(issuer))
        .public_key(public_key)
        .serial_number(int.from_bytes(_number(f"serial of {name}")[:15]))
        .not_valid_before(_VALIDITY[0])
        .not_valid_after(_VALIDITY[1])
    )
    extensions = [
        *extensions,
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    ]
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    if isinstance(issuer_key, ed25519.Ed25519PrivateKey):
        return builder.sign(issuer_key, None).public_bytes(Encoding.DER)
    return builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


@cache
def authority(name: str, issuer: str, *, constrained: bool = False) -> bytes:
    """An authority's certificate (DER). ``constrained``: to names below "example"."""
    key = leaf_key(name) if name.startswith("ed25519") else authority_key(name)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(True, 3), True),
        (key_usage(key_cert_sign=True, crl_sign=True), True),
    ]
    if constrained:
        permitted = [x509.DNSName("example"), x509.IPAddress(ip_network("192.0.2.0/24")), x509.RFC822Name("example")]
        extensions.append((x509.NameConstraints(permitted, [x509.DNSName("evil.example")]), True))
    return _certify(name, issuer, key.public_key(), extensions)


@cache
def leaf(name: str, issuer: str) -> bytes:
    """The certificate (DER) of somebody who is server and client."""
    return _leaf(name, issuer, leaf_key(name).public_key(), alternative_names(name, f"*.{name}", "192.0.2.1"))


@cache
def ec_leaf(name: str, issuer: str) -> bytes:
    """The same with a key on P-256, which is authority_key(name)."""
    return _leaf(name, issuer, authority_key(name).public_key(), alternative_names(name))


@cache
def rsa_leaf(name: str, issuer: str) -> bytes:
    """The same with an RSA key, of which nobody knows the private half, and with names of every kind."""
    number = int.from_bytes(b"".join(_number(f"{name} {part}") for part in range(8))) | 1 << 2047 | 1
    while small_factor(number) is not None:  # such a key is refused before anything else is looked at
        number += 2
    names = [
        x509.DNSName(name),
        x509.RFC822Name(f"somebody@{name}"),
        x509.UniformResourceIdentifier(f"spiffe://{name}/service"),
        x509.DirectoryName(subject_of(name)),
        x509.RegisteredID(x509.ObjectIdentifier("1.3.6.1.4.1.99999")),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x04user"),
    ]
    public_key = rsa.RSAPublicNumbers(65537, number).public_key()
    where = x509.UniformResourceIdentifier(f"http://{name}/issuer.der")
    access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, where)
    policy = x509.PolicyInformation(x509.ObjectIdentifier("2.23.140.1.2.1"), None)
    more = [
        (x509.AuthorityInformationAccess([access]), False),
        (x509.CertificatePolicies([policy]), False),
    ]
    return _leaf(name, issuer, public_key, x509.SubjectAlternativeName(names), *more)


def _leaf(
    name: str,
    issuer: str,
    public_key: Any,
    names: x509.SubjectAlternativeName,
    *more: tuple[x509.ExtensionType, bool],
) -> bytes:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(False, None), True),
        (key_usage(digital_signature=True), True),
        (usage, False),
        (names, False),
        *more,
    ]
    return _certify(name, issuer, public_key, extensions)


@cache
def trust() -> TrustStore:
    """The one root, as what is trusted."""
    return TrustStore.from_bytes(authority("root", "root"))


@cache
def identity(name: str = SERVER_NAME) -> Identity:
    """A server's or client's certificate, issued by the root, and its key."""
    return Identity([leaf(name, "root")], leaf_key(name))


def known(config: type, **settings: Any) -> dict[str, Any]:
    """Those of the settings that this configuration has."""
    names = {field.name for field in fields(config)}
    return {name: value for name, value in settings.items() if name in names}
