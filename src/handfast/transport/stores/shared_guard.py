"""Which early data comes for the first time to any node of a fleet (RFC 9846 section 8.2)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable
from typing import Final

from handfast.crypto.guard import Guarded
from handfast.sessions.session import CLOCKS, milliseconds
from handfast.transport.stores.shared import Script, Shared

# One step, as the store sees it. All of it goes by the clock of the store: two nodes that are near to that are near to each
# other, and what one finds fresh no other does after the window. Its epoch is the process that it is (another one after a restart, and after a failover,
# and both may have lost the latest binders), and how many names it has thrown away for want of memory (a binder may have
# been among them). An epoch that nobody has seen yet begins now, and for one window nothing is admitted in it.
_ADMIT: Final = """
local run = string.match(redis.call("INFO", "server"), "run_id:(%w+)")
local evicted = string.match(redis.call("INFO", "stats"), "evicted_keys:(%d+)")
if not run or not evicted then return "refused: unknown store" end
local epoch = run .. ":" .. evicted
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local window, clock, apart = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local fresh = redis.call("SET", KEYS[2], "", "NX", "PX", window)
local kept = redis.call("HMGET", KEYS[1], "epoch", "since")
if kept[1] ~= epoch then
    redis.call("HSET", KEYS[1], "epoch", epoch, "since", now)
    return "refused: new store"
end
if not fresh then return "replayed" end
if math.abs(clock - now) > apart then return "refused: clock" end
local age = now - tonumber(kept[2])
if age < window then
    if age < 0 then redis.call("HSET", KEYS[1], "since", now) end
    return "refused: new store"
end
return "admitted"
"""
_VERDICTS: Final = {"admitted", "replayed", "refused: clock", "refused: new store", "refused: unknown store"}


class RedisReplayGuard(Guarded):
    """Remembers binders for a fleet (a ReplayGuard): of one flight that reaches several nodes, one is taken.

    A store that is new, was restarted, has failed over, or had to throw something away admits nothing for one window. A
    node that could not reach it admits nothing for one window either, and one whose clock is not that of the store, to five
    seconds, nothing at all: what it finds fresh may be older than what is remembered. They tell the store of what comes
    meanwhile all the same: so other nodes know of that, and the window of a store that is new begins at once.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._unreachable_until = float("-inf")
        self._counts: Counter[str] = Counter()

    def admit(self, binder: bytes, seconds: float) -> bool | Awaitable[bool]:
        """Whether this binder is new to all nodes; it is remembered for so many seconds, which is the window."""
        return self._shared.run(self._judge(binder, seconds), lambda: self._unreachable(seconds))

    @property
    def counts(self) -> dict[str, int]:
        """How many were "admitted", "replayed", or refused: "refused: new store", "refused: clock", "refused: unreachable", ..."""
        with self._lock:
            return dict(self._counts)

    def _judge(self, binder: bytes, seconds: float) -> Script[bool]:
        names = self._shared.name("epoch"), self._shared.name("binder", binder)
        now = milliseconds(self._shared.clock.wall())
        reply: bytes = yield ("EVAL", _ADMIT, 2, *names, int(1_000 * seconds), now, CLOCKS // 2)
        verdict = reply.decode("ascii")
        if verdict not in _VERDICTS:
            raise ValueError("no verdict")
        with self._lock:
            if verdict == "admitted" and self._shared.clock.monotonic() < self._unreachable_until:
                verdict = "refused: unreachable"
            self._counts[verdict] += 1
        return verdict == "admitted"

    def _unreachable(self, seconds: float) -> bool:
        with self._lock:
            self._unreachable_until = self._shared.clock.monotonic() + seconds
            self._counts["refused: unreachable"] += 1
        return False
