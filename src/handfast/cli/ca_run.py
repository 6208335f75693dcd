"""`handfast ca`: what its commands do."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from handfast.authority import AuthorityFolder, Outputs, Request
from handfast.authority.files import exposed, read
from handfast.authority.lifetimes import known_kind, lifetime
from handfast.authority.names import general_name, text_of
from handfast.authority.outputs import file_name
from handfast.authority.places import Places
from handfast.authority.revoked import check_why
from handfast.cli import ca_show, report, show
from handfast.cli.identity import STDIN, first_line, typed
from handfast.cli.streams import Paper, say, unwritable
from handfast.errors import ConfigurationError, TLSError, shown
from handfast.reasons import AUTHORITY_KEY_LOCKED

if TYPE_CHECKING:
    from types import FrameType

OK, MISUSED, INTERRUPTED = 0, 2, 130
_PASSPHRASE_LEAST: Final = 8  # characters, of one that is made here


@dataclass(frozen=True)
class _Command:
    """What every command has: the folder of the authority, and whether to print JSON."""

    folder: Path
    json: bool


@dataclass(frozen=True)
class Init(_Command):
    """`handfast ca init`."""

    name: str = "handfast"
    key: str = "p256"
    permit: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    root_lifetime: str = "10y"
    lifetime: str = "3y"
    ask: bool = False
    passphrase_file: Path | None = None
    root_passphrase_file: Path | None = None
    crl_url: str = ""
    issuer_url: str = ""
    below: Path | None = None
    root_key: Path | None = None

    def work(self) -> ca_show.Shown:
        """Make the folder."""
        passphrase = self._passphrase()
        root_passphrase = _first_line(self.root_passphrase_file)
        if self.below is not None:
            return self._below(self.below, passphrase, root_passphrase)
        if self.root_key is not None:
            raise ConfigurationError(setting="--root-key", problem="needs --from: the authority that the root is of")
        made = AuthorityFolder.create(
            self.folder,
            self.name,
            key=self.key,
            permit=self.permit,
            exclude=self.exclude,
            root_lifetime=lifetime(self.root_lifetime, "--root-lifetime"),
            lifetime=lifetime(self.lifetime),
            passphrase=passphrase,
            root_passphrase=root_passphrase,
            crl_url=self.crl_url,
            issuer_url=self.issuer_url,
        )
        return ca_show.made(made, encrypted=passphrase is not None)

    def _below(self, folder: Path, passphrase: str | None, root_passphrase: str | None) -> ca_show.Shown:
        for option, given in (("--permit", self.permit), ("--exclude", self.exclude)):
            if given:
                raise ConfigurationError(setting=option, problem="with --from, the limits are those of its root")
        upper = AuthorityFolder(folder, root_passphrase or _ask)
        made = upper.create_below(
            self.folder,
            "" if self.name == "handfast" else self.name,
            key=self.key,
            lifetime=lifetime(self.lifetime),
            passphrase=passphrase,
            crl_url=self.crl_url,
            issuer_url=self.issuer_url,
            root_key=self.root_key,
        )
        return ca_show.made(made, encrypted=passphrase is not None, above=folder)

    def _passphrase(self) -> str | None:
        if self.passphrase_file is not None:
            return _first_line(self.passphrase_file)
        if not self.ask:
            return None
        first = typed("Passphrase for the authority's keys: ")
        if first is None:
            raise ConfigurationError(
                setting="--passphrase", problem="asks on a terminal; without one: --passphrase-file"
            )
        if len(first) < _PASSPHRASE_LEAST:
            raise ConfigurationError(
                setting="--passphrase", problem=f"a passphrase has at least {_PASSPHRASE_LEAST} characters"
            )
        if typed("Once more: ") != first:
            raise ConfigurationError(setting="--passphrase", problem="the two are not the same")
        return first


@dataclass(frozen=True)
class _Issuing(_Command):
    """What `issue` and `sign` have in common."""

    names: tuple[str, ...] = ()
    kind: str | None = None
    lifetime: str | None = None
    out: Path = field(default_factory=Path)
    name: str | None = None
    force: bool = False
    passphrase_file: Path | None = None

    def open(self) -> AuthorityFolder:
        return _open(self.folder, self.passphrase_file)

    def outputs(self, name: str, password: str | None = None) -> Outputs:
        if self.name is not None and (not self.name or Path(self.name).name != self.name):
            raise ConfigurationError(
                setting="--name", problem="it is the name of a file without a folder: --out has that"
            )
        return Outputs(self.out, self.name or file_name(name), self.force, password)

    @property
    def asked(self) -> dict[str, Any]:
        """For the authority."""
        return {
            "kind": None if self.kind is None else known_kind(self.kind),
            "lifetime": None if self.lifetime is None else lifetime(self.lifetime),
        }


@dataclass(frozen=True)
class Issue(_Issuing):
    """`handfast ca issue`."""

    key: str = "p256"
    p12: bool = False
    p12_password_file: Path | None = None

    def work(self) -> ca_show.Shown:
        """Make a key and a certificate, and write both."""
        authority = self.open()
        asked = self.asked
        name = text_of(general_name(self.names[0]))  # as it will stand in the certificate
        outputs = self.outputs(name)
        outputs.check()
        if self.p12 or self.p12_password_file is not None:
            outputs = self.outputs(name, self._password())
        made = authority.issue(*self.names, key=self.key, outputs=outputs, **asked)
        return ca_show.issued(authority, made.chain, outputs, asked["lifetime"], with_key=True)

    def _password(self) -> str:
        if self.p12_password_file is not None:
            return _first_line(self.p12_password_file) or ""
        answer = typed("Password of the .p12: ")
        if answer is None:
            raise ConfigurationError(setting="--p12", problem="needs a password: --p12-password-file FILE")
        return answer


@dataclass(frozen=True)
class Sign(_Issuing):
    """`handfast ca sign`."""

    request: Path = STDIN
    allow: tuple[str, ...] = ()
    drop_others: bool = False

    def work(self) -> ca_show.Shown:
        """Certify the key of a request."""
        authority = self.open()
        if self.request == STDIN:
            request = Request(sys.stdin.buffer.read(1 << 20), "standard input")
        else:
            request = Request(read(self.request), str(self.request))
        default = next((text_of(name) for name in request.names), "certificate")
        outputs = self.outputs(text_of(general_name(self.names[0])) if self.names else default)
        asked = self.asked
        chain = authority.sign(
            request, *self.names, allow=self.allow, drop_others=self.drop_others, outputs=outputs, **asked
        )
        return ca_show.issued(authority, chain, outputs, asked["lifetime"], with_key=False, request=request)


@dataclass(frozen=True)
class List(_Command):
    """`handfast ca list`."""

    def work(self) -> ca_show.Shown:
        """Show what there is. No key is needed."""
        return ca_show.listed(AuthorityFolder(self.folder))


@dataclass(frozen=True)
class Revoke(_Command):
    """`handfast ca revoke`."""

    certificate: str | None = None
    reason: str = "unspecified"
    next_update: str | None = None
    root: bool = False
    root_key: Path | None = None
    passphrase_file: Path | None = None

    def work(self) -> ca_show.Shown:
        """Revoke, or only write the list."""
        authority = _open(self.folder, self.passphrase_file)
        length = None if self.next_update is None else lifetime(self.next_update, "--next-update")
        if self.certificate is None:
            issuer = "root" if self.root else "intermediate"
            authority.renew_list(cast("Any", issuer), root_key=self.root_key, next_update=length)
            return ca_show.revoked(authority, None, issuer)
        if self.root:
            raise ConfigurationError(
                setting="--root", problem="is for the list alone: a certificate says itself whose it is"
            )
        check_why(self.reason)
        given = self._given(self.certificate)
        before = authority.find(given)
        entry = authority.revoke(given, self.reason, root_key=self.root_key, next_update=length)
        return ca_show.revoked(authority, entry, entry.issuer, again=before.revoked is not None)

    @staticmethod
    def _given(text: str) -> str | bytes:
        path = Path(text)
        return read(path) if path.is_file() else text


def run(command: Init | Issue | Sign | List | Revoke) -> int:
    """A whole command; its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)  # to be ended so leaves as little behind as Ctrl-C
    errors = show.console(sys.stderr)
    name = type(command).__name__.lower()
    try:
        found = _worked(command, errors)
        try:
            _tell(command, name, found)
        except ConfigurationError as error:  # standard output is full: what was to be done is done
            show.error(errors, error)
            return MISUSED
    except TLSError as error:
        if command.json:
            with contextlib.suppress(ConfigurationError):
                say(json.dumps({"command": name, "error": report.error(error)}))
        else:
            show.error(errors, error)
        return MISUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    return OK


def _worked(command: Init | Issue | Sign | List | Revoke, errors: Paper) -> ca_show.Shown:
    found = command.work()
    for key in _keys(command.folder):
        if problem := exposed(key):
            show.warning(errors, shown(problem))
    return found


def _tell(command: _Command, name: str, found: ca_show.Shown) -> None:
    if command.json:
        say(json.dumps({"command": name, "error": None} | found.document))
        return
    out = show.console(sys.stdout)
    found.tell(out)
    if out.failure is not None and not isinstance(out.failure, BrokenPipeError):
        raise unwritable(out.failure)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _keys(folder: Path) -> tuple[Path, ...]:
    places = Places(folder)
    return places.intermediate_key, places.root_key


def _open(folder: Path, passphrase_file: Path | None) -> AuthorityFolder:
    return AuthorityFolder(folder, _ask if passphrase_file is None else _first_line(passphrase_file))


def _ask(key: Path) -> str:
    """Who has a terminal is asked."""
    answer = typed(f"Passphrase of {shown(key)}: ")
    if answer is None:
        raise ConfigurationError(AUTHORITY_KEY_LOCKED, file=str(key), problem="no passphrase was given")
    return answer


def _first_line(path: Path | None) -> str | None:
    return None if path is None else first_line(path)
