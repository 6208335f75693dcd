"""How long a password takes to become a key: whoever writes an encrypted file chooses it, and whoever reads it waits.

`cryptography` and OpenSSL do as they are told, in one call that nothing interrupts. So the numbers are read before: those of
PBES1, PBES2 with PBKDF2, and PBMAC1 (RFC 8018), of scrypt (RFC 7914), and of PKCS#12 (RFC 7292, RFC 9579).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final, NamedTuple

from handfast import limits
from handfast.errors import ConfigurationError
from handfast.reasons import PASSWORD_TOO_SLOW

_INTEGER, _OCTETS, _OBJECT = 0x02, 0x04, 0x06
_CONSTRUCTED: Final = 0x20
_LONG_TAG: Final = 0x1F
_INDEFINITE: Final = 0x80
_END: Final = b"\0\0"

# Algorithms that make a key of a password: all of PKCS#5, and the ways to encrypt of PKCS#12.
_OF_PASSWORDS: Final = (bytes.fromhex("2a864886f70d0105"), bytes.fromhex("2a864886f70d010c01"))
_SCRYPT: Final = bytes.fromhex("2b06010401da47040b")

_DEPTH: Final = 64  # what is honest has some twenty: eight to a safe, and a certificate in it
_ELEMENTS: Final = 1 << 18  # a certificate has two hundred; it takes half a second to go through so many
_HUGE: Final = 1 << 64


class _Element(NamedTuple):
    """One element of BER: its tag, and its content, or what it consists of.

    An OCTET STRING may have both: files are put into files.
    """

    tag: int
    content: bytes | memoryview = b""
    inner: tuple[_Element, ...] = ()


def check(data: bytes, source: str) -> None:
    """See that an encrypted key (PKCS#8, DER) or PKCS#12 asks for no more work than ``limits.PASSWORD_ROUNDS``.

    What is encrypted cannot be looked into: a key that is encrypted once more within is not counted.

    Raises ConfigurationError (PASSWORD_TOO_SLOW), naming ``source``.
    """
    try:
        found = asked(data)
    except _TooMuchError as error:
        raise ConfigurationError(PASSWORD_TOO_SLOW, file=source, problem=str(error)) from None
    if found > limits.PASSWORD_ROUNDS:
        counted = f"{found:,}" if found < _HUGE else "more than can be counted"
        raise ConfigurationError(PASSWORD_TOO_SLOW, file=source, rounds=counted, most=f"{limits.PASSWORD_ROUNDS:,}")


def asked(data: bytes) -> int:
    """The rounds of all derivations in ``data`` together, read so that none is passed over that can be seen.

    What a round takes is another matter: a slow hash, and a key that is longer than the hash, make it several times as
    much. Of scrypt a block counts as a round: it takes about as long, and 128 bytes of memory. Where ``data`` is broken,
    what stands before that place counts: nobody reads further.
    """
    whole = _Reader().elements(memoryview(data))
    parts = whole[0].inner if whole else ()
    # The third one of a PKCS#12 is its MacData, with a number of its own (RFC 7292 section 4).
    return sum(map(_within, parts[:2])) + sum(map(_counted, parts[2:]))


def _within(element: _Element) -> int:
    """Of the algorithms that stand anywhere in here."""
    first = element.inner[0] if element.inner else _Element(0)
    if first.tag == _OBJECT and bytes(first.content[:16]).startswith(_OF_PASSWORDS):
        return _counted(element)
    return sum(map(_within, element.inner))


def _counted(element: _Element) -> int:
    """Of one algorithm, known or not: every number in its parameters. The others than rounds are small: sizes of keys."""
    if element.tag == _INTEGER:
        return _number(element)
    if element.tag & ~_CONSTRUCTED == _OCTETS:  # salts
        return 0
    if element.inner and element.inner[0] == _Element(_OBJECT, _SCRYPT):
        numbers = [_number(each) for part in element.inner for each in part.inner if each.tag == _INTEGER]
        return prod(numbers[:3])  # N, r and p (RFC 7914 section 7.1); the length of the key follows
    return sum(map(_counted, element.inner))


def _number(element: _Element) -> int:
    """A negative one counts as a large one."""
    return int.from_bytes(element.content) if len(element.content) <= 8 else _HUGE


def _pieces(inner: tuple[_Element, ...]) -> Iterator[bytes | memoryview]:
    """What an OCTET STRING is put together of. OpenSSL takes pieces of any kind, and what these consist of."""
    for each in inner:
        if each.content:
            yield each.content
        else:
            yield from _pieces(each.inner)


class _TooMuchError(Exception):
    """More than anybody writes."""


class _Reader:
    """Reads BER, since some programs write PKCS#12 without lengths, and its texts in pieces (X.690 section 8.1.3.6)."""

    def __init__(self) -> None:
        self._count = 0

    def elements(self, data: memoryview, depth: int = 0) -> tuple[_Element, ...]:
        return self._read(data, 0, len(data), depth, ends=False)[0]

    def _read(self, data: memoryview, at: int, end: int, depth: int, *, ends: bool) -> tuple[tuple[_Element, ...], int]:
        """The elements from ``at`` to ``end``, and where that is. Of indefinite length: ``ends`` by two zeros."""
        if depth > _DEPTH:
            raise _TooMuchError(f"it has more than {_DEPTH} levels")
        found: list[_Element] = []
        while at < end:
            if ends and bytes(data[at : at + 2]) == _END:
                return tuple(found), at + 2
            element, at = self._element(data, at, end, depth)
            if element is None:
                break
            found.append(element)
        return tuple(found), end

    def _element(self, data: memoryview, at: int, end: int, depth: int) -> tuple[_Element | None, int]:
        self._spend(1)
        tag = data[at]
        at += 1
        if tag & _LONG_TAG == _LONG_TAG:
            tag, at = self._long_tag(tag, data, at, end)
        length = data[at] if at < end else 0xFF
        at += 1
        if length == _INDEFINITE and tag & _CONSTRUCTED:
            inner, at = self._read(data, at, end, depth + 1, ends=True)
            return self._constructed(tag, inner, depth), at
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(data[at : at + octets])
            at += octets
        stop = at + length
        if stop > end:
            return None, end
        if tag & _CONSTRUCTED:
            inner, _ = self._read(data, at, stop, depth + 1, ends=False)
            return self._constructed(tag, inner, depth), stop
        content = data[at:stop]
        return _Element(tag, content, self.elements(content, depth + 1) if tag == _OCTETS else ()), stop

    def _long_tag(self, first: int, data: memoryview, at: int, end: int) -> tuple[int, int]:
        """A tag with its number behind it, and where that ends (X.690 section 8.1.2.4).

        OpenSSL reads a number below 31 as well, which belongs into one byte, and zeros before it: ours is that byte then,
        and ``first`` for others.
        """
        number = 0
        while at < end and data[at] & 0x80:
            self._spend(1)
            number = min(number << 7 | data[at] & 0x7F, _HUGE)
            at += 1
        number = number << 7 | (data[at] if at < end else 0)
        return (first & ~_LONG_TAG | number if number < _LONG_TAG else first), at + 1

    def _constructed(self, tag: int, inner: tuple[_Element, ...], depth: int) -> _Element:
        if tag != _OCTETS | _CONSTRUCTED:
            return _Element(tag, b"", inner)
        whole = b"".join(_pieces(inner))
        self._spend(len(whole) >> 8)
        return _Element(tag, whole, self.elements(memoryview(whole), depth + 1))

    def _spend(self, count: int) -> None:
        """Of what may be read: elements, and for each a few hundred bytes that are copied."""
        self._count += count
        if self._count > _ELEMENTS:
            raise _TooMuchError(f"it has more than {_ELEMENTS:,} parts")
