"""SSLSocket: a connection over a socket, for urllib3, http.client, smtplib and whoever lets ``ssl`` do the input and output."""

from __future__ import annotations

import ssl
import threading
import time
from socket import socket
from typing import TYPE_CHECKING, Any, Final

from handfast.connection import Connection
from handfast.transport.ssl_module import exceptions
from handfast.transport.ssl_module.engine import WRITE_SIZE, Engine

if TYPE_CHECKING:
    from handfast.transport.ssl_module.context import SSLContext

# The methods of the socket itself: those of SSLSocket would come back here.
_recv: Final = socket.recv
_send: Final = socket.send

_CAREFUL_WRITE_SIZE: Final = 16_384  # what is sealed at once for a socket that may take only a part of it


class SocketEngine(Engine):
    """Reads from a socket and writes to it, as its timeout says."""

    def __init__(
        self,
        context: SSLContext,
        sock: SSLSocket,
        server_side: bool,
        server_hostname: str | None,
        session: object = None,
    ) -> None:
        super().__init__(context, server_side, server_hostname, sock, session)
        self._until: float | None = None  # when the operation of the thread that reads has to be done
        self._retry = b""  # what a write has sealed, and not said so since the socket did not take it all
        self._write_lock = threading.RLock()

    @property
    def _sock(self) -> socket:
        sock = self._owner()
        if sock is None:
            raise exceptions.plain("Underlying socket connection gone")
        return sock  # type: ignore[return-value]

    def _start_waiting(self) -> None:
        """A timeout is for a whole operation: a peer that sends single bytes does not make it longer."""
        timeout = self._sock.gettimeout()
        self._until = time.monotonic() + timeout if timeout else None

    # --- reading

    def _receive(self, size: int) -> bytes:
        if self._until is not None and time.monotonic() > self._until:
            raise TimeoutError(self._timed_out())
        try:
            return _recv(self._sock, size)
        except BlockingIOError:
            raise exceptions.want_read() from None
        except TimeoutError:
            raise TimeoutError(self._timed_out()) from None

    def _timed_out(self) -> str:
        return f"The {'handshake' if self._facts is None else 'read'} operation timed out"

    def do_handshake(self) -> None:
        """Shake hands, or go on with that."""
        self._start_waiting()
        super().do_handshake()

    def read(self, size: int = 1024, buffer: Any = None) -> Any:
        """See Engine.read."""
        if not self._received:
            self._start_waiting()
        return super().read(size, buffer)

    def shutdown(self) -> Any:
        """See Engine.shutdown."""
        self._start_waiting()
        return super().shutdown()

    def _plain(self) -> Any:
        return self._sock

    # --- writing

    def _flush(self, connection: Connection) -> None:
        with self._write_lock:
            self._send_all(connection)

    def _flush_if_possible(self, connection: Connection) -> None:
        """Whoever writes in another thread sends this too: it looks once more before it lets go of the lock."""
        if self._write_lock.acquire(blocking=False):
            try:
                self._send_all(connection)
            except OSError:
                return
            finally:
                self._write_lock.release()

    def _send_all(self, connection: Connection) -> None:
        """Send all that is sealed. The lock is held, so that the order of records is the order on the wire."""
        sock = self._sock
        while True:
            if not self._unsent:
                if not connection.has_data_to_send:
                    return
                self._unsent = memoryview(connection.data_to_send())
            try:
                self._unsent = self._unsent[_send(sock, self._unsent) :]
            except BlockingIOError:
                raise exceptions.want_write() from None
            except TimeoutError:
                operation = "handshake" if self._facts is None else "write"
                raise TimeoutError(f"The {operation} operation timed out") from None

    def write(self, data: Any) -> int:
        """Send some of ``data``.

        Where the socket does not take all that was sealed, this raises SSLWantWriteError or TimeoutError, and the
        caller tries again with the same data, as with OpenSSL: that call then sends the rest, and says how much it was.
        Whoever sends something else instead loses nothing; the rest goes out before it.
        """
        connection = self._ready()
        with memoryview(data) as view, view.cast("B") as content, self._write_lock:
            if self._unsent or self._retry:
                self._send_all(connection)
                sealed, self._retry = self._retry, b""
                if sealed and content[: len(sealed)] == sealed:
                    return len(sealed)
            with content[: WRITE_SIZE if self._sock.gettimeout() is None else _CAREFUL_WRITE_SIZE] as taken:
                self._seal(connection, taken)
                try:
                    self._send_all(connection)
                except (ssl.SSLWantWriteError, TimeoutError):
                    self._retry = bytes(taken)
                    raise
                return len(taken)


class SSLSocket(ssl.SSLSocket):
    """What :meth:`SSLContext.wrap_socket` returns: ``ssl.SSLSocket`` with a connection of ours in it."""

    _sslobj: SocketEngine | None

    handfast_early_data: bytes = b""
    """A client's, set before the handshake: what is sent before the server has answered, where the session allows it.

    Whoever records it can send it again: only what does no harm twice belongs in it.
    """

    @property
    def handfast_early_data_rejected(self) -> bytes:
        """What the server has not taken of that, b"" for nothing: it is sent again if the program does so."""
        return b"" if self._sslobj is None else self._sslobj.early_data_rejected

    @property
    def handfast(self) -> Connection | None:
        """The connection itself, for what ssl has no name for: ``export_keying_material``, ``handshake``, ...

        None until the handshake begins, and after the socket is closed or plain again.
        """
        return None if self._sslobj is None else self._sslobj.handfast

    def get_verified_chain(self) -> list[bytes]:
        """The path up to the trusted root, as DER; without verification what the peer sent."""
        chain = None if self._sslobj is None else self._sslobj.get_verified_chain()
        return [certificate.der for certificate in chain or ()]

    def get_unverified_chain(self) -> list[bytes]:
        """The certificates as the peer sent them, as DER."""
        chain = None if self._sslobj is None else self._sslobj.get_unverified_chain()
        return [certificate.der for certificate in chain or ()]
