"""Sessions in memory: bounded, the newest first, tickets of TLS 1.3 once."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest

from handfast import limits
from handfast.clock import Clock
from handfast.errors import ConfigurationError
from handfast.sessions.memory import MemoryCache, MemorySessions
from handfast.sessions.replay import MemoryReplayGuard
from tests.sessions.stores import START, Time, session, session12


@pytest.fixture
def time() -> Time:
    return Time()


# --- a client's


def test_a_session_of_13_is_given_out_once(time) -> None:
    store = MemorySessions(clock=time.clock)
    kept = session()
    store.put(kept)
    assert len(store) == 1
    assert store.take("localhost") is kept
    assert store.take("localhost") is None
    assert len(store) == 0
    assert store.counts == {"put": 1, "hit": 1, "none": 1}


def test_a_session_of_12_is_given_out_again(time) -> None:
    store = MemorySessions(clock=time.clock)
    kept = session12()
    store.put(kept)
    assert store.take("localhost") is store.take("localhost") is kept


def test_the_newest_comes_first_and_other_servers_have_others(time) -> None:
    store = MemorySessions(clock=time.clock)
    first, second, other, nameless = session(), session(), session("other"), session(None)
    for each in (first, second, other, nameless):
        store.put(each)
    assert [store.take("localhost") for _ in range(3)] == [second, first, None]
    assert store.take("other") is other
    assert store.take(None) is nameless


def test_what_has_expired_is_dropped_and_what_is_older_is_tried(time) -> None:
    store = MemorySessions(clock=time.clock)
    long = session()
    store.put(long)
    store.put(session(expires=long.issued + 1_000))
    time.passes(1)
    assert store.take("localhost") is long
    store.put(session())
    time.passes(7_200)
    assert store.take("localhost") is None
    assert len(store) == 0
    assert store.counts["expired"] == 1


def test_a_session_from_the_future_is_not_used(time) -> None:
    store = MemorySessions(clock=time.clock)
    store.put(session(now=START + timedelta(seconds=1)))
    assert store.take("localhost") is None


def test_each_server_has_so_many(time) -> None:
    store = MemorySessions(per_server=2, clock=time.clock)
    sessions = [session() for _ in range(3)]
    for each in sessions:
        store.put(each)
    assert len(store) == 2
    assert [store.take("localhost") for _ in range(3)] == [sessions[2], sessions[1], None]


def test_the_server_that_was_not_asked_for_the_longest_makes_room(time) -> None:
    store = MemorySessions(3, clock=time.clock)
    for name in ("a", "b", "c"):
        store.put(session12(name))
    store.take("a")
    store.put(session12("d"))
    assert len(store) == 3
    assert [name for name in "abcd" if store.take(name)] == ["a", "c", "d"]


def test_a_server_with_several_loses_the_oldest_first(time) -> None:
    store = MemorySessions(2, clock=time.clock)
    first, second = session("a"), session("a")
    for each in (first, second, session("b")):
        store.put(each)
    assert store.take("a") is second
    assert store.take("a") is None


def test_so_many_are_kept_by_default(time) -> None:
    store = MemorySessions(clock=time.clock)
    for number in range(limits.SESSIONS + 1):
        store.put(session(f"server{number}"))
    assert len(store) == limits.SESSIONS
    assert store.take("server0") is None
    for _ in range(limits.SESSIONS_OF_A_SERVER + 1):
        store.put(session("one"))
    taken = [store.take("one") for _ in range(limits.SESSIONS_OF_A_SERVER + 1)]
    assert sum(each is not None for each in taken) == limits.SESSIONS_OF_A_SERVER


def test_a_server_whose_sessions_are_forgotten_is_not_asked_to_make_room(time) -> None:
    store = MemorySessions(1, clock=time.clock)
    kept = session("a")
    store.put(kept)
    store.forget(kept)
    store.put(session("b"))
    store.put(session("c"))
    assert len(store) == 1
    assert [store.take(name) is not None for name in "abc"] == [False, False, True]


@pytest.mark.parametrize("settings", [(0, 1), (1, 0)])
def test_no_room_at_all_is_a_mistake(settings) -> None:
    with pytest.raises(ConfigurationError):
        MemorySessions(*settings)


def test_no_two_threads_get_one_ticket(time) -> None:
    store = MemorySessions(4_000, per_server=4_000, clock=time.clock)
    sessions = [session() for _ in range(2_000)]
    taken: list[int] = []

    def work(number: int) -> None:
        for each in sessions[number::8]:
            store.put(each)
        while (found := store.take("localhost")) is not None:
            taken.append(id(found))

    _in_threads(work)
    assert sorted(taken) == sorted(map(id, sessions))


# --- a server's


def test_a_state_stays_for_its_time(time) -> None:
    cache = MemoryCache(clock=time.clock)
    cache.store(b"id", b"state", 10)
    time.passes(9.9)
    assert cache.load(b"id") == cache.load(b"id") == b"state"
    time.passes(0.1)
    assert cache.load(b"id") is None
    assert cache.load(b"id") is None
    assert len(cache) == 0
    assert cache.counts == {"stored": 1, "hit": 2, "expired": 1, "unknown": 1}


def test_a_ticket_is_a_name_and_no_session_id(time) -> None:
    cache = MemoryCache(clock=time.clock)
    ticket = cache.seal(b"state", 10)
    assert len(ticket) == 32
    assert cache.open(ticket) == b"state"
    assert cache.load(ticket) is None
    cache.store(b"id", b"other", 10)
    assert cache.open(b"id") is None


def test_what_was_not_asked_for_the_longest_makes_room(time) -> None:
    cache = MemoryCache(2, clock=time.clock)
    cache.store(b"a", b"1", 10)
    cache.store(b"b", b"2", 10)
    cache.load(b"a")
    cache.store(b"c", b"3", 10)
    assert [cache.load(name) for name in (b"a", b"b", b"c")] == [b"1", None, b"3"]
    cache.store(b"c", b"4", 10)  # again, which needs no room
    assert cache.load(b"a") == b"1"
    assert cache.counts["dropped"] == 1
    assert len(cache) == 2


def test_so_many_states_are_kept_by_default(time) -> None:
    cache = MemoryCache(clock=time.clock)
    for number in range(limits.STATES + 1):
        cache.store(b"%d" % number, b"", 10)
    assert len(cache) == limits.STATES
    assert cache.load(b"0") is None


def test_a_session_can_be_forgotten(time) -> None:
    cache = MemoryCache(clock=time.clock)
    ticket = cache.seal(b"state", 10)
    cache.store(b"id", b"state", 10)
    cache.forget(ticket)
    cache.forget(b"id")
    cache.forget(b"never there")
    assert cache.open(ticket) is cache.load(b"id") is None


def test_threads_may_share_a_cache(time) -> None:
    cache = MemoryCache(100, clock=time.clock)

    def work(number: int) -> None:
        for count in range(1_000):
            name = b"%d %d" % (number, count)
            cache.store(name, name, 10)
            assert cache.load(name) in (name, None)

    _in_threads(work)
    assert len(cache) == 100
    assert cache.counts["stored"] == 8_000
    assert cache.counts["dropped"] == 7_900


def test_no_room_for_a_server_is_a_mistake_too() -> None:
    with pytest.raises(ConfigurationError):
        MemoryCache(0)
    with pytest.raises(ConfigurationError):
        MemoryReplayGuard(0)


# --- replays

WINDOW = 20.0


def grown(time: Time, capacity: int = 100) -> MemoryReplayGuard:
    guard = MemoryReplayGuard(capacity, clock=time.clock)
    time.passes(WINDOW)
    return guard


def test_a_young_guard_admits_nothing(time) -> None:
    guard = MemoryReplayGuard(clock=time.clock)
    assert not guard.admit(b"one", WINDOW)
    time.passes(WINDOW - 0.001)
    assert not guard.admit(b"two", WINDOW)
    time.passes(0.001)
    assert guard.admit(b"three", WINDOW)
    assert guard.counts == {"refused: young": 2, "admitted": 1}


def test_a_binder_is_admitted_once_in_its_window(time) -> None:
    guard = grown(time)
    assert guard.admit(b"binder", WINDOW)
    assert not guard.admit(b"binder", WINDOW)
    time.passes(WINDOW - 0.001)
    assert not guard.admit(b"binder", WINDOW)
    assert guard.counts == {"admitted": 1, "replayed": 2}
    time.passes(0.001)
    assert guard.admit(b"binder", WINDOW)  # its age tells by now
    assert len(guard) == 1


def test_a_full_guard_forgets_nothing_and_admits_nothing(time) -> None:
    guard = grown(time, 2)
    assert guard.admit(b"a", WINDOW)
    time.passes(1)
    assert guard.admit(b"b", WINDOW)
    assert not guard.admit(b"c", WINDOW)
    assert not guard.admit(b"a", WINDOW)
    assert guard.counts == {"admitted": 2, "refused: full": 1, "replayed": 1}
    time.passes(WINDOW - 1)
    assert guard.admit(b"c", WINDOW)
    assert not guard.admit(b"b", WINDOW)


def test_so_many_binders_are_remembered_by_default(time) -> None:
    guard = MemoryReplayGuard(clock=time.clock)
    time.passes(WINDOW)
    assert all(guard.admit(b"%d" % number, WINDOW) for number in range(limits.BINDERS))
    assert not guard.admit(b"one more", WINDOW)
    assert guard.counts["refused: full"] == 1


def test_windows_of_several_lengths_are_all_kept(time) -> None:
    guard = grown(time)
    assert guard.admit(b"long", WINDOW)
    assert guard.admit(b"short", 1.0)
    time.passes(2)
    assert guard.admit(b"short", 1.0)
    assert not guard.admit(b"long", WINDOW)
    time.passes(WINDOW - 2)
    assert guard.admit(b"other", 1.0)
    assert len(guard) == 1


def stepping() -> tuple[list[float], MemoryReplayGuard]:
    """A wall clock and a monotonic one, and a guard that is old enough."""
    hands = [0.0, 0.0]
    clock = Clock(wall=lambda: START + timedelta(seconds=hands[0]), monotonic=lambda: hands[1])
    guard = MemoryReplayGuard(clock=clock)
    for hand in (0, 1):
        hands[hand] += WINDOW
    return hands, guard


def test_after_the_clock_was_set_back_nothing_is_admitted_until_old_flights_are_old_again() -> None:
    hands, guard = stepping()
    assert guard.admit(b"first", WINDOW)
    hands[0] -= 40
    assert not guard.admit(b"new", WINDOW)
    for hand in (0, 1):
        hands[hand] += 40 + WINDOW - 0.001  # the first one would look fresh on the way
    assert not guard.admit(b"first", WINDOW)
    for hand in (0, 1):
        hands[hand] += 0.001
    assert guard.admit(b"another", WINDOW)
    assert guard.counts == {"admitted": 2, "refused: young": 2}


def test_a_clock_that_is_set_forward_or_drifts_does_no_harm() -> None:
    hands, guard = stepping()
    hands[0] += 3_600
    assert guard.admit(b"one", WINDOW)
    hands[0] -= 5
    assert guard.admit(b"two", WINDOW)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_child_does_not_know_what_its_parent_admits(time) -> None:
    guard = grown(time)
    child = os.fork()
    if not child:
        os._exit(0 if not guard.admit(b"binder", WINDOW) and guard.counts == {"refused: forked": 1} else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert guard.admit(b"binder", WINDOW)


def test_of_many_threads_one_is_admitted(time) -> None:
    guard = grown(time, 10_000)
    admitted: list[int] = []

    def work(number: int) -> None:
        admitted.extend(count for count in range(1_000) if guard.admit(b"%d" % count, WINDOW))

    _in_threads(work)
    assert sorted(admitted) == list(range(1_000))
    assert guard.counts == {"admitted": 1_000, "replayed": 7_000}


def _in_threads(work) -> None:
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
