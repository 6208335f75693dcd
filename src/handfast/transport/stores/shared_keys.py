"""The ticket keys of a fleet, in the store that it shares: any node opens what any other has sealed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable
from typing import Final

from handfast.crypto.entropy import SYSTEM_ENTROPY, Entropy
from handfast.crypto.guard import Guarded
from handfast.errors import ConfigurationError
from handfast.sessions.keys import LIFETIME, ROTATION, TicketKey, TicketKeyRing
from handfast.sessions.sealing import SealingKey
from handfast.sessions.session import milliseconds
from handfast.transport.stores.shared import Script, Shared

AHEAD: Final = 300.0  # seconds from the making of a key to its first use
REFRESH: Final = 60.0  # seconds after which a node looks for new keys
LEASE: Final = 5.0  # seconds for which one node alone may make a key; it takes milliseconds

_SOONEST: Final = 1.0  # second from one look to the next, whatever tickets there are
_TOKEN: Final = 16  # bytes

# Take the lock away only if it is still ours (the lease may have ended, and another have taken it).
_UNLOCK: Final = 'if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0'


class RedisKeyRing(Guarded):
    """The keys that a fleet seals its tickets under (a TicketSealer); see TicketKeyRing for what a key does.

    The nodes keep them in memory, and look into the store once a minute, or when a ticket comes whose key they do not know.
    Whichever node sees first that it is time makes the next key, under a lock with a lease, and five minutes before it is
    used, so that all have it by then. In the store the keys are sealed under the secret of the fleet. What is missing there,
    each node brings back: a store that comes back empty is filled again. While it is gone the last key goes on, for twice
    the rotation at most; after that there are no new tickets until it is back. A key that begins too late to be true, from a
    node with a wrong clock, is left alone.

    ``secret``    32 random bytes or more, the same on all nodes, and nowhere in the store
    ``rotation``  seconds for which a key is the newest, 12 hours by default
    ``lifetime``  seconds for which tickets live: ``ticket_lifetime`` of the servers, or more
    ``ahead``     seconds from the making of a key to its first use: more than clocks differ, and twice ``refresh``
    ``refresh``   seconds after which a node looks for new keys
    """

    def __init__(
        self,
        shared: Shared,
        secret: bytes,
        *,
        rotation: int = ROTATION,
        lifetime: int = LIFETIME,
        ahead: float = AHEAD,
        refresh: float = REFRESH,
        entropy_for_tests: Entropy | None = None,
    ) -> None:
        if not 0 < 2 * refresh <= ahead or 2 * ahead > rotation:
            problem = "ahead has to be twice refresh or more, and half of rotation or less"
            raise ConfigurationError(setting="ahead", problem=problem)
        self._shared = shared
        self._entropy = entropy_for_tests or SYSTEM_ENTROPY
        self._under = SealingKey.of_secret(secret, "ticket keys", self._entropy)
        self._ring = TicketKeyRing(
            rotation=None, lifetime=lifetime, clock=shared.clock, entropy_for_tests=entropy_for_tests
        )
        self._rotation = rotation
        self._ahead = ahead
        self._refresh = refresh
        self._lock = threading.Lock()
        self._look_at = float("-inf")  # by the monotonic clock: when it is time for a look
        self._look_soonest = float("-inf")
        self._counts: Counter[str] = Counter()

    def seal(self, state: bytes, seconds: int) -> bytes | Awaitable[bytes | None] | None:
        """A ticket for so many seconds; None while there is no key."""
        return self._shared.run(self.sealing(state, seconds), lambda: self._ring.seal(state, seconds))

    def open(self, ticket: bytes) -> bytes | Awaitable[bytes | None] | None:
        """What was sealed by any node; None if the ticket is old, foreign or forged."""
        return self._shared.run(self.opening(ticket), lambda: self._ring.open(ticket))

    def sealing(self, state: bytes, seconds: int, context: bytes = b"") -> Script[bytes | None]:
        """:meth:`seal`, as part of a script; ``context`` as in TicketKeyRing."""
        if self._is_time(self._ring.active is None):
            yield from self._look()
        return self._ring.seal(state, seconds, context)

    def opening(self, ticket: bytes, context: bytes = b"") -> Script[bytes | None]:
        """:meth:`open`, as part of a script."""
        if self._is_time(not self._ring.knows(ticket)):
            yield from self._look()
        return self._ring.open(ticket, context)

    @property
    def max_lifetime(self) -> int:
        """Seconds for which all nodes open a ticket; what is sealed for longer, others may call dead before its time."""
        return self._ring.lifetime

    @property
    def keys(self) -> tuple[TicketKey, ...]:
        """The keys that this node has, the newest first."""
        return self._ring.keys

    @property
    def counts(self) -> dict[str, int]:
        """As TicketKeyRing's, and how many keys this node has "made", "found" and "restored", or found "unreadable" or "implausible"."""
        with self._lock:
            return self._ring.counts | dict(self._counts)

    # --- the store

    def _is_time(self, urgent: bool) -> bool:
        """Whether this call should look for keys; the others that come meanwhile do with those that are here.

        Anybody can send tickets of unknown keys: not more than one in a second leads to a look.
        """
        now = self._shared.clock.monotonic()
        with self._lock:
            if now < (self._look_soonest if urgent else self._look_at):
                return False
            self._look_at = self._look_soonest = now + min(_SOONEST, self._refresh)
            return True

    def _look(self) -> Script[None]:
        """Take what is new in the store, bring what it lacks, drop what is dead, and make the next key if it is time."""
        there = yield from self._take()
        for key in self._near():
            if key.name not in there:
                yield from self._publish(key)
                self._count("restored")
        if self._is_due():
            yield from self._rotate()
        with self._lock:
            self._look_at = self._shared.clock.monotonic() + self._refresh

    def _take(self) -> Script[set[bytes]]:
        """Add the keys of the store to ours, and remove the dead; the names of all that were there."""
        there: dict[bytes, bytes] = yield ("HGETALL", self._shared.name("keys"))
        dead = []
        for name, sealed in there.items():
            if self._ring.knows(name):
                continue
            key = TicketKey.opened(sealed, self._under, self._entropy)
            if key is None or key.name != name:
                # Planted, or of a fleet that is changing its secret node by node: not ours to remove.
                self._count("unreadable")
            elif self._is_far(key):
                self._count("implausible")
            elif self._ring.add(key):
                self._count("found")
            else:
                dead.append(name)
        if dead:
            yield ("HDEL", self._shared.name("keys"), *dead)
        return set(there)

    def _rotate(self) -> Script[None]:
        """Make the next key, unless another node does at this moment."""
        lock, token = self._shared.name("lock"), self._entropy.random(_TOKEN)
        if not (yield ("SET", lock, token, "NX", "PX", int(1_000 * LEASE))):
            return
        yield from self._take()  # who had the lock before may have made it
        if self._is_due():
            now = self._now()
            newest = self._near()[:1] if self._ring.active else ()
            # The first key of all is used at once: no node can have an older one, and those that do not know this one look
            # for it when they see its tickets.
            begins = max([now + int(1_000 * self._ahead), *(key.not_before + self._period for key in newest)])
            begins = begins if newest else now
            key = TicketKey.new(begins, begins + 2 * self._period, self._entropy)
            # Should the lease have ended meanwhile, there are two new keys, and all nodes take the same one of them.
            yield from self._publish(key)
            self._ring.add(key)  # now that the others can find it
            self._count("made")
        yield ("EVAL", _UNLOCK, 1, lock, token)

    def _publish(self, key: TicketKey) -> Script[None]:
        hash_name = self._shared.name("keys")
        yield ("HSET", hash_name, key.name, key.sealed(self._under))
        # A fleet that is switched off leaves no keys behind.
        ends = max(each.not_after for each in (key, *self._near()))
        yield ("PEXPIREAT", hash_name, ends + 1_000 * self._ring.lifetime)

    def _is_due(self) -> bool:
        """Whether the next key has to be made: so long ahead that with one lock and one look it is everywhere in time."""
        newest = self._near()[:1]
        if not newest or self._ring.active is None:
            return True
        return newest[0].not_before + self._period - 2_000 * self._ahead <= self._now()

    def _near(self) -> tuple[TicketKey, ...]:
        """Our keys, but those that are far: made while our clock was wrong."""
        return tuple(key for key in self._ring.keys if not self._is_far(key))

    def _is_far(self, key: TicketKey) -> bool:
        """Whether it begins later than any key can that was made by now.

        Who has made it had a wrong clock. As the newest key it would keep all nodes from making the next one in time.
        """
        return key.not_before > self._now() + 3_000 * self._ahead  # twice ahead, and what clocks may differ

    @property
    def _period(self) -> int:
        return 1_000 * self._rotation

    def _now(self) -> int:
        return milliseconds(self._shared.clock.wall())

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1
