"""What the broken and odd chains are made of, and what is expected of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from handfast import errors, reasons
from handfast.certificates.policy import Policy
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError
from handfast.reasons import Reason
from handfast.testing import Authority, IssuedIdentity, chain
from handfast.testing.chains import SERVER_NAME
from tests.certificates.forging import SEQUENCE, Fields, element, forged, raw_extension, with_key


def now() -> datetime:
    """In whole seconds, as certificates have it."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Made:
    """A chain as it is sent, and whom it is shown to.

    ``name``    what is asked for; None for a client's chain, and for a server whose name does not count
    ``policy``  what is asked of it beside
    ``at``      when it is looked at: when it was made
    """

    chain: tuple[bytes, ...]
    trust: TrustStore
    name: str | None = SERVER_NAME
    client: bool = False
    policy: Policy = field(default_factory=Policy)
    at: datetime = field(default_factory=now)

    @property
    def roots(self) -> list[bytes]:
        """What is trusted, as DER."""
        return [item.public_bytes(Encoding.DER) for item in self.trust.roots]


@dataclass(frozen=True)
class Case:
    """A chain, and what we say of it.

    ``make``    makes it anew
    ``made``    as it was made the first time
    ``says``    a part of the message that tells this case from others with its Reason
    ``badssl``  its name at badssl.com
    """

    name: str
    group: str
    make: Callable[[], Made]
    made: Callable[[], Made]
    error: type[CertificateError] | None = None
    reason: Reason | None = None
    says: str = ""
    badssl: str = ""


Outcome = tuple[type[CertificateError], Reason] | None
EXPIRED: Final = (errors.CertificateExpired, reasons.CERTIFICATE_EXPIRED)
EARLY: Final = (errors.CertificateNotYetValid, reasons.CERTIFICATE_NOT_YET_VALID)
NAME: Final = (errors.CertificateNameMismatch, reasons.CERTIFICATE_NAME_MISMATCH)
NAMELESS: Final = (errors.CertificateNameMismatch, reasons.CERTIFICATE_WITHOUT_NAMES)
USAGE: Final = (errors.CertificateUsageError, reasons.CERTIFICATE_WRONG_USAGE)
NOT_A_CA: Final = (errors.CertificateUsageError, reasons.NOT_A_CA)
SELF_SIGNED: Final = (errors.SelfSignedCertificate, reasons.SELF_SIGNED_CERTIFICATE)
UNKNOWN: Final = (errors.UnknownIssuer, reasons.UNKNOWN_ISSUER)
MISSING: Final = (errors.MissingIntermediate, reasons.MISSING_INTERMEDIATE)
FORGED: Final = (errors.BadCertificateSignature, reasons.BAD_CERTIFICATE_SIGNATURE)
WEAK_KEY: Final = (errors.WeakCertificate, reasons.WEAK_KEY)
EXPONENT: Final = (errors.WeakCertificate, reasons.WEAK_EXPONENT)
ROCA: Final = (errors.WeakCertificate, reasons.ROCA_KEY)
DEBIAN: Final = (errors.WeakCertificate, reasons.DEBIAN_KEY)
LEAKED: Final = (errors.WeakCertificate, reasons.LEAKED_KEY)
WEAK_SIGNATURE: Final = (errors.WeakCertificate, reasons.WEAK_SIGNATURE)
UNUSABLE: Final = (errors.UnusableKey, reasons.UNSUPPORTED_PUBLIC_KEY)
RULE: Final = (errors.CertificateRuleBroken, reasons.CERTIFICATE_RULE_BROKEN)
UNREADABLE: Final = (errors.CertificateUnreadable, reasons.CERTIFICATE_UNREADABLE)
NOT_ALLOWED: Final = (CertificateError, reasons.PEER_NOT_ALLOWED)
COMPARISONS: Final = (CertificateError, reasons.TOO_MANY_COMPARISONS)
REFUSED: Final = (CertificateError, reasons.CERTIFICATE_REFUSED)


class Group:
    """The cases of one table of the page."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.cases: list[Case] = []

    def case(
        self, name: str, make: Callable[[], Any], outcome: Outcome = None, says: str = "", badssl: str = ""
    ) -> None:
        """Add one. ``make`` gives a Made, or a chain that is shown to who trusts the usual authority."""
        error, reason = outcome or (None, None)

        def maker() -> Made:
            found = make()
            return found if isinstance(found, Made) else presented(found)

        self.cases.append(Case(name, self.title, maker, cache(maker), error, reason, says, badssl))


def presented(made: IssuedIdentity | Sequence[bytes], authority: Authority | None = None, **options: Any) -> Made:
    """To somebody who trusts an authority, the usual one if none is named."""
    sent = made.chain if isinstance(made, IssuedIdentity) else tuple(made)
    return Made(sent, (authority or root()).trust, **options)


def shared(name: str) -> Callable[[], Made]:
    """One of handfast.testing."""

    def make() -> Made:
        case = chain(name)
        return Made(case.chain, case.trust, case.server_name)

    return make


# --- who issues ----------------------------------------------------------------------------------------------------------


@cache
def root() -> Authority:
    """Of organizations of their own, the authorities here would have roots in common; so there is one."""
    return Authority.create("handfast test root")


@cache
def between() -> Authority:
    return root().intermediate()


def leaf(*names: str, **options: Any) -> IssuedIdentity:
    return root().issue(*(names or (SERVER_NAME,)), **options)


def client(*names: str, **options: Any) -> IssuedIdentity:
    return root().issue(*names, usage=("client",), **options)


def leaf_with(*changes: tuple[x509.ExtensionType, bool], names: Sequence[str] = (SERVER_NAME,), **options: Any) -> Any:
    """A leaf with these extensions, each with whether it is critical, in place of the usual ones of their kinds."""
    return root().issue(*names, extensions={type(value): (value, critical) for value, critical in changes}, **options)


def below(*changes: tuple[x509.ExtensionType, bool], names: Sequence[str] = (SERVER_NAME,), **options: Any) -> Any:
    """A leaf of an authority with these extensions."""
    authority = root().intermediate(extensions={type(value): (value, critical) for value, critical in changes})
    return authority.issue(*names, **options)


def changed(change: Callable[[Fields], Any], **options: Any) -> tuple[bytes]:
    """A leaf whose fields were changed before it was signed."""
    return (forged(leaf(**options).chain[0], root().key, change),)


def keyed(key: bytes) -> tuple[bytes]:
    """A leaf for any key."""
    return changed(with_key(key))


def alternatives(*names: x509.GeneralName) -> tuple[x509.SubjectAlternativeName, bool]:
    return x509.SubjectAlternativeName(names), False


def raw_names(content: bytes, **options: Any) -> IssuedIdentity:
    """A leaf whose subjectAltName has any content."""
    odd = raw_extension("2.5.29.17", element(SEQUENCE, content))
    return root().issue(extensions={x509.UnrecognizedExtension: (odd, False)}, **options)


def usages(*names: x509.ObjectIdentifier) -> tuple[x509.ExtendedKeyUsage, bool]:
    return x509.ExtendedKeyUsage(names), False


def constrained(permitted: Any = None, excluded: Any = None, *, critical: bool = True) -> tuple[Any, bool]:
    return x509.NameConstraints(permitted, excluded), critical


def directory(organization: str) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization)]))


def ago(**span: float) -> datetime:
    return now() - timedelta(**span)


def ahead(**span: float) -> datetime:
    return now() + timedelta(**span)
