"""Peers that break the rules of pre-shared keys: each is refused, by its reason and alert (RFC 9846 section 4.3.11)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from handfast import HandshakeCompleted, TLSError, limits, reasons
from handfast.connection import ClientConnection, ServerConnection
from handfast.crypto import suites
from handfast.crypto.schedule13 import PskSecret
from handfast.errors import BadRecord, DecodeError, PeerIncompatible, PeerMisbehaved
from handfast.events import EarlyData
from handfast.sessions.external import ExternalPsk
from handfast.sessions.session import Session
from handfast.wire.codepoints import AlertDescription, CipherSuite, ContentType, ExtensionType, NamedGroup
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.messages13 import EncryptedExtensions, EndOfEarlyData, NewSessionTicket
from handfast.wire.psk import OfferedPsks, PskIdentity
from tests.handshake.parties import client_config, fails, server_config
from tests.handshake.returning import Guard, Sessions, Tickets, first_session
from tests.playbook.peers import CHANGE_CIPHER_SPEC, RawClient, RawServer, record
from tests.playbook.playing import check_refused

SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384"]
SETTINGS: dict[str, Any] = {"cipher_suites": SUITES, "alpn": ["a", "b"]}
EARLY = EncryptedExtensions(early_data=True, application_layer_protocol_negotiation=b"a")
TICKETS = Tickets()


@cache
def session() -> Session:
    """Of one visit; it can be used again and again."""
    server = {"tickets": TICKETS, "early_data": Guard(), "alpn": ["a", "b"], "cipher_suites": SUITES}
    return first_session({"sessions": Sessions(), **SETTINGS}, server)


# --- a client, and servers that break rules


def at_client(early_data: bytes = b"", **settings: Any) -> RawServer:
    """A raw server, whose client wants to resume."""
    config = client_config(**{"sessions": Sessions(session()), **SETTINGS, **settings})
    client = ClientConnection(config, server_name="localhost", early_data=early_data)
    client.start()
    return RawServer(client, session=session())


def finish(server: RawServer) -> None:
    server.say(server.finished())
    server.use_application_keys()
    server.hear()
    assert server.connection.awaiting == ""


@pytest.mark.parametrize("with_dhe", [True, False])
def test_a_server_that_keeps_the_rules(with_dhe: bool) -> None:
    server = at_client(psk_modes=["psk_ke", "psk_dhe_ke"])
    server.take_up(with_dhe=with_dhe)
    server.say(EncryptedExtensions())
    finish(server)
    assert isinstance(server.events[0], HandshakeCompleted)
    assert server.events[0].handshake.resumed


@pytest.mark.parametrize("index", [1, 2, 65_535])
def test_a_key_that_was_not_offered(index: int) -> None:
    server = at_client()
    answer = server.hello(selected_identity=index)
    error = check_refused(server, PeerMisbehaved, reasons.PSK_NOT_OFFERED, lambda: server.say(answer))
    assert error.evidence == {"selected": index, "we_offered": 1}


def test_a_key_where_none_was_offered() -> None:
    server = at_client(sessions=None)
    answer = server.hello(selected_identity=0)
    check_refused(server, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION, lambda: server.say(answer))


def test_a_suite_of_another_hash() -> None:
    """RFC 9846 section 4.3.11: the suite has to go with the key's hash."""
    server = at_client()
    answer = server.hello(selected_identity=0, cipher_suite=CipherSuite.TLS_AES_256_GCM_SHA384)
    check_refused(server, PeerMisbehaved, reasons.WRONG_PSK_HASH, lambda: server.say(answer))


@pytest.mark.parametrize("modes", [["psk_dhe_ke"], ["psk_ke"]])
def test_a_mode_that_was_not_offered(modes: list[str]) -> None:
    server = at_client(psk_modes=modes)
    share = server.hello().key_share if modes == ["psk_ke"] else None
    answer = server.hello(selected_identity=0, key_share=share)
    check_refused(server, PeerMisbehaved, reasons.PSK_MODE_NOT_OFFERED, lambda: server.say(answer))


