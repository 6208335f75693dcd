"""Certificates that no builder makes: taken apart, changed and signed anew. And keys that nobody should have."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from math import prod
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from handfast.certificates.der import GENERALIZED_TIME
from handfast.certificates.strength import RSA_EXPONENT, small_factor

SEQUENCE, SET, INTEGER, EXTENSIONS, VERSION = 0x30, 0x31, 0x02, 0xA3, 0xA0

# Where the fields of a tbsCertificate stand (RFC 5280 section 4.1).
FIELDS = ("version", "serial", "signature", "issuer", "validity", "subject", "key", "extensions")

Fields = dict[str, bytes]

# RFC 9500 section 2.3: testECCP256. Everybody has it.
PUBLISHED_KEY = load_pem_private_key(
    b"""-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIObLW92AqkWunJXowVR2Z5/+yVPBaFHnEedDk5WJxk/BoAoGCCqGSM49
AwEHoUQDQgAEQiVI+I+3gv+17KN0RFLHKh5Vj71vc75eSOkyMsxFxbFsTNEMTLjV
uKFxOelIgsiZJXKZNCX0FBmrfpCkKklCcg==
-----END EC PRIVATE KEY-----
""",
    None,
)


def element(tag: int, *contents: bytes) -> bytes:
    """One element of DER."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def split(data: bytes) -> list[bytes]:
    """The elements that stand one after another, each with its tag and length."""
    found = []
    while data:
        length, start = data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        found.append(data[: start + length])
        data = data[start + length :]
    return found


def inside(data: bytes) -> bytes:
    """The content of one element."""
    return data[2 + (data[1] & 0x7F if data[1] & 0x80 else 0) :]


def forged(der: bytes, key: Any, change: Callable[[Fields], Any]) -> bytes:
    """The certificate with its fields as ``change`` leaves them, signed by ``key`` in the way that it names.

    ``change`` gets the fields by name, each as DER, and changes them in place; "" leaves one out.
    """
    tbs, algorithm, _ = split(inside(der))
    fields = dict(zip(FIELDS, split(inside(tbs)), strict=True))
    change(fields)
    changed = element(SEQUENCE, *(fields[name] for name in FIELDS))
    return element(SEQUENCE, changed, algorithm, element(0x03, b"\0", _signature(changed, key)))


def _signature(data: bytes, key: Any) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(hashes.SHA256()))
    return bytes(key.sign(data, padding.PKCS1v15(), hashes.SHA256()))


def with_key(key: bytes) -> Callable[[Fields], None]:
    """A change: another subjectPublicKeyInfo."""
    return lambda fields: fields.update(key=key)


def rsa_info(modulus: int, exponent: int) -> bytes:
    """A subjectPublicKeyInfo of any two numbers."""
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    numbers = element(SEQUENCE, _integer(modulus), _integer(exponent))
    return element(SEQUENCE, algorithm, element(0x03, b"\0", numbers))


def _integer(value: int) -> bytes:
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def modulus(bits: int) -> int:
    """A number of so many bits, that is the product of who knows what: enough where nothing is signed with it.

    Of no small prime, though, which would be seen.
    """
    while True:
        found = secrets.randbits(bits - 2) << 1 | 1 << bits - 1 | 1
        if small_factor(found) is None:
            return found


def roca_modulus() -> int:
    """A number with the fingerprint of the faulty library: a power of 65537 modulo each small prime."""
    primes = [number for number in range(3, 168) if all(number % smaller for smaller in range(2, number))]
    product = prod(primes)
    rest = pow(RSA_EXPONENT, 1_234_567, product)
    factor = modulus(2048) // product
    found = rest + product * factor
    return found if found % 2 else found + product


def close_modulus(apart: int = 1 << 500) -> int:
    """The product of two numbers of 1024 bits that are so far ``apart``, which is even."""
    while True:
        found = modulus(1024) | 1 << 1022  # so that the product has 2048 bits
        if small_factor(found * (found + apart)) is None:
            return found * (found + apart)


def rsa_key(modulus: int, exponent: int = 65_537) -> rsa.RSAPublicKey:
    """A public key of these numbers."""
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def info(key: Any) -> bytes:
    """The subjectPublicKeyInfo of a public key."""
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def raw_extension(oid: str, value: bytes) -> x509.UnrecognizedExtension:
    """An extension with any content."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)


def generalized(which: int) -> Callable[[Fields], None]:
    """A change: the first or the second date as a GeneralizedTime, which RFC 5280 has for dates from 2050 on."""

    def change(fields: Fields) -> None:
        dates = split(inside(fields["validity"]))
        dates[which] = element(GENERALIZED_TIME, b"20" + inside(dates[which]))
        fields["validity"] = element(SEQUENCE, *dates)

    return change


def without_null(der: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """The same certificate, whose signature's algorithm has no parameters, where RFC 4055 section 5 has a NULL."""
    tbs, algorithm, _ = split(inside(der))
    short = element(SEQUENCE, split(inside(algorithm))[0])
    changed = element(SEQUENCE, inside(tbs).replace(algorithm, short, 1))
    signature = key.sign(changed, padding.PKCS1v15(), hashes.SHA256())
    return element(SEQUENCE, changed, short, element(0x03, b"\0", signature))


def signed_anew(der: bytes, key: Any, algorithm: Any, salt: int | None) -> bytes:
    """The same certificate, signed in another way; of RSASSA-PSS where it has a ``salt`` (its length)."""
    made = x509.load_der_x509_certificate(der)
    builder = x509.CertificateBuilder(made.issuer, made.subject, made.public_key(), made.serial_number)
    builder = builder.not_valid_before(made.not_valid_before_utc).not_valid_after(made.not_valid_after_utc)
    for extension in made.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    pss = None if salt is None else padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    return builder.sign(key, algorithm, rsa_padding=pss).public_bytes(Encoding.DER)
