"""Sessions of the drop-in: ssl's own ``session``, and those of context.handfast, with OpenSSL on the other side and with us."""

from __future__ import annotations

import asyncio
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import urllib3

import handfast
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemorySessions
from handfast.transport import ssl_module
from tests.ssl_module.conftest import MODULES, Make
from tests.ssl_module.memory import Pair, failure, shaken
from tests.unit.transport.test_early_data import Guard

VERSIONS = ("TLSv1_2", "TLSv1_3")
BOTH = [("handfast", "ssl"), ("ssl", "handfast"), ("handfast", "handfast")]


def visit(client: Any, server: Any, session: Any = None) -> Any:
    """A connection with data both ways, so that the client has seen all tickets; its end of it."""
    pair = Pair(client, server)
    if session is not None:
        pair.client.session = session
    pair.shake()
    pair.server.write(b"hello")
    assert pair.client.read(5) == b"hello"
    assert pair.client.session_reused == pair.server.session_reused
    return pair.client


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("client_is", "server_is"), BOTH)
def test_a_session_is_resumed(client_is: str, server_is: str, version: str, client_of: Make, server_of: Make) -> None:
    client = client_of(MODULES[client_is], version=version)
    server = server_of(MODULES[server_is], version=version)
    first = visit(client, server)
    assert not first.session_reused
    session = first.session
    assert session.has_ticket
    assert session.ticket_lifetime_hint > 0
    assert session.timeout > 0
    assert session.time > 1_500_000_000
    assert len(session.id) == 32
    again = visit(client, server, session)
    assert again.session_reused
    assert again.version() == first.version()
    assert again.getpeercert() == first.getpeercert()
    assert not visit(client, server).session_reused
    assert server.session_stats()["hits"] >= 1


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_session_says(version: str, client_of: Make, server_of: Make) -> None:
    client, server = client_of(version=version), server_of(version=version)
    fresh = Pair(client, server)
    assert fresh.client.session is None
    session = visit(client, server).session
    again = visit(client, server, session).session
    assert isinstance(session, ssl_module.SSLSession)
    assert (again == session) is (version == "TLSv1_2"), "in TLS 1.3 each ticket is a session"
    assert again is not session
    assert (hash(again) == hash(session)) is (version == "TLSv1_2")
    assert session != "something else"
    assert session.id.hex()[:16] in repr(session)
    assert session.resumable.secret.hex() not in repr(session)
    assert session.timeout == session.ticket_lifetime_hint == 7_200
    assert shaken(client, server).server.session is None


def test_before_a_ticket_of_tls_13_was_read_there_is_nothing_to_resume(client_of: Make, server_of: Make) -> None:
    client, server = client_of(version="TLSv1_3"), server_of(version="TLSv1_3")
    session = shaken(client, server).client.session
    assert session is not None
    assert not session.has_ticket
    assert (session.id, session.timeout, session.ticket_lifetime_hint) == (b"", 0, 0)
    assert "cannot" in repr(session)
    assert not visit(client, server, session).session_reused


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS:DeprecationWarning")
def test_what_ssl_refuses_of_sessions(client_of: Make, server_of: Make) -> None:
    client, other, server = client_of(), client_of(), server_of()
    session = visit(client, server).session

    def put(side: Any, value: Any) -> Exception:
        return failure(lambda: setattr(side, "session", value))

    assert repr(put(Pair(client, server).client, object)) == "TypeError('Value is not a SSLSession.')"
    refused = "ValueError('Session refers to a different SSLContext.')"
    assert repr(put(Pair(other, server).client, session)) == refused
    assert repr(put(Pair(client, server).server, session)) == refused
    both = ssl_module.SSLContext(ssl.PROTOCOL_TLS)
    both.handfast = None
    of_both = ssl_module.SSLSession(both, None, 0.0, None)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    served = both.wrap_bio(incoming, outgoing, server_side=True)
    assert "server-side" in str(put(served, of_both))
    assert "after handshake" in str(put(shaken(client, server).client, session))
    with pytest.raises(ValueError, match="different SSLContext"):
        other.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_counts_only_for_what_was_verified(
    version: str, client_of: Make, server_of: Make, files: dict[str, Path]
) -> None:
    """What the context demands later, the session cannot stand in for."""
    client, server = client_of(version=version), server_of(version=version)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    unverified = visit(client, server).session
    assert visit(client, server, unverified).session_reused
    client.verify_mode = ssl.CERT_REQUIRED
    unnamed = visit(client, server, unverified)
    assert not unnamed.session_reused
    assert unnamed.getpeercert()
    client.check_hostname = True
    named = visit(client, server, unnamed.session)
    assert not named.session_reused
    client.load_verify_locations(files["server"])  # other roots
    assert not visit(client, server, named.session).session_reused


@pytest.mark.parametrize("version", VERSIONS)
def test_a_servers_demands_hold_for_sessions(
    version: str, client_of: Make, server_of: Make, files: dict[str, Path]
) -> None:
    client, server = client_of(version=version), server_of(version=version)
    anonymous = visit(client, server).session
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(files["ca"])
    with pytest.raises(ssl.SSLError):
        visit(client, server, anonymous)
    client.load_cert_chain(files["client"], files["client_key"])
    known = visit(client, server, anonymous)
    assert not known.session_reused
    pair = Pair(client, server)
    pair.client.session = known.session
    pair.shake()
    assert pair.server.session_reused
    assert ("DNS", "me.test") in pair.server.getpeercert()["subjectAltName"]


