"""The TCP connection to the runner."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

_AT_ONCE = 65536
_PATIENCE = 30.0  # seconds; the runner gives up after 15


class Wire:
    """A connection to the runner, which has been told which test this is.

    With ``one_byte`` every read returns a single byte, as if each came in a segment of its own.
    """

    def __init__(self, port: int, shim_id: int, *, ipv6: bool, one_byte: bool) -> None:
        self._socket = socket.create_connection(("::1" if ipv6 else "127.0.0.1", port), timeout=_PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._one_byte = one_byte
        self._held = memoryview(b"")
        self.send(struct.pack("<Q", shim_id))

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it. A runner that has gone is no error: what it had sent before can still be read."""
        with suppress(OSError):
            self._socket.sendall(data)

    @property
    def has_more(self) -> bool:
        """Whether :meth:`read` would return at once, from what has come already."""
        return bool(self._held)

    def read(self) -> bytes | memoryview:
        """What has come, waiting for it if need be; empty at the end."""
        if self._held:
            return self._take()
        try:
            data = self._socket.recv(_AT_ONCE)
        except ConnectionError:
            return b""
        if not self._one_byte:
            return data
        self._held = memoryview(data)
        return self._take()

    def _take(self) -> memoryview:
        byte, self._held = self._held[:1], self._held[1:]
        return byte

    def close(self) -> None:
        """Half-close, and read to the end, or the runner might see a reset instead of our last alert."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(_AT_ONCE):
                pass
        self._socket.close()
