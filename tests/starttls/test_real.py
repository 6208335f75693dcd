"""Real servers: the talk before TLS, the handshake, and then something that only works if both sides are where they should be.

Each server is started once, by tests/starttls/servers.py.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

import handfast
from handfast import ClientConfig, Server, ServerConfig, TLSError, TLSSocket
from handfast.errors import PeerIncompatible, PeerMisbehaved
from handfast.reasons import STARTTLS_GARBLED, STARTTLS_NOT_OFFERED, STARTTLS_REFUSED
from handfast.testing import Authority
from handfast.transport.starttls import PROTOCOLS, Dialogue, MySQL
from tests.cli.running import document
from tests.cli.running import handfast as command
from tests.starttls.servers import NAME, SERVERS

SERVER_OF = {name: server for server, (_, names) in SERVERS.items() for name in names}
EACH = pytest.mark.parametrize("name", SERVER_OF)


class Running:
    """The servers that run, with TLS and without: each is started when it is first asked for."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.stack = ExitStack()
        self._ports: dict[tuple[str, bool], Any] = {}

    def port(self, name: str, *, tls: bool = True) -> int:
        key = (SERVER_OF[name], tls)
        if key not in self._ports:
            try:
                start, _ = SERVERS[key[0]]
                self._ports[key] = self.stack.enter_context(start(self.authority, tls))
            except BaseException as error:  # once is enough, with what it said
                self._ports[key] = error
        if isinstance(self._ports[key], BaseException):
            raise self._ports[key]
        port: int = self._ports[key][name]
        return port


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    running = Running(Authority.create())
    with running.stack:
        yield running


@pytest.fixture
def config(running: Running) -> ClientConfig:
    return ClientConfig(trust=running.authority.trust, handshake_timeout=20.0)


# --- both transports, as one ------------------------------------------------------------------------------------------


class Stream(Protocol):
    """A connection under TLS."""

    def send(self, data: bytes) -> None: ...
    def recv(self) -> bytes: ...


class Blocking:
    def __init__(self, port: int, config: ClientConfig, dialogue: Dialogue) -> None:
        self._tls = handfast.connect("127.0.0.1", port, config=config, server_name=NAME, starttls=dialogue)
        self._tls.settimeout(20.0)
        self.handshake = self._tls.handshake

    def send(self, data: bytes) -> None:
        self._tls.sendall(data)

    def recv(self) -> bytes:
        return self._tls.recv()

    def close(self) -> None:
        self._tls.close()


class Asyncio:
    def __init__(self, port: int, config: ClientConfig, dialogue: Dialogue) -> None:
        self._runner = asyncio.Runner()
        try:
            self._reader, self._writer = self._runner.run(
                handfast.aio.open_connection("127.0.0.1", port, config=config, server_name=NAME, starttls=dialogue)
            )
        except BaseException:
            self._runner.close()
            raise
        self.handshake = self._writer.get_extra_info("handshake")

    def send(self, data: bytes) -> None:
        self._writer.write(data)
        self._runner.run(self._writer.drain())

    def recv(self) -> bytes:
        return self._runner.run(asyncio.wait_for(self._reader.read(65_536), 20.0))

    def close(self) -> None:
        self._writer.transport.abort()
        self._runner.run(asyncio.sleep(0))
        self._runner.close()


class Talk:
    """Questions and answers over a stream."""

    def __init__(self, stream: Stream, dialogue: Dialogue) -> None:
        self.stream = stream
        self.dialogue = dialogue
        self._held = b""

    def until(self, pattern: bytes) -> bytes:
        """Everything up to where this matches."""
        while (found := re.search(pattern, self._held, re.MULTILINE | re.DOTALL)) is None:
            data = self.stream.recv()
            assert data, f"closed after {self._held!r}"
            self._held += data
        answer, self._held = self._held[: found.end()], self._held[found.end() :]
        return answer

    def exactly(self, length: int) -> bytes:
        return self.until(rb"\A.{%d}" % length)

    def ask(self, question: bytes, pattern: bytes) -> bytes:
        self.stream.send(question)
        return self.until(pattern)


# --- something real, in each protocol ---------------------------------------------------------------------------------


def smtp(talk: Talk, hello: bytes = b"EHLO") -> None:
    offered = talk.ask(hello + b" client.example\r\n", rb"^250 .*\r\n")
    assert b"STARTTLS" not in offered
    assert talk.ask(b"MAIL FROM:<a@example.com>\r\n", rb"\r\n").startswith(b"250 ")
    assert talk.ask(b"QUIT\r\n", rb"\r\n").startswith(b"221 ")


def lmtp(talk: Talk) -> None:
    smtp(talk, b"LHLO")


