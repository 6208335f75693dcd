"""The sessions of a fleet's clients, in the store that it shares: what one node has made, another resumes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable
from typing import Final

from handfast.crypto.entropy import SYSTEM_ENTROPY, Entropy
from handfast.crypto.guard import Guarded
from handfast.transport.stores.shared import Script, Shared
from handfast.transport.stores.shared_keys import RedisKeyRing

_TICKET: Final = 32  # bytes, random: it names what is kept


class RedisStore(Guarded):
    """States of sessions: a SessionCache for TLS 1.2, and a TicketSealer whose tickets are but names.

    A state is sealed under the ring's keys before it leaves the process, and bound to its name: who reads the store learns
    no secret, and who writes to it can only make sessions unknown. If the store fails there is nothing to resume, and no
    more than that.

    ``keys``  the ring of this fleet; it need not be used for tickets
    """

    def __init__(self, shared: Shared, keys: RedisKeyRing, *, entropy_for_tests: Entropy | None = None) -> None:
        self._shared = shared
        self._keys = keys
        self._entropy = entropy_for_tests or SYSTEM_ENTROPY
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    # --- a SessionCache

    def store(self, session_id: bytes, state: bytes, seconds: int) -> Awaitable[None] | None:
        """Keep a state for so many seconds."""
        name = self._shared.name("session", session_id)
        return self._shared.run(self._keep(name, state, seconds), self._missed)

    def load(self, session_id: bytes) -> bytes | Awaitable[bytes | None] | None:
        """The state of this ID; None if it is not there any more."""
        return self._shared.run(self._find(self._shared.name("session", session_id)), self._missed)

    # --- a TicketSealer

    def seal(self, state: bytes, seconds: int) -> bytes | Awaitable[bytes | None] | None:
        """A name that nobody can guess; None if the state cannot be kept."""
        ticket = self._entropy.random(_TICKET)
        name = self._shared.name("ticket", ticket)
        return self._shared.run(self._named(ticket, name, state, seconds), self._missed)

    def open(self, ticket: bytes) -> bytes | Awaitable[bytes | None] | None:
        """The state of this name; None if it is not there any more."""
        return self._shared.run(self._find(self._shared.name("ticket", ticket)), self._missed)

    @property
    def max_lifetime(self) -> int:
        """Seconds for which all nodes can read a state: that of the ring."""
        return self._keys.max_lifetime

    @property
    def counts(self) -> dict[str, int]:
        """How many were "stored", and "hit", "unknown" (or expired), "refused" (the key is gone, or forged), "failed"."""
        with self._lock:
            return dict(self._counts)

    # --- both

    def _keep(self, name: bytes, state: bytes, seconds: int) -> Script[None]:
        yield from self._put(name, state, seconds)

    def _named(self, ticket: bytes, name: bytes, state: bytes, seconds: int) -> Script[bytes | None]:
        return ticket if (yield from self._put(name, state, seconds)) else None

    def _put(self, name: bytes, state: bytes, seconds: int) -> Script[bool]:
        sealed = yield from self._keys.sealing(state, seconds, name)
        if sealed is None:
            return False
        yield ("SET", name, sealed, "PX", 1_000 * seconds)
        self._count("stored")
        return True

    def _find(self, name: bytes) -> Script[bytes | None]:
        sealed: bytes | None = yield ("GET", name)
        state = None if sealed is None else (yield from self._keys.opening(sealed, name))
        self._count("unknown" if sealed is None else "refused" if state is None else "hit")
        return state

    def _missed(self) -> None:
        self._count("failed")

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1
