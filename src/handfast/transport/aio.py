"""TLS for asyncio: the functions of asyncio, with ``config=`` in place of ``ssl=``.

::

    reader, writer = await handfast.aio.open_connection("example.com", 443)
    writer.write(b"...")
    data = await reader.read(4096)
    writer.close()
    await writer.wait_closed()

    config = ServerConfig(identities=[Identity.load("fullchain.pem", "key.pem")])
    async with await handfast.aio.start_server(handler, "127.0.0.1", 8443, config=config) as server:
        await server.serve_forever()

Streams and protocols work over the transport as over any other. What differs from asyncio's own TLS is said at
:class:`~handfast.transport.aio_transport.TLSTransport`: above all one may go on reading after ``write_eof``, and bytes
that end without close_notify are an error.

A verifier, a signer, ``choose_identity``, ``check_peer`` and ``on_client_hello`` may be asynchronous; other connections
go on meanwhile. Checking a chain that takes long is done in a thread of the loop's executor. Any event loop will do.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, cast

from handfast import limits
from handfast.config import ClientConfig, ServerConfig
from handfast.connection import ClientConnection, Connection, ServerConnection, Tap
from handfast.errors import ConfigurationError, MisuseError, PeerMisbehaved, TLSError
from handfast.reasons import CONNECTION_FAILED, PLAINTEXT
from handfast.transport.aio_driver import Driver, connection_failed
from handfast.transport.aio_early import EarlyStreams
from handfast.transport.aio_offload import client_off_loop, server_off_loop
from handfast.transport.aio_owners import FailureHandler, Serving, Waiting
from handfast.transport.aio_transport import TLSTransport

if TYPE_CHECKING:
    from handfast.sessions.session import Session
    from handfast.transport.proxy import Proxy
    from handfast.transport.starttls.dialogue import Dialogue
    from handfast.transport.starttls.running import Starttls

__all__ = [
    "TLSTransport",
    "create_connection",
    "create_server",
    "open_connection",
    "start_server",
    "start_tls",
    "upgrade",
]

SHUTDOWN_SECONDS = 30.0
"""How long a closed connection may take to send what has been written, by default; asyncio's TLS has the same."""

_STREAM_LIMIT = 65_536  # asyncio's

P = TypeVar("P", bound=asyncio.BaseProtocol)

StreamHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


class ConnectOptions(TypedDict, total=False):
    """What else the loop's own create_connection takes."""

    family: int
    proto: int
    flags: int
    sock: socket.socket
    local_addr: tuple[str, int]
    happy_eyeballs_delay: float
    interleave: int
    all_errors: bool


class ListenOptions(TypedDict, total=False):
    """What else the loop's own create_server takes."""

    family: int
    flags: int
    sock: socket.socket
    backlog: int
    reuse_address: bool
    reuse_port: bool
    keep_alive: bool
    start_serving: bool


# --- streams -------------------------------------------------------------------------------------------------------


