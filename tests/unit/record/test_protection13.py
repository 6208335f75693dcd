"""Records sealed and opened (RFC 9846 sections 5.2 to 5.5)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import replace

import pytest

from handfast.crypto import process
from handfast.crypto.schedule13 import TrafficSecret
from handfast.crypto.suites import SUITES, Suite
from handfast.errors import BadRecord, MisuseError, TLSError
from handfast.reasons import BAD_RECORD_MAC, FORKED, KEYS_EXHAUSTED, NO_CONTENT_TYPE, RECORD_OVERFLOW
from handfast.record.protection13 import Opener, Sealer

HANDSHAKE, ALERT, DATA = 22, 21, 23
FULL = 16_384

ALL = pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
SUITE = SUITES[0x1301]


def secret_of(suite: Suite = SUITE) -> TrafficSecret:
    return TrafficSecret(suite, bytes(range(suite.hash_length)))


def seal(sealer: Sealer, content_type: int, data: bytes) -> bytes:
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


def open_all(opener: Opener, stream: bytes) -> list[tuple[int, bytes]]:
    return [opener.open(header, memoryview(body)) for header, body in records_of(stream)]


def sealed_by_hand(secret: TrafficSecret, sequence: int, inner: bytes) -> tuple[bytes, bytes]:
    """A TLSCiphertext of any TLSInnerPlaintext, as RFC 9846 section 5.2 writes it down."""
    cipher, iv = secret.cipher()
    body = bytearray(len(inner) + secret.suite.tag_length)
    header = b"\x17\x03\x03" + len(body).to_bytes(2)
    cipher.encrypt_into((iv ^ sequence).to_bytes(12), inner, header, body)
    return header, bytes(body)


# --- round trips


@ALL
@pytest.mark.parametrize(
    "size", [0, 1, 2, 15, 16, 17, 255, 256, FULL - 1, FULL, FULL + 1, 2 * FULL, 2 * FULL + 1, 5 * FULL + 77]
)
def test_what_is_sealed_opens(suite: Suite, size: int) -> None:
    data = os.urandom(size)
    stream = seal(Sealer(secret_of(suite)), DATA, data)
    opened = open_all(Opener(secret_of(suite)), stream)
    assert {kind for kind, _ in opened} == {DATA}
    assert b"".join(content for _, content in opened) == data
    # Each record is as full as it may be, the last one holds the rest; nothing is one empty record.
    sizes = [len(content) for _, content in opened]
    assert sizes == [FULL] * (size // FULL) + ([size % FULL] if size % FULL or not size else [])


@ALL
def test_a_record_is_what_the_rfc_says(suite: Suite) -> None:
    secret = secret_of(suite)
    sealer = Sealer(secret)
    for sequence, (kind, data) in enumerate([(HANDSHAKE, b"message"), (DATA, b""), (ALERT, b"\1\0"), (DATA, b"more")]):
        assert sealer.sequence == sequence
        header, body = sealed_by_hand(secret, sequence, data + bytes((kind,)))
        assert seal(sealer, kind, data) == header + body
    assert sealer.sequence == 4


@ALL
def test_records_of_one_write_have_one_sequence_number_each(suite: Suite) -> None:
    secret = secret_of(suite)
    sealer, opener = Sealer(secret), Opener(secret)
    first = seal(sealer, DATA, bytes(3 * FULL))
    assert sealer.sequence == 3
    second = seal(sealer, HANDSHAKE, b"next")
    assert sealer.sequence == 4
    opened = open_all(opener, first + second)
    assert [(kind, len(content)) for kind, content in opened] == [(DATA, FULL)] * 3 + [(HANDSHAKE, 4)]
    assert opener.sequence == 4


def test_every_kind_of_buffer_can_be_sealed() -> None:
    for data in (b"abc", bytearray(b"abc"), memoryview(b"-abc-")[1:4]):
        stream = bytes(Sealer(secret_of()).seal(DATA, memoryview(data)))
        assert open_all(Opener(secret_of()), stream) == [(DATA, b"abc")]


def test_one_secret_gives_one_key_and_another_secret_another() -> None:
    stream = seal(Sealer(secret_of()), DATA, b"content")
    other = Opener(TrafficSecret(SUITE, bytes(32)))
    with pytest.raises(BadRecord):
        open_all(other, stream)


@pytest.mark.parametrize("sequence", [0, 1, 255, 256, (1 << 32) - 1, 1 << 32, (1 << 62) - 1], ids=hex)
def test_the_nonce_is_the_iv_xored_with_the_sequence_number(sequence: int) -> None:
    sealer, opener = Sealer(secret_of()), Opener(secret_of())
    sealer.sequence = opener.sequence = sequence
    stream = seal(sealer, DATA, b"content")
    assert stream == b"".join(sealed_by_hand(secret_of(), sequence, b"content\x17"))
    assert open_all(opener, stream) == [(DATA, b"content")]


# --- padding


@ALL
@pytest.mark.parametrize("zeros", [1, 2, 255, FULL - 7])
def test_padding_is_taken_off(suite: Suite, zeros: int) -> None:
    record = sealed_by_hand(secret_of(suite), 0, b"content" + b"\x16" + bytes(zeros))
    assert Opener(secret_of(suite)).open(*record) == (HANDSHAKE, b"content")


def test_zeros_of_the_content_are_not_padding() -> None:
    record = sealed_by_hand(secret_of(), 0, b"\0content\0\0" + b"\x17" + bytes(3))
    assert Opener(secret_of()).open(*record) == (DATA, b"\0content\0\0")


@pytest.mark.parametrize("zeros", [0, 1, 1000, FULL + 1])
def test_nothing_but_padding_is_refused(zeros: int) -> None:
    with pytest.raises(BadRecord) as caught:
        Opener(secret_of()).open(*sealed_by_hand(secret_of(), 0, bytes(zeros)))
    assert caught.value.reason is NO_CONTENT_TYPE
    assert caught.value.alert == 10  # unexpected_message


@pytest.mark.parametrize("content", [b"", b"padded"])
def test_content_type_and_padding_alone_are_an_empty_record(content: bytes) -> None:
    record = sealed_by_hand(secret_of(), 0, content + b"\x17" + bytes(10))
    assert Opener(secret_of()).open(*record) == (DATA, content)


@pytest.mark.parametrize("padding", [0, 1, FULL])
def test_the_longest_inner_plaintext(padding: int) -> None:
    inner = bytes(FULL - padding) + b"\x17" + bytes(padding)
    assert Opener(secret_of()).open(*sealed_by_hand(secret_of(), 0, inner)) == (DATA, bytes(FULL - padding))


@pytest.mark.parametrize("padding", [0, 1, 200, FULL + 1])
def test_a_longer_inner_plaintext_is_refused_even_if_it_is_padding(padding: int) -> None:
    # RFC 9846 section 5.4: the full TLSInnerPlaintext has 2^14 + 1 bytes at most.
    inner = bytes(FULL + 1 - padding) + b"\x17" + bytes(padding)
    with pytest.raises(BadRecord) as caught:
        Opener(secret_of()).open(*sealed_by_hand(secret_of(), 0, inner))
    assert caught.value.reason is RECORD_OVERFLOW
    assert caught.value.evidence == {"length": FULL + 2, "limit": FULL + 1}
    assert caught.value.alert == 22


# --- what does not open


def refused(opener: Opener, header: bytes, body: bytes) -> BadRecord:
    with pytest.raises(BadRecord) as caught:
        opener.open(header, memoryview(body))
    assert caught.value.reason is BAD_RECORD_MAC
    assert caught.value.alert == 20
    return caught.value


@ALL
def test_every_changed_byte_is_noticed(suite: Suite) -> None:
    header, body = sealed_by_hand(secret_of(suite), 0, b"content\x17")
    opener = Opener(secret_of(suite))
    for at in range(len(header)):
        refused(opener, header[:at] + bytes((header[at] ^ 1,)) + header[at + 1 :], body)
    for at in range(len(body)):
        refused(opener, header, body[:at] + bytes((body[at] ^ 0x80,)) + body[at + 1 :])
    refused(opener, header, body[:-1])
    refused(opener, header, body + b"\0")
    assert opener.open(header, memoryview(body)) == (DATA, b"content")


@ALL
@pytest.mark.parametrize("length", range(17))
def test_a_body_without_room_for_a_tag_does_not_open(suite: Suite, length: int) -> None:
    refused(Opener(secret_of(suite)), b"\x17\x03\x03" + length.to_bytes(2), bytes(length))


def test_a_failure_says_nothing_but_which_record_it_was() -> None:
    error = refused(Opener(secret_of()), *sealed_by_hand(secret_of(), 1, b"content\x17"))
    assert error.evidence == {"record": 0}
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_records_have_to_come_in_order_and_once() -> None:
    sealer, opener = Sealer(secret_of()), Opener(secret_of())
    first, second = (next(records_of(seal(sealer, DATA, data))) for data in (b"first", b"second"))
    refused(opener, *second)
    assert opener.sequence == 0
    assert opener.open(*first) == (DATA, b"first")
    refused(opener, *first)
    assert opener.sequence == 1
    assert opener.open(*second) == (DATA, b"second")


# --- the end of a key


def short_lived(records: int) -> TrafficSecret:
    return TrafficSecret(replace(SUITE, records=records), bytes(32))


def test_a_key_protects_as_many_records_as_is_safe_and_keeps_three_for_what_ends_it() -> None:
    """A KeyUpdate and two alerts may always be sent: without them a key could not be changed, nor a connection ended."""
    sealer = Sealer(short_lived(6))
    stream = seal(sealer, DATA, bytes(2 * FULL)) + seal(sealer, HANDSHAKE, b"third")
    for data in (b"fourth", b"", bytes(2 * FULL)):
        with pytest.raises(TLSError) as caught:
            seal(sealer, DATA, data)
        assert caught.value.reason is KEYS_EXHAUSTED
        assert caught.value.evidence == {"records": 3}
        assert sealer.sequence == 3
    stream += seal(sealer, HANDSHAKE, b"update") + seal(sealer, ALERT, b"\1\x5a") + seal(sealer, ALERT, b"\1\0")
    opened = open_all(Opener(short_lived(6)), stream)
    assert [kind for kind, _ in opened] == [DATA, DATA, HANDSHAKE, HANDSHAKE, ALERT, ALERT]


def test_a_write_that_the_key_has_no_room_for_is_refused_as_a_whole() -> None:
    sealer = Sealer(short_lived(5))
    with pytest.raises(TLSError) as caught:
        seal(sealer, DATA, bytes(3 * FULL))
    assert (caught.value.reason, sealer.sequence) == (KEYS_EXHAUSTED, 0)
    assert len(open_all(Opener(short_lived(5)), seal(sealer, DATA, bytes(2 * FULL)))) == 2


@pytest.mark.parametrize("limit", [63, FULL])
def test_a_key_knows_how_much_it_may_still_protect(limit: int) -> None:
    """Exactly what can be sealed without being refused; and what is kept back does not count."""
    sealer = Sealer(short_lived(6), limit)
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


# --- shorter records, and padding that is sent


def inner_of(secret: TrafficSecret, stream: bytes) -> list[bytes]:
    """The TLSInnerPlaintexts of a run of records: content, content type and padding (RFC 9846 section 5.4)."""
    cipher, iv = secret.cipher()
    return [
        cipher.decrypt((iv ^ number).to_bytes(12), body, header)
        for number, (header, body) in enumerate(records_of(stream))
    ]


@ALL
@pytest.mark.parametrize("limit", [63, 100, FULL - 1])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_records_are_as_short_as_the_peer_wants_them(suite: Suite, limit: int, over: int) -> None:
    data = os.urandom(3 * limit + over)
    stream = seal(Sealer(secret_of(suite), limit), DATA, data)
    sizes = [limit] * (len(data) // limit) + ([len(data) % limit] if len(data) % limit else [])
    assert [len(inner) - 1 for inner in inner_of(secret_of(suite), stream)] == sizes
    opened = open_all(Opener(secret_of(suite), limit + 1), stream)
    assert b"".join(content for _, content in opened) == data


@ALL
@pytest.mark.parametrize(
    ("padding", "size", "length"),
    [
        (1, 10, 11),  # with the content type
        (16, 0, 16),
        (16, 14, 16),
        (16, 15, 16),
        (16, 16, 32),
        (1000, 999, 1000),
        (1000, 1000, 2000),
        (FULL + 1, 1, FULL + 1),
        (FULL, FULL - 1, FULL),
        (FULL, FULL, FULL + 1),  # no record is longer than a record may be
    ],
)
def test_padding_hides_the_length(suite: Suite, padding: int, size: int, length: int) -> None:
    data = os.urandom(size)
    stream = seal(Sealer(secret_of(suite), padding=padding), HANDSHAKE, data)
    assert inner_of(secret_of(suite), stream) == [data + b"\x16" + bytes(length - size - 1)]
    assert open_all(Opener(secret_of(suite)), stream) == [(HANDSHAKE, data)]


@pytest.mark.parametrize(
    ("limit", "padding", "size", "lengths"),
    [
        (100, 64, 0, [64]),
        (100, 64, 100, [101]),  # two times 64 is more than the peer takes
        (100, 64, 250, [101, 101, 64]),
        (100, 64, 300, [101, 101, 101]),
        (100, 16_385, 1, [101]),
        (63, 8, 64, [64, 8]),
    ],
)
def test_padding_stays_within_what_the_peer_takes(limit: int, padding: int, size: int, lengths: list[int]) -> None:
    data = os.urandom(size)
    stream = seal(Sealer(secret_of(), limit, padding), DATA, data)
    assert [len(inner) for inner in inner_of(secret_of(), stream)] == lengths
    opened = open_all(Opener(secret_of(), limit + 1), stream)
    assert b"".join(content for _, content in opened) == data


def test_a_record_that_is_longer_than_we_asked_for_is_refused_padding_and_all() -> None:
    opener = Opener(secret_of(), 64)
    assert opener.open(*sealed_by_hand(secret_of(), 0, bytes(62) + b"\x17\0")) == (DATA, bytes(62))
    for sequence, inner in ((1, bytes(64) + b"\x17"), (2, b"x\x17" + bytes(63))):
        with pytest.raises(BadRecord) as caught:
            opener.open(*sealed_by_hand(secret_of(), sequence, inner))
        assert caught.value.reason is RECORD_OVERFLOW
        assert caught.value.evidence == {"length": 65, "limit": 64}


@ALL
def test_a_sealer_starts_with_the_limit_of_its_suite(suite: Suite) -> None:
    sealer = Sealer(secret_of(suite))
    assert sealer._left == suite.records


# --- forks


def fork_and_say(question: object) -> int:
    """Fork; in the child ask a question, and exit with its answer, a small number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the test runner has threads; the child only computes
        child = os.fork()
    if child == 0:
        try:
            os._exit(question())  # type: ignore[operator]
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_the_child_of_a_fork_does_not_seal() -> None:
    sealer = Sealer(secret_of())
    seal(sealer, DATA, b"before the fork")

    def in_the_child() -> int:
        for kind in (DATA, ALERT):
            try:
                seal(sealer, kind, b"one nonce twice")
            except MisuseError as error:
                if error.reason is not FORKED:
                    return 2
            else:
                return 1
        own = Sealer(secret_of())  # a connection that the child makes itself is its own
        return 0 if seal(own, DATA, b"x") and sealer.sequence == 1 else 3

    assert fork_and_say(in_the_child) == 0
    assert len(seal(sealer, DATA, b"the parent goes on")) == 5 + 18 + 17


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_the_grandchild_does_not_seal_with_what_the_child_made() -> None:
    def in_the_child() -> int:
        sealer = Sealer(secret_of())

        def in_the_grandchild() -> int:
            try:
                seal(sealer, DATA, b"x")
            except MisuseError:
                return 0
            return 1

        return fork_and_say(in_the_grandchild)

    assert fork_and_say(in_the_child) == 0


def test_after_a_fork_an_older_sealer_says_why_it_refuses() -> None:
    """What the fork's hook does, in this process, so that it can be seen."""
    sealer = Sealer(secret_of())
    process._forked()
    try:
        with pytest.raises(MisuseError) as caught:
            seal(sealer, DATA, b"x")
        assert caught.value.reason is FORKED
        assert sealer.sequence == 0
        assert seal(Sealer(secret_of()), DATA, b"x")
    finally:
        process._Process.forks -= 1
    assert seal(sealer, DATA, b"x")


def test_opening_goes_on_after_a_fork() -> None:
    """Reading with one key twice harms nobody, and a child may have to drain what its parent left."""
    opener = Opener(secret_of())
    process._forked()
    try:
        assert opener.open(*sealed_by_hand(secret_of(), 0, b"x\x17")) == (DATA, b"x")
    finally:
        process._Process.forks -= 1
