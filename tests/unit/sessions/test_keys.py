"""Ticket keys: when they seal, when they open, when they are gone, and what they do not open."""

from __future__ import annotations

import copy
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handfast import limits
from handfast.errors import ConfigurationError, MisuseError
from handfast.sessions import keys as keys_module
from handfast.sessions.keys import TicketKey, TicketKeyRing
from handfast.sessions.sealing import OVERHEAD, SealingKey
from tests.sessions.stores import SECRET, Time

HOUR = 3_600
OTHER = bytes(32)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def ring(time: Time) -> TicketKeyRing:
    return TicketKeyRing(clock=time.clock)


def test_a_ticket_opens_to_what_was_sealed(ring) -> None:
    ticket = ring.seal(b"state", 100)
    assert ring.open(ticket) == b"state"
    assert ring.counts == {"sealed": 1, "opened": 1}


def test_two_tickets_of_one_state_have_nothing_in_common_but_the_name_of_the_key(ring) -> None:
    first, second = ring.seal(b"state", 100), ring.seal(b"state", 100)
    assert first[:16] == second[:16] == ring.active.name
    assert first[16:28] != second[16:28]
    assert first[28:] != second[28:]
    assert len(first) == 16 + OVERHEAD + 8 + len(b"state")


def test_the_expiry_is_not_in_the_clear(time) -> None:
    class Fixed:
        def random(self, length: int) -> bytes:
            return bytes(length)

    def sealed(seconds: int) -> bytes:
        return TicketKeyRing(clock=time.clock, entropy_for_tests=Fixed()).seal(bytes(64), seconds)

    # With the nonce fixed everything behind it differs: the whole content depends on the expiry, which is inside.
    one, two = sealed(100), sealed(101)
    assert one[:28] == two[:28]
    assert sum(a != b for a, b in zip(one[28:], two[28:], strict=True)) > 64


def test_a_ticket_is_dead_when_its_time_is_over(ring, time) -> None:
    ticket = ring.seal(b"state", 100)
    time.passes(99.9)
    assert ring.open(ticket) == b"state"
    time.passes(0.1)
    assert ring.open(ticket) is None
    assert ring.counts["expired"] == 1


def test_a_context_is_needed_again(ring) -> None:
    ticket = ring.seal(b"state", 100, b"here")
    assert ring.open(ticket, b"here") == b"state"
    assert ring.open(ticket) is None
    assert ring.open(ticket, b"there") is None
    assert ring.counts["forged"] == 2


def test_keys_rotate_after_twelve_hours(ring, time) -> None:
    first = ring.seal(b"first", 2 * HOUR)
    time.passes(12 * HOUR - 1)
    last = ring.seal(b"last", 2 * HOUR)
    assert last[:16] == first[:16]
    time.passes(1)
    new = ring.seal(b"new", 2 * HOUR)
    assert new[:16] != first[:16]
    assert ring.open(last) == b"last"
    assert ring.open(new) == b"new"


def test_an_old_key_is_forgotten_when_its_last_ticket_is_dead(ring, time) -> None:
    old = ring.seal(b"", 1).ljust(16)[:16]
    time.passes(12 * HOUR - 1)
    ticket = ring.seal(b"long", 48 * HOUR)  # longer than the lifetime of the ring: it is known here
    assert ticket[:16] == old
    time.passes(48 * HOUR - 1)
    assert ring.open(ticket) == b"long"
    assert [key.name for key in ring.keys] == [old]
    time.passes(1)
    assert ring.keys == ()
    assert ring.open(ticket) is None
    assert ring.counts["unknown key"] == 1


def test_an_old_key_opens_the_tickets_of_others_for_their_lifetime(ring, time) -> None:
    other = TicketKeyRing(rotation=None, lifetime=HOUR, clock=time.clock)
    ring.make_key()
    other.load(ring.export(SECRET), SECRET)
    time.passes(12 * HOUR - 1)
    ticket = ring.seal(b"", HOUR)
    time.passes(HOUR - 0.5)
    assert other.open(ticket) == b""
    time.passes(1.5)
    assert other.keys == ()


