"""Connected sockets, and threads whose exceptions are not lost."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from handfast import TLSSocket, wrap
from tests.handshake.parties import client_config, server_config


class Running:
    """A function in a thread; ``result`` waits for what it returns or raises."""

    def __init__(self, work: Callable[..., Any], *args: Any) -> None:
        self._work = lambda: work(*args)
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self._thread.join(60)
        assert not self._thread.is_alive(), "the thread hangs"
        if self._error is not None:
            raise self._error
        return self._result


def tcp_pair(buffer: int | None = None) -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection over loopback; ``buffer`` makes the buffers of both as small as they can be."""
    with socket.socket() as listener:
        if buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        here = socket.socket()
        if buffer is not None:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        here.connect(listener.getsockname())
        there, _ = listener.accept()
    if buffer is not None:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    here.settimeout(30)
    there.settimeout(30)
    return here, there


def shaken(
    stack: ExitStack,
    client: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
    sockets: tuple[socket.socket, socket.socket] | None = None,
) -> tuple[TLSSocket, TLSSocket]:
    """A client and a server over sockets, hands shaken; the stack closes both."""
    here, there = sockets or tcp_pair()
    serving = Running(lambda: wrap(there, server_config(**server or {})))
    first = stack.enter_context(wrap(here, client_config(**client or {}), server_name="localhost"))
    second = stack.enter_context(serving.result())
    return first, second


def read_all(sock: Any) -> bytes:
    """Everything until the end."""
    data = b""
    while piece := sock.recv(65_536):
        data += piece
    return data


def reset(sock: socket.socket) -> None:
    """Break a TCP connection: the other side gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def quiet(sock: socket.socket, first: bytes = b"") -> bytes:
    """A peer that says one thing, listens until the other side is done, and closes. What it heard."""
    with sock:
        if first:
            sock.sendall(first)
        return read_all(sock)
