"""What TLSSocket.makefile puts its buffer on."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handfast.transport.blocking import TLSSocket


class RawFile(io.RawIOBase):
    """A file over a connection. Closing it leaves the connection open."""

    def __init__(self, tls: TLSSocket) -> None:
        self._tls = tls

    def readable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See TLSSocket.recv_into."""
        return self._tls.recv_into(buffer)

    def write(self, data: Any) -> int:
        """See TLSSocket.send."""
        return self._tls.send(data)