@pytest.mark.parametrize("version", VERSIONS)
def test_tickets_are_the_servers_choice(version: str, client_of: Make, server_of: Make) -> None:
    client, server = client_of(version=version), server_of(version=version)
    server.num_tickets = 0
    assert visit(client, server).session.has_ticket is (version == "TLSv1_2")  # as with ssl
    server.options |= ssl.OP_NO_TICKET
    session = visit(client, server).session
    assert not session.has_ticket
    assert visit(client, server, session).session_reused is (version == "TLSv1_2")  # by its ID
    other = server_of(version=version)
    assert not visit(client, other, session).session_reused


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_can_do_without_tickets(version: str, client_of: Make, server_of: Make) -> None:
    client = client_of(version=version)
    client.options |= ssl.OP_NO_TICKET
    assert not visit(client, server_of(version=version)).session.has_ticket


def test_contexts_have_keys_of_their_own(client_of: Make, server_of: Make) -> None:
    client, one, other = client_of(), server_of(), server_of()
    session = visit(client, one).session
    assert not visit(client, other, session).session_reused
    ring = TicketKeyRing()
    for server in (one, other):
        server.handfast = handfast.ServerConfig(choose_identity=lambda _: None, tickets=ring)
    session = visit(client, one).session
    assert visit(client, other, session).session_reused


def test_early_data_is_not_for_a_server_of_ssls_shape(client_of: Make, server_of: Make) -> None:
    server = server_of()
    server.handfast = handfast.ServerConfig(choose_identity=lambda _: None, early_data=Guard())
    error = failure(shaken, client_of(), server)
    assert isinstance(error, ssl.SSLError)
    assert "early data" in str(error)
    server = server_of()
    server.handfast = handfast.ServerConfig(
        choose_identity=lambda _: None,
        on_client_hello=lambda _: handfast.ServerConfig(choose_identity=lambda _: None, early_data=Guard()),
    )
    assert isinstance(failure(shaken, client_of(), server), ssl.SSLError)


# --- over sockets


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.reused.append(self.connection.session_reused)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def web(context: Any) -> Iterator[tuple[str, list[bool]]]:
    """A web server; for each request, whether its connection was resumed."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.reused = reused = []  # type: ignore[attr-defined]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_address[1]}/", reused
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)


def by_urllib3(context: Any, url: str, times: int) -> None:
    with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
        for _ in range(times):
            assert pool.request("GET", url).data == b"hello"


def by_httpx(context: Any, url: str, times: int) -> None:
    for _ in range(times):
        with httpx.Client(verify=context, trust_env=False) as client:
            assert client.get(url).content == b"hello"


def by_httpx_asynchronously(context: Any, url: str, times: int) -> None:
    async def main() -> None:
        for _ in range(times):
            async with httpx.AsyncClient(verify=context, trust_env=False) as client:
                assert (await client.get(url)).content == b"hello"

    asyncio.run(main())


def by_aiohttp(context: Any, url: str, times: int) -> None:
    async def main() -> None:
        for _ in range(times):
            connector = aiohttp.TCPConnector(ssl=context)
            async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
                assert await answer.read() == b"hello"

    asyncio.run(main())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("server_is", MODULES)
@pytest.mark.parametrize("visits", [by_urllib3, by_httpx, by_httpx_asynchronously, by_aiohttp])
def test_programs_resume(visits: Any, server_is: str, version: str, client_of: Make, server_of: Make) -> None:
    store = MemorySessions()
    context = client_of(version=version)
    context.handfast = handfast.ClientConfig(sessions=store)
    with web(server_of(MODULES[server_is], version=version)) as (url, reused):
        visits(context, url, 3)
    assert reused == [False, True, True]
    assert context.session_stats()["hits"] == store.counts["hit"] == 2


def test_early_data_goes_out_where_it_was_asked_for(client_of: Make, authority: Any) -> None:
    """To a server of handfast.Server, which can take it."""
    context = client_of()
    context.handfast = handfast.ClientConfig(sessions=MemorySessions())
    identity = authority.issue("localhost")

    def answer(tls: handfast.TLSSocket) -> None:
        tls.sendall(b"early:" + tls.early_data() + b";")
        tls.sendall(tls.recv(10))

    def visit(address: tuple[str, int], early: bytes) -> tuple[bytes, str | None, bytes]:
        sock = context.wrap_socket(
            socket.create_connection(address, 30), server_hostname="localhost", do_handshake_on_connect=False
        )
        sock.handfast_early_data = early
        with sock:
            assert sock.handfast_early_data_rejected == b""
            sock.do_handshake()
            sock.sendall(b"x")
            said = b""
            while not said.endswith(b"x"):
                said += sock.recv(100)
            taken = sock.handfast.handshake.early_data
            return said, taken, sock.handfast_early_data_rejected

    config = handfast.ServerConfig(identities=[identity], tickets=TicketKeyRing(), early_data=Guard())
    with handfast.Server(answer, config=config) as server:
        assert visit(server.address, b"GET /") == (b"early:;x", None, b"GET /")
        assert visit(server.address, b"GET /") == (b"early:GET /;x", "accepted", b"")
