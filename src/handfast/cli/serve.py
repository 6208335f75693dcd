"""`handfast serve`: a server for tests. A line a connection: what the client offered, what was chosen, how it ended."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handfast.certificates.identity import Identity
from handfast.cli import report, show
from handfast.cli.www import folder, respond
from handfast.config import ServerConfig
from handfast.errors import ConfigurationError, TLSError, shown
from handfast.events import Handshake
from handfast.observe.tap import Trace
from handfast.transport.blocking import TLSSocket
from handfast.transport.server import Server
from handfast.wire.codepoints import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.hello import ClientHello

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_SECONDS = 30.0
_ANY = ("0.0.0.0", "::")  # noqa: S104 - the names of "every address", which is no name for a certificate


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    port: int = 8443
    host: str = "127.0.0.1"
    cert: Path | None = None
    key: Path | None = None
    alpn: tuple[str, ...] = ()
    echo: bool = False
    www: Path | None = None
    json: bool = False


def run(options: Options) -> int:
    """The whole command; its exit code."""
    with tempfile.TemporaryDirectory(prefix="handfast-") as scratch:
        return _run(options, Path(scratch))


def _run(options: Options, scratch: Path) -> int:
    try:
        _check(options)
        identity, note = _identity(options, scratch)
        log = Log(options.json)
        server = Server(
            _handler(options, log),
            options.host,
            options.port,
            config=ServerConfig(identities=[identity], alpn=options.alpn),
            on_failure=log.failed,
            tap=lambda address: Trace(),
        )
    except ConfigurationError as error:
        show.error(show.console(sys.stderr), error)
        return 2
    _announce(options, server, note)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    finally:
        server.close()
    return 0


def _check(options: Options) -> None:
    if (options.cert is None) != (options.key is None):
        raise ConfigurationError(setting="--cert and --key", problem="one needs the other")
    if options.echo and options.www is not None:
        raise ConfigurationError(setting="--echo and --www", problem="are two different servers")
    if options.www is not None and not options.www.is_dir():
        raise ConfigurationError(setting="--www", file=str(options.www), problem="is no folder")


def _identity(options: Options, scratch: Path) -> tuple[Identity, Path | None]:
    """The identity to serve with; and the file of its authority, where that was made for this run."""
    if options.cert is not None and options.key is not None:
        return Identity.load(options.cert, options.key), None
    from handfast.testing import Authority

    authority = Authority.create("handfast serve throwaway authority")
    path = scratch / "ca.pem"
    path.write_bytes(authority.pem)
    names = dict.fromkeys(("localhost", "127.0.0.1", "::1", options.host))
    return authority.issue(*(name for name in names if name not in _ANY)), path


def _announce(options: Options, server: Server, ca: Path | None) -> None:
    out = sys.stderr if options.json else sys.stdout
    host, port = server.address
    print(f"serving on {host} port {port}; Ctrl-C ends it", file=out)
    if ca is not None:
        print(f"the certificate is made for this run; its authority is in {ca}", file=out)
        print("try it:", file=out)
        print(f"  handfast connect localhost:{port} --ca {ca}", file=out)
        print(f"  openssl s_client -connect localhost:{port} -CAfile {ca}", file=out)
        if not options.echo:
            print(f"  curl --cacert {ca} https://localhost:{port}/", file=out)
    print(flush=True, file=out)


def _handler(options: Options, log: Log) -> Callable[[TLSSocket], None]:
    def handle(tls: TLSSocket) -> None:
        tls.settimeout(_READ_SECONDS)
        peer = tls.getpeername()
        trace = tls.connection.tap
        assert isinstance(trace, Trace), "the server makes one for each connection"
        try:
            if options.echo:
                _echo(tls)
            else:
                respond(tls, folder(options.www) if options.www else lambda _: log.page(trace, tls.handshake))
        except TimeoutError:
            log.ended(peer, tls, trace, f"nothing came for {_READ_SECONDS:g} seconds")
        except TLSError as error:
            log.ended(peer, tls, trace, str(error), error)
        else:
            log.ended(peer, tls, trace, "closed")

    return handle


def _echo(tls: TLSSocket) -> None:
    while data := tls.recv():
        tls.sendall(data)


class Log:
    """The lines, from any thread."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._lock = threading.Lock()

    def ended(self, peer: Any, tls: TLSSocket, trace: Trace, how: str, error: TLSError | None = None) -> None:
        """A connection whose handshake was complete is over."""
        self._write(peer, trace, tls.handshake, how, error)

    def failed(self, address: Any, error: Exception, tap: Any) -> None:
        """A handshake failed."""
        known = error if isinstance(error, TLSError) else None
        how = str(error) if known else f"{type(error).__name__}: {shown(error)}"
        self._write(address, tap, None, how, known)

    def page(self, trace: Trace, facts: Handshake) -> str:
        """What the server saw of a client, for the client."""
        return "\n".join(
            [
                "This is handfast. Your handshake:",
                "",
                *(f"  {name:<22}{shown(value)}" for name, value in {**_offer(trace), **_chosen(facts)}.items()),
                "",
            ]
        )

    def _write(self, address: Any, trace: Any, facts: Handshake | None, how: str, error: TLSError | None) -> None:
        offer = _offer(trace) if isinstance(trace, Trace) else {}
        peer = f"{address[0]} port {address[1]}" if isinstance(address, tuple) else str(address)
        if self._json:
            document = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "peer": peer,
                "offered": offer or None,
                "chosen": _chosen(facts) if facts else None,
                "ended": how if error is None else "error",
                "error": report.error(error) if error else None,
            }
            line = json.dumps(document)
        else:
            offered = (
                f"offered {offer['server_name'] or 'no name'}, {shown(offer['groups'])}" if offer else "no ClientHello"
            )
            chosen = (
                f"chosen {', '.join(str(value) for value in _chosen(facts).values() if value)}" if facts else "failed"
            )
            line = f"{datetime.now().astimezone():%H:%M:%S} {peer}: {offered}; {chosen}; {shown(how)}"
        with self._lock:
            try:
                print(line, flush=True)
            except BrokenPipeError:
                os._exit(0)


def _offer(trace: Trace) -> dict[str, Any]:
    for seen in trace.messages:
        hello = seen.message
        if isinstance(hello, ClientHello):
            return {
                "server_name": hello.server_name,
                "versions": [
                    ProtocolVersion.name(value) for value in hello.supported_versions or [hello.legacy_version]
                ],
                "cipher_suites": [CipherSuite.name(value) for value in hello.cipher_suites],
                "groups": [NamedGroup.name(value) for value in hello.supported_groups or ()],
                "key_shares": [NamedGroup.name(share.group) for share in hello.key_share or ()],
                "signature_schemes": [SignatureScheme.name(value) for value in hello.signature_algorithms or ()],
                "alpn": [
                    name.decode("utf-8", "backslashreplace")
                    for name in hello.application_layer_protocol_negotiation or ()
                ],
            }
    return {}


def _chosen(facts: Handshake) -> dict[str, Any]:
    return {
        "version": facts.version,
        "cipher_suite": facts.cipher_suite,
        "group": facts.group,
        "signature_scheme": facts.signature_scheme,
        "alpn": facts.alpn,
    }
