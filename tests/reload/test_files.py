"""What comes into force and what does not, by call and by looking."""

from __future__ import annotations

import gc
import hashlib
import itertools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from handfast import ClientConfig, Clock, ConfigurationError, Files, MisuseError, Reloading, ServerConfig, reasons
from handfast.reasons import Reason
from tests.handshake.parties import fails
from tests.reload.renewing import (
    CHAIN,
    KEY,
    descriptors,
    issued,
    mount,
    put,
    put_chain,
    put_key,
    settings_of,
    stranger,
)


def names(live: Reloading[ServerConfig]) -> tuple[str, ...]:
    return tuple(live().identities[0].names)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, issued("one.example"))
    return tmp_path


def test_what_is_there_at_the_beginning(folder: Path) -> None:
    live = Reloading(settings_of(folder))
    assert names(live) == ("localhost", "one.example")
    assert str(folder / CHAIN) in repr(live)
    assert live() is live()
    assert live.has_files


def test_what_is_not_there_at_the_beginning_is_an_error(tmp_path: Path) -> None:
    with fails(ConfigurationError, reasons.FILE_UNREADABLE):
        Reloading(settings_of(tmp_path))


def test_settings_that_reload_themselves_are_told_so(folder: Path) -> None:
    """They would wait for themselves for ever."""
    again: list[Reloading[ServerConfig]] = []

    def settings(files: Files) -> ServerConfig:
        for live in again:
            live.reload()
        return settings_of(folder)(files)

    live = Reloading(settings)
    again.append(live)
    with pytest.raises(MisuseError, match="must not reload"):
        live.reload()
    again.clear()
    put(folder, issued("two.example"))
    live.reload()
    assert names(live) == ("localhost", "two.example")


def test_reload_by_call(folder: Path) -> None:
    told: list[ServerConfig] = []
    live = Reloading(settings_of(folder), on_reload=told.append)
    before = live()
    put(folder, issued("two.example"))
    assert live() is before
    assert live.reload() is live()
    assert names(live) == ("localhost", "two.example")
    assert told == [live()]
    assert tuple(before.identities[0].names) == ("localhost", "one.example")


def test_trust_and_other_files(tmp_path: Path) -> None:
    roots, protocols = tmp_path / "roots.pem", tmp_path / "alpn"
    roots.write_bytes(stranger().pem)
    protocols.write_text("h2")

    def settings(files: Files) -> ClientConfig:
        return ClientConfig(trust=files.trust(roots), alpn=files.read(protocols).decode().split())

    live = Reloading(settings)
    assert live().alpn == ["h2"]
    old = live().trust
    other = stranger()
    roots.write_bytes(other.pem)
    protocols.write_text("h2 http/1.1")
    live.reload()
    assert live().alpn == ["h2", "http/1.1"]
    assert live().trust is not old
    assert other.certificate in (live().trust or ())
    protocols.unlink()
    with fails(ConfigurationError, reasons.FILE_UNREADABLE):
        live.reload()


def test_trust_in_a_folder(tmp_path: Path) -> None:
    """A certificate that comes or goes is a change, and so is one that cannot be read; other files are none."""
    one, two, alone = stranger(), stranger(), stranger()
    folder, beside = tmp_path / "roots", tmp_path / "beside.pem"
    folder.mkdir()
    (folder / "one.pem").write_bytes(one.pem)
    beside.write_bytes(alone.pem)
    live = Reloading(lambda files: ClientConfig(trust=files.trust(folder, beside)))

    def roots() -> set[object]:
        return set(live().trust.roots)  # type: ignore[union-attr]

    def polled() -> bool:
        return [live.poll(), live.poll()][1]

    assert roots() == {one.certificate, alone.certificate}
    (folder / "notes.txt").write_text("no certificate")
    assert not polled()
    (folder / "two.crt").write_bytes(two.pem)
    assert polled()
    assert roots() == {one.certificate, two.certificate, alone.certificate}
    (folder / "one.pem").unlink()
    assert polled()
    assert roots() == {two.certificate, alone.certificate}
    (folder / "two.crt").unlink()
    with fails(ConfigurationError, reasons.NOT_A_CERTIFICATE):
        live.reload()
    assert roots() == {two.certificate, alone.certificate}


