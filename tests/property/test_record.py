"""Any chunking gives the same records and messages; what is sealed opens, and what was changed does not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handfast.crypto.schedule13 import TrafficSecret
from handfast.crypto.suites import SUITES, Suite
from handfast.errors import BadRecord, PeerMisbehaved
from handfast.reasons import BAD_RECORD_MAC
from handfast.record.framing import Framing
from handfast.record.layer import RecordLayer
from handfast.record.protection13 import Opener, Sealer
from handfast.record.reassembly import Reassembly

FULL = 16_384

content_types = st.sampled_from([20, 21, 22, 23])
bodies = st.binary(max_size=50) | st.integers(0, FULL).map(bytes)
records = st.lists(st.tuples(content_types, bodies), min_size=1, max_size=8)
suites = st.sampled_from(list(SUITES.values()))
contents = st.binary(max_size=60) | st.sampled_from([bytes(size) for size in (FULL - 1, FULL, FULL + 1, 3 * FULL)])


def record(content_type: int, body: bytes) -> bytes:
    return bytes((content_type,)) + b"\x03\x03" + len(body).to_bytes(2) + body


@st.composite
def pieces(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """The stream in pieces of any length."""
    places = draw(st.lists(st.integers(0, len(stream)), max_size=12))
    borders = [0, *sorted(places), len(stream)]
    return [stream[start:stop] for start, stop in itertools.pairwise(borders)]


def secret_of(suite: Suite) -> TrafficSecret:
    return TrafficSecret(suite, bytes(range(suite.hash_length)))


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
    sealer, opener, framing = Sealer(secret_of(suite)), Opener(secret_of(suite)), Framing()
    framing.limit = FULL + 256
    stream = b"".join(bytes(sealer.seal(kind, memoryview(content))) for kind, content in writes)
    opened = []
    for piece in data.draw(pieces(stream)):
        framing.feed(piece)
        while (item := framing.next()) is not None:
            opened.append(opener.open(item[1], item[2]))
    expected = [(kind, content[at : at + FULL]) for kind, content in writes for at in range(0, len(content) or 1, FULL)]
    assert opened == expected
    assert sealer.sequence == opener.sequence == len(expected)


@given(suite=suites, content=st.binary(max_size=40), bit=st.integers(0))
def test_a_flipped_bit_is_always_noticed(suite: Suite, content: bytes, bit: int) -> None:
    stream = bytearray(Sealer(secret_of(suite)).seal(23, memoryview(content)))
    bit %= 8 * len(stream)
    stream[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadRecord) as caught:
        Opener(secret_of(suite)).open(bytes(stream[:5]), memoryview(stream)[5:])
    assert caught.value.reason is BAD_RECORD_MAC


@given(suite=suites, body=st.binary(max_size=80))
@example(suite=SUITES[0x1303], body=b"")
def test_what_nobody_sealed_does_not_open(suite: Suite, body: bytes) -> None:
    with pytest.raises(BadRecord) as caught:
        Opener(secret_of(suite)).open(b"\x17\x03\x03" + len(body).to_bytes(2), memoryview(body))
    assert caught.value.reason is BAD_RECORD_MAC
