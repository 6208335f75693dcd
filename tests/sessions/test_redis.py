"""Keys, sessions and replays in a real Redis that two nodes share, and that is slow, killed, emptied and restarted."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import threading
import time as real_time
from datetime import UTC, datetime, timedelta

import pytest
import redis
import redis.asyncio

from handfast.clock import Clock
from handfast.errors import ConfigurationError
from handfast.handshake.tickets import REMEMBERED
from handfast.handshake.tickets import WINDOW as WINDOW_OF_AN_AGE
from handfast.sessions.keys import TicketKey
from handfast.sessions.memory import MemorySessions
from handfast.sessions.sealing import SealingKey
from handfast.sessions.session import CLOCKS
from handfast.transport.stores.shared import Shared
from handfast.transport.stores.shared_guard import RedisReplayGuard
from handfast.transport.stores.shared_keys import RedisKeyRing
from handfast.transport.stores.shared_states import RedisStore
from tests.peers import require_peer
from tests.sessions.stores import SECRET, Proxy, Redis, Time, eventually, shake, stopping

HOUR = 3_600
WINDOW = 0.3
_prefixes = itertools.count()


@pytest.fixture(scope="module")
def running():
    server = Redis(require_peer("redis-server"))
    with stopping(server):
        yield server


@pytest.fixture
def own():
    """One that a test may kill."""
    server = Redis(require_peer("redis-server"))
    with stopping(server):
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def open_shared():
    """Makes ways to a Redis. The names of one test are its own; what warns without being asked to fails it."""
    made: list[Shared] = []
    prefix = f"{{test{next(_prefixes)}}}"

    def make(server: Redis | Proxy, **settings) -> Shared:
        settings.setdefault("wait", 5.0)  # the machine may be busy
        shared = Shared.from_url(server.url, **{"prefix": prefix} | settings)
        made.append(shared)
        return shared

    yield make
    for shared in made:
        if not shared.is_async:
            shared.close()
    gc.collect()


def rings(open_shared, server, time, count: int = 2, **settings) -> list[RedisKeyRing]:
    return [RedisKeyRing(open_shared(server, clock=time.clock), SECRET, **settings) for _ in range(count)]


# --- the ring


def test_what_one_node_seals_another_opens(open_shared, running, time) -> None:
    one, other = rings(open_shared, running, time)
    assert other.open(one.seal(b"first", 100)) == b"first"
    assert one.open(other.seal(b"second", 100)) == b"second"
    assert len(one.keys) == len(other.keys) == 1
    assert one.counts["made"] == 1
    assert other.counts["found"] == 1


def test_the_next_key_is_everywhere_before_it_is_used(open_shared, running, time) -> None:
    nodes = rings(open_shared, running, time)
    names: list[bytes] = []
    failures = 0
    assert nodes[1].open(nodes[0].seal(b"the first key is for use at once", 100))
    for _ in range(3 * 12 * 60 - 1):  # a day and a half, minute by minute
        time.passes(60)
        for sealing, opening in (nodes, nodes[::-1]):
            ticket = sealing.seal(b"state", 2 * HOUR)
            assert opening._ring.knows(ticket), "it should not have to look for it"
            failures += opening.open(ticket) != b"state"
            if ticket[:16] not in names:
                names.append(ticket[:16])
    assert failures == 0
    assert len(names) == 3
    assert sum(node.counts.get("made", 0) for node in nodes) == 4, "the next one is there already"


def test_keys_follow_each_other_twelve_hours_apart_and_the_dead_go(open_shared, running, time) -> None:
    node, other = rings(open_shared, running, time)
    began = set()
    for _ in range(4 * 24 * 4):  # four days, in quarters of an hour
        node.seal(b"", HOUR)
        other.seal(b"", HOUR)
        began |= {key.not_before for key in node.keys}
        assert len(node.keys) <= 3
        time.passes(900)
    gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(began))]
    assert all(12 * HOUR * 1_000 <= gap <= 12 * HOUR * 1_000 + 1_800_000 for gap in gaps)
    assert len(gaps) >= 7
    assert node._shared.client.hlen(node._shared.name("keys")) <= 3


def test_a_fleet_that_slept_makes_its_next_key_ahead_too(open_shared, running, time) -> None:
    one, other = rings(open_shared, running, time)
    old = one.seal(b"", 100)[:16]
    assert other.seal(b"", 100)[:16] == old
    time.passes(14 * HOUR)  # the next key should have begun two hours ago
    for passes, new in ((0, False), (299, False), (1, True)):
        time.passes(passes)
        for node in (one, other):
            assert (node.seal(b"", 100)[:16] != old) is new
    assert one.seal(b"", 100)[:16] == other.seal(b"", 100)[:16]


def test_a_ticket_is_opened_until_it_is_dead_whoever_has_sealed_it(open_shared, running, time) -> None:
    one, other = rings(open_shared, running, time)
    ticket = one.seal(b"state", 2 * HOUR)
    time.passes(2 * HOUR - 1)
    assert other.open(ticket) == b"state"
    time.passes(1)
    assert other.open(ticket) is None


def test_two_nodes_that_start_at_once_come_to_one_key(open_shared, running, time) -> None:
    nodes = rings(open_shared, running, time, 8)
    barrier = threading.Barrier(8)

    def start(node: RedisKeyRing) -> None:
        barrier.wait()
        node.seal(b"", 100)

    threads = [threading.Thread(target=start, args=(node,)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(node.counts.get("made", 0) for node in nodes) == 1
    time.passes(1)
    assert len({node.seal(b"", 100)[:16] for node in nodes}) == 1


def test_a_ticket_for_longer_than_the_lifetime_dies_early_elsewhere(open_shared, running, time) -> None:
    one, other = rings(open_shared, running, time, lifetime=HOUR)
    assert one.max_lifetime == RedisStore(one._shared, one).max_lifetime == HOUR
    ticket = one.seal(b"state", 20 * HOUR)
    assert other.open(ticket) == b"state"
    for _ in range(14 * 60):
        time.passes(60)
        for node in (one, other):
            node.seal(b"", HOUR)
    assert one.open(ticket) == b"state", "it knows what it has sealed"
    assert other.open(ticket) is None, "which is why a configuration should ask for no more than max_lifetime"


def test_a_lock_that_was_left_behind_holds_nobody_up_for_long(open_shared, running, time) -> None:
    (node,) = rings(open_shared, running, time, 1)
    shared = node._shared
    shared.client.set(shared.name("lock"), b"of a node that is gone", px=300)
    assert node.seal(b"", 100) is None
    eventually(lambda: not shared.client.exists(shared.name("lock")))
    time.passes(1)
    assert node.seal(b"", 100) is not None


def test_a_lock_of_another_is_not_taken_away(open_shared, running, time) -> None:
    (node,) = rings(open_shared, running, time, 1)
    client, lock = node._shared.client, node._shared.name("lock")
    script = node._rotate()
    command = next(script)
    reply = None
    while True:
        if command[0] == "EVAL":
            client.set(lock, b"of another")  # our lease has ended
        reply = client.execute_command(*command)
        try:
            command = script.send(reply)
        except StopIteration:
            break
    assert client.get(lock) == b"of another"


def test_a_new_key_is_not_used_before_the_store_has_it(open_shared, running, time) -> None:
    (node,) = rings(open_shared, running, time, 1)
    script = node._rotate()
    command, reply = next(script), None
    while command[0] != "HSET":
        reply = node._shared.client.execute_command(*command)
        command = script.send(reply)
    script.close()  # the store is gone at this moment
    assert node.keys == ()


def test_keys_lie_sealed_in_the_store_and_do_not_stay_for_ever(open_shared, running, time) -> None:
    (node,) = rings(open_shared, running, time, 1)
    node.seal(b"", 100)
    client, name = node._shared.client, node._shared.name("keys")
    ((key_name, sealed),) = client.hgetall(name).items()
    assert key_name == node.keys[0].name
    assert node.keys[0]._secret not in sealed
    assert client.pexpiretime(name) == node.keys[0].not_after + 2 * HOUR * 1_000


def test_a_dead_key_leaves_the_store_at_the_next_look(open_shared, running, time) -> None:
    node, other = rings(open_shared, running, time)
    client, name = node._shared.client, node._shared.name("keys")
    old = node.seal(b"", HOUR)[:16]
    while len(node.keys) < 2:  # until the next one is made
        time.passes(60)
        node.seal(b"", 1)
    time.passes(HOUR + 1_200)
    assert old in client.hkeys(name)
    time.passes(2 * HOUR - 1_200 - HOUR + 600)
    node.seal(b"", 1)
    time.passes(60)
    node.seal(b"", 1)
    assert old not in client.hkeys(name)
    assert other.open(node.seal(b"new", 100)) == b"new"


def test_keys_of_another_secret_and_planted_ones_are_left_alone(open_shared, running, time) -> None:
    (node,) = rings(open_shared, running, time, 1)
    stranger = RedisKeyRing(open_shared(running, clock=time.clock), bytes(32))
    ticket = stranger.seal(b"state", 100)
    assert node.open(ticket) is None
    node.seal(b"", 100)
    client, name = node._shared.client, node._shared.name("keys")
    under = SealingKey.of_secret(SECRET, "ticket keys")
    client.hset(name, b"another name", node.keys[0].sealed(under))
    client.hset(name, b"garbage", b"garbage")
    time.passes(60)
    node.seal(b"", 100)
    assert len(node.keys) == 1
    assert node.counts["unreadable"] >= 3
    time.passes(24 * HOUR)  # and a new key is made, which cleans up
    node.seal(b"", 100)
    assert stranger.keys[0].name in client.hkeys(name)
    assert stranger.counts.get("unreadable", 0) == 0 or stranger.open(ticket) is None


def test_a_store_that_comes_back_empty_is_filled_again(open_shared, own, time) -> None:
    one, other = rings(open_shared, own, time)
    ticket = one.seal(b"state", 100)
    assert other.open(ticket) == b"state"
    own.kill()
    own.start()
    time.passes(60)
    assert other.open(ticket) == b"state"
    assert other.counts["restored"] == 1
    (third,) = rings(open_shared, own, time, 1)
    assert third.open(ticket) == b"state"
    assert "made" not in third.counts


def test_without_the_store_the_last_key_goes_on_for_twice_the_rotation(open_shared, own, time) -> None:
    warnings: list[str] = []
    node = RedisKeyRing(open_shared(own, clock=time.clock, warn=warnings.append), SECRET)
    node.seal(b"", 100)
    own.kill()
    for _ in range(23):
        time.passes(HOUR)
        assert node.open(node.seal(b"state", 100)) == b"state"
    time.passes(HOUR)
    assert node.seal(b"state", 100) is None
    assert node._shared.counts["failed"] > 20
    assert "Handshakes go on without it." in warnings[0]
    own.start()
    time.passes(2)
    assert node.open(node.seal(b"state", 100)) == b"state"


def test_strange_tickets_make_a_node_look_once_in_a_second(open_shared, running, time) -> None:
    (node,) = rings(open_shared, running, time, 1)
    node.seal(b"", 100)
    before = node._shared.counts["answered"]
    for _ in range(50):
        time.passes(0.1)
        assert node.open(bytes(100)) is None
    assert 4 <= node._shared.counts["answered"] - before <= 5


def test_a_node_whose_clock_was_wrong_for_a_minute_does_not_stop_the_rotation(open_shared, running, time) -> None:
    error = timedelta()
    wrong = Clock(wall=lambda: time.clock.wall() + error, monotonic=time.clock.monotonic)
    good, bad = (RedisKeyRing(open_shared(running, clock=clock), SECRET) for clock in (time.clock, wrong))
    assert bad.open(good.seal(b"state", 100)) == b"state"
    time.passes(120)
    error = timedelta(days=365)
    assert bad.seal(b"state", 100)
    assert bad.counts["made"] == 1
    time.passes(120)
    error = timedelta()
    active: list[int] = []
    for _ in range(4 * 24 * 12):  # four days
        for node, other in ((good, bad), (bad, good)):
            assert other.open(node.seal(b"state", 2 * HOUR)) == b"state"
        time.passes(300)
        began = good._ring.active.not_before
        if began not in active:
            active.append(began)
    gaps = [later - earlier for earlier, later in itertools.pairwise(active)]
    assert len(gaps) >= 7
    assert all(12 * HOUR * 1_000 <= gap <= 12 * HOUR * 1_000 + 600_000 for gap in gaps)
    assert good.counts["implausible"] >= 1
    assert len(good.keys) <= 3
    client, name = good._shared.client, good._shared.name("keys")
    assert client.pexpiretime(name) <= good._now() + 48 * HOUR * 1_000, "the far key does not keep the rest there"


@pytest.mark.parametrize("settings", [{"ahead": 100.0}, {"refresh": 0.0}, {"rotation": 599}])
def test_times_that_do_not_fit_together_are_refused(settings) -> None:
    shared = Shared.from_url("redis://localhost")
    with pytest.raises(ConfigurationError, match="half of rotation"):
        RedisKeyRing(shared, SECRET, **settings)


# --- sessions


def stores(open_shared, server, time, count: int = 2) -> list[RedisStore]:
    return [RedisStore(ring._shared, ring) for ring in rings(open_shared, server, time, count)]


def test_a_session_of_one_node_is_found_by_another(open_shared, running, time) -> None:
    one, other = stores(open_shared, running, time)
    one.store(b"id", b"the state", 100)
    assert other.load(b"id") == b"the state"
    ticket = other.seal(b"of a ticket", 100)
    assert len(ticket) == 32
    assert one.open(ticket) == b"of a ticket"
    assert one.open(b"id") is None
    assert other.load(ticket) is None
    assert one.counts == {"stored": 1, "hit": 1, "unknown": 1}


def test_a_state_is_sealed_and_bound_to_its_name(open_shared, running, time) -> None:
    (store,) = stores(open_shared, running, time, 1)
    client, shared = store._shared.client, store._shared
    store.store(b"one", b"the state", 100)
    store.store(b"two", b"the other", 100)
    sealed = client.get(shared.name("session", b"one"))
    assert b"the state" not in sealed
    client.set(shared.name("session", b"two"), sealed)
    assert store.load(b"two") is None
    assert store._keys.open(sealed) is None, "what lies in the store is no ticket"
    assert store.counts["refused"] == 1


def test_a_state_leaves_the_store_after_its_time(open_shared, running, time) -> None:
    (store,) = stores(open_shared, running, time, 1)
    store.store(b"id", b"state", 100)
    assert 90_000 < store._shared.client.pttl(store._shared.name("session", b"id")) <= 100_000
    time.passes(100)  # by our clock, should theirs be late
    assert store.load(b"id") is None


def test_without_the_store_nothing_is_resumed_and_nothing_is_raised(open_shared, own, time) -> None:
    warnings: list[str] = []
    ring = RedisKeyRing(open_shared(own, clock=time.clock, warn=warnings.append), SECRET)
    store = RedisStore(ring._shared, ring)
    store.store(b"id", b"state", 100)
    own.kill()
    for _ in range(300):
        assert store.load(b"id") is None
        assert store.seal(b"state", 100) is None
        assert store.store(b"id", b"state", 100) is None
        assert store.open(b"ticket") is None
        time.passes(0.2)
    assert store.counts["failed"] == 1_200
    assert 55 <= ring._shared.counts["failed"] <= 61, "one try in a second"
    assert ring._shared.counts["skipped"] == 1_200 - ring._shared.counts["failed"]
    assert len(warnings) == 1, "one warning in a minute"
    own.start()
    time.passes(1)
    store.store(b"id", b"state", 100)
    assert store.load(b"id") == b"state"


@pytest.mark.parametrize("early_data", [False, True])
def test_a_slow_store_holds_nobody_up_for_long(open_shared, own, early_data: bool) -> None:
    proxy = Proxy(own.port)
    with stopping(proxy):
        shared = open_shared(proxy, wait=0.2, warn=lambda _: None)
        store = RedisStore(shared, RedisKeyRing(shared, SECRET))
        guard = RedisReplayGuard(shared)
        eventually(lambda: store.store(b"id", b"state", 100) or store.load(b"id"))
        proxy.delay = 1.0
        longest = 0.0
        for _ in range(20):
            began = real_time.monotonic()
            assert not guard.admit(b"binder", 100.0) if early_data else store.load(b"id") is None
            longest = max(longest, real_time.monotonic() - began)
        assert longest < 0.9
        assert shared.counts["failed"] >= 1
        proxy.delay = 0.0
        if not early_data:
            assert eventually(lambda: store.load(b"id")) == b"state"


def test_a_store_that_is_slow_at_each_reply_is_given_up(open_shared, own) -> None:
    proxy = Proxy(own.port)
    with stopping(proxy):
        shared = open_shared(proxy, wait=0.3, warn=lambda _: None)
        proxy.delay = 0.2
        assert RedisKeyRing(shared, SECRET).seal(b"state", 100) is None  # it takes several commands to make a key
        assert shared.counts == {"failed": 1}


def test_a_warning_is_logged_where_nobody_takes_it(caplog) -> None:
    shared = Shared.from_url("redis://127.0.0.1:1")
    with caplog.at_level(logging.WARNING, "handfast.stores"):
        assert RedisReplayGuard(shared).admit(b"binder", 1.0) is False
    assert "The shared store of sessions has failed once: " in caplog.text
    shared.close()


def test_a_warning_that_fails_is_no_reason_to_fail(caplog) -> None:
    def fail(_sentence: str) -> None:
        raise ValueError

    shared = Shared.from_url("redis://127.0.0.1:1", warn=fail)
    assert RedisReplayGuard(shared).admit(b"binder", 1.0) is False
    shared.close()


@pytest.mark.parametrize("url", ["http://localhost", "redis://localhost:port", ""])
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Shared.from_url(url)


def test_a_client_that_decodes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="decode_responses"):
        Shared(redis.Redis(decode_responses=True))


def test_without_the_package_it_says_which_one(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install handfast\[store\]"):
        Shared.from_url("redis://localhost")


# --- replays


def guards(open_shared, server, count: int = 2) -> list[RedisReplayGuard]:
    return [RedisReplayGuard(open_shared(server)) for _ in range(count)]


def ready(guard: RedisReplayGuard) -> None:
    """Wait until the store's window has passed."""
    numbers = itertools.count()
    eventually(lambda: guard.admit(b"probe %d" % next(numbers), WINDOW))


