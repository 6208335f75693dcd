"""A certificate, parsed once: the facts in it that no policy, name or time can change.

Roots and intermediates come back in handshake after handshake, and so does the leaf of a server that is visited twice;
:func:`parsed` keeps the last few hundred.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID, PublicKeyAlgorithmOID

from handfast.certificates.alike import Alike, alike, outlined
from handfast.certificates.damage import damage
from handfast.certificates.der import EMPTY_NAME, Raw, algorithm, parts, pss_parameters
from handfast.certificates.names import Address, NameSet
from handfast.crypto import signatures
from handfast.errors import CertificateUnreadable
from handfast.limits import NAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

# How many are kept that are small, as most are, and how many that are large, such as those with keys of ML-DSA; and the
# bytes up to which they are that. A larger one is parsed each time. Where peers send nothing but certificates full of names,
# the objects take fifty times what these 1.5 MiB do.
SMALL_CERTIFICATES: Final = 512
LARGE_CERTIFICATES: Final = 64
SMALL_BYTES: Final = 2_048
LARGE_BYTES: Final = 8_192

# The extensions that alike.py leaves out of an outline.
OWN: Final = frozenset(
    (x509.SubjectAlternativeName, x509.SubjectKeyIdentifier, x509.PrecertificateSignedCertificateTimestamps)
)

E = TypeVar("E", bound=x509.ExtensionType)


class Parsed:
    """One certificate: the facts that trust decisions need, each computed once.

    ``der``                  the bytes as they came
    ``certificate``          the same for `cryptography`
    ``not_before, not_after``  aware, UTC, both inclusive (RFC 5280 section 4.1.2.5)
    ``names``                DNS names and IP addresses of the subjectAltName
    ``only_hosts``           whether all that the subjectAltName has is known to be DNS names and IP addresses
    ``raw``                  issuer, subject and key as they are encoded
    ``key``                  the public key; None for a kind that `cryptography` does not know
    ``pss``                  where the key is of the kind id-RSASSA-PSS, which its public key object does not tell: what
                             it may be used for; None for any other key
    ``kind``                 the kind of key, as crypto.signatures names it
    ``alike``                what it has in common with others of its outline
    """

    __slots__ = ("_extensions", "alike", "certificate", "der", "key", "kind", "names", "not_after", "not_before", "notes", "only_hosts", "pss", "raw")  # fmt: skip

    def __init__(self, der: bytes, certificate: x509.Certificate) -> None:
        """Raises all kinds of exceptions for odd contents; use :func:`parsed` and :func:`parsed_root`."""
        self.der = der
        self.certificate = certificate
        self.not_before: datetime = certificate.not_valid_before_utc
        self.not_after: datetime = certificate.not_valid_after_utc
        self.raw: Raw = parts(der)
        outline, names = outlined(self.raw)
        self.alike = alike(outline) if len(der) <= SMALL_BYTES else Alike()
        self._extensions = self.alike.read(certificate)
        self.only_hosts = names is not None
        self.names = NameSet(self.values(x509.DNSName), self.addresses) if names is None else names
        self.pss = _pss(certificate, self.raw)
        self.key = _key(certificate)
        self.kind = signatures.kind_of(self.key, pss=self.pss) if self.key else "unknown"
        self.notes: dict[Any, Any] = {}  # what rules.py and strength.py found, so that they look once

    def extension(self, kind: type[E]) -> E | None:
        """The value of an extension, None where it is missing."""
        found = self._extensions.get(kind)
        if found is not None and kind in OWN:
            found = self._own(kind)
        return found.value if found else None

    def _own(self, kind: type[x509.ExtensionType]) -> x509.Extension[Any]:
        """One of the extensions that others of its outline do not have as they are here."""
        try:
            return self.certificate.extensions.get_extension_for_class(kind)
        except Exception as error:
            raise _unreadable(self.der, error) from None

    def is_critical(self, kind: type[x509.ExtensionType]) -> bool:
        """Whether an extension is there and critical."""
        found = self._extensions.get(kind)
        return found is not None and found.critical

    @property
    def critical(self) -> tuple[x509.ObjectIdentifier, ...]:
        """The identifiers of the critical extensions."""
        return self.alike.critical

    @property
    def self_issued(self) -> bool:
        """Whether subject and issuer are the same name."""
        return self.raw.subject == self.raw.issuer

    @property
    def has_subject(self) -> bool:
        """Whether the subject has a name at all; of many servers it is only in the subjectAltName."""
        return self.raw.subject != EMPTY_NAME

    @property
    def has_issuer(self) -> bool:
        """Whether the issuer has a name."""
        return self.raw.issuer != EMPTY_NAME

    def check_names(self) -> None:
        """Read subject and issuer, which takes long and is seldom needed. Raises CertificateUnreadable."""
        longest = max(len(self.raw.subject), len(self.raw.issuer))
        if longest > NAME_BYTES:
            raise CertificateUnreadable(certificate=self.der, problem=f"one of its names has {longest} bytes")
        try:
            _ = self.certificate.subject, self.certificate.issuer
        except _NO_NAME as error:
            raise _unreadable(self.der, error) from None

    @property
    def subject(self) -> str:
        """The subject as RFC 4514 writes it; "" also for one that cannot be read, or that nobody would."""
        return _name(self.certificate, "subject").rfc4514_string() if len(self.raw.subject) <= NAME_BYTES else ""

    @property
    def issuer(self) -> str:
        """The issuer as RFC 4514 writes it; "" also for one that cannot be read, or that nobody would."""
        return _name(self.certificate, "issuer").rfc4514_string() if len(self.raw.issuer) <= NAME_BYTES else ""

    @property
    def organization(self) -> str | None:
        """The issuer's organizationName."""
        return _attribute(_name(self.certificate, "issuer"), NameOID.ORGANIZATION_NAME)

    @property
    def common_name(self) -> str | None:
        """The subject's commonName, which proves nothing (RFC 9525 section 2) and explains much."""
        return _attribute(_name(self.certificate, "subject"), NameOID.COMMON_NAME)

    @property
    def owner(self) -> str | None:
        """The subject's organizationName."""
        return _attribute(_name(self.certificate, "subject"), NameOID.ORGANIZATION_NAME)

    @property
    def mailboxes(self) -> list[x509.RFC822Name]:
        """The subject's emailAddress attributes, as old certificates have them in place of a subjectAltName, or beside it."""
        found = _name(self.certificate, "subject").get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
        return [x509.RFC822Name._init_without_validation(str(item.value)) for item in found]

    @property
    def alternative_names(self) -> tuple[str, ...]:
        """The whole subjectAltName as "DNS:example.com", "IP:192.0.2.1", "URI:...", "EMAIL:...", in its order."""
        return tuple(map(name_of, self.extension(x509.SubjectAlternativeName) or ()))

    def values(self, kind: Any) -> tuple[Any, ...]:
        """The names of one kind in the subjectAltName, in its order, as `cryptography` gives them."""
        alternative = self.extension(x509.SubjectAlternativeName)
        return tuple(alternative.get_values_for_type(kind)) if alternative else ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The IP addresses. A subjectAltName may hold networks by mistake; only single addresses can be compared."""
        return tuple(item for item in self.values(x509.IPAddress) if not hasattr(item, "network_address"))

    @property
    def issuer_addresses(self) -> tuple[str, ...]:
        """Where the certificate says that its issuer's can be fetched (caIssuers, RFC 5280 section 4.2.2.1), in its order."""
        return self._accessible(AuthorityInformationAccessOID.CA_ISSUERS)

    @property
    def issuer_address(self) -> str | None:
        """The first of these that is HTTP; a place in a directory (ldap:) where there is none; None without any."""
        found = self.issuer_addresses
        return next((url for url in found if url.lower().startswith("http")), next(filter(None, found), None))

    @property
    def ocsp_addresses(self) -> tuple[str, ...]:
        """Where it says that its status can be asked for by OCSP, in its order."""
        return self._accessible(AuthorityInformationAccessOID.OCSP)

    @property
    def crl_addresses(self) -> tuple[str, ...]:
        """Where it says that lists of revoked certificates can be fetched, in its order."""
        points = self.extension(x509.CRLDistributionPoints) or ()
        return _addresses(name for point in points for name in point.full_name or ())

    def _accessible(self, method: x509.ObjectIdentifier) -> tuple[str, ...]:
        access = self.extension(x509.AuthorityInformationAccess) or ()
        return _addresses(item.access_location for item in access if item.access_method == method)

    @property
    def issuer_key(self) -> bytes | None:
        """The identifier of the key that signed it, if the certificate says so (RFC 5280 section 4.2.1.1)."""
        found = self.extension(x509.AuthorityKeyIdentifier)
        return None if found is None else found.key_identifier

    @property
    def signature_hash(self) -> HashAlgorithm | None:
        """The hash that the issuer signed with; None where the signature algorithm has none of its own."""
        return self.certificate.signature_hash_algorithm

    def may_be_issued_by(self, issuer: Parsed) -> bool:
        """By names and key identifiers alone (RFC 5280 sections 6.1.3 and 4.2.1.1); the signature is another matter."""
        if self.raw.issuer != issuer.raw.subject:
            return False
        wanted = self.extension(x509.AuthorityKeyIdentifier)
        found = issuer.extension(x509.SubjectKeyIdentifier)
        if wanted is None or wanted.key_identifier is None or found is None:
            return True
        return wanted.key_identifier == found.digest


