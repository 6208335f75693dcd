"""A tap that keeps what crosses the wire, with times; and hands each message on as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.wire.alert import Alert

_KEPT = 512  # messages; a connection that lives long may have any number of tickets


@dataclass(frozen=True, slots=True)
class Seen:
    """One message, as it crossed the wire.

    ``at``      seconds since the tap was made
    ``length``  bytes, with the 4-byte header of a handshake message
    """

    sent: bool
    message: Any = field(repr=False)
    encrypted: bool
    at: float

    @property
    def name(self) -> str:
        """The RFC's name of the message."""
        name: str = self.message.NAME
        return name

    @property
    def length(self) -> int:
        """Bytes of the message."""
        if isinstance(self.message, Alert):
            return 2
        return len(getattr(self.message, "raw", b"")) or 1


class Trace:
    """Keeps the messages of one connection, and counts its records."""

    def __init__(self, on_message: Callable[[Seen], None] | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.messages: list[Seen] = []
        self.records = {True: 0, False: 0}
        self.bytes = {True: 0, False: 0}
        self._on_message = on_message
        self._clock = clock
        self._started = clock.monotonic()

    def restart(self) -> None:
        """Count time from now on."""
        self._started = self._clock.monotonic()

    def record(self, sent: bool, content_type: int, length: int, encrypted: bool) -> None:
        """A record crossed the wire."""
        self.records[sent] += 1
        self.bytes[sent] += length + 5

    def message(self, sent: bool, message: Any, encrypted: bool) -> None:
        """A message was sent or received."""
        seen = Seen(sent, message, encrypted, self._clock.monotonic() - self._started)
        if len(self.messages) < _KEPT:
            self.messages.append(seen)
        if self._on_message is not None:
            self._on_message(seen)
