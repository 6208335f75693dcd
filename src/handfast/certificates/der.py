"""The few bytes of a certificate that `cryptography` parses slowly or does not give (RFC 5280 section 4.1)."""

from __future__ import annotations

from typing import NamedTuple


class Raw(NamedTuple):
    """Encoded parts of a certificate, as they stand in it.

    ``signature`` and ``signature_algorithm`` have to be the same: one is signed, the other stands beside (section
    4.1.1.2). ``version`` and ``extensions`` are empty where there are none; unique identifiers stand before the extensions.
    """

    version: bytes
    serial: bytes
    signature: bytes
    signature_algorithm: bytes
    issuer: bytes
    subject: bytes
    subject_public_key_info: bytes
    extensions: bytes


EMPTY_NAME = b"\x30\x00"


def parts(certificate: bytes) -> Raw:
    """Cut a certificate that has been parsed before, so that its lengths are known to be right."""
    start, _ = span(certificate, 0)  # Certificate
    start, outside = span(certificate, start)  # tbsCertificate
    at = start
    if certificate[at] == 0xA0:  # version, missing in version 1
        _, at = span(certificate, at)
    serial, signature, issuer, validity, subject, key, end = _bounds(certificate, at, 6)
    return Raw(
        certificate[start:serial],
        certificate[serial:signature],
        certificate[signature:issuer],
        certificate[outside : span(certificate, outside)[1]],
        certificate[issuer:validity],
        certificate[subject:key],
        certificate[key:end],
        certificate[end:outside],
    )


# Of the next two each takes half the time of :func:`span` in turn, and there are some twenty elements in a certificate.


def _bounds(data: bytes, at: int, count: int) -> list[int]:
    """Where so many elements in a row begin, and where the last one ends."""
    found = [at]
    for _ in range(count):
        length = data[at + 1]
        at += 2
        if length > 0x7F:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        at += length
        found.append(at)
    return found


def contents(data: bytes, at: int, end: int) -> list[bytes]:
    """The contents of the elements from ``at`` to ``end``, which have been parsed before."""
    found = []
    while at < end:
        length = data[at + 1]
        at += 2
        if length > 0x7F:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        found.append(data[at : at + length])
        at += length
    return found


_EXTENSIONS, _OCTET_STRING = 0xA3, 0x04


def extension_content(extensions: bytes, identifier: bytes) -> bytes:
    """What is in an extension (its extnValue), by its encoded identifier; b"" where there is none.

    ``extensions``  as Raw has them, of a certificate whose extensions have been parsed before
    """
    at = 0
    while at < len(extensions) and extensions[at] != _EXTENSIONS:  # unique identifiers
        at = span(extensions, at)[1]
    if at == len(extensions):
        return b""
    for extension in contents(extensions, *span(extensions, span(extensions, at)[0])):
        if extension.startswith(identifier):
            value = len(identifier)
            if extension[value] != _OCTET_STRING:  # critical
                value = span(extension, value)[1]
            return extension[span(extension, value)[0] :]
    return b""


GENERALIZED_TIME = 0x18


def time_tags(certificate: bytes) -> tuple[int, int]:
    """How the two dates of a certificate are written: the tag of a UTCTime, or that of a GeneralizedTime (section 4.1.2.5)."""
    start, _ = span(certificate, 0)
    at, _ = span(certificate, start)
    if certificate[at] == 0xA0:
        _, at = span(certificate, at)
    for _ in range(3):  # serialNumber, signature, issuer
        _, at = span(certificate, at)
    first, _ = span(certificate, at)
    return certificate[first], certificate[span(certificate, first)[1]]


class PssParameters(NamedTuple):
    """RSASSA-PSS-params (RFC 8017 appendix A.2.3), of a key or of a signature.

    ``hash_bits``    of the hash: 256, 384 or 512; 0 for any that TLS does not have, such as SHA-1, which is the default
    ``mask_bits``    likewise of the hash that MGF1 uses
    ``salt_length``  bytes; of a key the least (RFC 4055 section 3.1)
    ``trailer``      1 is the only one there is
    """

    hash_bits: int
    mask_bits: int
    salt_length: int
    trailer: int

    @property
    def fits_tls(self) -> bool:
        """Whether one of the schemes of TLS is within these: one hash for both, and a salt no longer than the hash."""
        one_hash = self.hash_bits == self.mask_bits != 0
        return one_hash and 8 * self.salt_length <= self.hash_bits and self.trailer == 1


_SEQUENCE = 0x30
_HASHES = bytes.fromhex("06096086480165030402")  # NIST's (2.16.840.1.101.3.4.2), but for the last number
_BITS = {1: 256, 2: 384, 3: 512}
_MGF1 = bytes.fromhex("06092a864886f70d010108")
_NOTHING = PssParameters(0, 0, 0, 0)


