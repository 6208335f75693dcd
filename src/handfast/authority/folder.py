"""An authority in a folder: keys, certificates, what it has issued and revoked.

::

    authority = AuthorityFolder.create("ca", "Example")        # root and intermediate
    authority = AuthorityFolder("ca")                          # later
    identity = authority.issue("localhost", "127.0.0.1")

What lies there: ``root.pem``, which others trust; ``intermediate.pem`` and its key, which issue; ``root.key``, which can be
kept elsewhere; ``index.jsonl`` with all that was done, and ``issued/`` with each certificate; ``crl.pem`` with the
revocation lists, and ``intermediate.crl`` for the web; ``authority.json`` with the settings. Several runs may use it at a
time; a crash leaves it as it was before, or as it is after, but for a list that does not name yet what is revoked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from handfast.authority import files, lifetimes
from handfast.authority.creating import Plan, create
from handfast.authority.files import Together
from handfast.authority.index import Entry, Index, Issuer
from handfast.authority.issuer import Authority
from handfast.authority.keys import is_encrypted, load_key
from handfast.authority.lifetimes import Kind
from handfast.authority.names import Limits
from handfast.authority.places import Places, Settings
from handfast.authority.revoked import check_why
from handfast.certificates import pem
from handfast.certificates.parsed import serial_text
from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.crypto.guard import Guarded
from handfast.errors import ConfigurationError
from handfast.reasons import (
    AUTHORITY_DAMAGED,
    AUTHORITY_KEY_ELSEWHERE,
    FILE_THERE_ALREADY,
    KEY_MISMATCH,
    NOT_ISSUED_HERE,
)

if TYPE_CHECKING:
    from handfast.authority.issued import IssuedIdentity
    from handfast.authority.outputs import Outputs
    from handfast.authority.requests import Request
    from handfast.certificates.pem import PathLike

Passphrase = str | bytes | Callable[[Path], str | bytes] | None
"""Of a key; or who is asked for it, with the key's file, if it is encrypted."""

_SERIAL_DIGITS: Final = frozenset("0123456789abcdefABCDEFxX: ")  # and what may stand between
_SERIAL_LEAST: Final = 4  # hexadecimal digits of a serial number that is not given whole


