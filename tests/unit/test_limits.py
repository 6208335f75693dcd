"""Every cap on what a peer can make us hold or do has a test that goes up to it, and one step further."""

from __future__ import annotations

import ast
import inspect
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from handfast import limits
from handfast.clock import Clock
from handfast.config import ClientConfig, ServerConfig
from handfast.connection import ClientConnection, ServerConnection
from handfast.errors import DecodeError, HandshakeTimeout, PeerMisbehaved, TLSError
from handfast.events import ApplicationData
from handfast.insecure import NoVerification
from handfast.reasons import TOO_MANY_MESSAGES, TOO_MANY_WARNINGS
from handfast.testing import Authority
from handfast.testing.pairs import pair, pump
from handfast.transport.blocking import TLSSocket, connect, wrap
from handfast.transport.server import Server
from handfast.wire.hello import ClientHello
from tests.unit.wire import build

TESTS = Path(__file__).parents[1]

# Where each limit is held, by file and function.
HELD_BY = {
    "ACCEPTED_CHAINS": "unit/certificates/test_accepted.py::test_no_more_are_remembered_than_the_limit",
    "ACCEPTED_CHAIN": "unit/certificates/test_accepted.py::test_a_long_chain_is_not_remembered",
    "MESSAGE": "unit/record/test_reassembly.py::test_each_type_has_its_largest_message",
    "CLIENT_HELLO": "unit/record/test_reassembly.py::test_each_type_has_its_largest_message",
    "SERVER_HELLO": "unit/record/test_reassembly.py::test_each_type_has_its_largest_message",
    "ENCRYPTED_EXTENSIONS": "unit/record/test_reassembly.py::test_each_type_has_its_largest_message",
    "CERTIFICATE": "unit/record/test_reassembly.py::test_each_type_has_its_largest_message",
    "CERTIFICATE_REQUEST": "unit/record/test_reassembly.py::test_each_type_has_its_largest_message",
    "CERTIFICATE_VERIFY": "unit/record/test_reassembly.py::test_each_type_has_its_largest_message",
    "NEW_SESSION_TICKET": "unit/record/test_reassembly.py::test_each_type_has_its_largest_message",
    "CERTIFICATES_OF_A_CHAIN": "unit/wire/test_messages13.py::test_a_chain_has_a_longest_length",
    "EXTENSIONS_OF_A_MESSAGE": "unit/wire/test_extensions.py::test_the_number_of_extensions_is_capped",
    "KEY_SHARES": "unit/wire/test_extensions.py::test_lists_are_capped",
    "PSK_IDENTITIES": "unit/wire/test_psk.py::test_pre_shared_keys_are_capped",
    "SESSION_SECONDS": "unit/handshake/test_tickets.py::test_no_session_outlives_seven_days",
    "TICKETS": "unit/handshake/test_tickets.py::test_what_a_client_asks_for_has_a_limit",
    "TICKETS_TAKEN": "unit/handshake/test_tickets.py::test_of_many_tickets_some_are_kept_and_the_others_do_no_harm",
    "TICKET_OFFERED": "handshake/test_tickets13.py::test_a_ticket_that_would_not_fit_into_a_hello_is_not_offered",
    "STATE": "handshake/test_resumption.py::test_a_client_s_chain_that_is_too_long_is_not_kept",
    "SESSIONS": "unit/sessions/test_memory.py::test_so_many_are_kept_by_default",
    "SESSIONS_OF_A_SERVER": "unit/sessions/test_memory.py::test_so_many_are_kept_by_default",
    "SESSIONS_IN_A_FILE": "sessions/test_file.py::test_so_many_are_kept_by_default",
    "STATES": "unit/sessions/test_memory.py::test_so_many_states_are_kept_by_default",
    "BINDERS": "unit/sessions/test_memory.py::test_so_many_binders_are_remembered_by_default",
    "SEALS_OF_A_KEY": "unit/sessions/test_keys.py::test_a_key_seals_so_many_tickets_and_no_more",
    "STORE_REPLY": "sessions/test_hostile_store.py::test_a_reply_has_a_longest_length",
    "TICKETS_OPENED": "handshake/test_tickets13.py::test_only_the_first_few_tickets_of_a_hello_are_opened",
    "CODEPOINTS_OF_A_LIST": "unit/wire/test_cursor.py::test_a_list_of_code_points_is_capped",
    "SERVER_NAME": "unit/test_limits.py::test_a_server_name",
    "PATH_DEPTH": "unit/certificates/test_paths.py::test_the_path_has_a_limit",
    "ISSUERS_TRIED": "unit/certificates/test_paths.py::test_many_issuers_of_one_name_are_not_all_tried",
    "COMPARISONS_OF_A_PATH": "unit/certificates/test_work.py::test_comparisons_of_a_path_have_one_budget",
    "COMPARISONS_OF_A_CHAIN": "unit/certificates/test_work.py::test_what_is_just_not_too_many",
    "NAME_BYTES": "unit/certificates/test_work.py::test_a_name_has_a_longest_length",
    "RSA_BITS_MOST": "unit/certificates/test_work.py::test_keys_that_take_long_are_refused_unused",
    "RSA_EXPONENT_BITS_MOST": "unit/certificates/test_work.py::test_keys_that_take_long_are_refused_unused",
    "QUICK_CERTIFICATES": "unit/certificates/test_work.py::test_an_event_loop_waits_for_so_much_and_no_more",
    "QUICK_BYTES": "unit/certificates/test_work.py::test_an_event_loop_waits_for_so_much_and_no_more",
    "QUICK_CERTIFICATE_BYTES": "unit/certificates/test_work.py::test_an_event_loop_waits_for_so_much_and_no_more",
    "QUICK_EXTENSION_BYTES": "unit/certificates/test_work.py::test_an_event_loop_waits_for_so_much_and_no_more",
    "QUICK_RSA_BITS": "unit/certificates/test_work.py::test_an_event_loop_waits_for_so_much_and_no_more",
    "QUICK_COMPARISONS": "unit/certificates/test_work.py::test_an_event_loop_waits_for_so_much_and_no_more",
    "QUICK_STEPS": "unit/certificates/test_work.py::test_the_estimate_is_bounded_itself",
    "ISSUER_ADDRESSES": "aia/test_decisions.py::test_of_many_addresses_only_the_first_are_tried",
    "ISSUERS_OF_AN_ANSWER": "aia/test_decisions.py::test_of_a_crowd_only_the_first_are_looked_at",
    "CONCURRENT_COMPLETIONS": "aia/test_connections.py::test_a_fetcher_has_places_and_who_finds_none_is_told",
    "FETCH_URL": "aia/test_faults.py::test_an_address_has_a_longest_length",
    "FETCH_HEADERS": "aia/test_faults.py::test_headers_are_counted",
    "FETCH_ADDRESSES": "aia/test_faults.py::test_of_many_addresses_of_a_host_only_the_first_are_tried",
    "SIGNING_REQUEST": "authority/test_requests.py::test_what_is_too_much",
    "NAMES_OF_A_SIGNING_REQUEST": "authority/test_requests.py::test_what_is_too_much",
    "EMPTY_RECORDS_IN_A_ROW": "unit/record/test_layer.py::test_too_many_empty_records_in_a_row_are_refused",
    "CHANGE_CIPHER_SPECS": "unit/record/test_layer.py::test_a_few_change_cipher_specs_are_allowed_and_no_more",
    "WARNING_ALERTS": "unit/test_limits.py::test_warnings",
    "POST_HANDSHAKE_MESSAGES_WITHOUT_DATA": "unit/test_limits.py::test_messages_after_the_handshake",
    "INPUT_HELD": "unit/connection/test_questions.py::test_what_is_held_has_a_cap",
    "PASSWORD_ROUNDS": "unit/certificates/test_rounds.py::test_the_most_is_the_limit_and_no_more",
    "RECORD_SIZE_LIMIT": "unit/wire/test_extensions.py::test_a_record_size_limit_has_a_least_value",
    "EARLY_DATA_SKIPPED": "playbook/test_early_data.py::test_too_much_is_refused",
    "RECORDS_OF_A_KEY": "unit/crypto/test_suites.py::test_aes_gcm_has_a_limit_and_chacha20_none_that_can_be_reached",
    "HANDSHAKE_SECONDS": "unit/test_limits.py::test_the_time_of_a_handshake",
    "CLOSE_SECONDS": "unit/test_limits.py::test_the_time_to_part",
    "CONCURRENT_HANDSHAKES": "unit/test_limits.py::test_handshakes_at_once",
    "CONCURRENT_CONNECTIONS": "unit/test_limits.py::test_connections_at_once",
}

