"""The lock that processes and threads share."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from handfast.filelock import locked


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with locked(path, 0.0), pytest.raises(TimeoutError, match=r"a\.lock"), locked(path, 0.01):
        pass
    with locked(path, 0.0):
        pass


def test_who_waits_gets_it(tmp_path: Path) -> None:
    path, held, go_on = tmp_path / "a.lock", threading.Event(), threading.Event()

    def hold() -> None:
        with locked(path, 0.0):
            held.set()
            go_on.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    threading.Timer(0.05, go_on.set).start()
    with locked(path, 10.0):
        assert go_on.is_set()
    thread.join(10)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is forked there")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_was_forked_meanwhile_keeps_no_lock(tmp_path: Path) -> None:
    """A server may fork its workers while one of its threads keeps a session."""
    path = tmp_path / "a.lock"
    with locked(path, 0.0):
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
    try:
        with locked(path, 0.0):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is forked there")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_nor_does_it_give_up_that_of_the_other(tmp_path: Path) -> None:
    path, status = tmp_path / "a.lock", 0
    lock = locked(path, 0.0)
    with lock:
        child = os.fork()
        if child == 0:
            try:
                lock.__exit__(None, None, None)
            finally:
                os._exit(0)
        status = os.waitpid(child, 0)[1]
        with pytest.raises(TimeoutError), locked(path, 0.01):
            pass
    assert status == 0
