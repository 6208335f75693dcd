"""The record layer: what may stand where, in both directions, and from several threads (RFC 9846 section 5)."""

from __future__ import annotations

import array
import sys
import threading
from collections.abc import Callable

import pytest

from handfast import limits
from handfast.crypto.schedule13 import TrafficSecret
from handfast.crypto.suites import SUITES
from handfast.errors import BadRecord, PeerMisbehaved, TLSError
from handfast.reasons import (
    BAD_CHANGE_CIPHER_SPEC,
    BAD_RECORD_MAC,
    EMPTY_RECORD,
    PLAINTEXT_HTTP,
    RECORD_OVERFLOW,
    TOO_MANY_CHANGE_CIPHER_SPECS,
    TOO_MANY_EMPTY_RECORDS,
    UNENCRYPTED_RECORD,
    UNEXPECTED_RECORD,
    Reason,
)
from handfast.record.layer import RecordHook, RecordLayer
from handfast.record.protection13 import Sealer

CCS, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
FULL = 16_384

SECRET = TrafficSecret(SUITES[0x1301], bytes(range(32)))
CHANGE_CIPHER_SPEC = b"\x14\x03\x03\x00\x01\x01"


def record(content_type: int, body: bytes) -> bytes:
    return bytes((content_type,)) + b"\x03\x03" + len(body).to_bytes(2) + body


class Peer:
    """Seals what the other side may send, right or wrong."""

    def __init__(self) -> None:
        self.sealer = Sealer(SECRET)

    def seal(self, content_type: int, data: bytes) -> bytes:
        return bytes(self.sealer.seal(content_type, memoryview(data)))


def reading(hook: RecordHook | None = None) -> RecordLayer:
    """A layer that has keys to read with."""
    layer = RecordLayer(hook)
    layer.install_read(SECRET)
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


# --- before there are keys


def test_plaintext_records_come_out_as_they_are() -> None:
    layer = RecordLayer()
    assert (layer.started, layer.decrypting, layer.encrypted, layer.held) == (False, False, False, 0)
    layer.feed(record(HANDSHAKE, b"hello") + record(ALERT, b"\2\x28") + record(HANDSHAKE, b"x")[:-1])
    assert read_all(layer) == [(HANDSHAKE, b"hello", False), (ALERT, b"\2\x28", False)]
    assert (layer.started, layer.held) == (True, 5)
    layer.feed(b"x")
    assert read_all(layer) == [(HANDSHAKE, b"x", False)]
    assert layer.held == 0


def test_data_without_keys_is_refused() -> None:
    error = refused(RecordLayer(), record(DATA, b"data"), UNEXPECTED_RECORD)
    assert error.evidence == {"content_type": "application_data"}
    assert error.alert == 10


@pytest.mark.parametrize("content_type", [HANDSHAKE, ALERT])
def test_an_empty_plaintext_record_is_refused(content_type: int) -> None:
    assert refused(RecordLayer(), record(content_type, b""), EMPTY_RECORD).alert == 10


def test_the_limit_of_plaintext_grows_with_the_keys() -> None:
    refused(RecordLayer(), b"\x16\x03\x03" + (FULL + 1).to_bytes(2), RECORD_OVERFLOW)
    layer = reading()
    layer.feed(b"\x17\x03\x03" + (FULL + 256).to_bytes(2))
    assert layer.read() is None
    refused(reading(), b"\x17\x03\x03" + (FULL + 257).to_bytes(2), RECORD_OVERFLOW)


def test_what_is_no_tls_is_named() -> None:
    refused(RecordLayer(), b"HTTP/1.1 400 Bad Request", PLAINTEXT_HTTP)


# --- with keys


def test_encrypted_records_come_out_opened() -> None:
    peer, layer = Peer(), reading()
    assert layer.decrypting
    layer.feed(peer.seal(HANDSHAKE, b"message") + peer.seal(DATA, b"data") + peer.seal(ALERT, b"\1\0"))
    assert read_all(layer) == [(HANDSHAKE, b"message", True), (DATA, b"data", True), (ALERT, b"\1\0", True)]


def test_an_encrypted_change_cipher_spec_comes_out_as_encrypted_so_that_it_can_be_refused() -> None:
    layer = reading()
    layer.change_cipher_spec_allowed = True
    layer.feed(Peer().seal(CCS, b"\1"))
    assert read_all(layer) == [(CCS, b"\1", True)]


