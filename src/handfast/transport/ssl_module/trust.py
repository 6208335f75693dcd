"""Whom a context trusts: the roots that it was given, and what its settings make of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from handfast.certificates import pem, places
from handfast.certificates.identity import Identity
from handfast.certificates.parsed import parsed
from handfast.certificates.path import intermediates
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import Rule
from handfast.certificates.store import TrustStore
from handfast.errors import (
    CertificateError,
    ConfigurationError,
    SelfSignedCertificate,
    UnknownIssuer,
)
from handfast.insecure import NoVerification
from handfast.reasons import NO_CERTIFICATE
from handfast.transport.ssl_module.hashed import is_called

if TYPE_CHECKING:
    from datetime import datetime

    from handfast.certificates.peer import PeerIdentity

_FILES_KEPT: Final = 8
_SEQUENCE: Final = 0x30
_ANY_NAME: Final = b"any name: "
_STRICT: Final = (Rule.MISSING_SUBJECT_ALTERNATIVE_NAME,)


@lru_cache(maxsize=_FILES_KEPT)  # which holds them: TrustStore shares what somebody holds
def store_of(*data: bytes, source: str = "memory") -> TrustStore:
    """The roots of a file, or of memory. Programs make context after context from the same bundle: it is parsed once.

    Raises ConfigurationError where there is no readable certificate.
    """
    return TrustStore.from_bytes(*data, source=source)


def ders(store: TrustStore) -> list[bytes]:
    """The certificates of a store."""
    return [store.parsed(root).der for root in store.roots]


@lru_cache(maxsize=_FILES_KEPT)
def joined(stores: tuple[TrustStore, ...]) -> TrustStore | None:
    """All the roots of these; None where there are none."""
    return stores[0].union(*stores[1:]) if len(stores) > 1 else next(iter(stores), None)


def of_directory(path: str | bytes | os.PathLike[str]) -> TrustStore | None:
    """The certificates that OpenSSL would find in a directory: in files that are called by their hashes. None if there are none."""
    folder = os.fsdecode(path)
    try:
        contents, _ = places.folder(folder)
        found = [data for name, data in contents if places.HASHED.fullmatch(name) and is_called(name, data)]
        return TrustStore.from_bytes(*found, source=folder) if found else None
    except ConfigurationError:
        return None  # as OpenSSL, which looks when it needs one, and then finds nothing


def of_system() -> list[TrustStore]:
    """The roots of this machine, by the environment's SSL_CERT_FILE and SSL_CERT_DIR where they are set."""
    chosen, directory = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    found: list[TrustStore | None] = []
    with contextlib.suppress(ConfigurationError):  # as ssl: who has no roots learns it when a server cannot be verified
        found.append(store_of(pem.read(chosen), source=chosen) if chosen else TrustStore.system())
    found += [of_directory(part) for part in directory.split(os.pathsep)] if directory else []
    return [store for store in found if store is not None]


def completed(identity: Identity, store: TrustStore | None) -> Identity:
    """An identity without its intermediate certificates gets those that are among the roots, as with OpenSSL.

    A root itself is not sent: whoever trusts it has it.
    """
    if store is None or len(identity.chain) > 1:
        return identity
    found = intermediates(parsed(identity.chain[0]), store)
    return Identity((*identity.chain, *(item.der for item in found)), identity.signer) if found else identity


def split(data: bytes) -> Iterable[bytes]:
    """Certificates in DER, one after the other."""
    at = 0
    while at + 2 <= len(data) and data[at] == _SEQUENCE:
        first = data[at + 1]
        more = first & 0x7F if first & 0x80 else 0
        length = int.from_bytes(data[at + 2 : at + 2 + more]) if more else first
        end = at + 2 + more + length
        yield data[at:end]
        at = end


class Unverified(NoVerification):
    """CERT_NONE. Sessions made so are resumed where nothing is verified, and nowhere else."""

    trust_id: Final = b"nothing is verified"


class ContextVerifier:
    """Decides on the peer's certificate as the settings of a context say.

    ``trust``           the roots, None where the context has none
    ``check_hostname``  whether a server's name counts
    ``strict``          VERIFY_X509_STRICT: hold certificates to the profile of the web. Without it what private
                        authorities do differently is let pass, as ``ssl`` lets it pass; see handfast.certificates.rules.
                        That a client has no subjectAltName is let pass in any case: OpenSSL asks for none
    ``unread``          what verify_flags ask for and is not looked at here, such as "certificate revocation lists": then
                        nobody is accepted. "" for nothing
    """

    def __init__(self, trust: TrustStore | None, *, check_hostname: bool, strict: bool, unread: str = "") -> None:
        self._check_hostname = check_hostname
        self._unread = unread
        self._chains = None if trust is None else ChainVerifier(trust, Policy(_STRICT if strict else Rule))

    @property
    def trust_id(self) -> bytes:
        """What it trusts, for sessions; b"" where it trusts nobody."""
        if self._chains is None or self._unread:
            return b""
        return (b"" if self._check_hostname else _ANY_NAME) + self._chains.trust_id

    def verify_server(self, chain: Sequence[bytes], server_name: str | None, now: datetime) -> PeerIdentity:
        """See handfast.certificates.policy.ChainVerifier."""
        chains = self._usable(chain)
        if self._check_hostname:
            return chains.verify_server(chain, server_name, now)
        return chains.verify_unnamed_server(chain, now)

    def verify_client(self, chain: Sequence[bytes], now: datetime) -> PeerIdentity:
        """See handfast.certificates.policy.ChainVerifier."""
        return self._usable(chain).verify_client(chain, now)

    def _usable(self, chain: Sequence[bytes]) -> ChainVerifier:
        if self._unread:
            problem = f"verify_flags ask for {self._unread}, which handfast does not look at"
            raise CertificateError(certificate=chain[0] if chain else None, problem=problem)
        if self._chains is not None:
            return self._chains
        if not chain:
            raise CertificateError(NO_CERTIFICATE)
        leaf = parsed(chain[0])
        kind = SelfSignedCertificate if leaf.self_issued else UnknownIssuer
        raise kind(
            certificate=leaf.der,
            subject=leaf.subject,
            issuer=leaf.issuer,
            trusted_roots="none: this context has no roots",
        )
