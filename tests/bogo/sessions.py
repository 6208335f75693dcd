"""What the connections of one test have in common: the clock, what a server knows of its clients, a client's session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from handfast.clock import Clock
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemoryCache
from handfast.sessions.session import Session
from tests.bogo.flags import Options
from tests.bogo.later import answered


class Shared:
    """Of one test.

    ``clock``    stands still, but for -resumption-delay: the runner counts a ticket's age in whole seconds
    ``session``  what a client's last connection has brought, to be resumed by the next one
    """

    def __init__(self) -> None:
        self._started = datetime.now(UTC)
        self._passed = 0
        self.clock = Clock(lambda: self._started + timedelta(seconds=self._passed), lambda: float(self._passed))
        self.ring = TicketKeyRing(clock=self.clock)
        self.cache = MemoryCache(clock=self.clock)
        self.session: Session | None = None
        self.binders: set[bytes] = set()

    def pass_time(self, seconds: int) -> None:
        """-resumption-delay."""
        self._passed += seconds


class Sessions:
    """A client's store for one connection: it has the session of the connection before.

    ``newest``  what has come since
    ``count``   how many have come
    """

    def __init__(self, options: Options, shared: Shared) -> None:
        self._options = options
        self._given = shared.session
        self.newest: Session | None = None
        self.count = 0

    def put(self, session: Session) -> None:
        self.newest = session
        self.count += 1

    def forget(self, session: Session) -> None:
        """Each connection of the runner's has its own process."""

    def take(self, server_name: str | None) -> Any:
        return answered(self._options, lambda: self._given)


class Server:
    """What a server asks about sessions in one connection: it seals and opens tickets, keeps sessions, and admits early data.

    ``opened``  the last session that it has opened
    ``stored``  how many it has kept by their IDs
    """

    def __init__(self, options: Options, shared: Shared) -> None:
        self._options = options
        self._shared = shared
        self.opened: Session | None = None
        self.stored = 0

    def seal(self, state: bytes, seconds: int) -> Any:
        return self._answered(lambda: None if self._options.skip_ticket else self._shared.ring.seal(state, seconds))

    def open(self, ticket: bytes) -> Any:
        return self._answered(lambda: self._open(ticket))

    def store(self, session_id: bytes, state: bytes, seconds: int) -> Any:
        self.stored += 1
        return self._answered(lambda: self._shared.cache.store(session_id, state, seconds))

    def load(self, session_id: bytes) -> Any:
        return self._answered(lambda: self._shared.cache.load(session_id))

    def admit(self, binder: bytes, seconds: float) -> Any:
        return self._answered(lambda: self._admit(binder))

    def _open(self, ticket: bytes) -> bytes | None:
        state = self._shared.ring.open(ticket)
        if state is not None:
            self.opened = Session.decode(state)
        return state

    def _admit(self, binder: bytes) -> bool:
        known = binder in self._shared.binders
        self._shared.binders.add(binder)
        return not known

    def _answered(self, find: Callable[[], Any]) -> Any:
        return answered(self._options, find)
