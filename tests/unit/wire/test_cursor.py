"""Reader and Writer: the bounds checks of everything that is parsed."""

from __future__ import annotations

from typing import Any

import pytest

from handfast.errors import DecodeError
from handfast.limits import CODEPOINTS_OF_A_LIST
from handfast.reasons import DECODE_ERROR, TOO_MANY_ITEMS
from handfast.wire.cursor import Reader, Writer


def read(reader: Reader, method: str, arguments: tuple[Any, ...]) -> Any:
    """What a method reads: a number, bytes, a list, or the bytes of a nested reader."""
    field = (*arguments, "f") if method == "opaque" else ("f", *arguments)
    value = getattr(reader, method)(*field)
    return value.rest() if isinstance(value, Reader) else value


@pytest.mark.parametrize(
    ("method", "arguments", "data", "value"),
    [
        ("uint8", (), "ff", 255),
        ("uint16", (), "0102", 0x0102),
        ("uint32", (), "01020304", 0x01020304),
        ("opaque", (0,), "", b""),
        ("opaque", (3,), "010203", b"\1\2\3"),
        ("vector8", (), "00", b""),
        ("vector8", (2,), "02 aabb", b"\xaa\xbb"),
        ("vector16", (1,), "0001 aa", b"\xaa"),
        ("vector24", (), "000000", b""),
        ("vector24", (2,), "000002 aabb", b"\xaa\xbb"),
        ("nested16", (), "0002 aabb", b"\xaa\xbb"),
        ("nested24", (), "000002 aabb", b"\xaa\xbb"),
        ("uint16s", (), "0004 0001 0a0a", [1, 0x0A0A]),
        ("uint16s8", (), "04 0304 fafa", [0x0304, 0xFAFA]),
    ],
)
def test_each_method_reads_its_value_and_stops_behind_it(
    method: str, arguments: tuple[Any, ...], data: str, value: object
) -> None:
    raw = bytes.fromhex(data)
    reader = Reader(raw + b"rest")
    assert read(reader, method, arguments) == value
    assert reader.position == len(raw)
    assert len(reader) == 4
    assert reader.rest() == b"rest"
    assert not reader
    reader.done("all")


@pytest.mark.parametrize(
    ("method", "arguments", "data", "offset"),
    [
        ("uint8", (), "", 3),
        ("uint16", (), "01", 3),
        ("uint32", (), "010203", 3),
        ("opaque", (4,), "010203", 3),
        ("vector8", (), "", 3),
        ("vector8", (), "02 aa", 3),
        ("vector8", (3,), "02 aabb", 3),
        ("vector16", (), "00", 3),
        ("vector16", (), "0002 aa", 3),
        ("vector16", (1,), "0000", 3),
        ("vector24", (), "0000", 3),
        ("vector24", (), "010000 aa", 3),
        ("vector24", (1,), "000000", 3),
        ("nested16", (), "0002 aa", 3),
        ("nested24", (), "000002 aa", 3),
        ("uint16s", (), "0000", 3),
        ("uint16s", (), "0003 000102", 8),
        ("uint16s8", (), "00", 3),
        ("uint16s8", (), "01 aa", 3),
        ("uint16s8", (), "03 000102", 7),
    ],
)
def test_what_does_not_suffice_is_refused_with_field_and_offset(
    method: str, arguments: tuple[Any, ...], data: str, offset: int
) -> None:
    reader = Reader(b"..." + bytes.fromhex(data), 3)
    with pytest.raises(DecodeError) as caught:
        read(reader, method, arguments)
    assert (caught.value.reason, caught.value.field, caught.value.offset) == (DECODE_ERROR, "f", offset)
    assert caught.value.evidence["problem"]


