"""Peers of another make for the soak: OpenSSL, as Python's `ssl` has it, in threads."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Self

from handfast.testing import Authority

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset
BROKEN_OFF = (OSError, ssl.SSLError)


class Strangers:
    """An echo server, and what a client needs; ``with`` serves.

    ``port``    where the server is
    ``client``  a context that trusts the authority
    """

    def __init__(self, authority: Authority) -> None:
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = authority.issue("localhost", "127.0.0.1").write(folder)
            self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._server.load_cert_chain(certificate, key)
        self.client = ssl.create_default_context(cadata=authority.pem.decode("ascii"))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._serving: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake accept
        self._thread.join(30)
        self._listener.close()
        for thread in self._serving:
            thread.join(30)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(sock,))
                thread.start()
                self._serving = [*filter(threading.Thread.is_alive, self._serving), thread]

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(30)
        with sock, contextlib.suppress(*BROKEN_OFF), self._server.wrap_socket(sock, server_side=True) as tls:
            while data := tls.recv(65_536):
                tls.sendall(data)
            tls.unwrap()


def visits(
    strangers: Strangers, port: int, chance: random.Random, end: float, note: Callable[[str, bool], None]
) -> None:
    """Connections to a server of ours until ``end``; ``note`` is told the way of each, and whether data came back whole."""
    while time.monotonic() < end:
        way = chance.choice(("echo", "close", "reset", "silent"))
        data = chance.randbytes(chance.choice((1, 100, 20_000)))
        whole = True
        with socket.create_connection(("127.0.0.1", port), 30) as sock, contextlib.suppress(*BROKEN_OFF):
            if way == "silent":
                continue
            with strangers.client.wrap_socket(sock, server_hostname="localhost") as tls:
                tls.sendall(data)
                if way == "echo":
                    back = b""
                    while len(back) < len(data) and (piece := tls.recv(65_536)):
                        back += piece
                    whole = back == data
                    tls.unwrap()
                elif way == "reset":
                    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        note(f"ssl: {way}", whole)
