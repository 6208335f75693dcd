"""What stands in a certificate, as plain values for whoever wants to read it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from handfast.certificates import kinds, usages, validation
from handfast.certificates.parsed import name_of, parsed, serial_text

if TYPE_CHECKING:
    from datetime import datetime

    from handfast.certificates.parsed import Parsed

_BITS: Final = {
    "digital_signature": "digitalSignature",
    "content_commitment": "contentCommitment",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}
_NAMED: Final = {
    "1.2.840.113549.1.1.10": "RSASSA-PSS",
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
    "2.16.840.1.101.3.4.3.2": "DSA",
    "2.16.840.1.101.3.4.3.17": "ML-DSA-44",
    "2.16.840.1.101.3.4.3.18": "ML-DSA-65",
    "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
}
_FAMILIES: Final = (("1.2.840.113549.1.1.", "RSA"), ("1.2.840.10045.4.", "ECDSA"), ("1.2.840.10040.4.", "DSA"))


@dataclass(frozen=True, slots=True)
class Facts:
    """One certificate. Text in it is the issuer's or the owner's, so show it by errors.shown alone.

    ``names``          the subjectAltName: "DNS:example.com", "IP:192.0.2.1", ...
    ``key``            "ECDSA P-256", "RSA 2048"
    ``signature``      how its issuer has signed it: "ECDSA with SHA-256"
    ``key_usage``      the bits of keyUsage by their RFC names; None without the extension
    ``extended_usage`` likewise
    ``path_length``    how many authorities there may be below this one; None for no limit
    ``constraints``    for which names an authority may issue: "only DNS:example.com", "not IP:10.0.0.0/8"
    ``issuers``        where the issuer's certificate can be had; ``ocsp`` and ``crls``: what says that it was revoked
    ``validation``     how far the authority looked, as its policies say; None if they do not
    ``sha256``         of the certificate; ``key_sha256`` of its key, which a renewed certificate may share (hexadecimal)
    """

    subject: str
    issuer: str
    serial: str
    names: tuple[str, ...]
    key: str
    signature: str
    not_before: datetime
    not_after: datetime
    is_authority: bool
    self_issued: bool
    path_length: int | None
    key_usage: tuple[str, ...] | None
    extended_usage: tuple[str, ...] | None
    constraints: tuple[str, ...]
    issuers: tuple[str, ...]
    ocsp: tuple[str, ...]
    crls: tuple[str, ...]
    validation: str | None
    policies: tuple[str, ...]
    sha256: str
    key_sha256: str


def facts(der: bytes) -> Facts:
    """The facts of a certificate (DER). Raises CertificateUnreadable."""
    certificate = parsed(der)
    source = certificate.certificate
    limits = certificate.extension(x509.BasicConstraints)
    return Facts(
        subject=certificate.subject,
        issuer=certificate.issuer,
        serial=serial_text(source.serial_number),
        names=certificate.alternative_names,
        key=key(certificate),
        signature=signature(source),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        is_authority=limits is not None and limits.ca,
        self_issued=certificate.self_issued,
        path_length=None if limits is None else limits.path_length,
        key_usage=_key_usage(certificate),
        extended_usage=_extended_usage(certificate),
        constraints=_constraints(certificate),
        issuers=certificate.issuer_addresses,
        ocsp=certificate.ocsp_addresses,
        crls=certificate.crl_addresses,
        validation=validation.level(certificate),
        policies=validation.policies(certificate),
        sha256=hashlib.sha256(der).hexdigest(),
        key_sha256=_key_sha256(certificate),
    )


def key(certificate: Parsed) -> str:
    """The kind of its key, and its size."""
    return kinds.called(certificate.kind, certificate.key, for_pss=certificate.pss is not None)


def signature(source: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """How it is signed."""
    oid = source.signature_algorithm_oid
    try:
        hashed = source.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return str(oid.dotted_string)
    name = _NAMED.get(oid.dotted_string)
    if name is None:
        name = next((family for begin, family in _FAMILIES if oid.dotted_string.startswith(begin)), oid.dotted_string)
    if hashed is None:
        return name
    return f"{name} with {kinds.hash_called(hashed.name)}"


def _key_usage(certificate: Parsed) -> tuple[str, ...] | None:
    found = certificate.extension(x509.KeyUsage)
    return None if found is None else bits(found)


def bits(usage: x509.KeyUsage) -> tuple[str, ...]:
    """The bits that are set, by their RFC names."""
    return tuple(name for bit, name in _BITS.items() if getattr(usage, bit))


def _extended_usage(certificate: Parsed) -> tuple[str, ...] | None:
    found = certificate.extension(x509.ExtendedKeyUsage)
    return None if found is None else tuple(map(usages.called, found))


def _constraints(certificate: Parsed) -> tuple[str, ...]:
    found = certificate.extension(x509.NameConstraints)
    if found is None:
        return ()
    shown = (
        (word, item)
        for word, items in (("only", found.permitted_subtrees), ("not", found.excluded_subtrees))
        for item in items or ()
    )
    return tuple(f"{word} {name_of(item)}" for word, item in shown)


def _key_sha256(certificate: Parsed) -> str:
    # The bytes as they stand in the certificate: RSA-PSS keys lose their kind when they are encoded again.
    return hashlib.sha256(certificate.raw.subject_public_key_info).hexdigest()
