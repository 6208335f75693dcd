"""Empty records of application data: when they may come, and how long they may go on."""

from __future__ import annotations

import pytest

from handfast import limits
from handfast.crypto.schedule13 import TrafficSecret
from handfast.crypto.suites import SUITES
from handfast.errors import PeerMisbehaved
from handfast.reasons import EMPTY_RECORD, TOO_MANY_EMPTY_RECORDS
from handfast.record.layer import RecordLayer
from handfast.record.protection13 import Sealer

ALERT, DATA = 21, 23
SECRET = TrafficSecret(SUITES[0x1301], bytes(range(32)))


def sides() -> tuple[Sealer, RecordLayer]:
    layer = RecordLayer()
    layer.install_read(SECRET)
    return Sealer(SECRET), layer


def test_during_a_handshake_there_is_not_even_an_empty_one() -> None:
    peer, layer = sides()
    layer.data_allowed = False
    layer.feed(peer.seal(DATA, memoryview(b"")))
    with pytest.raises(PeerMisbehaved) as caught:
        layer.read()
    assert caught.value.reason is EMPTY_RECORD


def test_alerts_between_them_do_not_let_them_go_on() -> None:
    peer, layer = sides()
    for _ in range(limits.EMPTY_RECORDS_IN_A_ROW):
        layer.feed(peer.seal(DATA, memoryview(b"")) + peer.seal(ALERT, memoryview(b"\x01\x5a")))
        assert layer.read() == (DATA, b"", True)
        assert layer.read() == (ALERT, b"\x01\x5a", True)
    layer.feed(peer.seal(DATA, memoryview(b"")))
    with pytest.raises(PeerMisbehaved) as caught:
        layer.read()
    assert caught.value.reason is TOO_MANY_EMPTY_RECORDS


def test_data_between_them_does() -> None:
    peer, layer = sides()
    for _ in range(limits.EMPTY_RECORDS_IN_A_ROW + 1):
        layer.feed(peer.seal(DATA, memoryview(b"")) + peer.seal(DATA, memoryview(b"x")))
        assert layer.read() == (DATA, b"", True)
        assert layer.read() == (DATA, b"x", True)
