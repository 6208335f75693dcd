"""The files of an authority's folder, and the settings among them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from handfast.authority import files
from handfast.authority.files import Together
from handfast.authority.index import Issuer
from handfast.authority.names import Limits
from handfast.certificates import pem
from handfast.certificates.parsed import parsed
from handfast.errors import CertificateUnreadable, ConfigurationError
from handfast.reasons import AUTHORITY_DAMAGED, NOT_AN_AUTHORITY

_FORMAT: Final = "handfast authority 1"


@dataclass(frozen=True, slots=True)
class Settings:
    """What was chosen when the authority was made.

    ``name``     how its certificates' names begin
    ``limits``   for which names it issues
    ``crl_url``  and ``issuer_url``: what is written into certificates; "" where there is nothing
    """

    name: str
    limits: Limits
    crl_url: str = ""
    issuer_url: str = ""

    def encode(self) -> bytes:
        """As the file has it."""
        permitted, excluded = self.limits.texts
        content = {
            "format": _FORMAT,
            "name": self.name,
            "permit": permitted,
            "exclude": excluded,
            "crl_url": self.crl_url,
            "issuer_url": self.issuer_url,
        }
        return json.dumps(content, indent=2).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Settings:
        """Raises ValueError, KeyError or TypeError for another content."""
        content: dict[str, Any] = json.loads(data)
        if content["format"] != _FORMAT:
            raise ValueError
        limits = Limits.of(map(str, content["permit"]), map(str, content["exclude"]))
        return cls(str(content["name"]), limits, str(content["crl_url"]), str(content["issuer_url"]))


class Places:
    """Where each file of a folder is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings_file = folder / "authority.json"
        self.lock = folder / "lock"
        self.index = folder / "index.jsonl"
        self.issued = folder / "issued"
        self.root = folder / "root.pem"
        self.root_key = folder / "root.key"
        self.intermediate = folder / "intermediate.pem"
        self.intermediate_der = folder / "intermediate.cer"
        self.intermediate_key = folder / "intermediate.key"
        self.lists = folder / "crl.pem"

    def list_of(self, issuer: Issuer) -> Path:
        """The revocation list of one of the two, DER, as RFC 5280 section 4.2.1.13 wants it on the web."""
        return self.folder / f"{issuer}.crl"

    def settings(self) -> Settings:
        """Raises ConfigurationError: NOT_AN_AUTHORITY, AUTHORITY_DAMAGED."""
        if not self.settings_file.is_file():
            there = "it is not there" if not self.folder.exists() else f"it has no {self.settings_file.name}"
            if self.folder.exists() and not self.folder.is_dir():
                there = "it is no folder"
            raise ConfigurationError(NOT_AN_AUTHORITY, folder=str(self.folder), problem=there)
        try:
            return Settings.decode(files.read(self.settings_file))
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, ConfigurationError) and "file" in error.evidence:
                raise
            raise ConfigurationError(AUTHORITY_DAMAGED, file=str(self.settings_file)) from None

    def chain(self) -> tuple[bytes, ...]:
        """The intermediate and the root, DER."""
        return self._certificate(self.intermediate), self._certificate(self.root)

    def _certificate(self, path: Path) -> bytes:
        found = pem.certificates(files.read(path))
        if len(found) != 1:
            raise ConfigurationError(AUTHORITY_DAMAGED, file=str(path), problem=f"it has {len(found)} certificates")
        try:
            parsed(found[0])
        except CertificateUnreadable:
            raise ConfigurationError(AUTHORITY_DAMAGED, file=str(path)) from None
        return found[0]

    def write_list(self, issuer: Issuer, der: bytes) -> None:
        """Write a new revocation list, and the file that has both."""
        with Together() as written:
            written.add(self.list_of(issuer), der)
            lists = {name: self._list(name) for name in ("root", "intermediate")} | {issuer: der}
            written.add(self.lists, b"".join(pem.block("X509 CRL", found) for found in lists.values() if found))
            written.put_in_place()

    def _list(self, issuer: Any) -> bytes | None:
        path = self.list_of(issuer)
        return files.read(path) if path.exists() else None

    def next_updates(self) -> dict[str, datetime]:
        """By issuer, when its list has to be followed by the next one. Raises ConfigurationError (AUTHORITY_DAMAGED)."""
        found: dict[str, datetime] = {}
        for issuer, written in self._parsed_lists().items():
            until = written.next_update_utc
            assert until is not None, "all that is written here have one"
            found[issuer] = until
        return found

    def listed(self) -> dict[str, frozenset[int]]:
        """By issuer, the serial numbers on its list. Raises ConfigurationError (AUTHORITY_DAMAGED)."""
        return {
            issuer: frozenset(item.serial_number for item in written)
            for issuer, written in self._parsed_lists().items()
        }

    def _parsed_lists(self) -> dict[str, x509.CertificateRevocationList]:
        found: dict[str, x509.CertificateRevocationList] = {}
        for issuer in ("root", "intermediate"):
            data = self._list(issuer)
            if data is not None:
                try:
                    found[issuer] = x509.load_der_x509_crl(data)
                except ValueError:
                    raise ConfigurationError(AUTHORITY_DAMAGED, file=f"{issuer}.crl") from None
        return found