def test_a_key_stops_to_be_needed_when_a_newer_one_begins(time) -> None:
    ring = TicketKeyRing(rotation=None, lifetime=HOUR, clock=time.clock)
    old = ring.make_key(seals_for=24 * HOUR)
    new = ring.make_key(ahead=12 * HOUR, seals_for=24 * HOUR)
    assert ring.active is old
    time.passes(12 * HOUR)
    assert ring.active is new
    time.passes(HOUR - 0.1)
    assert ring.keys == (new, old)
    time.passes(0.1)
    assert ring.keys == (new,)


def test_a_key_of_the_future_opens_and_does_not_seal(time) -> None:
    ring = TicketKeyRing(rotation=None, clock=time.clock)
    key = ring.make_key(ahead=60)
    assert ring.seal(b"", 100) is None
    assert ring.counts == {"no key": 1}
    other = TicketKeyRing(rotation=None, clock=Time().clock)
    other.load(ring.export(SECRET), SECRET)
    time.passes(60)
    ticket = ring.seal(b"early", 100)  # the clock of this node is a minute ahead
    assert ticket[:16] == key.name
    assert other.open(ticket) == b"early"


def test_the_newest_active_key_seals_and_a_name_decides_between_two_of_one_time(time) -> None:
    rings = [TicketKeyRing(rotation=None, clock=time.clock) for _ in range(2)]
    keys = [TicketKey.new(begins, begins + 10**13) for begins in (10**12, 2 * 10**12, 2 * 10**12)]
    now = 2 * 10**12
    for ring, order in zip(rings, (keys, keys[::-1]), strict=True):
        ring._keys = ()
        for key in order:
            ring._put(key)
        assert ring._active(now) is max(keys[1:], key=lambda key: key.name)


def test_a_key_seals_so_many_tickets_and_no_more(ring, monkeypatch) -> None:
    assert keys_module.SEALS_OF_A_KEY == limits.SEALS_OF_A_KEY <= 1 << 32
    monkeypatch.setattr(keys_module, "SEALS_OF_A_KEY", 3)
    tickets = [ring.seal(b"%d" % number, 100) for number in range(7)]
    assert [len({ticket[:16] for ticket in tickets[start : start + 3]}) for start in (0, 3)] == [1, 1]
    assert len({ticket[:16] for ticket in tickets}) == 3
    assert [ring.open(ticket) for ticket in tickets] == [b"%d" % number for number in range(7)]


def test_a_state_that_is_too_long_for_a_ticket_gets_none(ring) -> None:
    most = 65_535 - 16 - OVERHEAD - 8
    assert len(ring.seal(bytes(most), 1)) == 65_535
    assert ring.seal(bytes(most + 1), 1) is None


def test_a_clock_that_is_set_back_makes_a_new_key_and_loses_none(ring, time) -> None:
    ticket = ring.seal(b"state", 10 * HOUR)
    time.passes(-5 * HOUR)
    assert ring.seal(b"", 1)[:16] != ticket[:16]
    assert ring.open(ticket) == b"state"
    time.passes(5 * HOUR)
    assert ring.open(ticket) == b"state"


# --- for a fleet


def test_exported_keys_open_elsewhere(ring, time) -> None:
    ticket = ring.seal(b"state", 100)
    other = TicketKeyRing(clock=time.clock)
    exported = ring.export(SECRET)
    assert other.load(exported, SECRET) == 1
    assert other.load(exported, SECRET) == 0
    assert other.open(ticket) == b"state"
    assert other.seal(b"", 1)[:16] == ticket[:16]


def test_keys_that_are_dead_are_not_added(ring, time) -> None:
    ring.make_key()
    exported = ring.export(SECRET)
    time.passes(12 * HOUR + 2 * HOUR)
    assert TicketKeyRing(clock=time.clock).load(exported, SECRET) == 0


def test_no_secret_stands_in_an_export(ring) -> None:
    key = ring.make_key()
    assert key._secret not in ring.export(SECRET)


@pytest.mark.parametrize("change", ["secret", "bit", "cut", "empty", "other"])
def test_keys_that_cannot_be_read_are_refused_as_a_whole(ring, time, change: str) -> None:
    ring.make_key()
    ring.make_key(ahead=60)
    exported, secret = bytearray(ring.export(SECRET)), SECRET
    if change == "secret":
        secret = OTHER
    elif change == "bit":
        exported[-1] ^= 1
    elif change == "cut":
        del exported[-1]
    elif change == "empty":
        exported.clear()
    else:
        exported[:4] = b"else"
    other = TicketKeyRing(clock=time.clock)
    with pytest.raises(ConfigurationError):
        other.load(bytes(exported), secret)
    assert other.keys == ()


