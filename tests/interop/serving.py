"""handfast's server for one client that nobody here wrote: what it agreed to, and how it ended."""

from __future__ import annotations

import queue
from typing import Any, Self

from handfast import Handshake, Server, ServerConfig, TLSError, TLSSocket, TruncationError
from tests.interop import http
from tests.interop.processes import PATIENCE

GREETING = b"good bye\n"


class Serving:
    """A Server whose handler echoes until the client has closed, or greets and closes first.

    ``protocol``  "bytes", or "http": what is echoed is the body of a request
    """

    def __init__(self, config: ServerConfig, protocol: str = "bytes", *, closes: bool = False) -> None:
        handlers = {
            ("bytes", False): self._echo,
            ("bytes", True): self._greet,
            ("http", False): self._echo_bodies,
            ("http", True): self._answer_once,
        }
        self._handler = handlers[protocol, closes]
        self._ends: queue.Queue[Handshake | Exception] = queue.Queue()
        self.answered_close: bool | None = None
        self._server = Server(self._handle, config=config, on_failure=self._failed)
        self.port = self._server.address[1]

    def _handle(self, tls: TLSSocket) -> None:
        tls.settimeout(PATIENCE)
        self._handler(tls)
        self._ends.put(tls.handshake)

    def _failed(self, address: Any, error: Exception, tap: Any) -> None:
        self._ends.put(error)

    def _echo(self, tls: TLSSocket) -> None:
        while data := tls.recv():
            tls.sendall(data)

    def _greet(self, tls: TLSSocket) -> None:
        tls.sendall(GREETING)
        self._close_first(tls)

    def _echo_bodies(self, tls: TLSSocket) -> None:
        while message := http.read_message(tls):
            tls.sendall(http.response(message[1]))

    def _answer_once(self, tls: TLSSocket) -> None:
        assert http.read_message(tls)
        tls.sendall(http.response(GREETING, close=True))
        self._close_first(tls)

    def _close_first(self, tls: TLSSocket) -> None:
        tls.shutdown_write()
        try:
            assert tls.recv() == b""
            self.answered_close = True
        except TruncationError:
            self.answered_close = False

    # --- how it went

    def handshake(self) -> Handshake:
        """What was agreed, once the connection has ended as it should: with close_notify from the client."""
        end = self._ends.get(timeout=PATIENCE)
        if isinstance(end, Exception):
            raise end
        return end

    def error(self) -> TLSError:
        """What the connection failed with."""
        end = self._ends.get(timeout=PATIENCE)
        assert isinstance(end, TLSError), end
        return end

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