async def open_connection(  # noqa: PLR0913  (asyncio's shape)
    host: str | None = None,
    port: int | None = None,
    *,
    config: ClientConfig | None = None,
    server_name: str | None = None,
    limit: int = _STREAM_LIMIT,
    shutdown_timeout: float = SHUTDOWN_SECONDS,
    tap: Tap | None = None,
    proxy: Proxy | str | None = None,
    starttls: Starttls | None = None,
    session: Session | None = None,
    early_data: bytes = b"",
    on_session: Callable[[Session], None] | None = None,
    **tcp: Unpack[ConnectOptions],
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a server and shake hands; asyncio's streams over that.

    As :func:`create_connection`; ``limit`` is that of the reader's buffer, in bytes.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await create_connection(
        lambda: protocol,
        host,
        port,
        config=config,
        server_name=server_name,
        shutdown_timeout=shutdown_timeout,
        tap=tap,
        proxy=proxy,
        starttls=starttls,
        session=session,
        early_data=early_data,
        on_session=on_session,
        **tcp,
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def start_server(  # noqa: PLR0913  (asyncio's shape)
    client_connected_cb: StreamHandler,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    config: ServerConfig | Callable[[], ServerConfig],
    limit: int = _STREAM_LIMIT,
    on_failure: FailureHandler | None = None,
    shutdown_timeout: float = SHUTDOWN_SECONDS,
    max_handshakes: int = limits.CONCURRENT_HANDSHAKES,
    tap: Callable[[Any], Tap] | None = None,
    early_data: bool = False,
    **tcp: Unpack[ListenOptions],
) -> asyncio.AbstractServer:
    """Serve, with a call of ``client_connected_cb`` for each client, once hands are shaken.

    As :func:`create_server`; ``limit`` is that of each reader's buffer, in bytes.

    ``early_data``  the callback takes early data, for configurations that allow it. Where a client sends some, the callback
                    is called before hands are shaken, and may answer at once. ``writer.get_extra_info("early_data")`` is
                    the StreamReader of what may be a replay: only what does no harm twice may come of it. It ends when
                    hands are shaken, and is None for clients that send none. Until then ``peer`` is None
    """
    if not early_data and isinstance(config, ServerConfig) and config.early_data is not None:
        problem = "the configuration takes early data; start_server(early_data=True) says that the callback does so too"
        raise ConfigurationError(setting="early_data", problem=problem)
    loop = asyncio.get_running_loop()

    def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        work = client_connected_cb(reader, writer)
        return _Handling(work, writer) if asyncio.iscoroutine(work) else work

    def streams() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        if early_data:
            return EarlyStreams(reader, handler, loop)
        return asyncio.StreamReaderProtocol(reader, handler, loop=loop)

    return await create_server(
        streams,
        host,
        port,
        config=config,
        on_failure=on_failure,
        shutdown_timeout=shutdown_timeout,
        max_handshakes=max_handshakes,
        tap=tap,
        **tcp,
    )


class _Handling(Coroutine[Any, Any, None]):
    """A handler at work. Where it is cancelled, when its loop ends at the latest, it has not said all: so break off.

    No coroutine around it could do that: one that is cancelled before its first step never takes any. And before Python
    3.12 asyncio leaves the connection of a cancelled handler open, and logs the cancellation as if it were a mistake.
    """

    def __init__(self, work: Coroutine[Any, Any, None], writer: asyncio.StreamWriter) -> None:
        self._work = work
        self._writer = writer

    def __await__(self) -> Generator[Any, Any, None]:
        return self._work.__await__()

    def send(self, value: Any) -> Any:
        return self._step(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._work.throw, *error)

    def close(self) -> None:
        self._work.close()

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        try:
            return step(*args)
        except asyncio.CancelledError:
            cast("asyncio.Transport", self._writer.transport).abort()
            raise StopIteration from None


# --- protocols -----------------------------------------------------------------------------------------------------


async def create_connection(  # noqa: PLR0913  (asyncio's shape)
    protocol_factory: Callable[[], P],
    host: str | None = None,
    port: int | None = None,
    *,
    config: ClientConfig | None = None,
    server_name: str | None = None,
    shutdown_timeout: float = SHUTDOWN_SECONDS,
    tap: Tap | None = None,
    proxy: Proxy | str | None = None,
    starttls: Starttls | None = None,
    session: Session | None = None,
    early_data: bytes = b"",
    on_session: Callable[[Session], None] | None = None,
    **tcp: Unpack[ConnectOptions],
) -> tuple[TLSTransport, P]:
    """Connect to a server and shake hands, then connect a protocol.

    ``server_name``       the name that the server has to prove; the host's by default
    ``shutdown_timeout``  seconds that a closed connection may take to send what has been written
    ``proxy``             what to connect through: a URL or a handfast.Proxy, see handfast.transport.proxy; "environment"
                          is what HTTPS_PROXY, ALL_PROXY and NO_PROXY say. By default these are not looked at
    ``starttls``          the protocol that is spoken before TLS, such as "smtp": see handfast.transport.starttls
    ``session``           to be resumed; by default one of the configuration's store, if it has one
    ``early_data``        sent before the server has answered, where the session allows so much. Whoever records it can
                          send it again: only what does no harm twice belongs in it. What the server did not take is not
                          sent again: ``transport.get_extra_info("early_data_rejected")`` has it, for the caller to decide
    ``on_session``        called with each session that the server gives us, besides the configuration's store; servers
                          give them only to those who have one
    ``tcp``               what the loop's own create_connection takes besides: ``sock``, ``local_addr``, ``family``, ...

    The handshake's time is limited by the configuration, and a proxy gets as much to open the way, and what is said
    before TLS as much again. That of a TCP connection is not: use asyncio.timeout.

    Raises ConnectionFailed where there is no connection, HandshakeTimeout, or the TLSError that ended the handshake.
    """
    _check_options(tcp, "server_name")
    loop = asyncio.get_running_loop()
    server_name = host if server_name is None else server_name
    dialogue = None
    if starttls is not None:
        from handfast.transport.starttls.running import prepared

        dialogue, config = prepared(starttls, config, server_name)
    config = client_off_loop(config)
    connection = ClientConnection(config, server_name=server_name, session=session, early_data=early_data, tap=tap)
    waiting = Waiting(loop, connection)
    driver = Driver(loop, waiting, protocol_factory, shutdown_timeout, on_session=on_session)
    first = driver if dialogue is None else _conversing(loop, dialogue, waiting, driver)
    try:
        await _reach(loop, lambda made=first: made, host, port, proxy, config.handshake_timeout, tcp)  # type: ignore[misc]
        transport, protocol = await waiting.future
    except BaseException as error:
        waiting.give_up(driver)
        if isinstance(error, OSError) and not isinstance(error, TLSError):  # HandshakeTimeout is a TimeoutError
            raise connection_failed(CONNECTION_FAILED, error, host=host, port=port) from error
        raise
    finally:
        del (
            connection,
            waiting,
            driver,
            first,
        )  # an error keeps this frame, which would keep them, and with them the error
    return transport, cast("P", protocol)


async def create_server(
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    config: ServerConfig | Callable[[], ServerConfig],
    on_failure: FailureHandler | None = None,
    shutdown_timeout: float = SHUTDOWN_SECONDS,
    max_handshakes: int = limits.CONCURRENT_HANDSHAKES,
    tap: Callable[[Any], Tap] | None = None,
    **tcp: Unpack[ListenOptions],
) -> asyncio.AbstractServer:
    """Serve, with a protocol for each client, made once hands are shaken.

    ``config``            the settings; or what returns those for the next connection, such as a handfast.Reloading
    ``on_failure``        is told of failed handshakes. They never stop the server
    ``shutdown_timeout``  seconds that a closed connection may take to send what has been written
    ``max_handshakes``    how many connections may be shaking hands; those that come then wait for one of these to end,
                          unread, and no longer than a handshake may take
    ``tap``               makes a tap for each connection, from the peer's address
    ``tcp``               what the loop's own create_server takes besides: ``sock``, ``backlog``, ``reuse_port``, ...

    Where the configuration takes early data, the protocol has to have ``early_data_received``: see TLSTransport. One
    without it loses the connections of clients that send some, with a MisuseError.

    Raises OSError where it cannot listen.
    """
    _check_options(cast("ConnectOptions", tcp))
    loop = asyncio.get_running_loop()
    serving = Serving(config, on_failure, max_handshakes, tap)
    server: asyncio.AbstractServer = await loop.create_server(  # type: ignore[call-overload]
        lambda: Driver(loop, serving, protocol_factory, shutdown_timeout), host, port, **tcp
    )
    return server


async def _reach(  # noqa: PLR0917
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.BaseProtocol],
    host: str | None,
    port: int | None,
    proxy: Proxy | str | None,
    seconds: float | None,
    tcp: ConnectOptions,
) -> None:
    """Connect a protocol to the server, by way of a proxy if there is one."""
    if proxy is not None:
        from handfast.transport.proxy import chosen
        from handfast.transport.proxy_aio import through

        way = chosen(proxy, host)
        if way is not None:
            await through(loop, factory, way, host, port, seconds, tcp)
            return
    await loop.create_connection(factory, host, port, **tcp)  # type: ignore[call-overload]