def test_unknown_inner_types_are_left_to_the_caller() -> None:
    layer = reading()
    layer.feed(Peer().seal(99, b"what"))
    assert read_all(layer) == [(99, b"what", True)]


@pytest.mark.parametrize("content_type", [HANDSHAKE, ALERT])
def test_nothing_may_be_unencrypted_any_more(content_type: int) -> None:
    error = refused(reading(), record(content_type, b"\2\x28"), UNENCRYPTED_RECORD)
    assert error.alert == 10


def test_a_record_that_does_not_open_is_refused() -> None:
    layer = reading()
    layer.plaintext_alert_allowed = True
    refused(layer, record(DATA, bytes(40)), BAD_RECORD_MAC)
    assert layer.plaintext_alert_allowed  # nobody has proved anything yet


def test_keys_are_changed_between_records() -> None:
    other = TrafficSecret(SUITES[0x1303], bytes(32))
    first, second = Peer(), Sealer(other)
    layer = reading()
    layer.feed(first.seal(DATA, b"first") + bytes(second.seal(DATA, memoryview(b"second"))))
    assert layer.read() == (DATA, b"first", True)
    layer.install_read(other)
    assert layer.read() == (DATA, b"second", True)


# --- empty records


def test_some_empty_records_of_data_come_out() -> None:
    peer, layer = Peer(), reading()
    for _ in range(3):
        layer.feed(b"".join(peer.seal(DATA, b"") for _ in range(limits.EMPTY_RECORDS_IN_A_ROW)))
        assert read_all(layer) == [(DATA, b"", True)] * limits.EMPTY_RECORDS_IN_A_ROW
        layer.feed(peer.seal(DATA, b"data"))
        assert layer.read() == (DATA, b"data", True)


def test_too_many_empty_records_in_a_row_are_refused() -> None:
    peer, layer = Peer(), reading()
    layer.feed(b"".join(peer.seal(DATA, b"") for _ in range(limits.EMPTY_RECORDS_IN_A_ROW)))
    assert len(read_all(layer)) == limits.EMPTY_RECORDS_IN_A_ROW
    error = refused(layer, peer.seal(DATA, b""), TOO_MANY_EMPTY_RECORDS)
    assert error.evidence == {"limit": limits.EMPTY_RECORDS_IN_A_ROW}


@pytest.mark.parametrize("content_type", [HANDSHAKE, ALERT, CCS, 99])
def test_nothing_but_data_may_be_empty(content_type: int) -> None:
    error = refused(reading(), Peer().seal(content_type, b""), EMPTY_RECORD)
    assert error.alert == 10


# --- change_cipher_spec


@pytest.mark.parametrize("layer", [RecordLayer, reading], ids=["before keys", "with keys"])
def test_a_change_cipher_spec_comes_out_where_it_may_stand(layer: Callable[[], RecordLayer]) -> None:
    here = layer()
    here.change_cipher_spec_allowed = True
    here.feed(CHANGE_CIPHER_SPEC)
    assert read_all(here) == [(CCS, b"\x01", False)]


@pytest.mark.parametrize("layer", [RecordLayer, reading], ids=["before keys", "with keys"])
def test_a_change_cipher_spec_is_refused_where_it_may_not_stand(layer: Callable[[], RecordLayer]) -> None:
    here = layer()
    assert not here.change_cipher_spec_allowed
    error = refused(here, CHANGE_CIPHER_SPEC, BAD_CHANGE_CIPHER_SPEC)
    assert error.alert == 10


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x02", b"\x01\x01", b"\x01" * 20])
def test_a_change_cipher_spec_of_another_content_is_refused(content: bytes) -> None:
    layer = RecordLayer()
    layer.change_cipher_spec_allowed = True
    error = refused(layer, record(CCS, content), BAD_CHANGE_CIPHER_SPEC)
    assert error.evidence == {"content": content[:8]}


def test_a_few_change_cipher_specs_are_allowed_and_no_more() -> None:
    layer = RecordLayer()
    layer.change_cipher_spec_allowed = True
    layer.feed(CHANGE_CIPHER_SPEC * limits.CHANGE_CIPHER_SPECS)
    assert len(read_all(layer)) == limits.CHANGE_CIPHER_SPECS
    layer.feed(record(HANDSHAKE, b"hello"))
    assert layer.read() is not None  # what comes between does not reset the count
    error = refused(layer, CHANGE_CIPHER_SPEC, TOO_MANY_CHANGE_CIPHER_SPECS)
    assert error.evidence == {"limit": limits.CHANGE_CIPHER_SPECS}
    assert error.alert == 10


