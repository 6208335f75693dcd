"""The one place in handfast where certificates are made: what goes into them, and the signature.

What is made here may be sensible or not: :mod:`handfast.authority.issuer` makes sensible ones, handfast.testing others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import padding

# By type; Any, since the keys of a Mapping are invariant, and {x509.KeyUsage: ...} would not pass for one of type[...].
Extensions = Mapping[Any, tuple[x509.ExtensionType, bool] | None]
OwnExtensions = dict[Any, tuple[x509.ExtensionType, bool] | None]
Hash = hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512

_BITS: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def certify(  # noqa: PLR0913 - what a certificate is made of
    subject: x509.Name,
    public_key: Any,
    issuer: x509.Name,
    issuer_key: Any,
    extensions: Extensions,
    validity: tuple[datetime, datetime],
    *,
    algorithm: Hash | None = None,
    padding: padding.PSS | None = None,
    serial: int | None = None,
) -> bytes:
    """Sign a certificate: DER.

    ``extensions``  by type, each with whether it is critical; None leaves one out
    ``validity``    from and until, aware, both inclusive
    ``algorithm``   the signature's hash; without one, that which goes with the key
    ``padding``     of an RSA signature, where it is not PKCS#1 v1.5
    ``serial``      without one, 159 random bits: nobody can know what will be signed (RFC 5280 section 4.1.2.2 has at
                    most 20 bytes, and a number that is positive)
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )
    for extension in extensions.values():
        if extension is not None:
            value, critical = extension
            builder = builder.add_extension(value, critical)
    if padding is not None:
        certificate = builder.sign(issuer_key, algorithm or hashes.SHA256(), rsa_padding=padding)
    else:
        certificate = builder.sign(issuer_key, algorithm or hash_for(issuer_key))
    return certificate.public_bytes(Encoding.DER)


def hash_for(key: Any) -> Hash | None:
    """The hash to sign with: as long as the curve; SHA-256 for RSA; none where the kind of key has its own."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = key.curve.key_size
        return hashes.SHA256() if size <= 256 else hashes.SHA384() if size <= 384 else hashes.SHA512()
    return hashes.SHA256() if isinstance(key, (rsa.RSAPrivateKey, dsa.DSAPrivateKey)) else None


def key_usage(**bits: bool) -> x509.KeyUsage:
    """A keyUsage with the bits that are named, and no other."""
    return x509.KeyUsage(**{bit: bits.get(bit, False) for bit in _BITS})


def of_authority(public_key: Any, path_length: int | None) -> OwnExtensions:
    """The extensions of an authority (RFC 5280 sections 4.2.1.2, 4.2.1.3 and 4.2.1.9)."""
    return {
        x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=path_length), True),
        x509.KeyUsage: (key_usage(key_cert_sign=True, crl_sign=True), True),
        x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
    }


def of_leaf(
    public_key: Any,
    issuer: x509.AuthorityKeyIdentifier,
    usages: list[x509.ObjectIdentifier],
    names: list[x509.GeneralName],
    *,
    critical_names: bool,
) -> OwnExtensions:
    """The extensions of who is no authority.

    digitalSignature is all that keyUsage has: TLS 1.3, and TLS 1.2 as far as it is safe, use a key for nothing else.
    """
    own: OwnExtensions = {
        x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True),
        x509.KeyUsage: (key_usage(digital_signature=True), True),
        x509.AuthorityKeyIdentifier: (issuer, False),
        x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
    }
    if usages:
        own[x509.ExtendedKeyUsage] = (x509.ExtendedKeyUsage(usages), False)
    if names:
        own[x509.SubjectAlternativeName] = (x509.SubjectAlternativeName(names), critical_names)
    return own


def key_identifier(issuer: x509.Certificate, key: Any) -> x509.AuthorityKeyIdentifier:
    """What a certificate calls its issuer's key: what the issuer calls it (RFC 5280 section 4.2.1.1)."""
    try:
        found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)
