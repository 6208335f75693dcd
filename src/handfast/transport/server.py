"""A TLS server with a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, Self

from handfast import limits
from handfast.config import ServerConfig
from handfast.connection import ServerConnection, Tap
from handfast.errors import ConfigurationError
from handfast.transport.blocking import EarlyDataHandler, TLSSocket
from handfast.transport.reload import current

Handler = Callable[[TLSSocket], None]
FailureHandler = Callable[[Any, Exception, Tap | None], None]
"""Called with the peer's address, what went wrong, and the connection's tap."""


def _ignore(address: Any, error: Exception, tap: Tap | None) -> None:
    """A failed connection is the peer's affair, unless somebody wants to know."""


class Server:
    """Accepts connections, shakes hands, and calls ``handler`` with each, in a thread of its own.

    ::

        with Server(handler, "127.0.0.1", 8443, config=config) as server:
            print(server.address)

    ``config``          the settings; or what returns those for the next connection, such as a handfast.Reloading
    ``handler``         takes a TLSSocket whose handshake is complete; it is closed when the handler returns
    ``on_failure``      is told of failed handshakes and of what a handler raises
    ``tap``             makes a tap for each connection, from the peer's address
    ``on_early_data``   is called with the TLSSocket and each piece of early data, while hands are still being shaken, and may
                        answer it; see :meth:`TLSSocket.early_data`, which has all of it where this is not given
    ``max_connections`` how many may be open at once; more wait in the listen queue
    ``max_handshakes``  how many of these may still be shaking hands
    """

    def __init__(  # noqa: PLR0913
        self,
        handler: Handler,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        config: ServerConfig | Callable[[], ServerConfig],
        on_failure: FailureHandler = _ignore,
        tap: Callable[[Any], Tap] | None = None,
        on_early_data: EarlyDataHandler | None = None,
        max_connections: int = limits.CONCURRENT_CONNECTIONS,
        max_handshakes: int = limits.CONCURRENT_HANDSHAKES,
    ) -> None:
        self.config = config
        self._handler = handler
        self._on_failure = on_failure
        self._make_tap = tap
        self._on_early_data = on_early_data
        self._places = threading.BoundedSemaphore(max_connections)
        self._handshakes = threading.BoundedSemaphore(max_handshakes)
        self._connections: set[TLSSocket] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._listener = _listen(host, port)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(target=self.serve_forever, name="handfast-server", daemon=True)
        self._thread.start()

    def serve_forever(self) -> None:
        """Serve until :meth:`close` is called."""
        while not self._closed.is_set():
            self._places.acquire()
            self._handshakes.acquire()
            try:
                sock, address = self._listener.accept()
            except OSError:
                self._handshakes.release()
                self._places.release()
                # Closed by close(); or out of descriptors, which passes as connections end.
                self._closed.wait(0.05)
                continue
            thread = threading.Thread(target=self._serve, args=(sock, address), name="handfast-connection", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads; that too passes as connections end
                sock.close()
                self._handshakes.release()
                self._places.release()

    def _serve(self, sock: socket.socket, address: Any) -> None:
        tap: Tap | None = None
        tls: TLSSocket | None = None
        try:
            try:
                tap = self._make_tap(address) if self._make_tap else None
                connection = ServerConnection(current(self.config), tap=tap)
                tls = TLSSocket(sock, connection, on_early_data=self._on_early_data)
                self._add(tls)
                tls.do_handshake()
            finally:
                self._handshakes.release()
            self._handler(tls)
        except Exception as error:
            self._on_failure(address, error, tap)
        finally:
            (tls or sock).close()
            if tls is not None:
                with self._lock:
                    self._connections.discard(tls)
            self._places.release()

    def _add(self, tls: TLSSocket) -> None:
        with self._lock:
            self._connections.add(tls)
        if self._closed.is_set():  # close() came between accept and here
            tls.abort()

    def close(self) -> None:
        """Accept nothing more, and close what is open."""
        self._closed.set()
        with contextlib.suppress(OSError):  # not every system can do that; there closing it wakes accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            open_connections = list(self._connections)
        for tls in open_connections:
            tls.abort()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(limits.CLOSE_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    address = f"{host} port {port}"
    if not 0 <= port <= 65_535:
        raise ConfigurationError(setting="address", address=address, problem="a port is a number from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise ConfigurationError(setting="address", address=address, problem=error.strerror or str(error)) from None


def serve(handler: Handler, host: str, port: int, *, config: ServerConfig | Callable[[], ServerConfig]) -> None:
    """Serve for ever, as :class:`Server` does."""
    server = Server(handler, host, port, config=config)
    try:
        server.serve_forever()
    finally:
        server.close()
