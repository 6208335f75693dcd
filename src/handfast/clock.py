"""Time, as it comes in with the configuration: the core never asks the operating system."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

_now: Final = partial(datetime.now, UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """``wall`` is the time of day in UTC, for certificates and tickets; ``monotonic`` seconds, for deadlines and ages."""

    wall: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.perf_counter


SYSTEM_CLOCK = Clock()
