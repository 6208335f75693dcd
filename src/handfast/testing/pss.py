"""RSA keys that say in their encoding that they are for RSASSA-PSS alone (RFC 4055 section 1.2, RFC 8017 appendix C).

`cryptography` reads such keys, and writes them as ordinary ones. Here are ordinary ones that are written as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from handfast.certificates import pem
from handfast.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.serialization import KeySerializationEncryption

_ID_RSASSA_PSS: Final = bytes.fromhex("06092a864886f70d01010a")
_ID_MGF1: Final = bytes.fromhex("06092a864886f70d010108")
_HASHES: Final[dict[int, tuple[bytes, hashes.SHA256 | hashes.SHA384 | hashes.SHA512]]] = {
    256: (bytes.fromhex("0609608648016503040201"), hashes.SHA256()),
    384: (bytes.fromhex("0609608648016503040202"), hashes.SHA384()),
    512: (bytes.fromhex("0609608648016503040203"), hashes.SHA512()),
}
_SEQUENCE, _OCTETS, _BITS = 0x30, 0x04, 0x03


def _element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def parameters(hash_bits: int, mask_bits: int | None = None, salt_length: int | None = None) -> bytes:
    """RSASSA-PSS-params (RFC 8017 appendix A.2.3) of one hash, of the same one in MGF1, and of a salt as long.

    ``salt_length``  bytes, of a key the least; below 128
    """
    algorithm, mask = (_element(_SEQUENCE, _HASHES[bits][0], b"\x05\0") for bits in (hash_bits, mask_bits or hash_bits))
    salt = hash_bits // 8 if salt_length is None else salt_length
    return _element(
        _SEQUENCE,
        _element(0xA0, algorithm),
        _element(0xA1, _element(_SEQUENCE, _ID_MGF1, mask)),
        _element(0xA2, _element(0x02, bytes((salt,)))),
    )


class PssPublicKey(rsa.RSAPublicKey):
    """The public half: an RSA key of `cryptography`, whose SubjectPublicKeyInfo says id-RSASSA-PSS."""

    def __init__(self, key: rsa.RSAPublicKey, algorithm: bytes) -> None:
        """``algorithm``: the DER of the AlgorithmIdentifier."""
        self._key = key
        self._algorithm = algorithm

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self._key.key_size

    def public_numbers(self) -> rsa.RSAPublicNumbers:
        """Modulus and exponent."""
        return self._key.public_numbers()

    def public_bytes(self, encoding: Encoding, format: PublicFormat) -> bytes:  # noqa: A002 - its name in `cryptography`
        """As `cryptography` writes it, but for the SubjectPublicKeyInfo in DER, as certificates have it."""
        if (encoding, format) != (Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
            return self._key.public_bytes(encoding, format)
        bare = self._key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        return _element(_SEQUENCE, self._algorithm, _element(_BITS, b"\0", bare))

    def verify(self, *arguments: Any) -> None:
        """As the RSA key does."""
        self._key.verify(*arguments)

    def encrypt(self, *_: Any) -> bytes:
        """Not what this key is for."""
        raise TypeError("an RSASSA-PSS key does not encrypt")

    def recover_data_from_signature(self, *_: Any) -> bytes:
        """Not what this key is for."""
        raise TypeError("nothing can be recovered from a signature of RSASSA-PSS")

    def __eq__(self, other: object) -> bool:
        return self._key == (other._key if isinstance(other, PssPublicKey) else other)

    __hash__ = None  # type: ignore[assignment]

    def __copy__(self) -> PssPublicKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> PssPublicKey:
        return self


class PssPrivateKey(rsa.RSAPrivateKey):
    """An RSA key for RSASSA-PSS alone, and where ``hash_bits`` is given, for one hash alone (256, 384 or 512).

    ``signature_hash, padding``  what its certificates are to be signed with
    """

    def __init__(self, key: rsa.RSAPrivateKey, hash_bits: int | None = None, *, raw: bytes | None = None) -> None:
        """``raw``: other parameters, DER, sensible or not."""
        limits = raw if raw is not None else parameters(hash_bits) if hash_bits is not None else b""
        self._key = key
        self._algorithm = _element(_SEQUENCE, _ID_RSASSA_PSS, limits)
        self.signature_hash = _HASHES[hash_bits or 256][1]
        self.padding = padding.PSS(padding.MGF1(self.signature_hash), self.signature_hash.digest_size)

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self._key.key_size

    def public_key(self) -> PssPublicKey:
        """The public half."""
        return PssPublicKey(self._key.public_key(), self._algorithm)

    def private_numbers(self) -> rsa.RSAPrivateNumbers:
        """Exponents and factors."""
        return self._key.private_numbers()

    def private_bytes(
        self,
        encoding: Encoding,
        format: PrivateFormat,  # noqa: A002 - its name in `cryptography`
        encryption_algorithm: KeySerializationEncryption,
    ) -> bytes:
        """PKCS#8 that says id-RSASSA-PSS. Raises ConfigurationError for any other format, and for encryption."""
        if format is not PrivateFormat.PKCS8 or not isinstance(encryption_algorithm, NoEncryption):
            raise ConfigurationError(setting="key", problem="an RSASSA-PSS key is written here as plain PKCS#8 alone")
        bare = self._key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, encryption_algorithm)
        der = _element(_SEQUENCE, b"\x02\x01\0", self._algorithm, _element(_OCTETS, bare))
        return pem.block("PRIVATE KEY", der) if encoding is Encoding.PEM else der

    def sign(self, *arguments: Any) -> bytes:
        """As the RSA key does."""
        return self._key.sign(*arguments)

    def decrypt(self, *_: Any) -> bytes:
        """Not what this key is for."""
        raise TypeError("an RSASSA-PSS key does not decrypt")

    def __copy__(self) -> PssPrivateKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> PssPrivateKey:
        return self
