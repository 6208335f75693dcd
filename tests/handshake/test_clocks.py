"""The clocks of a fleet differ: what a node may take of another one's tickets, and of early data that one has seen (section 8)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handfast import Clock
from handfast.connection import ClientConnection, ServerConnection
from handfast.events import EarlyData
from handfast.sessions.replay import MemoryReplayGuard
from tests.handshake.parties import client_config, server_config
from tests.handshake.returning import Sessions, Tickets, Times, first_session, visit

GET = b"GET / HTTP/1.1\r\n\r\n"


def behind(times: Times, seconds: float) -> Clock:
    """The clock of a node that is so many seconds behind the others."""
    return Clock(wall=lambda: times.now - timedelta(seconds=seconds), monotonic=times.seconds)


def whole_milliseconds() -> Times:
    times = Times()
    times.now = times.now.replace(microsecond=0)
    return times


@pytest.mark.parametrize(("seconds", "resumed"), [(0.05, True), (10, True), (10.001, False)])
def test_a_ticket_may_be_a_little_ahead(seconds: float, resumed: bool) -> None:
    """A client may come back at once, to another node."""
    times = whole_milliseconds()
    client = {"sessions": Sessions(), "clock": times.clock}
    server = {"tickets": Tickets(), "clock": times.clock}
    first_session(client, server)
    assert visit(client, {**server, "clock": behind(times, seconds)}).resumed is resumed


@pytest.mark.parametrize("seconds", [0, 5, 10])
def test_a_copy_is_recognised_for_as_long_as_any_node_finds_it_fresh(seconds: float) -> None:
    """RFC 9846 section 8.2. The first one comes as early as is let pass, the copies every half a second."""
    times = whole_milliseconds()
    guard = MemoryReplayGuard(clock=times.clock)
    times.later(minutes=10)
    client = {"sessions": Sessions(), "clock": times.clock}
    server = {"tickets": Tickets(), "clock": times.clock, "early_data": guard}
    first_session(client, server)
    times.later(minutes=10)
    here = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)
    here.start()
    flight = bytes(here.data_to_send())
    times.later(seconds=-9.999)
    taken = []
    for clock in (times.clock, *[behind(times, seconds)] * 80):
        there = ServerConnection(server_config(**{**server, "clock": clock}))
        there.start()
        there.receive_data(flight)
        taken.append(list(there.events()))
        times.later(seconds=0.5)
    assert taken == [[EarlyData(GET)], *[[]] * 80]