def test_a_sealed_key_that_makes_no_sense_is_none(ring) -> None:
    under = SealingKey(SECRET)
    form = keys_module._FORMAT
    assert TicketKey.opened(under.seal(b"short", form), under) is None
    backwards = bytes(16) + bytes(32) + (5).to_bytes(8) + (4).to_bytes(8)
    assert TicketKey.opened(under.seal(backwards, form), under) is None
    assert TicketKey.opened(under.seal(backwards + b"more", form), under) is None


# --- what is refused


@pytest.mark.parametrize("settings", [{"rotation": 0}, {"rotation": -1}, {"lifetime": -1}])
def test_settings_that_make_no_sense_are_refused(settings) -> None:
    with pytest.raises(ConfigurationError):
        TicketKeyRing(**settings)


def test_a_short_secret_is_refused(ring) -> None:
    with pytest.raises(ConfigurationError, match="32 random bytes"):
        ring.export(bytes(31))


@pytest.mark.parametrize(
    "sizes", [(15, 32, 0, 1), (16, 31, 0, 1), (16, 32, 1, 1), (16, 32, -1, 1), (16, 32, 0, 1 << 63)]
)
def test_a_key_that_is_none_is_refused(sizes) -> None:
    name, secret, not_before, not_after = sizes
    with pytest.raises(ConfigurationError):
        TicketKey(bytes(name), bytes(secret), not_before, not_after)


def test_neither_ring_nor_key_is_copied_or_shown(ring) -> None:
    key = ring.make_key()
    for thing in (ring, key, SealingKey(SECRET)):
        assert repr(thing) == f"<{type(thing).__name__}>"
        with pytest.raises(MisuseError):
            copy.copy(thing)


# --- any ticket

RING = TicketKeyRing(clock=Time().clock)
TICKET = RING.seal(b"a state of some length", 100)


@given(st.integers(0, 8 * len(TICKET) - 1))
def test_any_flipped_bit_makes_a_ticket_nothing(bit: int) -> None:
    ticket = bytearray(TICKET)
    ticket[bit // 8] ^= 1 << bit % 8
    assert RING.open(bytes(ticket)) is None
    assert RING.open(TICKET) is not None


@given(st.integers(0, len(TICKET) - 1))
def test_any_cut_makes_a_ticket_nothing(length: int) -> None:
    assert RING.open(TICKET[:length]) is None


@given(st.binary(max_size=200), st.booleans())
def test_anything_else_is_nothing(data: bytes, named: bool) -> None:
    assert RING.open(TICKET[:16] + data if named else data) is None


@given(st.binary(max_size=2_000), st.integers(1, 604_800), st.binary(max_size=64))
def test_any_state_comes_back(state: bytes, seconds: int, context: bytes) -> None:
    assert RING.open(RING.seal(state, seconds, context), context) == state


@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 50_000)), max_size=30))
def test_a_ring_opens_all_that_live_and_nothing_that_is_dead(steps) -> None:
    time = Time()
    ring = TicketKeyRing(rotation=10_000, lifetime=0, clock=time.clock)
    tickets: list[tuple[bytes, float]] = []
    for passes, seconds in steps:
        time.passes(passes)
        tickets.append((ring.seal(b"", seconds), time.seconds + seconds))
        assert [ring.open(ticket) is not None for ticket, _ in tickets] == [time.seconds < ends for _, ends in tickets]
        # No key is kept that opens nothing any more, but for the one that seals.
        names = {ticket[:16] for ticket, ends in tickets if time.seconds < ends}
        assert {key.name for key in ring.keys} == names | {ring.active.name}


def test_threads_may_share_a_ring(time) -> None:
    ring = TicketKeyRing(rotation=1, clock=time.clock)
    failures: list[object] = []

    def work(number: int) -> None:
        try:
            for count in range(300):
                time.seconds = max(time.seconds, count / 100)
                state = b"%d %d" % (number, count)
                if ring.open(ring.seal(state, 100)) != state:
                    failures.append(state)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert ring.counts["sealed"] == ring.counts["opened"] == 2_400
    assert 3 <= len(ring.keys) <= 4
