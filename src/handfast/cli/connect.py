"""`handfast connect`: shake hands with a server, and show it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.store import TrustStore
from handfast.cli import report, show
from handfast.cli.request import Response, get
from handfast.config import DEFAULT_GROUPS, DEFAULT_SUITES, ClientConfig, ServerVerifier
from handfast.errors import ConfigurationError, ConnectionFailed, TLSError, shown
from handfast.insecure import NoVerification
from handfast.observe.keylog import FileKeyLog
from handfast.observe.tap import Trace
from handfast.reasons import RESET
from handfast.transport.blocking import TLSSocket, dial

if TYPE_CHECKING:
    from rich.console import Console

OK, FAILED, MISUSED, UNREACHED, INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    target: str
    server_name: str | None = None
    ca: tuple[Path, ...] = ()
    relax: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    verify: bool = True
    timeout: float = 10.0
    keylog: Path | None = None
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
        failure = ConnectionFailed(problem=f"nothing came for {options.timeout:g} seconds")
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        failure = ConfigurationError(problem=error.strerror or str(error), file=error.filename or "standard output")
    finally:
        session.close()
    if options.json:
        print(json.dumps(session.report(failure)))
    elif failure is not None:
        show.error(errors, failure)
    return exit_code(failure)


def exit_code(failure: TLSError | None) -> int:
    """0, 1, 2 or 3; see the command's help."""
    if failure is None:
        return OK
    if isinstance(failure, ConfigurationError):
        return MISUSED
    if isinstance(failure, ConnectionFailed) and failure.reason is not RESET:
        return UNREACHED
    return FAILED


def address(target: str) -> tuple[str, int]:
    """HOST[:PORT] as host and port; an IPv6 address with a port stands in brackets."""
    host, port = target, "443"
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

    def __init__(self, options: Options, narration: Console) -> None:
        self._options = options
        self._narration = narration
        self._tell = not (options.quiet or options.json)
        self._narrator = show.Narrator(narration) if self._tell else None
        self._trace = Trace(self._narrator)
        self._started = time.perf_counter()
        self._server_name: str | None = options.server_name
        self._tls: TLSSocket | None = None
        self._keylog: FileKeyLog | None = None
        self._response: Response | None = None

    def run(self) -> None:
        """Connect, and do what is asked for then."""
        options = self._options
        _check(options)
        host, port = address(options.target)
        self._server_name = options.server_name or host
        config = self._config()
        if self._tell:
            self._narration.print(f"[bold]{shown(host)}[/] port {port}", end="\n\n")
        self._trace.restart()
        tls = self._tls = dial(
            host, port, config=config, server_name=self._server_name, timeout=options.timeout, tap=self._trace
        )
        tls.settimeout(options.timeout)
        tls.do_handshake()
        if self._narrator is not None:
            self._narrator.finish()
            show.summary(self._narration, tls.handshake, tls.tcp_connect_seconds, options.verify)
            self._narration.print()
        if options.pipe:
            from handfast.cli.pipe import pipe

            tls.settimeout(None)
            pipe(tls)
        elif options.get is not None:
            self._response = get(tls, host if options.server_name is None else options.server_name, port, options.get)
            self._show_response(self._response)
        self.close()

    def _config(self) -> ClientConfig:
        options = self._options
        trust = TrustStore.from_files(*options.ca) if options.ca else None
        verifier: ServerVerifier | None = None
        if not options.verify:
            verifier = NoVerification()
            show.warning(show.console(sys.stderr), "--no-verify: nobody has checked who the server is")
        elif options.relax:
            verifier = ChainVerifier(trust or TrustStore.default(), Policy(options.relax))
        if options.keylog is not None:
            self._keylog = FileKeyLog(options.keylog)
        return ClientConfig(
            trust=trust,
            verifier=verifier,
            alpn=options.alpn,
            groups=options.groups or DEFAULT_GROUPS,
            cipher_suites=options.suites or DEFAULT_SUITES,
            keylog=self._keylog,
            handshake_timeout=options.timeout,
        )

    def _show_response(self, response: Response) -> None:
        options = self._options
        if options.output is not None:
            options.output.write_bytes(response.body)
        elif not options.json:
            if self._tell:
                for line in response.head:
                    self._narration.print(shown(line), markup=False)
                self._narration.print()
            sys.stdout.buffer.write(response.body)
            sys.stdout.buffer.flush()

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._tls is not None:
            self._tls.close()
        if self._narrator is not None:
            self._narrator.finish()
        if self._keylog is not None:
            self._keylog.close()
            if self._keylog.failure is not None:
                print(f"handfast: the key log is not complete: {self._keylog.failure.strerror}", file=sys.stderr)
            self._keylog = None

    def report(self, failure: TLSError | None) -> dict[str, Any]:
        """What --json prints."""
        facts = self._tls.connection.handshake if self._tls else None
        document: dict[str, Any] = {
            **report.agreed(facts),
            "server_name": self._server_name,
            "messages": report.messages(self._trace.messages),
            "timings_ms": report.timings(
                facts, self._tls.tcp_connect_seconds if self._tls else None, time.perf_counter() - self._started
            ),
        }
        if self._response is not None:
            document["response"] = {
                "status": self._response.status,
                "headers": [[shown(name), shown(value)] for name, value in self._response.headers],
                "bytes": len(self._response.body),
            }
        if failure is not None:
            document["error"] = report.error(failure)
        return document


def _check(options: Options) -> None:
    if options.pipe and (options.json or options.get is not None):
        raise ConfigurationError(setting="--pipe", problem="goes with neither --json nor --get")
    if options.output is not None and options.get is None:
        raise ConfigurationError(setting="--output", problem="needs --get")
    if not 0 < options.timeout < 1e6:
        raise ConfigurationError(setting="--timeout", problem="has to be a number of seconds above 0")
    if options.relax and not options.verify:
        raise ConfigurationError(setting="--relax", problem="means nothing with --no-verify")
