"""The roots that are trusted: from the system, from certifi, from files and folders, or from memory.

A :class:`TrustStore` never changes, and any number of configurations, connections and threads share one. The same source
gives the same store for as long as anybody holds it, so its certificates are parsed once a process.
"""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import Store

from handfast.certificates import native, pem, places
from handfast.certificates.der import parts
from handfast.certificates.distrust import Root, digests, fingerprints_of
from handfast.certificates.parsed import Parsed, parsed_root
from handfast.errors import CertificateUnreadable, ConfigurationError
from handfast.reasons import NOT_A_CERTIFICATE


@dataclass(frozen=True, slots=True)
class Skipped:
    """A root that was not loaded: which one of its source, counted from 1, and why; ``file`` of a folder, or of several files."""

    position: int
    problem: str
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.file}, " if self.file else ""
        return (
            f"{place}certificate {self.position}: {self.problem}" if self.position else f"{self.file}: {self.problem}"
        )


class TrustStore:
    """Trusted roots. ``len()`` counts them; ``source`` says where they come from, ``name`` what they are called.

    ``roots``    the certificates, in the order of the source, each once
    ``skipped``  those of the source that cannot be read, or that it says are not for TLS, as OpenSSL's TRUSTED
                 CERTIFICATE can. They are no error as long as others are left: one bad root in a system's bundle must
                 not cut the machine off from everybody
    ``parts``    the stores that it is a union of; none for any other
    ``distrusted``  the roots that were taken out by :meth:`without`; see :meth:`refuses` for what is no root

    Raises ConfigurationError (NOT_A_CERTIFICATE) where there is no root at all.
    """

    def __init__(
        self,
        roots: Iterable[x509.Certificate],
        source: str,
        skipped: Iterable[Skipped] = (),
        *,
        name: str = "",
    ) -> None:
        self.roots = tuple(dict.fromkeys(roots))
        self.source = source
        self.name = name or source
        self.skipped = tuple(skipped)
        self.parts: tuple[TrustStore, ...] = ()
        self.distrusted: tuple[x509.Certificate, ...] = ()
        # The SHA-256 of these, and of what may come in a union or from a peer: of certificates, and of public keys.
        self._refused: frozenset[bytes] = frozenset()
        if not self.roots:
            raise ConfigurationError(
                NOT_A_CERTIFICATE, file=source, problem=[str(bad) for bad in self.skipped] or "it has none"
            )

    @classmethod
    def default(cls) -> TrustStore:
        """What is used if nothing is said: the system's roots, or certifi's where the system has none."""
        return cls.system()

    @classmethod
    def system(cls) -> TrustStore:
        """The roots of the operating system, or certifi's where none are found. Loaded once a process.

        On Windows and macOS those that the system's own store trusts for servers. Elsewhere the distribution's bundle, or
        its folder. The file that SSL_CERT_FILE names comes first, and the folders of SSL_CERT_DIR are added, as with
        OpenSSL, Go and curl.
        """
        return _once("system", cls._load_system)

    @classmethod
    def certifi(cls) -> TrustStore:
        """Mozilla's roots as the package certifi ships them. Loaded once a process."""
        return _once("certifi", cls._load_certifi)

    @classmethod
    def from_files(cls, *paths: pem.PathLike, name: str = "") -> TrustStore:
        """The certificates of PEM or DER files. Raises ConfigurationError, naming the file, where one has none."""
        stores = [cls.from_bytes(pem.read(path), source=os.fspath(path)) for path in paths]
        if len(stores) == 1:
            return stores[0].named(name)
        source = ", ".join(store.source for store in stores) or "no file"
        return cls._joined(stores, source, name)

    @classmethod
    def from_folder(cls, path: pem.PathLike, name: str = "") -> TrustStore:
        """The certificates of a folder: of the files whose names are hashes (`openssl rehash`), where it has such.

        Otherwise of all that end in .pem, .crt, .cer or .der. What cannot be read is skipped. Raises ConfigurationError,
        naming the folder, where nothing is left.
        """
        contents, problems = places.folder(path)
        source = os.fspath(path)
        return cls._of_contents(contents, source, name, [Skipped(0, why, file) for file, why in problems])

    @classmethod
    def from_paths(cls, *paths: pem.PathLike) -> TrustStore:
        """The certificates of files, as :meth:`from_files`, and of folders, as :meth:`from_folder`; at least one."""
        if not any(Path(path).is_dir() for path in paths):
            return cls.from_files(*paths)
        first, *others = [cls.from_folder(path) if Path(path).is_dir() else cls.from_files(path) for path in paths]
        return first.union(*others) if others else first

    @classmethod
    def from_bytes(cls, *certificates: bytes, source: str = "memory", name: str = "") -> TrustStore:
        """Certificates in memory; each argument is PEM with any number of them, or DER."""
        return cls._of_contents([("", data) for data in certificates], source, name)

    def union(self, *others: TrustStore, name: str = "") -> TrustStore:
        """All the roots of this one and of others, but for those that one of them distrusts. ``a | b`` is the same."""
        stores = (self, *others)
        flat = [part for store in stores for part in store.parts or (store,)]
        refused = self._refused.union(*(store._refused for store in others))
        joined = type(self)._joined(flat, ", ".join(dict.fromkeys(part.source for part in flat)), name)
        joined.parts = tuple(dict.fromkeys(flat))
        return joined._less(refused) if refused else joined

    def __or__(self, other: object) -> TrustStore:
        return self.union(other) if isinstance(other, TrustStore) else NotImplemented

    def intersection(self, other: TrustStore) -> TrustStore:
        """The roots that both have, without what one of them distrusts.

        Raises ConfigurationError where they have none in common: no store would mean the system's to a configuration.
        """
        common = [root for root in self.roots if root in other]
        if not common:
            problem = "they have no root in common, so nobody could be trusted"
            raise ConfigurationError(setting="trust", problem=problem, stores=[self.source, other.source])
        return self._like(common, self.name)._less(self._refused | other._refused)

    def without(self, *certificates: Root, keys: bool = False) -> TrustStore:
        """The same but for some certificates: as objects, in DER or PEM, or as the SHA-256 of their DER in hexadecimal.

        They stay distrusted in any union with other stores, and where a peer sends them: no path leads through them,
        whether they are roots, intermediates or a peer's own.

        ``keys``  their public keys are distrusted with them, in whatever certificate they stand. Without it an authority
                  may still be trusted by another certificate of its key, such as one that another root has signed. The
                  SHA-256 of a public key (subjectPublicKeyInfo) in hexadecimal stands for a key in any case
        """
        fingerprints = [each for certificate in certificates for each in fingerprints_of(certificate, keys=keys)]
        return self._less(self._refused.union(fingerprints))

    def refuses(self, certificate: Parsed) -> bool:
        """Whether a certificate was distrusted by :meth:`without`, or its key was, be it a root or not."""
        if not self._refused:
            return False
        return not self._refused.isdisjoint(digests(certificate.der))

    def named(self, name: str) -> TrustStore:
        """The same, by another name, for explanations."""
        return self if name in ("", self.name) else self._like(self.roots, name)

    @classmethod
    def _joined(cls, stores: Iterable[TrustStore], source: str, name: str) -> TrustStore:
        stores = list(stores)
        roots = (root for store in stores for root in store.roots)
        skipped = (replace(bad, file=bad.file or store.source) for store in stores for bad in store.skipped)
        return cls(roots, source, skipped, name=name)

    def _less(self, refused: frozenset[bytes]) -> TrustStore:
        gone = [root for root in self.roots if not refused.isdisjoint(digests(root.public_bytes(Encoding.DER)))]
        kept = [root for root in self.roots if root not in gone]
        if not kept:
            raise ConfigurationError(
                setting="trust", problem="all the roots are distrusted, so nobody could be trusted", store=self.source
            )
        made = self._like(kept, self.name)
        made.distrusted = tuple(dict.fromkeys((*self.distrusted, *gone)))
        made._refused = refused
        return made

    def _like(self, roots: Iterable[x509.Certificate], name: str) -> TrustStore:
        made = type(self)(roots, self.source, self.skipped, name=name)
        made.parts, made.distrusted, made._refused = self.parts, self.distrusted, self._refused
        return made

    @classmethod
    def _of_contents(
        cls, contents: Iterable[tuple[str, bytes]], source: str, name: str, skipped: Iterable[Skipped] = ()
    ) -> TrustStore:
        """The store of these files: the one there is already, if it was made of the same bytes."""
        contents = list(contents)
        digest = hashlib.sha256()
        for file, data in contents:
            digest.update(b"%d %d " % (len(file), len(data)) + os.fsencode(file) + data)
        key = (cls, source, name, digest.digest())
        with _lock:
            store = _shared.get(key)
            if store is None:
                store = _shared[key] = cls._parsed(contents, source, name, skipped)
            return store

    @classmethod
    def _parsed(
        cls, contents: Iterable[tuple[str, bytes]], source: str, name: str, skipped: Iterable[Skipped]
    ) -> TrustStore:
        roots: list[x509.Certificate] = []
        bad = list(skipped)
        contents = list(contents)
        found = [(file, item) for file, data in contents for item in pem.roots(data)]
        if not found and len(contents) == 1 and not bad:
            problem = pem.instead(contents[0][1]) or "it has none"
            raise ConfigurationError(NOT_A_CERTIFICATE, file=source, problem=problem)
        first = {file: position for position, (file, _) in reversed([*enumerate(found)])}
        with quiet():
            for position, (file, (der, distrust)) in enumerate(found, 1):
                try:
                    if distrust:
                        raise ValueError(distrust)
                    roots.append(x509.load_der_x509_certificate(der))
                except (ValueError, x509.InvalidVersion) as error:
                    bad.append(Skipped(position - first[file], str(error), file))
        for file, data in contents:
            if pem.is_cut(data):
                bad.append(Skipped([place for place, _ in found].count(file) + 1, pem.CUT, file))
        return cls(roots, source, bad, name=name)

    @classmethod
    def _load_system(cls) -> TrustStore:
        chosen = os.environ.get("SSL_CERT_FILE")
        try:
            # What is chosen on purpose: if it is unusable, nothing else will do.
            found = cls.from_files(chosen, name="system") if chosen else cls._load_own()
        except ConfigurationError as error:
            if chosen:  # which may be set far away from where it hurts
                error.evidence["named_by"] = "the environment (SSL_CERT_FILE)"
            raise
        for folder in filter(None, os.environ.get("SSL_CERT_DIR", "").split(os.pathsep)):
            try:
                more = cls.from_folder(folder, name="system")
            except ConfigurationError:
                continue  # as OpenSSL, which looks into it when it needs a root, and finds none
            if any(root not in found for root in more.roots):
                found = found.union(more, name="system")
        return found

    @classmethod
    def _load_own(cls) -> TrustStore:
        """What this kind of system has."""
        found = native.roots()
        if found is not None and found.ders:
            return cls.from_bytes(*found.ders, source=found.source, name="system")
        for load, paths in ((cls.from_files, places.BUNDLES), (cls.from_folder, places.FOLDERS)):
            for path in paths:
                try:
                    return load(path, name="system")
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
        refused = f", {len(self.distrusted)} distrusted" if self.distrusted else ""
        return f"<TrustStore {self.source}: {len(self)} root{'' if len(self) == 1 else 's'}{left_out}{refused}>"

    def __contains__(self, certificate: object) -> bool:
        """Whether exactly this certificate (a `cryptography` object) is one of the roots."""
        return certificate in self._facts

    def holders(self, certificate: x509.Certificate) -> tuple[str, ...]:
        """The names of the stores that this root is in: of the parts of a union, or its own; none where it is in none."""
        if certificate not in self:
            return ()
        return tuple(dict.fromkeys(part.name for part in self.parts or (self,) if certificate in part))

    def distrusts(self, subject: bytes) -> bool:
        """Whether a root of this name (DER) was taken out by :meth:`without`."""
        return any(parts(root.public_bytes(Encoding.DER)).subject == subject for root in self.distrusted)

    # Each of these is built when it is first needed. Two threads may do so at once; the results are the same.

    @cached_property
    def verification_store(self) -> Store:
        """The roots as `cryptography`'s verifier wants them."""
        return Store(list(self.roots))

    @cached_property
    def fingerprint(self) -> bytes:
        """A hash of all roots and of all that is distrusted, whatever their order."""
        digests = sorted(root.fingerprint(SHA256()) for root in self.roots)
        refused = (b"without", *sorted(self._refused)) if self._refused else ()
        return hashlib.sha256(b"".join((*digests, *refused))).digest()

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
        with quiet():
            found = {self.parsed(root).owner for root in self.roots if self._is_readable(root)}
        return frozenset(name for name in found if name is not None)

    def parsed(self, root: x509.Certificate) -> Parsed:
        """The facts of one of the roots, computed when they are first asked for. Raises CertificateUnreadable."""
        facts = self._facts_by_id.get(id(root))  # the roots live as long as this; to hash a certificate takes long
        if facts is None:
            facts = self._facts[root]
            if facts is None:
                with quiet():
                    facts = self._facts[root] = parsed_root(root)
            self._facts_by_id[id(facts.certificate)] = facts
        return facts

    @cached_property
    def _facts_by_id(self) -> dict[int, Parsed]:
        return {}

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


_lock = threading.RLock()  # certifi's store may be loaded while the system's is
_loaded: Final[dict[str, TrustStore]] = {}  # for good
_shared: Final[weakref.WeakValueDictionary[tuple[object, ...], TrustStore]] = weakref.WeakValueDictionary()


def _forked() -> None:
    """The thread that held the lock, for as long as a bundle takes to be parsed, is in the other process."""
    global _lock  # noqa: PLW0603 - whoever holds the old one here lets go of that
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_forked)


def _once(name: str, load: Callable[[], TrustStore]) -> TrustStore:
    with _lock:
        if name not in _loaded:
            _loaded[name] = load()
        return _loaded[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Contain the warnings about what is odd and tolerated, such as a serial number that is not positive.

    The filters of `warnings` belong to the whole process, hence the lock.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