def test_no_key_and_no_share() -> None:
    server = at_client(psk_modes=["psk_ke", "psk_dhe_ke"])
    answer = server.hello(key_share=None)
    check_refused(server, PeerMisbehaved, reasons.MISSING_EXTENSION, lambda: server.say(answer))


def test_a_share_of_a_group_that_was_not_offered() -> None:
    server = at_client()
    answer = server.hello(selected_identity=0, key_share=KeyShareEntry(NamedGroup.X448, bytes(56)))
    check_refused(server, PeerMisbehaved, reasons.GROUP_NOT_OFFERED, lambda: server.say(answer))


def test_a_server_that_does_not_have_the_key() -> None:
    """It cannot make a record that the client can read: that is its proof."""
    server = at_client()
    server.known = PskSecret(server.suite, bytes(32), "res")
    server.take_up()
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        server.say(EncryptedExtensions())


@pytest.mark.parametrize("name", ["certificate", "proof"])
def test_a_certificate_after_a_key(name: str) -> None:
    server = at_client()
    server.take_up()
    server.say(EncryptedExtensions())
    message = getattr(server, name)()
    check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(message.encode()))


def test_a_wrong_finished() -> None:
    server = at_client()
    server.take_up()
    server.say(EncryptedExtensions())
    wrong = server.finished()
    wrong.verify_data = bytes(32)
    check_refused(server, PeerMisbehaved, reasons.BAD_FINISHED, lambda: server.say(wrong))


# --- early data: what a server may not answer


@pytest.mark.parametrize(
    ("changes", "extensions"),
    [
        ({"cipher_suite": CipherSuite.TLS_CHACHA20_POLY1305_SHA256}, EARLY),
        ({}, replace(EARLY, application_layer_protocol_negotiation=b"b")),
        ({}, replace(EARLY, application_layer_protocol_negotiation=None)),
    ],
    ids=["another suite", "another protocol", "no protocol"],
)
def test_early_data_is_not_for_another_connection(changes: dict[str, Any], extensions: EncryptedExtensions) -> None:
    server = at_client(b"early")
    server.suite = suites.SUITES[changes.get("cipher_suite", server.suite.id)]
    server.take_up(**changes)
    early = server.reading
    with fails(PeerMisbehaved, reasons.BAD_EARLY_DATA):
        server.say(extensions)
    server.reading = early
    assert server.heard_alert() == (AlertDescription.ILLEGAL_PARAMETER, True)


def test_early_data_is_not_accepted_without_its_session() -> None:
    server = at_client(b"early")
    server.say(server.hello())
    early = server.reading
    server.use_handshake_keys()
    server.reading = early
    check_refused(server, PeerMisbehaved, reasons.BAD_EARLY_DATA, lambda: server.say(EARLY))


def test_early_data_is_not_accepted_with_the_second_key() -> None:
    """RFC 9846 section 4.3.11: the client must see to that."""
    key = ExternalPsk(b"both know it", bytes(range(32)), role="client")
    server = at_client(b"early", psks=[key])
    server.known = PskSecret(server.suite, key.key, "ext")
    server.take_up(selected_identity=1)
    early = server.reading
    with fails(PeerMisbehaved, reasons.BAD_EARLY_DATA):
        server.say(EARLY)
    server.reading = early
    assert server.heard_alert() == (AlertDescription.ILLEGAL_PARAMETER, True)


def test_early_data_is_not_accepted_where_none_was_offered() -> None:
    server = at_client()
    server.take_up()
    check_refused(server, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION, lambda: server.say(EARLY))


def test_early_data_that_was_taken() -> None:
    server = at_client(b"early")
    assert server.heard[-1] == (ContentType.APPLICATION_DATA, b"early", True)
    server.take_up()
    server.say(EARLY)
    server.say(server.finished())
    server.use_application_keys()
    heard = server.heard_messages()
    assert [raw[0] for raw in heard] == [5, 20]
    assert server.events[0].handshake.early_data == "accepted"


