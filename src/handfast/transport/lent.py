"""`http.client`'s framing over a connection that exists already, and goes on to exist."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from typing import Any, Final

_HTTPS: Final = 443


class Lent:
    """A connection as http.client wants a socket, which it may not close.

    ``sendall``  sends bytes
    ``source``   gives what comes
    """

    def __init__(self, sendall: Callable[[bytes], None], source: io.RawIOBase) -> None:
        self.sendall = sendall
        self._source = source

    def makefile(self, *_: object) -> io.BufferedReader:
        """What comes, as a file."""
        return io.BufferedReader(self._source)

    def close(self) -> None:
        """Do nothing: whoever lent it closes it."""


class LentConnection(http.client.HTTPConnection):
    """An HTTPConnection that never connects by itself. ``tls``: whether port 443 goes without saying, and not 80."""

    def __init__(self, lent: Lent, host: str, port: int, *, tls: bool = False) -> None:
        super().__init__(host, port)
        if tls:
            self.default_port = _HTTPS
        self.sock: Any = lent

    def connect(self) -> None:
        """Refuse: what was lent is over."""
        raise http.client.NotConnected
