"""Records of TLS 1.2 sealed and opened (RFC 5246 section 6.2.3.3, RFC 5288 section 3, RFC 6655 section 3, RFC 7905)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from handfast.crypto import process
from handfast.crypto.schedule12 import RecordKey
from handfast.crypto.suites import SUITES_12, Suite
from handfast.errors import BadRecord, MisuseError, TLSError
from handfast.reasons import BAD_RECORD_MAC, FORKED, KEYS_EXHAUSTED, RECORD_OVERFLOW
from handfast.record.protection12 import Opener12, Sealer12

CCS, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
FULL = 16_384

ALL = pytest.mark.parametrize("suite", SUITES_12.values(), ids=lambda suite: suite.name)
SUITE, CHACHA = SUITES_12[0xC02B], SUITES_12[0xCCA9]


def key_of(suite: Suite = SUITE) -> RecordKey:
    return RecordKey(suite, bytes(range(suite.key_length)), bytes(range(100, 100 + suite.iv_length)))


def seal(sealer: Sealer12, content_type: int, data: bytes) -> bytes:
    return bytes(sealer.seal(content_type, memoryview(data)))


def records_of(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records in a run of them, as header and body."""
    at = 0
    while at < len(stream):
        header = stream[at : at + 5]
        end = at + 5 + int.from_bytes(header[3:])
        assert len(stream) >= end
        yield header, stream[at + 5 : end]
        at = end


def open_all(opener: Opener12, stream: bytes) -> list[tuple[int, bytes]]:
    return [opener.open(header, memoryview(body)) for header, body in records_of(stream)]


def cipher_of(suite: Suite) -> Any:
    """The AEAD that the suite's name says, with the key of key_of()."""
    key = bytes(range(suite.key_length))
    if "CHACHA20" in suite.name:
        return ChaCha20Poly1305(key)
    if "GCM" in suite.name:
        return AESGCM(key)
    return AESCCM(key, tag_length=8 if suite.name.endswith("CCM_8") else 16)


def sealed_by_hand(
    suite: Suite, sequence: int, kind: int, content: bytes, explicit: bytes | None = None
) -> tuple[bytes, bytes]:
    """A TLSCiphertext as the RFCs write it down, by `cryptography` alone. ``explicit``: the peer's choice of a nonce."""
    fixed = bytes(range(100, 100 + suite.iv_length))
    if "CHACHA20" in suite.name:
        explicit = b""
        nonce = (int.from_bytes(fixed) ^ sequence).to_bytes(12)
    else:
        explicit = sequence.to_bytes(8) if explicit is None else explicit
        nonce = fixed + explicit
    additional = sequence.to_bytes(8) + bytes((kind,)) + b"\x03\x03" + len(content).to_bytes(2)
    body = explicit + cipher_of(suite).encrypt(nonce, content, additional)
    return bytes((kind,)) + b"\x03\x03" + len(body).to_bytes(2), body


# --- round trips


