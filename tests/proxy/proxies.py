"""Proxies of others, as processes, and a server behind them."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handfast import Server, TLSSocket
from tests.handshake.parties import identity, server_config
from tests.interop.processes import Program, connected, free_port
from tests.peers import require_peer

USER, PASSWORD = "alice", "s3cret-Pass"  # percent-encoded they would look no different
ENCODED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def echo(tls: TLSSocket) -> None:
    while data := tls.recv():
        tls.sendall(data)


@contextmanager
def echoing(**settings: Any) -> Iterator[int]:
    """A server of ours; its port."""
    with Server(echo, config=server_config(**settings)) as server:
        yield server.address[1]


@contextmanager
def tinyproxy(folder: Path, *lines: str, credentials: bool = False) -> Iterator[int]:
    """A real HTTP proxy, with these lines added to its configuration; its port."""
    port = free_port()
    settings = [f"Port {port}", "Listen 127.0.0.1", "Timeout 600", "LogLevel Info", "MaxClients 50", *lines]
    if credentials:
        settings.append(f"BasicAuth {USER} {PASSWORD}")
    path = folder / f"tinyproxy-{port}.conf"
    path.write_text("\n".join(settings) + "\n")
    with Program(require_peer("tinyproxy"), "-d", "-c", str(path)) as program:
        connected(port, program).close()
        yield port


@contextmanager
def microsocks(*, credentials: bool = False) -> Iterator[int]:
    """A real SOCKS5 proxy; its port."""
    port = free_port()
    options = ["-u", USER, "-P", PASSWORD] if credentials else []
    with Program(require_peer("microsocks"), "-i", "127.0.0.1", "-p", str(port), *options) as program:
        connected(port, program).close()
        yield port


@contextmanager
def scripted(talk: Callable[[Any], None]) -> Iterator[int]:
    """A proxy of one connection after the other, of which each gets what ``talk`` does; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        open_ones: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                open_ones.append(peer)
                peer.settimeout(20)
                with contextlib.suppress(OSError, ssl.SSLError):
                    talk(peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for peer in open_ones:
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)
                peer.close()
            thread.join(20)


@contextmanager
def over_tls(port: int, folder: Path) -> Iterator[int]:
    """OpenSSL's TLS before a proxy: an https proxy, as stunnel makes one. Its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity().write(folder, "proxy"))

    def serve(peer: socket.socket) -> None:
        with (
            context.wrap_socket(peer, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", port)) as in_,
        ):
            back = threading.Thread(target=pour, args=(in_, outside), daemon=True)
            back.start()
            pour(outside, in_)
            back.join(20)

    with threads(serve) as ours:
        yield ours


@contextmanager
def threads(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server with a thread for each connection; its port."""

    def talk(peer: socket.socket) -> None:
        def run() -> None:
            with contextlib.suppress(OSError, ValueError):
                serve(peer)

        threading.Thread(target=run, daemon=True).start()

    with scripted(talk) as port:
        yield port


def pour(source: Any, sink: Any) -> None:
    """Everything, until one of the two is done."""
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with contextlib.suppress(OSError, ValueError):
        sink.shutdown(socket.SHUT_WR)