CONSTANTS = {name for name in vars(limits) if name.isupper()}


def test_every_limit_is_held_by_a_test() -> None:
    assert set(HELD_BY) == CONSTANTS


@pytest.mark.parametrize("name", HELD_BY)
def test_the_test_of_a_limit_is_there_and_names_it(name: str) -> None:
    path, function = HELD_BY[name].split("::")
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    assert len(found) == 1
    if name != "PATH_DEPTH":  # there the number stands in a sentence for people
        names = {node.id for node in ast.walk(found[0]) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(found[0]) if isinstance(node, ast.Attribute)}
        assert name in names


@pytest.mark.parametrize("name", sorted(CONSTANTS))
def test_a_limit_is_a_positive_number(name: str) -> None:
    assert getattr(limits, name) > 0


def test_what_peers_send_in_earnest_fits() -> None:
    # A ClientHello with its extensions, each as long as its length can say (RFC 9846 section 4.2.2).
    assert limits.CLIENT_HELLO >= 4 + 2 + 32 + 33 + 65_536 + 256
    assert limits.ENCRYPTED_EXTENSIONS >= 4 + 2 + 65_534
    assert limits.CERTIFICATE_VERIFY >= 4 + 2 + 2 + 4_627  # ML-DSA-87
    assert limits.CERTIFICATE >= limits.CERTIFICATES_OF_A_CHAIN * 7_600  # with a key and a signature of ML-DSA-87


