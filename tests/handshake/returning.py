"""Clients that come back: small stores in memory, and visits that are told by what both sides saw."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from handfast.clock import Clock
from handfast.connection import ClientConnection, ServerConnection
from handfast.events import EarlyData, EarlyDataRejected, HandshakeCompleted, SessionReceived
from tests.handshake.parties import client_config, server_config

if TYPE_CHECKING:
    from handfast.events import Handshake
    from handfast.sessions.session import Session


class Tickets:
    """A TicketSealer: its tickets are names of what it keeps."""

    def __init__(self, *, once: bool = False) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.seconds: list[int] = []
        self.opened: list[bytes] = []
        self.once = once

    def seal(self, state: bytes, seconds: int) -> bytes | None:
        ticket = os.urandom(16)
        self.kept[ticket] = state
        self.seconds.append(seconds)
        return ticket

    def open(self, ticket: bytes) -> bytes | None:
        self.opened.append(ticket)
        return self.kept.pop(ticket, None) if self.once else self.kept.get(ticket)


class Cache:
    """A SessionCache."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.seconds: list[int] = []

    def store(self, session_id: bytes, state: bytes, seconds: int) -> None:
        self.kept[session_id] = state
        self.seconds.append(seconds)

    def load(self, session_id: bytes) -> bytes | None:
        return self.kept.get(session_id)


class Sessions:
    """A SessionStore; it gives what it has got last, and keeps it."""

    def __init__(self, *sessions: Session) -> None:
        self.kept = list(sessions)
        self.asked: list[str | None] = []

    def put(self, session: Session) -> None:
        self.kept.append(session)

    def forget(self, session: Session) -> None:
        self.kept = [each for each in self.kept if each.secret != session.secret]

    def take(self, server_name: str | None) -> Session | None:
        self.asked.append(server_name)
        return self.kept[-1] if self.kept else None


class Guard:
    """A ReplayGuard."""

    def __init__(self, *, admits: bool = True) -> None:
        self.seen: list[tuple[bytes, float]] = []
        self.admits = admits

    def admit(self, binder: bytes, seconds: float) -> bool:
        new = binder not in [before for before, _ in self.seen]
        self.seen.append((binder, seconds))
        return new and self.admits


class Times:
    """A clock of both kinds that goes where the test wants; it starts at the system's time."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def seconds(self) -> float:
        return self.now.timestamp()

    @property
    def clock(self) -> Clock:
        return Clock(wall=lambda: self.now, monotonic=self.seconds)


@dataclass
class Visit:
    """A handshake, and what was said after it."""

    client: ClientConnection
    server: ServerConnection
    here: list[Any] = field(default_factory=list)
    there: list[Any] = field(default_factory=list)

    def run(self) -> Visit:
        """Until both sides have nothing more to say."""
        while self.client.has_data_to_send or self.server.has_data_to_send:
            self.server.receive_data(self.client.data_to_send())
            self.there += self.server.events()
            self.client.receive_data(self.server.data_to_send())
            self.here += self.client.events()
        return self

    @property
    def facts(self) -> Handshake:
        """What both sides agree on; they must not differ."""
        here, there = self.client.handshake, self.server.handshake
        assert here is not None
        assert there is not None
        for name in ("version", "cipher_suite", "group", "alpn", "resumed", "early_data", "hello_retry_request"):
            assert getattr(here, name) == getattr(there, name), name
        return here

    @property
    def resumed(self) -> bool:
        return self.facts.resumed

    @property
    def sessions(self) -> list[Session]:
        """Those that the client got."""
        return [event.session for event in self.here if isinstance(event, SessionReceived)]

    @property
    def early(self) -> bytes:
        """What the server took of it."""
        return b"".join(event.data for event in self.there if isinstance(event, EarlyData))

    @property
    def rejected(self) -> list[bytes]:
        """What the client got back."""
        return [event.data for event in self.here if isinstance(event, EarlyDataRejected)]

    def talk(self) -> Visit:
        """Data in both directions: the keys are right."""
        for source, target in ((self.client, self.server), (self.server, self.client)):
            source.send(b"hello")
            target.receive_data(source.data_to_send())
            [event] = list(target.events())
            assert event.data == b"hello"
        return self


def visit(
    client: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
    *,
    session: Session | None = None,
    early_data: bytes = b"",
    server_name: str = "localhost",
    tap: Any = None,
) -> Visit:
    """A client with these settings comes to a server with those."""
    here = ClientConnection(
        client_config(**client or {}), server_name=server_name, session=session, early_data=early_data, tap=tap
    )
    there = ServerConnection(server_config(**server or {}))
    here.start()
    there.start()
    made = Visit(here, there).run()
    assert [type(event) for event in made.here].count(HandshakeCompleted) == 1
    assert [type(event) for event in made.there].count(HandshakeCompleted) == 1
    return made


def first_session(client: dict[str, Any], server: dict[str, Any], **more: Any) -> Session:
    """What a first visit leaves the client with."""
    made = visit(client, server, **more)
    assert not made.resumed
    return made.sessions[0]
