"""`handfast cert`: what its commands do."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from handfast.authority.lifetimes import lifetime
from handfast.certificates.aia import Completion
from handfast.certificates.examined import Examination, examine
from handfast.certificates.names import normalized
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.store import TrustStore
from handfast.cli import cert_report, cert_request, cert_show, report, show
from handfast.cli.cert_key import Belonging, belonging, given_key
from handfast.cli.cert_source import Source, read
from handfast.cli.connect import INTERRUPTED, exit_code
from handfast.cli.policy import policy as asked_for
from handfast.cli.streams import abandon, say, unwritable
from handfast.cli.verifiers import GIVEN, OF_DOMAINS, completing, left_out, of_domains, roots
from handfast.errors import CertificateError, ConfigurationError, ConnectionFailed, TLSError
from handfast.limits import CERTIFICATES_OF_A_CHAIN
from handfast.reasons import CERTIFICATE_WRONG_USAGE, READ_TIMEOUT

if TYPE_CHECKING:
    from handfast.certificates.peer import PeerIdentity
    from handfast.certificates.usages import Purpose


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    command: Literal["show", "verify"]
    target: str
    key: str | None = None
    name: str | None = None
    purpose: str = "server"
    ca: tuple[Path, ...] = ()
    relax: tuple[str, ...] = ()
    known_keys: tuple[Path, ...] = ()
    spiffe: tuple[str, ...] = ()
    spiffe_trust: tuple[str, ...] = ()
    at: str | None = None
    aia: bool = False
    aia_networks: tuple[str, ...] = ()
    starttls: str | None = None
    tls: tuple[str, ...] = ()
    timeout: float = 10.0
    password_file: Path | None = None
    json: bool = False

    @property
    def given(self) -> str:
        """The option that names the roots; "" where none does."""
        return GIVEN if self.ca else OF_DOMAINS if self.spiffe_trust else ""


@dataclass(frozen=True)
class StoreVerdict:
    """What one trust store says.

    ``name``   as a user knows it: "system", "certifi", or the option that names the roots
    ``store``  None where there is none
    ``root``   DER of the root that the chain leads to in it, if it does
    ``error``  why it does not accept the chain, or why there is no such store; None if it does
    """

    name: str
    store: TrustStore | None = None
    root: bytes | None = None
    error: TLSError | None = None


@dataclass
class Verified:
    """What came of verifying a chain.

    ``name``         the name that was compared, None if none was
    ``now``          the time that it was verified for
    ``trust``        the roots that decide
    ``identity``     what the chain proves, None if it is refused
    ``error``        why it is refused
    ``examination``  what each check says; None where a certificate cannot be read
    ``completion``   what was fetched
    ``belonging``    whose the key of --key is, if there is one
    """

    purpose: Purpose
    name: str | None
    now: datetime
    trust: TrustStore
    identity: PeerIdentity | None = None
    error: CertificateError | None = None
    examination: Examination | None = None
    completion: Completion | None = None
    stores: list[StoreVerdict] = field(default_factory=list)
    belonging: Belonging | None = None

    @property
    def fetched(self) -> dict[bytes, str]:
        """The issuers that were fetched (DER), with their addresses."""
        return {} if self.completion is None else self.completion.fetched


def run(options: Options) -> int:
    """The whole command; its exit code."""
    failure: TLSError | None = None
    source: Source | None = None
    verified: Verified | None = None
    whose: Belonging | None = None
    warnings.simplefilter("ignore")  # of odd certificates, which this is here to look at
    try:
        _check(options)
        key = given_key(options)  # before a server is asked for anything
        source = read(options)
        if key is not None:
            whose = belonging(key, source, first=options.command == "verify" or source.kind == "host")
            failure = whose.error
        if options.command == "verify":
            verified = _verified(options, source, whose)
            failure = verified.error or failure
    except TLSError as error:
        failure = error
    except TimeoutError:
        failure = ConnectionFailed(READ_TIMEOUT, seconds=options.timeout)
    except KeyboardInterrupt:
        return INTERRUPTED
    try:
        return _tell(options, source, verified, whose, failure)
    except KeyboardInterrupt:
        return INTERRUPTED


def _tell(
    options: Options,
    source: Source | None,
    verified: Verified | None,
    whose: Belonging | None,
    failure: TLSError | None,
) -> int:
    if options.json:
        try:
            say(json.dumps(_document(options, source, verified, whose, failure)))
        except ConfigurationError as error:
            show.error(show.console(sys.stderr), error)
            return exit_code(error)
        return exit_code(failure)
    out = show.console(sys.stdout)
    try:
        if source is not None and verified is not None:
            cert_show.verified(out, source, verified)
        elif source is not None and source.requests:
            cert_request.shown_requests(out, source, whose)
        elif source is not None and options.command == "show":
            cert_show.shown_chain(out, source, whose)
    except BrokenPipeError:
        abandon(sys.stdout)
    if failure is None and out.failure is not None and not isinstance(out.failure, BrokenPipeError):
        failure = unwritable(out.failure)
    if failure is not None:
        sys.stdout.flush()
        show.error(show.console(sys.stderr), failure, given=bool(options.given))
    return exit_code(failure)


def _document(
    options: Options,
    source: Source | None,
    verified: Verified | None,
    whose: Belonging | None,
    failure: TLSError | None,
) -> dict[str, Any]:
    document = cert_report.document(options.command, source, verified)
    if options.command == "show":
        document["requests"] = [] if source is None else cert_request.document(source)
    document["key"] = None if whose is None else whose.document()
    document["error"] = None if failure is None else report.error(failure, given=bool(options.given))
    return document


def _check(options: Options) -> None:
    if options.purpose not in ("server", "client"):
        raise ConfigurationError(setting="--purpose", problem="is server or client", value=options.purpose)
    for option, value in (("--name", options.name), ("--key", options.key)):
        if value == "":  # a variable of a script that is not set: without a name none would be compared
            raise ConfigurationError(setting=option, problem="a value is needed")
    if options.purpose == "client" and options.name is not None:
        problem = "means nothing with --purpose client: who a client is, its certificate says, and nobody asked for it"
        raise ConfigurationError(setting="--name", problem=problem)
    if options.aia_networks and not options.aia:
        raise ConfigurationError(setting="--aia-network", problem="means nothing without --aia")
    if not 0 < options.timeout < 1e6:
        raise ConfigurationError(setting="--timeout", problem="has to be a number of seconds above 0")


def _time(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    if text.startswith("+"):
        return datetime.now(UTC) + lifetime(text[1:], "--at")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        problem = "is a date such as 2027-01-31, a time such as 2027-01-31T12:00, or one from now on such as +14d"
        raise ConfigurationError(setting="--at", problem=problem, value=text) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _verified(options: Options, source: Source, whose: Belonging | None) -> Verified:
    if len(source.chain) > CERTIFICATES_OF_A_CHAIN:  # no server gets as far as this
        number, most = len(source.chain), CERTIFICATES_OF_A_CHAIN
        problem = f"has {number} certificates, and a chain {most} at most: handfast cert show draws all"
        raise ConfigurationError(setting="FILE", problem=problem, file=source.name)
    domains = of_domains(options.spiffe_trust)
    trust = roots(options.ca, domains)
    if options.given:
        for line in left_out(options.given, trust):
            show.warning(show.console(sys.stderr), line)
    policy = asked_for(options.relax, options.known_keys, options.spiffe, domains)
    purpose = cast("Purpose", options.purpose)
    name = options.name or (source.host if purpose == "server" and policy.allow is None else None)
    result = Verified(purpose, None if name is None else normalized(name), _time(options.at), trust, belonging=whose)
    verifier = ChainVerifier(trust, policy, remember=0)

    def keep(completion: Completion) -> None:
        result.completion = completion

    deciding = completing(verifier, aia=options.aia, networks=options.aia_networks, on_done=keep)
    try:
        result.identity = _decide(deciding, source.chain, result)
    except CertificateError as error:
        result.error = error
        error.sent_by = "nobody"  # there is nobody whom an alert could be sent to
        if error.reason is CERTIFICATE_WRONG_USAGE and source.kind != "host":  # it may be a client's
            error.evidence["verified_for"] = options.purpose
    path = result.identity.path if result.identity else ()
    try:
        result.examination = _examine(result, source, verifier, path)
    except CertificateError:  # one of them cannot be read, as the error says
        return result
    result.stores = _stores(options, result, source, policy)
    if options.at is not None:
        judged = [verdict.error for verdict in result.examination.verdicts]
        for told in (result.error, *judged, *(store.error for store in result.stores)):
            _blame_no_clock(told)
    return result


def _blame_no_clock(error: TLSError | None) -> None:
    """The time is that of --at: no clock of this machine has said it, and none can be wrong."""
    if error is not None:
        error.evidence = {{"now": "at"}.get(key, key): value for key, value in error.evidence.items() if key != "clock"}


def _decide(verifier: Any, chain: tuple[bytes, ...], asked: Verified) -> PeerIdentity:
    """The identity. Raises CertificateError."""
    identity: PeerIdentity
    if asked.purpose == "client":
        identity = verifier.verify_client(chain, asked.now)
    elif asked.name is None:
        identity = verifier.verify_unnamed_server(chain, asked.now)
    else:
        identity = verifier.verify_server(chain, asked.name, asked.now)
    return identity


def _examine(result: Verified, source: Source, verifier: ChainVerifier, path: tuple[bytes, ...]) -> Examination:
    return examine(
        source.chain,
        result.purpose,
        result.name,
        result.now,
        verifier,
        fetched=tuple(result.fetched),
        path=path,
        refused=result.error,
    )


def _stores(options: Options, result: Verified, source: Source, policy: Policy) -> list[StoreVerdict]:
    """What the trust store that decides says, and the others that there are."""
    found: list[StoreVerdict] = []
    if options.given:
        found.append(_says(options.given, result.trust, result, source, policy))
    for name, load in (("system", TrustStore.system), ("certifi", TrustStore.certifi)):
        try:
            store = load()
        except ConfigurationError as error:
            found.append(StoreVerdict(name, error=error))
        else:
            found.append(_says(name, store, result, source, policy))
    return found


def _says(name: str, store: TrustStore, result: Verified, source: Source, policy: Policy) -> StoreVerdict:
    verifier = ChainVerifier(store, policy, remember=0)
    chain = (*source.chain, *result.fetched)
    try:
        identity = _decide(verifier, chain, result)
    except CertificateError as error:
        seen = _examine(result, source, verifier, ())
        return StoreVerdict(name, store, seen.path[-1] if seen.anchored else None, error)
    return StoreVerdict(name, store, identity.path[-1])
