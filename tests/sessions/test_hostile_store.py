"""A store in the hands of somebody else: what it sends holds no handshake up, fills no memory, and does not grow what is counted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handfast import limits
from handfast.cli.stores import kept
from handfast.errors import ConfigurationError
from handfast.transport.stores.shared import Shared
from handfast.transport.stores.shared_guard import RedisReplayGuard
from handfast.transport.stores.shared_keys import RedisKeyRing
from handfast.transport.stores.shared_states import RedisStore
from tests.handshake.parties import authority, identity
from tests.interop.processes import free_port
from tests.peers import require_peer
from tests.sessions.stores import SECRET, Redis, stopping

WAIT = 0.3
MUCH = 1 << 30
HELD = 3.0  # seconds: the machine may be busy, and all that is sent here takes longer

Reply = Callable[[socket.socket], None]
both_ways = pytest.mark.parametrize("asynchronous", [False, True])


class Store:
    """Replies to whatever it gets."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            while sock.recv(65_536):
                self._reply(sock)


def sends(*pieces: bytes, every: float = 0.0) -> Reply:
    def reply(sock: socket.socket) -> None:
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(every)

    return reply


def asking(shared: Shared) -> dict[str, Callable[[], Any]]:
    """One of each kind of question. The answer to each is no."""
    ring = RedisKeyRing(shared, SECRET)
    return {
        "seal": lambda: ring.seal(b"state", 100),
        "open": lambda: ring.open(bytes(100)),
        "load": lambda: RedisStore(shared, ring).load(b"id"),
        "admit": lambda: RedisReplayGuard(shared).admit(b"binder", 20.0) or None,
    }


def answer_of(url: str, asynchronous: bool, ask: Callable[[Shared], Any], **settings: Any) -> tuple[Any, Shared]:
    async def run() -> tuple[Any, Shared]:
        shared = Shared.from_url(url, asynchronous=True, **settings)
        answer = ask(shared)
        answer = await answer if hasattr(answer, "__await__") else answer
        await shared.close()
        return answer, shared

    if asynchronous:
        return asyncio.run(run())
    shared = Shared.from_url(url, **settings)
    answer = ask(shared)
    shared.close()
    return answer, shared


def script(*commands: tuple[Any, ...]) -> Any:
    """The last reply."""
    reply = None
    for command in commands:
        reply = yield command
    return reply


@both_ways
@pytest.mark.parametrize("start", [b"$1000\r\n", b"*1000\r\n:", b"+"])
@pytest.mark.parametrize("kind", ["seal", "open", "load", "admit"])
def test_a_store_that_drips_holds_nobody_up_for_long(kind: str, start: bytes, asynchronous: bool) -> None:
    store = Store(sends(start, *[b"1"] * 60, every=0.1))
    with stopping(store):
        began = time.monotonic()
        answer, shared = answer_of(
            store.url, asynchronous, lambda shared: asking(shared)[kind](), wait=WAIT, warn=lambda _: None
        )
        assert time.monotonic() - began < HELD
    assert not answer
    assert shared.counts["failed"] == 1


def test_a_store_that_drips_over_tls_holds_nobody_up_for_long() -> None:
    store = Store(sends(b"\x16\x03\x03\x40\x00", *[b"1"] * 60, every=0.1))  # a record that goes on for long
    with stopping(store):
        began = time.monotonic()
        url = store.url.replace("redis", "rediss")
        answer, shared = answer_of(url, False, lambda shared: asking(shared)["seal"](), wait=WAIT, warn=lambda _: None)
        assert time.monotonic() - began < HELD
    assert answer is None
    assert shared.counts == {"failed": 1}


@both_ways
@pytest.mark.parametrize("start", [b"$%d\r\n" % MUCH, b"*%d\r\n" % MUCH, b"+", b"-"])
def test_of_a_reply_without_end_little_is_taken(start: bytes, asynchronous: bool) -> None:
    sent = 0

    def flood(sock: socket.socket) -> None:
        nonlocal sent
        sock.sendall(start)
        piece = b":1\r\n" * 65_536 if start[:1] == b"*" else b"x" * 262_144
        while sent < MUCH:
            sock.sendall(piece)
            sent += len(piece)

    store = Store(flood)
    with stopping(store):
        answer, shared = answer_of(
            store.url, asynchronous, lambda shared: asking(shared)["seal"](), wait=20.0, warn=lambda _: None
        )
    assert answer is None
    assert shared.counts == {"failed": 1}
    assert sent < 64 << 20, "with what the system holds on the way"


