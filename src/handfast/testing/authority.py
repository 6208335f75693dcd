"""A certificate authority in memory, for tests and demonstrations.

::

    authority = Authority.create()
    identity = authority.issue("localhost", "127.0.0.1")             # ready for a ServerConfig
    client = ClientConfig(trust=authority.trust)

Its keys are nobody's secret. Do not let anything but a test trust it. For certificates that are to be trusted there is
:mod:`handfast.authority`, which makes them with the same code; here the sensible choices can be replaced by any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from handfast.authority import making
from handfast.authority.issued import IssuedIdentity, write_private
from handfast.authority.keys import key_pem
from handfast.authority.making import Extensions, Hash, OwnExtensions, key_identifier, key_usage, of_authority, of_leaf
from handfast.certificates import pem
from handfast.certificates.names import address
from handfast.certificates.store import TrustStore
from handfast.testing.keys import new_key
from handfast.testing.pss import PssPrivateKey

if TYPE_CHECKING:
    from handfast.certificates.pem import PathLike

__all__ = [
    "Authority",
    "Extensions",
    "IssuedIdentity",
    "alternative_names",
    "certify",
    "key_pem",
    "key_usage",
    "subject_of",
    "tampered",
    "write_private",
]

Usage = Literal["server", "client"]

ORGANIZATION: Final = "handfast testing"
_USAGES: Final = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


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
            {**of_authority(private.public_key(), path_length), **(extensions or {})},
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
        own = of_authority(private.public_key(), path_length)
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
    ) -> OwnExtensions:
        """The extensions of what :meth:`issue` makes, by type, each with whether it is critical."""
        return of_leaf(
            key.public_key(),
            self._key_identifier,
            [_USAGES[item] for item in usage],
            list(alternative_names(*names)),
            critical_names=critical_san,
        )

    @property
    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return key_identifier(self.certificate, self.key)

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
    *,
    algorithm: Hash | None = None,
    serial: int | None = None,
) -> bytes:
    """Sign any certificate, sensible or not: DER. See :func:`handfast.authority.making.certify`."""
    padding = None
    if isinstance(issuer_key, PssPrivateKey):
        algorithm, padding = algorithm or issuer_key.signature_hash, issuer_key.padding
    return making.certify(
        subject,
        public_key,
        issuer,
        issuer_key,
        extensions,
        validity,
        algorithm=algorithm,
        padding=padding,
        serial=serial,
    )


def tampered(der: bytes) -> bytes:
    """A certificate (DER) with a signature that is not good: its last bit is another one."""
    return der[:-1] + bytes((der[-1] ^ 1,))


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


def _validity(not_before: datetime | None, not_after: datetime | None, days: int) -> tuple[datetime, datetime]:
    begin = not_before or datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    return begin, not_after or begin + timedelta(days=days)
