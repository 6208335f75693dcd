"""Handshake messages put together from records (RFC 9846 section 5.1)."""

from __future__ import annotations

from typing import Final

from handfast import limits
from handfast.errors import PeerMisbehaved
from handfast.reasons import MESSAGE_TOO_LARGE
from handfast.wire.codepoints import HandshakeType as H

_LIMITS: Final = {
    H.CLIENT_HELLO: limits.CLIENT_HELLO,
    H.SERVER_HELLO: limits.SERVER_HELLO,
    H.ENCRYPTED_EXTENSIONS: limits.ENCRYPTED_EXTENSIONS,
    H.CERTIFICATE: limits.CERTIFICATE,
    H.CERTIFICATE_REQUEST: limits.CERTIFICATE_REQUEST,
    H.CERTIFICATE_VERIFY: limits.CERTIFICATE_VERIFY,
    H.NEW_SESSION_TICKET: limits.NEW_SESSION_TICKET,
}


class Reassembly:
    """A message may be split over records, and a record may hold several messages."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __len__(self) -> int:
        """How many bytes wait for the rest of their message."""
        return len(self._buffer)

    def feed(self, fragment: bytes | memoryview) -> None:
        """Add the content of a handshake record."""
        self._buffer += fragment

    def type(self) -> int | None:
        """The type of the next message as soon as its first byte is there, so that it can be refused before the rest."""
        return self._buffer[0] if self._buffer else None

    def next(self) -> bytes | None:
        """The next message with its header; None if it is not complete. MESSAGE_TOO_LARGE as soon as it says so."""
        buffer = self._buffer
        held = len(buffer)
        if held < 4:
            return None
        length = 4 + int.from_bytes(buffer[1:4])
        limit = _LIMITS.get(buffer[0], limits.MESSAGE)
        if length > limit:
            raise PeerMisbehaved(MESSAGE_TOO_LARGE, message=H.name(buffer[0]), length=length, limit=limit)
        if held < length:
            return None
        if held == length:
            self._buffer = bytearray()
            return bytes(buffer)
        message = bytes(buffer[:length])
        del buffer[:length]
        return message