def key_of_request(request: bytes) -> bytes:
    """The subjectPublicKeyInfo of a request that has been parsed before (RFC 2986 section 4.1)."""
    start, _ = span(request, 0)  # CertificationRequest
    start, _ = span(request, start)  # CertificationRequestInfo
    _, _, key, end = _bounds(request, start, 3)
    return request[key:end]


def algorithm(subject_public_key_info: bytes) -> bytes:
    """The AlgorithmIdentifier of a key."""
    start, _ = span(subject_public_key_info, 0)
    return subject_public_key_info[start : span(subject_public_key_info, start)[1]]


_OBJECT_IDENTIFIER = 0x06


def names_its_curve(subject_public_key_info: bytes) -> bool:
    """Whether an EC key, parsed before, has the name of its curve, and not its numbers (RFC 5480 section 2.1.1)."""
    identifier = algorithm(subject_public_key_info)
    start, _ = span(identifier, 0)
    return identifier[span(identifier, start)[1]] == _OBJECT_IDENTIFIER


_RSA_KEY = bytes.fromhex("06092a864886f70d010101")
_RSA_PSS_KEY = bytes.fromhex("06092a864886f70d01010a")


def rsa_numbers(subject_public_key_info: bytes) -> tuple[int, int] | None:
    """Modulus and exponent of an RSA key (RFC 8017 appendix A.1.1), sensible or not; None for any other key.

    For what `cryptography` makes no key of.
    """
    try:
        start, _ = span(subject_public_key_info, 0)
        content, at = span(subject_public_key_info, start)
        if not subject_public_key_info[content:at].startswith((_RSA_KEY, _RSA_PSS_KEY)):
            return None
        bits, _ = span(subject_public_key_info, at)
        first, _ = span(subject_public_key_info, bits + 1)  # a BIT STRING begins with the number of unused bits
        modulus, second = span(subject_public_key_info, first)
        exponent, end = span(subject_public_key_info, second)
    except IndexError:
        return None
    numbers = subject_public_key_info[modulus:second], subject_public_key_info[exponent:end]
    return int.from_bytes(numbers[0], "big"), int.from_bytes(numbers[1], "big")


def pss_parameters(identifier: bytes) -> PssParameters | None:
    """The parameters of an AlgorithmIdentifier of id-RSASSA-PSS; None if there are none.

    What cannot be understood comes back as parameters that nothing fits.
    """
    try:
        start, end = span(identifier, 0)
        _, at = span(identifier, start)
        if at == end:
            return None
        if identifier[at] != _SEQUENCE:
            return _NOTHING
        fields = _elements(identifier, *span(identifier, at))
        return PssParameters(
            _hash_bits(fields.get(0xA0, b"")),
            _mask_bits(fields.get(0xA1, b"")),
            _integer(fields.get(0xA2, b"\x02\x01\x14")),
            _integer(fields.get(0xA3, b"\x02\x01\x01")),
        )
    except IndexError:
        return _NOTHING


def _elements(data: bytes, at: int, end: int) -> dict[int, bytes]:
    """The content of each element of a SEQUENCE, by its tag."""
    found = {}
    while at < end:
        start, stop = span(data, at)
        found[data[at]] = data[start:stop]
        at = stop
    return found


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """The elements that ``data`` consists of: tag and content of each. For what nobody has parsed before.

    Raises ValueError where they do not end where ``data`` does.
    """
    found, at = [], 0
    while at < len(data):
        try:
            start, end = span(data, at)
        except IndexError:
            start = end = len(data) + 1
        if end > len(data):
            raise ValueError("it ends within an element")
        found.append((data[at], data[start:end]))
        at = end
    return found


def _hash_bits(identifier: bytes) -> int:
    """AlgorithmIdentifier of a hash; RFC 4055 section 2.1 lets its parameters be NULL or missing."""
    if not identifier:
        return 0
    start, end = span(identifier, 0)
    name, last = identifier[start:end][: len(_HASHES)], identifier[start:end][len(_HASHES) :][:1]
    return _BITS.get(last[0], 0) if name == _HASHES and last else 0


def _mask_bits(identifier: bytes) -> int:
    if not identifier:
        return 0
    start, end = span(identifier, 0)
    content = identifier[start:end]
    return _hash_bits(content[len(_MGF1) :]) if content.startswith(_MGF1) else 0


def _integer(encoded: bytes) -> int:
    start, end = span(encoded, 0)
    return int.from_bytes(encoded[start:end], "big")


def span(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at ``at`` begins, and where it ends; for what has been parsed before."""
    length = data[at + 1]
    start = at + 2
    if length > 0x7F:
        size = length & 0x7F
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    return start, start + length