# What `cryptography` raises for a name that is not one; for a BIT STRING in it a TypeError.
_NO_NAME: Final = (TypeError, ValueError)


def _name(certificate: x509.Certificate, which: Literal["subject", "issuer"]) -> x509.Name:
    try:
        name: x509.Name = getattr(certificate, which)
    except _NO_NAME:  # the verifier compares names as bytes, and accepts some that are no text
        return x509.Name([])
    return name


def _attribute(name: x509.Name, kind: x509.ObjectIdentifier) -> str | None:
    found = name.get_attributes_for_oid(kind)
    return str(found[0].value) if found else None


def _pss(certificate: x509.Certificate, raw: Raw) -> signatures.PssKey | None:
    if certificate.public_key_algorithm_oid != PublicKeyAlgorithmOID.RSASSA_PSS:
        return None
    limits = pss_parameters(algorithm(raw.subject_public_key_info))
    if limits is None:
        return signatures.PssKey()
    return signatures.PssKey(limits.hash_bits if limits.fits_tls else 0)


def _key(certificate: x509.Certificate) -> signatures.PublicKey | None:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


_PREFIX: Final = {x509.DNSName: "DNS", x509.IPAddress: "IP", x509.RFC822Name: "EMAIL"}
_PREFIX_URI: Final = {x509.UniformResourceIdentifier: "URI"}


