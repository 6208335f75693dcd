"""The key log: for its owner alone, and never in the way of a connection."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from handfast import ConfigurationError
from handfast.observe.keylog import FileKeyLog


def test_lines_are_appended_to_a_file_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    before = os.umask(0)
    try:
        for number in (1, 2):
            log = FileKeyLog(path)
            log.secret("CLIENT_TRAFFIC_SECRET_0", bytes([number]) * 32, b"\xab" * 48)
            log.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().splitlines() == [
        f"CLIENT_TRAFFIC_SECRET_0 {'01' * 32} {'ab' * 48}",
        f"CLIENT_TRAFFIC_SECRET_0 {'02' * 32} {'ab' * 48}",
    ]


def test_a_file_that_cannot_be_opened_is_said_before_any_connection(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FileKeyLog(tmp_path / "none" / "keys")
    assert "No such file" in str(caught.value)


def test_a_full_disk_ends_the_log_and_not_the_connection() -> None:
    log = FileKeyLog("/dev/full")
    log.secret("X", bytes(32), bytes(48))
    log.secret("X", bytes(32), bytes(48))
    assert log.failure is not None
    assert log.failure.strerror == "No space left on device"
    log.close()


def test_no_secret_is_in_the_repr(tmp_path: Path) -> None:
    log = FileKeyLog(tmp_path / "keys")
    log.secret("X", bytes(32), b"\xab" * 48)
    assert "abab" not in repr(log)
    log.close()