def test_a_large_file_is_not_read_at_each_look(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of published keys, of 60 MB: a server that has nothing to do would read it all day."""
    large = folder / "keys"
    large.write_bytes(bytes(5_000_000))
    read: list[str] = []
    digest = hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        read.append(Path(file.name).name)
        return digest(file, name)

    def settings(files: Files) -> ServerConfig:
        files.note(large)
        return settings_of(folder)(files)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    live = Reloading(settings)
    before = live()
    assert not any([live.poll(), live.poll()])
    assert set(read) == {CHAIN, KEY}
    with large.open("r+b") as file:
        file.write(b"\1")
    assert [live.poll(), live.poll()] == [False, True]
    assert live() is not before


def test_a_configuration_without_files() -> None:
    ours = issued()
    live = Reloading(lambda _: ServerConfig(identities=[ours]))
    assert not live.has_files
    assert not live.poll()
    assert repr(live) == "<Reloading no files>"


# --- bad files -------------------------------------------------------------------------------------------------------


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def loop_instead(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


BAD: dict[str, tuple[str, Callable[[Path], Any], Reason]] = {
    "no chain": (CHAIN, Path.unlink, reasons.FILE_UNREADABLE),
    "no key": (KEY, Path.unlink, reasons.FILE_UNREADABLE),
    "empty chain": (CHAIN, lambda path: path.write_bytes(b""), reasons.NOT_A_CERTIFICATE),
    "empty key": (KEY, lambda path: path.write_bytes(b""), reasons.NOT_A_KEY),
    "half a chain": (CHAIN, half, reasons.NOT_A_CERTIFICATE),
    "half a key": (KEY, half, reasons.NOT_A_KEY),
    "garbage for a chain": (CHAIN, lambda path: path.write_bytes(os.urandom(500)), reasons.NOT_A_CERTIFICATE),
    "garbage for a key": (KEY, lambda path: path.write_bytes(os.urandom(500)), reasons.NOT_A_KEY),
    "a folder": (CHAIN, folder_instead, reasons.FILE_UNREADABLE),
    "a loop of links": (KEY, loop_instead, reasons.FILE_UNREADABLE),
    "another's key": (KEY, lambda path: path.write_bytes(issued().key_pem), reasons.KEY_MISMATCH),
    "another's chain": (CHAIN, lambda path: path.write_bytes(issued().certificate_pem), reasons.KEY_MISMATCH),
}


@pytest.mark.parametrize(("file", "spoil", "reason"), BAD.values(), ids=BAD)
def test_bad_files_leave_in_force_what_was(
    folder: Path, file: str, spoil: Callable[[Path], Any], reason: Reason
) -> None:
    told: list[Exception] = []
    live = Reloading(settings_of(folder), on_failure=told.append)
    before = live()
    spoil(folder / file)
    with fails(ConfigurationError, reason) as caught:
        live.reload()
    assert told == [caught.value]
    assert str(folder / file) in str(caught.value) or reason is reasons.KEY_MISMATCH
    assert live() is before
    # And by looking: it is tried again each time, and told once for all.
    for _ in range(5):
        assert not live.poll()
    assert live() is before
    assert len(told) == 1
    if (folder / file).is_dir():
        (folder / file).rmdir()
    put(folder, issued("two.example"))
    assert [live.poll() for _ in range(3)] == [False, True, False]
    assert names(live) == ("localhost", "two.example")


def test_a_chain_that_has_lost_its_end_does_not_replace_a_whole_one(tmp_path: Path) -> None:
    """What is left of it is in order, and most clients would find no way to a root."""
    whole = stranger().intermediate().issue("localhost")
    put(tmp_path, whole)
    live = Reloading(settings_of(tmp_path))
    (tmp_path / CHAIN).write_bytes(whole.certificate_pem[:-40])
    with fails(ConfigurationError, reasons.NOT_A_CERTIFICATE) as caught:
        live.reload()
    assert caught.value.evidence["file"] == str(tmp_path / CHAIN)
    assert live().identities[0].chain == whole.chain
    at_the_start = Reloading(settings_of(tmp_path))  # where there is no better one
    assert at_the_start().identities[0].chain == whole.chain[:1]


def test_roots_of_which_the_last_is_lost_do_not_replace_whole_ones(tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    both = stranger().pem + stranger().pem
    roots.write_bytes(both)
    configs: list[Callable[[Files], Any]] = [
        lambda files: ClientConfig(trust=files.trust(roots)),
        lambda files: ServerConfig(
            identities=[issued("one.example")], client_authentication="required", client_trust=files.trust(roots)
        ),
    ]
    for settings in configs:
        roots.write_bytes(both)
        live: Reloading[Any] = Reloading(settings)
        before = live()
        roots.write_bytes(both[:-40])
        with fails(ConfigurationError, reasons.NOT_A_CERTIFICATE):
            live.reload()
        assert live() is before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_we_must_not_read(folder: Path) -> None:
    live = Reloading(settings_of(folder))
    (folder / KEY).chmod(0)
    with fails(ConfigurationError, reasons.FILE_UNREADABLE):
        live.reload()
    (folder / KEY).chmod(0o600)
    live.reload()


def test_what_settings_raises_comes_through(folder: Path) -> None:
    make = settings_of(folder)
    wrong: list[Exception] = []

    def settings(files: Files) -> ServerConfig:
        if wrong:
            raise wrong[0]
        config: ServerConfig = make(files)
        return config

    live = Reloading(settings)
    before = live()
    wrong.append(KeyError("a setting"))
    with pytest.raises(KeyError, match="a setting"):
        live.reload()
    assert live() is before


def test_failures_go_to_the_log_where_nobody_else_listens(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "handfast.reload")
    live = Reloading(settings_of(folder))
    (folder / KEY).write_bytes(b"")
    with fails(ConfigurationError, reasons.NOT_A_KEY):
        live.reload()
    put(folder, issued("two.example"))
    live.reload()
    failed, reloaded = caplog.records
    assert failed.levelname == "ERROR"
    assert "not reloaded, what was in force stays: There is no readable private key" in failed.getMessage()
    assert str(folder / KEY) in failed.getMessage()
    assert reloaded.levelname == "INFO"
    assert "-----BEGIN" not in caplog.text


def test_callbacks_that_fail_stop_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def wrong(_: object) -> None:
        raise RuntimeError("of the application")

    live = Reloading(settings_of(folder), on_reload=wrong, on_failure=wrong)
    put(folder, issued("two.example"))
    assert [live.poll(), live.poll()] == [False, True]
    (folder / KEY).write_bytes(b"")
    assert [live.poll(), live.poll()] == [False, False]
    assert [record.getMessage() for record in caplog.records] == ["a callback of handfast.Reloading failed"] * 2
    assert names(live) == ("localhost", "two.example")


# --- files on the move -----------------------------------------------------------------------------------------------


def test_a_key_that_comes_later_than_its_certificate(folder: Path) -> None:
    """As with certbot. Between the two there is no pair, and nothing is said until it has stayed so."""
    told: list[Exception] = []
    live = Reloading(settings_of(folder), on_failure=told.append)
    new = issued("two.example")
    put_chain(folder, new)
    assert not live.poll()
    put_key(folder, new)
    assert [live.poll(), live.poll()] == [False, True]
    assert names(live) == ("localhost", "two.example")
    assert told == []


def test_a_secret_that_is_mounted(tmp_path: Path) -> None:
    mount(tmp_path, "..first", issued("one.example"))
    live = Reloading(settings_of(tmp_path))
    mount(tmp_path, "..second", issued("two.example"))
    assert [live.poll(), live.poll()] == [False, True]
    assert names(live) == ("localhost", "two.example")


def test_files_that_change_while_they_are_read(folder: Path) -> None:
    """The certificate is read, then both are replaced, then the key is read: that is read again."""
    new = iter([issued("two.example"), issued("three.example")])

    def settings(files: Files) -> ServerConfig:
        files.read(folder / CHAIN)
        identity = next(new, None)
        if identity is not None:
            put(folder, identity)
        return ServerConfig(identities=[files.identity(folder / CHAIN, folder / KEY)])

    live = Reloading(settings)
    assert names(live) == ("localhost", "three.example")


def test_files_that_never_come_to_rest(folder: Path) -> None:
    def settings(files: Files) -> ServerConfig:
        config = ServerConfig(identities=[files.identity(folder / CHAIN, folder / KEY)])
        put(folder, issued())
        return config

    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        Reloading(settings)
    assert caught.value.evidence["problem"] == "they change while they are read"


def test_whose_certificate_it_is_shows_where_the_signer_can_be_asked(folder: Path) -> None:
    """docs/reload.md says which cannot: one that is async signs in handshakes alone."""

    class Token:
        def __init__(self, signer: Any) -> None:
            self.schemes, self.sign = signer.schemes, signer.sign

    class AsyncToken:
        def __init__(self, signer: Any) -> None:
            self.schemes, self._sign = signer.schemes, signer.sign

        async def sign(self, scheme: int, content: bytes) -> bytes:
            signature: bytes = self._sign(scheme, content)
            return signature

    own, other = issued("one.example"), issued("two.example")
    for kind, in_force in ((Token, "one.example"), (AsyncToken, "two.example")):
        put_chain(folder, own)
        token = kind(own.signer)
        live = Reloading(lambda files, token=token: ServerConfig(identities=[files.identity(folder / CHAIN, token)]))
        put_chain(folder, other)
        with suppress(ConfigurationError):
            live.reload()
        assert names(live) == ("localhost", in_force)


def test_the_same_content_is_no_change(folder: Path) -> None:
    live = Reloading(settings_of(folder))
    for file in (CHAIN, KEY):
        data = (folder / file).read_bytes()
        (folder / file).unlink()
        (folder / file).write_bytes(data)
    assert [live.poll() for _ in range(3)] == [False] * 3


def test_a_change_that_shows_in_neither_time_nor_length(folder: Path) -> None:
    protocol = folder / "alpn"
    protocol.write_text("aa")
    times = protocol.stat()
    live = Reloading(lambda files: ClientConfig(alpn=[files.read(protocol)]))
    protocol.write_text("bb")
    os.utime(protocol, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert [live.poll(), live.poll()] == [False, True]
    assert live().alpn == [b"bb"]


def test_a_pipe_is_read_once(folder: Path) -> None:
    """`--key <(decrypt key)` of a shell: what was read is gone, and a second look would wait for ever."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    data = (folder / KEY).read_bytes()

    threading.Thread(target=pipe.write_bytes, args=[data], daemon=True).start()

    def settings(files: Files) -> ServerConfig:
        return ServerConfig(identities=[files.identity(folder / CHAIN, pipe)])

    live = Reloading(settings)
    assert names(live) == ("localhost", "one.example")
    assert not live.poll()


# --- certificates that are not valid now -----------------------------------------------------------------------------

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    "validity",
    [
        {"not_before": NOW - 2 * YEAR, "not_after": NOW - YEAR},
        {"not_before": NOW + YEAR, "not_after": NOW + 2 * YEAR},
    ],
    ids=["expired", "not yet valid"],
)
def test_what_is_not_valid_does_not_replace_what_is(folder: Path, validity: dict[str, datetime]) -> None:
    told: list[Exception] = []
    clock = Clock(wall=lambda: now)
    now = NOW
    live = Reloading(settings_of(folder, clock=clock), on_failure=told.append)
    before = live()
    put(folder, issued("two.example", **validity))
    with fails(ConfigurationError, reasons.NOT_VALID_NOW) as caught:
        live.reload()
    assert "two.example" in str(caught.value)
    assert live() is before
    # Once its time has come, it is taken without anybody touching it.
    assert [live.poll(), live.poll()] == [False, False]
    now = validity["not_before"] + YEAR / 2
    assert live.poll()
    assert names(live) == ("localhost", "two.example")
    assert [type(error) for error in told] == [ConfigurationError] * len(told)


