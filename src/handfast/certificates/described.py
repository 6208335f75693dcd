"""A certificate as the dictionary that the standard library's ``ssl.SSLSocket.getpeercert()`` returns.

Programs look names and dates up in it, so the shape is ssl's to the letter: tuples of tuples, dates as text, numbers as
hexadecimal digits. The names of attributes are OpenSSL's, which the caller brings along.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509

from handfast.certificates.parsed import parsed, serial_text

if TYPE_CHECKING:
    from datetime import datetime

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
        "serialNumber": serial_text(source.serial_number).upper(),
        "notBefore": _date(certificate.not_before),
        "notAfter": _date(certificate.not_after),
    }
    alternative = certificate.extension(x509.SubjectAlternativeName)
    if alternative is not None:
        result["subjectAltName"] = tuple(_general_name(name, naming) for name in alternative)
    for key, addresses in (
        ("OCSP", certificate.ocsp_addresses),
        ("caIssuers", certificate.issuer_addresses),
        ("crlDistributionPoints", certificate.crl_addresses),
    ):
        if addresses:
            result[key] = addresses
    return result


def _name(name: x509.Name, naming: Naming) -> tuple[tuple[tuple[str, str], ...], ...]:
    return tuple(tuple((naming(part.oid.dotted_string), _text(part.value)) for part in rdn) for rdn in name.rdns)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else "#" + value.hex().upper()


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
