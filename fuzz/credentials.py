"""Keys, certificates, time and randomness that are the same in every run, so that an input means the same for ever.

Nothing here is secret: the keys are made of their names.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from handfast.certificates.identity import Identity
from handfast.certificates.store import TrustStore
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


def _certify(name: str, issuer: str, key: Any, extensions: list[tuple[x509.ExtensionType, bool]]) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_of(name))
        .issuer_name(subject_of(issuer))
        .public_key(key.public_key())
        .serial_number(int.from_bytes(_number(f"serial of {name}")[:15]))
        .not_valid_before(_VALIDITY[0])
        .not_valid_after(_VALIDITY[1])
    )
    public = authority_key(issuer).public_key()
    extensions = [
        *extensions,
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False),
    ]
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    signed = builder.sign(authority_key(issuer), hashes.SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(Encoding.DER)


@cache
def authority(name: str, issuer: str) -> bytes:
    """An authority's certificate (DER)."""
    usages = [(x509.BasicConstraints(True, None), True), (key_usage(key_cert_sign=True, crl_sign=True), True)]
    return _certify(name, issuer, authority_key(name), usages)


@cache
def leaf(name: str, issuer: str) -> bytes:
    """The certificate (DER) of somebody who is server and client."""
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(False, None), True),
        (key_usage(digital_signature=True), True),
        (usage, False),
        (alternative_names(name, f"*.{name}", "192.0.2.1"), False),
    ]
    return _certify(name, issuer, leaf_key(name), extensions)


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
