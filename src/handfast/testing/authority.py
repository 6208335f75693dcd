"""A certificate authority in memory, for tests and demonstrations.

::

    authority = Authority.create()
    identity = authority.issue("localhost", "127.0.0.1")             # ready for a ServerConfig
    client = ClientConfig(trust=authority.trust)

Its keys are nobody's secret. Do not let anything but a test trust it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from handfast.certificates import pem
from handfast.certificates.identity import Identity
from handfast.certificates.names import address
from handfast.certificates.store import TrustStore
from handfast.testing.keys import new_key
from handfast.testing.pss import PssPrivateKey

if TYPE_CHECKING:
    from handfast.certificates.pem import PathLike

# By type; Any, since the keys of a Mapping are invariant, and {x509.KeyUsage: ...} would not pass for one of type[...].
Extensions = Mapping[Any, tuple[x509.ExtensionType, bool] | None]
Usage = Literal["server", "client"]

ORGANIZATION: Final = "handfast testing"
_BITS: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_USAGES: Final = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


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

    def write(self, folder: PathLike, name: str = "server") -> tuple[Path, Path]:
        """Write ``<name>.pem`` (the chain) and ``<name>.key`` (mode 0600) into a folder; both paths."""
        certificates, key = Path(folder, f"{name}.pem"), Path(folder, f"{name}.key")
        certificates.write_bytes(self.certificate_pem)
        write_private(key, self.key_pem)
        return certificates, key


class Authority:
    """A certificate authority with its key.

    ``chain``  DER, its own certificate first and, for an intermediate, those above it; the root is the last
    ``key``    its private key
    """

    def __init__(self, chain: Sequence[bytes], key: Any) -> None:
        self.chain = tuple(chain)
        self.key = key
        self.certificate = x509.load_der_x509_certificate(self.chain[0])

    @classmethod
    def create(
        cls,
        name: str = "handfast test root",
        key: str = "p256",
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        path_length: int | None = None,
        extensions: Extensions | None = None,
    ) -> Authority:
        """A root with a fresh key of one of the KEY_KINDS, valid from an hour ago for ten years.

        ``extensions`` replaces extensions, or with None leaves them out, by type: {x509.KeyUsage: None}.
        """
        private = new_key(key)
        subject = subject_of(name)
        certificate = certify(
            subject,
            private.public_key(),
            subject,
            private,
            {**_authority_extensions(private.public_key(), path_length), **(extensions or {})},
            _validity(not_before, not_after, 3650),
        )
        return cls((certificate,), private)

    def intermediate(
        self,
        name: str = "handfast test intermediate",
        key: str = "p256",
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        path_length: int | None = None,
        extensions: Extensions | None = None,
    ) -> Authority:
        """An authority below this one; see :meth:`create` for the rest."""
        private = new_key(key)
        own = _authority_extensions(private.public_key(), path_length)
        own[x509.AuthorityKeyIdentifier] = (self._key_identifier, False)
        certificate = certify(
            subject_of(name),
            private.public_key(),
            self.certificate.subject,
            self.key,
            {**own, **(extensions or {})},
            _validity(not_before, not_after, 1825),
        )
        return Authority((certificate, *self.chain), private)

    def issue(
        self,
        *names: str,
        key: str = "p256",
        common_name: str = "handfast test",
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        usage: Iterable[Usage] = ("server",),
        critical_san: bool = False,
        send_chain: bool = True,
        extensions: Extensions | None = None,
    ) -> IssuedIdentity:
        """An identity for these names, valid from an hour ago for ninety days.

        ``names``         DNS names and IP addresses; of clients also URIs ("spiffe://...") and e-mail addresses
        ``common_name``   the subject's; "" leaves the subject empty
        ``usage``         the extended key usages; () leaves the extension out
        ``critical_san``  mark subjectAltName critical, as some private authorities do
        ``send_chain``    whether the identity also sends the intermediates between it and the root
        ``extensions``    replaces extensions, or with None leaves them out, by type
        """
        private = new_key(key)
        own = self.leaf_extensions(private, names, tuple(usage), critical_san)
        certificate = certify(
            subject_of(common_name),
            private.public_key(),
            self.certificate.subject,
            self.key,
            {**own, **(extensions or {})},
            _validity(not_before, not_after, 90),
        )
        # The root is not sent: who trusts it has it, and who has it not does not trust it (RFC 9846 section 4.5.1).
        return IssuedIdentity((certificate, *(self.chain[:-1] if send_chain else ())), private)

    def leaf_extensions(
        self, key: Any, names: Sequence[str], usage: Sequence[Usage] = ("server",), critical_san: bool = False
    ) -> dict[Any, tuple[x509.ExtensionType, bool] | None]:
        """The extensions of what :meth:`issue` makes, by type, each with whether it is critical."""
        own: dict[Any, tuple[x509.ExtensionType, bool] | None] = {
            x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True),
            x509.KeyUsage: (key_usage(digital_signature=True), True),
            x509.AuthorityKeyIdentifier: (self._key_identifier, False),
            x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        }
        if usage:
            own[x509.ExtendedKeyUsage] = (x509.ExtendedKeyUsage([_USAGES[item] for item in usage]), False)
        if names:
            own[x509.SubjectAlternativeName] = (alternative_names(*names), critical_san)
        return own

    @property
    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        try:
            found = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)

    @property
    def der(self) -> bytes:
        """Its own certificate."""
        return self.chain[0]

    @property
    def pem(self) -> bytes:
        """The root's certificate as PEM: what others have to trust."""
        return pem.certificate(self.chain[-1])

    @property
    def trust(self) -> TrustStore:
        """A store of nothing but the root."""
        return TrustStore.from_bytes(
            self.chain[-1], source=f"test authority {self.certificate.subject.rfc4514_string()}"
        )

    def write(self, folder: PathLike, name: str = "ca") -> Path:
        """Write ``<name>.pem``, the root's certificate, into a folder; its path."""
        path = Path(folder, f"{name}.pem")
        path.write_bytes(self.pem)
        return path


