"""`handfast serve`: a server for tests. A line a connection: what the client offered, what was chosen, how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from handfast.certificates import pem
from handfast.certificates.facts import key as kind_of_key
from handfast.certificates.identity import Identity
from handfast.certificates.parsed import Parsed, parsed
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.cli import names, show
from handfast.cli.answer import Idle, Peer, respond
from handfast.cli.facts import authority_name
from handfast.cli.identity import Key, identity, opened, password
from handfast.cli.log import Log, asked, page, visitor
from handfast.cli.policy import files_of, policy
from handfast.cli.stores import YOUNG, Kept, kept, told
from handfast.cli.verifiers import OF_DOMAINS, left_out, of_domains, roots
from handfast.cli.watch import Watch
from handfast.cli.www import Page, folder
from handfast.config import ServerConfig
from handfast.errors import ConfigurationError, shown
from handfast.observe.tap import Trace
from handfast.transport import aio
from handfast.transport.reload import Files, Reloading

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Callable
    from types import FrameType

_GIVEN: Final = "--client-ca"
_IDLE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 2.0  # from one look at the files to the next
_BACKLOG: Final = 256
_ANY = ("0.0.0.0", "::")  # noqa: S104 - the names of "every address", which is no name for a certificate
_LOCAL = ("127.0.0.1", "::1", "localhost", *_ANY)


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    port: int = 8443
    host: str = "127.0.0.1"
    cert: Path | None = None
    key: str | Path | None = None
    password_file: Path | None = None
    client_ca: tuple[Path, ...] = ()
    require_client_cert: bool = False
    relax: tuple[str, ...] = ()
    known_keys: tuple[Path, ...] = ()
    spiffe: tuple[str, ...] = ()
    spiffe_trust: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    tls: tuple[str, ...] = ()
    echo: bool = False
    www: Path | None = None
    tickets: int = 2
    store: str | None = None
    store_secret: Path | None = None
    early_data: bool = False
    json: bool = False

    @property
    def asking(self) -> str:
        """The option that has clients asked who they are; "" where none does."""
        return _GIVEN if self.client_ca else OF_DOMAINS if self.spiffe_trust else ""


def run(options: Options) -> int:
    """The whole command; its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # under nohup it is ignored, and stays so
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="handfast-") as scratch:
            return _run(options, Path(scratch))
    except KeyboardInterrupt:
        return 0


def _interrupt(_: int, __: FrameType | None) -> None:
    """To be ended by another program, or with the terminal, is as good as Ctrl-C: the throwaway authority is removed."""
    raise KeyboardInterrupt


def _run(options: Options, scratch: Path) -> int:
    try:
        _check(options)
        stores = kept(options.tickets, options.store, options.store_secret, options.early_data, _warn)
        made, ca = _made(options, scratch) if options.cert is None else (None, None)
        key = opened(options.key)
        live = Reloading(
            partial(_settings, options, made, key, stores.watch),
            on_reload=partial(_reloaded, options),
            on_failure=_not_reloaded,
        )
        listener = _listen(options.host, options.port)
    except ConfigurationError as error:
        show.error(show.console(sys.stderr), error)
        return 2
    announce = partial(_announce, options, listener.getsockname()[1], live().identities[0], ca, live().client_trust)
    with listener, live.watch(_LOOK_SECONDS):
        asyncio.run(Service(options, stores).run(listener, live, announce))
    for line in told(stores.watch):
        show.console(sys.stderr if options.json else sys.stdout).print(line)
    return 0


def _settings(options: Options, made: Identity | None, key: Key, watch: Watch, files: Files) -> ServerConfig:
    ours = made
    if options.cert is not None:
        ours = files.identity(options.cert, key, password(options.cert, options.key, options.password_file))
    domains = of_domains(options.spiffe_trust, files.trust)
    trust = roots(options.client_ca, domains, files.trust) if options.asking else None
    files.note(*files_of(options.known_keys))
    rules = policy(options.relax, options.known_keys, options.spiffe, domains)
    return ServerConfig(
        identities=[ours] if ours else [],
        alpn=options.alpn,
        **names.versions(options.tls),
        client_trust=trust,
        client_verifier=ChainVerifier(trust, rules) if trust else None,
        tickets=watch.tickets,
        session_cache=watch.cache,
        ticket_count=options.tickets,
        early_data=watch.guard,
        client_authentication="required" if options.require_client_cert else "optional" if trust else "none",
    )


def _reloaded(options: Options, config: ServerConfig) -> None:
    """A line, for whoever replaced the files and for whoever reads the log."""
    leaf = parsed(config.identities[0].chain[0])
    names = _whose(leaf)
    out = show.console(sys.stderr if options.json else sys.stdout)
    out.print(f"reloaded: the certificate is for {names}, valid until {leaf.not_after:%Y-%m-%d %H:%M} UTC")
    _note(config.identities[0])
    _note_left_out(options, config.client_trust)