def test_a_client_that_breaks_off_says_so_with_the_keys_of_the_handshake() -> None:
    """Its early data was not taken: nobody but the session's other side could read an alert with those keys."""
    server = at_client(b"early")
    server.take_up()
    server.say(EncryptedExtensions())
    server.reading = type(server.writing)(server.client_handshake)  # type: ignore[misc, arg-type]
    wrong = server.finished()
    wrong.verify_data = bytes(32)
    check_refused(server, PeerMisbehaved, reasons.BAD_FINISHED, lambda: server.say(wrong))


def test_early_data_and_a_retry() -> None:
    server = at_client(b"early", groups=["X25519MLKEM768", "x25519", "secp384r1"], key_shares=["x25519"])
    request = server.retry()
    server.fold()
    server.reading = None  # the second hello has no keys
    server.say(request)
    server.hear()
    assert server.client_hello.early_data is None
    assert server.client_hello.pre_shared_key is not None
    server.take_up(group=NamedGroup.SECP384R1)
    server.say(EncryptedExtensions())
    finish(server)
    completed, rejected, *_ = server.events
    assert completed.handshake.early_data == "rejected"
    assert rejected.data == b"early"


# --- a server, and clients that break rules


def at_server(**settings: Any) -> RawClient:
    session()
    fields = {"tickets": TICKETS, "early_data": Guard(), "alpn": ["a", "b"], "cipher_suites": SUITES, **settings}
    server = ServerConnection(server_config(**fields))
    server.start()
    return RawClient(server)


ALPN = {"application_layer_protocol_negotiation": [b"a"]}


def begun(*data: bytes, **settings: Any) -> RawClient:
    """A client that has sent early data, which the server has taken."""
    client = at_server(**settings)
    original = client.hello
    client.hello = lambda **changes: original(**{**ALPN, **changes})  # type: ignore[method-assign]
    client.say_early(session(), *data)
    client.hear()
    return client


def ended(client: RawClient) -> RawClient:
    """The same, with EndOfEarlyData."""
    client.end_early()
    return client


def test_a_client_that_keeps_the_rules() -> None:
    client = at_server()
    client.say(client.hello_with(session()))
    client.hear()
    assert client.server_hello.selected_identity == 0
    client.say_finished()
    [completed] = client.events
    assert completed.handshake.resumed


def test_early_data_one_by_one() -> None:
    client = begun(b"one", b"two")
    client.deliver(client.early.seal(b"three\x17"))
    ended(client).say_finished()
    *early, completed = client.events
    assert early == [EarlyData(b"one"), EarlyData(b"two"), EarlyData(b"three")]
    assert completed.handshake.early_data == "accepted"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"psk_key_exchange_modes": None}, reasons.MISSING_EXTENSION),
        ({"key_share": None}, reasons.MISSING_EXTENSION),
        ({"supported_groups": None}, reasons.MISSING_EXTENSION),
    ],
)
def test_what_has_to_be_there(changes: dict[str, Any], reason: reasons.Reason) -> None:
    client = at_server()
    hello = client.hello_with(session(), **changes)
    check_refused(client, PeerMisbehaved, reason, lambda: client.say(hello))


def test_a_client_that_wants_no_key_exchange_at_all() -> None:
    """Then it needs neither groups nor shares (RFC 9846 section 9.2)."""
    client = at_server(psk_modes=["psk_ke"])
    settings = {"psk_key_exchange_modes": b"\0", "supported_groups": None, "key_share": None}
    client.say(client.hello_with(session(), **settings).raw)
    client.hear()
    assert client.server_hello.key_share is None
    client.say_finished()
    assert client.events[0].handshake.group is None


def test_a_client_that_can_verify_no_certificate_and_whose_key_is_unknown() -> None:
    client = at_server(tickets=None)
    hello = client.hello_with(session(), signature_algorithms=None)
    error = check_refused(client, PeerIncompatible, reasons.UNKNOWN_PSK, lambda: client.say(hello.raw))
    assert error.alert == AlertDescription.UNKNOWN_PSK_IDENTITY


