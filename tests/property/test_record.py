"""Any chunking gives the same records and messages; what is sealed opens, and what was changed does not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handfast.crypto.schedule12 import RecordKey
from handfast.crypto.schedule13 import TrafficSecret
from handfast.crypto.suites import SUITES, SUITES_12, Suite
from handfast.errors import BadRecord, PeerMisbehaved
from handfast.reasons import BAD_RECORD_MAC
from handfast.record.framing import Framing
from handfast.record.layer import RecordLayer
from handfast.record.protection12 import Opener12, Sealer12
from handfast.record.protection13 import Opener, Sealer
from handfast.record.reassembly import Reassembly

FULL = 16_384

content_types = st.sampled_from([20, 21, 22, 23])
bodies = st.binary(max_size=50) | st.integers(0, FULL).map(bytes)
records = st.lists(st.tuples(content_types, bodies), min_size=1, max_size=8)
suites = st.sampled_from([*SUITES.values(), *SUITES_12.values()])
contents = st.binary(max_size=60) | st.sampled_from([bytes(size) for size in (FULL - 1, FULL, FULL + 1, 3 * FULL)])


def record(content_type: int, body: bytes) -> bytes:
    return bytes((content_type,)) + b"\x03\x03" + len(body).to_bytes(2) + body


@st.composite
def pieces(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """The stream in pieces of any length."""
    places = draw(st.lists(st.integers(0, len(stream)), max_size=12))
    borders = [0, *sorted(places), len(stream)]
    return [stream[start:stop] for start, stop in itertools.pairwise(borders)]


def protection(suite: Suite) -> tuple[Sealer | Sealer12, Opener | Opener12]:
    """Both ends of one direction, with the same key."""
    if suite.id in SUITES:
        secret = TrafficSecret(suite, bytes(range(suite.hash_length)))
        return Sealer(secret), Opener(secret)
    key = RecordKey(suite, bytes(range(suite.key_length)), bytes(range(suite.iv_length)))
    return Sealer12(key), Opener12(key)


@given(items=records, data=st.data(), greedy=st.booleans())
def test_any_chunking_gives_the_same_records(items: list[tuple[int, bytes]], data: st.DataObject, greedy: bool) -> None:
    stream = b"".join(record(*item) for item in items)
    framing = Framing()
    found = []
    fed = 0
    for piece in data.draw(pieces(stream)):
        framing.feed(piece)
        fed += len(piece)
        while (item := framing.next()) is not None:
            found.append((item[0], bytes(item[2])))
            if not greedy:
                break  # one at a time; the rest is taken with the pieces to come
        assert len(framing) == fed - sum(5 + len(body) for _, body in found)
    while (item := framing.next()) is not None:
        found.append((item[0], bytes(item[2])))
    assert found == items


@given(stream=st.binary(max_size=200), data=st.data())
def test_any_bytes_in_any_pieces_come_to_the_same_end(stream: bytes, data: st.DataObject) -> None:
    def run(chunks: list[bytes]) -> list[object]:
        layer = RecordLayer()
        layer.change_cipher_spec_allowed = True
        seen: list[object] = []
        for chunk in chunks:
            layer.feed(chunk)
            try:
                while (item := layer.read()) is not None:
                    seen.append((item[0], bytes(item[1])))
            except PeerMisbehaved as error:
                return [*seen, error.reason, error.evidence]
        return [*seen, layer.held]

    assert run(data.draw(pieces(stream))) == run([stream])


@given(bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=6), data=st.data())
def test_any_records_give_the_same_messages(bodies: list[bytes], data: st.DataObject) -> None:
    expected = [b"\x14" + len(body).to_bytes(3) + body for body in bodies]
    messages = Reassembly()
    found = []
    for piece in data.draw(pieces(b"".join(expected))):
        messages.feed(memoryview(piece))
        while (raw := messages.next()) is not None:
            found.append(raw)
    assert found == expected
    assert len(messages) == 0


@given(suite=suites, writes=st.lists(st.tuples(st.integers(1, 255), contents), max_size=5), data=st.data())
def test_what_is_sealed_opens(suite: Suite, writes: list[tuple[int, bytes]], data: st.DataObject) -> None:
    (sealer, opener), framing = protection(suite), Framing()
    framing.limit = FULL + 256
    written = [(kind, bytes(sealer.seal(kind, memoryview(content)))) for kind, content in writes]
    if suite.id in SUITES_12:  # a type that nobody knows shows there, and framing refuses it
        records = [each for kind, stream in written for each in split(stream)]
    else:
        records = []
        for piece in data.draw(pieces(b"".join(stream for _, stream in written))):
            framing.feed(piece)
            while (item := framing.next()) is not None:
                records.append((item[1], item[2]))
    opened = [opener.open(*each) for each in records]
    expected = [(kind, content[at : at + FULL]) for kind, content in writes for at in range(0, len(content) or 1, FULL)]
    assert opened == expected
    assert sealer.sequence == opener.sequence == len(expected)


def split(stream: bytes) -> list[tuple[bytes, memoryview]]:
    """The records of a stream, as header and body."""
    found = []
    while stream:
        end = 5 + int.from_bytes(stream[3:5])
        found.append((stream[:5], memoryview(stream)[5:end]))
        stream = stream[end:]
    return found


@given(suite=suites, content=st.binary(max_size=40), bit=st.integers(0))
def test_a_flipped_bit_is_always_noticed(suite: Suite, content: bytes, bit: int) -> None:
    sealer, opener = protection(suite)
    stream = bytearray(sealer.seal(23, memoryview(content)))
    # In TLS 1.2 the type is authenticated, with the version and length that a record has to have: framing compares those.
    at = [number for number in range(len(stream)) if suite.id in SUITES or not 0 < number < 5]
    stream[at[bit // 8 % len(at)]] ^= 1 << bit % 8
    with pytest.raises(BadRecord) as caught:
        opener.open(bytes(stream[:5]), memoryview(stream)[5:])
    assert caught.value.reason is BAD_RECORD_MAC


@given(suite=suites, content=st.binary(max_size=40), dropped=st.integers(0, 2))
def test_a_record_that_is_missing_is_always_noticed(suite: Suite, content: bytes, dropped: int) -> None:
    """And one that comes twice: the sequence number is authenticated, whatever half of a nonce a record carries."""
    sealer, opener = protection(suite)
    (first,), (second,) = (split(bytes(sealer.seal(23, memoryview(content)))) for _ in range(2))
    order = {0: [second], 1: [first, first], 2: [second, first]}[dropped]
    with pytest.raises(BadRecord) as caught:
        for each in order:
            opener.open(*each)
    assert caught.value.reason is BAD_RECORD_MAC


@given(suite=suites, body=st.binary(max_size=80))
@example(suite=SUITES[0x1303], body=b"")
@example(suite=SUITES_12[0xCCA9], body=b"")
@example(suite=SUITES_12[0xC02B], body=bytes(23))
@example(suite=SUITES_12[0xC0AE], body=bytes(15))
def test_what_nobody_sealed_does_not_open(suite: Suite, body: bytes) -> None:
    _, opener = protection(suite)
    with pytest.raises(BadRecord) as caught:
        opener.open(b"\x17\x03\x03" + len(body).to_bytes(2), memoryview(body))
    assert caught.value.reason is BAD_RECORD_MAC
