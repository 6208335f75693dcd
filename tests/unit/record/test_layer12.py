"""The record layer with keys of TLS 1.2: the type is in the clear, and ChangeCipherSpec stands where keys change."""

from __future__ import annotations

import threading

import pytest

from handfast import limits
from handfast.crypto.schedule12 import RecordKey
from handfast.crypto.suites import SUITES_12
from handfast.errors import BadRecord, PeerMisbehaved, TLSError
from handfast.reasons import (
    BAD_CHANGE_CIPHER_SPEC,
    BAD_RECORD_MAC,
    EMPTY_RECORD,
    KEYS_EXHAUSTED,
    RECORD_OVERFLOW,
    TOO_MANY_EMPTY_RECORDS,
    Reason,
)
from handfast.record.layer import RecordHook, RecordLayer
from handfast.record.protection12 import Sealer12

CCS, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
FULL = 16_384
KEY = RecordKey(SUITES_12[0xC02B], bytes(range(16)), bytes(4))
CHANGE_CIPHER_SPEC = b"\x14\x03\x03\x00\x01\x01"
OVERHEAD = 8 + 16  # of AES-GCM in TLS 1.2: half a nonce, and the tag


def record(content_type: int, body: bytes) -> bytes:
    return bytes((content_type,)) + b"\x03\x03" + len(body).to_bytes(2) + body


class Peer:
    """Seals what the other side may send, right or wrong."""

    def __init__(self) -> None:
        self.sealer = Sealer12(KEY)

    def seal(self, content_type: int, data: bytes) -> bytes:
        return bytes(self.sealer.seal(content_type, memoryview(data)))


def reading(hook: RecordHook | None = None) -> RecordLayer:
    layer = RecordLayer(hook)
    layer.install_read(KEY)
    return layer


def writing(hook: RecordHook | None = None) -> RecordLayer:
    layer = RecordLayer(hook)
    layer.install_write(KEY)
    return layer


def refused(layer: RecordLayer, data: bytes, reason: Reason) -> TLSError:
    layer.feed(data)
    with pytest.raises(PeerMisbehaved) as caught:
        layer.read()
    assert caught.value.reason is reason
    return caught.value


def read_all(layer: RecordLayer) -> list[tuple[int, bytes, bool]]:
    found = []
    while (item := layer.read()) is not None:
        found.append((item[0], bytes(item[1]), item[2]))
    return found


# --- reading


def test_every_type_is_encrypted() -> None:
    peer, layer = Peer(), reading()
    assert layer.decrypting
    sent = [(HANDSHAKE, b"message"), (DATA, b"data"), (ALERT, b"\1\0")]
    layer.feed(b"".join(peer.seal(kind, data) for kind, data in sent))
    assert read_all(layer) == [(kind, data, True) for kind, data in sent]


@pytest.mark.parametrize("content_type", [ALERT, HANDSHAKE, DATA])
def test_nothing_is_read_in_the_clear_any_more(content_type: int) -> None:
    """It cannot be told from what does not decrypt, and that is what it is."""
    for body in (b"\2\x28", bytes(40)):
        layer = reading()
        layer.plaintext_alert_allowed = True
        refused(layer, record(content_type, body), BAD_RECORD_MAC)


def test_the_limit_grows_with_the_keys() -> None:
    layer = reading()
    layer.feed(b"\x17\x03\x03" + (FULL + 256).to_bytes(2))
    assert layer.read() is None
    refused(reading(), b"\x17\x03\x03" + (FULL + 257).to_bytes(2), RECORD_OVERFLOW)


def test_a_change_cipher_spec_in_the_clear_is_refused_where_none_is_awaited() -> None:
    layer = reading()
    assert not layer.change_cipher_spec_allowed
    refused(layer, CHANGE_CIPHER_SPEC, BAD_CHANGE_CIPHER_SPEC)


def test_an_encrypted_change_cipher_spec_is_none() -> None:
    """Its type is in the clear in TLS 1.2, so it is read as one, and its content is wrong."""
    layer = reading()
    layer.change_cipher_spec_allowed = True
    refused(layer, Peer().seal(CCS, b"\1"), BAD_CHANGE_CIPHER_SPEC)


def test_keys_are_changed_between_records() -> None:
    layer = RecordLayer()
    layer.change_cipher_spec_allowed = True
    layer.feed(record(HANDSHAKE, b"before") + CHANGE_CIPHER_SPEC + Peer().seal(HANDSHAKE, b"finished"))
    assert layer.read() == (HANDSHAKE, b"before", False)
    assert layer.read() == (CCS, b"\1", False)
    layer.install_read(KEY)
    assert layer.read() == (HANDSHAKE, b"finished", True)


def test_empty_records_have_the_same_limits_as_in_tls_1_3() -> None:
    """RFC 5246 section 6.2.1: empty data is allowed, empty fragments of anything else are not."""
    for kind in (HANDSHAKE, ALERT):
        refused(reading(), Peer().seal(kind, b""), EMPTY_RECORD)
    peer, layer = Peer(), reading()
    layer.feed(b"".join(peer.seal(DATA, b"") for _ in range(limits.EMPTY_RECORDS_IN_A_ROW)))
    for _ in range(limits.EMPTY_RECORDS_IN_A_ROW):
        assert layer.read() == (DATA, b"", True)
    refused(layer, peer.seal(DATA, b""), TOO_MANY_EMPTY_RECORDS)