def test_early_data_without_a_key_is_skipped() -> None:
    """Nobody can read it."""
    client = at_server()
    client.say(client.hello(early_data=True))
    client.hear()
    client.deliver(record(ContentType.APPLICATION_DATA, bytes(40)))
    client.say_finished()
    assert client.events[0].handshake.early_data == "rejected"


@pytest.mark.parametrize("modes", [b"\0", b"\2", b"\x0a\x7a"])
def test_modes_that_we_do_not_have_are_a_full_handshake(modes: bytes) -> None:
    client = at_server()
    client.say(client.hello_with(session(), psk_key_exchange_modes=modes))
    client.hear()
    assert client.server_hello.selected_identity is None
    client.say_finished()
    assert not client.events[0].handshake.resumed


def test_a_binder_over_something_else() -> None:
    client = at_server()
    hello = client.hello_with(session())
    changed = bytearray(hello.raw)
    changed[6] ^= 1  # a bit of the random
    check_refused(client, PeerMisbehaved, reasons.BAD_BINDER, lambda: client.say(bytes(changed)))


def test_only_the_binder_of_the_chosen_key_counts() -> None:
    """A server that does not know the others cannot check theirs (RFC 9846 section 4.3.11)."""
    client = at_server()
    hello = client.hello_with(session())
    assert hello.pre_shared_key is not None
    [ours] = hello.pre_shared_key.identities
    hello.pre_shared_key = OfferedPsks([PskIdentity(b"unknown"), ours], [bytes(32), bytes(32)])
    hello.extension_types = []
    assert client.psk is not None
    client.bound(hello, client.psk, client.psk)
    client.say(hello.raw)
    client.hear()
    assert client.server_hello.selected_identity == 1
    client.say_finished()
    assert client.events[0].handshake.resumed


def test_the_wrong_age_is_no_reason_to_refuse_the_session() -> None:
    """RFC 9846 section 4.3.11.1: it says only whether early data is fresh."""
    client = at_server()
    hello = client.hello_with(session(), early_data=True, **ALPN)
    assert hello.pre_shared_key is not None
    hello.pre_shared_key.identities[0].obfuscated_ticket_age ^= 1 << 31
    assert client.psk is not None
    client.say(client.bound(hello, client.psk).raw)
    client.hear()
    client.say_finished()
    assert (client.events[0].handshake.resumed, client.events[0].handshake.early_data) == (True, "rejected")


@pytest.mark.parametrize("known", [0, 1], ids=["the first", "the second"])
def test_early_data_goes_with_the_first_key_alone(known: int) -> None:
    """RFC 9846 section 4.3.10: the server has to have selected it; here the other one claims the right age, too."""
    guard = Guard()
    client = at_server(early_data=guard)
    hello = client.hello_with(session(), early_data=True, **ALPN)
    assert hello.pre_shared_key is not None
    [ours] = hello.pre_shared_key.identities
    identities = [PskIdentity(b"unknown", ours.obfuscated_ticket_age)]
    identities.insert(known, ours)
    hello.pre_shared_key = OfferedPsks(identities, [bytes(32), bytes(32)])
    hello.extension_types = []
    assert client.psk is not None
    hello = client.bound(hello, client.psk, client.psk)
    client.say(hello.raw)
    client.hear()
    assert client.server_hello.selected_identity == known
    assert hello.pre_shared_key is not None
    assert [binder for binder, _ in guard.seen] == ([] if known else hello.pre_shared_key.binders[:1])
    assert client.connection.awaiting == ("Finished" if known else "EndOfEarlyData")


