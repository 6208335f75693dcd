"""Bytes to records: in any pieces, at linear cost, and with a name for what is no TLS (RFC 9846 section 5.1)."""

from __future__ import annotations

import pytest

from handfast.errors import BadRecord, PeerMisbehaved
from handfast.reasons import NOT_TLS, PLAINTEXT, PLAINTEXT_HTTP, RECORD_OVERFLOW, SSLV2, UNEXPECTED_RECORD
from handfast.record.framing import CIPHERTEXT_LIMIT, PLAINTEXT_LIMIT, Framing
from handfast.wire.codepoints import ProtocolVersion


def record(content_type: int, body: bytes, version: int = 0x0303) -> bytes:
    return bytes((content_type,)) + version.to_bytes(2) + len(body).to_bytes(2) + body


RECORDS = [
    (22, b"hello"),
    (20, b"\x01"),
    (23, b""),
    (21, b"\x02\x28"),
    (23, bytes(range(256)) * 64),
    (22, b"x"),
]
STREAM = b"".join(record(*item) for item in RECORDS)


def cut(framing: Framing) -> list[tuple[int, bytes]]:
    """All records that are complete."""
    found = []
    while (item := framing.next()) is not None:
        content_type, header, body = item
        assert header == record(content_type, bytes(body))[:5]
        found.append((content_type, bytes(body)))
    return found


class CountingFraming(Framing):
    """Counts how many bytes are copied to join pieces."""

    __slots__ = ("copied", "joins")

    def __init__(self) -> None:
        super().__init__()
        self.copied = self.joins = 0

    def _join(self) -> None:
        if len(self._chunks) > 1 or self._position < len(self._data):
            self.joins += 1
            self.copied += len(self)
        super()._join()


def test_a_whole_stream_in_one_piece() -> None:
    framing = CountingFraming()
    framing.feed(STREAM)
    assert len(framing) == len(STREAM)
    assert cut(framing) == RECORDS
    assert (len(framing), framing.joins) == (0, 0)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 100, 4096, 16_384, 16_389, 16_390])
def test_any_chunking_gives_the_same_records(size: int) -> None:
    framing = Framing()
    found = []
    for at in range(0, len(STREAM), size):
        framing.feed(STREAM[at : at + size])
        found += cut(framing)
    assert found == RECORDS
    assert len(framing) == 0


@pytest.mark.parametrize("at", range(1, 60))
def test_any_cut_gives_the_same_records(at: int) -> None:
    stream = b"".join(record(*item) for item in RECORDS[:4]) + record(22, b"the end is here " * 2)
    framing = Framing()
    framing.feed(stream[:at])
    found = cut(framing)
    framing.feed(stream[at:])
    assert [*found, *cut(framing)] == [*RECORDS[:4], (22, b"the end is here " * 2)]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_is_fed_may_be_reused(kind: type) -> None:
    data = bytearray(record(22, b"hello"))
    framing = Framing()
    framing.feed(kind(data))
    data[:] = bytes(len(data))
    assert cut(framing) == [(22, b"hello")]


def test_feeding_nothing_changes_nothing() -> None:
    framing = Framing()
    for _ in range(3):
        framing.feed(b"")
        assert framing.next() is None
    framing.feed(record(22, b"hello"))
    framing.feed(b"")
    assert cut(framing) == [(22, b"hello")]


@pytest.mark.parametrize("size", [1, 16, 1000])
def test_pieces_are_joined_twice_a_record_at_most(size: int) -> None:
    """Once for the header and once for the whole: were it at each piece, a record would cost its length squared."""
    framing = CountingFraming()
    one = record(23, bytes(PLAINTEXT_LIMIT))
    for at in range(0, len(one), size):
        framing.feed(one[at : at + size])
        framing.next()
    assert 1 <= framing.joins <= 2
    assert framing.copied <= len(one) + 5 + size
    assert len(framing) == 0


def test_many_records_byte_by_byte_cost_twice_their_bytes_at_most() -> None:
    framing = CountingFraming()
    stream = record(22, b"0123456789") * 200
    found = 0
    for at in range(len(stream)):
        framing.feed(stream[at : at + 1])
        found += framing.next() is not None
    assert found == 200
    assert framing.joins <= 2 * found
    assert framing.copied <= 2 * len(stream)


def test_the_body_of_a_whole_record_is_not_copied() -> None:
    data = record(23, b"content")
    framing = Framing()
    framing.feed(data)
    item = framing.next()
    assert item is not None
    assert item[2].obj is data


def test_first_says_that_no_record_has_come_yet() -> None:
    framing = Framing()
    data = record(22, b"hello")
    framing.feed(data[:-1])
    assert framing.next() is None
    assert framing.first
    framing.feed(data[-1:])
    assert framing.next() is not None
    assert not framing.first


# --- too long


@pytest.mark.parametrize(("limit", "encrypted"), [(PLAINTEXT_LIMIT, False), (CIPHERTEXT_LIMIT, True)])
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_a_record_that_says_it_is_too_long_is_refused_before_it_is_there(
    limit: int, encrypted: bool, first: bool
) -> None:
    framing = Framing()
    if encrypted:
        framing.limit = CIPHERTEXT_LIMIT
    if not first:
        framing.feed(record(22, b"first"))
        framing.next()
    framing.feed(b"\x17\x03\x03" + (limit + 1).to_bytes(2))
    with pytest.raises(BadRecord) as caught:
        framing.next()
    assert caught.value.reason is RECORD_OVERFLOW
    assert caught.value.evidence == {"length": limit + 1, "limit": limit}
    assert caught.value.alert == 22


