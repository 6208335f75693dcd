"""What an authority hands out together with its key."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12

from handfast.authority.keys import key_pem
from handfast.certificates import pem
from handfast.certificates.identity import Identity

if TYPE_CHECKING:
    from handfast.certificates.pem import PathLike


class IssuedIdentity(Identity):
    """An Identity whose key can be had: to be given to other programs as files."""

    __slots__ = ("key",)

    def __init__(self, chain: Sequence[bytes], key: Any) -> None:
        super().__init__(chain, key)
        self.key = key

    @property
    def certificate_pem(self) -> bytes:
        """The chain, our own certificate first, as PEM."""
        return b"".join(map(pem.certificate, self.chain))

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM (PKCS#8, not encrypted)."""
        return key_pem(self.key)

    def pkcs12(self, password: str | bytes | None, name: str = "handfast") -> bytes:
        """Chain and key in one file (PKCS#12, RFC 7292), for browsers, Java and Windows.

        ``name``  what such programs show it as
        """
        secret = password.encode("utf-8") if isinstance(password, str) else password
        leaf, *others = (x509.load_der_x509_certificate(der) for der in self.chain)
        hidden = BestAvailableEncryption(secret) if secret else NoEncryption()
        return pkcs12.serialize_key_and_certificates(name.encode("utf-8"), self.key, leaf, others or None, hidden)

    def write(self, folder: PathLike, name: str = "server") -> tuple[Path, Path]:
        """Write ``<name>.pem`` (the chain) and ``<name>.key`` (mode 0600) into a folder; both paths."""
        certificates, key = Path(folder, f"{name}.pem"), Path(folder, f"{name}.key")
        certificates.write_bytes(self.certificate_pem)
        write_private(key, self.key_pem)
        return certificates, key


def write_private(path: Path, data: bytes) -> None:
    """Write a file that is nobody else's to read, from the first moment on (mode 0600)."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