def test_a_record_may_be_as_long_as_content_may_be() -> None:
    """There is no byte for a type as in TLS 1.3."""
    peer = Peer()
    peer.sealer.limit = FULL + 1
    layer = reading()
    layer.feed(peer.seal(DATA, bytes(FULL)))
    assert layer.read() == (DATA, bytes(FULL), True)
    error = refused(layer, peer.seal(DATA, bytes(FULL + 1)), RECORD_OVERFLOW)
    assert error.evidence == {"length": FULL + 1, "limit": FULL}


# --- writing


def test_keys_hold_for_what_is_written_after_the_change() -> None:
    layer = RecordLayer()
    layer.write(HANDSHAKE, b"before")
    layer.write_change_cipher_spec()
    layer.install_write(KEY)
    assert layer.encrypted
    layer.write(HANDSHAKE, b"finished")
    layer.write_application_data(b"data")
    layer.write(ALERT, b"\1\0")
    peer = Peer()
    expected = record(HANDSHAKE, b"before") + CHANGE_CIPHER_SPEC
    expected += peer.seal(HANDSHAKE, b"finished") + peer.seal(DATA, b"data") + peer.seal(ALERT, b"\1\0")
    assert layer.take() == expected


def test_padding_is_for_tls_1_3() -> None:
    layer = RecordLayer()
    layer.padding = 1024
    layer.install_write(KEY)
    layer.write_application_data(b"data")
    assert layer.take() == Peer().seal(DATA, b"data")


def test_what_a_key_has_no_room_for_is_refused_and_not_updated() -> None:
    layer = writing()
    assert isinstance(layer._sealer, Sealer12)
    layer._sealer._left = 3
    layer.write_application_data(b"last")
    layer.take()
    with pytest.raises(TLSError) as caught:
        layer.write_application_data(b"one too many")
    assert caught.value.reason is KEYS_EXHAUSTED
    assert not layer.pending
    layer.write(ALERT, b"\1\0")
    assert layer.pending


def test_keys_of_tls_1_2_are_never_updated() -> None:
    with pytest.raises(AssertionError, match="encrypted"):
        writing().update_write(request_peer=False)
    with pytest.raises(AssertionError, match="encrypted"):
        reading().update_read(update_requested=False)


@pytest.mark.parametrize("limit", [64, 100, FULL, FULL + 1, 65_535])
@pytest.mark.parametrize("first", [True, False], ids=["before keys", "with keys"])
def test_shorter_records(limit: int, first: bool) -> None:
    """RFC 8449 section 4: the limit is of the content, and never more than the protocol has."""
    most = min(limit, FULL)
    writer, reader = RecordLayer(), RecordLayer()
    for layer, change in ((writer, writer.limit_sending), (reader, reader.limit_receiving)):
        install = writer.install_write if layer is writer else reader.install_read
        if first:
            change(limit)
            install(KEY)
        else:
            install(KEY)
            change(limit)
    writer.write_application_data(bytes(2 * most + 1))
    sent = bytes(writer.take())
    assert int.from_bytes(sent[3:5]) == most + OVERHEAD
    reader.feed(sent)
    assert [len(content) for _, content, _ in read_all(reader)] == [most, most, 1]


@pytest.mark.parametrize("first", [True, False], ids=["before keys", "with keys"])
def test_more_than_we_asked_for_is_refused(first: bool) -> None:
    layer = RecordLayer()
    if first:
        layer.limit_receiving(64)
        layer.install_read(KEY)
    else:
        layer.install_read(KEY)
        layer.limit_receiving(64)
    layer.feed(Peer().seal(DATA, bytes(65)))
    with pytest.raises(BadRecord) as caught:
        layer.read()
    assert caught.value.evidence == {"length": 65, "limit": 64}


# --- the hook


def test_the_hook_is_told_the_type_and_that_it_is_encrypted() -> None:
    seen: list[tuple[bool, int, int, bool]] = []
    layer = RecordLayer(lambda *facts: seen.append(facts))
    layer.change_cipher_spec_allowed = True
    layer.write(HANDSHAKE, b"hello")
    layer.write_change_cipher_spec()
    layer.install_write(KEY)
    layer.write(HANDSHAKE, b"finished")
    layer.write(DATA, bytes(FULL + 1))
    layer.write(ALERT, b"\1\0")
    sent = bytes(layer.take())
    assert seen == [
        (True, HANDSHAKE, 5, False),
        (True, CCS, 1, False),
        (True, HANDSHAKE, 8 + OVERHEAD, True),
        (True, DATA, FULL + OVERHEAD, True),
        (True, DATA, 1 + OVERHEAD, True),
        (True, ALERT, 2 + OVERHEAD, True),
    ]
    wrote = seen.copy()
    seen.clear()
    layer.feed(sent)
    layer.read()
    layer.read()
    layer.install_read(KEY)
    read_all(layer)
    assert seen == [(False, *facts[1:]) for facts in wrote]


# --- threads


def test_alerts_come_between_data_in_order() -> None:
    layer, reader = writing(), reading()
    rounds = 300

    def write() -> None:
        for number in range(rounds):
            layer.write_application_data(number.to_bytes(2))

    threads = [
        threading.Thread(target=write),
        threading.Thread(target=lambda: [layer.write(ALERT, b"\1\x5a") for _ in range(rounds)]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    reader.feed(layer.take())
    found = read_all(reader)
    assert [content for kind, content, _ in found if kind == DATA] == [number.to_bytes(2) for number in range(rounds)]
    assert sum(kind == ALERT for kind, _, _ in found) == rounds
