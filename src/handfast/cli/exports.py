"""`--export`: bytes that both sides of a connection can work out, and nobody else.

``LABEL:LENGTH`` is keying material (RFC 9846 section 7.5; in TLS 1.2 RFC 5705), a name alone a channel binding (RFC 5056).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from handfast.errors import ConfigurationError, MisuseError
from handfast.transport.blocking import TLSSocket

_LABEL = 249  # HkdfLabel has room for 255 bytes, "tls13 " among them (RFC 9846 section 7.1)
_LENGTH = 255 * 32  # what HKDF gives with the shortest of the hashes (RFC 5869 section 2.3)

# The channel bindings (RFC 5929, RFC 9266), and whether they are worked out from secrets.
_BINDINGS: Final = {"tls-exporter": True, "tls-unique": True, "tls-server-end-point": False}


@dataclass(frozen=True)
class Export:
    """What is asked for: ``label`` by RFC 5705 and ``length`` in bytes, or the name of a channel binding and 0."""

    label: str
    length: int = 0


@dataclass(frozen=True)
class Exported:
    """What came of it. ``value`` is a secret: shown because it was asked for, and in no repr."""

    label: str
    value: bytes = field(repr=False)
    is_binding: bool = False

    @property
    def is_secret(self) -> bool:
        """Whether it is worked out from secrets, and not from the server's certificate."""
        return not self.is_binding or _BINDINGS[self.label]

    def document(self) -> dict[str, Any]:
        """As --json has it."""
        return {"label": self.label, "length": len(self.value), "value": self.value.hex()}


def parse(text: str) -> Export:
    """LABEL:LENGTH, or the name of a channel binding. A label may have colons: it is the last one that counts.

    Raises ConfigurationError.
    """
    if text in _BINDINGS:
        return Export(text)
    label, colon, length = text.rpartition(":")
    problem = ""
    if not colon:
        problem = f"a label and a length are needed, such as EXPORTER-Example:32, or one of {', '.join(_BINDINGS)}"
    elif not label.isascii() or not label.isprintable() or not 1 <= len(label) <= _LABEL:
        problem = f"a label has 1 to {_LABEL} ASCII characters"
    elif not (length.isascii() and length.isdigit() and len(length) < 6 and 1 <= int(length) <= _LENGTH):
        problem = f"the length, after the last colon, is a number of bytes from 1 to {_LENGTH}"
    if problem:
        raise ConfigurationError(setting="--export", value=text, problem=problem)
    return Export(label, int(length))


def exported(tls: TLSSocket, wanted: list[Export]) -> list[Exported]:
    """What is asked for of a connection. Raises ConfigurationError for a binding that its version does not have."""
    return [Exported(item.label, _exported(tls, item), is_binding=item.length == 0) for item in wanted]


def _exported(tls: TLSSocket, item: Export) -> bytes:
    if item.length:
        return tls.export_keying_material(item.label, item.length)
    try:
        return tls.channel_binding(item.label)
    except MisuseError:
        problem = f"{tls.handshake.version} has no {item.label}: tls-exporter replaces it (RFC 9266)"
        raise ConfigurationError(setting="--export", value=item.label, problem=problem) from None
