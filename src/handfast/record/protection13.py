"""Records sealed and opened (RFC 9846 sections 5.2 to 5.5). The hot path: no byte is copied that need not be."""

from __future__ import annotations

import os
from typing import Final

from handfast.crypto.aead import NONCE_LENGTH, TAG_LENGTH, InvalidTag
from handfast.crypto.guard import Guarded
from handfast.crypto.schedule13 import TrafficSecret
from handfast.errors import BadRecord, MisuseError, TLSError
from handfast.reasons import BAD_RECORD_MAC, FORKED, KEYS_EXHAUSTED, NO_CONTENT_TYPE, RECORD_OVERFLOW
from handfast.record.framing import HEADER_LENGTH, PLAINTEXT_LIMIT
from handfast.wire.codepoints import ContentType

_OVERHEAD: Final = 1 + TAG_LENGTH  # the content type and the AEAD's tag
_RESERVED: Final = 2  # records kept back for an alert


class _Process:
    """Counts the forks that led to this process. A sealer that is older than the last one belongs to the parent."""

    forks = 0


def _forked() -> None:
    _Process.forks += 1


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_forked)


class Sealer(Guarded):
    """Protects what we send with one key."""

    __slots__ = ("_cipher", "_forks", "_iv", "_left", "sequence")

    def __init__(self, secret: TrafficSecret) -> None:
        self._cipher, self._iv = secret.cipher()
        self._left = secret.suite.records
        self._forks = _Process.forks
        self.sequence = 0

    def seal(self, content_type: int, data: memoryview) -> bytearray:
        """``data`` as one TLSCiphertext after the other, each as full as it may be.

        Each record is built in place: header, content, content type, then encrypted where it stands. Raises TLSError
        (KEYS_EXHAUSTED) when the key has protected as many records as is safe, MisuseError (FORKED) in the child of a
        fork: the parent goes on with the same key and sequence number, and one nonce used twice would break AES-GCM.
        """
        if self._forks != _Process.forks:
            raise MisuseError(FORKED)
        size = len(data)
        count = -(-size // PLAINTEXT_LIMIT) or 1
        if self._left < count + _RESERVED and content_type != ContentType.ALERT:
            raise TLSError(KEYS_EXHAUSTED, records=self.sequence)
        self._left -= count
        output = bytearray(size + count * (HEADER_LENGTH + _OVERHEAD))
        view = memoryview(output)
        at = 0
        for start in range(0, size or 1, PLAINTEXT_LIMIT):
            length = min(size - start, PLAINTEXT_LIMIT)
            sealed = length + _OVERHEAD
            # TLSCiphertext: opaque_type 23, legacy_record_version 0x0303, length; also the additional data
            header = (0x17_0303_0000 | sealed).to_bytes(HEADER_LENGTH)
            body = at + HEADER_LENGTH
            kind = body + length
            output[at:body] = header
            view[body:kind] = data[start : start + length]
            output[kind] = content_type
            nonce = (self._iv ^ self.sequence).to_bytes(NONCE_LENGTH)
            self.sequence += 1
            at = body + sealed
            self._cipher.encrypt_into(nonce, view[body : kind + 1], header, view[body:at])
        return output


class Opener(Guarded):
    """Opens what the peer protected with one key."""

    __slots__ = ("_cipher", "_iv", "sequence")

    def __init__(self, secret: TrafficSecret) -> None:
        self._cipher, self._iv = secret.cipher()
        self.sequence = 0

    def open(self, header: bytes, body: memoryview) -> tuple[int, bytes]:
        """The content type and content of a TLSCiphertext.

        Raises BadRecord: BAD_RECORD_MAC, RECORD_OVERFLOW, NO_CONTENT_TYPE.
        """
        nonce = (self._iv ^ self.sequence).to_bytes(NONCE_LENGTH)
        try:
            inner = self._cipher.decrypt(nonce, body, header)
        except InvalidTag:
            raise BadRecord(BAD_RECORD_MAC, record=self.sequence) from None
        self.sequence += 1
        if len(inner) > PLAINTEXT_LIMIT + 1:
            raise BadRecord(RECORD_OVERFLOW, length=len(inner), limit=PLAINTEXT_LIMIT + 1)
        if inner and inner[-1]:
            return inner[-1], inner[:-1]
        content = inner.rstrip(b"\0")  # padding (RFC 9846 section 5.4)
        if not content:
            raise BadRecord(NO_CONTENT_TYPE)
        return content[-1], content[:-1]