@pytest.mark.parametrize("limit", [PLAINTEXT_LIMIT, CIPHERTEXT_LIMIT])
def test_a_record_of_the_full_length_is_taken(limit: int) -> None:
    framing = Framing()
    framing.limit = limit
    framing.feed(record(23, bytes(limit)))
    assert cut(framing) == [(23, bytes(limit))]


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0303], ids=hex)
def test_a_first_record_of_any_version_of_tls_is_too_long_and_not_something_else(version: int) -> None:
    framing = Framing()
    framing.feed(b"\x16" + version.to_bytes(2) + (PLAINTEXT_LIMIT + 1).to_bytes(2))
    with pytest.raises(BadRecord) as caught:
        framing.next()
    assert caught.value.reason is RECORD_OVERFLOW


def test_the_limits_are_those_of_the_rfc() -> None:
    assert (PLAINTEXT_LIMIT, CIPHERTEXT_LIMIT) == (2**14, 2**14 + 256)


# --- not TLS


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", PLAINTEXT_HTTP),
        (b"GET / HTTP/1.1\r\n", PLAINTEXT_HTTP),
        (b"POST / HTTP/1.1\r\n", PLAINTEXT_HTTP),
        (b"HEAD / HTTP/1.1\r\n", PLAINTEXT_HTTP),
        (b"PUT /x HTTP/1.1\r\n", PLAINTEXT_HTTP),
        (b"OPTIONS * HTTP/1.1\r\n", PLAINTEXT_HTTP),
        (b"CONNECT a:443 HTTP/1.1\r\n", PLAINTEXT_HTTP),
        (b"DELETE / HTTP/1.1\r\n", PLAINTEXT_HTTP),
        (b"PATCH / HTTP/1.1\r\n", PLAINTEXT_HTTP),
        (b"TRACE / HTTP/1.1\r\n", PLAINTEXT_HTTP),
        (b"SSH-2.0-OpenSSH_9.6\r\n", PLAINTEXT),
        (b"220 mail.example.com ESMTP\r\n", PLAINTEXT),
        (b"* OK IMAP4rev1\r\n", PLAINTEXT),
        (b"+OK POP3\r\n", PLAINTEXT),
        (b"QUIT\r\n", PLAINTEXT),
        (b"\r\n\r\n\t", PLAINTEXT),
        (bytes.fromhex("802e 01 0002 0015 0000 0010"), SSLV2),
        (bytes.fromhex("80e2 01 0301 00d2 0000 0010"), SSLV2),
        (bytes.fromhex("80e2 01 0200 00d2 0000 0010"), SSLV2),
        (bytes.fromhex("802e 02 0002 0015"), NOT_TLS),
        (bytes.fromhex("802e 01 0102 0015"), NOT_TLS),
        (bytes.fromhex("002e 01 0002 0015"), NOT_TLS),
        (b"\x00\x00\x00\x00\x00", NOT_TLS),
        (b"\xff\xfe\xfd\xfc\xfb", NOT_TLS),
        (bytes.fromhex("012e 01 0002 0015"), NOT_TLS),
        (b"GET\x00/", NOT_TLS),
        (b"GET \x7f", NOT_TLS),
        (b"\x7fELF\x02", NOT_TLS),
        (b"\x18\x03\x03\x00\x03", NOT_TLS),  # heartbeat
        # content types of TLS, but neither version nor length is
        (b"\x16garb", NOT_TLS),
        (b"\x14\xff\xff\xff\xff", NOT_TLS),
    ],
)
def test_what_is_no_tls_gets_a_name(data: bytes, reason: object) -> None:
    framing = Framing()
    framing.feed(data[:4])
    assert framing.next() is None
    framing.feed(data[4:])
    with pytest.raises(PeerMisbehaved) as caught:
        framing.next()
    assert caught.value.reason is reason
    if reason is SSLV2:
        assert caught.value.evidence == {"offers": ProtocolVersion.name(int.from_bytes(data[3:5]))}
    else:
        assert caught.value.evidence["first_bytes"] in (data[:5], data[:5].decode("latin-1"))


@pytest.mark.parametrize("content_type", [0, 19, 24, 72, 128, 255])
def test_after_a_record_of_tls_anything_else_is_an_unexpected_record(content_type: int) -> None:
    framing = Framing()
    framing.feed(record(22, b"hello") + bytes((content_type,)) + b"TTP/1.1")
    assert framing.next() is not None
    with pytest.raises(BadRecord) as caught:
        framing.next()
    assert caught.value.reason is UNEXPECTED_RECORD
    assert caught.value.evidence == {"content_type": content_type}
    assert caught.value.alert == 10


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0303, 0x0304, 0x0000, 0xFFFF], ids=hex)
def test_the_version_of_a_record_is_ignored(version: int) -> None:
    framing = Framing()
    framing.feed(record(22, b"hello", version))
    item = framing.next()
    assert item is not None
    assert bytes(item[2]) == b"hello"


def test_an_error_comes_again_at_the_next_call() -> None:
    framing = Framing()
    framing.feed(b"HTTP/1.1")
    for _ in range(2):
        with pytest.raises(PeerMisbehaved) as caught:
            framing.next()
        assert caught.value.reason is PLAINTEXT_HTTP
