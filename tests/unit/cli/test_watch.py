"""What a server notes about clients that come back."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable

import pytest

from handfast.cli.stores import told
from handfast.cli.watch import Return, Watch
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemoryCache
from handfast.sessions.replay import MemoryReplayGuard


class Slow:
    """A sealer whose store takes its time: each ticket is of an unknown key, or expired."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.go_on = asyncio.Event()

    async def open(self, ticket: bytes) -> bytes | None:
        await self.go_on.wait()
        self.counts[ticket.decode()] += 1
        return None

    def seal(self, state: bytes, seconds: int) -> bytes:
        return state + bytes(seconds)


def verdict(watch: Watch, name: bytes) -> str:
    return watch._verdicts[hashlib.sha256(name).digest()]


def test_what_is_behind_answers_as_if_nobody_watched() -> None:
    ring, cache = TicketKeyRing(), MemoryCache()
    watch = Watch(ring, cache, None)
    assert watch.tickets is not None
    assert watch.cache is not None
    ticket = watch.tickets.seal(b"state", 60)
    assert watch.tickets.open(ticket) == b"state"
    watch.cache.store(b"id", b"kept", 60)
    assert watch.cache.load(b"id") == b"kept"
    assert watch.guard is None


@pytest.mark.parametrize(
    ("ticket", "why"),
    [
        (bytes(64), "the key of its ticket is not known here: it is gone, or of another server"),
        (b"", "the key of its ticket is not known here: it is gone, or of another server"),
        ("damaged", "its ticket is forged, or damaged"),
        ("expired", "its ticket has expired"),
    ],
)
def test_a_ticket_that_is_no_good_has_its_reason(ticket: bytes | str, why: str) -> None:
    ring = TicketKeyRing()
    watch = Watch(ring, None, None)
    assert watch.tickets is not None
    if isinstance(ticket, str):
        good = ring.seal(b"state", 0 if ticket == "expired" else 60)
        assert good is not None
        ticket = good if ticket == "expired" else good[:-1] + bytes([good[-1] ^ 1])
    assert watch.tickets.open(ticket) is None
    assert verdict(watch, ticket) == why


def test_a_session_that_cannot_be_read_is_no_secret_that_is_kept() -> None:
    ring = TicketKeyRing()
    watch = Watch(ring, None, None)
    ticket = ring.seal(b"of another version", 60)
    assert watch.tickets is not None
    assert watch.tickets.open(ticket or b"") == b"of another version"
    assert watch._verdicts == {}


def test_an_unknown_id_and_a_young_guard_have_their_reasons() -> None:
    watch = Watch(None, MemoryCache(), MemoryReplayGuard())
    assert watch.cache is not None
    assert watch.guard is not None
    assert watch.cache.load(b"id") is None
    assert watch.guard.admit(b"binder", 20.0) is False
    assert verdict(watch, b"id") == "its session is not known here, or no more"
    assert verdict(watch, b"binder").startswith("the guard is younger")


def test_of_several_that_wait_at_once_each_possible_reason_is_named() -> None:
    async def both() -> Watch:
        slow = Slow()
        watch = Watch(slow, None, None)
        assert watch.tickets is not None
        opening: list[Awaitable[bytes | None]] = [watch.tickets.open(b"unknown key"), watch.tickets.open(b"expired")]
        tasks = [asyncio.ensure_future(each) for each in opening]
        await asyncio.sleep(0)
        slow.go_on.set()
        assert await asyncio.gather(*tasks) == [None, None]
        return watch

    watch = asyncio.run(both())
    assert "its ticket has expired" in verdict(watch, b"expired")
    assert "; or " in verdict(watch, b"expired")


def test_a_flood_of_tickets_is_forgotten() -> None:
    watch = Watch(None, None, None)
    for number in range(10_050):
        watch.note(number.to_bytes(4), "why")
    assert len(watch._verdicts) == 10_000
    assert (0).to_bytes(4) not in watch._verdicts


def test_the_line_and_the_counts_say_it_in_words() -> None:
    came = Return("ticket", False, "its ticket has expired", "rejected", "the session was not resumed")
    assert came.in_brief == [
        "not resumed by its ticket: its ticket has expired",
        "early data refused: the session was not resumed",
    ]
    assert Return("session ID", True, early="accepted").in_brief == ["resumed by its session ID", "early data taken"]
    watch = Watch(None, None, None)
    assert told(watch) == []
    watch.totals.update({"full": 2, "resumed": 1, "early data taken": 2, "not resumed: x": 1})
    assert told(watch) == ["1 of 3 handshakes were resumed", "  2 times early data taken", "  1 time not resumed: x"]
