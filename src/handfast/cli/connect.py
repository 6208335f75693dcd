"""`handfast connect`: shake hands with a server, and show it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from handfast.certificates.identity import Identity
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.store import TrustStore
from handfast.cli import exports, names, report, request, show
from handfast.cli.facts import ClientProof, client_proof, retry, subject
from handfast.cli.identity import identity
from handfast.cli.pipe import pipe
from handfast.cli.request import Response, get
from handfast.cli.streams import Body, Paper, abandon, say, unwritable
from handfast.config import ClientConfig, ServerVerifier
from handfast.errors import (
    AlertReceived,
    ConfigurationError,
    ConnectionFailed,
    TLSError,
    TruncationError,
    shown,
)
from handfast.events import Handshake
from handfast.insecure import NoVerification
from handfast.observe.keylog import FileKeyLog
from handfast.observe.tap import Trace
from handfast.reasons import (
    CONNECT_TIMEOUT,
    CONNECTION_FAILED,
    FILE_UNWRITABLE,
    PROXY_AUTHENTICATION,
    PROXY_BAD_ANSWER,
    PROXY_CANNOT_REACH,
    PROXY_CLOSED,
    PROXY_REFUSED,
    PROXY_TIMEOUT,
    READ_TIMEOUT,
)
from handfast.transport.blocking import TLSSocket, dial
from handfast.transport.proxy import chosen
from handfast.transport.starttls.dialogue import Dialogue, Said
from handfast.wire.messages13 import NewSessionTicket

_SETTLE_SECONDS: Final = 2.0  # what a server gets to refuse our certificate, before we go

_NO_CONNECTION: Final = (
    CONNECTION_FAILED,
    CONNECT_TIMEOUT,
    PROXY_REFUSED,
    PROXY_AUTHENTICATION,
    PROXY_CANNOT_REACH,
    PROXY_BAD_ANSWER,
    PROXY_CLOSED,
    PROXY_TIMEOUT,
)

OK, FAILED, MISUSED, UNREACHED, INTERRUPTED = 0, 1, 2, 3, 130


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
    keylog: Path | None = None
    exports: tuple[str, ...] = ()
    get: str | None = None
    output: Path | None = None
    pipe: bool = False
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """The whole command; its exit code."""
    narration = show.console(sys.stderr if options.pipe or options.get is not None else sys.stdout)
    errors = show.console(sys.stderr)
    session = Session(options, narration)
    failure: TLSError | None = None
    try:
        session.run()
    except TLSError as error:
        failure = error
    except TimeoutError:
        failure = ConnectionFailed(READ_TIMEOUT, seconds=options.timeout)
    except BrokenPipeError:  # whoever read our output has gone, and wants no more
        abandon(sys.stdout)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        session.close()
    if isinstance(failure, AlertReceived):
        session.explain(failure)
    if failure is None and narration.failure is not None and not isinstance(narration.failure, BrokenPipeError):
        failure = unwritable(narration.failure)
    if options.json:
        try:
            say(json.dumps(session.report(failure)))
        except ConfigurationError as error:
            failure = error
    if failure is not None and (not options.json or failure.reason is FILE_UNWRITABLE):
        show.error(errors, failure)
    return exit_code(failure)


def exit_code(failure: TLSError | None) -> int:
    """0, 1, 2 or 3; see the command's help."""
    if failure is None:
        return OK
    if isinstance(failure, ConfigurationError):
        return MISUSED
    return UNREACHED if failure.reason in _NO_CONNECTION else FAILED


