"""Alerts: two bytes and nothing else."""

from __future__ import annotations

import pytest

from handfast.errors import PeerMisbehaved
from handfast.reasons import BAD_ALERT
from handfast.wire.alert import FATAL, WARNING, Alert, ChangeCipherSpec


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_an_alert_is_level_and_description(kind: type) -> None:
    alert = Alert.parse(kind(b"\x02\x2f"))
    assert (alert.level, alert.description, alert.name) == (FATAL, 47, "illegal_parameter")
    assert alert.encode() == b"\x02\x2f"


@pytest.mark.parametrize("content", [b"", b"\x02", b"\x02\x2f\x00", b"\x02\x2f\x01\x00"])
def test_an_alert_of_another_length_is_refused(content: bytes) -> None:
    with pytest.raises(PeerMisbehaved) as caught:
        Alert.parse(content)
    assert caught.value.reason is BAD_ALERT
    assert caught.value.evidence == {"length": len(content)}


def test_unknown_alerts_and_levels_survive() -> None:
    alert = Alert.parse(b"\xff\xfe")
    assert (alert.level, alert.description, alert.name) == (255, 254, "0xfe")
    assert alert.encode() == b"\xff\xfe"


def test_close_notify() -> None:
    assert Alert(WARNING, 0).encode() == b"\x01\x00"
    assert Alert(WARNING, 0).name == "close_notify"


def test_they_are_named_as_in_the_rfc() -> None:
    assert (Alert.NAME, ChangeCipherSpec().NAME) == ("Alert", "ChangeCipherSpec")
