"""Sessions whose connection failed: nobody resumes them any more (RFC 5246 sections 7.2 and 7.2.2)."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import AlertReceived, MemoryCache, MemorySessions, TLSError
from handfast.errors import TruncationError
from tests.handshake.parties import carry, started
from tests.handshake.returning import first_session, visit

by_each_way = pytest.mark.parametrize("way", ["tickets", "session_cache"])


def both(way: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"sessions": MemorySessions(), "max_version": "1.2"}, {way: MemoryCache()}


@by_each_way
def test_a_session_that_does_not_work_is_tried_once(way: str) -> None:
    """Else a client would fail with this server until the session ends: those of TLS 1.2 are given out again."""
    client, server = both(way)
    session = first_session(client, server)
    session.secret = bytes(48)
    here, there = started(client, server)
    with pytest.raises(TLSError):
        for _ in range(2):
            carry(here, there)
            carry(there, here)
    assert len(client["sessions"]) == 0
    assert not visit(client, server).talk().resumed
    assert visit(client, server).talk().resumed


@by_each_way
@pytest.mark.parametrize("resumed", [False, True])
def test_an_alert_in_the_middle_of_the_data_ends_the_session_too(way: str, resumed: bool) -> None:
    client, server = both(way)
    if resumed:
        first_session(client, server)
    made = visit(client, server).talk()
    assert made.resumed is resumed
    assert len(client["sessions"]) == 1 + (resumed and way == "tickets")
    made.client.send(b"x")
    flight = bytearray(made.client.data_to_send())
    flight[-1] ^= 1
    made.server.receive_data(flight)
    with pytest.raises(TLSError):
        list(made.server.events())
    made.client.receive_data(made.server.data_to_send())
    with pytest.raises(AlertReceived):
        list(made.client.events())
    assert not visit(client, server).talk().resumed


@by_each_way
def test_a_transport_that_ends_is_no_alert(way: str) -> None:
    client, server = both(way)
    made = visit(client, server).talk()
    made.client.receive_eof()
    with pytest.raises(TruncationError):
        list(made.client.events())
    assert visit(client, server).talk().resumed


@by_each_way
def test_an_orderly_end_keeps_it(way: str) -> None:
    client, server = both(way)
    made = visit(client, server).talk()
    made.client.close()
    made.server.receive_data(made.client.data_to_send())
    made.server.close()
    made.run()
    assert visit(client, server).talk().resumed
