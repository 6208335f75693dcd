"""What kept sessions weigh, and how many a second the stores take: ``python -m bench.sessions [SESSIONS] [REDIS-URL]``.

Each store is weighed in a process of its own: what its resident memory has grown by. A client's session has the server's
chain of two certificates in it, a copy of its own for each, as if no two were from one handshake. With the URL of a Redis
the shared stores are timed too; names that begin with {bench} are written there. They wait for a round trip each: of the two
numbers of an operation that of processor time is the one that other load on the machine hardly changes.
"""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from bench import credentials
from handfast.handshake.tickets import REMEMBERED
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemoryCache, MemorySessions
from handfast.sessions.replay import MemoryReplayGuard
from handfast.sessions.session import Basis, Session, milliseconds
from handfast.wire.codepoints import CipherSuite, ProtocolVersion

SESSIONS = 100_000
SECONDS = 1.0


def session(number: int, chain: tuple[bytes, ...] = ()) -> Session:
    now = milliseconds(datetime.now(UTC))
    return Session(
        version=ProtocolVersion.TLS_1_3,
        suite_id=CipherSuite.TLS_AES_128_GCM_SHA256,
        secret=os.urandom(32),
        issued=now,
        expires=now + 7_200_000,
        basis=Basis(now),
        server_name=f"{number}.example",
        protocol=b"h2",
        group=0x001D,
        scheme=0x0403,
        chain=tuple(bytes(bytearray(each)) for each in chain),
        trust=bytes(32),
        ticket=os.urandom(200) if chain else b"",
    )


def fill_client(count: int) -> object:
    store = MemorySessions(count)
    chain = _chain()
    for number in range(count):
        store.put(session(number, chain))
    return store


def fill_server(count: int) -> object:
    store = MemoryCache(count)
    for number in range(count):
        store.store(os.urandom(32), session(number).encode(), 7_200)
    return store


def fill_guard(count: int) -> object:
    guard = MemoryReplayGuard(count)
    guard._born -= 60  # old enough to admit
    for _ in range(count):
        guard.admit(os.urandom(32), 60.0)
    assert len(guard) == count
    return guard


def fill_ring(count: int) -> object:
    ring = TicketKeyRing()
    for number in range(count):
        ring.seal(session(number).encode(), 7_200)
    return ring


STORES: dict[str, Callable[[int], object]] = {
    "MemorySessions": fill_client,
    "MemoryCache": fill_server,
    "MemoryReplayGuard": fill_guard,
    "TicketKeyRing": fill_ring,
}


def _chain() -> tuple[bytes, ...]:
    own = credentials.p256()
    return own.leaf.public_bytes(Encoding.DER), own.root.public_bytes(Encoding.DER)


def _resident() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 1024


def weigh(name: str, count: int) -> float:
    """KiB that the resident memory grows by."""
    kept = [STORES[name](100)]
    before = _resident()
    kept.append(STORES[name](count))
    grown = _resident() - before
    assert len(kept) == 2
    return grown


def rate(work: Callable[[], Any]) -> tuple[float, float]:
    """How often a second, by the clock on the wall; and microseconds of processor time each, of this process."""
    work()
    count, began, used = 0, time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - began) < SECONDS:
        for _ in range(10):
            work()
        count += 10
    return count / passed, 1e6 * (time.process_time() - used) / count


def timed(url: str | None) -> dict[str, Callable[[], Any]]:
    state = session(0).encode()
    ring, cache, guard = TicketKeyRing(), MemoryCache(), MemoryReplayGuard(10_000_000)
    guard._born -= 60
    ticket = ring.seal(state, 7_200)
    cache.store(b"id", state, 7_200)
    work: dict[str, Callable[[], Any]] = {
        "TicketKeyRing.seal": lambda: ring.seal(state, 7_200),
        "TicketKeyRing.open": lambda: ring.open(ticket),
        "MemoryCache.store": lambda: cache.store(os.urandom(32), state, 7_200),
        "MemoryCache.load": lambda: cache.load(b"id"),
        "MemoryReplayGuard.admit": lambda: guard.admit(os.urandom(32), REMEMBERED),
    }
    if url:
        work |= shared(url, state)
    return work


def shared(url: str, state: bytes) -> dict[str, Callable[[], Any]]:
    from handfast.transport.stores.shared import Shared
    from handfast.transport.stores.shared_guard import RedisReplayGuard
    from handfast.transport.stores.shared_keys import RedisKeyRing
    from handfast.transport.stores.shared_states import RedisStore

    redis = Shared.from_url(url, prefix="{bench}")
    keys, guard = RedisKeyRing(redis, bytes(32)), RedisReplayGuard(redis)
    store = RedisStore(redis, keys)
    store.store(b"id", state, 60)
    ticket = keys.seal(state, 7_200)
    return {
        "RedisKeyRing.seal": lambda: keys.seal(state, 7_200),
        "RedisKeyRing.open": lambda: keys.open(ticket),  # type: ignore[arg-type]
        "RedisStore.store": lambda: store.store(os.urandom(32), state, 60),
        "RedisStore.load": lambda: store.load(b"id"),
        "RedisReplayGuard.admit": lambda: guard.admit(os.urandom(32), REMEMBERED),
    }


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--weigh"]:
        print(weigh(arguments[1], int(arguments[2])), flush=True)
        return 0
    count = int(arguments[0]) if arguments else SESSIONS
    print(f"{count:,} sessions weigh")
    for name in STORES:
        command = [sys.executable, "-m", "bench.sessions", "--weigh", name, str(count)]
        grown = float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        print(f"  {name:20} {grown / 1024:8.1f} MiB {1024 * grown / count:8.0f} bytes each", flush=True)
    print("operations                    a second  us of processor time")
    for name, work in timed(arguments[1] if len(arguments) > 1 else None).items():
        often, costs = rate(work)
        print(f"  {name:24} {often:12,.0f} {costs:21.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