def test_change_cipher_specs_do_not_let_empty_records_go_on_for_ever() -> None:
    peer, layer = Peer(), reading()
    layer.change_cipher_spec_allowed = True
    layer.feed(b"".join(peer.seal(DATA, b"") for _ in range(limits.EMPTY_RECORDS_IN_A_ROW)) + CHANGE_CIPHER_SPEC)
    assert read_all(layer)[-1] == (CCS, b"\x01", False)
    refused(layer, peer.seal(DATA, b""), TOO_MANY_EMPTY_RECORDS)


# --- a plaintext alert of a peer that never got keys


def test_a_plaintext_alert_is_understood_while_the_peer_may_have_no_keys() -> None:
    layer = reading()
    layer.plaintext_alert_allowed = True
    layer.feed(record(ALERT, b"\2\x28"))
    assert read_all(layer) == [(ALERT, b"\2\x28", False)]


def test_the_first_record_that_opens_ends_that() -> None:
    layer = reading()
    layer.plaintext_alert_allowed = True
    layer.feed(Peer().seal(HANDSHAKE, b"finished"))
    assert layer.read() == (HANDSHAKE, b"finished", True)
    refused(layer, record(ALERT, b"\2\x28"), UNENCRYPTED_RECORD)


@pytest.mark.parametrize("data", [record(ALERT, b"\2"), record(ALERT, b"\2\x28\0"), record(ALERT, b"")])
def test_only_two_bytes_are_an_alert(data: bytes) -> None:
    layer = reading()
    layer.plaintext_alert_allowed = True
    refused(layer, data, UNENCRYPTED_RECORD)


def test_a_plaintext_handshake_message_is_never_understood() -> None:
    layer = reading()
    layer.plaintext_alert_allowed = True
    refused(layer, record(HANDSHAKE, b"\2\x28"), UNENCRYPTED_RECORD)


# --- writing


def test_plaintext_is_written_in_records_as_full_as_they_may_be() -> None:
    layer = RecordLayer()
    assert not layer.pending
    layer.write(HANDSHAKE, bytes(FULL + 1))
    layer.write(ALERT, b"\2\x28")
    assert layer.pending
    assert layer.take() == record(HANDSHAKE, bytes(FULL)) + record(HANDSHAKE, b"\0") + record(ALERT, b"\2\x28")
    assert not layer.pending
    assert layer.take() == b""


def test_a_client_s_first_record_says_tls_1_0() -> None:
    layer = RecordLayer()
    layer.initial_version = 0x0301
    layer.write(HANDSHAKE, b"hello")
    assert layer.take() == b"\x16\x03\x01\x00\x05hello"


def test_keys_hold_for_what_is_written_afterwards() -> None:
    layer = RecordLayer()
    layer.write(HANDSHAKE, b"before")
    layer.write_change_cipher_spec()
    assert not layer.encrypted
    layer.install_write(SECRET)
    assert layer.encrypted
    layer.write(HANDSHAKE, b"after")
    layer.write_change_cipher_spec()  # never encrypted
    peer = Peer()
    expected = record(HANDSHAKE, b"before") + CHANGE_CIPHER_SPEC + peer.seal(HANDSHAKE, b"after") + CHANGE_CIPHER_SPEC
    assert layer.take() == expected


@pytest.mark.parametrize(
    "data", [b"abcd", bytearray(b"abcd"), memoryview(b"-abcd-")[1:5], memoryview(array.array("H", b"abcd"))]
)
def test_any_buffer_can_be_written(data: bytes | bytearray | memoryview) -> None:
    layer = RecordLayer()
    layer.install_write(SECRET)
    layer.write(DATA, data)
    assert layer.take() == Peer().seal(DATA, b"abcd")


def test_what_was_taken_is_not_written_to_any_more() -> None:
    layer = RecordLayer()
    layer.write(HANDSHAKE, b"first")
    taken = layer.take()
    layer.write(HANDSHAKE, b"second")
    assert taken == record(HANDSHAKE, b"first")
    assert layer.take() == record(HANDSHAKE, b"second")


# --- the hook


