"""`--export LABEL:LENGTH`: secret bytes that both sides of a connection can work out (RFC 9846 section 7.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from handfast.errors import ConfigurationError
from handfast.transport.blocking import TLSSocket

_LABEL = 249  # HkdfLabel has room for 255 bytes, "tls13 " among them (RFC 9846 section 7.1)
_LENGTH = 255 * 32  # what HKDF gives with the shortest of the hashes (RFC 5869 section 2.3)


@dataclass(frozen=True)
class Export:
    """What is asked for: ``label`` by RFC 5705, ``length`` in bytes."""

    label: str
    length: int


@dataclass(frozen=True)
class Exported:
    """What came of it. ``value`` is a secret: shown because it was asked for, and in no repr."""

    label: str
    value: bytes = field(repr=False)

    def document(self) -> dict[str, Any]:
        """As --json has it."""
        return {"label": self.label, "length": len(self.value), "value": self.value.hex()}


def parse(text: str) -> Export:
    """LABEL:LENGTH. A label may have colons, so it is the last one that counts. Raises ConfigurationError."""
    label, colon, length = text.rpartition(":")
    problem = ""
    if not colon:
        problem = "a label and a length are needed, such as EXPORTER-Channel-Binding:32"
    elif not label.isascii() or not label.isprintable() or not 1 <= len(label) <= _LABEL:
        problem = f"a label has 1 to {_LABEL} ASCII characters"
    elif not (length.isascii() and length.isdigit() and len(length) < 6 and 1 <= int(length) <= _LENGTH):
        problem = f"the length, after the last colon, is a number of bytes from 1 to {_LENGTH}"
    if problem:
        raise ConfigurationError(setting="--export", value=text, problem=problem)
    return Export(label, int(length))


def exported(tls: TLSSocket, wanted: list[Export]) -> list[Exported]:
    """The secrets of a connection that are asked for."""
    return [Exported(item.label, tls.export_keying_material(item.label, item.length)) for item in wanted]
