"""The asyncio transport that protocols see."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handfast.transport.aio_driver import Driver

# What another TLS below would say, were it asked: not to be taken for ours.
_OF_ANOTHER_TLS = frozenset({"cipher", "compression", "peercert", "ssl_object", "sslcontext"})
_NOTHING: dict[str, Any] = {}


class TLSTransport(asyncio.Transport):
    """A TLS connection as an asyncio transport, for any protocol: asyncio's streams, BufferedProtocol, another TLS.

    It differs from asyncio's TLS transport in this: ``write_eof`` works, and reading goes on after it; a protocol that
    returns True from ``eof_received`` may go on writing; bytes that end without close_notify are a
    :class:`~handfast.TruncationError` in ``connection_lost``, never a clean end.

    ``get_extra_info`` has, besides what the transport below has (``peername``, ``sockname``, ``socket``):
    ``handshake`` (:class:`~handfast.Handshake`), ``peer`` (:class:`~handfast.PeerIdentity`, or None), and
    ``tls_connection`` (the :class:`~handfast.connection.Connection`); a client's ``early_data_rejected`` (bytes that the
    server has not taken, which the caller may send again), and ``early_data`` (with ``start_server(early_data=True)``, a
    StreamReader, or None where the client has sent none).

    A server's early data comes by a method that a protocol may have, ``early_data_received(data)``, and never by
    ``data_received``: anybody who has recorded it can send it again (RFC 9846 section 8). Such a protocol is connected as
    soon as early data comes. It may answer at once; ``handshake`` and ``peer`` are None until ``early_data_ended()``, which
    it may have too. To pause then holds up the handshake.
    """

    __slots__ = ("__weakref__", "_driver")

    _start_tls_compatible = True  # asyncio asks for this before it puts its own TLS on top

    def __init__(self, driver: Driver) -> None:
        """Made by the functions of handfast.aio."""
        super().__init__(_NOTHING)
        self._driver = driver

    def __repr__(self) -> str:
        return f"<TLSTransport {self._driver!r}>"

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Facts about the connection; see the class."""
        if name == "tls_connection":
            return self._driver.connection
        if name == "early_data_rejected":
            return self._driver.early_data_rejected
        if name == "early_data":
            return getattr(self._driver.protocol, "early_data", default)
        if name in ("handshake", "peer"):
            facts = self._driver.connection.handshake
            if facts is None:
                return default
            return facts if name == "handshake" else facts.peer
        if name in _OF_ANOTHER_TLS:
            return default
        return self._driver.lower.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to another protocol from now on; its connection_made is not called."""
        self._driver.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that is delivered to."""
        return self._driver.protocol  # type: ignore[return-value]  # None once it is over, as with asyncio's own

    # --- reading

    def is_reading(self) -> bool:
        """Whether data is delivered now."""
        return not self._driver.paused and not self._driver.closing

    def pause_reading(self) -> None:
        """Deliver nothing more for now. The socket is not read either, so the peer will have to wait."""
        self._driver.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        self._driver.resume_reading()

    # --- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data; never blocks. Raises RuntimeError after write_eof."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data: bytes, bytearray or memoryview are needed, not {type(data).__name__}")
        if data:
            self._driver.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several pieces as one, in as few records as they fit into."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """True: TLS 1.3 can close one direction."""
        return True

    def write_eof(self) -> None:
        """Say that we shall send nothing more (close_notify); reading goes on (RFC 9846 section 6.1)."""
        self._driver.write_eof()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When the protocol is told to pause and to resume writing: by protected bytes that are not sent yet."""
        self._driver.lower.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The low and the high mark."""
        return self._driver.lower.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        """Protected bytes that are not sent yet."""
        return self._driver.lower.get_write_buffer_size()

    # --- the end

    def is_closing(self) -> bool:
        """Whether the connection is closing, or closed."""
        return self._driver.closing

    def close(self) -> None:
        """Send what is left and close_notify, then close. Nothing more is delivered."""
        self._driver.close()

    def abort(self) -> None:
        """Close at once. What is not sent yet is lost, and the peer sees a truncation."""
        self._driver.abort()
