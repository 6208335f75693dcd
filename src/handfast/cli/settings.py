"""What all connections of one `handfast connect` have in common: configuration, files, and the sessions that are kept."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from handfast.certificates.aia import Attempt, Completion
from handfast.certificates.identity import Identity
from handfast.certificates.store import TrustStore
from handfast.cli import exports, names, show
from handfast.cli.identity import identity
from handfast.cli.policy import policy
from handfast.cli.sessions import Keeper, read_early_data, warning_of
from handfast.cli.streams import Body
from handfast.cli.verifiers import GIVEN, OF_DOMAINS, completing, left_out, of_domains, of_servers, roots
from handfast.config import ClientConfig, ServerVerifier
from handfast.errors import ConfigurationError
from handfast.insecure import NoVerification
from handfast.observe.keylog import FileKeyLog
from handfast.transport.proxy import Proxy, chosen


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    target: str
    server_name: str | None = None
    ca: tuple[Path, ...] = ()
    relax: tuple[str, ...] = ()
    known_keys: tuple[Path, ...] = ()
    spiffe: tuple[str, ...] = ()
    spiffe_trust: tuple[str, ...] = ()
    aia: bool = False
    aia_networks: tuple[str, ...] = ()
    cert: Path | None = None
    key: str | Path | None = None
    password_file: Path | None = None
    alpn: tuple[str, ...] = ()
    tls: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    verify: bool = True
    timeout: float = 10.0
    proxy: str | None = None
    proxy_ca: tuple[Path, ...] = ()
    starttls: str | None = None
    session: Path | None = None
    early_data: Path | None = None
    reconnect: int = 0
    keylog: Path | None = None
    exports: tuple[str, ...] = ()
    get: str | None = None
    output: Path | None = None
    pipe: bool = False
    json: bool = False
    quiet: bool = False

    @property
    def roots_given(self) -> bool:
        """Whether the roots are those that the command line names."""
        return bool(self.ca or self.spiffe_trust)


class Settings:
    """What the options come to. Raises ConfigurationError.

    ``keeper``      of the sessions; None where none are kept
    ``early_data``  what --early-data names; b"" for none
    ``all_kept``    False once a session could not be kept
    ``attempts``    with --aia: the addresses that were asked for certificates
    ``fetched``     those that came (DER), with their addresses
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.wanted = [exports.parse(text) for text in options.exports]
        self.identity: Identity | None = identity(
            options.cert, options.key, options.password_file, on_note=lambda note: _warn(str(note))
        )
        if self.identity is not None:
            for note in self.identity.concerns("client", datetime.now(UTC)):
                _warn(str(note))
        self.early_data = b"" if options.early_data is None else read_early_data(options.early_data)
        self.keeper: Keeper | None = None
        self.all_kept = True
        self.attempts: list[Attempt] = []
        self.fetched: dict[bytes, str] = {}
        if options.session is not None:
            _check_folder(options.session)
        if options.session is not None or options.reconnect:
            self.keeper = Keeper(options.session, self._not_kept)
            problem = warning_of(options.session) if options.session is not None else ""
            if problem:
                _warn(problem)
        self.keylog: FileKeyLog | None = None
        self.body = Body(options.output)
        verifier: ServerVerifier
        if options.verify:
            rules = policy(options.relax, options.known_keys, options.spiffe, self._domains)
            verifier = completing(
                of_servers(self.trust, rules), aia=options.aia, networks=options.aia_networks, on_done=self._fetched
            )
        else:
            verifier = NoVerification()
            _warn("--no-verify: nobody checks who the server is")
        if options.keylog is not None:
            self.keylog = FileKeyLog(options.keylog)
        groups = tuple(map(names.group, options.groups))
        self.config = ClientConfig(
            verifier=verifier,
            identities=[self.identity] if self.identity else [],
            alpn=options.alpn,
            **names.versions(options.tls, groups, options.suites),
            groups=groups or None,
            cipher_suites=options.suites or None,
            keylog=self.keylog,
            handshake_timeout=options.timeout,
            sessions=self.keeper,
        )
        if self.keeper is not None:
            self.keeper.config = self.config
        self.body.open()

    @cached_property
    def trust(self) -> TrustStore:
        """The roots."""
        found = roots(self.options.ca, self._domains)
        if self.options.roots_given:
            for line in left_out(GIVEN if self.options.ca else OF_DOMAINS, found):
                _warn(line)
        return found

    @cached_property
    def _domains(self) -> dict[str, TrustStore]:
        return of_domains(self.options.spiffe_trust)

    def proxy(self, host: str) -> Proxy | None:
        """The proxy to ``host``, if there is one, and whom to trust on the way to it."""
        proxy = chosen(self.options.proxy, host)
        if proxy is None or not self.options.proxy_ca:
            return proxy
        if proxy.scheme != "https":
            problem = f"is for https proxies: {proxy} is not spoken to over TLS"
            raise ConfigurationError(setting="--proxy-ca", problem=problem)
        proxy.config = ClientConfig(trust=roots(self.options.proxy_ca), handshake_timeout=self.options.timeout)
        return proxy

    def _fetched(self, completion: Completion) -> None:
        self.attempts += completion.attempts
        self.fetched.update(completion.fetched)

    def _not_kept(self, text: str) -> None:
        """The store's warning, of which there is at most one a minute."""
        self.all_kept = False
        _warn(text)

    def close(self) -> None:
        """Close the files."""
        self.body.close()
        if self.keylog is not None:
            self.keylog.close()
            if self.keylog.failure is not None:
                _warn(f"the key log {self.keylog.path} is not complete: {self.keylog.failure.strerror}")
            self.keylog = None


def _check_folder(path: Path) -> None:
    """Say now what the store could only warn of, when the handshake is over."""
    if path == Path():
        raise ConfigurationError(setting="--session", problem="needs the name of a file")
    if not path.parent.is_dir():
        raise ConfigurationError(setting="--session", problem="its folder is not there", folder=str(path.parent))


def _warn(text: str) -> None:
    show.warning(show.console(sys.stderr), text)