@ALL
@pytest.mark.parametrize(
    "size", [0, 1, 2, 15, 16, 17, 255, 256, FULL - 1, FULL, FULL + 1, 2 * FULL, 2 * FULL + 1, 5 * FULL + 77]
)
def test_what_is_sealed_opens(suite: Suite, size: int) -> None:
    data = os.urandom(size)
    opened = open_all(Opener12(key_of(suite)), seal(Sealer12(key_of(suite)), DATA, data))
    assert {kind for kind, _ in opened} == {DATA}
    assert b"".join(content for _, content in opened) == data
    sizes = [len(content) for _, content in opened]
    assert sizes == [FULL] * (size // FULL) + ([size % FULL] if size % FULL or not size else [])


@ALL
def test_a_record_is_what_the_rfc_says(suite: Suite) -> None:
    """The type stands in the clear, the additional data has the sequence number and the length of the content."""
    sealer, opener = Sealer12(key_of(suite)), Opener12(key_of(suite))
    for sequence, (kind, data) in enumerate([(HANDSHAKE, b"message"), (DATA, b""), (ALERT, b"\1\0"), (DATA, b"more")]):
        assert sealer.sequence == opener.sequence == sequence
        header, body = sealed_by_hand(suite, sequence, kind, data)
        assert len(body) == suite.explicit_nonce + len(data) + suite.tag_length
        assert seal(sealer, kind, data) == header + body
        assert opener.open(header, memoryview(body)) == (kind, data)
    assert sealer.sequence == opener.sequence == 4


@ALL
def test_records_of_one_write_have_one_sequence_number_each(suite: Suite) -> None:
    sealer, opener = Sealer12(key_of(suite)), Opener12(key_of(suite))
    first = seal(sealer, DATA, bytes(3 * FULL))
    assert sealer.sequence == 3
    opened = open_all(opener, first + seal(sealer, HANDSHAKE, b"next"))
    assert [(kind, len(content)) for kind, content in opened] == [(DATA, FULL)] * 3 + [(HANDSHAKE, 4)]
    assert sealer.sequence == opener.sequence == 4


def test_every_kind_of_buffer_can_be_sealed() -> None:
    for data in (b"abc", bytearray(b"abc"), memoryview(b"-abc-")[1:4]):
        stream = bytes(Sealer12(key_of()).seal(DATA, memoryview(data)))
        assert open_all(Opener12(key_of()), stream) == [(DATA, b"abc")]


# --- nonces


@ALL
@pytest.mark.parametrize("sequence", [0, 1, 255, 256, (1 << 32) - 1, 1 << 32, (1 << 62) - 1], ids=hex)
def test_no_nonce_comes_twice(suite: Suite, sequence: int) -> None:
    """Ours is the sequence number, in the record with AES (RFC 5288 section 3) and not with ChaCha20 (RFC 7905)."""
    sealer, opener = Sealer12(key_of(suite)), Opener12(key_of(suite))
    sealer.sequence = opener.sequence = sequence
    stream = seal(sealer, DATA, b"content")
    assert stream == b"".join(sealed_by_hand(suite, sequence, DATA, b"content"))
    if suite.explicit_nonce:
        assert stream[5:13] == sequence.to_bytes(8)
    assert open_all(opener, stream) == [(DATA, b"content")]


@pytest.mark.parametrize("suite", [suite for suite in SUITES_12.values() if suite.explicit_nonce], ids=lambda s: s.name)
@pytest.mark.parametrize("explicit", [bytes(8), b"\xff" * 8, b"anything"])
def test_the_peer_chooses_its_part_of_the_nonce_as_it_likes(suite: Suite, explicit: bytes) -> None:
    """It may be a counter from anywhere, or random; the additional data holds the order."""
    opener = Opener12(key_of(suite))
    for sequence in range(3):
        header, body = sealed_by_hand(suite, sequence, DATA, b"content", explicit)
        assert opener.open(header, memoryview(body)) == (DATA, b"content")


# --- what does not open


def refused(opener: Opener12, header: bytes, body: bytes) -> BadRecord:
    with pytest.raises(BadRecord) as caught:
        opener.open(header, memoryview(body))
    assert caught.value.reason is BAD_RECORD_MAC
    assert caught.value.alert == 20
    return caught.value


@ALL
def test_every_changed_byte_is_noticed(suite: Suite) -> None:
    header, body = sealed_by_hand(suite, 0, DATA, b"content")
    opener = Opener12(key_of(suite))
    refused(opener, b"\x16" + header[1:], body)  # the type is in the additional data
    for at in range(len(body)):
        refused(opener, header, body[:at] + bytes((body[at] ^ 0x80,)) + body[at + 1 :])
    refused(opener, header, body[:-1])
    refused(opener, header, body + b"\0")
    assert opener.open(header, memoryview(body)) == (DATA, b"content")


def test_version_and_length_are_what_they_have_to_be() -> None:
    """The additional data has the record's version and the length of its content (RFC 5246 section 6.2.3.3)."""
    header, body = sealed_by_hand(SUITE, 0, DATA, b"content")
    refused(Opener12(key_of()), header[:1] + b"\x03\x01" + header[3:], body)
    other = AESGCM(bytes(range(16))).encrypt(
        bytes(range(100, 104)) + bytes(8), b"content", bytes(8) + b"\x17\x03\x01\x00\x07"
    )
    for version in (b"\x03\x03", b"\x03\x01"):  # there is only one that a record may have
        refused(Opener12(key_of()), header[:1] + version + header[3:], bytes(8) + other)


@ALL
@pytest.mark.parametrize("length", range(24))
def test_a_body_without_room_for_nonce_and_tag_does_not_open(suite: Suite, length: int) -> None:
    if length < suite.explicit_nonce + suite.tag_length:
        refused(Opener12(key_of(suite)), b"\x17\x03\x03" + length.to_bytes(2), bytes(length))


def test_a_failure_says_nothing_but_which_record_it_was() -> None:
    for body in (sealed_by_hand(SUITE, 1, DATA, b"content")[1], b"short"):
        error = refused(Opener12(key_of()), b"\x17\x03\x03" + len(body).to_bytes(2), body)
        assert error.evidence == {"record": 0}
        assert error.__cause__ is None


@ALL
def test_records_have_to_come_in_order_and_once(suite: Suite) -> None:
    sealer, opener = Sealer12(key_of(suite)), Opener12(key_of(suite))
    first, second = (next(records_of(seal(sealer, DATA, data))) for data in (b"first", b"second"))
    refused(opener, *second)
    assert opener.sequence == 0
    assert opener.open(*first) == (DATA, b"first")  # type: ignore[arg-type]
    refused(opener, *first)
    assert opener.sequence == 1
    assert opener.open(*second) == (DATA, b"second")  # type: ignore[arg-type]


def test_one_key_opens_nothing_of_another() -> None:
    header, body = sealed_by_hand(SUITE, 0, DATA, b"content")
    refused(Opener12(RecordKey(SUITE, bytes(16), bytes(range(100, 104)))), header, body)
    refused(Opener12(RecordKey(SUITE, bytes(range(16)), bytes(4))), header, body)


# --- the end of a key


def short_lived(records: int) -> RecordKey:
    return RecordKey(replace(SUITE, records=records), bytes(16), bytes(4))


def test_a_key_protects_as_many_records_as_is_safe_and_keeps_two_for_alerts() -> None:
    """There is no way to another key in TLS 1.2 but a renegotiation: what is left is to say so, and to end."""
    sealer = Sealer12(short_lived(5))
    stream = seal(sealer, DATA, bytes(2 * FULL)) + seal(sealer, HANDSHAKE, b"third")
    for kind, data in ((DATA, b"fourth"), (HANDSHAKE, b"fourth"), (DATA, bytes(2 * FULL))):
        with pytest.raises(TLSError) as caught:
            seal(sealer, kind, data)
        assert caught.value.reason is KEYS_EXHAUSTED
        assert caught.value.evidence == {"records": 3}
        assert sealer.sequence == 3
    stream += seal(sealer, ALERT, b"\1\x5a") + seal(sealer, ALERT, b"\1\0")
    assert [kind for kind, _ in open_all(Opener12(short_lived(5)), stream)] == [DATA, DATA, HANDSHAKE, ALERT, ALERT]


def test_a_write_that_the_key_has_no_room_for_is_refused_as_a_whole() -> None:
    sealer = Sealer12(short_lived(4))
    with pytest.raises(TLSError) as caught:
        seal(sealer, DATA, bytes(2 * FULL + 1))
    assert (caught.value.reason, sealer.sequence) == (KEYS_EXHAUSTED, 0)
    assert len(open_all(Opener12(short_lived(4)), seal(sealer, DATA, bytes(2 * FULL)))) == 2


@pytest.mark.parametrize("limit", [64, FULL])
def test_a_key_knows_how_much_it_may_still_protect(limit: int) -> None:
    sealer = Sealer12(short_lived(5), limit)
    assert sealer.room == 3 * limit
    with pytest.raises(TLSError):
        seal(sealer, DATA, bytes(3 * limit + 1))
    seal(sealer, DATA, b"x")
    assert sealer.room == 2 * limit
    seal(sealer, DATA, bytes(2 * limit))
    assert sealer.room == 0
    with pytest.raises(TLSError):
        seal(sealer, DATA, b"x")
    seal(sealer, ALERT, b"\1\0")
    assert sealer.room == 0


def test_records_without_content_use_up_a_key_too() -> None:
    sealer = Sealer12(short_lived(3))
    seal(sealer, DATA, b"")
    with pytest.raises(TLSError) as caught:
        seal(sealer, DATA, b"")
    assert caught.value.reason is KEYS_EXHAUSTED


@ALL
def test_a_sealer_starts_with_the_limit_of_its_suite(suite: Suite) -> None:
    sealer = Sealer12(key_of(suite))
    assert sealer._left == suite.records
    assert not sealer.can_update


# --- shorter records


@ALL
@pytest.mark.parametrize("limit", [64, 100, FULL - 1])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_records_are_as_short_as_the_peer_wants_them(suite: Suite, limit: int, over: int) -> None:
    """RFC 8449 section 4: in TLS 1.2 the limit is of the content alone."""
    data = os.urandom(3 * limit + over)
    stream = seal(Sealer12(key_of(suite), limit), DATA, data)
    sizes = [limit] * (len(data) // limit) + ([len(data) % limit] if len(data) % limit else [])
    overhead = suite.explicit_nonce + suite.tag_length
    assert [len(body) - overhead for _, body in records_of(stream)] == sizes
    opened = open_all(Opener12(key_of(suite), limit), stream)
    assert b"".join(content for _, content in opened) == data


@ALL
@pytest.mark.parametrize("limit", [64, FULL])
def test_a_record_that_is_longer_than_it_may_be_is_refused(suite: Suite, limit: int) -> None:
    opener = Opener12(key_of(suite), limit)
    header, body = sealed_by_hand(suite, 0, DATA, bytes(limit))
    assert opener.open(header, memoryview(body)) == (DATA, bytes(limit))
    header, body = sealed_by_hand(suite, 1, DATA, bytes(limit + 1))
    with pytest.raises(BadRecord) as caught:
        opener.open(header, memoryview(body))
    assert caught.value.reason is RECORD_OVERFLOW
    assert caught.value.evidence == {"length": limit + 1, "limit": limit}
    assert caught.value.alert == 22


# --- forks


def test_after_a_fork_an_older_sealer_refuses() -> None:
    """What the fork's hook does, in this process; tests of TLS 1.3 fork in earnest."""
    sealer = Sealer12(key_of())
    process._forked()
    try:
        for kind in (DATA, ALERT):
            with pytest.raises(MisuseError) as caught:
                seal(sealer, kind, b"x")
            assert caught.value.reason is FORKED
        assert sealer.sequence == 0
        assert seal(Sealer12(key_of()), DATA, b"x")
    finally:
        process._Process.forks -= 1
    assert seal(sealer, DATA, b"x")


def test_opening_goes_on_after_a_fork() -> None:
    header, body = sealed_by_hand(SUITE, 0, DATA, b"x")
    opener = Opener12(key_of())
    process._forked()
    try:
        assert opener.open(header, memoryview(body)) == (DATA, b"x")
    finally:
        process._Process.forks -= 1