def _conversing(
    loop: asyncio.AbstractEventLoop, dialogue: Dialogue, waiting: Waiting, driver: Driver
) -> asyncio.Protocol:
    """The protocol for what is said before TLS. Once nobody waits any more, it closes what it has."""
    from handfast.transport.starttls.running import Conversing

    protocol = Conversing(loop, dialogue, following=lambda: driver, failed=lambda error: waiting.failed(driver, error))
    waiting.future.add_done_callback(lambda _: protocol.give_up())
    return protocol


# --- the upgrade of a connection -----------------------------------------------------------------------------------


async def start_tls(
    transport: asyncio.Transport,
    protocol: asyncio.BaseProtocol,
    config: ClientConfig | ServerConfig | None = None,
    *,
    server_side: bool = False,
    server_name: str | None = None,
    shutdown_timeout: float = SHUTDOWN_SECONDS,
    tap: Tap | None = None,
) -> TLSTransport:
    """Shake hands over a connection that is in use (STARTTLS); what the protocol has to use from now on is returned.

    ``server_side``  has to be True with a ServerConfig: whoever upgrades knows who began
    ``server_name``  the name that the server has to prove

    The protocol's connection_made is not called again. When the handshake fails the connection is closed, and the
    protocol's connection_lost is called too.

    What arrived before the upgrade came in plain text, and anybody on the way may have put it there. It must not be
    taken for something that the peer has said under protection (CVE-2011-0411, CVE-2021-38371). So: upgrade only when
    everything has been read, and forget whatever was read too far. Where this can be seen, with a StreamReader that
    holds data, the connection is broken off with PeerMisbehaved. With a protocol of your own it is yours to see to.
    """
    connection = _connection_for(config, server_side, server_name, tap)
    if transport.is_closing():
        raise MisuseError(problem="the connection to upgrade is closing")
    _refuse_plaintext(transport, protocol)
    loop = asyncio.get_running_loop()
    waiting = Waiting(loop, connection)
    driver = Driver(loop, waiting, lambda: protocol, shutdown_timeout, connected=protocol)
    transport.set_protocol(driver)
    driver.connection_made(transport)
    if not transport.is_closing():
        transport.resume_reading()
    try:
        upgraded, _ = await waiting.future
    except BaseException:
        waiting.give_up(driver)
        raise
    finally:
        del connection, waiting, driver  # as above
    return upgraded


