"""Sessions in a file: private, whole at any time, shared, encrypted where wanted, and never a reason to fail."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handfast import limits
from handfast.errors import ConfigurationError
from handfast.sessions.keys import TicketKeyRing
from handfast.transport.stores import file as file_module
from handfast.transport.stores.file import FileSessions
from tests.sessions.stores import Time, session, session12, shake, values

ROOT = Path(__file__).parents[2]
TIME = Time()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "_COST", 1 << 4)  # a slow key is of no use to these tests


def opened(path: Path, password: str | None = None, **more) -> FileSessions:
    return FileSessions(path, password, clock=TIME.clock, **more)


@pytest.mark.parametrize("password", [None, "a password", b"bytes"])
def test_what_one_program_puts_another_takes(path, password) -> None:
    kept = session()
    opened(path, password).put(kept)
    assert values(opened(path, password).take("localhost")) == values(kept)
    assert opened(path, password).take("localhost") is None


def test_a_session_of_12_stays_and_other_servers_have_others(path) -> None:
    store = opened(path)
    store.put(session12())
    store.put(session("other"))
    for _ in range(2):
        assert values(store.take("localhost")) == values(session12())
    assert store.take("third") is None
    assert store.counts == {"put": 2, "hit": 2, "none": 1}


def test_the_file_is_private(path) -> None:
    old = os.umask(0)
    try:
        opened(path).put(session())
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.with_name("sessions.lock").stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == ["sessions", "sessions.lock"]


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602])
def test_a_file_that_others_may_touch_is_not_believed_and_is_private_again(path, mode: int) -> None:
    opened(path).put(session())
    path.chmod(mode)
    store = opened(path)
    assert store.take("localhost") is None
    store.put(session("new"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert store.take("localhost") is None
    assert store.take("new") is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_not_believed(path) -> None:
    opened(path).put(session())
    os.chown(path, 65_534, -1)
    assert opened(path).take("localhost") is None


def test_the_password_keeps_all_of_it_secret(path) -> None:
    kept = session("secret.example", secret=b"the secret of it" * 2)
    opened(path).put(kept)
    assert b"secret.example" in path.read_bytes()
    opened(path, "password").put(kept)  # what was in the clear is not any longer
    data = path.read_bytes()
    assert b"secret" not in data
    store = opened(path, "password")
    assert values(store.take("secret.example")) == values(store.take("secret.example")) == values(kept)


def test_a_wrong_password_finds_nothing(path) -> None:
    opened(path, "right").put(session())
    sentences: list[str] = []
    wrong = opened(path, "wrong", warn=sentences.append)
    assert wrong.take("localhost") is None
    assert wrong.take("localhost") is None
    assert len(sentences) == 1
    assert "is sealed under another password, or damaged: it counts as empty" in sentences[0]
    assert opened(path, "right", warn=sentences.append).take("localhost") is not None
    assert len(sentences) == 1


def test_an_encrypted_file_is_not_replaced_by_an_open_one(path) -> None:
    store = opened(path)
    opened(path, "password").put(session())
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="password is needed"):
        opened(path)
    store.put(session())
    assert store.take("localhost") is None
    assert path.read_bytes() == before
    assert store.counts == {"failed": 2}


def test_the_key_of_the_password_is_made_once(path, monkeypatch) -> None:
    made = []
    scrypt = file_module.hashlib.scrypt
    monkeypatch.setattr(file_module.hashlib, "scrypt", lambda *a, **k: made.append(k["salt"]) or scrypt(*a, **k))
    store = opened(path, "password")
    for _ in range(3):
        store.put(session())
        store.take("localhost")
    opened(path, "password").take("localhost")
    assert len(made) == 2
    assert len(set(made)) == 1
    path.unlink()
    store.put(session())
    assert store.take("localhost") is not None
    assert len(made) == 2


def test_the_real_cost_of_a_key_can_be_paid(path, monkeypatch) -> None:
    monkeypatch.undo()
    opened(path, "password").put(session())
    assert opened(path, "password").take("localhost") is not None


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"-----BEGIN PRIVATE KEY-----", b"\0" * 100, b"handfast"])
def test_a_file_of_another_kind_is_left_alone(path, content: bytes) -> None:
    store = opened(path)
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="not a file of sessions"):
        opened(path)
    store.put(session())
    assert store.take("localhost") is None
    assert path.read_bytes() == content


def test_no_other_thing_than_a_file_will_do(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="is no file"):
        opened(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigurationError, match="is no file"):
        opened(tmp_path / "fifo")


def test_an_empty_file_is_fine(path) -> None:
    path.touch(0o600)
    store = opened(path, "password")
    store.put(session())
    assert store.take("localhost") is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("password", [None, "password"])
def test_garbage_in_the_file_is_survived(path, password, data) -> None:
    path.unlink(missing_ok=True)
    store = opened(path, password)
    store.put(session12())
    content = bytearray(path.read_bytes())
    start = len(file_module._MAGIC) + 1
    what = data.draw(st.sampled_from(["cut", "flip", "more", "other"]))
    if what == "cut":
        del content[data.draw(st.integers(start, len(content) - 1)) :]
    elif what == "flip":
        content[data.draw(st.integers(start, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif what == "more":
        content += data.draw(st.binary(min_size=1, max_size=40))
    else:
        content[start:] = data.draw(st.binary(max_size=100))
    path.write_bytes(content)
    found = store.take("localhost")
    assert found is None or password is None
    again = opened(path, password)
    again.put(session("new"))
    assert values(again.take("new")) == values(session("new"))
    assert "failed" not in again.counts


def test_what_has_expired_leaves_the_file(path) -> None:
    time = Time()
    store = FileSessions(path, clock=time.clock)
    store.put(session())
    time.passes(7_200)
    assert store.take("other") is None
    assert path.stat().st_size == len(file_module._MAGIC) + 1


def test_it_is_bounded(path) -> None:
    store = opened(path, capacity=3, per_server=2)
    for name in ("a", "a", "a", "b", "c"):
        store.put(session(name))
    assert [bool(store.take(name)) for name in ("a", "a", "b", "c")] == [True, False, True, True]
    with pytest.raises(ConfigurationError):
        opened(path, capacity=0)


def test_so_many_are_kept_by_default(path) -> None:
    store = opened(path, per_server=1_000)
    store._write([session(ticket=b"%d" % number) for number in range(limits.SESSIONS_IN_A_FILE + 5)], None)
    store.put(session())
    assert len(store._read()[0].sessions()) == limits.SESSIONS_IN_A_FILE


@pytest.mark.parametrize("name", ["gone/sessions", "nobody\0can"])
def test_a_file_that_cannot_be_is_refused(tmp_path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not there|cannot be read"):
        opened(tmp_path / name)


def test_nothing_is_raised_where_nothing_can_be_kept(tmp_path, caplog) -> None:
    sentences: list[str] = []
    folder = tmp_path / "gone"
    folder.mkdir()
    store = FileSessions(folder / "sessions", clock=TIME.clock, warn=sentences.append)
    another = opened(folder / "sessions")
    folder.rmdir()
    store.put(session())
    assert store.take("localhost") is None
    assert store.counts == {"failed": 2}
    assert len(sentences) == 1
    assert sentences[0].endswith(": No such file or directory")
    with caplog.at_level(logging.WARNING, "handfast.stores"):
        another.put(session())
    assert "Sessions are not kept in" in caplog.text


def test_a_ticket_that_stays_in_the_file_is_not_used(path, monkeypatch) -> None:
    store = opened(path)
    store.put(session())
    monkeypatch.setattr(file_module.os, "replace", _full)
    assert store.take("localhost") is None
    monkeypatch.undo()
    assert sorted(each.name for each in path.parent.iterdir()) == ["sessions", "sessions.lock"]
    assert store.take("localhost") is not None


def _full(*_names: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_file_that_another_holds_is_waited_for_but_not_for_long(path, monkeypatch) -> None:
    monkeypatch.setattr(file_module, "WAIT", 0.05)
    store = opened(path)
    store.put(session())
    with path.with_name("sessions.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert store.take("localhost") is None
        monkeypatch.setattr(file_module, "WAIT", 20)
        threading.Timer(0.1, fcntl.flock, (lock, fcntl.LOCK_UN)).start()
        assert store.take("localhost") is not None


def test_no_link_is_followed_to_lock(path) -> None:
    store = opened(path)
    path.with_name("sessions.lock").symlink_to(path.with_name("victim"))
    store.put(session())
    assert store.counts == {"failed": 1}
    assert not path.with_name("victim").exists()


PROGRAM = """
import sys
from handfast import Clock
from handfast.transport.stores import file
from handfast.transport.stores.file import FileSessions
from tests.sessions.stores import Time, session
file.WAIT = 60  # the machine may be busy
store = FileSessions(sys.argv[1], clock=Time().clock, capacity=1000, per_server=1000)
for number in range(20):
    store.put(session(ticket=b"%s %d" % (sys.argv[2].encode(), number)))
taken = [store.take("localhost").ticket.decode() for _ in range(10)]
print(*taken, sep="\\n")
assert "failed" not in store.counts, store.counts
"""


def test_processes_share_it_and_no_two_get_one_ticket(path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(path), str(number)], stdout=subprocess.PIPE, cwd=ROOT)
        for number in range(4)
    ]
    taken = [line for each in running for line in each.communicate(timeout=100)[0].decode().splitlines()]
    assert [each.returncode for each in running] == [0] * 4
    assert len(taken) == len(set(taken)) == 40
    store = opened(path, capacity=1_000, per_server=1_000)
    left = [store.take("localhost").ticket.decode() for _ in range(40)]
    assert store.take("localhost") is None
    assert sorted(taken + left) == sorted(f"{number} {count}" for number in range(4) for count in range(20))


def test_a_client_resumes_by_its_file(path) -> None:
    ring = TicketKeyRing()
    resumed = []
    for _ in range(3):
        store = FileSessions(path, "password")
        resumed.append(shake({"sessions": store}, {"tickets": ring, "ticket_count": 1})[0].resumed)
    assert resumed == [False, True, True]