@both_ways
@pytest.mark.parametrize("excess", [0, 1])
def test_a_reply_has_a_longest_length(asynchronous: bool, excess: int) -> None:
    head = b"$1048500\r\n"
    length = limits.STORE_REPLY - len(head) - 2 + excess
    head = b"$%d\r\n" % length
    warnings: list[str] = []
    store = Store(sends(head + bytes(length) + b"\r\n"))
    with stopping(store):
        answer, _ = answer_of(
            store.url,
            asynchronous,
            lambda shared: shared.run(script(("GET", b"a"), ("GET", b"b")), lambda: b""),
            wait=20.0,
            warn=warnings.append,
        )
    assert len(answer) == (0 if excess else length), "each reply may be so long"
    assert ("a reply has more than" in "".join(warnings)) is bool(excess)


def test_a_call_that_is_over_leaves_no_limit_behind() -> None:
    store = Store(sends(b"+PONG\r\n"))
    with stopping(store):
        shared = Shared.from_url(store.url, wait=0.2)
        assert shared.run(script(("PING",)), lambda: None)
        time.sleep(0.3)
        assert shared.client.ping()
        shared.close()


@both_ways
@pytest.mark.parametrize("reply", [b"+yes\r\n", b"$16\r\nrefused: a thing\r\n", b"$0\r\n\r\n"])
def test_only_what_a_guard_can_say_is_counted(reply: bytes, asynchronous: bool) -> None:
    guards: list[RedisReplayGuard] = []

    def ask(shared: Shared) -> Any:
        guards.append(RedisReplayGuard(shared))
        return guards[0].admit(b"binder", 20.0)

    store = Store(sends(reply))
    with stopping(store):
        answer, shared = answer_of(store.url, asynchronous, ask, wait=5.0, warn=lambda _: None)
    assert answer is False
    assert guards[0].counts == {"refused: unreachable": 1}
    assert shared.counts == {"failed": 1}


# --- and what the limits do not get in the way of


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A real one, by each way to it."""
    folder = tmp_path_factory.mktemp("redis")
    certificate, key = identity().write(folder)
    roots = authority().write(folder)
    port = free_port()
    server = Redis(
        require_peer("redis-server"), "--unixsocket", str(folder / "redis"), "--tls-port", str(port),
        "--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no",
    )  # fmt: skip
    with stopping(server):
        yield {
            "tcp": server.url,
            "unix": f"unix://{folder / 'redis'}",
            "tls": f"rediss://localhost:{port}?ssl_ca_certs={roots}",
        }


@both_ways
@pytest.mark.parametrize("way", ["tcp", "unix", "tls"])
def test_a_real_one_is_reached_by_each_way(urls: dict[str, str], way: str, asynchronous: bool) -> None:
    prefix = f"{{{way}{asynchronous}}}"
    ticket, shared = answer_of(
        urls[way],
        asynchronous,
        lambda shared: RedisKeyRing(shared, SECRET).seal(b"state", 100),
        wait=20.0,
        prefix=prefix,
    )
    assert shared.counts == {"answered": 1}
    opened, _ = answer_of(
        urls["tcp"], False, lambda shared: RedisKeyRing(shared, SECRET).open(ticket), wait=20.0, prefix=prefix
    )
    assert opened == b"state"


@pytest.mark.parametrize(
    "url",
    ["redis://:se/cret@h:6379", "redis://user:sec#ret@h:1", "redis://:se?cret@h", "redis://:secret", "redis://:[s@h"],
)
def test_no_piece_of_a_password_is_in_an_error(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Shared.from_url(url)
    assert "'" not in str(caught.value)
    assert "percent-encoded" in str(caught.value)


def test_what_else_is_wrong_with_a_url_is_said() -> None:
    with pytest.raises(ConfigurationError, match="unix://"):
        Shared.from_url("http://localhost")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_secret_of_the_fleet_that_others_may_read_is_warned_of(tmp_path: Path, mode: int, warned: bool) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    secret.chmod(mode)
    sentences: list[str] = []
    kept(2, "redis://127.0.0.1:1", secret, False, sentences.append)
    assert len(sentences) == warned
    assert not warned or f"may be used by others (mode {mode:o}), who could open every ticket" in sentences[0]