async def upgrade(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    config: ClientConfig | ServerConfig | None = None,
    *,
    server_side: bool = False,
    server_name: str | None = None,
    shutdown_timeout: float = SHUTDOWN_SECONDS,
    tap: Tap | None = None,
) -> None:
    """Shake hands over asyncio's streams (STARTTLS); afterwards the same two are protected. As :func:`start_tls`."""
    below = cast("asyncio.Transport", writer.transport)
    if not below.is_closing():
        below.pause_reading()  # while we wait: what comes now is for the handshake, and not for the reader
        try:
            await writer.drain()
        finally:
            below.resume_reading()
    protocol = below.get_protocol()
    transport = await start_tls(
        below,
        protocol,
        config,
        server_side=server_side,
        server_name=server_name,
        shutdown_timeout=shutdown_timeout,
        tap=tap,
    )
    # asyncio has no public way to give streams another transport; its own StreamWriter.start_tls does this too.
    for user in (reader, writer, protocol):
        user._transport = transport  # type: ignore[union-attr]


def _connection_for(
    config: ClientConfig | ServerConfig | None, server_side: bool, server_name: str | None, tap: Tap | None
) -> Connection:
    if server_side != isinstance(config, ServerConfig):
        problem = "True needs a ServerConfig" if server_side else "has to be True with a ServerConfig"
        raise ConfigurationError(setting="server_side", problem=problem)
    if isinstance(config, ServerConfig):
        return ServerConnection(server_off_loop(config), tap=tap)
    return ClientConnection(client_off_loop(config), server_name=server_name, tap=tap)


def _refuse_plaintext(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
    """Break off where data has come before its time: see :func:`start_tls`."""
    for each in (protocol, transport.get_protocol()):
        reader = getattr(each, "_stream_reader", None)  # what asyncio calls it; there is no public name
        held = bytes(getattr(reader, "_buffer", b""))
        if held:
            transport.abort()
            raise PeerMisbehaved(PLAINTEXT, before="the upgrade to TLS", bytes=len(held), first_bytes=held[:16])


def _check_options(tcp: ConnectOptions, *instead: str) -> None:
    """TLS below TLS is what start_tls is for; here it would be a mistake."""
    for name in tcp:
        if name.startswith(("ssl", "server_hostname")):
            raise TypeError(f"{name!r} is for asyncio's TLS; here it is {' or '.join(['config', *instead])}")