def test_what_is_not_valid_replaces_what_is_not_either(tmp_path: Path) -> None:
    put(tmp_path, issued("one.example", not_before=NOW - 2 * YEAR, not_after=NOW - YEAR))
    live = Reloading(settings_of(tmp_path))
    put(tmp_path, issued("two.example", not_before=NOW - 2 * YEAR, not_after=NOW - YEAR / 2))
    live.reload()
    assert names(live) == ("localhost", "two.example")


# --- the watcher -----------------------------------------------------------------------------------------------------


def test_a_watch(folder: Path) -> None:
    reloaded = threading.Event()
    live = Reloading(settings_of(folder), on_reload=lambda _: reloaded.set())
    with live.watch(0.01):
        put(folder, issued("two.example"))
        assert reloaded.wait(20)
        assert names(live) == ("localhost", "two.example")
    assert not [thread for thread in threading.enumerate() if thread.name == "handfast-reload"]


def test_a_watch_that_is_stopped_by_its_own_callback(folder: Path) -> None:
    stopped = threading.Event()

    def stop(_: object) -> None:
        watch.stop()
        stopped.set()

    live = Reloading(settings_of(folder), on_reload=stop)
    watch = live.watch(0.05)
    put(folder, issued("two.example"))
    assert stopped.wait(20)
    watch.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "handfast-reload"]


