"""Alerts and change_cipher_spec (RFC 9846 sections 5 and 6): the messages that are not handshake messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from handfast.errors import PeerMisbehaved
from handfast.reasons import BAD_ALERT
from handfast.wire.codepoints import AlertDescription

WARNING: Final = 1
FATAL: Final = 2


@dataclass(frozen=True, slots=True)
class Alert:
    """``struct { AlertLevel level; AlertDescription description; } Alert;``"""

    NAME: ClassVar[str] = "Alert"

    level: int
    description: int

    @property
    def name(self) -> str:
        """The RFC's name of the description."""
        return AlertDescription.name(self.description)

    @classmethod
    def parse(cls, content: bytes | memoryview) -> Self:
        """Read the content of an alert record, which is one alert and nothing else (RFC 9846 section 5.1)."""
        if len(content) != 2:
            raise PeerMisbehaved(BAD_ALERT, length=len(content))
        return cls(content[0], content[1])

    def encode(self) -> bytes:
        """The two bytes."""
        return bytes((self.level, self.description))


@dataclass(slots=True)
class ChangeCipherSpec:
    """A record that changes keys in TLS 1.2 (RFC 5246 section 7.1), and means nothing in TLS 1.3 (RFC 9846 appendix E.4).

    It is no handshake message, but a script of TLS 1.2 waits for it like for one: ``TYPE`` is none that a message has.
    """

    TYPE: ClassVar[int] = -1
    NAME: ClassVar[str] = "ChangeCipherSpec"

    raw: bytes = b"\x01"
    changes_keys: bool = False

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the content of its record, which the record layer has checked."""
        return cls(raw)
