"""Bytes to records (RFC 9846 section 5.1), in whatever pieces the bytes arrive."""

from __future__ import annotations

import struct
from typing import Final

from handfast.errors import BadRecord, PeerMisbehaved
from handfast.reasons import NOT_TLS, PLAINTEXT, PLAINTEXT_HTTP, RECORD_OVERFLOW, SSLV2, UNEXPECTED_RECORD
from handfast.wire.codepoints import ContentType, ProtocolVersion

HEADER_LENGTH: Final = 5
PLAINTEXT_LIMIT: Final = 1 << 14
CIPHERTEXT_LIMIT: Final = (1 << 14) + 256

_HEADER: Final = struct.Struct(">BHH")  # content type, version, length
_TYPES: Final = range(ContentType.CHANGE_CIPHER_SPEC, ContentType.APPLICATION_DATA + 1)
_HTTP: Final = (b"HTTP/", b"GET /", b"POST ", b"HEAD ", b"PUT /", b"OPTIO", b"CONNE", b"DELET", b"PATCH", b"TRACE")


class Framing:
    """Collects what arrives, and cuts it into records.

    Nothing is copied while whole records arrive in one piece, and nothing is joined before a record is complete: a
    peer that sends single bytes costs us no more than one that does not.
    """

    __slots__ = ("_chunks", "_data", "_length", "_needed", "_position", "first", "limit")

    def __init__(self) -> None:
        self._data: bytes = b""
        self._position = 0
        self._chunks: list[bytes] = []
        self._length = 0  # bytes not yet cut, in _data and _chunks
        self._needed = HEADER_LENGTH  # bytes without which there is no progress
        self.first = True  # nothing has been cut yet: what comes may not be TLS at all
        self.limit = PLAINTEXT_LIMIT

    def __len__(self) -> int:
        """How many bytes are held."""
        return self._length

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add what arrived. A bytes object is kept as it is; anything else is copied, since its owner may reuse it."""
        chunk = bytes(data)
        if not self._length:
            self._data, self._position = chunk, 0
        elif chunk:
            self._chunks.append(chunk)
        self._length += len(chunk)

    def next(self) -> tuple[int, bytes, memoryview] | None:
        """The next record as content type, header and body; None if it is not complete.

        Raises BadRecord (RECORD_OVERFLOW, UNEXPECTED_RECORD), and on the very first bytes PeerMisbehaved that says
        what they are instead of TLS.
        """
        if self._length < self._needed:
            return None
        if self._chunks:
            self._join()
        position, data = self._position, self._data
        body = position + HEADER_LENGTH
        header = data[position:body]
        content_type, _, length = _HEADER.unpack(header)
        if content_type not in _TYPES:
            raise self._not_a_record(header)
        if length > self.limit:
            raise self._too_long(header, length)
        if self._length < HEADER_LENGTH + length:
            self._needed = HEADER_LENGTH + length
            return None
        self.first = False
        self._position = end = body + length
        self._length -= HEADER_LENGTH + length
        self._needed = HEADER_LENGTH
        return content_type, header, memoryview(data)[body:end]

    def _join(self) -> None:
        self._data = b"".join((self._data[self._position :], *self._chunks))
        self._position = 0
        self._chunks.clear()

    def _too_long(self, header: bytes, length: int) -> PeerMisbehaved:
        # Of the first record the version is looked at too: only something else than TLS gets both wrong.
        if self.first and header[1] != 3:
            return self._not_a_record(header)
        return BadRecord(RECORD_OVERFLOW, length=length, limit=self.limit)

    def _not_a_record(self, header: bytes) -> PeerMisbehaved:
        if not self.first:
            return BadRecord(UNEXPECTED_RECORD, content_type=header[0])
        if header.startswith(_HTTP):
            return PeerMisbehaved(PLAINTEXT_HTTP, first_bytes=header.decode("latin-1"))
        if all(32 <= byte < 127 or byte in b"\r\n\t" for byte in header):
            return PeerMisbehaved(PLAINTEXT, first_bytes=header.decode("latin-1"))
        if header[0] & 0x80 and header[2] == 1 and header[3] in (0, 2, 3):
            # RFC 5246 appendix E.2: a ClientHello of SSL 2.0, by which newer versions were offered too.
            return PeerMisbehaved(SSLV2, offers=ProtocolVersion.name(header[3] << 8 | header[4]))
        return PeerMisbehaved(NOT_TLS, first_bytes=header)
