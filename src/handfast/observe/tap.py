"""A tap that keeps what crosses the wire, with times; and hands each message on as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.wire.alert import Alert

_HEADER = 5  # bytes before the body of each record (RFC 9846 section 5.1)
_KEPT = 512  # messages; a connection that lives long may have any number of tickets


@dataclass(frozen=True, slots=True)
class Seen:
    """One message, as it crossed the wire.

    ``at``           seconds since the tap was made, or restarted
    ``from_client``  whether it is the client's
    ``length``       bytes, with the 4-byte header of a handshake message
    """

    sent: bool
    message: Any = field(repr=False)
    encrypted: bool
    at: float
    from_client: bool = True

    @property
    def name(self) -> str:
        """The RFC's name of the message; HelloRetryRequest is a ServerHello by its structure alone."""
        name: str = self.message.NAME
        return "HelloRetryRequest" if getattr(self.message, "is_retry_request", False) else name

    @property
    def length(self) -> int:
        """Bytes of the message."""
        if isinstance(self.message, Alert):
            return 2
        return len(getattr(self.message, "raw", b"")) or 1


@dataclass(slots=True)
class Traffic:
    """What went in one direction. ``bytes`` and ``encrypted`` count whole records, with their headers."""

    records: int = 0
    bytes: int = 0
    encrypted: int = 0


class Trace:
    """Keeps the messages of one connection, and counts its records.

    ``messages``        in the order in which they crossed the wire; the first few hundred
    ``sent, received``  how much went in each direction
    ``on_message``      is called with each message as it happens. It has to be quick, and must not raise
    """

    def __init__(self, on_message: Callable[[Seen], None] | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.messages: list[Seen] = []
        self.sent = Traffic()
        self.received = Traffic()
        self._is_client: bool | None = None
        self._on_message = on_message
        self._clock = clock
        self._started = clock.monotonic()

    def restart(self) -> None:
        """Count time from now on."""
        self._started = self._clock.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the tap was made, or restarted."""
        return self._clock.monotonic() - self._started

    def record(self, sent: bool, content_type: int, length: int, encrypted: bool) -> None:
        """A record crossed the wire."""
        traffic = self.sent if sent else self.received
        traffic.records += 1
        traffic.bytes += length + _HEADER
        if encrypted:
            traffic.encrypted += length + _HEADER

    def message(self, sent: bool, message: Any, encrypted: bool) -> None:
        """A message was sent or received."""
        if self._is_client is None:
            self._is_client = sent  # it is the client who speaks first
        seen = Seen(sent, message, encrypted, self.age, sent == self._is_client)
        if len(self.messages) < _KEPT:
            self.messages.append(seen)
        if self._on_message is not None:
            self._on_message(seen)
