"""Records sealed and opened (RFC 9846 sections 5.2 to 5.5). The hot path: no byte is copied that need not be."""

from __future__ import annotations

from typing import ClassVar, Final

from handfast.crypto.aead import NONCE_LENGTH, Cipher, InvalidTag
from handfast.crypto.guard import Guarded
from handfast.crypto.process import forks
from handfast.crypto.schedule13 import TrafficSecret
from handfast.errors import BadRecord, MisuseError, TLSError
from handfast.reasons import BAD_RECORD_MAC, FORKED, KEYS_EXHAUSTED, NO_CONTENT_TYPE, RECORD_OVERFLOW
from handfast.record.framing import HEADER_LENGTH, PLAINTEXT_LIMIT
from handfast.wire.codepoints import ContentType

_RESERVED: Final = 3  # records kept back for a KeyUpdate and for alerts
# What may always be sent: alerts, and the KeyUpdate that ends a key's life.
_ALWAYS: Final = (ContentType.ALERT, ContentType.HANDSHAKE)


class Sealer(Guarded):
    """Protects what we send with one key.

    ``limit``    bytes of content that a record may have: fewer where the peer asked for shorter records (RFC 8449)
    ``padding``  content, type and padding of a record come to a multiple of so many bytes; 0 for no padding
    ``secret``   what the key came from, and the next one will come from
    """

    __slots__ = ("_cipher", "_forks", "_iv", "_left", "_tag", "limit", "padding", "secret", "sequence")

    can_update: ClassVar[bool] = True  # by a KeyUpdate

    def __init__(
        self, secret: TrafficSecret, limit: int = PLAINTEXT_LIMIT, padding: int = 0, process: int | None = None
    ) -> None:
        self.secret = secret
        self.limit = limit
        self.padding = padding
        self._cipher: Cipher | None = None  # made of the secret for the first record: many a key protects none
        self._iv = 0
        self._tag = secret.suite.tag_length
        self._left = secret.suite.records
        self._forks = forks() if process is None else process
        self.sequence = 0

    def seal(self, content_type: int, data: bytes | bytearray | memoryview) -> bytearray:
        """``data`` as one TLSCiphertext after the other, each as full as it may be.

        Each record is built in place: header, content, content type, then encrypted where it stands. Raises TLSError
        (KEYS_EXHAUSTED) when the key has protected as many records as is safe, MisuseError (FORKED) in the child of a
        fork: the parent goes on with the same key and sequence number, and one nonce used twice would break AES-GCM.
        """
        if self._forks != forks():
            raise MisuseError(FORKED)
        size, limit = len(data), self.limit
        count = 1 if size <= limit else -(-size // limit)
        if self._left < count + _RESERVED and content_type not in _ALWAYS:
            raise TLSError(KEYS_EXHAUSTED, records=self.sequence)
        self._left -= count
        if count == 1 and not self.padding:
            output = bytearray(HEADER_LENGTH + size + 1 + self._tag)
            self._seal_at(0, memoryview(output), content_type, data, size + 1)
            return output
        before_last = (count - 1) * limit
        last_inner = size - before_last + 1
        if self.padding:
            last_inner = min(-(-last_inner // self.padding) * self.padding, limit + 1)
        output = bytearray(before_last + last_inner + count * (HEADER_LENGTH + 1 + self._tag) - 1)
        view = memoryview(output)
        at = 0
        for start in range(0, size or 1, limit):
            inner = last_inner if start == before_last else limit + 1
            at = self._seal_at(at, view, content_type, data[start : start + limit], inner)
        return output

    def _seal_at(
        self, at: int, output: memoryview, content_type: int, content: bytes | bytearray | memoryview, inner: int
    ) -> int:
        """Put one record there; where the next one begins.

        ``inner``  bytes of its TLSInnerPlaintext: content, content type, padding
        """
        if self._cipher is None:
            self._cipher, self._iv = self.secret.cipher()
        sealed = inner + self._tag
        # TLSCiphertext: opaque_type 23, legacy_record_version 0x0303, length; also the additional data
        header = (0x17_0303_0000 | sealed).to_bytes(HEADER_LENGTH)
        body = at + HEADER_LENGTH
        kind = body + len(content)
        output[at:body] = header
        output[body:kind] = content
        output[kind] = content_type
        nonce = (self._iv ^ self.sequence).to_bytes(NONCE_LENGTH)
        self.sequence += 1
        self._cipher.encrypt_into(nonce, output[body : body + inner], header, output[body : body + sealed])
        return body + sealed

    def forget(self) -> None:
        """Drop the key; there is nothing that this can seal any more."""
        self._cipher = self.secret = None  # type: ignore[assignment]

    @property
    def room(self) -> int:
        """How many bytes of content this key may still protect."""
        return max(self._left - _RESERVED, 0) * self.limit


class Opener(Guarded):
    """Opens what the peer protected with one key.

    ``limit``   bytes of content, type and padding that a record may have: fewer where we asked for that (RFC 8449)
    ``secret``  what the key came from, and the next one will come from
    """

    __slots__ = ("_cipher", "_iv", "limit", "secret", "sequence")

    hides_type: ClassVar[bool] = True  # every record says that it is application data

    def __init__(self, secret: TrafficSecret, limit: int = PLAINTEXT_LIMIT + 1) -> None:
        self.secret = secret
        self.limit = limit
        self._cipher: Cipher | None = None  # as in Sealer
        self._iv = 0
        self.sequence = 0

    def forget(self) -> None:
        """Drop the key; there is nothing that this can open any more."""
        self._cipher = self.secret = None  # type: ignore[assignment]

    def open(self, header: bytes, body: memoryview) -> tuple[int, bytes]:
        """The content type and content of a TLSCiphertext.

        Raises BadRecord: BAD_RECORD_MAC, RECORD_OVERFLOW, NO_CONTENT_TYPE.
        """
        if self._cipher is None:
            self._cipher, self._iv = self.secret.cipher()
        nonce = (self._iv ^ self.sequence).to_bytes(NONCE_LENGTH)
        try:
            inner = self._cipher.decrypt(nonce, body, header)
        except InvalidTag:
            raise BadRecord(BAD_RECORD_MAC, record=self.sequence) from None
        self.sequence += 1
        if len(inner) > self.limit:
            raise BadRecord(RECORD_OVERFLOW, length=len(inner), limit=self.limit)
        if inner and inner[-1]:
            return inner[-1], inner[:-1]
        content = inner.rstrip(b"\0")  # padding (RFC 9846 section 5.4)
        if not content:
            raise BadRecord(NO_CONTENT_TYPE)
        return content[-1], content[:-1]