def imap(talk: Talk) -> None:
    offered = talk.ask(b"x CAPABILITY\r\n", rb"^x OK.*\r\n")
    assert b"STARTTLS" not in offered
    assert b"LOGINDISABLED" not in offered
    assert b"AUTH=PLAIN" in offered
    talk.ask(b"y LOGOUT\r\n", rb"^y OK")


def pop3(talk: Talk) -> None:
    offered = talk.ask(b"CAPA\r\n", rb"^\.\r\n")
    assert b"STLS" not in offered
    assert b"USER\r\n" in offered
    assert talk.ask(b"QUIT\r\n", rb"\r\n").startswith(b"+OK")


def sieve(talk: Talk) -> None:
    offered = talk.until(rb"^OK.*\r\n")  # unasked
    assert b"STARTTLS" not in offered
    assert b'"SASL" "PLAIN' in offered
    talk.ask(b"LOGOUT\r\n", rb"^OK")


def ftp(talk: Talk) -> None:
    assert talk.ask(b"PBSZ 0\r\n", rb"\r\n").startswith(b"200 ")
    assert talk.ask(b"PROT P\r\n", rb"\r\n").startswith(b"200 ")
    assert talk.ask(b"USER anonymous\r\n", rb"\r\n").startswith(b"331 ")
    assert talk.ask(b"PASS me@\r\n", rb"\r\n").startswith(b"230 ")
    assert talk.ask(b"SIZE hello.txt\r\n", rb"\r\n") == b"213 6\r\n"


def nntp(talk: Talk) -> None:
    offered = talk.ask(b"CAPABILITIES\r\n", rb"^\.\r\n")
    assert b"STARTTLS" not in offered
    assert talk.ask(b"GROUP junk\r\n", rb"\r\n").startswith(b"211 0 ")
    assert talk.ask(b"QUIT\r\n", rb"\r\n").startswith(b"205 ")