def test_a_reader_does_not_read_behind_its_end() -> None:
    raw = bytes.fromhex("0002 aabb cc")
    inner = Reader(raw).nested16("outer")
    assert inner.opaque(2, "all") == b"\xaa\xbb"
    for read in (lambda: inner.uint8("f"), lambda: inner.uint16("f"), lambda: inner.opaque(1, "f")):
        with pytest.raises(DecodeError) as caught:
            read()
        assert caught.value.offset == 4


def test_a_vector_may_not_leave_the_vector_around_it() -> None:
    inner = Reader(bytes.fromhex("0002 02aa bb")).nested16("outer")
    with pytest.raises(DecodeError) as caught:
        inner.vector8("inner")
    assert (caught.value.field, caught.value.offset) == ("inner", 2)


def test_entries_are_numbers_with_contents() -> None:
    reader = Reader(bytes.fromhex("000b ff01 0003 aabbcc 0002 0000 dd"))
    assert reader.entries16("list", "type", "data", 2) == [(0xFF01, 6, 9), (2, 13, 13)]
    assert reader.position == 13


@pytest.mark.parametrize(
    ("data", "field", "offset"),
    [("0003 ff0100 aa", "type", 2), ("0006 ff01 0003 aabb cc", "data", 2), ("0006 0001 0000 0002", "type", 6)],
)
def test_an_entry_may_not_be_cut_off(data: str, field: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        Reader(bytes.fromhex(data)).entries16("list", "type", "data", 2)
    assert (caught.value.field, caught.value.offset) == (field, offset)


def test_entries_are_counted() -> None:
    with pytest.raises(DecodeError) as caught:
        Reader(bytes.fromhex("000c 0001 0000 0002 0000 0003 0000")).entries16("list", "type", "data", 2)
    assert (caught.value.reason, caught.value.field) == (TOO_MANY_ITEMS, "list")


def test_bytes_too_many_are_counted() -> None:
    reader = Reader(b"abcd", 1)
    with pytest.raises(DecodeError, match="3 bytes too many") as caught:
        reader.done("message")
    assert (caught.value.field, caught.value.offset, caught.value.reason) == ("message", 1, DECODE_ERROR)


def test_a_list_of_code_points_is_capped() -> None:
    def listed(count: int) -> Reader:
        return Reader((2 * count).to_bytes(2) + bytes(2 * count))

    assert len(listed(CODEPOINTS_OF_A_LIST).uint16s("f")) == CODEPOINTS_OF_A_LIST
    with pytest.raises(DecodeError) as caught:
        listed(CODEPOINTS_OF_A_LIST + 1).uint16s("f")
    assert (caught.value.reason, caught.value.field) == (TOO_MANY_ITEMS, "f")
    assert caught.value.evidence["count"] == CODEPOINTS_OF_A_LIST + 1
    assert len(listed(CODEPOINTS_OF_A_LIST + 1).uint16s("f", maximum=CODEPOINTS_OF_A_LIST + 1)) > CODEPOINTS_OF_A_LIST


@pytest.mark.parametrize(
    ("method", "value", "data"),
    [
        ("uint8", 255, "ff"),
        ("uint16", 0x0102, "0102"),
        ("opaque", b"ab", "6162"),
        ("vector8", b"ab", "02 6162"),
        ("vector16", b"ab", "0002 6162"),
        ("vector24", b"ab", "000002 6162"),
        ("uint16s", [1, 0x0A0A], "0004 0001 0a0a"),
    ],
)
def test_each_method_writes_its_value(method: str, value: Any, data: str) -> None:
    writer = Writer()
    writer.uint8(0x77)
    getattr(writer, method)(value)
    assert writer.data == bytes.fromhex("77" + data)


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("uint8", 256),
        ("uint16", 1 << 16),
        ("vector8", bytes(256)),
        ("vector16", bytes(1 << 16)),
        ("vector24", bytes(1 << 24)),
        ("uint16s", [0] * (1 << 15)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_does_not_fit_is_never_written_cut_off(method: str, value: Any) -> None:
    with pytest.raises((OverflowError, ValueError)):
        getattr(Writer(), method)(value)
