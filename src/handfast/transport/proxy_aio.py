"""Through a proxy with asyncio."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from handfast.errors import ConfigurationError, ConnectionFailed, TLSError
from handfast.reasons import CONNECTION_FAILED, PROXY_CLOSED, PROXY_TIMEOUT
from handfast.transport.aio_driver import connection_failed
from handfast.transport.proxy import Proxy, Tunnel, needed, target

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOR_EVER = 1e6  # seconds: python-socks has a limit of its own where it is told none


async def through(  # noqa: PLR0917  (as the loop's create_connection)
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.BaseProtocol],
    proxy: Proxy,
    host: str | None,
    port: int | None,
    seconds: float | None,
    tcp: Mapping[str, Any],
) -> asyncio.Transport:
    """As ``loop.create_connection``, by way of a proxy: the protocol is connected once the way to the server is open.

    ``seconds``  for all of it, None for no limit
    ``tcp``      what the loop's create_connection takes besides, for the connection to the proxy

    Raises ConnectionFailed, or the TLSError of the handshake with an https proxy: its evidence names the proxy.
    """
    host, port = target(host, port)
    ways = _socks if proxy.is_socks else _connect
    try:
        async with asyncio.timeout(seconds):
            return await ways(loop, factory, proxy, host, port, tcp)
    except TLSError:
        raise
    except TimeoutError:
        raise proxy.failed(PROXY_TIMEOUT, seconds=seconds) from None


async def _connect(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.BaseProtocol],
    proxy: Proxy,
    host: str,
    port: int,
    tcp: Mapping[str, Any],
) -> asyncio.Transport:
    dialogue = _Dialogue(loop, Tunnel(proxy, host, port), proxy, factory)
    where = () if "sock" in tcp else (proxy.host, proxy.port)
    try:
        await _reach(loop, proxy, dialogue, where, tcp)
        return await dialogue.opened
    except BaseException:
        dialogue.abort()
        raise


async def _reach(
    loop: asyncio.AbstractEventLoop, proxy: Proxy, dialogue: _Dialogue, where: tuple[Any, ...], tcp: Mapping[str, Any]
) -> None:
    """Connect to the proxy, over TLS if it wants that."""
    try:
        if proxy.scheme == "https":
            from handfast.transport.aio import create_connection

            await create_connection(
                lambda: dialogue, *where, config=proxy.config, server_name=proxy.host, **cast("Any", tcp)
            )
        else:
            await loop.create_connection(lambda: dialogue, *where, **tcp)
    except TLSError as error:
        error.evidence["proxy"] = str(proxy)
        raise
    except TimeoutError:
        raise
    except OSError as error:
        raise connection_failed(CONNECTION_FAILED, error, proxy=str(proxy)) from error


class _Dialogue(asyncio.Protocol):
    """Asks the proxy; once it agrees, it hands the transport on to the protocol that this is for."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tunnel: Tunnel,
        proxy: Proxy,
        factory: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self.opened: asyncio.Future[asyncio.Transport] = loop.create_future()
        self._tunnel = tunnel
        self._proxy = proxy
        self._factory = factory
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._tunnel.request())

    def data_received(self, data: bytes) -> None:
        """The answer, or a part of it; and perhaps the first bytes of the server."""
        if self.opened.done():
            return
        assert self._transport is not None
        try:
            if not self._tunnel.receive(data):
                return
        except ConnectionFailed as error:
            self._fail(error)
            return
        transport, protocol = self._transport, self._factory()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._tunnel.rest and not transport.is_closing():
            cast("asyncio.Protocol", protocol).data_received(self._tunnel.rest)
        self.opened.set_result(transport)

    def eof_received(self) -> None:
        """The proxy closes."""
        self._fail(self._proxy.failed(PROXY_CLOSED))

    def connection_lost(self, exc: Exception | None) -> None:
        """Likewise."""
        if isinstance(exc, TLSError):
            exc.evidence["proxy"] = str(self._proxy)
            self._fail(exc)
        elif exc is not None:
            self._fail(connection_failed(PROXY_CLOSED, exc, proxy=str(self._proxy)))
        else:
            self._fail(self._proxy.failed(PROXY_CLOSED))
        self._transport = None

    def _fail(self, error: TLSError) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)

    def abort(self) -> None:
        """Nobody waits any more."""
        self.opened.cancel()
        if self.opened.done() and not self.opened.cancelled():
            self.opened.exception()  # it may have failed before it was waited for
        if self._transport is not None:
            self._transport.abort()


async def _socks(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.BaseProtocol],
    proxy: Proxy,
    host: str,
    port: int,
    tcp: Mapping[str, Any],
) -> asyncio.Transport:
    library = needed("python_socks")
    kind = needed("python_socks.async_.asyncio").Proxy
    strange = sorted(set(tcp) - {"local_addr"})
    if strange:
        problem = "through SOCKS only local_addr can be chosen"
        raise ConfigurationError(setting="proxy", problem=problem, given=strange)
    try:
        sock = await proxy.socks(kind).connect(host, port, timeout=_FOR_EVER, **tcp)
    except (library.ProxyTimeoutError, TimeoutError):
        raise TimeoutError from None
    except socket.gaierror as error:
        raise connection_failed(CONNECTION_FAILED, error, host=host, port=port) from error
    except library.ProxyConnectionError as error:
        raise connection_failed(CONNECTION_FAILED, error.__cause__ or error, proxy=str(proxy)) from error
    except OSError as error:
        raise connection_failed(PROXY_CLOSED, error, proxy=str(proxy)) from error
    except Exception as error:  # its own, and what garbage makes of its parser
        raise proxy.socks_failed(error) from None
    transport, _ = await loop.create_connection(factory, sock=sock)
    return transport
