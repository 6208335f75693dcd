"""Distinguished names as peers send them, DER without a certificate around it, in words (X.501, RFC 5280 section 4.1.2.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_OID: Final = 0x06
# The string types that names are made of, and how each is encoded.
_STRINGS: Final = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_ATTRIBUTES: Final = {
    b"\x55\x04\x03": "CN",
    b"\x55\x04\x06": "C",
    b"\x55\x04\x07": "L",
    b"\x55\x04\x08": "ST",
    b"\x55\x04\x0a": "O",
    b"\x55\x04\x0b": "OU",
    bytes.fromhex("0992268993f22c640119"): "DC",
}


def distinguished_name(der: bytes) -> str:
    """A name as text, its last part first as RFC 4514 has it; "" if there is nothing in it that can be read.

    For people: nothing may be decided by it. It comes from a peer, so show it through errors.shown.
    """
    return ",".join(
        reversed([",".join(_relative(content)) for kind, content in _inside(der, _SEQUENCE) if kind == _SET])
    )


def _relative(content: bytes) -> Iterator[str]:
    """The attributes of one RelativeDistinguishedName, mostly just one."""
    for kind, attribute in _values(content):
        parts = list(_values(attribute)) if kind == _SEQUENCE else []
        if len(parts) == 2 and parts[0][0] == _OID and parts[1][0] in _STRINGS:
            text = parts[1][1].decode(_STRINGS[parts[1][0]], "backslashreplace")
            yield f"{_ATTRIBUTES.get(parts[0][1], '?')}={text}"


def _inside(der: bytes, kind: int) -> Iterator[tuple[int, bytes]]:
    for found, content in _values(der):
        if found == kind:
            yield from _values(content)


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents, one after the other; ends where the bytes do not go on as DER."""
    at = 0
    while at + 2 <= len(data):
        start, length = at + 2, data[at + 1]
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[at + 2 : start])
        if start + length > len(data):
            return
        yield data[at], data[start : start + length]
        at = start + length
