"""The application's side of a driver: its protocol, made and connected, called, and given data as it takes it."""

from __future__ import annotations

import asyncio
import enum
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from handfast.transport.aio_transport import TLSTransport


def nothing() -> None:
    """What a protocol does that has no such method."""


def nowhere(data: bytes) -> None:
    """There is no protocol to deliver to: not yet, or no longer."""


class State(enum.Enum):
    """How far a connection is."""

    NEW = "not connected yet"
    SHAKING = "shaking hands"
    OPEN = "open"
    CLOSING = "closing"  # nothing more is delivered or taken; the last bytes are on their way
    CLOSED = "closed"


class ApplicationSide(asyncio.Protocol):
    """What a driver knows of the application, and does with it."""

    __slots__ = (
        "_app",
        "_app_connected",
        "_app_told_to_pause",
        "_deliver",
        "_early",
        "_error",
        "_factory",
        "_leaving",
        "_loop",
        "_lower_full",
        "_paused",
        "_rest",
        "_state",
        "transport",
    )

    transport: TLSTransport

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Callable[[], asyncio.BaseProtocol],
        connected: asyncio.BaseProtocol | None,
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._state = State.NEW
        self._app = connected
        self._app_connected = connected is not None
        self._app_told_to_pause = False
        # What takes the data of the application's protocol.
        self._deliver: Callable[[bytes], None] = nowhere
        self._lower_full = False  # the transport below has more than it can send
        self._paused = False  # the application takes nothing now
        self._early = False  # it takes early data: it is connected, though hands are still being shaken
        self._leaving = False  # it has closed while that was so
        self._rest: memoryview | None = None  # of a record that a BufferedProtocol has taken a part of
        self._error: Exception | None = None

    @abstractmethod
    def abort(self) -> None:
        """Close the socket now."""

    # --- its life

    def _made(self) -> bool:
        """Make the application's protocol. Where that fails, the owner is told once the socket is closed."""
        if self._app is None:
            try:
                self._app = self._factory()
            except Exception as error:
                self._application_failed(error)
        return self._app is not None

    def _connect(self) -> None:
        """Tell the protocol that it is connected, once."""
        if not self._app_connected and self._app is not None:
            self._app_connected = True
            self._call(self._app.connection_made, self.transport)
            if self._lower_full and self._delivering:
                self.pause_writing()

    @property
    def _delivering(self) -> bool:
        """Whether the application is connected, and has not closed."""
        return not self._leaving and (self._state is State.OPEN or (self._early and self._state is State.SHAKING))

    def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call the application. What it raises is its own mistake, and ends the connection, as with any transport."""
        try:
            return method(*args)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self._application_failed(error)

    def _application_failed(self, error: BaseException) -> None:
        self._loop.call_exception_handler(
            {
                "message": "Fatal error: a callback of the protocol failed.",
                "exception": error,
                "transport": self.transport,
                "protocol": self._app,
            }
        )
        if self._state in (State.SHAKING, State.OPEN):
            self._error = error if isinstance(error, Exception) else None
            self.abort()

    # --- its data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to this protocol from now on."""
        self._app = protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            self._deliver = self._deliver_buffered
        else:
            self._deliver = cast("asyncio.Protocol", protocol).data_received

    @property
    def protocol(self) -> asyncio.BaseProtocol | None:
        """Whom we deliver to."""
        return self._app

    def _deliver_buffered(self, data: bytes) -> None:
        self._rest = memoryview(data)
        self._deliver_rest()

    def _deliver_rest(self) -> None:
        """Fill the buffers of a BufferedProtocol, until it pauses."""
        while self._rest is not None and not self._paused and self._state is State.OPEN:
            app = cast("asyncio.BufferedProtocol", self._app)
            self._call(self._fill, app, self._rest)

    def _fill(self, app: asyncio.BufferedProtocol, data: memoryview) -> None:
        buffer = memoryview(app.get_buffer(len(data)))
        count = min(len(buffer), len(data))
        if not count:
            raise RuntimeError("get_buffer() returned an empty buffer")
        buffer[:count] = data[:count]
        self._rest = data[count:] if count < len(data) else None
        app.buffer_updated(count)