# --- those that wire, connection and transport hold


def test_a_server_name() -> None:
    def hello(length: int) -> bytes:
        name = b"\0" + build.vector16(b"a" * length)
        return build.client_hello((0, build.vector16(name)))

    assert len(ClientHello.parse(hello(limits.SERVER_NAME)).server_name or "") == limits.SERVER_NAME
    with pytest.raises(DecodeError):
        ClientHello.parse(hello(limits.SERVER_NAME + 1))


@cache
def server_config() -> ServerConfig:
    return ServerConfig(identities=[Authority.create().issue("localhost")])


CLIENT = ClientConfig(verifier=NoVerification())


def shaken() -> tuple[ClientConnection, ServerConnection]:
    return pair(CLIENT, server_config())


def test_warnings() -> None:
    client, server = shaken()
    user_canceled = b"\x01\x5a"
    for _ in range(2):  # data between them starts the count anew
        server.send(b"data")
        for _ in range(limits.WARNING_ALERTS):
            server._layer.write(21, user_canceled)
        assert pump(client, server) == ([ApplicationData(b"data")], [])
    server._layer.write(21, user_canceled)
    with pytest.raises(PeerMisbehaved) as caught:
        pump(client, server)
    assert caught.value.reason is TOO_MANY_WARNINGS
    assert client.failed


def test_messages_after_the_handshake() -> None:
    client, server = shaken()
    ticket = build.new_session_ticket()
    for _ in range(2):  # data between them starts the count anew
        for _ in range(limits.POST_HANDSHAKE_MESSAGES_WITHOUT_DATA):
            server._layer.write(22, ticket)
        server.send(b"data")
        events, _ = pump(client, server)
        assert [type(event) for event in events].count(ApplicationData) == 1
    for _ in range(limits.POST_HANDSHAKE_MESSAGES_WITHOUT_DATA + 1):
        server._layer.write(22, ticket)
    with pytest.raises(PeerMisbehaved) as caught:
        pump(client, server)
    assert caught.value.reason is TOO_MANY_MESSAGES


def test_the_time_of_a_handshake() -> None:
    now = [1000.0]
    clock = Clock(wall=lambda: datetime.now(UTC), monotonic=lambda: now[0])
    client = ClientConnection(ClientConfig(verifier=NoVerification(), clock=clock), server_name="localhost")
    client.start()
    assert client.deadline == 1000.0 + limits.HANDSHAKE_SECONDS
    now[0] += limits.HANDSHAKE_SECONDS - 0.001
    client.handle_timeout()
    assert not client.failed
    now[0] += 0.001
    client.handle_timeout()
    with pytest.raises(HandshakeTimeout):
        client.next_event()


def test_the_time_to_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that never closes does not keep us, and still gets the alert."""
    assert limits.CLOSE_SECONDS <= 5
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.1)
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(TLSError):
            wrap(ours, server_config())
        assert ours.fileno() == -1
        assert theirs.recv(100) == b"\x15\x03\x03\x00\x02\x02\x0a"


@contextmanager
def serving(**settings: int) -> Iterator[tuple[Server, threading.Event]]:
    """A server whose connections stay until they are released."""
    release = threading.Event()

    def handler(tls: TLSSocket) -> None:
        tls.sendall(b"hello")
        release.wait(60)

    with Server(handler, config=server_config(), **settings) as server:
        try:
            yield server, release
        finally:
            release.set()


IMPATIENT = ClientConfig(verifier=NoVerification(), handshake_timeout=0.5)


def test_connections_at_once() -> None:
    parameters = inspect.signature(Server.__init__).parameters
    assert parameters["max_connections"].default == limits.CONCURRENT_CONNECTIONS
    with serving(max_connections=1) as (server, release):
        with connect(*server.address, config=CLIENT) as first:
            assert first.recv(5) == b"hello"
            with pytest.raises(HandshakeTimeout):
                connect(*server.address, config=IMPATIENT)
            release.set()
        with connect(*server.address, config=CLIENT) as third:
            assert third.recv(5) == b"hello"


def test_handshakes_at_once() -> None:
    parameters = inspect.signature(Server.__init__).parameters
    assert parameters["max_handshakes"].default == limits.CONCURRENT_HANDSHAKES
    with serving(max_handshakes=1) as (server, _):
        with socket.create_connection(server.address) as silent:
            with pytest.raises(HandshakeTimeout):
                connect(*server.address, config=IMPATIENT)
            silent.sendall(b"no TLS at all")
        with (
            connect(*server.address, config=CLIENT) as first,
            connect(*server.address, config=CLIENT) as second,  # those that are done do not count
        ):
            assert first.recv(5) == second.recv(5) == b"hello"