@pytest.mark.parametrize("interval", [0, -1])
def test_a_watch_needs_time(folder: Path, interval: float) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
        Reloading(settings_of(folder)).watch(interval)


def test_reload_by_several_threads(folder: Path) -> None:
    live = Reloading(settings_of(folder))
    pairs = [issued(f"{number}.example") for number in range(4)]
    end = time.monotonic() + 1
    wrong: list[Exception] = []

    def work() -> None:
        while time.monotonic() < end:
            try:
                live.reload()
            except ConfigurationError as error:
                if error.reason is not reasons.KEY_MISMATCH and error.evidence.get("setting") != "files":
                    wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for pair in itertools.cycle(pairs):
        put(folder, pair)
        if time.monotonic() > end:
            break
    for thread in threads:
        thread.join()
    assert wrong == []
    live.reload()
    assert live().identities[0].chain == pair.chain


# --- leaks -----------------------------------------------------------------------------------------------------------


def test_a_thousand_swaps_leave_nothing(folder: Path) -> None:
    pairs = [issued("one.example"), issued("two.example")]
    failures = itertools.count()
    live = Reloading(settings_of(folder), on_failure=lambda _: next(failures))
    old: weakref.WeakSet[object] = weakref.WeakSet()

    def swaps(count: int) -> None:
        for number in range(count):
            put(folder, pairs[number % 2])
            live.reload()
            old.add(live())
            if number % 10 == 0:  # and a bad one now and then
                (folder / KEY).write_bytes(b"")
                with suppress(ConfigurationError):
                    live.reload()

    swaps(50)
    gc.collect()
    objects, files, threads = len(gc.get_objects()), descriptors(), threading.active_count()
    swaps(1000)
    gc.collect()
    assert next(failures) == 105
    assert list(old) == [live()]
    assert descriptors() == files
    assert threading.active_count() == threads
    assert len(gc.get_objects()) - objects < 100
