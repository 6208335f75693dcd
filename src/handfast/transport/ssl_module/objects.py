"""SSLObject: a connection over two buffers in memory, for asyncio, uvloop, anyio, trio and all who move bytes themselves."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from handfast.connection import Connection
from handfast.transport.ssl_module import exceptions
from handfast.transport.ssl_module.engine import WRITE_SIZE, Engine

if TYPE_CHECKING:
    from handfast.transport.ssl_module.context import SSLContext


class MemoryEngine(Engine):
    """Reads from one ``ssl.MemoryBIO`` and writes to another. Neither ever waits."""

    def __init__(  # noqa: PLR0917  (called in one place)
        self,
        context: SSLContext,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool,
        server_hostname: str | None,
        owner: object,
        session: object = None,
    ) -> None:
        super().__init__(context, server_side, server_hostname, owner, session)
        self._incoming = incoming
        self._outgoing = outgoing

    def _receive(self, size: int) -> bytes:
        data = self._incoming.read(size)
        if not data and not self._incoming.eof:
            raise exceptions.want_read()
        return data

    def _flush(self, connection: Connection) -> None:
        self._outgoing.write(connection.data_to_send())

    _flush_if_possible = _flush

    def write(self, data: Any) -> int:
        """Protect up to WRITE_SIZE bytes of ``data``, and put them into the outgoing buffer."""
        connection = self._ready()
        with memoryview(data) as view, view.cast("B") as content:
            taken = content[:WRITE_SIZE]
            self._seal(connection, taken)
            if connection.has_data_to_send:
                self._outgoing.write(connection.data_to_send())
            return len(taken)


class SSLObject(ssl.SSLObject):
    """What :meth:`SSLContext.wrap_bio` returns: ``ssl.SSLObject`` with a connection of ours in it."""

    _sslobj: MemoryEngine

    handfast_early_data: bytes = b""
    """A client's, set before the handshake: what is sent before the server has answered, where the session allows it.

    Whoever records it can send it again: only what does no harm twice belongs in it.
    """

    @property
    def handfast_early_data_rejected(self) -> bytes:
        """What the server has not taken of that, b"" for nothing: it is sent again if the program does so."""
        return self._sslobj.early_data_rejected

    @property
    def handfast(self) -> Connection | None:
        """The connection itself, for what ssl has no name for: ``export_keying_material``, ``handshake``, ...

        None until the handshake begins.
        """
        return self._sslobj.handfast

    def get_verified_chain(self) -> list[bytes]:
        """The path up to the trusted root, as DER; without verification what the peer sent."""
        return [certificate.der for certificate in self._sslobj.get_verified_chain() or ()]

    def get_unverified_chain(self) -> list[bytes]:
        """The certificates as the peer sent them, as DER."""
        return [certificate.der for certificate in self._sslobj.get_unverified_chain() or ()]
