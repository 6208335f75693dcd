"""Who the peer proved to be."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal, NoReturn

from cryptography import x509

from handfast.crypto import signatures
from handfast.crypto.guard import Guarded
from handfast.errors import shown

if TYPE_CHECKING:
    from datetime import datetime

    from handfast.certificates.names import Address
    from handfast.certificates.parsed import Parsed

PROOF: Final = object()
"""What a :class:`PeerIdentity` asks for. Only code that has verified a peer, or says in its name that it did not, uses it."""


class PeerIdentity(Guarded):
    """Who the peer proved to be. A proof value: handfast's verifiers alone can make one.

    ``chain``        DER as the peer sent it, its own certificate first
    ``path``         DER of the path that was verified, from its certificate to the trusted root; empty without one
    ``server_name``  the name that it was verified for; None for a client
    ``verified_by``  "chain", or "nothing" where handfast.insecure was used

    All the rest stands in the peer's own certificate. A server was asked for by name, and was compared. Who a client
    is, and whether it may come in, the application has to say: by a name of the kind that its authority vouches for
    (:attr:`uris` for SPIFFE, :attr:`email_addresses`, :attr:`dns_names`), not by the fingerprint, which changes with
    each renewal, and not by a serial number without its issuer.
    """

    __slots__ = ("_leaf", "chain", "path", "server_name", "verified_by")

    _leaf: Parsed
    chain: tuple[bytes, ...]
    path: tuple[bytes, ...]
    server_name: str | None
    verified_by: Literal["chain", "nothing"]

    def __init__(
        self,
        proof: object,
        leaf: Parsed,
        chain: tuple[bytes, ...],
        path: tuple[bytes, ...],
        server_name: str | None,
        verified_by: Literal["chain", "nothing"],
    ) -> None:
        """``proof`` has to be :data:`PROOF`, so that nobody makes one by accident."""
        if proof is not PROOF:
            raise TypeError("a PeerIdentity comes from a verifier")
        keep = object.__setattr__
        keep(self, "_leaf", leaf)
        keep(self, "chain", chain)
        keep(self, "path", path)
        keep(self, "server_name", server_name)
        keep(self, "verified_by", verified_by)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refused: a verifier remembers whom it has accepted, and other connections have the same object."""
        raise AttributeError(f"a PeerIdentity never changes: {name} is what was proved")

    @property
    def der(self) -> bytes:
        """The certificate that all this stands in."""
        return self._leaf.der

    @property
    def public_key(self) -> signatures.PublicKey:
        """The key that its CertificateVerify has to be signed with."""
        return self._leaf.key

    @property
    def kind(self) -> str:
        """The kind of that key: "rsa", "secp256r1", "ed25519", ..."""
        return self._leaf.kind

    @property
    def pss(self) -> signatures.PssKey | None:
        """Where the certificate calls the key id-RSASSA-PSS: what it may be used for (RFC 9846 section 4.3.3)."""
        return self._leaf.pss

    @property
    def subject(self) -> str:
        """As RFC 4514 writes it; may be empty. What cannot be printed stands there in hexadecimal digits."""
        return _printable(self._leaf.subject)

    @property
    def issuer(self) -> str:
        """As RFC 4514 writes it, likewise."""
        return _printable(self._leaf.issuer)

    @property
    def subject_alternative_names(self) -> tuple[str, ...]:
        """All of them, in the certificate's order: "DNS:example.com", "IP:192.0.2.1", "URI:spiffe://...".

        No verifier accepts a certificate with a name that cannot be printed, or that has ", " in it.
        """
        return tuple(map(_listable, self._leaf.alternative_names))

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The DNS names of the subjectAltName, in its order; wildcards as they are."""
        return self._leaf.values(x509.DNSName)

    @property
    def ip_addresses(self) -> tuple[Address, ...]:
        """The IP addresses of the subjectAltName, as objects of :mod:`ipaddress`."""
        return self._leaf.addresses

    @property
    def uris(self) -> tuple[str, ...]:
        """The URIs of the subjectAltName; a SPIFFE id is the one that begins with "spiffe://"."""
        return self._leaf.values(x509.UniformResourceIdentifier)

    @property
    def email_addresses(self) -> tuple[str, ...]:
        """The e-mail addresses of the subjectAltName."""
        return self._leaf.values(x509.RFC822Name)

    @property
    def serial_number(self) -> int:
        """Unique for each certificate of an issuer (RFC 5280 section 4.1.2.2)."""
        return self._leaf.certificate.serial_number

    @property
    def fingerprint_sha256(self) -> str:
        """SHA-256 of the certificate's DER: 64 hexadecimal digits, in small letters."""
        return hashlib.sha256(self._leaf.der).hexdigest()

    @property
    def not_before(self) -> datetime:
        """When the certificate's validity begins, UTC."""
        return self._leaf.not_before

    @property
    def not_after(self) -> datetime:
        """When it ends, UTC."""
        return self._leaf.not_after

    def __repr__(self) -> str:
        return f"<PeerIdentity {shown(self.subject_alternative_names or self.subject)}, verified by {self.verified_by}>"


def _printable(name: str) -> str:
    """RFC 4514 section 2.4: any character may be two hexadecimal digits for each byte of it.

    Applications put a subject into headers and logs, where the end of a line would begin another one.
    """
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else "".join(f"\\{byte:02X}" for byte in c.encode("utf-8")) for c in name)


def _listable(name: str) -> str:
    """A name without what would end it in a list: a directory's (RFC 4514) may have a comma and a blank in a value."""
    return _printable(name).replace("\\, ", "\\2C ") if name.startswith("DIR:") else name
