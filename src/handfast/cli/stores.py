"""Where `handfast serve` keeps what clients come back with: the memory of this run, or a store that several share."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from handfast.cli.watch import Watch
from handfast.errors import ConfigurationError, shown
from handfast.handshake.tickets import REMEMBERED
from handfast.reasons import FILE_UNREADABLE
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemoryCache
from handfast.sessions.replay import MemoryReplayGuard

_SECRET: Final = 32  # bytes
YOUNG: Final = round(REMEMBERED)  # seconds in which a new guard admits nothing


@dataclass(frozen=True)
class Kept:
    """The stores of a run.

    ``watch``   what the server uses: it notes what becomes of each client that comes back
    ``shared``  the store behind them; None for memory
    """

    watch: Watch
    shared: Any = None

    async def look(self) -> None:
        """Ask the store for a sign of life, so that one that is not there is known before the first client comes."""
        if self.shared is not None:
            await self.shared.run(_ping(), lambda: None)

    async def close(self) -> None:
        """Let go of the store."""
        if self.shared is not None:
            await self.shared.close()


def _ping() -> Generator[tuple[str], Any, None]:
    yield ("PING",)


def kept(tickets: int, store: str | None, secret: Path | None, early_data: bool, warn: Callable[[str], None]) -> Kept:
    """What the options ask for. Raises ConfigurationError."""
    _check(tickets, store, secret, early_data)
    if not tickets:
        return Kept(Watch(None, None, None))
    if store is None:
        return Kept(Watch(TicketKeyRing(), MemoryCache(), MemoryReplayGuard() if early_data else None))
    assert secret is not None, "it was checked"
    from handfast.transport.stores.shared import Shared
    from handfast.transport.stores.shared_guard import RedisReplayGuard
    from handfast.transport.stores.shared_keys import RedisKeyRing
    from handfast.transport.stores.shared_states import RedisStore

    shared = Shared.from_url(store, asynchronous=True, warn=warn)
    ring = RedisKeyRing(shared, _read(secret, warn))
    return Kept(Watch(ring, RedisStore(shared, ring), RedisReplayGuard(shared) if early_data else None), shared)


def _check(tickets: int, store: str | None, secret: Path | None, early_data: bool) -> None:
    if store is not None and secret is None:
        problem = (
            "needs --store-secret FILE: the keys of tickets lie in the store sealed under a secret that all servers have, "
            f"{_SECRET} random bytes (openssl rand -out FILE {_SECRET})"
        )
        raise ConfigurationError(setting="--store", problem=problem)
    if secret is not None and store is None:
        raise ConfigurationError(setting="--store-secret", problem="means nothing without --store")
    if not tickets and (store is not None or early_data):
        option = "--store" if store is not None else "--early-data"
        raise ConfigurationError(setting=option, problem="means nothing with --tickets 0: nobody can come back")


def _read(path: Path, warn: Callable[[str], None]) -> bytes:
    try:
        secret = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise ConfigurationError(FILE_UNREADABLE, file=str(path), problem=problem) from None
    if len(secret) < _SECRET:
        problem = f"has to be {_SECRET} random bytes or more (openssl rand -out FILE {_SECRET})"
        raise ConfigurationError(setting="--store-secret", problem=problem, file=str(path), bytes=len(secret))
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        warn(
            f"--store-secret: {shown(path)} may be used by others (mode {mode & 0o777:o}), who could open every ticket"
        )
    return secret


def told(watch: Watch) -> list[str]:
    """How often clients came back, and what was in the way: for the end of a run. Empty where nobody came."""
    totals = watch.totals
    shaken = totals["full"] + totals["resumed"]
    if not shaken:
        return []
    others = [(name, number) for name, number in totals.items() if name not in ("full", "resumed")]
    lines = [f"{totals['resumed']} of {shaken} handshakes were resumed"]
    return lines + [
        f"  {number} {'time' if number == 1 else 'times'} {name}"
        for name, number in sorted(others, key=lambda each: -each[1])
    ]
