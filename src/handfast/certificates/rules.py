"""The rules that a certificate has to keep by itself, each with the switch that relaxes it, where there is one.

`cryptography`'s verifier holds the profile of the web's authorities (the CA/Browser Forum's requirements, RFC 5280
section 4.2). Private authorities often break it in ways that OpenSSL lets pass. Each such way is a :class:`Rule`, so
that an error can name it and a :class:`~handfast.certificates.policy.Policy` can relax it alone. The other rules have no
switch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from handfast.certificates import strength
from handfast.certificates.usages import WANTED, called

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handfast.certificates.parsed import Parsed
    from handfast.certificates.strength import Weakness
    from handfast.certificates.usages import Purpose

Role = Literal["leaf", "issuer", "root"]  # a root is an issuer that is trusted, and so need not prove what it is


class Rule(Enum):
    """The rules that can be relaxed, each by its name; where they stand, and who breaks them."""

    CRITICAL_SUBJECT_ALTERNATIVE_NAME = "critical-subject-alternative-name"  # trustme
    UNCRITICAL_SUBJECT_ALTERNATIVE_NAME = "uncritical-subject-alternative-name"  # devices without a subject
    MISSING_SUBJECT_ALTERNATIVE_NAME = "missing-subject-alternative-name"  # clients that are known by their subject
    CRITICAL_EXTENDED_KEY_USAGE = "critical-extended-key-usage"  # trustme
    CRITICAL_CERTIFICATE_POLICIES = "critical-certificate-policies"  # authorities of administrations
    MISSING_AUTHORITY_KEY_IDENTIFIER = "missing-authority-key-identifier"  # `openssl x509 -req` before 3.0
    INCOMPLETE_AUTHORITY_KEY_IDENTIFIER = "incomplete-authority-key-identifier"  # `openssl ca` with issuer:always
    MISSING_SUBJECT_KEY_IDENTIFIER = "missing-subject-key-identifier"  # authorities with extensions written by hand
    MISSING_KEY_USAGE = "missing-key-usage"  # `openssl req -x509`
    UNCRITICAL_BASIC_CONSTRAINTS = "uncritical-basic-constraints"  # many an openssl.cnf
    AUTHORITY_AS_LEAF = "authority-as-leaf"  # `openssl req -x509` for a server
    ODD_KEY_SIZE = "odd-key-size"  # `openssl genrsa 2050`

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that a certificate breaks: what it says, where it stands, and its switch, if it has one."""

    sentence: str
    section: str
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a certificate in a role of a path for a purpose, whoever asks and whenever.

    ``usage``   why it may not be used in this role (None: it may); for an issuer ``not_a_ca`` tells whether it is none
    ``limits``  whether it limits what stands below it: in names, or in how it is signed
    ``depth``   how many authorities may stand below it; None for any number
    ``plain``   there is nothing of all this, but for the depth
    """

    usage: str | None
    not_a_ca: bool
    weak_key: Weakness | None
    unusable_key: str | None
    weak_signature: str | None
    breaches: tuple[Breach, ...]
    limits: bool
    depth: int | None = None
    plain: bool = field(init=False)

    def __post_init__(self) -> None:
        faults = (self.usage, self.weak_key, self.unusable_key, self.weak_signature)
        plain = all(fault is None for fault in faults) and not self.breaches and not self.limits
        object.__setattr__(self, "plain", plain)


def findings(certificate: Parsed, role: Role, purpose: Purpose = "server") -> Findings:
    """Look at a certificate in a role, or remember what was found last time, of it or of one that is alike."""
    known = certificate.notes.get((role, purpose))
    if known is None:
        notes = certificate.alike.notes if _has_plain_key(certificate) else certificate.notes
        known = notes.get((role, purpose)) or _found(certificate, role, purpose)
        notes[role, purpose] = certificate.notes[role, purpose] = known
    found: Findings = known
    return found


def _has_plain_key(certificate: Parsed) -> bool:
    """Whether there is nothing to say about its key, which it does not share with those that it is alike."""
    faults = strength.weak_key(certificate), strength.unusable_key(certificate), certificate.pss
    return faults == (None, None, None) and not any(_key_size(certificate))


def _found(certificate: Parsed, role: Role, purpose: Purpose) -> Findings:
    weak_key = strength.weak_key(certificate)
    if role == "leaf":
        no_authority, usage, own = None, _leaf_usage(certificate, purpose), _leaf(certificate, purpose)
    else:
        no_authority, usage, own = (
            _not_an_authority(certificate),
            _issuer_usage(certificate, purpose),
            _issuer(certificate, role),
        )
    is_root = role == "root"
    return Findings(
        no_authority or usage,
        no_authority is not None,
        None if is_root and weak_key is not None and weak_key.tolerable else weak_key,
        strength.unusable_key(certificate),
        None if is_root else strength.weak_signature(certificate),  # nobody needs it
        (*_common(certificate, role), *_key_size(certificate), *own),
        role != "leaf" and _limits(certificate),
        None if role == "leaf" else _depth(certificate),
    )


# --- usage: whether a certificate may be used for this at all -----------------------------------------------------


def _leaf_usage(certificate: Parsed, purpose: Purpose) -> str | None:
    """RFC 9846 section 4.5.1.2: keyUsage, where there is one, has digitalSignature. RFC 5280 section 4.2.1.12."""
    key_usage = certificate.extension(x509.KeyUsage)
    if key_usage is not None and not key_usage.digital_signature:
        # keyEncipherment is for the RSA key exchange (RFC 5246 section 7.4.2), which is not done here in any version.
        alone = key_usage.key_encipherment or key_usage.key_agreement
        other = (
            "; it is for key exchanges of TLS 1.2 that have no forward secrecy, and are not done here" if alone else ""
        )
        return f"keyUsage does not allow digitalSignature{other}"
    extended = certificate.extension(x509.ExtendedKeyUsage)
    # anyExtendedKeyUsage is not enough, here as in OpenSSL: whoever means serverAuth has to say so.
    if extended is not None and WANTED[purpose] not in extended:
        return f"extendedKeyUsage allows {_named(extended)}, and not {called(WANTED[purpose])}"
    return None


def _not_an_authority(certificate: Parsed) -> str | None:
    """RFC 5280 sections 4.2.1.9 and 4.2.1.3: who issues has cA, and keyCertSign where there is a keyUsage."""
    constraints = certificate.extension(x509.BasicConstraints)
    if constraints is None:
        return "it has no basicConstraints"
    if not constraints.ca:
        return "basicConstraints says that it is none"
    key_usage = certificate.extension(x509.KeyUsage)
    if key_usage is not None and not key_usage.key_cert_sign:
        return "keyUsage does not allow keyCertSign"
    return None


def _issuer_usage(certificate: Parsed, purpose: Purpose) -> str | None:
    """An authority's extendedKeyUsage limits what it may issue for, by general custom."""
    extended = certificate.extension(x509.ExtendedKeyUsage)
    allowed = (WANTED[purpose], ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if extended is not None and not any(usage in extended for usage in allowed):
        return f"extendedKeyUsage of the authority allows {_named(extended)}, and not {called(WANTED[purpose])}"
    return None


def _named(usages: x509.ExtendedKeyUsage) -> str:
    return ", ".join(map(called, usages))


# --- the profile ----------------------------------------------------------------------------------------------------

# The extensions that the verifier understands; any other that is critical has to be refused (RFC 5280 section 4.2).
_UNDERSTOOD: Final = frozenset(
    (
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
    )
)
# Some of the others by name: of a precertificate it says that it is no certificate yet (RFC 6962 section 3.1).
_NOT_UNDERSTOOD: Final = {
    ExtensionOID.CRL_DISTRIBUTION_POINTS: "cRLDistributionPoints",
    ExtensionOID.INHIBIT_ANY_POLICY: "inhibitAnyPolicy",
    ExtensionOID.ISSUER_ALTERNATIVE_NAME: "issuerAltName",
    ExtensionOID.POLICY_CONSTRAINTS: "policyConstraints",
    ExtensionOID.POLICY_MAPPINGS: "policyMappings",
    ExtensionOID.PRECERT_POISON: "precertificate poison",
    ExtensionOID.TLS_FEATURE: "TLS feature",
}
_SERIAL_BITS: Final = 8 * 21 - 1  # 20 bytes by the RFC; a 21st, of zeros, where the top bit is set


def _common(certificate: Parsed, role: Role) -> Iterator[Breach]:
    """What every certificate has to keep."""
    if certificate.certificate.version is not x509.Version.v3:
        yield Breach("it is not of version 3", "RFC 5280 section 4.1.2.1")
    if certificate.raw.signature != certificate.raw.signature_algorithm:
        yield Breach("it names two signature algorithms", "RFC 5280 section 4.1.1.2")
    serial = certificate.certificate.serial_number
    if serial < 0 or serial.bit_length() > _SERIAL_BITS:
        yield Breach("its serial number is negative or too long", "RFC 5280 section 4.1.2.2")
    if not certificate.has_issuer:
        yield Breach("its issuer has no name", "RFC 5280 section 4.1.2.4")
    if certificate.is_critical(x509.AuthorityKeyIdentifier):
        yield Breach("authorityKeyIdentifier is critical", "RFC 5280 section 4.2.1.1")
    if role != "leaf" and certificate.is_critical(x509.SubjectKeyIdentifier):
        yield Breach("subjectKeyIdentifier is critical", "RFC 5280 section 4.2.1.2")
    if certificate.is_critical(x509.AuthorityInformationAccess):
        yield Breach("authorityInfoAccess is critical", "RFC 5280 section 4.2.2.1")
    for oid in certificate.critical:
        if oid in _UNDERSTOOD:
            continue
        if oid == ExtensionOID.CERTIFICATE_POLICIES:
            yield Breach(
                "certificatePolicies is critical", "RFC 5280 section 4.2.1.4", Rule.CRITICAL_CERTIFICATE_POLICIES
            )
        else:
            name = _NOT_UNDERSTOOD.get(oid)
            shown = oid.dotted_string if name is None else f"{name} ({oid.dotted_string})"
            yield Breach(f"the critical extension {shown} is not understood here", "RFC 5280 section 4.2")
    if certificate.is_critical(x509.ExtendedKeyUsage):
        yield Breach(
            "extendedKeyUsage is critical",
            "CA/Browser Forum baseline requirements, section 7.1.2.7.6",
            Rule.CRITICAL_EXTENDED_KEY_USAGE,
        )


def _key_size(certificate: Parsed) -> Iterator[Breach]:
    """What nobody's generator makes by itself, and what some verifiers do not compute with."""
    bits = certificate.key.key_size if certificate.kind.startswith("rsa") else 0  # type: ignore[union-attr]
    if bits % 8:
        yield Breach(
            f"its RSA key has {bits} bits, which is no multiple of 8",
            "CA/Browser Forum baseline requirements, section 6.1.5",
            Rule.ODD_KEY_SIZE,
        )


def _leaf(certificate: Parsed, purpose: Purpose) -> Iterator[Breach]:
    """What the certificate of a server or client has to keep."""
    if certificate.extension(x509.SubjectAlternativeName) is not None:
        critical = certificate.is_critical(x509.SubjectAlternativeName)
        if critical and certificate.has_subject:
            yield Breach(
                "subjectAltName is critical beside a subject that is not empty",
                "RFC 5280 section 4.2.1.6",
                Rule.CRITICAL_SUBJECT_ALTERNATIVE_NAME,
            )
        if not critical and not certificate.has_subject:
            yield Breach(
                "subjectAltName is not critical although the subject is empty",
                "RFC 5280 section 4.2.1.6",
                Rule.UNCRITICAL_SUBJECT_ALTERNATIVE_NAME,
            )
    elif purpose == "client":  # of a server it is a matter of its name
        yield Breach(
            "the client's certificate has no subjectAltName, so its subject is all that says who it is",
            "RFC 5280 section 4.2.1.6",
            Rule.MISSING_SUBJECT_ALTERNATIVE_NAME,
        )
    if certificate.extension(x509.AuthorityKeyIdentifier) is None:
        yield Breach(
            "authorityKeyIdentifier is missing", "RFC 5280 section 4.2.1.1", Rule.MISSING_AUTHORITY_KEY_IDENTIFIER
        )
    constraints = certificate.extension(x509.BasicConstraints)
    key_usage = certificate.extension(x509.KeyUsage)
    if (constraints is not None and constraints.ca) or (key_usage is not None and key_usage.key_cert_sign):
        yield Breach(
            f"a certificate authority's certificate is used by a {purpose}",
            "CA/Browser Forum baseline requirements, section 7.1.2.7.8",
            Rule.AUTHORITY_AS_LEAF,
        )
    if certificate.extension(x509.NameConstraints) is not None:
        yield Breach("nameConstraints stands in a certificate that is no authority's", "RFC 5280 section 4.2.1.10")


def _issuer(certificate: Parsed, role: Role) -> Iterator[Breach]:
    """What an authority's certificate has to keep. Whether it is an authority's at all was a matter of usage."""
    if certificate.extension(x509.KeyUsage) is None:
        yield Breach("keyUsage is missing in an authority", "RFC 5280 section 4.2.1.3", Rule.MISSING_KEY_USAGE)
    if certificate.extension(x509.BasicConstraints) is not None and not certificate.is_critical(x509.BasicConstraints):
        yield Breach(
            "basicConstraints is not critical in an authority",
            "RFC 5280 section 4.2.1.9",
            Rule.UNCRITICAL_BASIC_CONSTRAINTS,
        )
    if role != "root" and certificate.extension(x509.SubjectKeyIdentifier) is None:
        yield Breach(
            "subjectKeyIdentifier is missing in an authority",
            "RFC 5280 section 4.2.1.2",
            Rule.MISSING_SUBJECT_KEY_IDENTIFIER,
        )
    identifier = certificate.extension(x509.AuthorityKeyIdentifier)
    if identifier is None:
        if role != "root":  # which is its own issuer
            yield Breach(
                "authorityKeyIdentifier is missing in an authority",
                "RFC 5280 section 4.2.1.1",
                Rule.MISSING_AUTHORITY_KEY_IDENTIFIER,
            )
    elif identifier.key_identifier is None:
        yield Breach(
            "authorityKeyIdentifier names no key",
            "RFC 5280 section 4.2.1.1",
            Rule.INCOMPLETE_AUTHORITY_KEY_IDENTIFIER,
        )


def _limits(certificate: Parsed) -> bool:
    return certificate.extension(x509.NameConstraints) is not None or certificate.pss is not None


def _depth(certificate: Parsed) -> int | None:
    constraints = certificate.extension(x509.BasicConstraints)
    return None if constraints is None else constraints.path_length
