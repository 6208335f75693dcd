"""The record layer of one connection: framing, protection and order, in both directions (RFC 9846 section 5)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from handfast import limits
from handfast.crypto.guard import Guarded
from handfast.crypto.process import forks
from handfast.crypto.schedule12 import RecordKey
from handfast.crypto.schedule13 import TrafficSecret
from handfast.errors import BadRecord, MisuseError
from handfast.reasons import (
    BAD_CHANGE_CIPHER_SPEC,
    BAD_RECORD_MAC,
    EMPTY_RECORD,
    RECORD_OVERFLOW,
    TOO_MANY_CHANGE_CIPHER_SPECS,
    TOO_MANY_EMPTY_RECORDS,
    TOO_MUCH_EARLY_DATA,
    UNENCRYPTED_RECORD,
    UNEXPECTED_RECORD,
)
from handfast.record.framing import CIPHERTEXT_LIMIT, HEADER_LENGTH, PLAINTEXT_LIMIT, Framing
from handfast.record.protection12 import Opener12, Sealer12
from handfast.record.protection13 import Opener, Sealer
from handfast.wire.codepoints import ContentType as C
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.messages13 import KeyUpdate

_ALERT_LENGTH: Final = 2

RecordHook = Callable[[bool, int, int, bool], None]
"""Called with (sent, content type, length on the wire without header, encrypted) for each record."""


class RecordLayer(Guarded):
    """Content in, bytes out; bytes in, content out.

    Sealing and queueing happen under one lock, so the order on the wire is the order of sequence numbers even when
    one thread writes and another, which reads, has to send an alert.
    """

    __slots__ = (
        "_change_cipher_specs",
        "_early_data",
        "_empty",
        "_ended",
        "_forks",
        "_framing",
        "_hook",
        "_lock",
        "_opener",
        "_output",
        "_receive_limit",
        "_sealer",
        "_send_limit",
        "_skipped",
        "_update_owed",
        "_update_requested",
        "change_cipher_spec_allowed",
        "data_allowed",
        "initial_version",
        "on_key_update",
        "padding",
        "plaintext_alert_allowed",
    )

    def __init__(self, hook: RecordHook | None = None) -> None:
        self._framing = Framing()
        self._forks = forks()
        self._opener: Opener | Opener12 | None = None
        self._sealer: Sealer | Sealer12 | None = None
        self._output: list[bytes | bytearray] = []  # records, or runs of them
        self._lock = threading.Lock()
        self._hook = hook
        self._empty = 0
        self._change_cipher_specs = 0
        self._early_data: int | None = None  # bytes that may still be skipped
        self._skipped = 0
        self._ended = False
        self._send_limit = PLAINTEXT_LIMIT
        self._receive_limit = PLAINTEXT_LIMIT + 1
        self.padding = 0
        # The peer waits for our KeyUpdate; we wait for the peer's (RFC 9846 section 4.7.3).
        self._update_owed = False
        self._update_requested = False
        self.on_key_update: Callable[[KeyUpdate], None] | None = None
        # A client's first record says TLS 1.0, for old middleboxes (RFC 9846 section 5.1).
        self.initial_version = ProtocolVersion.TLS_1_2
        self.change_cipher_spec_allowed = False
        # During a handshake there is no application data, not even an empty record of it.
        self.data_allowed = True
        # A client that gives up at ServerHello has no keys yet, while its server already has.
        self.plaintext_alert_allowed = False

    # --- reading

    @property
    def held(self) -> int:
        """Bytes received and not yet read as records."""
        return len(self._framing)

    @property
    def started(self) -> bool:
        """Whether a whole record has been received."""
        return not self._framing.first

    @property
    def encrypted(self) -> bool:
        """Whether what is sent now is encrypted."""
        return self._sealer is not None

    @property
    def decrypting(self) -> bool:
        """Whether what is received now has to be encrypted."""
        return self._opener is not None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add what arrived."""
        self._framing.feed(data)

    def install_read(self, key: TrafficSecret | RecordKey) -> None:
        """Open what comes from now on with this key. Keys change at record borders only: the caller has checked that."""
        if isinstance(key, TrafficSecret):
            self._opener = Opener(key, self._receive_limit)
        else:
            self._opener = Opener12(key, min(self._receive_limit, PLAINTEXT_LIMIT))
        self._framing.limit = CIPHERTEXT_LIMIT

    @property
    def update_awaited(self) -> bool:
        """Whether the peer owes us a KeyUpdate."""
        return self._update_requested

    def update_read(self, update_requested: bool) -> None:
        """The peer has sent a KeyUpdate: it uses its next key from here on, and may want us to do the same."""
        assert isinstance(self._opener, Opener), "a KeyUpdate is encrypted"
        self._opener = Opener(self._opener.secret.next(), self._receive_limit)
        with self._lock:
            self._update_requested = False
            self._update_owed |= update_requested

    def limit_receiving(self, limit: int) -> None:
        """Refuse protected records of more than ``limit`` bytes: what we asked the peer for (RFC 8449 section 4)."""
        self._receive_limit = min(limit, PLAINTEXT_LIMIT + 1)
        if self._opener is not None:
            self._opener.limit = self._receive_limit

    def read(self) -> tuple[int, bytes | memoryview, bool] | None:
        """The next record as (content type, content, encrypted), or None until it is complete.

        A change_cipher_spec comes out too, where it may stand (RFC 9846 section 5): it means nothing, but the caller
        has to see that it does not interrupt a handshake message. Raises BadRecord or PeerMisbehaved.
        """
        while (record := self._framing.next()) is not None:
            content_type, header, body = record
            if self._hook is not None:
                self._hook(False, content_type, len(body), self._is_encrypted(content_type, self._opener))
            if content_type == C.CHANGE_CIPHER_SPEC:
                self._check_change_cipher_spec(body)
                return C.CHANGE_CIPHER_SPEC, body, False
            if self._opener is None:
                if content_type == C.APPLICATION_DATA and self._early_data is not None:
                    self._skip(body)
                    continue
                self._early_data = None
                return self._plaintext(content_type, body)
            if content_type != C.APPLICATION_DATA and self._opener.hides_type:
                return self._plaintext_alert(content_type, body)
            try:
                inner_type, content = self._opener.open(header, body)
            except BadRecord as error:
                if self._early_data is None or error.reason is not BAD_RECORD_MAC:
                    raise
                self._skip(body)
                continue
            self.plaintext_alert_allowed = False
            self._early_data = None
            if content:
                if inner_type != C.ALERT:  # or empty records and warnings could go on in turn
                    self._empty = 0
            else:
                self._count_empty(inner_type)
            return inner_type, content, True
        return None

    @staticmethod
    def _is_encrypted(content_type: int, keys: Opener | Opener12 | None) -> bool:
        if keys is None or content_type == C.CHANGE_CIPHER_SPEC:
            return False
        return content_type == C.APPLICATION_DATA or not keys.hides_type

    def skip_early_data(self, allowed: int = 0) -> None:
        """The client has sent early data, which we do not take: skip what we cannot read (RFC 9846 section 4.3.10).

        Until the first record that we can: its second ClientHello, or what it has encrypted with handshake keys.
        """
        # What we ourselves have allowed can be refused too; an eighth more is for tags, padding and short records.
        self._skipped = self._early_data = max(limits.EARLY_DATA_SKIPPED, allowed + allowed // 8)
        self._framing.limit = CIPHERTEXT_LIMIT

    def _skip(self, body: memoryview) -> None:
        assert self._early_data is not None, "there is early data to skip"
        self._early_data -= max(len(body), HEADER_LENGTH)  # empty records count too
        if self._early_data < 0:
            raise BadRecord(TOO_MUCH_EARLY_DATA, limit=self._skipped)

    def _plaintext(self, content_type: int, body: memoryview) -> tuple[int, memoryview, bool]:
        if content_type == C.APPLICATION_DATA:
            raise BadRecord(UNEXPECTED_RECORD, content_type=C.name(content_type))
        if not body:
            raise BadRecord(EMPTY_RECORD, content_type=C.name(content_type))
        if len(body) > PLAINTEXT_LIMIT:  # framing lets longer ones pass while early data is skipped
            raise BadRecord(RECORD_OVERFLOW, length=len(body), limit=PLAINTEXT_LIMIT)
        return content_type, body, False

    def _plaintext_alert(self, content_type: int, body: memoryview) -> tuple[int, memoryview, bool]:
        if content_type != C.ALERT or not self.plaintext_alert_allowed or len(body) != _ALERT_LENGTH:
            raise BadRecord(UNENCRYPTED_RECORD, content_type=C.name(content_type))
        return content_type, body, False

    def _check_change_cipher_spec(self, body: memoryview) -> None:
        if not self.change_cipher_spec_allowed or bytes(body) != b"\x01":
            raise BadRecord(BAD_CHANGE_CIPHER_SPEC, content=bytes(body[:8]))
        self._change_cipher_specs += 1
        if self._change_cipher_specs > limits.CHANGE_CIPHER_SPECS:
            raise BadRecord(TOO_MANY_CHANGE_CIPHER_SPECS, limit=limits.CHANGE_CIPHER_SPECS)

    def _count_empty(self, inner_type: int) -> None:
        # Only application data may be empty (RFC 9846 section 5.4), and not for ever.
        if inner_type != C.APPLICATION_DATA or not self.data_allowed:
            raise BadRecord(EMPTY_RECORD, content_type=C.name(inner_type))
        self._empty += 1
        if self._empty > limits.EMPTY_RECORDS_IN_A_ROW:
            raise BadRecord(TOO_MANY_EMPTY_RECORDS, limit=limits.EMPTY_RECORDS_IN_A_ROW)

    # --- writing

    def install_write(self, key: TrafficSecret | RecordKey) -> None:
        """Seal what is written from now on with this key."""
        with self._lock:
            if isinstance(key, TrafficSecret):
                self._sealer = Sealer(key, self._send_limit, self.padding, self._forks)
            else:
                self._sealer = Sealer12(key, self._send_limit, self._forks)

    def write_in_plaintext(self) -> None:
        """Seal no more: a server that does not take our early data asks for another ClientHello."""
        with self._lock:
            self._sealer = None

    def limit_sending(self, content: int) -> None:
        """Keep protected records to so many bytes of content, as the peer asked (RFC 8449)."""
        with self._lock:
            self._send_limit = min(content, PLAINTEXT_LIMIT)
            if self._sealer is not None:
                self._sealer.limit = self._send_limit

    def write(self, content_type: int, data: bytes | bytearray | memoryview) -> None:
        """Queue content for the peer, as many records as it needs; see Sealer.seal for what it raises."""
        with self._lock:
            if not self._ended:  # a script that another thread has closed may still be running
                self._write(content_type, data)

    def _write(self, content_type: int, data: bytes | bytearray | memoryview) -> None:
        if self._sealer is not None:
            content = data.cast("B") if isinstance(data, memoryview) else data
            self._queue(self._sealer.seal(content_type, content))
        else:
            self._queue(self._in_plaintext(content_type, data))

    def write_last(self, *alerts: bytes) -> None:
        """Queue the alerts that end what we send; nothing goes out after them (RFC 9846 sections 6.1 and 6.2)."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            for alert in alerts:
                self._write(C.ALERT, alert)

    def forget(self) -> None:
        """The connection has failed: its keys are forgotten (RFC 9846 section 6)."""
        with self._lock:
            self._ended = True
            if self._sealer is not None:
                self._sealer.forget()
        if self._opener is not None:
            self._opener.forget()

    def _check_open(self) -> None:
        """Under the lock: what another thread has ended, nobody may add to."""
        if self._ended:
            raise MisuseError(problem="the connection is closed")

    def write_application_data(self, data: bytes | bytearray | memoryview) -> None:
        """Queue application data.

        A KeyUpdate goes before it where the peer waits for one, and within it where the key has protected as much as is
        safe (RFC 9846 sections 4.7.3 and 5.5). Raises what Sealer.seal raises.
        """
        content = memoryview(data).cast("B")
        with self._lock:
            self._check_open()
            sealer = self._sealer
            assert sealer is not None, "application data is encrypted"
            if self._update_owed:
                sealer = self._update_write(KeyUpdate(update_requested=False))
            while sealer.can_update and (room := sealer.room) < len(content):
                if room:
                    self._queue(sealer.seal(C.APPLICATION_DATA, content[:room]))
                    content = content[room:]
                sealer = self._update_write(KeyUpdate(update_requested=False))
            self._queue(sealer.seal(C.APPLICATION_DATA, content))

    def update_write(self, request_peer: bool) -> None:
        """Queue a KeyUpdate, and use the next key from here on.

        ``request_peer``: ask the peer to do the same, unless it has been asked and has not answered yet.
        """
        with self._lock:
            self._check_open()
            request = request_peer and not self._update_requested
            if self._update_owed or not request:
                self._update_write(KeyUpdate(update_requested=False))
            if request:
                self._update_write(KeyUpdate(update_requested=True))

    def _update_write(self, message: KeyUpdate) -> Sealer:
        """Under the lock: nothing may come between the KeyUpdate, which has the old key, and the change."""
        assert isinstance(self._sealer, Sealer), "a KeyUpdate is encrypted"
        message.raw = message.encode()
        sealed = self._sealer.seal(C.HANDSHAKE, message.raw)
        self._sealer = Sealer(self._sealer.secret.next(), self._send_limit, self.padding, self._forks)
        self._update_owed = False
        self._update_requested |= message.update_requested
        self._queue(sealed)  # last: a hook that raises must not leave us with the old key
        if self.on_key_update is not None:
            self.on_key_update(message)
        return self._sealer

    def _in_plaintext(self, content_type: int, data: bytes | bytearray | memoryview) -> bytearray:
        output = bytearray()
        for at in range(0, len(data), PLAINTEXT_LIMIT):
            fragment = data[at : at + PLAINTEXT_LIMIT]
            output += bytes((content_type,)) + self.initial_version.to_bytes(2) + len(fragment).to_bytes(2)
            output += fragment
        return output

    def write_change_cipher_spec(self) -> None:
        """Queue the record that makes middleboxes see TLS 1.2 (RFC 9846 appendix E.4). It is never encrypted."""
        with self._lock:
            if not self._ended:
                self._queue(b"\x14\x03\x03\x00\x01\x01")

    def _queue(self, records: bytes | bytearray) -> None:
        self._output.append(records)
        if self._hook is not None:
            start = 0
            while start < len(records):
                length = records[start + 3] << 8 | records[start + 4]
                encrypted = self._sealer is not None and records[start] != C.CHANGE_CIPHER_SPEC
                self._hook(True, records[start], length, encrypted)
                start += HEADER_LENGTH + length

    @property
    def pending(self) -> bool:
        """Whether anything is queued for the peer."""
        return bool(self._output)

    def take(self) -> bytes | bytearray:
        """What is queued for the peer, which is then no longer queued."""
        with self._lock:
            output, self._output = self._output, []
        return output[0] if len(output) == 1 else b"".join(output)