def test_the_hook_sees_each_record_on_the_wire() -> None:
    seen: list[tuple[bool, int, int, bool]] = []
    layer = RecordLayer(lambda *facts: seen.append(facts))
    layer.change_cipher_spec_allowed = True

    layer.write(HANDSHAKE, bytes(FULL + 1))
    layer.write_change_cipher_spec()
    layer.install_write(SECRET)
    layer.write(DATA, bytes(FULL + 1))
    layer.write(ALERT, b"\1\0")
    assert seen == [
        (True, HANDSHAKE, FULL, False),
        (True, HANDSHAKE, 1, False),
        (True, CCS, 1, False),
        (True, DATA, FULL + 17, True),
        (True, DATA, 18, True),
        (True, DATA, 19, True),
    ]

    seen.clear()
    peer = Peer()
    layer.feed(record(HANDSHAKE, b"hello"))
    read_all(layer)
    layer.install_read(SECRET)
    layer.feed(CHANGE_CIPHER_SPEC + peer.seal(DATA, b"") + peer.seal(ALERT, b"\1\0"))
    read_all(layer)
    assert seen == [
        (False, HANDSHAKE, 5, False),
        (False, CCS, 1, False),
        (False, DATA, 17, True),
        (False, DATA, 19, True),
    ]


def test_the_hook_sees_a_record_that_is_then_refused() -> None:
    seen: list[tuple[bool, int, int, bool]] = []
    layer = reading(lambda *facts: seen.append(facts))
    refused(layer, record(HANDSHAKE, b"hello"), UNENCRYPTED_RECORD)
    assert seen == [(False, HANDSHAKE, 5, False)]


def test_data_before_keys_is_not_called_encrypted() -> None:
    seen: list[tuple[bool, int, int, bool]] = []
    refused(RecordLayer(lambda *facts: seen.append(facts)), record(DATA, b"data"), UNEXPECTED_RECORD)
    assert seen == [(False, DATA, 4, False)]


# --- threads


def test_the_order_on_the_wire_is_the_order_of_sequence_numbers() -> None:
    """Eight threads write and one takes; each record opens only if it stands where its sequence number says."""
    writers, writes = 8, 150
    layer = RecordLayer()
    layer.install_write(SECRET)
    together = threading.Barrier(writers + 1)
    done = threading.Event()
    wire = bytearray()

    def write(number: int) -> None:
        together.wait()
        for count in range(writes):
            # Alerts as of a thread that reads, data as of one that writes, some of it several records long.
            kind = ALERT if number == 0 else DATA
            size = FULL + 10 if count % 50 == 7 and kind == DATA else 4
            layer.write(kind, bytes((number,)) + count.to_bytes(3) + bytes(size - 4))

    def take() -> None:
        together.wait()
        while not done.is_set() or layer.pending:
            wire.extend(layer.take())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    taker = threading.Thread(target=take)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # let them come between each other as often as they can
    try:
        for thread in (*threads, taker):
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        taker.join()
    finally:
        sys.setswitchinterval(interval)

    peer = reading()
    peer.feed(wire)
    counts = [0] * writers
    rest = 0  # bytes of zeros that the write before goes on with
    for kind, content, encrypted in read_all(peer):
        assert encrypted
        if rest:
            assert content == bytes(rest)
            rest = 0
            continue
        number, count = content[0], int.from_bytes(content[1:4])
        assert count == counts[number]
        assert kind == (ALERT if number == 0 else DATA)
        counts[number] += 1
        rest = 10 if len(content) == FULL else 0
    assert counts == [writes] * writers


def test_bad_records_are_errors_of_their_own_class() -> None:
    for reason_and_data in ((UNEXPECTED_RECORD, record(DATA, b"x")), (EMPTY_RECORD, record(HANDSHAKE, b""))):
        assert isinstance(refused(RecordLayer(), reason_and_data[1], reason_and_data[0]), BadRecord)


@pytest.mark.parametrize("content_type", [HANDSHAKE, ALERT])
def test_a_plaintext_record_has_its_own_limit_while_early_data_is_skipped(content_type: int) -> None:
    """Encrypted records may be longer, and those that are skipped were encrypted (RFC 9846 section 5.1)."""
    layer = RecordLayer()
    layer.skip_early_data()
    layer.feed(record(DATA, bytes(100)))
    assert layer.read() is None
    error = refused(layer, record(content_type, bytes(FULL + 1)), RECORD_OVERFLOW)
    assert error.evidence == {"length": FULL + 1, "limit": FULL}


def test_a_full_plaintext_record_ends_the_skipping() -> None:
    layer = RecordLayer()
    layer.skip_early_data()
    layer.feed(record(HANDSHAKE, bytes(FULL)))
    assert layer.read() == (HANDSHAKE, bytes(FULL), False)
    refused(layer, record(DATA, bytes(16)), UNEXPECTED_RECORD)