def test_a_binder_that_nobody_checks_does_not_make_a_copy_new() -> None:
    """RFC 9846 section 8.2: what a copy is recognised by comes from validated parts of the ClientHello alone."""
    guard = Guard()
    awaited = []
    client = at_server(early_data=guard)
    hello = client.hello_with(session(), early_data=True, **ALPN)
    assert hello.pre_shared_key is not None
    hello.pre_shared_key = OfferedPsks([*hello.pre_shared_key.identities, PskIdentity(b"x")], [bytes(32), bytes(32)])
    hello.extension_types = []
    assert client.psk is not None
    raw = client.bound(hello, client.psk, client.psk).raw
    for last in range(3):
        client = at_server(early_data=guard)
        client.psk = PskSecret(suites.SUITES[session().suite_id], session().secret, "res")
        client.deliver(client.wire(ContentType.HANDSHAKE, client.noted(raw[:-1] + bytes((last,)))))
        awaited.append(client.connection.awaiting)
    assert awaited == ["EndOfEarlyData", "Finished", "Finished"]


# --- early data: what a client may not do


def test_finished_without_the_end_of_early_data() -> None:
    client = begun(b"early")
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.say(client.finished()))


def test_keys_of_the_handshake_before_the_end_of_early_data() -> None:
    client = begun(b"early")
    client.writing = client.handshake_keys
    check_refused(client, BadRecord, reasons.BAD_RECORD_MAC, lambda: client.say(client.finished()))


def test_the_end_of_early_data_where_there_was_none() -> None:
    client = at_server()
    client.say(client.hello_with(session()))
    client.hear()
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.say(EndOfEarlyData()))


def test_the_end_of_early_data_that_was_not_taken() -> None:
    client = begun(early_data=None)
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.say(EndOfEarlyData()))


def test_the_end_of_early_data_twice() -> None:
    client = ended(begun(b"early"))
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.say(EndOfEarlyData()))


def test_an_end_that_is_not_empty() -> None:
    client = begun(b"early")
    check_refused(client, DecodeError, reasons.DECODE_ERROR, lambda: client.say(b"\5\0\0\1x"))


def test_more_behind_the_end() -> None:
    """The keys change there (RFC 9846 section 5.1)."""
    client = begun(b"early")
    raw = EndOfEarlyData().encode()
    check_refused(client, PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA, lambda: client.handshake(raw, b"\x14"))


def test_early_data_after_its_end() -> None:
    client = ended(begun(b"early"))
    check_refused(client, BadRecord, reasons.BAD_RECORD_MAC, lambda: client.deliver(client.early.seal(b"late\x17")))


def test_data_of_the_handshake_s_keys_after_the_end() -> None:
    client = ended(begun(b"early"))
    act = lambda: client.send(ContentType.APPLICATION_DATA, b"too soon")  # noqa: E731
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_APPLICATION_DATA, act)


def test_early_data_within_a_message() -> None:
    client = begun(b"early")
    client.deliver(client.early.seal(EndOfEarlyData().encode()[:2] + b"\x16"))
    act = lambda: client.deliver(client.early.seal(b"data\x17"))  # noqa: E731
    check_refused(client, PeerMisbehaved, reasons.INTERLEAVED_RECORD, act)


@pytest.mark.parametrize("last", [1, 100, 14_336])
def test_too_much(last: int) -> None:
    client = begun(bytes(session().max_early_data - last + 1))
    record_of_it = client.early.seal(bytes(last) + b"\x17")
    act = lambda: client.deliver(record_of_it)  # noqa: E731
    check_refused(client, PeerMisbehaved, reasons.TOO_MUCH_ACCEPTED_EARLY_DATA, act)


def test_too_many_empty_records_among_it() -> None:
    client = begun(*[b""] * limits.EMPTY_RECORDS_IN_A_ROW, b"early")
    assert client.events == [EarlyData(b"early")]


def test_an_alert_within_early_data_is_understood() -> None:
    """A client that gives up before it has read the answer has no other keys."""
    client = begun(b"early")
    with pytest.raises(TLSError) as caught:
        client.deliver(client.early.seal(b"\2\x28\x15"))
    assert caught.value.sent_by == "peer"
    assert caught.value.alert == 40


