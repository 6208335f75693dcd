"""A fleet of real servers, `handfast serve` twice over one Redis, and flights that can be sent to any of them again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import handfast
from handfast import ClientConnection, Clock
from handfast.crypto.entropy import SYSTEM_ENTROPY
from tests.cli.running import Serving
from tests.handshake.parties import authority, client_config, identity
from tests.peers import require_peer
from tests.sessions.stores import SECRET, Redis, eventually, stopping

if TYPE_CHECKING:
    from handfast.crypto.groups import Share
    from handfast.sessions.session import Session

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SECONDS = 60.0
NEW_STORE = "the store is new: what was admitted before it nobody knows"
UNREACHABLE = "the store cannot be reached, or could not a moment ago"
REPLAYED = "it has been here before: a replay"

# `handfast serve`, but its keys follow each other in seconds, and it waits for the store as long as it takes.
_HASTY = """
from functools import partial
from handfast.transport.stores import shared, shared_keys
shared_keys.RedisKeyRing = partial(shared_keys.RedisKeyRing, rotation=4, ahead=2.0, refresh=0.25)
shared.Shared.from_url = partial(shared.Shared.from_url, wait=10.0)
from handfast.cli.main import main
main()
"""


class Node:
    """One server of the fleet."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.port = Serving(process, as_json=True).port
        self._log = log

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has said about the connections that are over, one by one."""
        return [json.loads(line) for line in self._log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def early(self) -> list[dict[str, Any]]:
        """What it has said about those that came with early data."""
        return [line for line in self.lines if line["session"] is not None and line["session"]["early_data"]]

    def came_back(self, count: int) -> list[dict[str, Any]]:
        """What it has said about those that came back, once there are so many."""

        def found() -> list[dict[str, Any]]:
            sessions = [line["session"] for line in self.lines if line["session"] is not None]
            return sessions if len(sessions) >= count else []

        lines: list[dict[str, Any]] = eventually(found)
        return lines


@dataclass
class Fleet:
    """Two servers, one Redis, and a folder with what OpenSSL's client needs to know."""

    redis: Redis
    nodes: tuple[Node, Node]
    folder: Path

    @property
    def ports(self) -> list[int]:
        return [node.port for node in self.nodes]

    def session(self) -> Session:
        """One that allows early data, from the first node. Early data goes by the group of its session alone."""
        kept: list[Session] = []
        config = client_config(sessions=handfast.MemorySessions(), groups=["x25519"], max_version="1.3")
        with handfast.connect(
            "127.0.0.1", self.ports[0], config=config, server_name="localhost", timeout=SECONDS, on_session=kept.append
        ) as tls:
            tls.sendall(REQUEST)
            while tls.recv():
                pass
        return kept[-1]

    def is_met(self) -> None:
        """Let both nodes have the first key. Who is there before they have it gets no ticket."""
        for port in self.ports:
            eventually(partial(race, Flight(self.session()), [port]))

    def is_old(self) -> None:
        """Let the store be one that has been there for ever, to the guards: its first window is over."""
        race(Flight(self.session()), self.ports)  # they look whether they know it
        self.redis("HSET", "{handfast}:epoch", "since", "0")


@contextmanager
def fleet(folder: Path, *, hasty: bool = False) -> Iterator[Fleet]:
    """Its servers have to end well."""
    authority().write(folder)
    certificate, key = identity().write(folder)
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_bytes(SECRET)
    with ExitStack() as stack:
        redis = Redis(require_peer("redis-server"))
        stack.enter_context(stopping(redis))
        options = ["--cert", certificate, "--key", key, "--store", redis.url, "--store-secret", secret, "--early-data"]
        nodes = [stack.enter_context(_node(folder / f"log{number}", options, hasty)) for number in range(2)]
        yield Fleet(redis, (nodes[0], nodes[1]), folder)


@contextmanager
def _node(log: Path, options: Sequence[object], hasty: bool) -> Iterator[Node]:
    program = ["-c", _HASTY] if hasty else ["-m", "handfast"]
    command = [sys.executable, *program, "serve", "--json", "--port", "0", *map(str, options)]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdout=output, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        ) as process,
    ):
        try:
            yield Node(process, log)
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, errors


# --- flights --------------------------------------------------------------------------------------------------------


class _Tape:
    """Randomness that is drawn once, and is the same for all who play it."""

    def __init__(self) -> None:
        self.drawn: list[Any] = []

    def play(self) -> _Playing:
        return _Playing(self)


class _Playing:
    def __init__(self, tape: _Tape) -> None:
        self._drawn = tape.drawn
        self._at = 0

    def random(self, length: int) -> bytes:
        return self._next(lambda: SYSTEM_ENTROPY.random(length))

    def new_shares(self, groups: tuple[int, ...]) -> list[Share]:
        return self._next(lambda: SYSTEM_ENTROPY.new_shares(groups))

    def encapsulate(self, group: int, public: bytes) -> tuple[bytes, bytes]:
        return SYSTEM_ENTROPY.encapsulate(group, public)

    def _next(self, draw: Any) -> Any:
        if self._at == len(self._drawn):
            self._drawn.append(draw())
        self._at += 1
        return self._drawn[self._at - 1]


class Flight:
    """A client's first flight with early data, recorded: whoever sends it can also read what comes back.

    ``ahead``  seconds by which the client's clock is ahead. With nine of the ten that are allowed, the age of its ticket
               is no reason to refuse it for the next nineteen
    """

    def __init__(self, session: Session, ahead: float = 0.0) -> None:
        now = datetime.now(UTC) + timedelta(seconds=ahead)
        self._session = session
        self._clock = Clock(wall=lambda: now, monotonic=lambda: 0.0)
        self._tape = _Tape()
        self.data = bytes(self.client().data_to_send())

    def client(self) -> ClientConnection:
        """One that has sent this flight, or is about to."""
        config = client_config(
            clock=self._clock, entropy_for_tests=self._tape.play(), groups=["x25519"], max_version="1.3"
        )
        connection = ClientConnection(config, server_name="localhost", session=self._session, early_data=REQUEST)
        connection.start()
        return connection


def race(flight: Flight, ports: Sequence[int]) -> list[bool]:
    """Send one flight to several servers at a time; which of them have taken, and answered, what was early in it."""
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=SECONDS)) for port in ports]
        for sock in socks:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for sock in socks:  # some twenty microseconds from one to the next
            sock.sendall(flight.data)
        return [_was_taken(flight, sock) for sock in socks]


def _was_taken(flight: Flight, sock: socket.socket) -> bool:
    """Go on as the client that has sent the flight, until hands are shaken."""
    client = flight.client()
    assert client.data_to_send() == flight.data
    while client.handshake is None:
        data = sock.recv(65_536)
        assert data, "the server has closed"
        client.receive_data(data)
        list(client.events())
    sock.sendall(client.data_to_send())
    assert client.handshake.resumed
    assert client.handshake.early_data is not None, "it was sent"
    if client.handshake.early_data != "accepted":
        return False
    answer = b""
    while data := sock.recv(65_536):
        client.receive_data(data)
        answer += b"".join(event.data for event in client.events() if isinstance(event, handfast.ApplicationData))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    return True
