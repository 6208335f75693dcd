"""What an authority has done: a file to which lines are added, one JSON object each, and from which none is taken.

A line is on the disk before the certificate is handed out, so that there is none that is not listed. A line that a crash
has cut is no line: nothing came of it. ::

    {"event": "issued", "serial": "5f0a...", "kind": "server", "names": [...], "not_before": "...", ...}
    {"event": "revoked", "serial": "5f0a...", "when": "...", "why": "superseded"}
    {"event": "list", "issuer": "intermediate", "number": 2, "when": "..."}
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from handfast.authority import files, names
from handfast.authority.revoked import WHY, Revoked
from handfast.certificates.parsed import Parsed, parsed, serial_text
from handfast.errors import ConfigurationError
from handfast.reasons import AUTHORITY_DAMAGED

if TYPE_CHECKING:
    from collections.abc import Iterable

State = Literal["valid", "expired", "revoked"]
Issuer = Literal["root", "intermediate"]
_LARGEST: Final = 1 << 28  # bytes: half a million certificates


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate that was issued.

    ``serial``      its number
    ``kind``        "server", "client", "both", "spiffe", or "intermediate"
    ``names``       the names in it
    ``not_before, not_after``  aware
    ``fingerprint`` SHA-256 of it, in hexadecimal
    ``issuer``      which of the authority's two keys signed it
    ``revoked``     when and why it was revoked; None if it was not
    """

    serial: int
    kind: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str
    issuer: Issuer = "intermediate"
    revoked: Revoked | None = None

    @classmethod
    def of(cls, der: bytes) -> Entry:
        """The entry of a certificate (DER) that was made here."""
        certificate = parsed(der)
        found = certificate.extension(x509.SubjectAlternativeName)
        limits = certificate.extension(x509.BasicConstraints)
        is_authority = limits is not None and limits.ca
        return cls(
            certificate.certificate.serial_number,
            "intermediate" if is_authority else _kind(certificate),
            tuple(map(names.text_of, found)) if found is not None else (certificate.subject,),
            certificate.not_before,
            certificate.not_after,
            hashlib.sha256(der).hexdigest(),
            "root" if is_authority else "intermediate",
        )

    def state(self, now: datetime) -> State:
        """What is to be thought of it. What is revoked stays so when it has expired too."""
        if self.revoked is not None:
            return "revoked"
        return "valid" if now <= self.not_after else "expired"

    @property
    def number(self) -> str:
        """The serial number in hexadecimal, as OpenSSL shows it."""
        return serial_text(self.serial)

    def line(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "event": "issued",
            "serial": self.number,
            "kind": self.kind,
            "names": list(self.names),
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "fingerprint": self.fingerprint,
            "issuer": self.issuer,
        }


def _kind(certificate: Parsed) -> str:
    if any(map(names.is_spiffe, certificate.extension(x509.SubjectAlternativeName) or ())):
        return "spiffe"
    usages = certificate.extension(x509.ExtendedKeyUsage) or ()
    server, client = (usage in usages for usage in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH))
    return "both" if server and client else "client" if client else "server"


@dataclass
class Index:
    """The lines of the file, read.

    ``entries``  by serial number, in the order of issuing
    ``numbers``  the number of the last revocation list of each issuer, 0 before the first
    ``lists``    when that was made
    """

    path: Path
    entries: dict[int, Entry] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=lambda: {"root": 0, "intermediate": 0})
    lists: dict[str, datetime] = field(default_factory=dict)
    _length: int = 0

    @classmethod
    def read(cls, path: Path) -> Index:
        """Raises ConfigurationError: FILE_UNREADABLE, AUTHORITY_DAMAGED."""
        data = files.read(path, _LARGEST)
        whole, _, _ = data.rpartition(b"\n")  # the rest is what a crash has left of a line
        found = cls(path)
        found._length = len(whole) + 1 if whole else 0
        for number, line in enumerate(whole.split(b"\n") if whole else [], 1):
            try:
                found._take(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise ConfigurationError(AUTHORITY_DAMAGED, file=str(path), line=number) from None
        return found

    def _take(self, line: dict[str, Any]) -> None:
        if line["event"] == "issued":
            entry = Entry(
                int(line["serial"], 16),
                str(line["kind"]),
                tuple(map(str, line["names"])),
                _time(line["not_before"]),
                _time(line["not_after"]),
                str(line["fingerprint"]),
                "root" if line["issuer"] == "root" else "intermediate",
            )
            self.entries[entry.serial] = entry
        elif line["event"] == "revoked":
            serial = int(line["serial"], 16)
            if line["why"] not in WHY:
                raise ValueError
            revoked = Revoked(serial, _time(line["when"]), line["why"])
            self.entries[serial] = replace(self.entries[serial], revoked=revoked)
        elif line["event"] == "list":
            self.numbers[line["issuer"]] = int(line["number"])
            self.lists[line["issuer"]] = _time(line["when"])
        else:
            raise ValueError

    def add(self, line: dict[str, Any]) -> None:
        """A line, down to the disk. Only under the lock, and on an index that was read under it.

        Raises ConfigurationError (FILE_UNWRITABLE); the file is then as it was before.
        """
        data = json.dumps(line, ensure_ascii=True, separators=(", ", ": ")).encode("ascii") + b"\n"
        try:
            with self.path.open("r+b", buffering=0) as file:
                file.truncate(self._length)
                file.seek(self._length)
                try:
                    if file.write(data) != len(data):
                        raise OSError(0, "not all of it was written")
                    os.fsync(file.fileno())
                except BaseException:
                    file.truncate(self._length)
                    raise
        except OSError as error:
            raise files.unwritable(self.path, error) from None
        self._length += len(data)
        self._take(line)

    def to_list(self, issuer: Issuer, before: datetime | None, now: datetime) -> list[Revoked]:
        """What a new revocation list has to name.

        A certificate that has expired stays until a list made after that has named it (RFC 5280 section 3.3):
        ``before`` is when the last list was made. Where that is later than ``now``, a clock was ahead then, and what it
        took for expired is not.
        """
        since = now if before is None else min(before, now)
        return [
            entry.revoked
            for entry in self.entries.values()
            if entry.revoked is not None and entry.issuer == issuer
            if before is None or entry.not_after >= since
        ]

    def find(self, text: str) -> list[Entry]:
        """The certificates whose serial number begins with this, in hexadecimal; colons do not matter."""
        wanted = text.lower().removeprefix("0x").replace(":", "").replace(" ", "")
        return [entry for entry in self.entries.values() if wanted and entry.number.startswith(wanted)]


def written(lines: Iterable[dict[str, Any]]) -> bytes:
    """The content of a new file."""
    return b"".join(json.dumps(line, ensure_ascii=True).encode("ascii") + b"\n" for line in lines)


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    return moment