def certify(
    subject: x509.Name,
    public_key: Any,
    issuer: x509.Name,
    issuer_key: Any,
    extensions: Extensions,
    validity: tuple[datetime, datetime],
) -> bytes:
    """Sign any certificate, sensible or not: DER."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )
    for extension in extensions.values():
        if extension is not None:
            value, critical = extension
            builder = builder.add_extension(value, critical)
    if isinstance(issuer_key, PssPrivateKey):
        certificate = builder.sign(issuer_key, issuer_key.signature_hash, rsa_padding=issuer_key.padding)
    else:
        hashed = isinstance(issuer_key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, dsa.DSAPrivateKey))
        certificate = builder.sign(issuer_key, hashes.SHA256() if hashed else None)
    return certificate.public_bytes(Encoding.DER)


def subject_of(common_name: str) -> x509.Name:
    """The distinguished name that this module gives: an organisation of its own, and a common name. "" is nobody."""
    if not common_name:
        return x509.Name([])
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def alternative_names(*names: str) -> x509.SubjectAlternativeName:
    """A subjectAltName of DNS names, IP addresses, URIs (with a "scheme://") and e-mail addresses (with an "@")."""
    found: list[x509.GeneralName] = []
    for name in names:
        number = address(name)
        if number is not None:
            found.append(x509.IPAddress(number))
        elif "://" in name:
            found.append(x509.UniformResourceIdentifier(name))
        else:
            found.append(x509.RFC822Name(name) if "@" in name else x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


def key_usage(**bits: bool) -> x509.KeyUsage:
    """A keyUsage with the bits that are named, and no other."""
    return x509.KeyUsage(**{bit: bits.get(bit, False) for bit in _BITS})


def key_pem(key: Any, password: str | None = None) -> bytes:
    """A private key as PEM (PKCS#8), encrypted where there is a password."""
    hidden: KeySerializationEncryption = (
        BestAvailableEncryption(password.encode("utf-8")) if password else NoEncryption()
    )
    encoded: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)
    return encoded


def write_private(path: Path, data: bytes) -> None:
    """Write a file that is nobody else's to read, from the first moment on (mode 0600)."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _authority_extensions(
    public_key: Any, path_length: int | None
) -> dict[Any, tuple[x509.ExtensionType, bool] | None]:
    return {
        x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=path_length), True),
        x509.KeyUsage: (key_usage(key_cert_sign=True, crl_sign=True), True),
        x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
    }


def _validity(not_before: datetime | None, not_after: datetime | None, days: int) -> tuple[datetime, datetime]:
    begin = not_before or datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    return begin, not_after or begin + timedelta(days=days)
