"""A connection that is driven here, event by event: handfast's sockets know nothing of early data."""

from __future__ import annotations

import queue
import socket
import threading
from typing import Any, Self

from handfast import ApplicationData, Handshake, HandshakeCompleted, PeerClosed, ServerConfig
from handfast.connection import Connection, ServerConnection
from handfast.events import EarlyData, EarlyDataRejected
from tests.interop.processes import PATIENCE
from tests.interop.serving import Seen


class Pump:
    """As much of a TLSSocket as the tests need.

    ``early``     early data that came
    ``rejected``  early data of ours that was not taken
    """

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        sock.settimeout(PATIENCE)
        self._sock = sock
        self.connection = connection
        self.early = b""
        self.rejected: bytes | None = None
        self._received = b""

    def shake_hands(self) -> None:
        """Early data that comes is answered at once: with itself."""
        self.connection.start()
        while not isinstance(event := self._event(), HandshakeCompleted):
            assert isinstance(event, EarlyData), event
            self.early += event.data
            self.sendall(event.data)
        while (event := self.connection.next_event()) is not None:
            self._take(event)

    @property
    def handshake(self) -> Handshake:
        assert self.connection.handshake is not None
        return self.connection.handshake

    def sendall(self, data: bytes) -> None:
        self.connection.send(data)
        self._flush()

    def recv(self, size: int = 65_536) -> bytes:
        """Some bytes; none at the end."""
        while not self._received:
            event = self._event()
            if isinstance(event, PeerClosed):
                return b""
            self._take(event)
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _take(self, event: Any) -> None:
        if isinstance(event, ApplicationData):
            self._received += event.data
        elif isinstance(event, EarlyDataRejected):
            self.rejected = event.data

    def shutdown_write(self) -> None:
        self.connection.close()
        self._flush()

    def close(self) -> None:
        self._sock.close()

    def _event(self) -> Any:
        while (event := self.connection.next_event()) is None:
            self._flush()
            data = self._sock.recv(65_536)
            if data:
                self.connection.receive_data(data)
            else:
                self.connection.receive_eof()
        self._flush()
        return event

    def _flush(self) -> None:
        data = self.connection.data_to_send()
        if data:
            self._sock.sendall(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EarlyServing:
    """A server that takes early data and connections one by one, and echoes; as Serving, where the peer closes first."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.port = self._listener.getsockname()[1]
        self._ends: queue.Queue[Pump | Exception] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.last: Pump | None = None

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # the test is over
            try:
                with Pump(sock, ServerConnection(self._config, tap=Seen())) as pump:
                    pump.shake_hands()
                    while data := pump.recv():
                        pump.sendall(data)
                    pump.shutdown_write()
                self._ends.put(pump)
            except Exception as error:
                self._ends.put(error)

    def handshake(self) -> Handshake:
        """What was agreed, once the connection has ended as it should: with close_notify from the client."""
        end = self._ends.get(timeout=PATIENCE)
        if isinstance(end, Exception):
            raise end
        self.last = end
        return end.handshake

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)
