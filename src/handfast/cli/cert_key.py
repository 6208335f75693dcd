"""`handfast cert --key`: whether a private key belongs to one of the certificates, or to a request for one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from handfast.authority.asked import request_facts
from handfast.certificates import loading, pem
from handfast.certificates.facts import facts
from handfast.certificates.ownership import fingerprint, is_signer, kind, owner
from handfast.certificates.parsed import parsed
from handfast.cli.identity import opened, password
from handfast.errors import CertificateError, shown
from handfast.reasons import KEY_MISMATCH

if TYPE_CHECKING:
    from handfast.cli.cert_run import Options
    from handfast.cli.cert_source import Source


@dataclass(frozen=True)
class GivenKey:
    """The private key that --key names.

    ``name``    its file, or its URI without the PIN
    ``key``     of `cryptography`, or a Signer
    ``kind``    such as "ECDSA P-256"; None for a key in a token, which shows its signatures alone
    ``sha256``  of its public key, as certificates have it; likewise
    """

    name: str
    key: Any
    kind: str | None = None
    sha256: str | None = None

    @property
    def told(self) -> str:
        """Kind, size and fingerprint, as an error names them."""
        return "in a token" if self.kind is None else f"{self.kind}, SHA-256 {self.sha256}"


class _About(NamedTuple):
    """A certificate, or a request for one: whose, and with which key."""

    der: bytes | None
    subject: str
    key: str
    key_sha256: str


@dataclass(frozen=True)
class Belonging:
    """To which certificate the key belongs, or to which request for one.

    ``number``  of the certificate among those that came, from 1; None where it belongs to none
    ``first``   whether it is the first one that counts: a server has the key of that one, and that one is verified
    """

    given: GivenKey
    source: Source
    number: int | None
    first: bool

    @property
    def fits(self) -> bool:
        """Whether it belongs to the certificate that it has to belong to."""
        return self.number == 1 if self.first else self.number is not None

    @property
    def _count(self) -> int:
        return len(self.source.requests or self.source.chain)

    @property
    def _what(self) -> str:
        return "request" if self.source.requests else "certificate"

    def _about(self, number: int) -> _About:
        if self.source.requests:
            asked = request_facts(self.source.requests[number - 1])
            return _About(None, asked.subject or ", ".join(asked.names), asked.key, asked.key_sha256)
        der = self.source.chain[number - 1]
        about = facts(der)
        return _About(der, about.subject or ", ".join(about.names), about.key, about.key_sha256)

    def __str__(self) -> str:
        """In words, for people."""
        key, count = shown(self.given.name), self._count
        if self.number is None:
            return f"{key} belongs to {'none of them' if count > 1 else 'another one'}"
        which = f"the {self._what}" if count == 1 else f"{self._what} {self.number} of {count}"
        only = "" if self.fits else ", and has to belong to the first one"
        return f"{key} belongs to {which}{only}: {self._about(self.number).key}"

    @property
    def error(self) -> CertificateError | None:
        """Why it does not fit, with what tells the two keys apart; None if it does."""
        if self.fits:
            return None
        about, count = self._about(1), self._count
        problem = ""
        if self.number is not None:
            problem = f"it belongs to certificate {self.number} of {count}, and the first one is looked at"
        elif count > 1 and not self.first:
            problem = f"it belongs to none of the {count} {self._what}s"
        error = CertificateError(
            KEY_MISMATCH,
            certificate=about.der,
            subject=about.subject,
            **{f"{self._what}_key": f"{about.key}, SHA-256 {about.key_sha256}"},
            key=self.given.told,
            key_file=self.given.name,
            **({"problem": problem} if problem else {}),
        )
        error.sent_by = "nobody"
        return error

    def document(self) -> dict[str, Any]:
        """For the JSON object. The certificate says more of its key than the file or the token does."""
        about = None if self.number is None else self._about(self.number)
        return {
            "name": shown(self.given.name),
            "kind": self.given.kind if about is None else about.key,
            "sha256": self.given.sha256 if about is None else about.key_sha256,
            "fits": self.fits,
            "certificate": None if self.number is None else self.number - 1,
        }


def given_key(options: Options) -> GivenKey | None:
    """The key of --key; None without it. Raises ConfigurationError, naming the file and the cause."""
    if options.key is None:
        return None
    key = opened(options.key)
    if is_signer(key):
        return GivenKey(str(getattr(key, "uri", options.key)), key)
    ask = password(Path(options.target), options.key, options.password_file)
    key = loading.private_key(pem.read(options.key), ask, options.key)
    return GivenKey(options.key, key, kind(key), fingerprint(key))


def belonging(given: GivenKey, source: Source, *, first: bool) -> Belonging:
    """To which certificate it belongs. Raises CertificateUnreadable, and ConfigurationError for a token that fails."""
    index = owner(given.key, source.requests or [parsed(der) for der in source.chain])
    return Belonging(given, source, None if index is None else index + 1, first)
