"""How the folder of an authority comes into being: whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from handfast.authority import files, index, lifetimes
from handfast.authority.files import PRIVATE, PUBLIC, Together
from handfast.authority.issuer import Authority
from handfast.authority.keys import key_pem
from handfast.authority.names import Limits
from handfast.authority.places import Places, Settings
from handfast.certificates import pem
from handfast.clock import Clock
from handfast.crypto.guard import Guarded
from handfast.errors import ConfigurationError
from handfast.reasons import AUTHORITY_EXISTS


@dataclass(frozen=True, repr=False)
class Plan(Guarded):
    """What is to be made. ``number``: how many intermediates the root has had, with this one."""

    path: Path
    name: str
    key: str
    limits: Limits
    lifetime: timedelta
    passphrase: str | bytes | None
    crl_url: str
    issuer_url: str
    clock: Clock
    number: int = 1

    def named(self, which: str) -> str:
        """The common name of one of its certificates: no two intermediates of a root have the same.

        A revocation list goes by the name of its issuer (RFC 5280 section 5.1.2.3).
        """
        return f"{self.name} {which}" if self.number == 1 else f"{self.name} {which} {self.number}"


def create(
    plan: Plan,
    root: Authority,
    root_passphrase: str | bytes | None,
    note: Callable[[bytes], None] | None = None,
) -> None:
    """Make the folder, with an intermediate of this root.

    ``note``  the root is kept in another folder, and this lists the intermediate (DER) there. Then neither the root's
              key nor its revocation list is here
    """
    check_free(plan.path)
    below = root.intermediate(
        plan.named("intermediate"),
        key=plan.key,
        lifetime=plan.lifetime,
        crl_url=plan.crl_url,
        issuer_url=plan.issuer_url,
    )
    below.check()
    with _new_folder(plan.path) as folder:
        places = Places(folder)
        places.issued.mkdir(0o700)
        now = plan.clock.wall().replace(microsecond=0).isoformat()
        lines = []
        with Together() as written:
            settings = Settings(plan.name, plan.limits, plan.crl_url, plan.issuer_url)
            written.add(places.root, pem.certificate(root.der))
            written.add(places.intermediate, pem.certificate(below.der))
            written.add(places.intermediate_der, below.der)
            written.add(places.intermediate_key, key_pem(below.private_key, plan.passphrase), PRIVATE)
            lists = {"intermediate": below.revocations((), 1)}
            if note is None:
                written.add(places.root_key, key_pem(root.private_key, root_passphrase), PRIVATE)
                lists = {"root": root.revocations((), 1, lifetimes.ROOT_REVOCATIONS), **lists}
                lines.append(index.Entry.of(below.der).line())
            for issuer, der in lists.items():
                written.add(folder / f"{issuer}.crl", der)
                lines.append({"event": "list", "issuer": issuer, "number": 1, "when": now})
            written.add(places.lists, b"".join(pem.block("X509 CRL", der) for der in lists.values()))
            written.add(places.index, index.written(lines), PRIVATE)
            written.add(places.lock, b"", PRIVATE)
            written.add(places.settings_file, settings.encode(), PUBLIC)
            written.put_in_place()
        if note is not None:
            note(below.der)


def check_free(path: Path) -> None:
    """Raises ConfigurationError (AUTHORITY_EXISTS) where there is a file, or a folder with something in it."""
    try:
        there = sorted(item.name for item in path.iterdir())[:5] if path.is_dir() else []
    except OSError as error:
        raise files.unwritable(path, error) from None
    if there:
        raise ConfigurationError(AUTHORITY_EXISTS, folder=str(path), there=there)
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise ConfigurationError(AUTHORITY_EXISTS, folder=str(path), problem="it is no folder")


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A folder (mode 0700) to fill, which then gets its name, or goes away."""
    path = path.absolute()
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise files.unwritable(path, error) from None
    try:
        yield folder
        try:
            if os.name != "posix" and path.exists():
                path.rmdir()  # which POSIX does by itself for an empty folder
            folder.rename(path)
        except OSError as error:
            raise files.unwritable(path, error) from None
        files.sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
