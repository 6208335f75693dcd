"""Certificates changed by their structure: an element is changed, dropped or doubled, and the lengths around it follow."""

from __future__ import annotations

from random import Random

from fuzz.target import Change

_CONSTRUCTED = 0x20
_DEPTH = 24
_WRAPS_DER = (0x03, 0x04)  # BIT STRING and OCTET STRING, which in certificates often have DER in them
_TAGS = (
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x0C,
    0x13,
    0x16,
    0x17,
    0x18,
    0x30,
    0x31,
    0x80,
    0x82,
    0x86,
    0x87,
    0xA0,
    0xA3,
)


class Element:
    """A tag with bytes, or with elements and the bytes before them (a BIT STRING's count of unused bits)."""

    __slots__ = ("before", "content", "inner", "tag")

    def __init__(self, tag: int, content: bytes, depth: int = 0) -> None:
        self.tag = tag
        self.content = content
        self.before = b""
        self.inner: list[Element] | None = None
        if tag & _CONSTRUCTED:
            self.inner = elements(content, depth + 1)
        elif tag in _WRAPS_DER:
            skipped = int(tag == 0x03)
            found = elements(content[skipped:], depth + 1)
            if found and found[0].tag & _CONSTRUCTED:
                self.before, self.inner = content[:skipped], found

    def encode(self) -> bytes:
        """As bytes, with the shortest length there is."""
        content = self.content if self.inner is None else self.before + b"".join(each.encode() for each in self.inner)
        size = len(content)
        if size < 0x80:
            return bytes((self.tag, size)) + content
        length = size.to_bytes((size.bit_length() + 7) // 8)
        return bytes((self.tag, 0x80 | len(length))) + length + content


def elements(data: bytes, depth: int = 0) -> list[Element] | None:
    """Bytes that are elements and nothing else; None if they are not, or are nested deeper than certificates are."""
    if depth > _DEPTH:
        return None
    found = []
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            return None
        length, start = data[at + 1], at + 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[at + 2 : start])
        if start + length > len(data):
            return None
        found.append(Element(data[at], data[start : start + length], depth))
        at = start + length
    return found


def mutated(data: bytes, limit: int, random: Random, change: Change) -> bytes:
    """DER with one change; at most ``limit`` bytes."""
    tree = elements(data)
    if not tree or random.random() < 0.1:
        return change(data, limit)
    siblings = _somewhere(tree, random)
    at = random.randrange(len(siblings))
    chosen = siblings[at]
    kind = random.random()
    if kind < 0.1:
        siblings.insert(at, chosen)
    elif kind < 0.2:
        del siblings[at]
    elif kind < 0.3:
        chosen.tag = random.choice(_TAGS)
    elif kind < 0.4:
        siblings[at] = random.choice(_somewhere(elements(data) or [chosen], random))
    elif chosen.inner is None:
        chosen.content = change(chosen.content or b"\0", max(1, limit - len(data) + len(chosen.content)))
    else:
        random.shuffle(chosen.inner)
    result = b"".join(each.encode() for each in tree)
    return result if 0 < len(result) <= limit else change(data, limit)


def _somewhere(tree: list[Element], random: Random) -> list[Element]:
    """Elements that stand side by side, at any depth."""
    while True:
        deeper = [each.inner for each in tree if each.inner]
        if not deeper or random.random() < 0.15:
            return tree
        tree = random.choice(deeper)
