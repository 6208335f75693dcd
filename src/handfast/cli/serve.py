"""`handfast serve`: a server for tests. A line a connection: what the client offered, what was chosen, how it ended."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handfast.certificates.identity import Identity
from handfast.certificates.parsed import parsed
from handfast.cli import show
from handfast.cli.log import Log, page
from handfast.cli.www import Page, folder, respond
from handfast.config import ServerConfig
from handfast.errors import ConfigurationError, TLSError, shown
from handfast.observe.tap import Trace
from handfast.transport.blocking import TLSSocket
from handfast.transport.server import Server

if TYPE_CHECKING:
    from types import FrameType

_READ_SECONDS = 30.0
_ANY = ("0.0.0.0", "::")  # noqa: S104 - the names of "every address", which is no name for a certificate
_LOCAL = ("127.0.0.1", "::1", "localhost", *_ANY)


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
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="handfast-") as scratch:
        return _run(options, Path(scratch))


def _interrupt(_: int, __: FrameType | None) -> None:
    """To be ended by another program is as good as Ctrl-C: the throwaway authority is removed either way."""
    raise KeyboardInterrupt


def _run(options: Options, scratch: Path) -> int:
    try:
        _check(options)
        identity, ca = _identity(options, scratch)
        log = Log(options.json)
        server = Server(
            _handler(options, log),
            options.host,
            options.port,
            config=ServerConfig(identities=[identity], alpn=options.alpn),
            on_failure=lambda address, error, trace: log.ended(address, _trace(trace), None, error, []),
            tap=lambda _: Trace(),
        )
    except ConfigurationError as error:
        show.error(show.console(sys.stderr), error)
        return 2
    try:
        _announce(options, server, identity, ca)
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
        raise ConfigurationError(setting="--www", problem="is no folder", folder=str(options.www))


def _identity(options: Options, scratch: Path) -> tuple[Identity, Path | None]:
    """The identity to serve with; and the file of its authority, where that was made for this run."""
    if options.cert is not None and options.key is not None:
        return Identity.load(options.cert, options.key), None
    from handfast.testing import Authority

    authority = Authority.create("handfast serve throwaway authority")
    names = dict.fromkeys(("localhost", "127.0.0.1", "::1", options.host))
    return authority.issue(*(name for name in names if name not in _ANY)), authority.write(scratch)


def _announce(options: Options, server: Server, identity: Identity, ca: Path | None) -> None:
    out = show.console(sys.stderr if options.json else sys.stdout)
    host, port = server.address
    place = "localhost" if host in _LOCAL else f"[{host}]" if ":" in host else host
    out.print(f"serving on {host} port {port}; Ctrl-C ends it")
    leaf = parsed(identity.chain[0])
    if ca is not None:
        out.print(f"the certificate is made for this run; its authority is in {ca}")
    else:
        out.print(f"the certificate is for {shown(leaf.names.texts) or shown(leaf.subject)}")
        if not leaf.not_before <= datetime.now(UTC) <= leaf.not_after:
            show.warning(show.console(sys.stderr), f"it is valid from {leaf.not_before} to {leaf.not_after}: not now")
    other = [name for name in options.alpn if name not in ("http/1.1", "http/1.0")]
    if other and not options.echo:
        out.print(f"only HTTP/1.1 is spoken inside, so a client that takes {shown(other)} will not understand it")
    out.print("try it:")
    name = "" if ca or place in leaf.names.texts else f" --servername {_name(leaf)}"
    out.print(f"  handfast connect {place}:{port}{name}" + (f" --ca {ca}" if ca else ""))
    if ca is not None:
        out.print(f"  openssl s_client -connect {place}:{port} -CAfile {ca}")
        if not options.echo:
            out.print(f"  curl --cacert {ca} https://{place}:{port}/")
    out.print()


def _name(leaf: Any) -> str:
    return shown(next(iter(leaf.names.texts), "NAME")).replace("*", "www")


def _trace(tap: object) -> Trace | None:
    return tap if isinstance(tap, Trace) else None


def _handler(options: Options, log: Log) -> Callable[[TLSSocket], None]:
    files = folder(options.www) if options.www else None

    def handle(tls: TLSSocket) -> None:
        tls.settimeout(_READ_SECONDS)
        address, facts = tls.getpeername(), tls.handshake
        trace = tls.connection.tap
        assert isinstance(trace, Trace), "the server makes one for each connection"
        requests: list[str] = []
        problem: TLSError | str | None = None
        try:
            if options.echo:
                _echo(tls)
            else:
                respond(tls, files or (lambda _: Page(page(trace, facts))), requests)
        except TimeoutError:
            problem = f"nothing came for {_READ_SECONDS:g} seconds"
        except TLSError as error:
            problem = error
        log.ended(address, trace, facts, problem, requests)

    return handle


def _echo(tls: TLSSocket) -> None:
    while data := tls.recv():
        tls.sendall(data)
