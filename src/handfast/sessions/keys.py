"""The keys of a server's tickets: what they are, how they follow each other, and when they are gone (RFC 5077 section 5.5).

A key *seals* from its not-before to its not-after, the newest one first. It *opens* what it has sealed until the last such
ticket is dead; then it is forgotten, and nobody can open what was sent under that ticket any more.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Final, Self

from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.crypto.entropy import SYSTEM_ENTROPY, Entropy
from handfast.crypto.guard import Guarded
from handfast.errors import ConfigurationError, DecodeError
from handfast.limits import SEALS_OF_A_KEY
from handfast.sessions.sealing import KEY, SealingKey
from handfast.sessions.session import milliseconds
from handfast.wire.cursor import Reader, Writer

ROTATION: Final = 43_200  # seconds: 12 hours
LIFETIME: Final = 7_200  # seconds, as ServerConfig.ticket_lifetime

_NAME: Final = 16  # bytes
_TICKET: Final = (1 << 16) - 1  # bytes (RFC 9846 section 4.7.1)
_FORMAT: Final = b"handfast ticket keys 1\n"


class TicketKey(Guarded):
    """One key.

    ``name``        16 random bytes, which stand in front of each ticket
    ``not_before``  milliseconds since 1970, by the wall clock: the first at which it seals
    ``not_after``   likewise, the first at which it does not any more
    """

    __slots__ = ("_entropy", "_sealing", "_secret", "last_expiry", "name", "not_after", "not_before", "seals")

    def __init__(
        self, name: bytes, secret: bytes, not_before: int, not_after: int, entropy: Entropy = SYSTEM_ENTROPY
    ) -> None:
        if len(name) != _NAME or len(secret) != KEY or not 0 <= not_before < not_after < 1 << 63:
            problem = f"has a name of {_NAME} bytes, a secret of {KEY}, and a not-before that is before its not-after"
            raise ConfigurationError(setting="ticket key", problem=problem)
        self.name = name
        self.not_before = not_before
        self.not_after = not_after
        self.seals = 0  # by this process
        self.last_expiry = 0  # of the tickets that this process has sealed, milliseconds since 1970
        self._secret = secret
        self._sealing = SealingKey(secret, entropy)

    @classmethod
    def new(cls, not_before: int, not_after: int, entropy: Entropy = SYSTEM_ENTROPY) -> Self:
        """A fresh one."""
        return cls(entropy.random(_NAME), entropy.random(KEY), not_before, not_after, entropy)

    def seal(self, state: bytes, expires: int, context: bytes) -> bytes:
        """Name, nonce, and under the key the expiry with the state.

        The expiry is not in the clear: with it an onlooker could tell which connection a ticket comes from, which TLS 1.3
        takes care to hide (RFC 9846 section 4.3.11.1).
        """
        return self.name + self._sealing.seal(expires.to_bytes(8) + state, self.name + context)

    def open(self, ticket: bytes, context: bytes) -> tuple[int, bytes] | None:
        """When it expires, and the state; None if it is forged."""
        content = self._sealing.open(ticket[_NAME:], self.name + context)
        return None if content is None else (int.from_bytes(content[:8]), content[8:])

    def sealed(self, under: SealingKey) -> bytes:
        """The key itself, for another node."""
        out = Writer()
        out.opaque(self.name)
        out.opaque(self._secret)
        out.opaque(self.not_before.to_bytes(8))
        out.opaque(self.not_after.to_bytes(8))
        return under.seal(bytes(out.data), _FORMAT)

    @classmethod
    def opened(cls, sealed: bytes, under: SealingKey, entropy: Entropy = SYSTEM_ENTROPY) -> Self | None:
        """What :meth:`sealed` made under the same key; None for anything else."""
        content = under.open(sealed, _FORMAT)
        if content is None:
            return None
        reader = Reader(content)
        try:
            name, secret = reader.opaque(_NAME, "name"), reader.opaque(KEY, "secret")
            not_before, not_after = (int.from_bytes(reader.opaque(8, field)) for field in ("not_before", "not_after"))
            reader.done("ticket key")
            return cls(name, secret, not_before, not_after, entropy)
        except (DecodeError, ConfigurationError):
            return None


class TicketKeyRing(Guarded):
    """Seals and opens tickets, under keys that it changes by itself. It may be used by any number of threads and servers.

    ``rotation``  seconds for which a key seals, 12 hours by default. None makes no key: they are all added, or loaded
    ``lifetime``  seconds for which a key opens what *others* have sealed under it, after it has stopped to seal: what
                  their ``ticket_lifetime`` is. Of its own tickets a ring knows when the last one is dead
    """

    __slots__ = ("_clock", "_counts", "_entropy", "_keys", "_lock", "_review", "lifetime", "rotation")

    def __init__(
        self,
        *,
        rotation: int | None = ROTATION,
        lifetime: int = LIFETIME,
        clock: Clock = SYSTEM_CLOCK,
        entropy_for_tests: Entropy | None = None,
    ) -> None:
        if rotation is not None and rotation < 1:
            raise ConfigurationError(setting="rotation", problem="has to be 1 second or more, or None for no new keys")
        if lifetime < 0:
            raise ConfigurationError(setting="lifetime", problem="has to be 0 seconds or more")
        self.rotation = rotation
        self.lifetime = lifetime
        self._clock = clock
        self._entropy = entropy_for_tests or SYSTEM_ENTROPY
        self._lock = threading.Lock()
        self._keys: tuple[TicketKey, ...] = ()  # the newest first
        self._review = 0  # when to look for dead keys next
        self._counts: Counter[str] = Counter()

    # --- a TicketSealer

    def seal(self, state: bytes, seconds: int, context: bytes = b"") -> bytes | None:
        """A ticket for so many seconds; None while there is no active key, or if it would be too long for a ticket.

        ``context``  where it may be opened, if not everywhere: it is authenticated, and has to be the same there
        """
        now = self._now()
        expires = now + 1_000 * seconds
        with self._lock:
            self._forget_dead(now)
            key = self._active(now)
            if key is None and self.rotation is not None:
                key = self._make(now, self.rotation)
            if key is None:
                self._counts["no key"] += 1
                return None
            key.seals += 1
            key.last_expiry = max(key.last_expiry, expires)
            self._counts["sealed"] += 1
        ticket = key.seal(state, expires, context)
        return ticket if len(ticket) <= _TICKET else None

    def open(self, ticket: bytes, context: bytes = b"") -> bytes | None:
        """What was sealed; None if the ticket is old, foreign or forged."""
        why, state = self._open(ticket, context)
        with self._lock:
            self._counts[why] += 1
        return state

    def _open(self, ticket: bytes, context: bytes) -> tuple[str, bytes | None]:
        now = self._now()
        name = ticket[:_NAME]
        with self._lock:
            self._forget_dead(now)
            key = next((key for key in self._keys if key.name == name), None)
        if key is None:
            return "unknown key", None
        content = key.open(ticket, context)
        if content is None:
            return "forged", None
        expires, state = content
        return ("opened", state) if now < expires else ("expired", None)

    @property
    def counts(self) -> dict[str, int]:
        """What became of seals ("sealed", "no key") and of tickets ("opened", "unknown key", "forged", "expired")."""
        with self._lock:
            return dict(self._counts)

    # --- its keys

    @property
    def keys(self) -> tuple[TicketKey, ...]:
        """All keys that are alive, the newest first."""
        with self._lock:
            self._forget_dead(self._now(), at_once=True)
            return self._keys

    @property
    def active(self) -> TicketKey | None:
        """The key that tickets are sealed under at this moment; None if there is none."""
        with self._lock:
            return self._active(self._now())

    def knows(self, ticket: bytes) -> bool:
        """Whether the key of this ticket is here."""
        return any(key.name == ticket[:_NAME] for key in self._keys)

    def make_key(self, ahead: float = 0.0, seals_for: float | None = None) -> TicketKey:
        """A new key, which seals in ``ahead`` seconds: time enough to bring it to all others before it is used.

        ``seals_for``  seconds, the rotation by default
        """
        with self._lock:
            return self._make(self._now() + int(1_000 * ahead), seals_for or self.rotation or ROTATION)

    def add(self, key: TicketKey) -> bool:
        """Take a key from elsewhere; False if it is here already, or dead."""
        with self._lock:
            if any(known.name == key.name for known in self._keys):
                return False
            self._put(key)
            self._forget_dead(self._now(), at_once=True)
            return key in self._keys

    def export(self, secret: bytes) -> bytes:
        """All keys that are alive, for the other nodes of a fleet, sealed under a secret of theirs (32 random bytes)."""
        under = SealingKey.of_secret(secret, "ticket keys", self._entropy)
        out = Writer()
        out.opaque(_FORMAT)
        for key in self.keys:
            out.vector8(key.sealed(under))
        return bytes(out.data)

    def load(self, exported: bytes, secret: bytes) -> int:
        """Add the keys that another ring has exported under this secret; how many of them are new here.

        Raises ConfigurationError, and adds none, if these are no keys, or are sealed under another secret.
        """
        under = SealingKey.of_secret(secret, "ticket keys", self._entropy)
        return sum([self.add(key) for key in self._parse(exported, under)])

    def _parse(self, exported: bytes, under: SealingKey) -> Iterable[TicketKey]:
        reader = Reader(exported)
        found = []
        try:
            if reader.opaque(len(_FORMAT), "format") != _FORMAT:
                raise reader.error("format", "not that of ticket keys")
            while reader:
                key = TicketKey.opened(reader.vector8("key"), under, self._entropy)
                if key is None:
                    raise ConfigurationError(
                        setting="ticket keys", problem="are sealed under another secret, or damaged"
                    )
                found.append(key)
        except DecodeError:
            raise ConfigurationError(setting="ticket keys", problem="these are none") from None
        return found

    # --- with the lock held

    def _make(self, not_before: int, seconds: float) -> TicketKey:
        key = TicketKey.new(not_before, not_before + int(1_000 * seconds), self._entropy)
        self._put(key)
        return key

    def _put(self, key: TicketKey) -> None:
        # Of two that begin together all nodes have to take the same one: the name decides.
        self._keys = tuple(sorted([*self._keys, key], key=lambda each: (each.not_before, each.name), reverse=True))

    def _active(self, now: int) -> TicketKey | None:
        usable = (key for key in self._keys if key.not_before <= now < key.not_after and key.seals < SEALS_OF_A_KEY)
        return next(usable, None)

    def _forget_dead(self, now: int, *, at_once: bool = False) -> None:
        if not at_once and self._review - 1_000 <= now < self._review:
            return
        self._review = now + 1_000
        alive = []
        stopped = 1 << 63  # when the next newer key begins, and the others of the fleet stop to seal under this one
        for key in self._keys:
            stopped = min(stopped, key.not_after)
            if now < stopped or now < max(stopped + 1_000 * self.lifetime, key.last_expiry):
                alive.append(key)
            stopped = key.not_before
        self._keys = tuple(alive)

    def _now(self) -> int:
        return milliseconds(self._clock.wall())
