"""KeyUpdate in the record layer: owed, requested, by itself, and with one thread that writes while another reads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from handfast.crypto.schedule13 import TrafficSecret
from handfast.crypto.suites import SUITES
from handfast.errors import BadRecord
from handfast.reasons import BAD_RECORD_MAC, RECORD_OVERFLOW
from handfast.record.layer import RecordLayer
from handfast.wire.messages13 import KeyUpdate

ALERT, HANDSHAKE, DATA = 21, 22, 23
FULL = 16_384
UPDATE, REQUEST = (KeyUpdate(requested).encode() for requested in (False, True))
SUITE = SUITES[0x1301]


def layers(records: int = SUITE.records) -> tuple[RecordLayer, RecordLayer]:
    """Two layers that can talk to each other, with keys that last for so many records."""
    suite = replace(SUITE, records=records)
    first, second = (TrafficSecret(suite, bytes((number,)) * 32) for number in (1, 2))
    here, there = RecordLayer(), RecordLayer()
    here.install_write(first)
    there.install_read(first)
    there.install_write(second)
    here.install_read(second)
    return here, there


def carried(source: RecordLayer, target: RecordLayer) -> list[tuple[int, bytes]]:
    """What one layer has to say, as the other reads it; a KeyUpdate is handled as a connection does."""
    target.feed(source.take())
    found = []
    while (item := target.read()) is not None:
        content_type, content, _ = item
        found.append((content_type, bytes(content)))
        if content_type == HANDSHAKE:
            target.update_read(KeyUpdate.parse(bytes(content)).update_requested)
    return found


# --- by hand


def test_an_update_is_sent_with_the_old_key_and_what_follows_with_the_new() -> None:
    here, there = layers()
    here.write_application_data(b"before")
    here.update_write(request_peer=False)
    here.write_application_data(b"after")
    assert carried(here, there) == [(DATA, b"before"), (HANDSHAKE, UPDATE), (DATA, b"after")]
    here.update_write(request_peer=False)
    here.update_write(request_peer=False)
    here.write_application_data(b"third generation")
    assert carried(here, there) == [(HANDSHAKE, UPDATE), (HANDSHAKE, UPDATE), (DATA, b"third generation")]


def test_the_next_key_is_the_one_of_the_next_secret_and_counts_from_zero() -> None:
    here, _ = layers()
    secret = here._sealer.secret  # type: ignore[union-attr]
    here.update_write(request_peer=False)
    here.take()
    here.write_application_data(b"after")
    reader = RecordLayer()
    reader.install_read(TrafficSecret(secret.suite, secret.secret).next())
    reader.feed(here.take())
    assert reader.read() == (DATA, b"after", True)


def test_what_a_peer_sends_after_its_update_does_not_open_with_the_old_key() -> None:
    here, there = layers()
    here.update_write(request_peer=False)
    here.write_application_data(b"after")
    there.feed(here.take())
    assert there.read() == (HANDSHAKE, UPDATE, True)
    with pytest.raises(BadRecord) as caught:  # nobody has changed the key
        there.read()
    assert caught.value.reason is BAD_RECORD_MAC


def test_the_other_direction_keeps_its_key() -> None:
    here, there = layers()
    here.update_write(request_peer=False)
    carried(here, there)
    there.write_application_data(b"answer")
    assert carried(there, here) == [(DATA, b"answer")]


def test_without_keys_there_is_nothing_to_update() -> None:
    with pytest.raises(AssertionError, match="encrypted"):
        RecordLayer().update_write(request_peer=False)
    with pytest.raises(AssertionError, match="encrypted"):
        RecordLayer().update_read(update_requested=False)
    with pytest.raises(AssertionError, match="encrypted"):
        RecordLayer().write_application_data(b"data")


# --- owed and requested


def test_an_update_that_is_owed_goes_before_the_next_data_once() -> None:
    here, there = layers()
    for _ in range(3):  # a peer that asks often gets one answer
        here.update_write(request_peer=False)
        there.update_read(update_requested=True)
    assert not there.pending  # and a peer that never reads makes nothing grow
    here.take()
    there.write(ALERT, b"\1\0")
    there.write_application_data(b"data")
    there.write_application_data(b"more")
    assert carried(there, here) == [(ALERT, b"\1\0"), (HANDSHAKE, UPDATE), (DATA, b"data"), (DATA, b"more")]


def test_an_update_of_our_own_answers_the_peer_s_request() -> None:
    here, there = layers()
    there.update_read(update_requested=True)
    there.update_write(request_peer=False)
    there.write_application_data(b"data")
    assert carried(there, here) == [(HANDSHAKE, UPDATE), (DATA, b"data")]


def test_an_update_without_a_request_owes_nothing_and_takes_back_nothing() -> None:
    here, there = layers()
    there.update_read(update_requested=False)
    there.write_application_data(b"data")
    assert carried(there, here) == [(DATA, b"data")]
    there.update_read(update_requested=True)
    there.update_read(update_requested=False)
    there.write_application_data(b"data")
    assert carried(there, here) == [(HANDSHAKE, UPDATE), (DATA, b"data")]


def test_nothing_is_requested_again_before_the_answer() -> None:
    here, there = layers()
    here.update_write(request_peer=True)
    here.update_write(request_peer=True)
    assert carried(here, there) == [(HANDSHAKE, REQUEST), (HANDSHAKE, UPDATE)]
    there.write_application_data(b"answer")
    assert carried(there, here) == [(HANDSHAKE, UPDATE), (DATA, b"answer")]
    here.update_write(request_peer=True)
    assert carried(here, there) == [(HANDSHAKE, REQUEST)]


def test_an_update_that_only_answers_requests_nothing() -> None:
    """Two sides that requested in each other's answers would never stop."""
    here, there = layers()
    here.update_write(request_peer=True)
    carried(here, there)
    there.write_application_data(b"x")
    carried(there, here)
    here.write_application_data(b"x")
    assert carried(here, there) == [(DATA, b"x")]


