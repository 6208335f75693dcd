"""Which early data comes for the first time, as far as one process can tell (RFC 9846 section 8.2)."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict

from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.crypto.guard import Guarded
from handfast.crypto.process import forks
from handfast.limits import BINDERS
from handfast.sessions.memory import check_capacity
from handfast.sessions.session import CLOCKS


class MemoryReplayGuard(Guarded):
    """Remembers binders (a ReplayGuard). Bounded, and safe for threads; for one process, since another has another memory.

    While it is younger than one window it admits nothing: what its predecessor has admitted it does not know. When it is
    full it admits nothing either: to forget a binder would be to admit its replay. Where the clock was set back, old
    flights look fresh again: it admits nothing until they do not any more. In a child of the process that has made it, it
    never admits anything: what its parent and its siblings admit it cannot know.

    ``capacity``  binders that are remembered at a time
    """

    __slots__ = ("_binders", "_born", "_capacity", "_clock", "_counts", "_forks", "_lead", "_lock")

    def __init__(self, capacity: int = BINDERS, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._capacity = check_capacity("capacity", capacity)
        self._clock = clock
        self._born = clock.monotonic()
        self._lead = self._lead_now()
        self._forks = forks()
        self._lock = threading.Lock()
        self._binders: OrderedDict[bytes, float] = OrderedDict()  # until when, the oldest first
        self._counts: Counter[str] = Counter()

    def admit(self, binder: bytes, seconds: float) -> bool:
        """Whether this binder is new; it is remembered for so many seconds, which is the window."""
        with self._lock:
            verdict = self._judge(binder, seconds)
            self._counts[verdict] += 1
        return verdict == "admitted"

    @property
    def counts(self) -> dict[str, int]:
        """How many were "admitted", "replayed", or refused: "refused: young", "refused: full", "refused: forked"."""
        with self._lock:
            return dict(self._counts)

    def __len__(self) -> int:
        return len(self._binders)

    def _judge(self, binder: bytes, seconds: float) -> str:
        if self._forks != forks():
            return "refused: forked"
        now = self._clock.monotonic()
        self._forget(now)
        back = self._lead - self._lead_now()
        if back > CLOCKS / 1_000:
            self._lead -= back
            self._born = max(self._born, now + back)
        if self._binders.get(binder, now) > now:
            return "replayed"
        if now - self._born < seconds:
            return "refused: young"
        if len(self._binders) >= self._capacity:
            return "refused: full"
        self._binders[binder] = now + seconds
        self._binders.move_to_end(binder)
        return "admitted"

    def _lead_now(self) -> float:
        """Seconds by which the wall clock is ahead of the monotonic one: less than before, once it was set back."""
        return self._clock.wall().timestamp() - self._clock.monotonic()

    def _forget(self, now: float) -> None:
        """The oldest first. With windows of several lengths some stay longer than they have to, none shorter."""
        while self._binders:
            binder, until = next(iter(self._binders.items()))
            if until > now:
                return
            del self._binders[binder]
