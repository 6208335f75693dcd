"""Says that a store has failed: once, and not at each handshake."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from handfast.clock import Clock

PAUSE: Final = 60.0  # seconds from one warning to the next

_log = logging.getLogger("handfast.stores")


class Warner:
    """Passes on one sentence a minute; the log of handfast.stores takes it where nobody else does."""

    def __init__(self, say: Callable[[str], None] | None, clock: Clock) -> None:
        self._say = say or _log.warning
        self._clock = clock
        self._lock = threading.Lock()
        self._next = float("-inf")

    def __call__(self, sentence: str) -> None:
        """Pass it on, or drop it. What the receiver raises is no reason for a handshake to fail."""
        now = self._clock.monotonic()
        with self._lock:
            if now < self._next:
                return
            self._next = now + PAUSE
        try:
            self._say(sentence)
        except Exception:
            _log.exception("A warning could not be passed on")