def _note(ours: Identity) -> None:
    """What was put right when our chain was loaded, and why clients may refuse it."""
    for note in (*ours.notes, *ours.concerns("server", datetime.now(UTC))):
        show.warning(show.console(sys.stderr), str(note))


def _note_left_out(options: Options, trust: TrustStore | None) -> None:
    for line in left_out(options.asking, trust) if trust is not None else ():
        show.warning(show.console(sys.stderr), line)


def _warn(text: str) -> None:
    show.warning(show.console(sys.stderr), shown(text))


def _not_reloaded(error: Exception) -> None:
    show.warning(show.console(sys.stderr), f"not reloaded, what was in force stays: {shown(error)}")


def _check(options: Options) -> None:
    if options.require_client_cert and not options.asking:
        problem = "needs --client-ca FILE: the authorities that clients' certificates have to come from"
        raise ConfigurationError(setting="--require-client-cert", problem=problem)
    for setting, given in (
        ("--relax", options.relax),
        ("--known-keys", options.known_keys),
        ("--spiffe", options.spiffe),
    ):
        if given and not options.asking:
            raise ConfigurationError(setting=setting, problem="means nothing without --client-ca")
    if options.early_data and options.tls and "1.3" not in options.tls:
        problem = f"means nothing with --tls {','.join(options.tls)}: TLS 1.3 alone has early data"
        raise ConfigurationError(setting="--early-data", problem=problem)
    if options.echo and options.www is not None:
        raise ConfigurationError(setting="--echo and --www", problem="are two different servers")
    if options.www is not None and not options.www.is_dir():
        raise ConfigurationError(setting="--www", problem="is no folder", folder=str(options.www))


def _listen(host: str, port: int) -> socket.socket:
    """One socket: asyncio would open one for each address of a name, and with port 0 each would have its own port."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, UnicodeError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(setting="address", address=f"{host} port {port}", problem=problem) from None


def _made(options: Options, scratch: Path) -> tuple[Identity, Path]:
    """An identity that is made for this run, and the file of its authority."""
    identity(None, options.key, options.password_file)
    from handfast.testing import Authority

    authority = Authority.create("handfast serve throwaway authority")
    names = dict.fromkeys(("localhost", "127.0.0.1", "::1", options.host))
    return authority.issue(*(name for name in names if name not in _ANY)), authority.write(scratch)


def _announce(options: Options, port: int, ours: Identity, ca: Path | None, trust: TrustStore | None) -> None:
    out = show.console(sys.stderr if options.json else sys.stdout)
    host = options.host
    place = "localhost" if host in _LOCAL else f"[{host}]" if ":" in host else host
    out.print(f"serving on {host} port {port}; Ctrl-C ends it")
    leaf = parsed(ours.chain[0])
    if ca is not None:
        out.print(f"the certificate is made for this run; its authority is in {ca}")
    else:
        out.print(f"the certificate is for {_whose(leaf)}; its key is {kind_of_key(leaf)}")
        _note(ours)
    if trust is not None:
        verb = "have to" if options.require_client_cert else "may"
        names = ", or ".join(dict.fromkeys(map(authority_name, trust.subjects())))
        whose = f", for {' or '.join(map(shown, options.spiffe))}" if options.spiffe else ""
        out.print(f"clients {verb} show a certificate from {names}{whose}")
        _note_left_out(options, trust)
    other = [name for name in options.alpn if name not in ("http/1.1", "http/1.0")]
    if other and not options.echo:
        out.print(f"only HTTP/1.1 is spoken inside, so a client that takes {shown(other)} will not understand it")
    if options.early_data:
        since = f"once the store is {YOUNG} seconds old" if options.store else f"from {YOUNG} seconds on"
        out.print(f"early data is taken {since}: before that nobody can tell it from a replay of earlier")
    out.print("try it:")
    name = "" if ca or place in leaf.names.texts else _known_by(leaf)
    root = ca or _needed(options, ours)
    out.print(f"  handfast connect {place}:{port}{name}" + _options(" --ca", root, " --cert", " --key", trust))
    if ca is not None:
        out.print(f"  openssl s_client -connect {place}:{port}" + _options(" -CAfile", ca, " -cert", " -key", trust))
        if not options.echo:
            out.print("  curl" + _options(" --cacert", ca, " --cert", " --key", trust) + f" https://{place}:{port}/")
    out.print()


def _needed(options: Options, ours: Identity) -> str:
    """What --ca has to name: a file of ours, or one that we do not know of; "" where the system's roots will do."""
    last = parsed(ours.chain[-1])
    with contextlib.suppress(ConfigurationError):  # a system without roots
        if TrustStore.default().names(last.raw.issuer):
            return ""
    alone = options.cert is not None and last.self_issued and pem.is_pem(pem.read(options.cert))
    return str(options.cert) if alone else "ROOT.pem"