class AuthorityFolder(Guarded):
    """A certificate authority in a folder: see :mod:`handfast.authority.folder`.

    ``path``      the folder
    ``settings``  what was chosen when it was made
    """

    def __init__(self, path: PathLike, passphrase: Passphrase = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Open it. Raises ConfigurationError: NOT_AN_AUTHORITY, AUTHORITY_DAMAGED, FILE_UNREADABLE."""
        self.path = Path(path)
        self._places = Places(self.path)
        self.settings: Settings = self._places.settings()
        self._passphrase = passphrase
        self._clock = clock
        self._issuer: Authority | None = None

    @classmethod
    def create(  # noqa: PLR0913 - each is a choice of its own, and has its name
        cls,
        path: PathLike,
        name: str = "handfast",
        *,
        key: str = "p256",
        permit: Iterable[str] = (),
        exclude: Iterable[str] = (),
        root_lifetime: timedelta = lifetimes.ROOT,
        lifetime: timedelta = lifetimes.INTERMEDIATE,
        passphrase: str | bytes | None = None,
        root_passphrase: str | bytes | None = None,
        crl_url: str = "",
        issuer_url: str = "",
        clock: Clock = SYSTEM_CLOCK,
    ) -> AuthorityFolder:
        """Make a folder with a root and an intermediate. It is there whole, or not at all.

        ``name``             they are called "<name> root" and "<name> intermediate"
        ``key``              one of KEY_KINDS, for both
        ``permit, exclude``  domains and networks: see :class:`~handfast.authority.names.Limits`
        ``root_lifetime``    of the root, 10 years; ``lifetime`` of the intermediate, 3 years
        ``passphrase``       encrypts both keys; with ``root_passphrase`` the root's key has its own
        ``crl_url``          where ``intermediate.crl`` will be on the web, for what is issued; ``issuer_url`` likewise
                             for ``intermediate.cer``

        Raises ConfigurationError: AUTHORITY_EXISTS where there is something in the folder, FILE_UNWRITABLE.
        """
        plan = Plan(Path(path), name, key, Limits.of(permit, exclude), lifetime, passphrase, crl_url, issuer_url, clock)
        root = Authority.create(plan.named("root"), key=key, lifetime=root_lifetime, limits=plan.limits, clock=clock)
        create(plan, root, root_passphrase or passphrase)
        return cls(path, passphrase, clock=clock)

    def create_below(
        self,
        path: PathLike,
        name: str = "",
        *,
        key: str = "p256",
        lifetime: timedelta = lifetimes.INTERMEDIATE,
        passphrase: str | bytes | None = None,
        crl_url: str = "",
        issuer_url: str = "",
        root_key: PathLike | None = None,
    ) -> AuthorityFolder:
        """Make another folder, with a new intermediate of the root of this one: who trusts the root need not do anything.

        It has the limits of this one. It is listed here, and can be revoked here.

        ``root_key``  the file of the root's key, where it is kept elsewhere

        Raises ConfigurationError: AUTHORITY_EXISTS, AUTHORITY_KEY_ELSEWHERE, AUTHORITY_KEY_LOCKED, KEY_MISMATCH, AUTHORITY_BUSY,
        FILE_UNWRITABLE.
        """
        root = self.root(root_key)
        with self._changing() as index:
            plan = Plan(
                Path(path),
                name or self.settings.name,
                key,
                self.settings.limits,
                lifetime,
                passphrase,
                crl_url,
                issuer_url,
                self._clock,
                number=1 + sum(entry.kind == "intermediate" for entry in index.entries.values()),
            )
            create(plan, root, None, note=lambda der: index.add(Entry.of(der).line()))
        return AuthorityFolder(path, passphrase, clock=self._clock)

    # --- what it does

    def issue(
        self,
        *names: str,
        kind: Kind | None = None,
        key: str = "p256",
        lifetime: timedelta | None = None,
        outputs: Outputs | None = None,
    ) -> IssuedIdentity:
        """A key and a certificate: see :meth:`handfast.authority.issuer.Authority.issue`. The key is not kept here.

        ``outputs``  where to write them: either all is written and listed, or nothing

        Raises ConfigurationError: NAME_NOT_ISSUED, AUTHORITY_ENDED, AUTHORITY_KEY_LOCKED, AUTHORITY_BUSY, FILE_THERE_ALREADY,
        FILE_UNWRITABLE.
        """
        if outputs is not None:
            outputs.check()
            self._check_own(outputs.chain, outputs.key)
        made = self.issuer().issue(*names, kind=kind, key=key, lifetime=lifetime)
        with self._changing() as index, Together() as written:
            if outputs is not None:
                outputs.check()  # once more: another run may have written them while this one waited
                outputs.add_identity(written, made)
            self._hand_out(index, written, made.chain)
        return made

    def sign(
        self,
        request: Request,
        *names: str,
        allow: Iterable[str] = (),
        drop_others: bool = False,
        kind: Kind | None = None,
        lifetime: timedelta | None = None,
        outputs: Outputs | None = None,
    ) -> tuple[bytes, ...]:
        """A certificate for the key of a request: see :meth:`handfast.authority.issuer.Authority.sign`.

        ``outputs``  where to write the chain. Raises what :meth:`issue` raises, and REQUEST_REFUSED, REQUEST_FOR_OTHER_NAMES.
        """
        if outputs is not None:
            outputs.check(with_key=False)
            self._check_own(outputs.chain)
        chain = self.issuer().sign(request, *names, allow=allow, drop_others=drop_others, kind=kind, lifetime=lifetime)
        with self._changing() as index, Together() as written:
            if outputs is not None:
                outputs.check(with_key=False)
                outputs.add_chain(written, chain)
            self._hand_out(index, written, chain)
        return chain

    def revoke(
        self,
        certificate: int | str | bytes,
        why: str = "unspecified",
        *,
        root_key: PathLike | None = None,
        next_update: timedelta | None = None,
    ) -> Entry:
        """Revoke a certificate, and write the list that says so. What was revoked before keeps its time and reason.

        ``certificate``  its serial number, whole or the beginning of its hexadecimal digits; or PEM or DER
        ``why``          one of WHY
        ``root_key``     for an intermediate: the file of the root's key, where it is kept elsewhere
        ``next_update``  how long the list is good; 7 days without it, a year for the root's

        Raises ConfigurationError: NOT_ISSUED_HERE, AUTHORITY_KEY_ELSEWHERE, AUTHORITY_KEY_LOCKED, AUTHORITY_BUSY, FILE_UNWRITABLE.
        """
        check_why(why)
        entry = self.find(certificate)
        signer = self.root(root_key) if entry.issuer == "root" else self.issuer()
        with self._changing() as index:
            entry = index.entries[entry.serial]
            if entry.revoked is None:
                when = self._clock.wall().replace(microsecond=0)
                index.add({"event": "revoked", "serial": entry.number, "when": when.isoformat(), "why": why})
            self._write_list(index, entry.issuer, signer, next_update)
            return index.entries[entry.serial]

    def renew_list(
        self,
        issuer: Issuer = "intermediate",
        *,
        root_key: PathLike | None = None,
        next_update: timedelta | None = None,
    ) -> None:
        """Write a revocation list anew: the old one is good until its nextUpdate only."""
        signer = self.root(root_key) if issuer == "root" else self.issuer()
        with self._changing() as index:
            self._write_list(index, issuer, signer, next_update)

    # --- what it knows

    def entries(self) -> list[Entry]:
        """All that was issued, in this order."""
        return list(self._index().entries.values())

    def find(self, certificate: int | str | bytes) -> Entry:
        """The entry of a certificate: see :meth:`revoke`. Raises ConfigurationError (NOT_ISSUED_HERE)."""
        index = self._index()
        if isinstance(certificate, bytes):
            ders = pem.certificates(certificate)
            given = Entry.of(ders[0]) if ders else None
            found = [entry for entry in index.entries.values() if given and entry.fingerprint == given.fingerprint]
            shown = "no certificate" if given is None else given.number
        elif isinstance(certificate, int):
            found = [index.entries[certificate]] if certificate in index.entries else []
            shown = serial_text(certificate)
        else:
            found, shown = index.find(certificate), certificate
            if len(shown) < _SERIAL_LEAST:
                found = [entry for entry in found if entry.number == shown]
        if len(found) != 1:
            why = {"problem": f"{len(found)} serial numbers begin with this"} if found else {}
            if isinstance(certificate, str) and not set(certificate) <= _SERIAL_DIGITS:
                why = {"problem": "it is neither a serial number, or how one begins, nor a file that is there"}
            raise ConfigurationError(NOT_ISSUED_HERE, serial=shown, **why)
        return found[0]

    def list_is_due(self) -> dict[str, Any]:
        """The revocation lists that are here: by issuer, when each has to be followed by the next one."""
        return self._places.next_updates()

    def unlisted(self) -> list[Entry]:
        """What is revoked, has not expired, and does not stand on its issuer's list: a run ended before it had written one.

        The next list will name it. Raises ConfigurationError (AUTHORITY_DAMAGED).
        """
        listed, now = self._places.listed(), self._clock.wall()
        return [
            entry
            for entry in self.entries()
            if entry.revoked is not None and entry.not_after > now and entry.serial not in listed.get(entry.issuer, ())
        ]

    @property
    def has_root_key(self) -> bool:
        """Whether the root's key is in the folder."""
        return self._places.root_key.exists()

    def issuer(self) -> Authority:
        """The intermediate, with its key."""
        if self._issuer is None:
            settings = self.settings
            addresses = {"crl_url": settings.crl_url, "issuer_url": settings.issuer_url}
            self._issuer = self._authority(self._places.chain(), self._places.intermediate_key, **addresses)
        return self._issuer

    def root(self, key_file: PathLike | None = None) -> Authority:
        """The root, with its key. Raises ConfigurationError (AUTHORITY_KEY_ELSEWHERE, KEY_MISMATCH)."""
        place = Path(key_file) if key_file is not None else self._places.root_key
        if key_file is None and not place.exists():
            raise ConfigurationError(AUTHORITY_KEY_ELSEWHERE, file=str(place))
        return self._authority(self._places.chain()[-1:], place)

    # --- how

    def _authority(self, chain: Sequence[bytes], key_file: Path, **addresses: str) -> Authority:
        key = self._key(key_file)
        try:
            return Authority(chain, key, limits=self.settings.limits, clock=self._clock, **addresses)
        except ConfigurationError as error:
            if error.reason is KEY_MISMATCH:  # which is another one's, or was put into another folder
                error.evidence["file"] = str(key_file)
            raise

    def _key(self, path: Path) -> Any:
        data = files.read(path)
        passphrase = self._passphrase
        if callable(passphrase):
            passphrase = passphrase(path) if is_encrypted(data) else None
        key = load_key(data, passphrase, str(path))
        if key is None:
            ours = path.parent == self.path
            raise ConfigurationError(
                AUTHORITY_DAMAGED if ours else AUTHORITY_KEY_ELSEWHERE,
                file=str(path),
                problem="there is no private key in it",
            )
        return key

    def _index(self) -> Index:
        return Index.read(self._places.index)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Index]:
        """The index, while nobody else changes it."""
        with files.locked(self._places.lock):
            yield self._index()

    def _check_own(self, *paths: Path) -> None:
        """Nothing is written over the authority's own files, not even by force: its keys are nowhere else."""
        places = self._places
        own = {places.root, places.root_key, places.intermediate, places.intermediate_key, places.lists}
        there = [str(path) for path in paths if path.name in {item.name for item in own}]
        if there and paths[0].parent.resolve() == self.path.resolve():
            raise ConfigurationError(FILE_THERE_ALREADY, file=there, problem="it is the authority's own")

    def _hand_out(self, index: Index, written: Together, chain: tuple[bytes, ...]) -> None:
        """Write what has been made, list it, and only then let it be seen."""
        entry = Entry.of(chain[0])
        if entry.serial in index.entries:  # 159 random bits: a copied state of the machine, or a broken generator
            raise ConfigurationError(AUTHORITY_DAMAGED, problem="the new serial number is one that was given before")
        written.add(self._places.issued / f"{entry.number}.pem", b"".join(map(pem.certificate, chain)))
        index.add(entry.line())
        written.put_in_place()

    def _write_list(self, index: Index, issuer: Issuer, signer: Authority, length: timedelta | None) -> None:
        usual = lifetimes.ROOT_REVOCATIONS if issuer == "root" else lifetimes.REVOCATIONS
        number = index.numbers[issuer] + 1
        now = self._clock.wall().replace(microsecond=0)
        revoked = index.to_list(issuer, index.lists.get(issuer), now)
        der = signer.revocations(revoked, number, length or usual)
        when = now.isoformat()
        index.add({"event": "list", "issuer": issuer, "number": number, "when": when})
        self._places.write_list(issuer, der)

    def __repr__(self) -> str:
        return f"<AuthorityFolder {self.path}>"
