"""Reading and writing the presentation language of RFC 9846 section 3: the only bounds checks in the code base."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from handfast.errors import DecodeError
from handfast.limits import CODEPOINTS_OF_A_LIST
from handfast.reasons import DECODE_ERROR, TOO_MANY_ITEMS


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
        position = self.position
        if position + 2 > self.end:
            raise self.error(field, "too short")
        self.position = position + 2
        return self.data[position] << 8 | self.data[position + 1]

    def uint32(self, field: str) -> int:
        """A number of four bytes, big-endian."""
        return int.from_bytes(self.opaque(4, field))

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

    def _span(self, width: int, field: str, minimum: int) -> int:
        """Pass a vector whose length has ``width`` bytes; where its content starts. It ends where we then stand."""
        start = self.position + width
        if start > self.end:
            raise self.error(field, "too short")
        length = int.from_bytes(self.data[self.position : start])
        stop = start + length
        if length < minimum:
            raise self.error(field, f"{length} bytes, at least {minimum} are needed")
        if stop > self.end:
            raise self.error(field, "too short")
        self.position = stop
        return start

    def vector8(self, field: str, minimum: int = 0) -> bytes:
        """``opaque field<minimum..2^8-1>``."""
        return self.data[self._span(1, field, minimum) : self.position]

    def vector16(self, field: str, minimum: int = 0) -> bytes:
        """``opaque field<minimum..2^16-1>``."""
        return self.data[self._span(2, field, minimum) : self.position]

    def vector24(self, field: str, minimum: int = 0) -> bytes:
        """``opaque field<minimum..2^24-1>``."""
        return self.data[self._span(3, field, minimum) : self.position]

    def nested16(self, field: str, minimum: int = 0) -> Reader:
        """A reader over ``field<minimum..2^16-1>``, which it leaves behind."""
        start = self._span(2, field, minimum)
        return Reader(self.data, start, self.position)

    def nested24(self, field: str, minimum: int = 0) -> Reader:
        """A reader over ``field<minimum..2^24-1>``, which it leaves behind."""
        start = self._span(3, field, minimum)
        return Reader(self.data, start, self.position)

    def entry16(self, kind: str, content: str) -> tuple[int, Reader]:
        """A number of two bytes, and a reader over the ``content<0..2^16-1>`` behind it, which is left behind."""
        start = self.position + 4
        data = self.data
        if start > self.end:
            raise self.error(kind, "too short")
        stop = start + (data[start - 2] << 8 | data[start - 1])
        if stop > self.end:
            raise self.error(content, "too short")
        self.position = stop
        return data[start - 4] << 8 | data[start - 3], Reader(data, start, stop)

    def uint16s(self, field: str, maximum: int = CODEPOINTS_OF_A_LIST) -> list[int]:
        """``uint16 field<2..2^16-2>``, a list of code points that is not empty."""
        return self._uint16s(self.vector16(field, 2), field, maximum)

    def uint16s8(self, field: str) -> list[int]:
        """``uint16 field<2..254>``, a list of code points that is not empty, with a length of one byte."""
        return self._uint16s(self.vector8(field, 2), field, CODEPOINTS_OF_A_LIST)

    def _uint16s(self, data: bytes, field: str, maximum: int) -> list[int]:
        if len(data) % 2:
            raise self.error(field, "half a code point at the end")
        if len(data) > 2 * maximum:
            raise DecodeError(field, self.position, TOO_MANY_ITEMS, count=len(data) // 2)
        return list(struct.unpack(f">{len(data) // 2}H", data))

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
