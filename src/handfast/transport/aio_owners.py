"""Who has drivers made: a coroutine that waits for one handshake, or a server. They are told how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from handfast.connection import Connection, ServerConnection, Tap
from handfast.transport.aio_offload import server_off_loop
from handfast.transport.reload import current

if TYPE_CHECKING:
    from handfast.config import ServerConfig
    from handfast.transport.aio_driver import Driver
    from handfast.transport.aio_transport import TLSTransport

FailureHandler = Callable[[Any, Exception, Tap | None], None]
"""Called with the peer's address, what went wrong, and the connection's tap."""


class Owner(Protocol):
    """Whoever has a driver made: it knows what the connection is for, and is told how the handshake went."""

    def connection(self, lower: asyncio.Transport) -> Connection:
        """The TLS connection to run over ``lower``."""

    def admit(self, driver: Driver) -> bool:
        """Whether the handshake may go on now. If not, the owner calls :meth:`Driver.go_on` later."""

    def opened(self, driver: Driver, protocol: asyncio.BaseProtocol) -> None:
        """The handshake is complete, and the protocol is connected."""

    def failed(self, driver: Driver, error: Exception) -> None:
        """The handshake has failed, and the socket is closed."""


class Waiting:
    """A coroutine that waits for one handshake."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        """``future`` comes to the transport and the protocol, or to what ended the handshake."""
        self.future: asyncio.Future[tuple[TLSTransport, asyncio.BaseProtocol]] = loop.create_future()
        self._connection = connection

    def connection(self, lower: asyncio.Transport) -> Connection:
        """The one that was made before, so that wrong settings show before there is a socket."""
        return self._connection

    def admit(self, driver: Driver) -> bool:
        """Always."""
        return True

    def opened(self, driver: Driver, protocol: asyncio.BaseProtocol) -> None:
        """That is what is waited for."""
        if not self.future.done():
            self.future.set_result((driver.transport, protocol))

    def failed(self, driver: Driver, error: Exception) -> None:
        """Or this."""
        if not self.future.done():
            self.future.set_exception(error)

    def give_up(self, driver: Driver) -> None:
        """Nobody waits any more, be it after a failure or a cancellation, which may come when all is done already."""
        self.future.cancel()
        driver.abandon()


class Serving:
    """A server: the connections that shake hands, and those that wait until they may."""

    def __init__(
        self,
        config: ServerConfig | Callable[[], ServerConfig],
        on_failure: FailureHandler | None,
        max_handshakes: int,
        tap: Callable[[Any], Tap] | None,
    ) -> None:
        self._source = config
        self._given = current(config)
        self._config = server_off_loop(self._given)
        self._on_failure = on_failure
        self._max_handshakes = max_handshakes
        self._make_tap = tap
        self._shaking = 0
        self._waiting: dict[Driver, None] = {}  # in the order in which they came

    def connection(self, lower: asyncio.Transport) -> Connection:
        """One of our own for each client."""
        tap = self._make_tap(lower.get_extra_info("peername")) if self._make_tap else None
        given = current(self._source)
        if given is not self._given:
            self._given, self._config = given, server_off_loop(given)
        return ServerConnection(self._config, tap=tap)

    def admit(self, driver: Driver) -> bool:
        """Only so many at a time."""
        if self._shaking < self._max_handshakes:
            self._shaking += 1
            return True
        self._waiting[driver] = None
        return False

    def opened(self, driver: Driver, protocol: asyncio.BaseProtocol) -> None:
        """There is room for the next."""
        self._left(driver)

    def failed(self, driver: Driver, error: Exception) -> None:
        """Likewise; and somebody may want to know."""
        self._left(driver)
        if self._on_failure is not None:
            connection = getattr(driver, "connection", None)
            address = driver.lower.get_extra_info("peername")
            self._on_failure(address, error, None if connection is None else connection.tap)

    def _left(self, driver: Driver) -> None:
        if driver in self._waiting:
            del self._waiting[driver]
            return
        self._shaking -= 1
        while self._waiting and self._shaking < self._max_handshakes:
            waiting = next(iter(self._waiting))
            del self._waiting[waiting]
            self._shaking += 1
            waiting.go_on()
