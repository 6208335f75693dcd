"""Through a proxy to a server that speaks first, in plain text: nothing of what it says may be lost on the way."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from handfast import Proxy, TLSError, wrap
from tests.handshake.parties import client_config, server_config
from tests.proxy.conftest import Visit
from tests.proxy.proxies import microsocks, over_tls, scripted, threads, tinyproxy

GREETING = b"220 localhost ready\r\n"


def smtp(peer: socket.socket, first: bytes = GREETING) -> None:
    """As much of SMTP as STARTTLS needs (RFC 3207), and TLS behind it."""
    peer.sendall(first)
    while not (line := peer.recv(1000)).startswith(b"STARTTLS"):
        assert line.startswith(b"EHLO")
        peer.sendall(b"250-localhost\r\n250 STARTTLS\r\n")
    peer.sendall(b"220 go ahead\r\n")
    # The test that is over closes the socket, wherever this is then.
    with suppress(TLSError, OSError), wrap(peer, server_config()) as tls:
        while data := tls.recv():
            tls.sendall(data)


def test_through_each_kind_of_proxy(visit: Visit, tmp_path: Path) -> None:
    with threads(smtp) as port, tinyproxy(tmp_path) as plain, over_tls(plain, tmp_path) as proxy, microsocks() as socks:
        protected = Proxy(f"https://localhost:{proxy}", config=client_config())
        for way in (f"http://127.0.0.1:{plain}", protected, f"socks5h://127.0.0.1:{socks}"):
            assert visit(port, way, starttls="smtp") == b"ping"


def test_a_greeting_that_comes_with_the_proxys_answer(visit: Visit) -> None:
    def both(peer: socket.socket) -> None:
        peer.recv(4096)
        smtp(peer, b"HTTP/1.1 200 OK\r\n\r\n" + GREETING)

    with scripted(both) as proxy:
        assert visit(25, f"http://127.0.0.1:{proxy}", starttls="smtp") == b"ping"