def _options(trusting: str, ca: Path | str | None, cert: str, key: str, clients: TrustStore | None) -> str:
    """What a client has to be called with, by its own names for it."""
    return (f"{trusting} {ca}" if ca else "") + (f"{cert} CLIENT.pem{key} CLIENT.key" if clients else "")


def _whose(leaf: Parsed) -> str:
    """The names that a certificate is for; where it has none of a host, what else it says of its owner."""
    return shown(leaf.names.texts or leaf.alternative_names or leaf.subject or "nobody that it names")


def _known_by(leaf: Parsed) -> str:
    """How a client has to know a server that it does not connect to by a name of its certificate."""
    name = next((name for name in leaf.alternative_names if name.startswith("URI:spiffe://")), "")
    if name and not leaf.names.texts:
        return f" --spiffe {shlex.quote(shown(name.removeprefix('URI:')))}"
    return f" --servername {shown(next(iter(leaf.names.texts), 'NAME')).replace('*', 'www')}"


class Service:
    """The connections, all on one event loop."""

    def __init__(self, options: Options, stores: Kept) -> None:
        self._stores = stores
        self._early_data = options.early_data
        self._echo = options.echo
        self._find = folder(options.www) if options.www else None
        self._log = Log(options.json, stores.watch)
        self._clients: set[asyncio.Task[Any]] = set()
        self._complaint = ""

    async def run(self, listener: socket.socket, live: Reloading[ServerConfig], announce: Callable[[], None]) -> None:
        """Serve until Ctrl-C or SIGTERM; SIGHUP reads the files again.

        ``announce`` is called once clients are served, and signals are caught.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._complain)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if live.has_files:
            loop.add_signal_handler(signal.SIGHUP, partial(_reload, live))
        elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, stop.set)
        server = await aio.start_server(
            self._serve,
            config=live,
            on_failure=lambda address, error, tap: self._log.ended(address, _trace(tap), None, error, []),
            tap=lambda _: Trace(),
            sock=listener,
            backlog=_BACKLOG,
            early_data=self._early_data,
        )
        announce()
        await self._stores.look()
        await stop.wait()
        server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await self._stores.close()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One client, from the end of its handshake to its line in the log."""
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        trace = writer.get_extra_info("tls_connection").tap
        requests: list[str] = []
        problem: Exception | str | None = None
        try:
            peer = Peer(reader, writer, _IDLE_SECONDS, writer.get_extra_info("early_data"))
            if self._echo:
                await _echo(peer)  # at once, what came early too: to be echoed twice does no harm
            else:
                await peer.shaken()
                await respond(peer, partial(self._content, trace, writer.get_extra_info("handshake")), requests)
            _close(writer)
            await writer.wait_closed()
        except Idle as idle:
            problem = str(idle)
            _close(writer)
        except Exception as error:  # the client's doing, as a rule; and if it is a bug of ours, its line says so too
            problem = error
            _close(writer)
        except asyncio.CancelledError:
            problem = "the server was stopped"
            writer.transport.abort()
            raise
        finally:
            facts = writer.get_extra_info("handshake")
            if facts is not None:  # or on_failure has its line
                self._log.ended(writer.get_extra_info("peername"), trace, facts, problem, requests)

    def _content(self, trace: Trace, facts: Any, path: str) -> Any:
        """What a path names: a file, or what the server saw of the handshake. Runs in a thread."""
        if self._find is None:
            return Page(page(trace, facts))
        return self._find(f"You are {visitor(facts)}." if asked(trace) else "", path)

    def _complain(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What the event loop cannot tell anybody else, such as that there are no more descriptors: a line, once."""
        text = f"{context.get('message', '')}: {context.get('exception', '')}".strip(": ")
        if text != self._complaint:
            self._complaint = text
            show.warning(show.console(sys.stderr), shown(text))


def _reload(live: Reloading[ServerConfig]) -> None:
    with contextlib.suppress(Exception):  # which has been told
        live.reload()


def _trace(tap: object) -> Trace | None:
    return tap if isinstance(tap, Trace) else None


def _close(writer: StreamWriter) -> None:
    """Close, whatever has become of the socket: a client that has had all it wanted may have reset it."""
    with contextlib.suppress(OSError):
        writer.close()


async def _echo(peer: Peer) -> None:
    while data := await peer.read():
        await peer.send(data)
