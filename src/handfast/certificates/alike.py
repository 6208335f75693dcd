"""Certificates that are alike: all that one authority issues differ in numbers, dates, names and keys, and hardly in rules.

To have objects made of all extensions, and to hold them to the rules, takes a third as long as to verify a chain. So it is
done once for certificates of one outline: the bytes of a certificate without what is its own in it. An outline leaves
nothing out but what no rule is about, and no more than what is read here for certain; what is written in any other way
stays in it, and then no other certificate has the same one.

Nobody is believed here: `cryptography` has parsed the certificate, its verifier reads all of the certificate itself, and
the extensions that were left out are read by `cryptography` too, as soon as anybody asks for them.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from handfast.certificates.der import EMPTY_NAME, contents, span
from handfast.certificates.names import NO_NAMES, NameSet

if TYPE_CHECKING:
    from cryptography import x509

    from handfast.certificates.der import Raw

OUTLINES: Final = 128  # that are kept, of at most SMALL_BYTES each (parsed.py)
SERIAL_BYTES: Final = 20  # RFC 5280 section 4.1.2.2

Outline = tuple[bytes, ...]

# The encoded identifiers of what is left out.
_ALTERNATIVE_NAME: Final = bytes.fromhex("0603551d11")
_KEY_IDENTIFIER: Final = bytes.fromhex("0603551d0e")
_TIMESTAMPS: Final = bytes.fromhex("060a2b06010401d679020402")  # RFC 6962 section 3.3
_SHA1_SIZED: Final = bytes.fromhex("04160414")  # a key identifier of 20 bytes, which is what nearly all have
_SCT_ALGORITHMS: Final = (b"\x04\x03", b"\x04\x01")  # SHA-256 with ECDSA or RSA
_TIMESTAMP_BYTES: Final = 49  # of one without a signature, at least
_BOOLEAN, _OCTET_STRING, _SEQUENCE, _DNS_NAME, _ADDRESS, _EXTENSIONS = 0x01, 0x04, 0x30, 0x82, 0x87, 0xA3
_ADDRESS_BYTES: Final = (4, 16)  # eight or 32 would be those of a network


class Alike:
    """What all certificates of one outline have in common.

    ``extensions``  of the first one, by the type of their value; None as long as there was none
    ``critical``    the identifiers of the critical ones
    ``notes``       what the rules say of them
    """

    __slots__ = ("critical", "extensions", "notes")

    def __init__(self) -> None:
        self.critical: tuple[x509.ObjectIdentifier, ...] = ()
        self.extensions: dict[type, x509.Extension[Any]] | None = None
        self.notes: dict[Any, Any] = {}

    def read(self, certificate: x509.Certificate) -> dict[type, x509.Extension[Any]]:
        """The extensions, of ``certificate`` if it is the first one. Raises all kinds of exceptions for odd contents."""
        if self.extensions is None:
            found = certificate.extensions
            self.critical = tuple(extension.oid for extension in found if extension.critical)
            self.extensions = {type(extension.value): extension for extension in found}
        return self.extensions


@lru_cache(maxsize=OUTLINES)
def alike(_: Outline) -> Alike:
    """The same for the same outline, as long as it is one of those seen lately."""
    return Alike()


def outlined(raw: Raw) -> tuple[Outline, NameSet | None]:
    """The outline of a certificate that has been parsed before, and the names of its subjectAltName.

    None in place of the names where it has others than of hosts, or has them in an unusual way; then they stand in the
    outline.
    """
    serial = b"" if raw.serial[1] <= SERIAL_BYTES and raw.serial[2] < 0x80 else raw.serial
    subject = raw.subject if raw.subject == EMPTY_NAME else b""
    outline = [raw.version, serial, raw.signature, raw.signature_algorithm, raw.issuer, subject]
    data = raw.extensions
    names: NameSet | None = NO_NAMES
    if data[:1] != bytes([_EXTENSIONS]):  # there are none, or unique identifiers come first
        return (*outline, data), None if data else names
    for extension in contents(data, *span(data, span(data, 0)[0])):
        kind = extension[:5]
        if kind == _ALTERNATIVE_NAME:
            value = len(_ALTERNATIVE_NAME)
            if extension[value] == _BOOLEAN:  # critical
                value += 3
            names = _hosts(extension, value)
            outline.append(extension if names is None else extension[:value])
        elif kind == _KEY_IDENTIFIER and extension[5:9] == _SHA1_SIZED:
            outline.append(_KEY_IDENTIFIER)
        elif kind == _TIMESTAMPS[:5] and extension.startswith(_TIMESTAMPS) and _are_timestamps(extension):
            outline.append(_TIMESTAMPS)
        else:
            outline.append(extension)
    return tuple(outline), names


def _hosts(extension: bytes, at: int) -> NameSet | None:
    """The names of a subjectAltName whose value, an OCTET STRING, is at ``at``.

    None for any that is not of DNS names and IP addresses alone, or has a long name.
    """
    outer, end = span(extension, at)
    if end - outer < 2 or extension[outer] != _SEQUENCE:
        return None
    at, stop = span(extension, outer)
    # Nobody has parsed what is in the OCTET STRING before.
    if at == end or stop != end or at - outer != _header(end - at):
        return None
    names, addresses = [], []
    while at < end:
        kind = extension[at]
        if at + 1 == end or extension[at + 1] > 0x7F:
            return None
        start = at + 2
        at = start + extension[at + 1]
        name = extension[start:at]
        if at > end:
            return None
        if kind == _DNS_NAME and name.isascii():
            names.append(name.decode("ascii"))
        elif kind == _ADDRESS and len(name) in _ADDRESS_BYTES:
            addresses.append(ip_address(name))
        else:
            return None
    return NameSet(names, addresses)


def _are_timestamps(extension: bytes) -> bool:
    """Whether this extension is a list of SignedCertificateTimestamps as they usually are, and not critical."""
    if extension[len(_TIMESTAMPS)] != _OCTET_STRING:
        return False
    outer, end = span(extension, len(_TIMESTAMPS))
    if end - outer < 2 or extension[outer] != _OCTET_STRING:  # one within that of each extension
        return False
    at, stop = span(extension, outer)
    if stop != end or at - outer != _header(end - at):
        return False
    if _number(extension, at) != end - at - 2:
        return False
    at += 2
    while at < end:
        stop = at + 2 + _number(extension, at)
        if end - at < _TIMESTAMP_BYTES:
            return False
        algorithms = at + 43  # behind the length, the version, the log's id and the time
        algorithms += 2 + _number(extension, algorithms)
        known = extension[at + 2] == 0 and extension[algorithms : algorithms + 2] in _SCT_ALGORITHMS
        if not known or algorithms + 4 + _number(extension, algorithms + 2) != stop or stop > end:
            return False
        at = stop
    return True


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _header(size: int) -> int:
    """How long tag and length of ``size`` bytes are in DER (X.690 section 10.1), up to 65,535."""
    return 2 + (size > 0x7F) + (size > 0xFF)
