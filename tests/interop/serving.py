"""handfast's server for one client that nobody here wrote: what it agreed to, and how it ended."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Literal, Self

from handfast import ConnectionFailed, Handshake, Server, ServerConfig, TLSError, TLSSocket, TruncationError
from tests.interop import http
from tests.interop.peer import EXPORTED, EXPORTER
from tests.interop.processes import PATIENCE

GREETING = b"good bye\n"


class Seen:
    """A tap: the messages and the encrypted records that crossed the wire, in their order."""

    def __init__(self) -> None:
        self.messages_sent: list[Any] = []
        self.messages_received: list[Any] = []
        self.lengths_sent: list[int] = []
        self.lengths_received: list[int] = []

    def record(self, sent: bool, content_type: int, length: int, encrypted: bool) -> None:
        if encrypted:
            (self.lengths_sent if sent else self.lengths_received).append(length)

    def message(self, sent: bool, message: Any, encrypted: bool) -> None:
        (self.messages_sent if sent else self.messages_received).append(message)

    @property
    def sent(self) -> list[str]:
        """Names of messages."""
        return [message.NAME for message in self.messages_sent]

    @property
    def received(self) -> list[str]:
        return [message.NAME for message in self.messages_received]


class Serving:
    """A Server whose handler echoes until the client has closed, or greets and closes first.

    ``protocol``  "bytes", or "http": what is echoed is the body of a request
    ``first``     done with each connection before that
    ``broken_off``  the client may break off during a handshake, and come again: that does not count
    ``seen``      what crossed the wire in the first handshake that was complete
    ``exported``  what we exported under EXPORTER
    """

    def __init__(
        self,
        config: ServerConfig,
        protocol: Literal["bytes", "http"] = "bytes",
        *,
        closes: bool = False,
        first: Callable[[TLSSocket], None] | None = None,
        broken_off: bool = False,
    ) -> None:
        handlers = {
            ("bytes", False): self._echo,
            ("bytes", True): self._greet,
            ("http", False): self._echo_bodies,
            ("http", True): self._answer_once,
        }
        self._handler = handlers[protocol, closes]
        self._first = first
        self._broken_off = broken_off
        self._ends: queue.Queue[Handshake | Exception] = queue.Queue()
        self.answered_close: bool | None = None
        self.exported = b""
        self._seen: Seen | None = None
        self._of_thread = threading.local()
        self._server = Server(self._handle, config=config, on_failure=self._failed, tap=self._tap)
        self.port = self._server.address[1]

    def _tap(self, address: Any) -> Seen:
        seen = self._of_thread.seen = Seen()  # the handler runs in the same thread
        return seen

    def _handle(self, tls: TLSSocket) -> None:
        tls.settimeout(PATIENCE)
        self._seen = self._seen or self._of_thread.seen
        self.exported = tls.connection.export_keying_material(EXPORTER, EXPORTED)
        if self._first is not None:
            self._first(tls)
        self._handler(tls)
        self._ends.put(tls.handshake)

    def _failed(self, address: Any, error: Exception, tap: Any) -> None:
        during_handshake = tap is not self._seen
        if not (self._broken_off and during_handshake and isinstance(error, (TruncationError, ConnectionFailed))):
            self._ends.put(error)

    def _echo(self, tls: TLSSocket) -> None:
        while data := tls.recv():
            tls.sendall(data)

    def _greet(self, tls: TLSSocket) -> None:
        tls.sendall(GREETING)
        self._close_first(tls)

    def _echo_bodies(self, tls: TLSSocket) -> None:
        while message := http.read_message(tls):
            if message[0].startswith("POST /close "):
                tls.sendall(http.response(b"", close=True))
                self._close_first(tls)
                return
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
        except (TruncationError, ConnectionFailed):
            self.answered_close = False

    # --- how it went

    @property
    def seen(self) -> Seen:
        assert self._seen is not None, "no handshake was completed"
        return self._seen

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