def address(target: str, default: int = 443) -> tuple[str, int]:
    """HOST[:PORT] as host and port; an IPv6 address with a port stands in brackets."""
    host, port = target, str(default)
    if "/" in target:
        problem = "a host is needed, and no URL; a path goes with --get"
        raise ConfigurationError(setting="HOST[:PORT]", value=target, problem=problem)
    if target.startswith("["):
        host, bracket, rest = target[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigurationError(setting="HOST[:PORT]", value=target, problem="the brackets do not match")
        port = rest[1:] or port
    elif target.count(":") == 1:
        host, _, port = target.partition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigurationError(setting="HOST[:PORT]", value=target, problem="not a host and a port of 1 to 65535")
    return host, int(port)


class Session:
    """One run of the command: what it does, and what it has reached."""

    def __init__(self, options: Options, narration: Paper) -> None:
        self._options = options
        self._narration = narration
        self._tell = not (options.quiet or options.json)
        self._narrator = show.Narrator(narration) if self._tell else None
        self._trace = Trace(self._narrator)
        self._dialogue: Dialogue | None = None
        self._started = time.perf_counter()
        self._server_name: str | None = options.server_name
        self._tls: TLSSocket | None = None
        self._keylog: FileKeyLog | None = None
        self._body = Body(options.output)
        self._response: Response | None = None
        self._identity: Identity | None = None
        self._exports: list[exports.Exported] = []
        self._accepted: bool | None = None

    def run(self) -> None:
        """Connect, and do what is asked for then."""
        options = self._options
        _check(options)
        wanted = [exports.parse(text) for text in options.exports]
        if options.starttls is not None:
            self._dialogue = Dialogue(options.starttls, on_said=self._said)
        host, port = address(options.target, self._dialogue.protocol.port if self._dialogue else 443)
        self._server_name = options.server_name or host
        config = self._config()
        self._body.open()
        if self._tell:
            way = f", through {proxy}" if (proxy := chosen(options.proxy, host)) else ""
            self._narration.print(f"connecting to {shown(host)}, port {port}{way}", end="\n\n")
        self._trace.restart()
        tls = self._tls = dial(
            host,
            port,
            config=config,
            server_name=self._server_name,
            timeout=options.timeout,
            tap=self._trace,
            proxy=options.proxy,
            starttls=self._dialogue,
        )
        if self._dialogue is not None and self._dialogue.said and self._tell:
            show.agreed_to_begin(self._narration)
        tls.settimeout(options.timeout)
        tls.do_handshake()
        self._exports = exports.exported(tls, wanted)
        if not options.pipe and options.get is None:
            self._settle(tls)
        self._summarize(tls)
        if options.pipe:
            tls.settimeout(None)
            pipe(tls)
        elif options.get is not None:
            self._get(tls, options.server_name or host, port, options.get)
        self.close()

    def _said(self, said: Said) -> None:
        if self._tell:
            show.said(self._narration, said)

    def _settle(self, tls: TLSSocket) -> None:
        """Where the server has asked for our certificate: hear what it makes of it, or of our having none.

        In TLS 1.3 our side of the handshake is over before the server has looked at it, and no message says yes
        (RFC 9846 section 4.5.3). A no is an alert, which is raised; to have got a ticket, or to be let go in good order,
        is a yes. A server that says nothing in time, or breaks off without a word, leaves it open. In TLS 1.2 the
        server's Finished has said it already.
        """
        proof = self._proof
        if proof is None or not proof.requested or proof.accepted is not None:
            return
        deadline = time.monotonic() + min(_SETTLE_SECONDS, self._options.timeout)
        try:
            tls.shutdown_write()
            while (left := deadline - time.monotonic()) > 0:
                tls.settimeout(left)
                if not tls.recv():
                    self._accepted = True
                    break
        except (TimeoutError, TruncationError, ConnectionFailed):
            pass
        if any(seen.message.NAME == NewSessionTicket.NAME for seen in self._trace.messages):
            self._accepted = True

    def _summarize(self, tls: TLSSocket) -> None:
        """What was agreed and proved; of --quiet only the secrets that were asked for are left."""
        if self._narrator is None:
            if not self._options.json:
                for item in self._exports:
                    self._narration.print(item.value.hex())
            return
        self._narrator.finish()
        trusted = self._trust.source if self._options.verify else ""
        show.summary(self._narration, tls.handshake, self._trace, trusted, self._proof)
        show.times(self._narration, tls.handshake, tls.tcp_connect_seconds, self._trace)
        show.exports(self._narration, self._exports)
        if not self._options.verify:
            show.unverified(self._narration, self._verdict(tls.handshake))

    @property
    def _proof(self) -> ClientProof | None:
        """What came of client authentication."""
        facts = self._tls.connection.handshake if self._tls else None
        return client_proof(self._trace, facts, self._identity, self._accepted)

    def explain(self, failure: AlertReceived) -> None:
        """Say what we had shown, where an alert comes after we have: it is likely to be about that."""
        proof = self._proof
        if proof is None or not proof.answered:
            return
        self._accepted = False
        if proof.sent is not None:
            until = f"valid until {proof.sent.not_after:%Y-%m-%d}"
            failure.evidence["client_certificate"] = f"{subject(proof.sent)}, from {shown(proof.sent.issuer)}, {until}"
        else:
            failure.evidence["client_certificate"] = f"not sent: {proof.not_sent}"

    def _get(self, tls: TLSSocket, host: str, port: int, path: str) -> None:
        keep = self._options.output is not None or not self._options.json
        self._response = get(
            tls, host, port, path, on_head=self._show_head, write=self._body.write if keep else lambda _: None
        )
        self._body.finish()
        self._accepted = True  # or it would not have answered

    def _show_head(self, response: Response) -> None:
        self._response = response
        if self._tell:
            for line in response.head:
                self._narration.print(shown(line))
            self._narration.print()

    def _config(self) -> ClientConfig:
        options = self._options
        verifier: ServerVerifier
        if options.verify:
            verifier = ChainVerifier(self._trust, Policy(options.relax))
        else:
            verifier = NoVerification()
            show.warning(show.console(sys.stderr), "--no-verify: nobody checks who the server is")
        self._identity = identity(options.cert, options.key)
        if options.keylog is not None:
            self._keylog = FileKeyLog(options.keylog)
        groups = tuple(map(names.group, options.groups))
        return ClientConfig(
            verifier=verifier,
            identities=[self._identity] if self._identity else [],
            alpn=options.alpn,
            **names.versions(options.tls, groups, options.suites),
            groups=groups or None,
            cipher_suites=options.suites or None,
            keylog=self._keylog,
            handshake_timeout=options.timeout,
        )

    @cached_property
    def _trust(self) -> TrustStore:
        return TrustStore.from_files(*self._options.ca) if self._options.ca else TrustStore.default()

    def _verdict(self, facts: Handshake) -> TLSError | None:
        """What verification would have said, where it was turned off."""
        assert facts.peer is not None, "a server always has a certificate"
        try:
            ChainVerifier(self._trust).verify_server(facts.peer.chain, facts.server_name, datetime.now(UTC))
        except TLSError as error:
            return error
        return None

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._tls is not None:
            self._tls.close()
        if self._narrator is not None:
            self._narrator.finish()
        self._body.close()
        if self._keylog is not None:
            self._keylog.close()
            if self._keylog.failure is not None:
                problem = self._keylog.failure.strerror
                show.warning(show.console(sys.stderr), f"the key log {self._keylog.path} is not complete: {problem}")
            self._keylog = None

    def report(self, failure: TLSError | None) -> dict[str, Any]:
        """What --json prints."""
        facts = self._tls.connection.handshake if self._tls else None
        document: dict[str, Any] = {
            **report.agreed(facts),
            "server_name": self._server_name,
            "starttls": report.starttls(self._dialogue),
            "hello_retry_request": report.retry(retry(self._trace)),
            "client_certificate": report.client_certificate(self._proof),
            "exports": [item.document() for item in self._exports],
            "messages": report.messages(self._trace.messages),
            "timings_ms": report.timings(
                facts, self._tls.tcp_connect_seconds if self._tls else None, time.perf_counter() - self._started
            ),
        }
        if self._response is not None:
            document["response"] = {
                "status": self._response.status,
                "headers": [[shown(name), shown(value)] for name, value in self._response.headers],
                "bytes": self._response.bytes,
            }
        if failure is not None:
            document["error"] = report.error(failure)
        return document


def _check(options: Options) -> None:
    if options.pipe and (options.json or options.get is not None):
        raise ConfigurationError(setting="--pipe", problem="goes with neither --json nor --get")
    if options.get is not None:
        request.check(options.get)
    if options.get is not None and options.starttls is not None:
        raise ConfigurationError(setting="--get", problem="means nothing with --starttls: HTTP begins with TLS")
    if options.output is not None and options.get is None:
        raise ConfigurationError(setting="--output", problem="needs --get")
    if not 0 < options.timeout < 1e6:
        raise ConfigurationError(setting="--timeout", problem="has to be a number of seconds above 0")
    if options.relax and not options.verify:
        raise ConfigurationError(setting="--relax", problem="means nothing with --no-verify")