def xmpp(talk: Talk, namespace: bytes = b"jabber:client") -> None:
    stream = (
        b"<stream:stream to='example.com' version='1.0' xmlns='%s' xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    features = talk.ask(stream % namespace, rb"</stream:features>|<stream:features/>")
    assert b"urn:ietf:params:xml:ns:xmpp-tls" not in features
    assert namespace != b"jabber:client" or b"urn:ietf:params:xml:ns:xmpp-sasl" in features
    talk.ask(b"</stream:stream>", rb"</stream:stream>")


def xmpp_server(talk: Talk) -> None:
    xmpp(talk, b"jabber:server")


def ldap(talk: Talk) -> None:
    bind = talk.ask(bytes.fromhex("300c 020102 6007 020103 0400 8000"), rb"\A\x30.{13}")  # a simple bind, as nobody
    assert bind == bytes.fromhex("300c 020102 6107 0a0100 0400 0400")
    who = b"1.3.6.1.4.1.4203.1.11.3"
    request = b"\x77" + bytes([len(who) + 2]) + b"\x80" + bytes([len(who)]) + who
    answer = talk.ask(b"\x30" + bytes([len(request) + 3]) + b"\2\1\3" + request, rb"\A\x30.{13}")
    assert answer[2:5] == b"\2\1\3"
    assert answer[7:10] == b"\x0a\1\0"  # success


def postgres(talk: Talk) -> None:
    body = struct.pack(">I", 196_608) + b"user\0me\0database\0postgres\0\0"
    talk.stream.send(struct.pack(">I", len(body) + 4) + body)
    assert talk.exactly(9) == b"R\0\0\0\x08\0\0\0\0"  # AuthenticationOk
    talk.until(rb"Z\0\0\0\x05I")
    query = b"select 'tls ' || version from pg_stat_ssl where pid = pg_backend_pid()\0"
    answer = talk.ask(b"Q" + struct.pack(">I", len(query) + 4) + query, rb"Z\0\0\0\x05I")
    assert b"tls TLSv1.3" in answer


def mysql(talk: Talk) -> None:
    greeting = talk.dialogue.said[0].data
    assert b"MariaDB" in greeting
    login = struct.pack("<IIB23x", MySQL.CAPABILITIES, MySQL.LARGEST_PACKET, MySQL.UTF8MB4)
    login += b"root\0" + b"\0" + b"mysql_native_password\0"
    talk.stream.send(len(login).to_bytes(3, "little") + b"\2" + login)
    header = talk.exactly(4)
    assert header[3] == 3
    assert talk.exactly(int.from_bytes(header[:3], "little"))[:1] == b"\0"  # OK
    query = b"\3show status like 'Ssl_version'"
    answer = talk.ask(len(query).to_bytes(3, "little") + b"\0" + query, rb"Ssl_version.{1,2}TLSv1\.\d")
    assert answer.endswith(b"TLSv1.3")


EXCHANGES: dict[str, Callable[[Talk], None]] = {
    "smtp": smtp,
    "lmtp": lmtp,
    "imap": imap,
    "pop3": pop3,
    "sieve": sieve,
    "ftp": ftp,
    "nntp": nntp,
    "xmpp": xmpp,
    "xmpp-server": xmpp_server,
    "ldap": ldap,
    "postgres": postgres,
    "mysql": mysql,
}


@EACH
@pytest.mark.parametrize("transport", [Blocking, Asyncio])
def test_a_real_server(name: str, transport: Any, running: Running, config: ClientConfig) -> None:
    dialogue = Dialogue(name)
    stream = transport(running.port(name), config, dialogue)
    try:
        assert stream.handshake.peer.verified_by == "chain"
        assert stream.handshake.server_name == NAME
        EXCHANGES[name](Talk(stream, dialogue))
    finally:
        stream.close()


def test_every_protocol_has_a_real_server() -> None:
    assert set(SERVER_OF) == set(EXCHANGES) == set(PROTOCOLS) - {"postgres-direct"}


# --- a server without TLS ---------------------------------------------------------------------------------------------

# Servers that say in another way than most that they have no TLS.
REFUSE = {"ftp"}  # "530 Please login", to whatever comes before that
UNTRIED = {"nntp"}  # nnrpd has TLS built in, and offers it whether or not it has a certificate


@pytest.mark.parametrize("name", sorted(set(SERVER_OF) - UNTRIED))
@pytest.mark.parametrize("transport", [Blocking, Asyncio])
def test_a_real_server_with_tls_turned_off(name: str, transport: Any, running: Running, config: ClientConfig) -> None:
    with pytest.raises(PeerIncompatible) as caught:
        transport(running.port(name, tls=False), config, Dialogue(name))
    assert caught.value.reason is (STARTTLS_REFUSED if name in REFUSE else STARTTLS_NOT_OFFERED)


@pytest.mark.parametrize(
    ("asked", "there"), [("smtp", "imap"), ("imap", "smtp"), ("pop3", "ftp"), ("nntp", "mysql"), ("mysql", "smtp")]
)
def test_a_real_server_of_another_protocol(asked: str, there: str, running: Running, config: ClientConfig) -> None:
    with pytest.raises(PeerMisbehaved) as caught:
        Blocking(running.port(there), config, Dialogue(asked))
    assert caught.value.reason is STARTTLS_GARBLED


# --- direct TLS -------------------------------------------------------------------------------------------------------


def test_direct_tls_offers_what_postgresql_wants(running: Running, config: ClientConfig) -> None:
    def answer(tls: TLSSocket) -> None:
        tls.sendall((tls.handshake.alpn or "nothing").encode())

    serving = ServerConfig(identities=[running.authority.issue(NAME)], alpn=["postgresql"])
    with Server(answer, config=serving) as server:
        dialogue = Dialogue("postgres-direct")
        stream = Blocking(server.address[1], config, dialogue)
        assert stream.recv() == b"postgresql"
        stream.close()


def test_a_postgresql_without_direct_tls_is_an_error(running: Running, config: ClientConfig) -> None:
    """What version 15 says to a ClientHello: it closes, or answers in its own protocol."""
    port = running.port("postgres")
    try:
        stream = Blocking(port, config, Dialogue("postgres-direct"))
    except TLSError:
        return
    assert stream.handshake.alpn == "postgresql"  # one that is new enough
    stream.close()


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["smtp", "ldap", "xmpp"])
def test_the_command_line_tells_what_was_said_before(name: str, running: Running, tmp_path: Any) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(running.authority.pem)
    options = ("connect", f"127.0.0.1:{running.port(name)}", "--servername", NAME, "--ca", ca, "--starttls", name)
    run = command(*options)
    assert run.returncode == 0, run.stderr
    text = run.stdout.decode()
    before, _, after = text.partition("here TLS begins")
    assert "\n<-- " in before
    assert "\n--> " in before
    assert "ClientHello" not in before
    assert "ClientHello" in after

    found = document(command(*options, "--json"))
    assert found["starttls"]["protocol"] == name
    assert found["starttls"]["agreed"] is True
    assert {item["direction"] for item in found["starttls"]["said"]} == {"sent", "received"}


def test_the_command_line_without_a_server_that_agrees(running: Running) -> None:
    run = command("connect", f"127.0.0.1:{running.port('smtp', tls=False)}", "--starttls", "smtp")
    assert run.returncode == 1
    assert b"does not offer TLS" in run.stderr
    found = document(command("connect", f"127.0.0.1:{running.port('smtp')}", "--starttls", "imap", "--json"))
    assert found["error"]["reason"] == "starttls_garbled"
    assert found["starttls"]["agreed"] is False


def test_the_command_line_with_what_makes_no_sense() -> None:
    assert command("connect", "127.0.0.1", "--starttls", "gopher").returncode == 2
    assert command("connect", "127.0.0.1", "--starttls", "smtp", "--get", "/").returncode == 2
