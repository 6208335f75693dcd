"""What all connections of one `handfast connect` have in common: configuration, files, and the sessions that are kept."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from handfast.certificates.identity import Identity
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.store import TrustStore
from handfast.cli import exports, names, show
from handfast.cli.identity import identity
from handfast.cli.sessions import Keeper, exposed, read_early_data
from handfast.cli.streams import Body
from handfast.config import ClientConfig, ServerVerifier
from handfast.insecure import NoVerification
from handfast.observe.keylog import FileKeyLog


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    target: str
    server_name: str | None = None
    ca: tuple[Path, ...] = ()
    relax: tuple[str, ...] = ()
    cert: Path | None = None
    key: Path | None = None
    alpn: tuple[str, ...] = ()
    tls: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    verify: bool = True
    timeout: float = 10.0
    proxy: str | None = None
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


class Settings:
    """What the options come to. Raises ConfigurationError.

    ``keeper``      of the sessions; None where none are kept
    ``early_data``  what --early-data names; b"" for none
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.wanted = [exports.parse(text) for text in options.exports]
        self.identity: Identity | None = identity(options.cert, options.key)
        self.early_data = b"" if options.early_data is None else read_early_data(options.early_data)
        self.keeper: Keeper | None = None
        if options.session is not None or options.reconnect:
            self.keeper = Keeper(options.session, _warn)
            problem = exposed(options.session) if options.session is not None else ""
            if problem:
                _warn(problem)
        self.keylog: FileKeyLog | None = None
        self.body = Body(options.output)
        verifier: ServerVerifier
        if options.verify:
            verifier = ChainVerifier(self.trust, Policy(options.relax))
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
        return TrustStore.from_files(*self.options.ca) if self.options.ca else TrustStore.default()

    def close(self) -> None:
        """Close the files."""
        self.body.close()
        if self.keylog is not None:
            self.keylog.close()
            if self.keylog.failure is not None:
                _warn(f"the key log {self.keylog.path} is not complete: {self.keylog.failure.strerror}")
            self.keylog = None


def _warn(text: str) -> None:
    show.warning(show.console(sys.stderr), text)
