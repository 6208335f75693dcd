"""What the tests of stores share: a clock, sessions, a real Redis that can be killed, and a way to it that can be slow."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handfast import Clock
from handfast.sessions.session import Basis, Session, milliseconds
from handfast.wire.codepoints import CipherSuite, ProtocolVersion
from tests.handshake.parties import client_config, identity, server_config
from tests.interop.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = bytes(range(32))
PATIENCE = 20.0


class Time:
    """A clock that goes where the test wants, both hands of it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(wall=lambda: START + timedelta(seconds=self.seconds), monotonic=lambda: 1_000.0 + self.seconds)

    def passes(self, seconds: float) -> None:
        self.seconds += seconds


@cache
def _chain() -> tuple[bytes, ...]:
    return identity().chain


def session(server_name: str | None = "localhost", *, now: datetime = START, **fields: Any) -> Session:
    """A client's session of TLS 1.3, good for two hours."""
    settings: dict[str, Any] = {
        "version": ProtocolVersion.TLS_1_3,
        "suite_id": CipherSuite.TLS_AES_128_GCM_SHA256,
        "secret": bytes(32),
        "issued": milliseconds(now),
        "basis": Basis(milliseconds(now)),
        "expires": milliseconds(now + timedelta(hours=2)),
        "server_name": server_name,
        "protocol": b"h2",
        "group": 29,
        "scheme": 0x0403,
        "chain": _chain(),
        "path": _chain(),
        "trust": bytes(32),
        "ticket": b"ticket",
    }
    return Session(**settings | fields)


def session12(server_name: str | None = "localhost", **fields: Any) -> Session:
    suite = CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    return session(server_name, **{"version": ProtocolVersion.TLS_1_2, "suite_id": suite, "secret": bytes(48)} | fields)


def values(item: Session) -> tuple[Any, ...]:
    return tuple(getattr(item, field.name) for field in dataclasses.fields(item))


def eventually(condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What the condition says once it holds."""
    until = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.01)
    return found


class Redis:
    """A redis-server of this test alone, which keeps nothing on disk unless it is told to."""

    def __init__(self, program: str, *arguments: str) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._command = [
            program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", *arguments
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __call__(self, *command: str) -> bytes:
        """One command of an operator, and the first bytes of the reply."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as sock:
            sock.sendall(b"*%d\r\n" % len(command))
            for word in command:
                sock.sendall(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()))
            return sock.recv(65_536)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self("PING") == b"+PONG\r\n"
        return False


class Proxy:
    """A way to a server, on which each reply may take its time."""

    def __init__(self, target: int) -> None:
        self.delay = 0.0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def stop(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [near, far]
                for source, target, slow in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._pass, args=(source, target, slow), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, slow: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if slow:
                    time.sleep(self.delay)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def stopping(*things: Any) -> Iterator[None]:
    try:
        yield
    finally:
        for thing in things:
            thing.stop()


def shake(client: dict[str, Any], server: dict[str, Any], early_data: bytes = b"") -> tuple[Any, list[Any]]:
    """A handshake in memory, and what the server sees of it: its Handshake, and its events."""
    from handfast.connection import ClientConnection, ServerConnection

    here = ClientConnection(client_config(**client), server_name="localhost", early_data=early_data)
    there = ServerConnection(server_config(**server))
    here.start()
    there.start()
    seen: list[Any] = []
    for _ in range(6):
        there.receive_data(here.data_to_send())
        seen += there.events()
        here.receive_data(there.data_to_send())
        list(here.events())
    assert there.handshake is not None
    assert here.handshake is not None
    assert there.handshake.resumed == here.handshake.resumed
    return there.handshake, seen
