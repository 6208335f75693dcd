"""A certificate as the dictionary that the standard library's ``ssl.SSLSocket.getpeercert()`` returns.

Programs look names and dates up in it, so the shape is ssl's to the letter: tuples of tuples, dates as text, numbers as
hexadecimal digits. The names of attributes are OpenSSL's, which the caller brings along.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from handfast.certificates.parsed import parsed

if TYPE_CHECKING:
    from datetime import datetime

    from handfast.certificates.parsed import Parsed

Described = dict[str, Any]
Naming = Callable[[str], str]
"""The name of an object identifier ("2.5.4.3" is "commonName"), or the identifier itself where it has none."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSUPPORTED: Final = "<unsupported>"


def described(der: bytes, naming: Naming) -> Described:
    """What getpeercert() returns for a certificate (DER).

    ``subject``, ``issuer``, ``version``, ``serialNumber``, ``notBefore``, ``notAfter``, and of the extensions, where they
    are there, ``subjectAltName``, ``OCSP``, ``caIssuers`` and ``crlDistributionPoints``. Raises CertificateUnreadable.
    """
    certificate = parsed(der)
    certificate.check_names()
    source = certificate.certificate
    result: Described = {
        "subject": _name(source.subject, naming),
        "issuer": _name(source.issuer, naming),
        "version": source.version.value + 1,
        "serialNumber": _serial_number(source.serial_number),
        "notBefore": _date(certificate.not_before),
        "notAfter": _date(certificate.not_after),
    }
    alternative = certificate.extension(x509.SubjectAlternativeName)
    if alternative is not None:
        result["subjectAltName"] = tuple(_general_name(name, naming) for name in alternative)
    for key, addresses in (
        ("OCSP", _access(certificate, AuthorityInformationAccessOID.OCSP)),
        ("caIssuers", _access(certificate, AuthorityInformationAccessOID.CA_ISSUERS)),
        ("crlDistributionPoints", _distribution_points(certificate)),
    ):
        if addresses:
            result[key] = addresses
    return result


def _name(name: x509.Name, naming: Naming) -> tuple[tuple[tuple[str, str], ...], ...]:
    return tuple(tuple((naming(part.oid.dotted_string), _text(part.value)) for part in rdn) for rdn in name.rdns)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else "#" + value.hex().upper()


def _serial_number(number: int) -> str:
    """An even number of digits, as OpenSSL writes them."""
    digits = f"{abs(number):X}"
    return ("-" if number < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def _date(when: datetime) -> str:
    return f"{_MONTHS[when.month - 1]} {when.day:2d} {when:%H:%M:%S} {when.year} GMT"


def _general_name(name: x509.GeneralName, naming: Naming) -> tuple[str, object]:
    match name:
        case x509.DNSName():
            return "DNS", name.value
        case x509.RFC822Name():
            return "email", name.value
        case x509.UniformResourceIdentifier():
            return "URI", name.value
        case x509.IPAddress():
            return "IP Address", _address(name.value)
        case x509.DirectoryName():
            return "DirName", _name(name.value, naming)
        case x509.RegisteredID():
            return "Registered ID", name.value.dotted_string
        case _:
            return "othername", _UNSUPPORTED


def _address(value: object) -> str:
    if isinstance(value, ipaddress.IPv6Address):
        return ":".join(f"{int(group, 16):X}" for group in value.exploded.split(":"))
    return str(value)


def _access(certificate: Parsed, method: x509.ObjectIdentifier) -> tuple[str, ...]:
    extension = certificate.extension(x509.AuthorityInformationAccess)
    return _addresses(item.access_location for item in extension or () if item.access_method == method)


def _distribution_points(certificate: Parsed) -> tuple[str, ...]:
    extension = certificate.extension(x509.CRLDistributionPoints)
    return _addresses(name for point in extension or () for name in point.full_name or ())


def _addresses(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    return tuple(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
