"""Records of TLS 1.2 sealed and opened (RFC 5246 section 6.2.3.3), with AEADs alone.

What differs from TLS 1.3: the content type is in the clear, nothing can be padded, the additional data has the sequence
number, and with AES each record carries the second half of its nonce.
"""

from __future__ import annotations

from typing import ClassVar, Final

from handfast.crypto.aead import NONCE_LENGTH, InvalidTag
from handfast.crypto.guard import Guarded
from handfast.crypto.process import forks
from handfast.crypto.schedule12 import RecordKey
from handfast.errors import BadRecord, MisuseError, TLSError
from handfast.reasons import BAD_RECORD_MAC, FORKED, KEYS_EXHAUSTED, RECORD_OVERFLOW
from handfast.record.framing import HEADER_LENGTH, PLAINTEXT_LIMIT
from handfast.wire.codepoints import ContentType

_VERSION: Final = b"\x03\x03"
_RESERVED: Final = 2  # records kept back for alerts


class Sealer12(Guarded):
    """Protects what we send with one key.

    ``limit``  bytes of content that a record may have: fewer where the peer asked for shorter records (RFC 8449)
    """

    __slots__ = ("_cipher", "_explicit", "_forks", "_iv", "_left", "_tag", "limit", "sequence")

    can_update: ClassVar[bool] = False

    def __init__(self, key: RecordKey, limit: int = PLAINTEXT_LIMIT, process: int | None = None) -> None:
        self.limit = limit
        self._cipher, self._iv = key.cipher()
        self._tag = key.suite.tag_length
        self._explicit = key.suite.explicit_nonce
        self._left = key.suite.records
        self._forks = forks() if process is None else process
        self.sequence = 0

    def seal(self, content_type: int, data: bytes | bytearray | memoryview) -> bytearray:
        """``data`` as one TLSCiphertext after the other, each as full as it may be.

        Raises TLSError (KEYS_EXHAUSTED), since TLS 1.2 has no way to change keys but a renegotiation; and MisuseError
        (FORKED), both as in TLS 1.3.
        """
        if self._forks != forks():
            raise MisuseError(FORKED)
        size, limit = len(data), self.limit
        count = 1 if size <= limit else -(-size // limit)
        if self._left < count + _RESERVED and content_type != ContentType.ALERT:
            raise TLSError(KEYS_EXHAUSTED, records=self.sequence)
        self._left -= count
        output = bytearray(size + count * (HEADER_LENGTH + self._explicit + self._tag))
        view = memoryview(output)
        if count == 1:
            self._seal_at(0, view, content_type, data)
            return output
        at = 0
        for start in range(0, size, limit):
            at = self._seal_at(at, view, content_type, data[start : start + limit])
        return output

    def _seal_at(self, at: int, output: memoryview, content_type: int, content: bytes | bytearray | memoryview) -> int:
        """Put one record there; where the next one begins."""
        length, sequence = len(content), self.sequence.to_bytes(8)
        fragment = at + HEADER_LENGTH
        body = fragment + self._explicit
        end = body + length + self._tag
        output[at:fragment] = _header(content_type, end - fragment)
        output[fragment:body] = sequence[: self._explicit]
        output[body : body + length] = content
        nonce = (self._iv ^ self.sequence).to_bytes(NONCE_LENGTH)
        additional = sequence + _header(content_type, length)
        self._cipher.encrypt_into(nonce, output[body : body + length], additional, output[body:end])
        self.sequence += 1
        return end

    def forget(self) -> None:
        """Drop the key; there is nothing that this can seal any more."""
        self._cipher = None  # type: ignore[assignment]

    @property
    def room(self) -> int:
        """How many bytes of content this key may still protect."""
        return max(self._left - _RESERVED, 0) * self.limit


class Opener12(Guarded):
    """Opens what the peer protected with one key.

    ``limit``  bytes of content that a record may have: fewer where we asked for that (RFC 8449)
    """

    __slots__ = ("_cipher", "_explicit", "_iv", "_overhead", "limit", "sequence")

    hides_type: ClassVar[bool] = False

    def __init__(self, key: RecordKey, limit: int = PLAINTEXT_LIMIT) -> None:
        self.limit = limit
        self._cipher, self._iv = key.cipher()
        self._explicit = key.suite.explicit_nonce
        self._overhead = key.suite.explicit_nonce + key.suite.tag_length
        self.sequence = 0

    def forget(self) -> None:
        """Drop the key; there is nothing that this can open any more."""
        self._cipher = None  # type: ignore[assignment]

    def open(self, header: bytes, body: memoryview) -> tuple[int, bytes]:
        """The content type and content of a TLSCiphertext. Raises BadRecord: BAD_RECORD_MAC, RECORD_OVERFLOW."""
        length = len(body) - self._overhead
        if length < 0 or header[1:3] != _VERSION:  # the version is authenticated too, and there is only one
            raise BadRecord(BAD_RECORD_MAC, record=self.sequence)
        # The peer may choose the half that it sends as it likes (RFC 5288 section 3).
        explicit = int.from_bytes(body[: self._explicit]) if self._explicit else self.sequence
        nonce = (self._iv ^ explicit).to_bytes(NONCE_LENGTH)
        additional = self.sequence.to_bytes(8) + _header(header[0], length)
        try:
            content = self._cipher.decrypt(nonce, body[self._explicit :], additional)
        except InvalidTag:
            raise BadRecord(BAD_RECORD_MAC, record=self.sequence) from None
        self.sequence += 1
        if length > self.limit:
            raise BadRecord(RECORD_OVERFLOW, length=length, limit=self.limit)
        return header[0], content


def _header(content_type: int, length: int) -> bytes:
    """Type, version and length: of a record on the wire, or of its content in the additional data."""
    return (content_type << 32 | 0x0303 << 16 | length).to_bytes(HEADER_LENGTH)
