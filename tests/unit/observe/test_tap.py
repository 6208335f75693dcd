"""The trace sees what a connection sends and receives."""

from __future__ import annotations

from handfast import ClientConfig, ClientConnection, Clock, ServerConfig, ServerConnection
from handfast.observe.tap import Seen, Trace
from handfast.testing import Authority


def test_a_trace_keeps_the_messages_in_order_with_times() -> None:
    authority = Authority.create()
    ticks = iter(range(10_000))
    heard: list[Seen] = []
    trace = Trace(heard.append, Clock(monotonic=lambda: float(next(ticks))))
    client = ClientConnection(ClientConfig(trust=authority.trust), server_name="localhost", tap=trace)
    server = ServerConnection(ServerConfig(identities=[authority.issue("localhost")]))
    client.start()
    server.start()
    sent = received = 0
    for _ in range(3):
        out = client.data_to_send()
        sent += len(out)
        server.receive_data(out)
        list(server.events())
        back = server.data_to_send()
        received += len(back)
        client.receive_data(back)
        list(client.events())
    assert [(item.sent, item.name, item.encrypted) for item in trace.messages] == [
        (True, "ClientHello", False),
        (False, "ServerHello", False),
        (True, "ChangeCipherSpec", False),
        (False, "ChangeCipherSpec", False),
        (False, "EncryptedExtensions", True),
        (False, "Certificate", True),
        (False, "CertificateVerify", True),
        (False, "Finished", True),
        (True, "Finished", True),
    ]
    assert heard == trace.messages
    times = [item.at for item in trace.messages]
    assert times == sorted(times)
    assert (trace.sent.bytes, trace.received.bytes) == (sent, received)
    in_the_clear = {True: 0, False: 0}
    for item in trace.messages:
        if not item.encrypted:
            in_the_clear[item.sent] += 5 + item.length
    assert trace.sent.bytes - trace.sent.encrypted == in_the_clear[True]
    assert trace.received.bytes - trace.received.encrypted == in_the_clear[False]
    assert [item.from_client for item in trace.messages] == [item.sent for item in trace.messages]
    assert trace.messages[0].length == len(trace.messages[0].message.raw)
    client.close()
    assert trace.messages[-1].name == "Alert"
    assert trace.messages[-1].length == 2


def test_a_trace_does_not_grow_for_ever() -> None:
    trace = Trace()
    for _ in range(2000):
        trace.message(sent=False, message=object, encrypted=True)
    assert len(trace.messages) < 1000


def test_restart_counts_from_now_on() -> None:
    now = [5.0]
    trace = Trace(clock=Clock(monotonic=lambda: now[0]))
    now[0] = 9.0
    trace.restart()
    now[0] = 9.5
    trace.message(sent=True, message=object, encrypted=False)
    assert trace.messages[0].at == 0.5


def test_the_side_of_a_message_is_known_on_a_server_too() -> None:
    trace = Trace()
    trace.message(sent=False, message=object, encrypted=False)
    trace.message(sent=True, message=object, encrypted=False)
    assert [item.from_client for item in trace.messages] == [True, False]
