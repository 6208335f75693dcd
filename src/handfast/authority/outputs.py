"""Where a certificate and its key are written for whoever is to use them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from handfast.authority.files import PRIVATE, PUBLIC, Together
from handfast.certificates import pem
from handfast.certificates.spiffe import SCHEME as SPIFFE
from handfast.errors import ConfigurationError
from handfast.reasons import FILE_THERE_ALREADY, FILE_UNWRITABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handfast.authority.issued import IssuedIdentity

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._@-]+")
_LONGEST: Final = 100  # characters


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files of one name in one folder: the chain (.pem), the key (.key, mode 0600), and both in one (.p12, mode 0600).

    ``replace``   whether files that are there may be replaced
    ``password``  of the .p12; None: there is none. "" encrypts nothing
    """

    folder: Path
    name: str
    replace: bool = False
    password: str | None = field(default=None, repr=False)

    @property
    def chain(self) -> Path:
        """The certificate, and the intermediate."""
        return self.folder / f"{self.name}.pem"

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / f"{self.name}.key"

    @property
    def both(self) -> Path | None:
        """The PKCS#12 file, if there is to be one."""
        return None if self.password is None else self.folder / f"{self.name}.p12"

    def check(self, *, with_key: bool = True) -> None:
        """Raises ConfigurationError (FILE_THERE_ALREADY, or FILE_UNWRITABLE for a folder), before anything is made."""
        paths = (self.chain, self.key, self.both) if with_key else (self.chain,)
        there = [str(path) for path in paths if path is not None and (path.exists() or path.is_symlink())]
        if there and not self.replace:
            raise ConfigurationError(FILE_THERE_ALREADY, file=there)
        folders = [str(path) for path in paths if path is not None and path.is_dir()]
        if folders:  # which no file replaces
            raise ConfigurationError(FILE_UNWRITABLE, file=folders, problem="a folder has this name")

    def add_identity(self, files: Together, made: IssuedIdentity) -> None:
        """All of it."""
        files.add(self.key, made.key_pem, PRIVATE)
        if self.both is not None:
            files.add(self.both, made.pkcs12(self.password, self.name), PRIVATE)
        self.add_chain(files, made.chain)

    def add_chain(self, files: Together, chain: Sequence[bytes]) -> None:
        """The chain alone."""
        files.add(self.chain, b"".join(map(pem.certificate, chain)), PUBLIC)


def file_name(name: str) -> str:
    """A name of a certificate as the name of a file: "_wildcard.example.com", "example.org-web"."""
    text = name.removeprefix(SPIFFE).removeprefix("https://").replace("*.", "_wildcard.")
    text = _UNSAFE.sub("-", text.replace("/", "-")).strip("-.")
    return text[:_LONGEST] or "certificate"
