"""Reading and writing the presentation language of RFC 9846 section 3: the only bounds checks in the code base."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from handfast.errors import DecodeError
from handfast.limits import CODEPOINTS_OF_A_LIST
from handfast.reasons import DECODE_ERROR, TOO_MANY_ITEMS

_UINT16 = struct.Struct(">H")
_UINT32 = struct.Struct(">I")
_ENTRY = struct.Struct(">HH")  # a number, and the length of what it stands for


class Reader:
    """Reads a received message from front to end.

    Every method takes the RFC's name of the field, and raises :class:`~handfast.errors.DecodeError` with that name and
    the offset in the whole message when the bytes do not suffice.
    """

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end

    def __len__(self) -> int:
        """How many bytes are left."""
        return self.end - self.position

    def uint8(self, field: str) -> int:
        """A number of one byte."""
        position = self.position
        if position >= self.end:
            raise self.error(field, "too short")
        self.position = position + 1
        return self.data[position]

    def uint16(self, field: str) -> int:
        """A number of two bytes, big-endian."""
        stop = self.position + 2
        if stop > self.end:
            raise self.error(field, "too short")
        number: int = _UINT16.unpack_from(self.data, self.position)[0]
        self.position = stop
        return number

    def uint32(self, field: str) -> int:
        """A number of four bytes, big-endian."""
        stop = self.position + 4
        if stop > self.end:
            raise self.error(field, "too short")
        number: int = _UINT32.unpack_from(self.data, self.position)[0]
        self.position = stop
        return number

    def opaque(self, length: int, field: str) -> bytes:
        """``length`` bytes as they stand."""
        position = self.position
        stop = position + length
        if stop > self.end:
            raise self.error(field, "too short")
        self.position = stop
        return self.data[position:stop]

    def rest(self) -> bytes:
        """Everything that is left."""
        data = self.data[self.position : self.end]
        self.position = self.end
        return data

    def vector8(self, field: str, minimum: int = 0) -> bytes:
        """``opaque field<minimum..2^8-1>``."""
        data, end = self.data, self.end
        start = self.position + 1
        if start <= end:
            stop = start + data[start - 1]
            if start + minimum <= stop <= end:
                self.position = stop
                return data[start:stop]
        raise self._no_vector(1, field, minimum)

    def vector16(self, field: str, minimum: int = 0) -> bytes:
        """``opaque field<minimum..2^16-1>``."""
        start = self._span16(field, minimum)
        return self.data[start : self.position]

    def vector24(self, field: str, minimum: int = 0) -> bytes:
        """``opaque field<minimum..2^24-1>``."""
        start = self._span24(field, minimum)
        return self.data[start : self.position]

    def _span16(self, field: str, minimum: int) -> int:
        """Pass a vector whose length has two bytes; where its content starts. It ends where we then stand."""
        start = self.position + 2
        if start <= self.end:
            stop = start + self.data[start - 2] * 256 + self.data[start - 1]
            if start + minimum <= stop <= self.end:
                self.position = stop
                return start
        raise self._no_vector(2, field, minimum)

    def _span24(self, field: str, minimum: int) -> int:
        """The same, where the length has three bytes."""
        start = self.position + 3
        if start <= self.end:
            stop = start + int.from_bytes(self.data[start - 3 : start])
            if start + minimum <= stop <= self.end:
                self.position = stop
                return start
        raise self._no_vector(3, field, minimum)

    def _no_vector(self, width: int, field: str, minimum: int) -> DecodeError:
        """What is wrong with the vector that stands here, whose length has ``width`` bytes."""
        start = self.position + width
        length = int.from_bytes(self.data[self.position : start])
        if start <= self.end and length < minimum:
            return self.error(field, f"{length} bytes, at least {minimum} are needed")
        return self.error(field, "too short")

    def nested16(self, field: str, minimum: int = 0) -> Reader:
        """A reader over ``field<minimum..2^16-1>``, which it leaves behind."""
        start = self._span16(field, minimum)
        return Reader(self.data, start, self.position)

    def nested24(self, field: str, minimum: int = 0) -> Reader:
        """A reader over ``field<minimum..2^24-1>``, which it leaves behind."""
        start = self._span24(field, minimum)
        return Reader(self.data, start, self.position)

    def entries16(self, field: str, kind: str, content: str, maximum: int) -> list[tuple[int, int, int]]:
        """A ``field<0..2^16-1>`` of numbers of two bytes with a ``content<0..2^16-1>`` each.

        The numbers, and where the content of each starts and ends.
        """
        at = self._span16(field, 0)
        data, end = self.data, self.position
        found: list[tuple[int, int, int]] = []
        while at < end:
            start = at + 4
            if start > end:
                raise DecodeError(kind, at, DECODE_ERROR, problem="too short")
            number, length = _ENTRY.unpack_from(data, at)
            at = start + length
            if at > end:
                raise DecodeError(content, start - 4, DECODE_ERROR, problem="too short")
            found.append((number, start, at))
            if len(found) > maximum:
                raise DecodeError(field, start, TOO_MANY_ITEMS)
        return found

    def uint16s(self, field: str, maximum: int = CODEPOINTS_OF_A_LIST) -> list[int]:
        """``uint16 field<2..2^16-2>``, a list of code points that is not empty."""
        return self._uint16s(self._span16(field, 2), field, maximum)

    def uint16s8(self, field: str) -> list[int]:
        """``uint16 field<2..254>``, a list of code points that is not empty, with a length of one byte."""
        length = len(self.vector8(field, 2))
        return self._uint16s(self.position - length, field, CODEPOINTS_OF_A_LIST)

    def _uint16s(self, start: int, field: str, maximum: int) -> list[int]:
        """The list that starts there, and ends where we stand."""
        count, half = divmod(self.position - start, 2)
        if half:
            raise self.error(field, "half a code point at the end")
        if count > maximum:
            raise DecodeError(field, self.position, TOO_MANY_ITEMS, count=count)
        return list(struct.unpack_from(f">{count}H", self.data, start))

    def done(self, field: str) -> None:
        """Nothing may be left (RFC 9846 section 4.3: trailing data is forbidden)."""
        if self.position != self.end:
            raise self.error(field, f"{self.end - self.position} bytes too many")

    def error(self, field: str, problem: str) -> DecodeError:
        """The error for a field that does not parse, at the place reached."""
        return DecodeError(field, self.position, DECODE_ERROR, problem=problem)


class Writer:
    """Builds a message to send."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data = bytearray()

    def uint8(self, value: int) -> None:
        """A number of one byte."""
        self.data.append(value)

    def uint16(self, value: int) -> None:
        """A number of two bytes, big-endian."""
        self.data += value.to_bytes(2)

    def uint32(self, value: int) -> None:
        """A number of four bytes, big-endian."""
        self.data += value.to_bytes(4)

    def opaque(self, value: bytes) -> None:
        """Bytes as they stand."""
        self.data += value

    def vector8(self, value: bytes | bytearray) -> None:
        """Bytes behind a length of one byte."""
        self.data.append(len(value))
        self.data += value

    def vector16(self, value: bytes | bytearray) -> None:
        """Bytes behind a length of two bytes."""
        self.data += len(value).to_bytes(2)
        self.data += value

    def vector24(self, value: bytes | bytearray) -> None:
        """Bytes behind a length of three bytes."""
        self.data += len(value).to_bytes(3)
        self.data += value

    def uint16s(self, values: Sequence[int]) -> None:
        """A list of code points behind a length of two bytes."""
        self.vector16(struct.pack(f">{len(values)}H", *values))