# --- by itself


def test_a_key_is_changed_before_it_has_protected_too_much() -> None:
    here, there = layers(records=5)  # two for data, and three that are kept back
    for _ in range(5):
        here.write_application_data(b"x")
    data, update = (DATA, b"x"), (HANDSHAKE, UPDATE)
    assert carried(here, there) == [data, data, update, data, data, update, data]


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("size", [1, FULL, 2 * FULL, 2 * FULL + 1, 4 * FULL, 9 * FULL + 5])
def test_a_key_is_changed_within_a_write_of_any_length(before: int, size: int) -> None:
    """Where it has to be and no sooner, however much has gone before; and what is read is what was written."""
    here, there = layers(records=5)
    for _ in range(before):
        here.write_application_data(b"x")
    data = os.urandom(size)
    here.write_application_data(data)
    found = carried(here, there)
    assert b"".join(content for kind, content in found if kind == DATA) == b"x" * before + data
    kinds = [kind for kind, _ in found]
    assert kinds.count(DATA) == before + -(-size // FULL)
    assert kinds == [HANDSHAKE if at % 3 == 2 else DATA for at in range(len(kinds))]


def test_an_update_that_is_owed_is_not_sent_twice_where_the_key_is_used_up_too() -> None:
    here, there = layers(records=5)
    here.write_application_data(bytes(2 * FULL))
    here.update_read(update_requested=True)
    there.update_write(request_peer=True)
    there.take()
    here.write_application_data(b"x")
    assert [kind for kind, _ in carried(here, there)] == [DATA, DATA, HANDSHAKE, DATA]


def test_alerts_need_no_change_of_keys() -> None:
    """What is kept back is for them: a failure has to be told whatever has gone before."""
    here, there = layers(records=5)
    here.write_application_data(bytes(2 * FULL))
    here.write(ALERT, b"\1\x5a")
    here.write(ALERT, b"\1\0")
    assert [kind for kind, _ in carried(here, there)] == [DATA, DATA, ALERT, ALERT]


def test_shorter_records_use_up_a_key_sooner() -> None:
    here, there = layers(records=5)
    here.limit_sending(63)
    here.write_application_data(bytes(2 * 63 + 1))
    sizes = [(kind, len(content)) for kind, content in carried(here, there)]
    assert sizes == [(DATA, 63), (DATA, 63), (HANDSHAKE, 5), (DATA, 1)]


# --- what a change of keys takes along


def test_the_peer_s_limit_and_our_padding_hold_for_each_key() -> None:
    here, there = layers()
    here.padding = 32
    here.limit_sending(63)
    there.limit_receiving(64)
    here.update_write(request_peer=False)
    carried(here, there)
    here.write_application_data(bytes(100))
    sent = bytes(here.take())
    assert [sent[3:5].hex(), sent[5 + 80 + 3 : 5 + 80 + 5].hex()] == ["0050", "0050"]  # 64 with padding, 16 for the tag
    there.feed(sent)
    assert [len(item[1]) for _ in range(2) if (item := there.read())] == [63, 37]
    assert there.read() is None


def test_what_we_asked_the_peer_for_holds_for_each_of_its_keys() -> None:
    here, there = layers()
    there.limit_receiving(64)
    here.update_write(request_peer=False)
    carried(here, there)
    here.write_application_data(bytes(64))  # one more than it wants, with the content type
    there.feed(here.take())
    with pytest.raises(BadRecord) as caught:
        there.read()
    assert caught.value.reason is RECORD_OVERFLOW


@pytest.mark.parametrize("limit", [64, 100, FULL])
@pytest.mark.parametrize("first", [True, False], ids=["before keys", "with keys"])
def test_a_limit_holds_for_keys_that_are_there_and_for_those_that_come(limit: int, first: bool) -> None:
    def limited(change: Callable[[RecordLayer], None], install: Callable[[RecordLayer], None]) -> RecordLayer:
        layer = RecordLayer()
        for step in (change, install) if first else (install, change):
            step(layer)
        return layer

    secret = TrafficSecret(SUITE, bytes(32))
    writer = limited(lambda layer: layer.limit_sending(limit - 1), lambda layer: layer.install_write(secret))
    writer.write(DATA, bytes(2 * limit))
    sent = bytes(writer.take())
    assert int.from_bytes(sent[3:5]) == limit + 16  # content, its type, and the tag

    def reader_of(allowed: int) -> RecordLayer:
        return limited(lambda layer: layer.limit_receiving(allowed), lambda layer: layer.install_read(secret))

    reader = reader_of(limit)
    reader.feed(sent)
    assert [len(item[1]) for _ in range(3) if (item := reader.read())] == [limit - 1, limit - 1, 2]
    strict = reader_of(limit - 1)
    strict.feed(sent)
    with pytest.raises(BadRecord) as caught:
        strict.read()
    assert caught.value.reason is RECORD_OVERFLOW
    assert caught.value.evidence == {"length": limit, "limit": limit - 1}


@pytest.mark.parametrize("limit", [FULL + 1, FULL + 2, 65_535])
def test_a_larger_limit_than_the_protocol_s_changes_nothing(limit: int) -> None:
    """RFC 8449 section 4: a later version may allow it, this one does not."""
    here, there = layers()
    here.limit_sending(limit)
    there.limit_receiving(limit)
    here.write_application_data(bytes(FULL + 1))
    assert [len(content) for _, content in carried(here, there)] == [FULL, 1]
    assert there._opener is not None
    assert there._opener.limit == FULL + 1


# --- what is told of it


def test_the_hook_is_told_of_what_goes_by_itself() -> None:
    told: list[KeyUpdate] = []
    here, _ = layers(records=4)
    here.on_key_update = told.append
    here.write_application_data(b"x")
    here.write_application_data(b"x")
    here.update_write(request_peer=True)
    assert [message.update_requested for message in told] == [False, True]
    assert [message.raw for message in told] == [UPDATE, REQUEST]


@pytest.mark.parametrize("at", ["record", "message"])
def test_a_hook_that_fails_leaves_both_sides_in_step(at: str) -> None:
    """What was queued has been sealed, and the key has changed: the next record still opens."""
    failing = True

    def fail(*_: object) -> None:
        if failing:
            raise RuntimeError("the tap broke")

    here, there = layers()
    if at == "record":
        here._hook = fail
    else:
        here.on_key_update = fail
    with pytest.raises(RuntimeError, match="the tap broke"):
        here.update_write(request_peer=False)
    failing = False
    here.write_application_data(b"after")
    assert carried(here, there) == [(HANDSHAKE, UPDATE), (DATA, b"after")]


# --- threads


def test_one_thread_writes_while_another_reads_updates() -> None:
    """The reader owes updates that the writer sends; each record has to open where it stands, and none is lost."""
    here, there = layers()
    rounds = 400
    together = threading.Barrier(2)
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                together.wait()
                work()
            except BaseException as error:
                failures.append(error)

        return run

    def write() -> None:
        for number in range(rounds):
            here.write_application_data(number.to_bytes(2))
            if number % 7 == 0:
                here.update_write(request_peer=number % 2 == 0)

    def read() -> None:
        # The other side asks before each piece of data, whether or not it has been answered.
        for number in range(rounds):
            there._update_requested = False
            there.update_write(request_peer=True)
            there.write_application_data(number.to_bytes(2))
            assert carried(there, here)[-1] == (DATA, number.to_bytes(2))

    threads = [threading.Thread(target=guarded(work)) for work in (write, read)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    found = carried(here, there)
    assert [content for kind, content in found if kind == DATA] == [number.to_bytes(2) for number in range(rounds)]
    assert sum(kind == HANDSHAKE for kind, _ in found) >= rounds // 7
