"""Early data: taken where it is what was meant and nobody has sent it before, given back where it is not (RFC 9846 section 8)."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import CertificateRefused, ServerConfig, TLSError, limits, reasons
from handfast.connection import ClientConnection, ServerConnection
from handfast.errors import MisuseError, PeerIncompatible, PeerMisbehaved
from handfast.events import EarlyData, EarlyDataRejected, HandshakeCompleted
from handfast.sessions.session import Session
from tests.handshake.parties import Lines, Recorder, client_config, client_identity, fails, identity, server_config
from tests.handshake.returning import Guard, Sessions, Tickets, Times, Visit, first_session, visit

GET = b"GET / HTTP/1.1\r\n\r\n"


def both(client: dict[str, Any] | None = None, server: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """Settings of two sides that have early data."""
    return {"sessions": Sessions(), **(client or {})}, {
        "tickets": Tickets(),
        "early_data": Guard(),
        **(server or {}),
    }


def again(client: Any, server: Any, *changes: dict[str, Any], data: bytes = GET, **more: Any) -> Visit:
    """A first visit, and a second one with early data after these changes."""
    first_session(client, server)
    here, there = (*changes, {}, {})[:2]
    return visit({**client, **here}, {**server, **there}, early_data=data, **more)


def rejected(made: Visit) -> bool:
    """It was not taken, and came back whole, once, after the handshake was complete."""
    assert made.early == b""
    assert made.rejected == [GET]
    kinds = [type(event) for event in made.here]
    assert kinds.index(EarlyDataRejected) > kinds.index(HandshakeCompleted)
    made.talk()
    assert made.client.handshake is not None
    assert made.client.handshake.early_data == "rejected"
    return True


# --- taken


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
@pytest.mark.parametrize("modes", [["psk_dhe_ke"], ["psk_ke"]])
def test_early_data_is_taken(suite: str, modes: list[str]) -> None:
    client, server = both({"psk_modes": modes, "alpn": ["h2"]}, {"psk_modes": modes, "alpn": ["h2"]})
    server["cipher_suites"] = [suite]
    back = again(client, server).talk()
    assert (back.facts.early_data, back.facts.resumed, back.early, back.rejected) == ("accepted", True, GET, [])
    assert [type(event) for event in back.there[:2]] == [EarlyData, HandshakeCompleted]
    [(binder, seconds)] = server["early_data"].seen
    assert len(binder) in (32, 48)
    assert seconds == 30.0


def test_it_goes_with_the_hello() -> None:
    client, server = both()
    first_session(client, server)
    here = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)
    there = ServerConnection(server_config(**server))
    here.start()
    there.start()
    there.receive_data(here.data_to_send())
    assert list(there.events()) == [EarlyData(GET)]
    assert there.handshake is None


def test_as_much_as_the_session_says() -> None:
    client, server = both({}, {"max_early_data": 40_000})
    most = bytes(range(200)) * 200
    assert again(client, server, data=most).early == most
    more = visit(client, server, early_data=most + b"x")
    assert (more.early, more.rejected) == (b"", [most + b"x"])
    assert more.facts.early_data is None, "it was not sent"


def test_none_is_none() -> None:
    client, server = both()
    back = again(client, server, data=b"")
    assert (back.facts.early_data, back.early, back.rejected) == (None, b"", [])


def test_without_a_session_it_comes_back() -> None:
    client, server = both()
    made = visit(client, server, early_data=GET)
    assert (made.facts.early_data, made.rejected) == (None, [GET])


def test_a_session_without_early_data() -> None:
    client, server = both({}, {"early_data": None})
    back = again(client, server, {}, {"early_data": Guard()})
    assert (back.facts.early_data, back.rejected, back.resumed) == (None, [GET], True)
    assert (
        first_session({"sessions": Sessions()}, {**server, "early_data": Guard(), "max_early_data": 0}).max_early_data
        == 0
    )


def test_the_secret_of_early_data_is_logged() -> None:
    here, there = Lines(), Lines()
    client, server = both({"keylog": here}, {"keylog": there})
    again(client, server)
    found = [[line for line in each.lines if line[0] == "CLIENT_EARLY_TRAFFIC_SECRET"] for each in (here, there)]
    assert found[0] == found[1]
    assert len(found[0]) == 1


def test_empty_records_of_early_data_are_nothing() -> None:
    """They hide how much is said (RFC 9846 section 5.1); a limit there is, too."""
    client, server = both()
    first_session(client, server)

    def early(count: int) -> ServerConnection:
        here = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)
        there = ServerConnection(server_config(**{**server, "early_data": Guard()}))
        here.start()
        there.start()
        for _ in range(count):
            here._layer.write(23, b"")
        there.receive_data(here.data_to_send())
        return there

    assert list(early(limits.EMPTY_RECORDS_IN_A_ROW).events()) == [EarlyData(GET)]
    with pytest.raises(TLSError) as caught:
        list(early(limits.EMPTY_RECORDS_IN_A_ROW + 1).events())
    assert caught.value.reason is reasons.TOO_MANY_EMPTY_RECORDS


# --- not taken


def test_a_second_sending_is_not_taken() -> None:
    """The guard knows the binder, which is the same in every copy (RFC 9846 section 8.2)."""
    client, server = both()
    first_session(client, server)
    here = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)
    here.start()
    flight = bytes(here.data_to_send())
    taken = []
    for _ in range(5):
        there = ServerConnection(server_config(**server))
        there.start()
        there.receive_data(flight)
        taken.append(list(there.events()))
    assert taken == [[EarlyData(GET)], [], [], [], []]
    assert len(server["early_data"].seen) == 5


@pytest.mark.parametrize(
    ("client", "server"),
    [
        ({}, {"early_data": None}),
        ({}, {"early_data": Guard(admits=False)}),
        ({}, {"cipher_suites": ["TLS_CHACHA20_POLY1305_SHA256"]}),
        ({}, {"cipher_suites": ["TLS_AES_256_GCM_SHA384"]}),
        ({}, {"alpn": ["b"]}),
        ({}, {"alpn": []}),
        ({}, {"tickets": Tickets()}),
        ({}, {"groups": ["secp384r1"]}),
        ({}, {"client_authentication": "optional"}),
    ],
    ids=[
        "no guard",
        "the guard is not sure",
        "other suite",
        "other hash",
        "other protocol",
        "no protocol",
        "other tickets",
        "retry",
        "clients asked who they are",
    ],
)
def test_early_data_is_given_back(client: dict[str, Any], server: dict[str, Any]) -> None:
    suites = ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384"]
    here, there = both({"alpn": ["a", "b"], "cipher_suites": suites}, {"alpn": ["a", "b"]})
    assert rejected(again(here, there, client, server))


@pytest.mark.parametrize("guarded", [True, False])
def test_what_is_not_even_sent(guarded: bool) -> None:
    """What it was meant for is not offered any more."""
    there: dict[str, Any] = both({}, {"alpn": ["a", "b"]})[1]
    session = first_session({"sessions": Sessions(), "alpn": ["a"]}, there)
    changes: dict[str, Any] = {"alpn": ["b"]} if guarded else {"cipher_suites": ["TLS_CHACHA20_POLY1305_SHA256"]}
    made = visit({"alpn": ["a"], **changes}, there, session=session, early_data=GET)
    assert (made.facts.early_data, made.rejected, made.resumed) == (None, [GET], True)


@pytest.mark.parametrize("seconds", [-10.5, 10.5, -9.5, 9.5])
def test_a_hello_has_to_be_as_old_as_it_says(seconds: float) -> None:
    """RFC 9846 section 8.3: what was recorded a while ago does not fit the age that it claims."""
    times = Times()
    client, server = both({"clock": times.clock}, {"clock": times.clock})
    first_session(client, server)
    times.later(minutes=1)
    here = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)
    here.start()
    flight = here.data_to_send()
    times.later(seconds=seconds)
    there = ServerConnection(server_config(**server))
    there.start()
    there.receive_data(flight)
    assert [type(event) for event in there.events()] == ([EarlyData] if abs(seconds) < 10 else [])
    assert len(server["early_data"].seen) == (abs(seconds) < 10), "the guard need not remember what is too old"


def test_it_is_not_taken_with_a_psk_that_is_not_the_first() -> None:
    from handfast.sessions.external import ExternalPsk

    key = ExternalPsk(b"both know it", bytes(range(32)), role="client")
    other = ExternalPsk(b"both know it", bytes(range(32)), role="server")
    client, server = both()
    first_session(client, server)
    made = visit(
        {**client, "psks": [key]},
        {**server, "tickets": Tickets(), "psks": {b"both know it": other}},
        early_data=GET,
    )
    assert (made.resumed, made.facts.peer) == (True, None)
    assert rejected(made)
    assert server["early_data"].seen == []


@pytest.mark.parametrize("allowed", [14_336, 16_384, 100_000])
def test_the_largest_early_data_can_be_refused(allowed: int) -> None:
    """A server skips as much as its tickets allow."""
    client, server = both({}, {"max_early_data": allowed})
    session = first_session(client, server)
    data = bytes(session.max_early_data)
    made = visit(client, {**server, "early_data": None}, early_data=data).talk()
    assert (made.early, made.rejected) == (b"", [data])


def test_a_client_that_sends_more_than_its_session_allows() -> None:
    client, server = both({}, {"max_early_data": 100})
    session = first_session(client, server)
    session.max_early_data = 101
    here = ClientConnection(client_config(sessions=Sessions(session)), server_name="localhost", early_data=bytes(101))
    there = ServerConnection(server_config(**server))
    here.start()
    there.start()
    there.receive_data(here.data_to_send())
    with fails(PeerMisbehaved, reasons.TOO_MUCH_ACCEPTED_EARLY_DATA):
        list(there.events())


def test_a_client_that_is_no_longer_welcome() -> None:
    """Its early data goes nowhere."""

    def refuse(peer: Any) -> None:
        raise CertificateRefused(alert="certificate_revoked", problem="gone")

    client, server = both({"identities": [client_identity()]}, {"client_authentication": "required"})
    first_session(client, server)
    here = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)
    there = ServerConnection(server_config(**server, check_peer=refuse))
    here.start()
    there.start()
    there.receive_data(here.data_to_send())
    with pytest.raises(CertificateRefused):
        there.next_event()


def test_two_hellos_with_one_ticket_are_no_replay() -> None:
    """A client may race them: each has a binder of its own (RFC 9846 section 8.2)."""
    client, server = both()
    session = first_session(client, server)
    for _ in range(2):
        assert visit(client, server, session=session, early_data=GET).early == GET


def test_the_limit_is_that_of_the_ticket() -> None:
    """And not what the server would allow by now (RFC 9846 section 4.7.1)."""
    client, server = both({}, {"max_early_data": 100})
    session = first_session(client, server)
    assert visit(client, {**server, "max_early_data": 10}, session=session, early_data=bytes(100)).early == bytes(100)
    session.max_early_data = 101
    here = ClientConnection(client_config(**client), server_name="localhost", session=session, early_data=bytes(101))
    there = ServerConnection(server_config(**{**server, "max_early_data": 1_000}))
    here.start()
    there.start()
    there.receive_data(here.data_to_send())
    with fails(PeerMisbehaved, reasons.TOO_MUCH_ACCEPTED_EARLY_DATA):
        list(there.events())


def test_a_ticket_that_allows_none() -> None:
    """A client that sends some all the same gets it back, also where the server has come to take early data."""
    client, server = both({}, {"early_data": None})
    session = first_session(client, server)
    session.max_early_data = 1_000
    made = visit(client, {**server, "early_data": Guard()}, session=session, early_data=GET)
    assert rejected(made)
    assert made.resumed


@pytest.mark.parametrize("age_add", [0, 1, (1 << 32) - 30_000, (1 << 32) - 1])
def test_the_age_goes_round(age_add: int) -> None:
    """It is hidden by an addition modulo 2^32 (RFC 9846 section 4.3.11.1)."""
    times = Times()
    client, server = both({"clock": times.clock}, {"clock": times.clock, "ticket_count": 1})
    session = first_session(client, server)
    tickets = server["tickets"]
    [(ticket, state)] = tickets.kept.items()
    sealed = Session.decode(state)
    assert sealed is not None
    sealed.age_add = session.age_add = age_add
    tickets.kept[ticket] = sealed.encode()
    times.later(minutes=1)
    tap = Recorder()
    assert visit(client, server, session=session, early_data=GET, tap=tap).early == GET
    offered = tap.messages[0][1].pre_shared_key
    assert offered.identities[0].obfuscated_ticket_age == (60_000 + age_add) % (1 << 32)


@pytest.mark.parametrize("allowed", [14_336, 100_000])
def test_the_largest_early_data_can_be_refused_by_a_retry(allowed: int) -> None:
    client, server = both({}, {"max_early_data": allowed})
    session = first_session(client, server)
    made = visit(client, {**server, "groups": ["secp384r1"]}, session=session, early_data=bytes(allowed)).talk()
    assert (made.facts.hello_retry_request, made.early, made.rejected) == (True, b"", [bytes(allowed)])


# --- versions


def test_a_server_that_has_gone_back_to_tls_1_2() -> None:
    """RFC 9846 appendix E.3: the client fails, and may connect again without early data."""
    client, server = both()
    first_session(client, server)
    here = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)
    there = ServerConnection(server_config(**server, max_version="1.2"))
    here.start()
    there.start()
    hello = bytes(here.data_to_send())
    there.receive_data(hello[: 5 + int.from_bytes(hello[3:5])])
    assert list(there.events()) == []
    here.receive_data(there.data_to_send())
    with fails(PeerIncompatible, reasons.EARLY_DATA_TO_OLD_SERVER):
        here.next_event()


# --- what a server may say in between


def test_a_server_answers_before_the_handshake_is_over() -> None:
    client, server = both()
    first_session(client, server)
    here = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)
    there = ServerConnection(server_config(**server))
    here.start()
    there.start()
    with pytest.raises(MisuseError, match="not complete"):
        there.send(b"too early")
    there.receive_data(here.data_to_send())
    assert list(there.events()) == [EarlyData(GET)]
    there.send(b"200")
    here.receive_data(there.data_to_send())
    completed, data = list(here.events())
    assert isinstance(completed, HandshakeCompleted)
    assert data.data == b"200"


def test_nothing_is_exported_meanwhile() -> None:
    """There is no early exporter: what a replay would make as well must not be taken for the other (section 7.5)."""
    client, server = both()
    first_session(client, server)
    here = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)
    there = ServerConnection(server_config(**server))
    here.start()
    there.start()
    there.receive_data(here.data_to_send())
    assert list(there.events()) == [EarlyData(GET)]
    for side in (here, there):
        with pytest.raises(MisuseError, match="not complete"):
            side.export_keying_material("EXPERIMENTAL x", 32)


def test_the_alert_of_a_client_whose_early_data_was_refused_can_be_read() -> None:
    """Once the server has said no, the client has the keys of the handshake."""
    client, server = both({}, {"identities": [identity("p256", "localhost")]})
    first_session(client, server)
    here = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)

    there = ServerConnection(server_config(**{**server, "tickets": Tickets()}, key="p256"))
    here.start()
    there.start()
    there.receive_data(here.data_to_send())
    assert list(there.events()) == []
    # The certificate is another server's.
    other = ServerConfig(identities=[identity("p256", "a.example")], tickets=Tickets())
    here2 = ClientConnection(client_config(**client), server_name="localhost", early_data=GET)
    there2 = ServerConnection(other)
    here2.start()
    there2.start()
    there2.receive_data(here2.data_to_send())
    assert list(there2.events()) == []
    here2.receive_data(there2.data_to_send())
    with pytest.raises(TLSError) as refused:
        list(here2.events())
    there2.receive_data(here2.data_to_send())
    with pytest.raises(TLSError) as heard:
        list(there2.events())
    assert heard.value.sent_by == "peer"
    assert heard.value.alert == refused.value.alert


def test_a_session_of_tls_1_2_has_none() -> None:
    client, server = both({}, {"max_version": "1.2"})
    session: Session = first_session(client, server)
    assert session.max_early_data == 0
    made = visit(client, server, early_data=GET)
    assert (made.resumed, made.facts.early_data, made.rejected) == (True, None, [GET])
