"""Sessions in the memory of this process: a client's, and a server's."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from datetime import datetime
from typing import Final

from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.crypto.entropy import SYSTEM_ENTROPY, Entropy
from handfast.crypto.guard import Guarded
from handfast.errors import ConfigurationError
from handfast.limits import SESSIONS, SESSIONS_OF_A_SERVER, STATES
from handfast.sessions.session import Session, milliseconds
from handfast.wire.codepoints import ProtocolVersion

_TICKET: Final = 32  # bytes, random: it names what the server keeps


def check_capacity(setting: str, value: int) -> int:
    """At least 1."""
    if value < 1:
        raise ConfigurationError(setting=setting, problem="has to be 1 or more")
    return value


class Shelf(Guarded):
    """A client's sessions by server, the one used last at the end. What the stores of clients have in common; no lock."""

    __slots__ = ("_by_server", "_capacity", "_per_server", "count")

    def __init__(self, capacity: int, per_server: int) -> None:
        self._capacity = check_capacity("capacity", capacity)
        self._per_server = check_capacity("per_server", per_server)
        self._by_server: OrderedDict[str | None, list[Session]] = OrderedDict()
        self.count = 0

    def put(self, session: Session) -> None:
        """The oldest of this server make room for it, and those of the servers that were not asked for the longest."""
        kept = self._by_server.setdefault(session.server_name, [])
        self._by_server.move_to_end(session.server_name)
        kept.append(session)
        self.count += 1
        while len(kept) > self._per_server:
            self._drop(kept)
        while self.count > self._capacity:
            server_name = next(iter(self._by_server))
            self._drop(self._by_server[server_name])
            if not self._by_server[server_name]:
                del self._by_server[server_name]

    def forget(self, session: Session) -> None:
        """Drop a session; it may have come back from a file since it was taken."""
        kept = self._by_server.get(session.server_name, [])
        left = [each for each in kept if (each.version, each.secret) != (session.version, session.secret)]
        self.count -= len(kept) - len(left)
        kept[:] = left
        if not left:
            self._by_server.pop(session.server_name, None)

    def take(self, server_name: str | None, now: datetime) -> tuple[str, Session | None]:
        """What became of it ("hit", "expired", "none"), and the newest session that is valid.

        It goes from the shelf if it is of TLS 1.3: who uses a ticket twice can be recognised (RFC 9846 appendix C.4).
        """
        kept = self._by_server.get(server_name)
        if kept is None:
            return "none", None
        self._by_server.move_to_end(server_name)
        found: Session | None = None
        while kept and found is None:
            last = kept[-1]
            valid = last.is_valid(now)
            found = last if valid else None
            if not valid or last.version == ProtocolVersion.TLS_1_3:
                kept.pop()
                self.count -= 1
        if not kept:
            del self._by_server[server_name]
        return ("expired", None) if found is None else ("hit", found)

    def sessions(self) -> list[Session]:
        """All of them, in the order in which they would have to be put to come to lie like this."""
        return [session for kept in self._by_server.values() for session in kept]

    def _drop(self, kept: list[Session]) -> None:
        del kept[0]
        self.count -= 1


class MemorySessions(Guarded):
    """A client's sessions (a SessionStore). Bounded, and safe for threads.

    ``capacity``    sessions in all; the servers that were not asked for the longest lose theirs first
    ``per_server``  sessions with one server: as many connections can be resumed at a time
    """

    __slots__ = ("_clock", "_counts", "_lock", "_shelf")

    def __init__(
        self, capacity: int = SESSIONS, per_server: int = SESSIONS_OF_A_SERVER, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._shelf = Shelf(capacity, per_server)
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def put(self, session: Session) -> None:
        """Keep a session."""
        with self._lock:
            self._shelf.put(session)
            self._counts["put"] += 1

    def forget(self, session: Session) -> None:
        """Give this one to nobody any more."""
        with self._lock:
            self._shelf.forget(session)
            self._counts["forgotten"] += 1

    def take(self, server_name: str | None) -> Session | None:
        """The newest valid session with a server; one of TLS 1.3 is then not kept any longer."""
        now = self._clock.wall()
        with self._lock:
            why, session = self._shelf.take(server_name, now)
            self._counts[why] += 1
        return session

    @property
    def counts(self) -> dict[str, int]:
        """How often there was something to "put" or to be "forgotten", and what came of asking: "hit", "none", "expired"."""
        with self._lock:
            return dict(self._counts)

    def __len__(self) -> int:
        return self._shelf.count


class MemoryCache(Guarded):
    """A server's sessions, kept here: a SessionCache for TLS 1.2, and a TicketSealer whose tickets are but names.

    Such a ticket dies with its entry, and can be forgotten at will; but it is known to this process alone, and has to be
    kept for each client. A TicketKeyRing keeps nothing.

    ``capacity``  sessions in all; the ones that were not asked for the longest make room for new ones
    """

    __slots__ = ("_capacity", "_clock", "_counts", "_entries", "_entropy", "_lock")

    def __init__(
        self, capacity: int = STATES, *, clock: Clock = SYSTEM_CLOCK, entropy_for_tests: Entropy | None = None
    ) -> None:
        self._capacity = check_capacity("capacity", capacity)
        self._clock = clock
        self._entropy = entropy_for_tests or SYSTEM_ENTROPY
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, bytes], tuple[int, bytes]] = OrderedDict()
        self._counts: Counter[str] = Counter()

    # --- a SessionCache

    def store(self, session_id: bytes, state: bytes, seconds: int) -> None:
        """Keep a state for so many seconds."""
        self._put(("session", session_id), state, seconds)

    def load(self, session_id: bytes) -> bytes | None:
        """The state of this ID; None if it is not there any more."""
        return self._find(("session", session_id))

    # --- a TicketSealer

    def seal(self, state: bytes, seconds: int) -> bytes:
        """A name that nobody can guess."""
        ticket = self._entropy.random(_TICKET)
        self._put(("ticket", ticket), state, seconds)
        return ticket

    def open(self, ticket: bytes) -> bytes | None:
        """The state of this name; None if it is not there any more."""
        return self._find(("ticket", ticket))

    # --- both

    def forget(self, name: bytes) -> None:
        """Resume this session no more: an ID, or a ticket."""
        with self._lock:
            for kind in ("session", "ticket"):
                self._entries.pop((kind, name), None)

    @property
    def counts(self) -> dict[str, int]:
        """How many were "stored", how many of those had to make room ("dropped"), and "hit", "unknown", "expired"."""
        with self._lock:
            return dict(self._counts)

    def __len__(self) -> int:
        return len(self._entries)

    def _put(self, name: tuple[str, bytes], state: bytes, seconds: int) -> None:
        expires = milliseconds(self._clock.wall()) + 1_000 * seconds
        with self._lock:
            self._entries[name] = (expires, state)
            self._entries.move_to_end(name)
            self._counts["stored"] += 1
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)
                self._counts["dropped"] += 1

    def _find(self, name: tuple[str, bytes]) -> bytes | None:
        # The name is a secret of 32 bytes in TLS 1.3, and public in TLS 1.2, where the client proves itself by its
        # Finished, as it does here by its binder: finding it by a hash table, in no constant time, tells nothing of use.
        now = milliseconds(self._clock.wall())
        with self._lock:
            expires, state = self._entries.get(name, (None, b""))
            if expires is None:
                self._counts["unknown"] += 1
                return None
            if expires <= now:
                del self._entries[name]
                self._counts["expired"] += 1
                return None
            self._entries.move_to_end(name)
            self._counts["hit"] += 1
            return state