def name_of(name: x509.GeneralName) -> str:
    """A name of a certificate, or a limit of names, with its kind: "DNS:example.com", "IP:192.0.2.1", "EMAIL:...", "URI:..."."""
    if isinstance(name, x509.DirectoryName):
        return f"DIR:{name.value.rfc4514_string()}"
    if isinstance(name, x509.RegisteredID):
        return f"OID:{name.value.dotted_string}"
    if isinstance(name, x509.OtherName):
        return f"OTHER:{name.type_id.dotted_string}"
    prefix = _PREFIX.get(type(name)) or _PREFIX_URI[type(name)]  # type: ignore[index]
    return f"{prefix}:{name.value}"


def _addresses(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    return tuple(str(name.value) for name in names if isinstance(name, x509.UniformResourceIdentifier))


def serial_text(number: int) -> str:
    """A serial number in hexadecimal, an even number of digits, as OpenSSL writes it but in small letters."""
    digits = f"{abs(number):x}"
    return ("-" if number < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def _unreadable(der: bytes, error: Exception) -> CertificateUnreadable:
    # Whatever the parser trips over, in the certificate itself or in an extension, stands in the certificate.
    return CertificateUnreadable(certificate=der, problem=damage(der, error))


def _parse(der: bytes) -> Parsed:
    try:
        return Parsed(der, x509.load_der_x509_certificate(der))
    except Exception as error:
        raise _unreadable(der, error) from None


_small = lru_cache(maxsize=SMALL_CERTIFICATES)(_parse)
_large = lru_cache(maxsize=LARGE_CERTIFICATES)(_parse)


def parsed(der: bytes) -> Parsed:
    """Parse a DER certificate, or find it among those parsed lately. Raises CertificateUnreadable."""
    size = len(der)
    return _small(der) if size <= SMALL_BYTES else _large(der) if size <= LARGE_BYTES else _parse(der)


def parsed_root(root: x509.Certificate) -> Parsed:
    """The facts of a certificate that `cryptography` has parsed already. Raises CertificateUnreadable."""
    der = root.public_bytes(Encoding.DER)
    try:
        return Parsed(der, root)
    except Exception as error:
        raise _unreadable(der, error) from None


def end_point(der: bytes) -> bytes:
    """The hash of a server's certificate by which tls-server-end-point names it (RFC 5929 section 4.1).

    By the hash that its signature has; by SHA-256 where that is MD5 or SHA-1, or where it has none of its own.
    """
    algorithm = None
    with suppress(UnsupportedAlgorithm):  # RFC 5929 leaves open what it is then
        algorithm = parsed(der).certificate.signature_hash_algorithm
    name = "sha256" if algorithm is None or algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, der).digest()