def test_a_change_cipher_spec_among_it_means_nothing() -> None:
    client = at_server()
    session()
    hello = client.hello_with(session(), early_data=True, **ALPN)
    wire = client.wire(ContentType.HANDSHAKE, client.noted(hello.raw))
    client.deliver(wire + CHANGE_CIPHER_SPEC)
    client.hear()
    assert client.connection.awaiting == "EndOfEarlyData"


def test_plain_application_data_is_no_early_data() -> None:
    client = begun(b"early")
    data = record(ContentType.APPLICATION_DATA, b"\0" * 40)
    check_refused(client, BadRecord, reasons.BAD_RECORD_MAC, lambda: client.deliver(data))


# --- a retry


def test_after_a_retry_the_key_has_to_come_again() -> None:
    """RFC 9846 section 4.2.2: only keys that do not go with the suite may be left out."""
    client = at_server(groups=["secp384r1"])
    client.say(client.hello_with(session(), supported_groups=[NamedGroup.X25519, NamedGroup.SECP384R1]))
    client.hear()
    again = client.hello_again(pre_shared_key=None)
    error = check_refused(client, PeerMisbehaved, reasons.HELLO_CHANGED, lambda: client.say(again))
    assert error.evidence == {"differing": [ExtensionType.name(ExtensionType.PRE_SHARED_KEY)]}


@pytest.mark.parametrize("right", [True, False])
def test_after_a_retry_the_binder_is_over_all_of_it(right: bool) -> None:
    client = at_server(groups=["secp384r1"])
    client.say(client.hello_with(session(), supported_groups=[NamedGroup.X25519, NamedGroup.SECP384R1]))
    client.hear()
    again = client.hello_again()
    assert client.psk is not None
    secret = client.psk
    if right:
        client.say(client.bound(again, secret).raw)
        client.hear()
        client.say_finished()
        assert client.events[0].handshake.resumed
    else:
        check_refused(client, PeerMisbehaved, reasons.BAD_BINDER, lambda: client.say(again))


@pytest.mark.parametrize("changes", [{"psk_key_exchange_modes": b"\0\1"}, {"ticket_request": (1, 1)}])
def test_after_a_retry_the_rest_is_the_same(changes: dict[str, Any]) -> None:
    """RFC 9846 section 4.2.2, RFC 9149 section 3."""
    client = at_server(groups=["secp384r1"])
    client.say(client.hello_with(session(), supported_groups=[NamedGroup.X25519, NamedGroup.SECP384R1]))
    client.hear()
    again = client.hello_again(**changes)
    assert client.psk is not None
    raw = client.bound(again, client.psk).raw
    error = check_refused(client, PeerMisbehaved, reasons.HELLO_CHANGED, lambda: client.say(raw))
    assert error.evidence == {"differing": list(changes)}


# --- tickets


def test_a_server_takes_no_ticket() -> None:
    client = at_server()
    client.say(client.hello_with(session()))
    client.hear()
    client.say_finished()
    raw = NewSessionTicket(1, 1, b"", b"x").encode()
    client.hear()
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.handshake(raw))


@pytest.mark.parametrize(("ours", "with_dhe"), [(["psk_ke", "psk_dhe_ke"], False), (["psk_dhe_ke", "psk_ke"], True)])
@pytest.mark.parametrize("theirs", [b"\0\1", b"\1\0"])
def test_of_the_modes_the_server_s_order_counts(ours: list[str], with_dhe: bool, theirs: bytes) -> None:
    """RFC 9846 section 4.3.9 has none for the client's: forward secrecy is the server's to give."""
    client = at_server(psk_modes=ours)
    client.say(client.hello_with(session(), psk_key_exchange_modes=theirs))
    client.hear()
    assert (client.server_hello.key_share is not None) is with_dhe
    client.say_finished()
    assert client.events[0].handshake.resumed


def test_an_empty_record_after_the_end_of_early_data() -> None:
    """Early data may have them, the rest of the handshake may not (RFC 9846 section 5.1)."""
    client = ended(begun(b"early"))
    act = lambda: client.send(ContentType.APPLICATION_DATA, b"")  # noqa: E731
    check_refused(client, BadRecord, reasons.EMPTY_RECORD, act)
