"""Where the documents' programs connect to: servers and proxies on loopback, behind the names and ports that they write.

The servers and clients of TLS are ours. What is before TLS (SMTP, MySQL, HTTP's CONNECT, SOCKS) is as little as is needed;
tests/starttls and tests/proxy have the real ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from handfast import ClientConfig, MemoryReplayGuard, Server, ServerConfig, TicketKeyRing, TrustStore, connect, wrap
from handfast.testing import Authority
from tests.starttls.conversations import greeting_of_mysql

SECONDS = 20
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"
HOSTS = ("example.com", "mail.example.com", "db.example.com", "proxy.example", "localhost")

Talk = Callable[[socket.socket], None]


class World:
    """The net of a document.

    ``authority``  that everybody in it trusts; its files are in the working directory: fullchain.pem, key.pem, clients.pem
    ``visits``     what clients of ours heard from the servers that a document started
    """

    def __init__(self, folder: Path) -> None:
        self.authority = Authority.create("of the documents")
        self.identity = self.authority.issue(*HOSTS, "127.0.0.1")
        self.client = self.authority.issue("client", usage=["client"])
        self.visits: list[bytes] = []
        chain, key = self.identity.write(folder)
        for name in ("key.pem", "privkey.pem"):
            (folder / name).write_bytes(key.read_bytes())
            (folder / name).chmod(0o600)
        (folder / "fullchain.pem").write_bytes(chain.read_bytes())
        self.authority.write(folder, "clients")
        self.tls = ServerConfig(identities=[self.identity], tickets=TicketKeyRing(), early_data=MemoryReplayGuard())

    def visit(self, port: int) -> None:
        """Be a client of a server that a document has started."""
        config = ClientConfig(trust=self.authority.trust, identities=[self.client])
        with connect("127.0.0.1", port, config=config, server_name="localhost") as tls:
            tls.settimeout(SECONDS)
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.visits.append(tls.recv())

    # --- who is there

    def web(self, tls: Any) -> None:
        """HTTP, as far as a line."""
        tls.settimeout(SECONDS)
        asked = tls.early_data()
        while b"\r\n\r\n" not in asked and (data := tls.recv()):
            asked += data
        tls.sendall(PAGE)

    def mail(self, peer: socket.socket) -> None:
        """SMTP up to STARTTLS."""
        peer.sendall(b"220 mail.example.com ESMTP\r\n")
        peer.recv(1000)
        peer.sendall(b"250-mail.example.com\r\n250 STARTTLS\r\n")
        peer.recv(1000)
        peer.sendall(b"220 go ahead\r\n")
        with wrap(peer, self.tls) as tls:
            tls.recv()

    def database(self, peer: socket.socket) -> None:
        """MySQL up to where its client asks for TLS."""
        peer.sendall(greeting_of_mysql())
        _exactly(peer, 36)
        with wrap(peer, self.tls) as tls:
            tls.recv()


def http_proxy(peer: socket.socket) -> None:
    """CONNECT, and then whatever comes."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += peer.recv(1)
    host, _, port = head.split()[1].decode().rpartition(":")
    with socket.create_connection((host, int(port))) as there:
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        _both_ways(peer, there)


def socks_proxy(peer: socket.socket) -> None:
    """SOCKS5 with names (RFC 1928), without a password."""
    _exactly(peer, _exactly(peer, 2)[1])
    peer.sendall(b"\5\0")
    *_, kind, length = _exactly(peer, 5)
    assert kind == 3, "socks5h sends the name"
    host = _exactly(peer, length).decode()
    with socket.create_connection((host, struct.unpack("!H", _exactly(peer, 2))[0])) as there:
        peer.sendall(b"\5\0\0\1" + bytes(6))
        _both_ways(peer, there)


def _exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = peer.recv(count - len(data))
        assert piece, "it has gone"
        data += piece
    return data


def _both_ways(one: socket.socket, other: socket.socket) -> None:
    back = threading.Thread(target=_pour, args=(other, one))
    back.start()
    _pour(one, other)
    back.join(SECONDS)


def _pour(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def listening(talk: Talk) -> Iterator[int]:
    """A server with a thread for each connection; its port."""
    threads: list[threading.Thread] = []

    def serve(peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            peer.settimeout(SECONDS)
            talk(peer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(peer,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(SECONDS)
            for thread in threads:
                thread.join(SECONDS)


@contextmanager
def world(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[World]:
    """The names of the documents lead to loopback, their trusted roots to our authority, and no server stays for ever."""
    here = World(folder)
    patch.chdir(folder)
    patch.setenv("SSL_CERT_FILE", str(folder / "clients.pem"))
    patch.delenv("SSL_CERT_DIR", raising=False)
    patch.setattr(TrustStore, "system", classmethod(lambda _: here.authority.trust))
    with ExitStack() as stack:
        ports = {("example.com", 443): stack.enter_context(Server(here.web, config=here.tls)).address[1]}
        for name, port, talk in (
            ("mail.example.com", 587, here.mail),
            ("db.example.com", 3306, here.database),
            ("proxy.example", 3128, http_proxy),
            ("127.0.0.1", 1080, socks_proxy),
        ):
            ports[name, port] = stack.enter_context(listening(talk))
        _lead(patch, ports)
        _serve_for_a_moment(patch, here)
        yield here


def _lead(patch: pytest.MonkeyPatch, ports: dict[tuple[str, int], int]) -> None:
    ask = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        known = ports.get((name, int(port or 0)))
        if known is None:
            assert name in ("localhost", "127.0.0.1", None), f"{name} port {port} is not of this world"
            return ask(host, port, *arguments, **options)
        return ask("127.0.0.1", known, *arguments, **options)

    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    patch.setattr(asyncio.base_events, "_ipaddr_info", lambda *_, **__: None)  # which asks nobody for an address


def _serve_for_a_moment(patch: pytest.MonkeyPatch, here: World) -> None:
    """What serves for ever gets a visit instead, and ends."""
    import uvicorn

    import handfast

    def serve(handler: Any, host: str, port: int, *, config: Any) -> None:
        with Server(handler, host, port, config=config) as server:
            here.visit(server.address[1])

    async def serve_forever(server: asyncio.Server) -> None:
        await asyncio.to_thread(here.visit, server.sockets[0].getsockname()[1])
        server.close()

    def run(application: Any, **settings: Any) -> None:
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", **settings))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            for _ in range(400):
                if server.started:
                    break
                thread.join(0.05)
            here.visit(settings["port"])
        finally:
            server.should_exit = True
            thread.join(SECONDS)

    patch.setattr(handfast, "serve", serve)
    patch.setattr(asyncio.base_events.Server, "serve_forever", serve_forever)
    patch.setattr(uvicorn, "run", run)
