"""Private keys: made, written, encrypted, read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from handfast.certificates import pem
from handfast.certificates.loading import encrypted
from handfast.crypto.entropy import SYSTEM_ENTROPY
from handfast.errors import ConfigurationError
from handfast.reasons import AUTHORITY_KEY_LOCKED, PASSWORD_TOO_SLOW

if TYPE_CHECKING:
    from collections.abc import Callable

_MAKERS: Final[dict[str, Callable[[], Any]]] = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
    "rsa4096": lambda: rsa.generate_private_key(65537, 4096),
}
KEY_KINDS: Final = tuple(_MAKERS)

ROUNDS: Final = 600_000  # of PBKDF2 with SHA-256: about a third of a second, as OWASP has it
_SALT, _KEY, _BLOCK = 16, 32, 16  # bytes


def new_key(kind: str) -> Any:
    """A fresh private key. Raises ConfigurationError for a kind that is not in KEY_KINDS."""
    if kind not in _MAKERS:
        raise ConfigurationError(setting="key", problem=f"no kind of key is called {kind}", known=KEY_KINDS)
    return _MAKERS[kind]()


def key_pem(key: Any, passphrase: str | bytes | None = None) -> bytes:
    """A private key as PEM (PKCS#8), encrypted where there is a passphrase: every other program can read it."""
    if not passphrase:
        plain: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return plain
    return pem.block("ENCRYPTED PRIVATE KEY", _encrypted(_der(key), _bytes(passphrase)))


def load_key(data: bytes, passphrase: str | bytes | None, file: str) -> Any:
    """The private key in PEM; None if there is none. Raises ConfigurationError (AUTHORITY_KEY_LOCKED, PASSWORD_TOO_SLOW)."""
    if not is_encrypted(data):
        passphrase = None
    elif not passphrase:
        raise ConfigurationError(AUTHORITY_KEY_LOCKED, file=file, problem="no passphrase was given")
    try:
        found = encrypted(data, file) if passphrase else data
        load = load_pem_private_key if pem.is_pem(found) else load_der_private_key
        return load(found, _bytes(passphrase) if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
        if isinstance(error, ConfigurationError) and error.reason is PASSWORD_TOO_SLOW:
            raise
        if passphrase:
            raise ConfigurationError(AUTHORITY_KEY_LOCKED, file=file, problem="the passphrase is wrong") from None
        return None


def is_encrypted(data: bytes) -> bool:
    """Whether a private key in PEM needs a passphrase."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in data or b"\nProc-Type: 4,ENCRYPTED" in data


def _bytes(passphrase: str | bytes) -> bytes:
    return passphrase.encode("utf-8") if isinstance(passphrase, str) else passphrase


def _der(key: Any) -> bytes:
    plain: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return plain


def _encrypted(key: bytes, passphrase: bytes) -> bytes:
    """An EncryptedPrivateKeyInfo (RFC 5958 section 3): PBES2 with PBKDF2 and AES-256-CBC (RFC 8018 appendix A.4).

    `cryptography` writes such files too, with 2,048 rounds, and takes no other number: few for a passphrase that a
    person can remember.
    """
    salt, start = SYSTEM_ENTROPY.random(_SALT), SYSTEM_ENTROPY.random(_BLOCK)
    secret = PBKDF2HMAC(hashes.SHA256(), _KEY, salt, ROUNDS).derive(passphrase)
    pad = padding.PKCS7(8 * _BLOCK).padder()
    seal = Cipher(algorithms.AES256(secret), modes.CBC(start)).encryptor()
    sealed = seal.update(pad.update(key) + pad.finalize()) + seal.finalize()
    hmac_sha256 = _tlv(0x30, _HMAC_SHA256 + b"\x05\0")
    rounds = _tlv(0x02, ROUNDS.to_bytes(ROUNDS.bit_length() // 8 + 1, "big"))
    derivation = _tlv(0x30, _PBKDF2 + _tlv(0x30, _tlv(0x04, salt) + rounds + hmac_sha256))
    encryption = _tlv(0x30, _AES256_CBC + _tlv(0x04, start))
    return _tlv(0x30, _tlv(0x30, _PBES2 + _tlv(0x30, derivation + encryption)) + _tlv(0x04, sealed))


_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256: Final = bytes.fromhex("06082a864886f70d0209")
_AES256_CBC: Final = bytes.fromhex("060960864801650304012a")


def _tlv(tag: int, content: bytes) -> bytes:
    """One value in DER."""
    count = len(content)
    if count < 0x80:
        return bytes((tag, count)) + content
    length = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
