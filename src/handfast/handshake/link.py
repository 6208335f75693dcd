"""What a handshake script can do to its connection: send messages, change keys, keep the transcript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from handfast.config import ClientConfig, ServerConfig
from handfast.crypto.guard import Guarded
from handfast.crypto.schedule12 import RecordKey
from handfast.crypto.schedule13 import TrafficSecret
from handfast.crypto.transcript import Transcript
from handfast.errors import PeerMisbehaved
from handfast.events import Timings
from handfast.handshake.flow import Message
from handfast.reasons import EXCESS_HANDSHAKE_DATA, INTERLEAVED_RECORD, TOO_MUCH_ACCEPTED_EARLY_DATA
from handfast.record.layer import RecordLayer
from handfast.record.reassembly import Reassembly
from handfast.sessions.session import Session
from handfast.sessions.verdict import Resumption
from handfast.wire.alert import ChangeCipherSpec
from handfast.wire.codepoints import ContentType, ProtocolVersion

P = ParamSpec("P")
R = TypeVar("R")


class Outgoing(Message, Protocol):
    """A message that can be sent."""

    def encode(self) -> bytes:
        """The whole message, header included."""


MessageHook = Callable[[bool, Any, bool], None]
"""Called with (sent, message, encrypted) for each message: a handshake message, an Alert or a ChangeCipherSpec."""


class Link(Guarded):
    """A script's hold on its connection.

    ``config``   what is in force: a server's may be replaced when it has seen the ClientHello
    ``version``  what is spoken (ProtocolVersion), 0 until that is agreed
    ``early_data_left``  on a server: bytes of early data that may still come; None where none may
    ``resumption``  what became of what the client had to come back with
    ``session``  on a client of TLS 1.2: the one that the connection goes on with, or has made
    ``answers_early``  on a server: it has taken early data, and may answer it before the handshake is over
    """

    __slots__ = (
        "_compatible",
        "_flight",
        "_hook",
        "answers_early",
        "clock",
        "config",
        "early_data_left",
        "layer",
        "messages",
        "resumption",
        "session",
        "timings",
        "transcript",
        "version",
    )

    def __init__(
        self, layer: RecordLayer, config: ClientConfig | ServerConfig, hook: MessageHook | None = None
    ) -> None:
        self.layer = layer
        self.config = config
        self.version = 0
        self._compatible = False
        self.early_data_left: int | None = None
        self.answers_early = False
        self.resumption: Resumption | None = None
        self.session: Session | None = None
        self.messages = Reassembly()
        self.transcript = Transcript()
        self.clock = config.clock
        self.timings = Timings()
        self._hook = hook
        self._flight = bytearray()

    def send(self, message: Outgoing) -> None:
        """Send a message. Messages of one flight share records, up to the next change of keys (section 5.1)."""
        message.raw = message.raw or message.encode()
        self._flight += message.raw
        if self._hook is not None:
            self._hook(True, message, self.layer.encrypted)

    def say(self, message: Outgoing) -> None:
        """Send a message, and add it to the transcript."""
        self.send(message)
        self.transcript.add(message)

    def send_change_cipher_spec(self) -> None:
        """Send the record that makes middleboxes see TLS 1.2, once in a handshake (RFC 9846 appendix E.4)."""
        if self._compatible:
            return
        self._compatible = True
        self.flush()
        self.layer.write_change_cipher_spec()
        if self._hook is not None:
            self._hook(True, ChangeCipherSpec(changes_keys=self.version == ProtocolVersion.TLS_1_2), False)

    def flush(self) -> None:
        """Hand what was sent to the record layer."""
        if self._flight:
            self.layer.write(ContentType.HANDSHAKE, self._flight)
            self._flight = bytearray()

    def discard(self) -> None:
        """Forget what was to be sent and is not sealed yet: the handshake has failed."""
        self._flight = bytearray()  # and not clear(): the record layer may be reading it, in another thread

    def install_keys(
        self, *, read: TrafficSecret | RecordKey | None = None, write: TrafficSecret | RecordKey | None = None
    ) -> None:
        """Change keys, in one or both directions."""
        if write is not None:
            self.flush()
            self.layer.install_write(write)
        if read is not None:
            self.check_no_excess()
            self.layer.install_read(read)

    def check_no_excess(self) -> None:
        """Nothing may follow a message in its record where keys change, or where a retry begins (section 5.1).

        In TLS 1.2 it is our turn where one of the peer's flights ends: whatever it adds, it cannot know our answer yet.
        """
        if len(self.messages):
            raise PeerMisbehaved(EXCESS_HANDSHAKE_DATA, excess_bytes=len(self.messages))

    def check_not_interleaved(self, content_type: int) -> None:
        """Nothing may come between the parts of a handshake message (RFC 9846 section 5.1)."""
        if self.messages:
            raise PeerMisbehaved(INTERLEAVED_RECORD, came=ContentType.name(content_type))

    def count_early_data(self, length: int) -> None:
        """A client may send as much early data as its session says (RFC 9846 section 4.3.10)."""
        assert self.early_data_left is not None, "early data is taken"
        if length > self.early_data_left:
            raise PeerMisbehaved(TOO_MUCH_ACCEPTED_EARLY_DATA)
        self.early_data_left -= length

    def log_secret(self, label: str, client_random: bytes, secret: bytes) -> None:
        """Give a secret to the key log, where the configuration has one."""
        keylog = self.config.keylog
        if keylog is not None:
            keylog.secret(label, client_random, secret)

    def key_exchange(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do a step of the key exchange, and count its time."""
        started = self.clock.monotonic()
        try:
            return step(*args, **kwargs)
        finally:
            self.timings.key_exchange += self.clock.monotonic() - started
