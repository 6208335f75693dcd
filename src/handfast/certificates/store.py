"""The roots that are trusted: from the system, from certifi, from files or from memory.

A :class:`TrustStore` never changes, and any number of configurations, connections and threads share one.
"""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import Store

from handfast.certificates import pem
from handfast.certificates.der import parts
from handfast.certificates.parsed import Parsed, parsed_root
from handfast.errors import CertificateUnreadable, ConfigurationError
from handfast.reasons import NOT_A_CERTIFICATE

SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",  # older ones of these
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS, OpenBSD, FreeBSD
    "/usr/local/share/certs/ca-root-nss.crt",  # FreeBSD's port
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A root that could not be loaded: which one of its source, counted from 1, and why."""

    position: int
    problem: str


class TrustStore:
    """Trusted roots. ``len()`` counts them; ``source`` says where they come from.

    ``roots``    the certificates, in the order of the source, each once
    ``skipped``  those of the source that cannot be read. They are no error as long as others are left: one bad root in
                 a system's bundle must not cut the machine off from everybody
    """

    def __init__(self, roots: Iterable[x509.Certificate], source: str, skipped: Iterable[Skipped] = ()) -> None:
        self.roots = tuple(dict.fromkeys(roots))
        self.source = source
        self.skipped = tuple(skipped)
        if not self.roots:
            raise ConfigurationError(
                NOT_A_CERTIFICATE,
                file=source,
                problem=[f"certificate {bad.position}: {bad.problem}" for bad in self.skipped] or "it has none",
            )

    @classmethod
    def default(cls) -> TrustStore:
        """What is used if nothing is said: the system's roots, or certifi's where the system has none."""
        return cls.system()

    @classmethod
    def system(cls) -> TrustStore:
        """The roots of the operating system, or certifi's where no bundle is found. Loaded once a process.

        The file that SSL_CERT_FILE names comes first, as with OpenSSL, Go and curl.
        """
        return _once("system", cls._load_system)

    @classmethod
    def certifi(cls) -> TrustStore:
        """Mozilla's roots as the package certifi ships them. Loaded once a process."""
        return _once("certifi", cls._load_certifi)

    @classmethod
    def from_files(cls, *paths: pem.PathLike) -> TrustStore:
        """The certificates of PEM or DER files. Raises ConfigurationError, naming the file, where one has none."""
        stores = [cls.from_bytes(pem.read(path), source=os.fspath(path)) for path in paths]
        return cls(
            (root for store in stores for root in store.roots),
            ", ".join(store.source for store in stores) or "no file",
            (skipped for store in stores for skipped in store.skipped),
        )

    @classmethod
    def from_bytes(cls, *certificates: bytes, source: str = "memory") -> TrustStore:
        """Certificates in memory; each argument is PEM with any number of them, or the DER of one."""
        roots: list[x509.Certificate] = []
        skipped: list[Skipped] = []
        ders = [der for data in certificates for der in pem.certificates(data)]
        with _quiet():
            for position, der in enumerate(ders, 1):
                try:
                    roots.append(x509.load_der_x509_certificate(der))
                except ValueError as error:
                    skipped.append(Skipped(position, str(error)))
        return cls(roots, source, skipped)

    @classmethod
    def _load_system(cls) -> TrustStore:
        chosen = os.environ.get("SSL_CERT_FILE")
        if chosen:
            return cls.from_files(chosen)  # chosen on purpose: if it is unusable, nothing else will do
        for path in SYSTEM_BUNDLES:
            try:
                return cls.from_files(path)
            except ConfigurationError:
                continue
        return cls.certifi()

    @classmethod
    def _load_certifi(cls) -> TrustStore:
        try:
            import certifi
        except ImportError:
            raise ConfigurationError(
                setting="trust", problem="this system has no bundle of roots, and certifi is not installed"
            ) from None
        return cls.from_bytes(certifi.contents().encode("ascii"), source="certifi")

    def __len__(self) -> int:
        return len(self.roots)

    def __repr__(self) -> str:
        left_out = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"<TrustStore {self.source}: {len(self)} root{'' if len(self) == 1 else 's'}{left_out}>"

    def __contains__(self, certificate: object) -> bool:
        """Whether exactly this certificate (a `cryptography` object) is one of the roots."""
        return certificate in self._facts

    # Each of these is built when it is first needed. Two threads may do so at once; the results are the same.

    @cached_property
    def verification_store(self) -> Store:
        """The roots as `cryptography`'s verifier wants them."""
        return Store(list(self.roots))

    @cached_property
    def fingerprint(self) -> bytes:
        """A hash of all roots, whatever their order."""
        digests = sorted(root.fingerprint(SHA256()) for root in self.roots)
        return hashlib.sha256(b"".join(digests)).digest()

    @cached_property
    def _facts(self) -> dict[x509.Certificate, Parsed | None]:
        return dict.fromkeys(self.roots)

    @cached_property
    def _by_subject(self) -> dict[bytes, list[x509.Certificate]]:
        found: dict[bytes, list[x509.Certificate]] = {}
        for root in self.roots:
            found.setdefault(parts(root.public_bytes(Encoding.DER)).subject, []).append(root)
        return found

    @cached_property
    def organizations(self) -> frozenset[str]:
        """The organizationName of each root that has one."""
        with _quiet():
            found = {self.parsed(root).owner for root in self.roots if self._is_readable(root)}
        return frozenset(name for name in found if name is not None)

    def parsed(self, root: x509.Certificate) -> Parsed:
        """The facts of one of the roots, computed when they are first asked for. Raises CertificateUnreadable."""
        facts = self._facts[root]
        if facts is None:
            with _quiet():
                facts = self._facts[root] = parsed_root(root)
        return facts

    def _is_readable(self, root: x509.Certificate) -> bool:
        try:
            return self.parsed(root) is not None
        except CertificateUnreadable:
            return False  # extensions that do not parse: the verifier cannot use it either

    def subjects(self) -> tuple[bytes, ...]:
        """The name (DER) of each root, in their order and each once: what certificate_authorities is made of.

        RFC 9846 section 4.3.4. Worked out once.
        """
        return self._subjects

    @cached_property
    def _subjects(self) -> tuple[bytes, ...]:
        return tuple(self._by_subject)

    def names(self, subject: bytes) -> bool:
        """Whether there is a root of this name (DER), readable or not."""
        return subject in self._by_subject

    def by_subject(self, subject: bytes) -> tuple[Parsed, ...]:
        """The readable roots of this name (DER): several, if an authority has used several keys."""
        return tuple(self.parsed(root) for root in self._by_subject.get(subject, ()) if self._is_readable(root))


_lock: Final = threading.RLock()  # certifi's store may be loaded while the system's is
_loaded: Final[dict[str, TrustStore]] = {}


def _once(name: str, load: Callable[[], TrustStore]) -> TrustStore:
    with _lock:
        if name not in _loaded:
            _loaded[name] = load()
        return _loaded[name]


@contextmanager
def _quiet() -> Iterator[None]:
    """Contain the warnings about odd roots, such as one whose serial number is not positive: they are tolerated.

    The filters of `warnings` belong to the whole process, hence the lock.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
