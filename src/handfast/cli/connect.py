"""`handfast connect`: shake hands with a server, and show it."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from handfast.cli import report, request, show, show_sessions
from handfast.cli.settings import Options, Settings
from handfast.cli.streams import Paper, abandon, say, unwritable
from handfast.cli.visit import Visit
from handfast.errors import AlertReceived, ConfigurationError, ConnectionFailed, TLSError
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
from handfast.transport.starttls.dialogue import Dialogue

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

__all__ = ["Options", "address", "exit_code", "run"]


def run(options: Options) -> int:
    """The whole command; its exit code."""
    to_stderr = options.pipe or options.get is not None or options.early_data is not None
    narration = show.console(sys.stderr if to_stderr else sys.stdout)
    errors = show.console(sys.stderr)
    command = Command(options, narration)
    failure: TLSError | None = None
    try:
        command.run()
    except TLSError as error:
        failure = error
    except TimeoutError:
        failure = ConnectionFailed(READ_TIMEOUT, seconds=options.timeout)
    except BrokenPipeError:  # whoever read our output has gone, and wants no more
        abandon(sys.stdout)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        command.close()
    if isinstance(failure, AlertReceived):
        command.explain(failure)
    if failure is None and narration.failure is not None and not isinstance(narration.failure, BrokenPipeError):
        failure = unwritable(narration.failure)
    if options.json:
        try:
            say(json.dumps(command.report(failure)))
        except ConfigurationError as error:
            failure = error
    if failure is not None and (not options.json or failure.reason is FILE_UNWRITABLE):
        show.error(errors, failure, given=options.roots_given)
    return exit_code(failure)


def exit_code(failure: TLSError | None) -> int:
    """0, 1, 2 or 3; see the command's help."""
    if failure is None:
        return OK
    if isinstance(failure, ConfigurationError):
        return MISUSED
    return UNREACHED if failure.reason in _NO_CONNECTION else FAILED


def address(target: str, default: int = 443, *, get: bool = False) -> tuple[str, int]:
    """HOST[:PORT] as host and port; an IPv6 address with a port stands in brackets. ``get``: there is --get for a path."""
    host, port = target, str(default)
    if "/" in target:
        problem = "a host is needed, and no URL" + ("; a path goes with --get" if get else "")
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


class Command:
    """One run of the command: its connections, one after the other."""

    def __init__(self, options: Options, narration: Paper) -> None:
        self._options = options
        self._narration = narration
        self._server_name: str | None = options.server_name
        self._settings: Settings | None = None
        self._visits: list[Visit] = []

    def run(self) -> None:
        """Connect, once and as often again as is asked for."""
        options = self._options
        _check(options)
        dialogue = None if options.starttls is None else Dialogue(options.starttls)
        host, port = address(options.target, dialogue.protocol.port if dialogue else 443, get=True)
        server_name = self._server_name = options.server_name or host
        settings = self._settings = Settings(options)
        for number in range(1, options.reconnect + 2):
            visit = Visit(settings, self._narration, number=number)
            self._visits.append(visit)
            visit.run(host, port, server_name)
        if options.reconnect and not options.quiet and not options.json:
            show_sessions.connections(self._narration, self._visits)
        self.close()

    def explain(self, failure: AlertReceived) -> None:
        """Say what the server may have disliked."""
        if self._visits:
            self._visits[-1].explain(failure)

    def close(self) -> None:
        """End the connection, if there is one, and close the files."""
        if self._visits:
            self._visits[-1].close()
        if self._settings is not None:
            self._settings.close()

    def report(self, failure: TLSError | None) -> dict[str, Any]:
        """What --json prints: the last connection, and a few words on each."""
        document: dict[str, Any] = self._visits[-1].report() if self._visits else report.nothing()
        document["server_name"] = self._server_name
        document["connections"] = [report.connection(visit) for visit in self._visits]
        document["error"] = None if failure is None else report.error(failure, given=self._options.roots_given)
        return document


def _check(options: Options) -> None:
    if options.pipe and (options.json or options.get is not None):
        raise ConfigurationError(setting="--pipe", problem="goes with neither --json nor --get")
    if options.get is not None:
        request.check(options.get)
    if options.get is not None and options.starttls is not None:
        raise ConfigurationError(setting="--get", problem="means nothing with --starttls: HTTP begins with TLS")
    if options.output is not None and options.get is None and options.early_data is None:
        raise ConfigurationError(setting="--output", problem="needs --get or --early-data")
    if not 0 < options.timeout < 1e6:
        raise ConfigurationError(setting="--timeout", problem="has to be a number of seconds above 0")
    if options.proxy_ca and options.proxy is None:
        raise ConfigurationError(setting="--proxy-ca", problem="means nothing without --proxy")
    if options.aia_networks and not options.aia:
        raise ConfigurationError(setting="--aia-network", problem="means nothing without --aia")
    if options.aia and not options.verify:
        raise ConfigurationError(setting="--aia", problem="means nothing with --no-verify")
    for setting, given in (
        ("--relax", options.relax),
        ("--known-keys", options.known_keys),
        ("--spiffe", options.spiffe),
        ("--spiffe-trust", options.spiffe_trust),
    ):
        if given and not options.verify:
            raise ConfigurationError(setting=setting, problem="means nothing with --no-verify")
    _check_sessions(options)


def _check_sessions(options: Options) -> None:
    again = "--session" if options.session is not None else "--reconnect"
    if (options.session is not None or options.reconnect) and not options.verify:
        problem = "means nothing with --no-verify: a session stands for a server that was verified"
        raise ConfigurationError(setting=again, problem=problem)
    if options.reconnect and (options.pipe or options.get is not None):
        raise ConfigurationError(setting="--reconnect", problem="goes with neither --get nor --pipe")
    if options.early_data is None:
        return
    if options.get is not None:
        raise ConfigurationError(
            setting="--early-data", problem="does not go with --get: write the request in the file"
        )
    if options.session is None and not options.reconnect:
        problem = "needs --session FILE, or --reconnect: it goes with a session that an earlier connection got"
        raise ConfigurationError(setting="--early-data", problem=problem)