def aged(shared: Shared) -> None:
    """A store that has been there for ever."""
    client = redis.Redis.from_url(f"redis://127.0.0.1:{shared.client.connection_pool.connection_kwargs['port']}")
    client.hset(shared.name("epoch"), "since", 0)
    client.close()


def test_a_binder_is_admitted_once_by_all_nodes(open_shared, running) -> None:
    one, other = guards(open_shared, running)
    assert not one.admit(b"first", WINDOW)
    assert one.counts == {"refused: new store": 1}
    aged(one._shared)
    assert other.admit(b"binder", 60)
    assert not other.admit(b"binder", 60)
    assert not one.admit(b"binder", 60)
    assert other.counts == {"admitted": 1, "replayed": 1}
    ttl = one._shared.client.pttl(one._shared.name("binder", b"binder"))
    assert 50_000 < ttl <= 60_000


def test_a_race_of_one_flight_to_two_nodes_has_one_winner(open_shared, running) -> None:
    nodes = guards(open_shared, running)
    nodes[0].admit(b"probe", 60)
    aged(nodes[0]._shared)
    times = 1_000
    admitted: list[int] = []
    barrier = threading.Barrier(4, timeout=60)

    def race(node: RedisReplayGuard) -> None:
        for number in range(times):
            barrier.wait()  # at each flight anew: else the one that came first to the first stays ahead at all
            if node.admit(b"flight %d" % number, 60):
                admitted.append(number)

    threads = [threading.Thread(target=race, args=(node,)) for node in nodes * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(admitted) == list(range(times))
    assert sum(node.counts.get("replayed", 0) for node in nodes) == 3 * times
    assert sum(node.counts.get("admitted", 0) for node in nodes) == times, "which of them wins is all the same"


@pytest.mark.parametrize("end", ["killed", "emptied", "from disk"])
def test_a_store_that_has_lost_something_admits_nothing_for_a_window(open_shared, end: str) -> None:
    server = Redis(require_peer("redis-server"))
    with stopping(server):
        (guard,) = guards(open_shared, server, 1)
        ready(guard)
        if end == "from disk":
            server("SAVE")  # what is admitted from now on, it forgets
        assert guard.admit(b"binder", WINDOW)
        if end == "emptied":
            server("FLUSHALL")
        else:
            server.kill()
            server.start()
        # The way to the store may have broken or not: the replay is refused by one rule or the other.
        assert not guard.admit(b"binder", WINDOW)
        assert "admitted" in guard.counts
        refused = {why for why in guard.counts if why.startswith("refused")}
        assert refused <= {"refused: new store", "refused: unreachable"}
        (fresh,) = guards(open_shared, server, 1)
        assert not fresh.admit(b"another", WINDOW)
        assert fresh.counts == {"refused: new store": 1}
        ready(guard)


def test_a_store_that_throws_away_admits_nothing_for_a_window(open_shared) -> None:
    server = Redis(require_peer("redis-server"), "--maxmemory-policy", "volatile-ttl")
    with stopping(server):
        (guard,) = guards(open_shared, server, 1)
        guard.admit(b"probe", 60)
        aged(guard._shared)
        assert guard.admit(b"binder", 60)
        client = guard._shared.client
        client.config_set("maxmemory", 1 + client.info("memory")["used_memory"] + 100_000)
        for number in range(200):
            client.set(f"ballast{number}", bytes(2_000), ex=1_000)
        assert client.info("stats")["evicted_keys"] > 0
        assert not client.exists(guard._shared.name("binder", b"binder")), "it was thrown away"
        client.config_set("maxmemory", 0)
        assert not guard.admit(b"binder", 60)
        assert guard.counts["refused: new store"] >= 1


def test_a_replica_that_takes_over_admits_nothing_for_a_window(open_shared, own) -> None:
    replica = Redis(require_peer("redis-server"), "--replicaof", "127.0.0.1", str(own.port))
    with stopping(replica):
        (guard,) = guards(open_shared, own, 1)
        ready(guard)
        client = redis.Redis(port=replica.port)
        eventually(lambda: client.exists(guard._shared.name("epoch")))
        (other,) = guards(open_shared, replica, 1)
        assert not other.admit(b"binder", WINDOW)
        assert other.counts == {"refused: unreachable": 1}, "a replica that takes no writes"
        replica("REPLICAOF", "NO", "ONE")
        (third,) = guards(open_shared, replica, 1)
        assert not third.admit(b"binder", WINDOW)
        assert third.counts == {"refused: new store": 1}
        ready(third)
        client.close()


def test_a_node_that_could_not_reach_the_store_admits_nothing_for_a_window(open_shared, own, time) -> None:
    clock = Clock(wall=lambda: datetime.now(UTC), monotonic=time.clock.monotonic)
    guard = RedisReplayGuard(open_shared(own, clock=clock, warn=lambda _: None))
    ready(guard)
    own.kill()
    assert not guard.admit(b"binder", 20.0)
    own.start()
    assert not guard.admit(b"too soon", 20.0)
    assert guard._shared.counts["skipped"] == 1
    time.passes(1.1)
    before = guard.counts["refused: unreachable"]
    assert not guard.admit(b"asked", 20.0)
    assert guard._shared.client.exists(guard._shared.name("binder", b"asked")), (
        "the store is told, and its window begins"
    )
    aged(guard._shared)
    time.passes(18.8)
    assert not guard.admit(b"binder", 20.0)
    assert guard.counts["refused: unreachable"] == before + 1
    time.passes(0.2)
    assert guard.admit(b"another", 20.0)
    assert not guard.admit(b"asked", 20.0)
    assert guard.counts["replayed"] == 1


def off_by(seconds: float) -> Clock:
    return Clock(wall=lambda: datetime.now(UTC) + timedelta(seconds=seconds), monotonic=real_time.monotonic)


@pytest.mark.parametrize("seconds", [-3_600, -40, -5.5, 9, 3_600])  # a busy machine makes clocks be behind
def test_a_node_with_another_clock_than_the_store_admits_nothing(open_shared, running, seconds: float) -> None:
    wrong = RedisReplayGuard(open_shared(running, clock=off_by(seconds)))
    (right,) = guards(open_shared, running, 1)
    right.admit(b"probe", 60)
    aged(right._shared)
    assert not wrong.admit(b"binder", 60)
    assert wrong.counts == {"refused: clock": 1}
    assert not right.admit(b"binder", 60), "the store was told"
    assert right.counts["replayed"] == 1
    assert right.admit(b"another", 60)


@pytest.mark.parametrize("seconds", [-2.5, 0, 4.5])
def test_clocks_may_differ_a_little(open_shared, running, seconds: float) -> None:
    guard = RedisReplayGuard(open_shared(running, clock=off_by(seconds)))
    guard.admit(b"probe", 60)
    aged(guard._shared)
    assert guard.admit(b"binder", 60)
    assert not guard.admit(b"binder", 60)


def test_no_two_nodes_that_admit_are_further_apart_than_the_guard_is_made_for() -> None:
    assert 2 * (CLOCKS // 2) <= 1_000 * REMEMBERED - 2 * WINDOW_OF_AN_AGE


def test_a_node_whose_clock_is_set_back_does_not_take_an_old_flight(open_shared, running) -> None:
    error = timedelta()
    clock = Clock(wall=lambda: datetime.now(UTC) + error, monotonic=real_time.monotonic)
    guard = RedisReplayGuard(open_shared(running, clock=clock))
    guard.admit(b"probe", 60)
    aged(guard._shared)
    assert guard.admit(b"flight", 0.1)
    eventually(lambda: not guard._shared.client.exists(guard._shared.name("binder", b"flight")))
    error = timedelta(seconds=-40)  # now it finds the flight fresh again
    assert not guard.admit(b"flight", 0.1)
    assert guard.counts["refused: clock"] == 1


def test_a_store_that_cannot_say_which_one_it_is_admits_nothing(open_shared, running) -> None:
    (guard,) = guards(open_shared, running, 1)
    script = guard._judge(b"binder", 1.0)
    next(script)
    with pytest.raises(StopIteration) as end:
        script.send(b"refused: unknown store")
    assert end.value.value is False
    assert guard.counts == {"refused: unknown store": 1}


# --- asyncio


async def asked(value):
    return await value if hasattr(value, "__await__") else value


def in_a_loop(server: Redis, open_shared, work, **settings) -> None:
    async def run() -> None:
        shared = open_shared(server, asynchronous=True, **settings)
        try:
            await work(shared)
        finally:
            await shared.close()

    asyncio.run(run())


def test_asyncio_shares_with_threads(open_shared, running) -> None:
    async def work(shared: Shared) -> None:
        ring = RedisKeyRing(shared, SECRET)
        store, guard = RedisStore(shared, ring), RedisReplayGuard(shared)
        ticket = await asked(ring.seal(b"state", 100))
        assert ring.open(ticket) == b"state", "the key is here: no need to wait"
        await asked(store.store(b"id", b"kept", 100))
        assert await asked(store.load(b"id")) == b"kept"
        opened = RedisKeyRing(open_shared(running), SECRET).open(ticket)
        assert opened == b"state"
        assert await guard.admit(b"probe", 60) is False
        aged(shared)
        answers = await asyncio.gather(*(guard.admit(b"flight", 60) for _ in range(50)))
        assert sum(answers) == 1

    in_a_loop(running, open_shared, work)


def test_asyncio_waits_no_longer_than_it_may(open_shared, own) -> None:
    proxy = Proxy(own.port)

    async def work(shared: Shared) -> None:
        store = RedisStore(shared, RedisKeyRing(shared, SECRET))
        await asked(store.store(b"id", b"kept", 100))
        proxy.delay = 1.0
        began = real_time.monotonic()
        assert await asked(store.load(b"id")) is None
        assert real_time.monotonic() - began < 0.9
        assert store.load(b"id") is None, "not again at once"
        assert store.counts == {"stored": 1, "failed": 2}
        proxy.delay = 0.0

    with stopping(proxy):
        in_a_loop(proxy, open_shared, work, wait=0.3, warn=lambda _: None)


def test_asyncio_waits_no_longer_for_several_replies(own, open_shared) -> None:
    proxy = Proxy(own.port)

    async def work(shared: Shared) -> None:
        proxy.delay = 0.2
        assert await asked(RedisKeyRing(shared, SECRET).seal(b"state", 100)) is None
        assert shared.counts == {"failed": 1}

    with stopping(proxy):
        in_a_loop(proxy, open_shared, work, wait=0.3, warn=lambda _: None)


def test_a_loop_that_was_held_up_does_not_take_that_for_a_slow_store(own, open_shared) -> None:
    proxy = Proxy(own.port)

    async def work(shared: Shared) -> None:
        store = RedisStore(shared, RedisKeyRing(shared, SECRET))
        await asked(store.store(b"id", b"kept", 100))
        proxy.delay = 0.05
        loading = asyncio.ensure_future(asked(store.load(b"id")))
        await asyncio.sleep(0.01)  # the question is under way
        real_time.sleep(2.0)  # noqa: ASYNC251 - and is answered meanwhile
        assert await loading == b"kept"
        assert "failed" not in shared.counts

    with stopping(proxy):
        in_a_loop(proxy, open_shared, work, wait=1.5)


def test_a_reply_that_came_too_late_is_not_taken_for_another(own, open_shared) -> None:
    proxy = Proxy(own.port)

    async def work(shared: Shared) -> None:
        store = RedisStore(shared, RedisKeyRing(shared, SECRET))
        for name in (b"one", b"other"):
            await asked(store.store(name, b"the state of " + name, 100))
        proxy.delay = 1.0
        assert await asked(store.load(b"one")) is None
        proxy.delay = 0.0
        await asyncio.sleep(1.1)
        assert await asked(store.load(b"other")) == b"the state of other"

    with stopping(proxy):
        in_a_loop(proxy, open_shared, work, wait=0.5, warn=lambda _: None)


def test_an_answer_that_nobody_waits_for_is_dropped_in_silence(open_shared, running) -> None:
    async def work(shared: Shared) -> None:
        RedisReplayGuard(shared).admit(b"binder", 1.0)
        gc.collect()  # a coroutine that was never awaited would warn, and a warning is an error

    in_a_loop(running, open_shared, work)


# --- through whole handshakes


def test_two_nodes_resume_each_others_sessions(open_shared, running, time) -> None:
    one, other = (RedisKeyRing(open_shared(running), SECRET) for _ in range(2))
    kept = MemorySessions()
    resumed = [shake({"sessions": kept}, {"tickets": node})[0].resumed for node in (one, other, one, other)]
    assert resumed == [False, True, True, True]


def test_two_nodes_resume_sessions_of_12(open_shared, running) -> None:
    caches = []
    for _ in range(2):
        ring = RedisKeyRing(open_shared(running), SECRET)
        caches.append(RedisStore(ring._shared, ring))
    for setting in ("session_cache", "tickets"):
        kept = MemorySessions()
        client = {"sessions": kept, "max_version": "1.2"}
        resumed = [shake(client, {setting: cache})[0].resumed for cache in (caches[0], caches[1], caches[0])]
        assert resumed == [False, True, True]


def test_handshakes_go_on_while_the_store_is_killed_and_restarted_empty(open_shared, own) -> None:
    shared = open_shared(own, warn=lambda _: None)
    ring, guard = RedisKeyRing(shared, SECRET), RedisReplayGuard(shared)
    server = {"tickets": ring, "early_data": guard, "session_cache": RedisStore(shared, ring)}
    kept = MemorySessions()
    stop = threading.Event()
    failures: list[BaseException] = []
    resumed: list[bool] = []

    def load() -> None:
        try:
            while not stop.is_set():
                resumed.append(shake({"sessions": kept}, server)[0].resumed)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(resumed) > 20)
    own.kill()
    count = len(resumed)
    eventually(lambda: len(resumed) > count + 50)
    own.start()
    count = len(resumed)
    eventually(lambda: len(resumed) > count + 50)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert sum(resumed[-50:]) >= 40  # the ring is in memory, so tickets open all the time


def test_keys_rotate_under_load_and_no_ticket_is_lost(open_shared, running) -> None:
    nodes = [
        RedisKeyRing(open_shared(running), SECRET, rotation=2, lifetime=10, ahead=1.0, refresh=0.2) for _ in range(2)
    ]
    assert nodes[1].open(nodes[0].seal(b"the first", 10)) == b"the first"
    until = real_time.monotonic() + 60
    lost: list[bytes] = []
    names: set[bytes] = set()

    def load(sealing: RedisKeyRing, opening: RedisKeyRing) -> None:
        while len(names) < 4 and real_time.monotonic() < until:
            ticket = sealing.seal(b"state", 10)
            names.add(ticket[:16])
            if opening.open(ticket) != b"state":
                lost.append(ticket)

    threads = [threading.Thread(target=load, args=pair) for pair in (nodes, nodes[::-1]) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not lost
    assert len(names) == 4


def test_keys_made_by_hand_are_keys_of_the_ring(open_shared, running, time) -> None:
    (node,) = rings(open_shared, running, time, 1)
    under = SealingKey.of_secret(SECRET, "ticket keys")
    now = node._now()
    key = TicketKey.new(now, now + 10**6)
    node._shared.client.hset(node._shared.name("keys"), key.name, key.sealed(under))
    assert node.seal(b"", 100)[:16] == key.name
